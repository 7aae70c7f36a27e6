// The panel under the player that tells what was done. Nothing is asked for until a person opens it: it is a look.
import { Account } from "./account.js";
import { clock } from "./timeline.js";

const GROWING_MS = 4000;
// What goes wrong again and again is left in peace for longer each time, up to this, unless the person asks.
const LONGEST_REST_MS = 60_000;
// Where reading begins when the picture is far from the session's begin, and how soon before the end it goes on.
const BEFORE_US = 60e6;
const AHEAD_US = 30e6;
const NEAR_US = 600e6;
// Media time is coarser than the session's.
const COARSE_US = 50_000;
const at = (id) => document.getElementById(id);

const HEARD = {
  client: "Only what passed through the recorder's own client was heard: not what others typed and clicked, nor in which window.",
  server: "Only what was copied is known: the desktop's server does not tell what is typed and clicked, nor in which window.",
};
const times = ({ count }) => (count > 1 ? ` ×${count}` : "");
const place = ({ x, y, to_x: toX, to_y: toY }) =>
  x === null ? "" : ` at ${x}, ${y}${toX === null || toX === undefined ? "" : ` to ${toX}, ${toY}`}`;
const counted = (number, one, more) => `${number} ${number === 1 ? one : more}`;
const copied = ({ text, length }) =>
  text ? `a text${length === null ? ", its length is not known" : ` of ${counted(length, "byte", "bytes")}`}` : "no text";
// Of each kind: what it is called, and what is said of it.
const SAID = {
  typed: ["Typed", (one) => one.text],
  key: ["Key", (one) => one.key + times(one)],
  click: ["Click", (one) => `${one.to_x === null ? one.button : `${one.button}, dragged`}${times(one)}${place(one)}`],
  scroll: ["Scroll", (one) => one.direction + times(one) + place(one)],
  window: ["Window", (one) => one.title || (one.class ? "without a title" : "none")],
  clipboard: ["Copied", copied],
  gap: ["Not heard", (one) => one.reason],
  unread: ["Not told", (one) => one.reason],
  pending: ["On its way", (one) => one.reason],
  other: ["Other", (one) => one.name],
};
const GROUPS = { scroll: "click" };

export class Doings {
  // `now()` is where the picture is, `length()` how long the session is: microseconds.
  constructor({ seek, now, length }) {
    this.panel = at("done");
    if (!this.panel?.dataset.address) {
      this.panel = null;
      return;
    }
    Object.assign(this, { seek, now, length, rows: [], shown: [], chosen: null, current: null, faults: 0 });
    this.account = new Account(this.panel.dataset.address);
    this.#listen();
  }

  // The picture is there now.
  mark(now) {
    if (!this.panel?.open || !this.account.entries.length) return;
    const isChosen = this.chosen && Math.abs(now - this.chosen.entry.from_us) < 3 * COARSE_US;
    if (!isChosen) this.chosen = null;
    this.#point(this.chosen ?? this.#rowAt(now + COARSE_US));
    this.#keepUp(now);
  }

