// The player: HLS through Media Source where the browser has it, else by the browser itself.
import { ask, isSignedOut, wordsOf } from "./answers.js";
import { Doings } from "./doings.js";
import { Filmstrip } from "./filmstrip.js";
import { Holes } from "./holes.js";
import { Live, patient } from "./live.js";
import { Sound } from "./sound.js";
import { Timeline, clock } from "./timeline.js";

const GROWING_MS = 4000;
// With eight seconds between them: minutes, in which a server is restarted.
const MOST_RETRIES = 40;
const at = (id) => document.getElementById(id);
const root = at("player");
const video = root.querySelector("video");
const verified = new Set();
let timeline = new Timeline({ segments: [], gaps: [] });
let hls = null;
let nextReading = 0;

async function readTimeline() {
  clearTimeout(nextReading);
  const since = timeline.settled;
  const facts = await timelineSince(since);
  timeline = timeline.grown(facts, since);
  live.told(timeline.facts);
  placePieces();
  draw();
  filmstrip.grow(timeline);
  if (timeline.facts.growing) readLater();
}

function readLater() {
  clearTimeout(nextReading);
  nextReading = setTimeout(() => readTimeline().then(begin).catch(showAlarm), GROWING_MS);
}

async function timelineSince(since) {
  const address = `${root.dataset.timeline}?since=${since}`;
  const answer = await ask(address, { headers: { Accept: "application/json" }, redirect: "manual" });
  if (isSignedOut(answer)) throw new Error(await wordsOf(answer));
  const facts = answer.ok && (await answer.json().catch(() => null));
  if (facts) {
    calm();
    return facts;
  }
  if (isFinal(answer.status)) throw new Error(`The timeline could not be read (${answer.status}). Reload the page.`);
  readLater();
  throw new Passing(`The timeline could not be read (${answer.status || "no answer"}). It is tried again by itself.`);
}

// The playlist has grown: the bar shows it too, and the live view knows how late it came.
async function onUpdate() {
  placePieces();
  if (!timeline.facts.growing) return;
  const known = timeline.pieces.length;
  await readTimeline();
  const listed = new Set(fragments().map((one) => idOf(one.url)));
  const newest = timeline.pieces.findLast((piece) => listed.has(piece.id));
  if (newest && timeline.pieces.length > known && known) live.arrived(newest);
}

function draw() {
  at("stretches").replaceChildren(
    ...timeline.stretches().map((run) => {
      const box = document.createElement("i");
      box.className = run.kind;
      box.style.left = `${share(run.from)}%`;
      box.style.width = `${share(run.to - run.from)}%`;
      if (run.title) box.title = run.title;
      return box;
    }),
  );
  document.querySelector(".legend .gone").hidden = !isGone();
  at("length").textContent = clock(timeline.length);
  at("bar").setAttribute("aria-valuemax", Math.round(timeline.length / 1e6));
  at("status").textContent = timeline.facts.status;
  at("status").className = `pill ${timeline.facts.status}`;
  follow();
}

const isGone = () => timeline.facts.segments.some((one) => one.state === "expired");
const share = (microseconds) => (timeline.length ? (100 * microseconds) / timeline.length : 0);

function follow() {
  const now = timeline.toSession(video.currentTime);
  at("now").textContent = clock(now);
  at("head").style.left = at("played").style.width = `${share(now)}%`;
  const bar = at("bar");
  bar.setAttribute("aria-valuenow", Math.round(now / 1e6));
  bar.setAttribute("aria-valuetext", `${clock(now)} of ${clock(timeline.length)}`);
  const began = timeline.facts.began_ms;
  at("wall").textContent = began ? new Date(began + now / 1000).toLocaleString(undefined, WALL) : "";
  filmstrip.mark(now);
  doings.mark(now);
  root.classList.toggle("playing", !video.paused);
  at("play").setAttribute("aria-label", video.paused ? "Play" : "Pause");
}
const WALL = { dateStyle: "medium", timeStyle: "long" };

const seek = (microseconds) => {
  live.release();
  go(microseconds);
};
const go = (microseconds) => {
  video.currentTime = Math.max(earliest(), timeline.toMedia(Math.min(Math.max(0, microseconds), timeline.length)));
};
// Of a list that grows, hls.js loads its end for whoever goes before its begin, and that is no round number.
const earliest = () =>
  timeline.facts.growing ? Math.max(0, fragments()[0]?.start ?? 0, sounds()[0]?.start ?? 0) + 0.001 : 0;
