// Small pictures along the session, a curve of how much happened, and a look at any moment before going there.
import { clock } from "./timeline.js";

const FRAMES = 240;
const WIDE = 108;
const REST_MS = 60;
const GROWING_MS = 10_000;
const at = (id) => document.getElementById(id);

export class Filmstrip {
  constructor(address, { seek }) {
    this.address = address;
    this.seek = seek;
    this.frames = [];
    this.length = 0;
    this.pictures = new Map();
    this.slots = [];
    this.readAt = -Infinity;
    for (const place of [at("bar"), at("curve"), at("strip")]) {
      place.addEventListener("pointermove", (event) => this.#look(event));
      place.addEventListener("pointerleave", () => this.#leave());
    }
    for (const place of [at("curve"), at("strip")]) place.addEventListener("click", (event) => this.#go(event));
    new ResizeObserver(() => this.#draw()).observe(at("controls"));
  }

  // Reads what is new; without small pictures there is no strip, and the player is as good without it.
  async grow(timeline) {
    this.length = timeline.length;
    const stale = performance.now() - this.readAt > GROWING_MS;
    if (stale || !timeline.facts.growing) {
      this.readAt = performance.now();
      const answer = await fetch(`${this.address}?most=${FRAMES}`, { headers: { Accept: "application/json" } });
      if (answer.ok) this.frames = (await answer.json()).frames;
    }
    this.#draw();
  }

  mark(now) {
    // Media time is coarser than the session's: a seek to a slot's begin may land a little before it.
    const seen = now + 100_000;
    for (const { button, from, to } of this.slots) button.classList.toggle("current", from <= seen && seen < to);
  }

  #draw() {
    const any = this.frames.length > 0 && this.length > 0;
    // Of an SVG, `hidden` is an attribute only.
    for (const id of ["curve", "strip"]) at(id).toggleAttribute("hidden", !any);
    if (!any) return;
    this.#drawCurve();
    this.#drawStrip();
  }

  // One slot is as wide as another, and stands for as long a part of the session.
  #drawStrip() {
    const count = Math.max(3, Math.floor(at("strip").clientWidth / WIDE));
    const each = this.length / count;
    this.slots = Array.from({ length: count }, (_, number) => {
      const from = number * each;
      const old = this.slots.length === count ? this.slots[number] : null;
      const frame = this.#frameAt(from) ?? this.frames[0];
      const button = old?.button ?? slot();
      if (frame.poster && button.dataset.poster !== frame.poster) {
        button.dataset.poster = frame.poster;
        button.replaceChildren(picture(frame.poster));
      }
      button.dataset.from = from;
      button.setAttribute("aria-label", `Go to ${clock(from)}`);
      return { button, from, to: from + each };
    });
    const shown = this.slots.map(({ button }) => button);
    if (at("strip").childElementCount !== count) at("strip").replaceChildren(...shown);
  }

  #drawCurve() {
    const perSecond = (frame, amount) => amount / Math.max(0.25, (frame.to_us - frame.from_us) / 1e6);
    const most = Math.max(1, ...this.frames.map((frame) => perSecond(frame, frame.pressed ?? 0)));
    // A square root: a letter that was typed shows beside a film that was played.
    const changed = (frame) => 96 * Math.sqrt(Math.min(1, perSecond(frame, frame.changed ?? 0)));
    const pressed = (frame) => (48 * perSecond(frame, frame.pressed ?? 0)) / most;
    at("curve-changed").setAttribute("d", this.#steps(changed));
    at("curve-pressed").setAttribute("d", this.#steps(pressed));
    const counted = this.frames.some((frame) => frame.pressed !== null);
    document.querySelector("[data-of=curve]").hidden = false;
    document.querySelector("[data-of=curve-pressed]").hidden = !counted;
  }

  #steps(height) {
    const across = (microseconds) => ((1000 * microseconds) / this.length).toFixed(1);
    return this.frames
      .filter((frame) => height(frame) > 0)
      .map((frame) => `M${across(frame.from_us)} 100V${(100 - Math.max(3, height(frame))).toFixed(1)}H${across(frame.to_us)}V100Z`)
      .join("");
  }

  #frameAt(microseconds) {
    return this.frames.findLast((frame) => frame.from_us <= microseconds);
  }

  #timeAt(event) {
    const box = at("bar").getBoundingClientRect();
    return Math.min(Math.max(0, (event.clientX - box.left) / box.width), 1) * this.length;
  }

  #look(event) {
    clearTimeout(this.rest);
    const time = this.#timeAt(event);
    const frame = this.#frameAt(time);
    if (!frame) return;
    const preview = at("preview");
    const room = at("controls").clientWidth;
    const left = event.clientX - at("controls").getBoundingClientRect().left - 116;
    preview.style.left = `${Math.min(Math.max(4, left), room - 236)}px`;
    const pressed = frame.pressed ? ` · ${frame.pressed} keys or clicks` : "";
    at("preview-text").textContent = `${clock(time)}${pressed}`;
    preview.hidden = false;
    this.rest = setTimeout(() => this.#show(frame), REST_MS);
  }

  #show(frame) {
    if (!frame.poster) return;
    if (!this.pictures.has(frame.poster)) this.pictures.set(frame.poster, picture(frame.poster));
    at("preview-picture").replaceChildren(this.pictures.get(frame.poster));
  }

  #leave() {
    clearTimeout(this.rest);
    at("preview").hidden = true;
  }

  #go(event) {
    const button = event.target.closest("[data-from]");
    // Else the space bar, which is to play, would go there again.
    button?.blur();
    this.seek(button ? Number(button.dataset.from) : this.#timeAt(event));
  }
}

function slot() {
  const button = document.createElement("button");
  button.type = "button";
  // The bar does the same for the keyboard.
  button.tabIndex = -1;
  return button;
}

function picture(address) {
  const image = new Image();
  image.alt = "";
  image.src = address;
  return image;
}
