// Two clocks: the session's (microseconds from its start, with its gaps) and the media's (seconds, without them).

export function clock(microseconds) {
  const tenths = Math.max(0, Math.floor(microseconds / 100_000));
  const seconds = Math.floor(tenths / 10) % 60;
  const minutes = Math.floor(tenths / 600) % 60;
  const hours = Math.floor(tenths / 36_000);
  const two = (number) => String(number).padStart(2, "0");
  const head = hours ? `${hours}:${two(minutes)}` : `${minutes}`;
  return `${head}:${two(seconds)}.${tenths % 10}`;
}

export class Timeline {
  // `facts`: the page's timeline.json. `starts`: where the player has put each segment, by id, once it knows.
  constructor(facts) {
    this.facts = facts;
    let media = 0;
    // What is in quarantine has its place in the media too: nothing is shown there.
    this.pieces = facts.segments
      .filter((segment) => segment.playable || segment.state === "quarantined")
      .map((segment) => {
        const piece = { ...segment, media, seconds: (segment.to - segment.from) / 1e6 };
        media += piece.seconds;
        return piece;
      })
      .filter((piece) => piece.playable);
    const ends = [...facts.segments, ...facts.gaps].map((part) => part.to);
    this.length = ends.reduce((last, end) => Math.max(last, end), 0);
  }

  // From here on something may still change: what lies before need not be asked for again.
  get settled() {
    const open = this.facts.segments.find((segment) => segment.state !== "anchored");
    return open ? open.from : (this.facts.segments.at(-1)?.to ?? 0);
  }

  // This timeline with what was read since.
  grown(facts, since) {
    const before = (parts) => parts.filter((part) => part.to <= since);
    return new Timeline({
      ...facts,
      segments: [...before(this.facts.segments), ...facts.segments],
      gaps: [...before(this.facts.gaps), ...facts.gaps],
    });
  }

  place(starts) {
    for (const piece of this.pieces) {
      piece.media = starts.get(piece.id) ?? piece.media;
    }
  }

  toSession(seconds) {
    const piece = lastWhere(this.pieces, (one) => one.media <= seconds + 1e-3) ?? this.pieces[0];
    if (!piece) return 0;
    return piece.from + Math.min(Math.max(0, seconds - piece.media), piece.seconds) * 1e6;
  }

  toMedia(microseconds) {
    const inside = lastWhere(this.pieces, (one) => one.from <= microseconds);
    if (inside && microseconds < inside.to) return inside.media + (microseconds - inside.from) / 1e6;
    const next = this.pieces.find((one) => one.from >= microseconds);
    if (next) return next.media;
    const last = this.pieces.at(-1);
    return last ? last.media + last.seconds - 0.05 : 0;
  }

  gapAt(microseconds) {
    return this.facts.gaps.find((gap) => gap.from <= microseconds && microseconds < gap.to);
  }

  // Runs of the same kind, so that a long session is a handful of boxes.
  stretches() {
    const parts = [
      ...this.facts.segments.map((segment) => ({ from: segment.from, to: segment.to, kind: kindOf(segment) })),
      ...this.facts.gaps.map((gap) => ({ from: gap.from, to: gap.to, kind: "gap", title: gap.reason })),
    ].sort((one, other) => one.from - other.from);
    const runs = [];
    for (const part of parts) {
      const run = runs.at(-1);
      if (run && run.kind === part.kind && run.kind !== "gap" && run.to === part.from) run.to = part.to;
      else runs.push({ ...part });
    }
    return runs;
  }
}

function kindOf(segment) {
  if (segment.state === "quarantined") return "quarantined";
  if (segment.state === "expired") return "gone";
  return segment.state === "anchored" ? "proven" : "pending";
}

function lastWhere(list, test) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (test(list[middle])) low = middle + 1;
    else high = middle;
  }
  return list[low - 1];
}
