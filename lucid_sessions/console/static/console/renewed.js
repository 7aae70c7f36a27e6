// Keeps parts of a page current without a reload, each unless someone is using it; says so when it cannot.
import { ask } from "./answers.js";

const MOVING = ".pill:is(.starting, .recording, .paused, .stopping, .processing, .pending, .running)";
const script = document.querySelector("script[data-parts]");
const parts = script.dataset.parts.split(" ");
const stale = document.getElementById("stale");
let moving = isMoving(document);
let seen = new Date();

function isMoving(page) {
  return page.querySelector(MOVING) !== null;
}

async function renew() {
  if (document.hidden) return;
  const answer = await ask(location.href, { headers: { Accept: "text/html" } });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  // Without the parts it is another page: signed out meanwhile, or the server is in trouble.
  if (!answer.ok || !fresh.getElementById(parts[0])) throw new Error(`The server answered ${answer.status}.`);
  moving = isMoving(fresh);
  for (const id of parts) replace(document.getElementById(id), fresh.getElementById(id));
  seen = new Date();
  stale.hidden = true;
}

// Who has tabbed to a link or button with a name of its own finds it again, or else the part that it was in.
function replace(old, fresh) {
  if (!old || !fresh) return;
  // What is read aloud when it changes is not to be read when it does not.
  if (old.role === "status" && old.textContent === fresh.textContent) return;
  const used = old.contains(document.activeElement) ? document.activeElement : null;
  if (used && !used.matches("a[id], button[id]")) return;
  // Who chooses a text is about to copy it.
  if (!getSelection().isCollapsed && getSelection().containsNode(old, true)) return;
  const moved = [...old.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
  old.replaceChildren(...fresh.childNodes);
  old.querySelectorAll(".scroll").forEach((one, place) => { one.scrollLeft = moved[place] ?? 0; });
  if (used) (document.getElementById(used.id) ?? old).focus({ preventScroll: true });
}

// A server that is away for a moment is asked again; what the page still shows may be true no longer.
function tell() {
  stale.textContent = `Not renewed since ${seen.toLocaleTimeString()}: the server does not answer, or you are signed out. It is tried again by itself.`;
  stale.hidden = false;
}

// Of what is over nothing changes any more: a look that nobody takes is not to be in the audit.
function later() {
  if (moving || "always" in script.dataset) setTimeout(() => renew().catch(tell).finally(later), moving ? 3_000 : 15_000);
}

later();
