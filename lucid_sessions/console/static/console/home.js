// Keeps the list of sessions current without a reload; not while someone is using it.
const EVERY_MS = 3000;
const MOVING = ".pill:is(.starting, .recording, .paused, .stopping, .processing)";

async function renew() {
  const list = document.getElementById("list");
  if (!document.hidden && list.querySelector(MOVING) && !list.contains(document.activeElement)) {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("list");
    // Signed out meanwhile: the answer is another page.
    if (!answer.ok || !fresh) return;
    list.replaceChildren(...fresh.childNodes);
  }
  setTimeout(() => renew().catch(() => setTimeout(renew, EVERY_MS)), EVERY_MS);
}

setTimeout(() => renew().catch(() => {}), EVERY_MS);