const step = (seconds) => seek(timeline.toSession(video.currentTime) + seconds * 1e6);
// Who pauses while the picture is waited for takes the wish back: that is no fault.
const play = () => video.play().catch((error) => error.name === "AbortError" || showAlarm(error));
function toggle() {
  // Attaching the media would cut short a play that was asked for before it.
  if (at("play").disabled) return;
  if (video.paused) play();
  else {
    live.release();
    video.pause();
  }
}
const stepFrame = (direction) => {
  live.release();
  video.pause();
  video.currentTime = Math.max(earliest(), video.currentTime + direction / Number(root.dataset.frameRate));
};
const fullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
function changeSpeed(direction) {
  const list = at("speed");
  list.selectedIndex = Math.min(Math.max(0, list.selectedIndex + direction), list.options.length - 1);
  takeSpeed();
}
// Following has a speed of its own.
function takeSpeed() {
  live.release();
  video.playbackRate = Number(at("speed").value);
}

// What does not verify, or is not for us, is the same a second later; hls.js would ask for half a minute.
const isFinal = (code) => code >= 400 && code <= 500 && code !== 429;

// The piece because of which nothing more is loaded until the picture is elsewhere.
let missing = null;

function stopBefore(address) {
  const piece = [...fragments(), ...sounds()].find((one) => idOf(one.url) === idOf(address));
  if (!piece) return;
  hls.stopLoad();
  holes.stopped();
  missing = { from: piece.start, to: piece.end };
  if (video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) passMissing();
}

const isInside = ({ from, to }, seconds) => from <= seconds && seconds < to;

// Behind the piece that cannot be had, if there is anything.
function passMissing() {
  if (!missing || !isInside({ ...missing, from: missing.from - 0.5 }, video.currentTime)) return;
  if (fragments().at(-1).end < missing.to + 0.1) return;
  video.currentTime = missing.to + 0.01;
  // Without any media this is no seeking yet.
  if (!video.readyState) loadOn();
}

function loadOn() {
  if (!missing || isInside(missing, video.currentTime)) return;
  missing = null;
  hls.startLoad(video.currentTime);
}

const UNANSWERED = /Load(Error|TimeOut)$/;
const NO_ANSWER = "The server does not answer. It is tried again by itself.";
const GIVEN_UP = "The server did not answer for minutes. Reload the page once it does.";

// An alarm about what may be well again by itself: it goes then, and hides none about what will not.
class Passing extends Error {}
let lasting = false;

function showAlarm(error) {
  if (lasting && error instanceof Passing) return;
  lasting = !(error instanceof Passing);
  at("alarm").textContent = error.message ?? String(error);
  at("alarm").hidden = false;
  at("veil").hidden = true;
}

function calm() {
  if (!lasting) at("alarm").hidden = true;
}

async function explain(address) {
  const answer = await ask(address);
  if (answer.ok) return;
  const text = await wordsOf(answer);
  showAlarm(isFinal(answer.status) ? new Error(text) : new Passing(text));
}

const idOf = (address) => /segments\/([0-9a-f-]{36})\.mp4/.exec(address)?.[1];

function countVerified(address) {
  verified.add(idOf(address));
  at("verified-count").textContent = `${verified.size} of ${timeline.pieces.length}`;
  at("verified").className = "good";
}

const fragments = () => hls?.levels?.[0]?.details?.fragments ?? [];
const sounds = () => hls?.audioTracks?.[0]?.details?.fragments ?? [];

function placePieces() {
  timeline.place(new Map(fragments().map((one) => [idOf(one.url), one.start])));
}

