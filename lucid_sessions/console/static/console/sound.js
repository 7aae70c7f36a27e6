// What was recorded is seen without its sound until somebody wants to hear it.
const at = (id) => document.getElementById(id);

export class Sound {
  constructor(video) {
    this.video = video;
    at("sound").addEventListener("click", () => this.toggle());
    video.addEventListener("volumechange", () => at("sound").setAttribute("aria-pressed", !video.muted));
  }

  // There is some: the button is of use.
  offer() {
    at("sound").hidden = false;
  }

  toggle() {
    if (!at("sound").hidden) this.video.muted = !this.video.muted;
  }
}
