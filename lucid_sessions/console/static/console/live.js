// Following a session while it is recorded: as close behind as its archived and anchored segments allow.
import { ask } from "./answers.js";

const at = (id) => document.getElementById(id);

const LOOK_MS = 250;
// A segment is there this long after its end until something else was seen; then fetching it takes a while.
const FIRST_DELAY_S = 1.5;
const LONGEST_DELAY_S = 3;
const FETCH_S = 0.6;
const JUMP_S = 2;
// What a segment lasts, until something else was seen.
const USUAL_S = 4;

export class Live {
  // `place()` is where the picture is, `edge()` where the newest playable segment ends: microseconds.
  constructor(video, { place, edge, seek, play }) {
    Object.assign(this, { video, place, edge, seek, play });
    this.growing = false;
    this.following = false;
    this.offset = 0;
    this.delay = FIRST_DELAY_S;
    this.segment = USUAL_S;
    this.since = Infinity;
    at("live").addEventListener("click", () => this.follow());
    setInterval(() => this.#keepUp(), LOOK_MS);
  }

  // The server's clock, from a timeline that has just come.
  told({ growing, now_us: now }) {
    this.growing = growing && now !== null;
    if (this.growing) {
      this.offset = now - performance.now() * 1000;
      this.since = Math.min(this.since, now);
    }
    at("live").hidden = !this.growing;
    if (!this.growing) this.release();
  }

  // The playlist has grown: how late that was decides how close one can follow.
  arrived(piece) {
    const late = (this.now() - piece.to) / 1e6;
    this.delay = Math.min(LONGEST_DELAY_S, Math.max(late, 0.9 * this.delay + 0.1 * late));
    // What began before we watched may have been drawn out: nothing happened, and nobody watched.
    if (piece.from >= this.since) this.segment = piece.seconds;
  }

  now() {
    return performance.now() * 1000 + this.offset;
  }

  // Seconds that the picture is behind what happens.
  get lag() {
    return (this.now() - this.place()) / 1e6;
  }

  get wanted() {
    return this.segment + this.delay + FETCH_S;
  }

  follow() {
    this.following = true;
    at("speed").value = "1";
    this.#speed(1);
    this.#jump();
    this.play();
  }

  release() {
    this.following = false;
    if (this.faster) this.#speed(1);
  }

  // Where to begin: microseconds.
  get target() {
    return Math.max(0, Math.min(this.now() - this.wanted * 1e6, this.edge() - 300_000));
  }

  #jump() {
    this.seek(this.target);
  }

  #keepUp() {
    if (!this.growing) return;
    const { lag } = this;
    // A picture that stands still shows nothing of what happens now.
    const shows = this.following && !this.video.paused;
    at("live").classList.toggle("on", shows);
    at("live").dataset.lag = lag.toFixed(2);
    at("lag").textContent = shows ? `${lag.toFixed(0)} s behind` : "";
    if (!shows || this.video.seeking) return;
    const late = lag - this.wanted;
    if (late > JUMP_S && this.target > this.place() + 1e6) this.#jump();
    else if (late > 0.4) this.#speed(1.1);
    else if (late < 0.05 && this.faster) this.#speed(1);
  }

  #speed(rate) {
    this.faster = rate > 1;
    this.video.playbackRate = rate;
  }
}

// hls.js asks anew no sooner than the longest segment lasts, and of a desktop on which nothing happened that is
// minutes; our loader waits for what is new by itself.
const soon = (text) =>
  text.replace(/^(#EXT-X-TARGETDURATION:)(\d+)$/m, (_line, tag, seconds) => tag + Math.min(seconds, USUAL_S));

// So long a server that is away is waited for: it is restarted, or the network is.
const LONGEST_AWAY_MS = 5 * 60_000;
const isAway = (status) => status === 0 || (status >= 502 && status <= 504);

// What came of asking for a playlist: the status is 0 when no answer came.
async function asked(address, headers) {
  const answer = await ask(address, { headers, cache: "no-store", credentials: "same-origin" });
  const text = await answer.text().catch(() => null);
  return text === null ? { answer: Response.error(), text: "" } : { answer, text };
}

// A loader of playlists for hls.js that answers when the playlist is another one than before.
export function patient(Loader) {
  const seen = new Map();
  return class extends Loader {
    load(context, config, callbacks) {
      this.#ask(context, callbacks).catch((error) => {
        if (!this.gone) callbacks.onError({ code: 0, text: String(error) }, context, null, this.stats);
      });
    }

    abort() {
      this.gone = true;
    }

    destroy() {
      this.gone = true;
    }

    async #ask(context, callbacks) {
      let away = Infinity;
      for (let tries = 0; !this.gone; tries += 1) {
        this.stats.loading.start = performance.now();
        const known = seen.get(context.url);
        const { answer, text } = await asked(context.url, known ? { "If-None-Match": known } : {});
        if (this.gone) return;
        away = isAway(answer.status) ? Math.min(away, performance.now()) : Infinity;
        const isWaitedFor = away < Infinity && performance.now() - away < LONGEST_AWAY_MS;
        if (!isWaitedFor && answer.status !== 304 && answer.status !== 429) {
          this.#give(answer, text, context, callbacks);
          return;
        }
        // Nothing new for long: it is paused, or the machine is busy. Too many questions are answered less.
        const rest = answer.status === 429 ? 5000 : answer.status === 304 && tries < 10 ? 500 : 2000;
        await new Promise((resolve) => { setTimeout(resolve, rest); });
      }
    }

    #give(answer, text, context, callbacks) {
      const { stats } = this;
      stats.loading.first = stats.loading.end = performance.now();
      stats.loaded = stats.total = text.length;
      if (!answer.ok) {
        callbacks.onError({ code: answer.status, text: answer.statusText }, context, null, stats);
        return;
      }
      seen.set(context.url, answer.headers.get("ETag"));
      const data = text.includes("#EXT-X-ENDLIST") ? text : soon(text);
      callbacks.onSuccess({ url: answer.url, data, code: answer.status }, stats, context, null);
    }
  };
}