function open() {
  const { Hls } = window;
  if (!Hls?.isSupported()) {
    video.src = root.dataset.playlist;
    sound.offer();
    return;
  }
  const usual = Hls.DefaultConfig.fragLoadPolicy.default;
  hls = new Hls({
    enableWorker: false,
    maxBufferLength: 30,
    backBufferLength: 60,
    startPosition: timeline.toMedia(live.following ? live.target : 0),
    pLoader: patient(Hls.DefaultConfig.loader),
    fragLoadPolicy: { default: { ...usual, errorRetry: { ...usual.errorRetry, maxNumRetry: MOST_RETRIES } } },
  });
  hls.on(Hls.Events.LEVEL_UPDATED, () => onUpdate().catch(showAlarm));
  hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, (_name, { audioTracks }) => audioTracks.length && sound.offer());
  holes.told(hls, Hls.Events);
  hls.on(Hls.Events.FRAG_LOADED, (_name, { frag }) => {
    calm();
    if (frag.type === "main") countVerified(frag.url);
  });
  hls.on(Hls.Events.ERROR, (_name, error) => {
    if (error.response?.code >= 400) explain(error.frag?.url ?? root.dataset.playlist);
    else if (UNANSWERED.test(error.details)) showAlarm(error.fatal ? new Error(GIVEN_UP) : new Passing(NO_ANSWER));
    else if (error.fatal) showAlarm(new Error(`The recording cannot be played here: ${error.details}.`));
    if (error.frag && (error.fatal || isFinal(error.response?.code))) stopBefore(error.frag.url);
  });
  // Who follows may have been sent into a piece that was given up while the server was away.
  hls.on(Hls.Events.FRAG_BUFFERED, () => live.following && video.seeking && holes.jump());
  hls.loadSource(root.dataset.playlist);
  hls.attachMedia(video);
}

const KEYS = {
  " ": toggle,
  k: toggle,
  ArrowLeft: () => step(-5),
  ArrowRight: () => step(5),
  j: () => step(-10),
  l: () => step(10),
  ",": () => stepFrame(-1),
  ".": () => stepFrame(1),
  "<": () => changeSpeed(-1),
  ">": () => changeSpeed(1),
  Home: () => seek(0),
  End: () => seek(timeline.length),
  m: () => sound.toggle(),
  f: fullScreen,
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, textarea")) return;
  if (event.key === " " && event.target.closest("button, summary, a")) return;
  const tenth = /^[0-9]$/.test(event.key) ? () => seek((timeline.length * Number(event.key)) / 10) : null;
  const act = KEYS[event.key] ?? KEYS[event.key.toLowerCase()] ?? tenth;
  if (!act) return;
  event.preventDefault();
  act();
}

function onBar(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  const box = at("bar").getBoundingClientRect();
  if (event.type === "pointerdown") at("bar").setPointerCapture(event.pointerId);
  seek(((event.clientX - box.left) / box.width) * timeline.length);
}

for (const name of ["timeupdate", "seeking", "seeked", "play", "pause", "ended", "ratechange"]) {
  video.addEventListener(name, follow);
}
video.addEventListener("waiting", passMissing);
video.addEventListener("seeking", loadOn);
video.addEventListener("loadedmetadata", () => { at("play").disabled = false; });
video.addEventListener("loadeddata", () => { at("veil").hidden = true; });
video.addEventListener("click", toggle);
at("play").addEventListener("click", toggle);
at("back").addEventListener("click", () => step(-10));
at("forward").addEventListener("click", () => step(10));
at("full").addEventListener("click", fullScreen);
at("speed").addEventListener("change", takeSpeed);
at("bar").addEventListener("pointerdown", onBar);
at("bar").addEventListener("pointermove", onBar);
document.addEventListener("keydown", onKey);

const holes = new Holes(video);
const sound = new Sound(video);
const filmstrip = new Filmstrip(root.dataset.filmstrip, { seek });
const doings = new Doings({
  seek,
  now: () => timeline.toSession(video.currentTime),
  length: () => timeline.length,
});
const live = new Live(video, {
  place: () => timeline.toSession(video.currentTime),
  edge: () => timeline.pieces.at(-1)?.to ?? 0,
  seek: go,
  play,
});

function begin() {
  if (hls || video.src) return;
  live.following = live.growing && timeline.facts.status !== "processing";
  if (timeline.pieces.length) open();
  else if (timeline.facts.growing) at("veil").textContent = "Nothing is archived yet. It begins by itself.";
  else at("veil").textContent = isGone() ? "It is deleted: nothing is left to play." : "Nothing to play.";
}

readTimeline().then(begin).catch(showAlarm);