  #listen() {
    this.panel.addEventListener("toggle", () => this.panel.open && this.#open());
    at("done-find").addEventListener("input", () => this.#sift());
    at("done-kinds").addEventListener("change", () => this.#sift());
    at("done-earlier").addEventListener("click", () => this.#readFor(() => this.account.earlier()));
    at("done-later").addEventListener("click", () => this.#readFor(() => this.account.later()));
    at("done-all").addEventListener("click", () => this.#readAll());
    at("done-follow").addEventListener("click", () => this.#follow(true));
    const list = at("done-list");
    list.addEventListener("click", (event) => this.#go(event.target.closest("li")));
    list.addEventListener("keydown", (event) => this.#onKey(event));
    const box = at("done-box");
    for (const name of ["wheel", "touchmove"]) box.addEventListener(name, () => this.#follow(false), { passive: true });
    // On the bar of the box, not on something in it.
    box.addEventListener("pointerdown", (event) => event.target === box && this.#follow(false));
  }

  async #open() {
    if (!this.account.entries.length && this.account.to === 0) await this.#start(this.now());
    this.mark(this.now());
    if (this.panel.open) this.#growLater();
  }

  // Around the picture, or from the session's begin where that is near.
  #start(now) {
    this.account.begin(now < NEAR_US / 2 ? 0 : now - BEFORE_US);
    return this.#read(() => this.account.later());
  }

  // One thing is read at a time: what is asked for meanwhile waits for that, and may ask again.
  #read(some) {
    this.busy ??= this.#run(some);
    return this.busy;
  }

  async #run(some) {
    this.reading = true;
    this.#tell();
    try {
      await some();
      this.fault = "";
      this.faults = 0;
    } catch (error) {
      this.fault = error.message;
      this.faults += 1;
      this.all = false;
      clearTimeout(this.rested);
      this.rested = setTimeout(() => { this.fault = ""; }, this.#rest());
    }
    this.reading = false;
    this.busy = null;
    this.#draw();
    this.#growLater();
  }

  // Until it asks by itself again.
  #rest() {
    return Math.min(GROWING_MS * 2 ** this.faults, LONGEST_REST_MS);
  }

  async #readAll() {
    this.all = !this.all;
    while (this.all && this.panel.open && this.account.more) await this.#read(() => this.account.later());
    while (this.all && this.panel.open && this.account.from > 0) await this.#read(() => this.account.earlier());
    this.all = false;
    this.#tell();
  }

  // A person wants to see it: the list does not go back to the picture.
  #readFor(some) {
    this.#follow(false);
    return this.#read(some);
  }

  // What is to be seen next is read before the picture is there.
  #keepUp(now) {
    const { from, to, more } = this.account;
    if (this.busy || this.fault || this.all) return;
    if (now > to - AHEAD_US && now < to + NEAR_US && more) this.#read(() => this.account.later());
    else if (now < from && now > from - NEAR_US) this.#read(() => this.account.earlier());
    else if ((now < from || (now > to && more)) && !at("done-find").value) this.#start(now);
  }

  #growLater() {
    clearTimeout(this.next);
    this.next = setTimeout(() => {
      const grows = this.account.growing && !this.account.more && !document.hidden;
      if (this.panel.open && grows) this.#read(() => this.account.later());
      else if (this.panel.open) this.#growLater();
    }, this.#rest());
  }

  #draw() {
    const { entries } = this.account;
    const box = at("done-box");
    const anchor = this.rows.find(({ entry, row }) => !entry.begins && row.offsetTop >= box.scrollTop);
    const before = anchor?.row.offsetTop ?? 0;
    const known = new Map(this.rows.map((one) => [one.entry, one]));
    let inside = "";
    this.rows = entries.map((entry) => {
      if (entry.kind === "window") inside = `${entry.title} ${entry.class}`;
      return { ...(known.get(entry) ?? { entry, row: rowOf(entry) }), words: wordsOf(entry, inside) };
    });
    this.#replace();
    const heard = [HEARD[this.account.hears], this.account.keys === "masked" && "Characters are masked: each is •."];
    at("done-heard").textContent = heard.filter(Boolean).join(" ");
    this.#sift();
    // What was read before it does not move what the person looks at.
    if (this.away && anchor?.row.isConnected) box.scrollTop += anchor.row.offsetTop - before;
  }

  // Only what is new is put in: a row that somebody uses stays as it is.
  #replace() {
    const list = at("done-list");
    const wanted = new Set(this.rows.map(({ row }) => row));
    for (const row of [...list.children]) if (!wanted.has(row)) row.remove();
    let next = list.firstChild;
    for (const { row } of this.rows) {
      if (row === next) next = next.nextSibling;
      else list.insertBefore(row, next);
    }
  }

  #sift() {
    const sought = at("done-find").value.trim().toLowerCase();
    const off = new Set([...at("done-kinds").querySelectorAll("input:not(:checked)")].map((one) => one.value));
    for (const one of this.rows) {
      const { kind } = one.entry;
      one.row.hidden = off.has(GROUPS[kind] ?? kind) || (sought !== "" && !one.words.includes(sought));
    }
    this.shown = this.rows.filter(({ row }) => !row.hidden);
    this.current = null;
    this.#tell();
    this.#point(this.#rowAt(this.now() + COARSE_US));
  }

