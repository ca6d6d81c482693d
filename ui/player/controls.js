// The control bar: buttons, scrubber, keyboard, fullscreen.

export class Controls {
  constructor(player) {
    this.player = player;
    this.find = player.find;
    this.scrub = this.find("scrub");
    this.marks = [];
    this.wire();
  }

  wire() {
    const { player, find } = this;
    find("play").addEventListener("click", () => player.pause(player.clock.playing && !player.clock.atEnd));
    find("back").addEventListener("click", () => player.step(-1));
    find("next").addEventListener("click", () => player.step(1));
    find("golive").addEventListener("click", () => this.live());
    find("link")?.addEventListener("click", () => player.copyLink());
    find("goon").addEventListener("click", () => player.goOn());
    find("full").addEventListener("click", () => this.fullscreen());
    find("video").addEventListener("keydown", (event) => this.key(event));
    this.scrub.addEventListener("pointerdown", () => this.hold(true));
    this.scrub.addEventListener("pointerup", () => this.hold(false));
    this.scrub.addEventListener("pointercancel", () => this.hold(false));
    this.scrub.addEventListener("input", () => player.seek(Number(this.scrub.value)));
  }

  // A new video.
  enable({ fps }) {
    this.fps = fps;
    this.marks = [];
    this.find("marks").replaceChildren();
    this.player.root.dataset.ended = "";
    for (const part of [this.scrub, ...this.find("bar").querySelectorAll("button")]) part.disabled = false;
  }

  // A new run.
  open(run) {
    this.enable(run);
    this.options("layer", run.layers);
    this.options("head", run.heads);
    this.find("sampled").textContent = sampled(run);
  }

  // Option 0 is the mean of all; the others stand for the layers or heads that are sent one by one.
  options(name, numbers) {
    const select = this.find(name);
    while (select.options.length > 1) select.remove(1);
    numbers.forEach((number, i) => select.add(new Option(String(number + 1), String(i + 1))));
  }

  // A flag on the track where a new prompt begins.
  mark(frame, prompt) {
    this.flag(frame, `New prompt: ${prompt}`, `Go to the new prompt: ${prompt.slice(0, 120)}`);
  }

  // kind: what the flag looks like. Keyboards do not reach jumps this way: they can be many, and are in a list.
  flag(frame, title, label, kind = "prompt") {
    const flag = document.createElement("button");
    Object.assign(flag, { type: "button", title, tabIndex: ["prompt", "change"].includes(kind) ? 0 : -1 });
    flag.dataset.kind = kind;
    flag.setAttribute("aria-label", label);
    flag.addEventListener("click", () => this.player.seek(frame));
    this.find("marks").append(flag);
    this.marks.push({ frame, flag });
  }

  update(clock) {
    const last = Math.max(clock.newest - 1, clock.oldest);
    const changed = this.last !== last || this.oldest !== clock.oldest;
    if (changed) this.stretch(clock.oldest, last);
    if (!clock.held) this.scrub.value = clock.frame;
    const time = clockTime(clock.frame / this.fps);
    if (this.time !== time) {
      this.time = time;
      this.find("time").textContent = time;
      this.scrub.setAttribute("aria-valuetext", `${time} of ${clockTime(last / this.fps)}`);
    }
    this.state(clock);
  }

  stretch(oldest, last) {
    this.last = last;
    this.oldest = oldest;
    this.scrub.min = oldest;
    this.scrub.max = last;
    for (const { frame, flag } of this.marks) {
      flag.hidden = frame < oldest;
      flag.style.left = `${(100 * (frame - oldest)) / Math.max(1, last - oldest)}%`;
    }
  }

  state(clock) {
    const playing = clock.playing && !clock.atEnd;
    const live = !clock.ended && !clock.recorded && clock.ahead < 5 * this.fps;
    const key = `${playing} ${live} ${clock.buffering}`;
    if (this.key_ === key) return;
    this.key_ = key;
    this.player.root.dataset.playing = playing;
    this.player.root.dataset.buffering = clock.buffering && clock.newest > 0;
    this.find("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    this.find("live").hidden = !live;
    this.find("golive").disabled = live || clock.ended;
  }

  hold(held) {
    if (this.player.clock) this.player.clock.held = held;
  }

  live() {
    this.player.seek(this.player.clock.live);
    this.player.pause(false);
  }

  fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.find("video").requestFullscreen?.();
  }

  key(event) {
    const { player } = this;
    if (!player.clock || event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.target.closest("button");
    const onTrack = event.target === this.scrub;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key === " " && onButton) return;
    if (event.key === " " || event.key === "k") player.pause(player.clock.playing && !player.clock.atEnd);
    else if (event.key in steps && !onTrack) player.step(steps[event.key] * (event.shiftKey ? this.fps : 1));
    else if (event.key === "Home" && !onTrack) player.seek(player.clock.oldest);
    else if (event.key === "End" && !onTrack) this.live();
    else if (event.key === "f") this.fullscreen();
    else return;
    event.preventDefault();
  }
}

// What the page is not sent, in words; empty when it gets everything.
function sampled({ layers, heads, of }) {
  const some = [];
  if (layers.length < of.layers) some.push(`${layers.length} of ${of.layers} layers`);
  if (heads.length < of.heads) some.push(`${heads.length} of ${of.heads} heads`);
  return some.length ? `A sample of ${some.join(" and ")} can be chosen; a mean is over all of them.` : "";
}

function clockTime(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}
