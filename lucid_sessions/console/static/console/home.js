// Keeps the list of sessions current without a reload; not while someone is using it.
const MOVING = ".pill:is(.starting, .recording, .paused, .stopping, .processing)";
const list = document.getElementById("list");
const pause = () => (list.querySelector(MOVING) ? 3_000 : 15_000);

async function renew() {
  if (document.hidden || list.contains(document.activeElement)) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("list");
  // Without a list it is another page: signed out meanwhile, or the server is in trouble.
  if (answer.ok && fresh) list.replaceChildren(...fresh.childNodes);
}

function later() {
  // A server that is away for a moment is asked again the next time.
  setTimeout(() => renew().catch(() => {}).finally(later), pause());
}

later();