  #tell() {
    const { from, to, isWhole, growing, entries } = this.account;
    const sought = at("done-find").value.trim() !== "";
    const number = sought ? `${this.shown.length} of ${entries.length} found` : counted(this.shown.length, "entry", "entries");
    const part = isWhole ? `in all of the session${growing ? " so far" : ""}` : `in ${clock(from)} – ${clock(to)} of ${clock(this.length())}`;
    at("done-told").textContent = this.fault || (this.reading && !entries.length ? "Reading…" : `${number} ${part}.`);
    at("done-told").classList.toggle("bad", Boolean(this.fault));
    at("done-all").hidden = isWhole;
    at("done-all").textContent = this.all ? "Stop" : sought ? "Search all of it" : "Read all of it";
    at("done-earlier").hidden = from === 0;
    at("done-later").hidden = !this.account.more;
    for (const id of ["done-earlier", "done-later"]) at(id).disabled = Boolean(this.reading);
    at("done-none").hidden = this.shown.length > 0 || Boolean(this.reading);
  }

  #rowAt(moment) {
    return this.shown.findLast(({ entry }) => entry.from_us <= moment) ?? null;
  }

  #point(one) {
    if (one === this.current) return;
    for (const button of at("done-list").querySelectorAll("[aria-current]")) button.removeAttribute("aria-current");
    this.current = one;
    one?.row.firstChild.setAttribute("aria-current", "true");
    // The list is one stop for the tab key; arrows lead through it.
    if (!at("done-list").contains(document.activeElement)) this.#reach(one ?? this.shown[0]);
    if (one && !this.away) bringIntoView(at("done-box"), one.row);
  }

  #reach(one) {
    for (const button of at("done-list").querySelectorAll("[tabindex='0']")) button.tabIndex = -1;
    if (one) one.row.firstChild.tabIndex = 0;
  }

  #follow(follows) {
    this.away = !follows;
    at("done-follow").hidden = follows;
    if (follows && this.current) bringIntoView(at("done-box"), this.current.row);
  }

  #go(row) {
    const one = row && this.shown.find((other) => other.row === row);
    if (!one) return;
    this.#follow(true);
    this.chosen = one;
    this.#reach(one);
    this.seek(one.entry.from_us);
    this.#point(one);
  }

  #onKey(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    const step = steps[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const here = this.shown.findIndex(({ row }) => row.contains(document.activeElement));
    const one = this.shown[Math.min(Math.max(0, here + step), this.shown.length - 1)];
    this.#follow(false);
    this.#reach(one);
    one.row.firstChild.focus({ preventScroll: true });
    bringIntoView(at("done-box"), one.row);
  }
}

// Within the box alone: the page stays where it is.
function bringIntoView(box, row) {
  const top = row.offsetTop;
  const bottom = top + row.offsetHeight;
  if (top < box.scrollTop + 40) box.scrollTop = top - 40;
  else if (bottom > box.scrollTop + box.clientHeight - 40) box.scrollTop = bottom - box.clientHeight + 40;
}

function wordsOf(entry, inside) {
  const own = entry.kind === "window" ? "" : SAID[entry.kind]?.[1](entry);
  return `${own} ${inside}`.toLowerCase();
}

function rowOf(entry) {
  const [name, words] = (entry.state === "pending" && SAID.pending) || (SAID[entry.kind] ?? SAID.other);
  const row = document.createElement("li");
  row.className = entry.state ? `${entry.kind} ${entry.state}` : entry.kind;
  const button = part("button", "");
  button.type = "button";
  button.tabIndex = -1;
  button.append(part("time", clock(entry.from_us)), part("b", entry.begins ? "In window" : name));
  const said = part("span", "");
  said.append(part("bdi", words(entry)));
  if (entry.class) said.append(" ", part("small", entry.class));
  if (entry.secret) said.append(" ", part("em", "asks for a password"));
  if (entry.kind === "typed" && entry.count > 1) said.append(" ", part("small", `${entry.count} keys`));
  if (entry.sha256) said.append(" ", part("small", `SHA-256 ${entry.sha256}`));
  button.append(said);
  row.append(button);
  return row;
}

function part(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
