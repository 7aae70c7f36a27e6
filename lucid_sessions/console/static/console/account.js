// What was done in a session, read in stretches: one unbroken part of the session is known, and grows at both ends.
import { wordsOf } from "./answers.js";

const STRETCH_US = 600e6;
const REST_US = 5e6;
const REACHES = new Set(["gap", "unread"]);
// So often in a row an answer that says "later" is waited for.
const MOST_WAITS = 20;

export class Account {
  // Known is what lies from `from` to `to`; microseconds of the session's timeline.
  constructor(address) {
    this.address = address;
    this.begin(0);
  }

  // Nothing is known, and what is read next begins here.
  begin(microseconds) {
    this.from = this.to = Math.max(0, Math.round(microseconds));
    this.entries = [];
    this.more = true;
    this.growing = false;
    this.hears = this.keys = null;
  }

  get isWhole() {
    return this.from === 0 && !this.more;
  }

  // Reads on where it ends. What was still on its way when it was read is told anew.
  async later() {
    const body = await this.#ask({ from_us: this.to });
    const isFirst = this.to === this.from && !this.entries.length;
    const kept = this.entries.filter((one) => one.from_us < this.to || one.begins);
    this.entries = joined(isFirst ? beginning(body) : kept, body.entries);
    this.#note(body);
    this.to = body.to_us;
    this.more = body.next_from_us !== null;
    this.growing = body.growing;
    if (this.growing && !this.more) await this.#settle();
  }

  // Reads what lies before it.
  async earlier() {
    const begin = Math.max(0, this.from - STRETCH_US);
    let found = null;
    for (let from = begin; from !== null;) {
      const body = await this.#ask({ from_us: from, to_us: this.from });
      found = joined(found ?? beginning(body), body.entries);
      this.#note(body);
      from = body.next_from_us;
    }
    this.entries = joined(found, this.entries.filter((one) => !one.begins && one.from_us >= this.from));
    this.from = begin;
  }

  // One that came too late for those behind it may have come by now.
  async #settle() {
    const late = this.entries.find((one) => one.state === "pending" && one.from_us < this.to);
    if (!late) return;
    const body = await this.#ask({ from_us: late.from_us, to_us: late.to_us });
    if (body.entries.some((one) => one.state === "pending")) return;
    this.entries = this.entries.flatMap((one) => (one === late ? body.entries : [one]));
  }

  #note({ hears, keys }) {
    this.hears = hears ?? this.hears;
    this.keys = keys ?? this.keys;
  }

  async #ask(part, waits = 0) {
    const address = `${this.address}?${new URLSearchParams(part)}`;
    const answer = await fetch(address, { headers: { Accept: "application/json" } }).catch(() => Response.error());
    if (answer.ok) return answer.json();
    if (answer.status === 429 && waits < MOST_WAITS) {
      const seconds = Number(answer.headers.get("Retry-After")) || 5;
      await new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });
      return this.#ask(part, waits + 1);
    }
    throw new Error(await wordsOf(answer));
  }
}

// The window that it begins in is no change of windows, but it is to be known.
function beginning({ window, from_us: at }) {
  return window ? [{ kind: "window", from_us: at, to_us: at, ...window, begins: true }] : [];
}

// What reaches over the place where two stretches meet was told in both, and a text that was cut there is one again.
function joined(before, after) {
  const known = new Set(before.filter(({ kind }) => REACHES.has(kind)).map((one) => JSON.stringify(one)));
  const fresh = after.filter((one) => !REACHES.has(one.kind) || !known.has(JSON.stringify(one)));
  const [last, first] = [before.at(-1), fresh[0]];
  const isOne = last?.kind === "typed" && first?.kind === "typed" && first.from_us - last.to_us <= REST_US;
  if (!isOne) return [...before, ...fresh];
  const whole = { ...last, to_us: first.to_us, text: last.text + first.text, count: last.count + first.count };
  return [...before.slice(0, -1), whole, ...fresh.slice(1)];
}
