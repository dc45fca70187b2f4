/**
 * Two videos, one play-head. The second (the result) leads; the first (the original) follows it.
 * Markup: templates/components/player.html. Space or K plays, arrows seek (with Shift a frame), M changes whose sound is
 * heard, Home and End jump, W changes between side by side and the wipe.
 */
import { isTyping } from "./dom.js";

const DRIFT = 0.12;
const RENEW_MS = 60_000;

const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds || 0));
  const rest = String(whole % 60).padStart(2, "0");
  return `${Math.floor(whole / 60)}:${rest}`;
};

class Player {
  constructor(root) {
    this.root = root;
    this.lead = root.querySelector("video[data-lead]");
    this.other = root.querySelector("video[data-follow]");
    this.scrub = root.querySelector("[data-scrub]");
    this.time = root.querySelector("[data-time]");
    this.toggleButton = root.querySelector("[data-play]");
    this.frame = 1 / (Number(root.dataset.fps) || 25);
    this.heard = "lead";
    this.wire();
    this.hear("lead");
    this.show();
  }

  get length() {
    return Number.isFinite(this.lead.duration) ? this.lead.duration : Number(this.root.dataset.duration) || 0;
  }

  wire() {
    this.toggleButton.addEventListener("click", () => this.toggle());
    this.scrub.addEventListener("input", () => this.seek(Number(this.scrub.value)));
    for (const name of ["play", "pause", "seeked", "loadedmetadata", "ended", "timeupdate"]) {
      this.lead.addEventListener(name, () => this.show());
    }
    this.lead.addEventListener("play", () => this.tick());
    this.lead.addEventListener("pause", () => this.other?.pause());
    this.lead.addEventListener("waiting", () => this.other?.pause());
    this.lead.addEventListener("playing", () => this.follow());
    for (const video of [this.lead, this.other]) {
      video?.addEventListener("click", () => this.toggle());
      video?.addEventListener("error", () => this.broken(video));
    }
    for (const button of this.root.querySelectorAll("[data-hear]")) {
      button.addEventListener("click", () => this.hear(button.dataset.hear));
    }
    for (const button of this.root.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.view(button.dataset.view));
    }
    this.root.querySelector("[data-full]")?.addEventListener("click", () => this.fullscreen());
    const wipe = this.root.querySelector("[data-wipe]");
    wipe?.addEventListener("input", () => this.root.style.setProperty("--wipe", `${wipe.value}%`));
    document.addEventListener("keydown", (event) => this.key(event));
  }

  toggle() {
    if (this.lead.paused) this.lead.play().catch(() => this.show());
    else this.lead.pause();
  }

  seek(seconds) {
    const to = Math.min(Math.max(0, seconds), this.length);
    this.lead.currentTime = to;
    this.follow(true);
    this.show();
  }

  /** Bring the follower to where the leader is; beyond its end it rests on its last frame. */
  follow(exactly = false) {
    const { lead, other } = this;
    if (!other || !other.duration) return;
    const past = lead.currentTime >= other.duration - this.frame;
    const target = past ? Math.max(0, other.duration - this.frame) : lead.currentTime;
    if (Math.abs(other.currentTime - target) > (exactly ? this.frame / 2 : DRIFT)) other.currentTime = target;
    if (past || lead.paused) other.pause();
    else if (other.paused) other.play().catch(() => null);
    this.root.toggleAttribute("data-original-over", past);
  }

  tick() {
    if (this.lead.paused || this.lead.ended) return;
    this.follow();
    this.show();
    requestAnimationFrame(() => this.tick());
  }

  hear(which) {
    this.heard = this.other ? which : "lead";
    this.lead.muted = this.heard !== "lead";
    if (this.other) this.other.muted = this.heard !== "follow";
    for (const button of this.root.querySelectorAll("[data-hear]")) {
      button.setAttribute("aria-pressed", String(button.dataset.hear === this.heard));
    }
  }

  view(which) {
    this.root.dataset.shows = which;
    for (const button of this.root.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(button.dataset.view === which));
    }
  }

  fullscreen() {
    const stage = this.root.querySelector(".player-stage");
    if (document.fullscreenElement) document.exitFullscreen();
    else stage.requestFullscreen?.();
  }

  /** A signed address of the storage ends after an hour: the site is asked for a new one before anything is said. */
  broken(video) {
    const at = video.currentTime;
    if (at > 0 && Date.now() - (video.renewedAt ?? 0) > RENEW_MS) {
      video.renewedAt = Date.now();
      video.addEventListener("loadedmetadata", () => (video.currentTime = at), { once: true });
      video.load();
      return;
    }
    video.closest("figure").toggleAttribute("data-broken", true);
  }

  show() {
    const at = this.lead.currentTime || 0;
    this.scrub.max = this.length;
    this.scrub.value = at;
    const share = this.length ? (100 * at) / this.length : 0;
    this.root.style.setProperty("--at", `${share}%`);
    this.time.textContent = `${clock(at)} / ${clock(this.length)}`;
    this.scrub.setAttribute("aria-valuetext", this.time.textContent);
    this.root.toggleAttribute("data-playing", !this.lead.paused && !this.lead.ended);
    this.toggleButton.setAttribute("aria-pressed", String(!this.lead.paused && !this.lead.ended));
  }

  key(event) {
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    const onControl = event.target.closest?.("button, a, summary, input");
    const step = event.shiftKey ? this.frame : 1;
    const actions = {
      " ": () => this.toggle(),
      k: () => this.toggle(),
      ArrowLeft: () => this.seek(this.lead.currentTime - step),
      ArrowRight: () => this.seek(this.lead.currentTime + step),
      Home: () => this.seek(0),
      End: () => this.seek(this.length),
      m: () => this.hear(this.heard === "lead" ? "follow" : "lead"),
      w: () => this.other && this.view(this.root.dataset.shows === "wipe" ? "side" : "wipe"),
    };
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || (event.key === " " && onControl && !onControl.matches("[data-scrub]")) || onControl?.matches("[data-wipe]")) return;
    event.preventDefault();
    action();
  }
}

document.querySelectorAll("[data-player]").forEach((root) => new Player(root));
