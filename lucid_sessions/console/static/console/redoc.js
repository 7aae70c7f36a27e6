// Redoc writes its styles while it runs. It names the page's nonce for them if it is told it: a browser keeps
// it from attributes, and gives it to the script that runs.
const here = document.currentScript;
Redoc.init(here.dataset.schema, { nonce: here.nonce }, document.getElementById("redoc"));
