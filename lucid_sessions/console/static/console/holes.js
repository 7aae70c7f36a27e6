// What the browser has buffered may have a hole where nothing was recorded: the picture goes on behind it.
export class Holes {
  constructor(video) {
    this.video = video;
    // Of picture and sound, the piece that is being loaded: over a slow line what it is to fill looks like a hole.
    this.awaited = new Map();
    video.addEventListener("waiting", () => setTimeout(() => this.jump(), 300));
  }

  told(hls, { FRAG_LOADING, FRAG_BUFFERED }) {
    hls.on(FRAG_LOADING, (_name, { frag }) => { frag.gap ? this.awaited.delete(frag.type) : this.awaited.set(frag.type, frag); });
    hls.on(FRAG_BUFFERED, (_name, { frag }) => this.awaited.delete(frag.type));
  }

  // Nothing is loaded any more.
  stopped() {
    this.awaited.clear();
  }

  jump() {
    const { buffered, currentTime } = this.video;
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) <= currentTime && currentTime < buffered.end(index) - 0.1) return;
      if (buffered.start(index) > currentTime) {
        if (!this.#isAwaited(currentTime, buffered.start(index))) this.video.currentTime = buffered.start(index) + 0.01;
        return;
      }
    }
  }

  #isAwaited(from, to) {
    return [...this.awaited.values()].some((one) => one.sn === "initSegment" || (one.start < to && from < one.end));
  }
}
