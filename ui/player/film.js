// What the player and the race have in common: messages, each taken once; one clock; a server that hears where it stands.

const BEAT_MS = 1000; // how often the server hears where the playhead is
export const KINDS = { waiting: "waits", started: "starts", notice: "notes", ended: "ends" };

// A subclass has `clock` from its first message on, `hasFrames`, `awaited`, the frame to go to once it is there, if any,
// and `tick(now)` for every frame of the screen.
export class Film {
  // element: with the component's .df; tell: functions that reach the server; kinds: of message, and what takes them;
  // words: for the reasons to end.
  constructor(element, tell, kinds, words) {
    Object.assign(this, { root: element.querySelector(".df"), tell, kinds, words, sequence: -1, notice: "" });
    this.find = (name) => this.root.querySelector(`.df-${name}`);
  }

  // When all parts are there.
  begin() {
    document.addEventListener("visibilitychange", () => this.beat());
    this.tabs = new BroadcastChannel("deep-forcing");
    this.tabs.onmessage = (message) => this.answer(message);
    requestAnimationFrame((now) => this.tick(now));
    setInterval(() => this.beat(), BEAT_MS);
  }

  // Messages from the server, repeated until they are confirmed.
  receive(value) {
    if (value?.gone) return this.memory.forget(), this.arrive();
    for (const message of value?.messages ?? []) this.accept(message);
    this.beat();
  }

  accept(message) {
    const late = message.run < this.run; // of a run that another has taken the place of: names sort by time
    if (late || (message.run === this.run && message.seq <= this.sequence)) return;
    if (message.run !== this.run) this.live = !message.recorded && message.kind !== "idle";
    this.over = message.kind === "ended";
    this.run = message.run;
    this.sequence = message.seq;
    this[this.kinds[message.kind]](message);
  }

  waits({ ahead }) {
    const line = `You are number ${ahead} in line, and your video will begin by itself.`;
    this.say(`All places at the model are taken. ${line}`, "waiting");
    this.own = () => this.say(`All places at the model are taken, one by your own other tab: stop it there to be sooner. ${line}`, "waiting");
    this.tabs.postMessage("who has the model?");
  }

  // Tabs of one browser tell each other which of them has a place at the model.
  answer({ data }) {
    const waiting = this.root.dataset.state === "waiting";
    if (data === "mine" && waiting) this.own();
    else if (data !== "mine" && this.live && !this.over && !waiting) this.tabs.postMessage("mine");
  }

  notes({ text }) {
    this.notice = text;
    this.find("coming").textContent = text;
  }

  ends({ reason, error, note }) {
    if (reason === "left") return this.say(note, this.hasFrames ? "playing" : "idle");
    if (this.clock) this.clock.ended = true;
    if (reason === "stopped") this.pause(true, false);
    this.find("coming").textContent = note || this.notice || (this.words[reason] ?? "");
    this.root.dataset.ended = reason;
    if (error) this.say(this.clock?.recorded ? error : `${this.words.failed}: ${error}`, "error");
    else if (!this.hasFrames) this.say(note || "Stopped before the first frame.", "idle");
  }

  say(text, state) {
    this.find("overlay-text").textContent = text;
    this.root.dataset.state = state;
  }

  // A mark on the track where the prompt is another one.
  markPrompt({ first, prompt }) {
    if (prompt !== this.lastPrompt) this.controls.mark(first, prompt);
    this.lastPrompt = prompt;
  }

  // The oldest frame that is still held.
  begins(oldest) {
    this.clock.oldest = oldest;
    this.clock.position = Math.max(this.clock.position, oldest);
  }

  pause(paused, tellServer = true) {
    if (!this.clock) return;
    if (!paused && this.clock.atEnd) this.clock.seek(this.clock.oldest);
    this.clock.playing = !paused;
    if (tellServer && !this.clock.ended && !this.clock.recorded) this.tell.pause({ run: this.run, paused });
    this.beat();
  }

  seek(frame) {
    this.clock.seek(frame);
    this.beat();
  }

  step(frames) {
    this.pause(true);
    this.clock.seek(this.clock.frame + frames);
  }

  beat() {
    const { clock } = this;
    if (!this.live) return;
    const playing = Boolean(clock?.moving) && !document.hidden;
    const frame = clock?.position ?? 0;
    this.memory?.keep(this.run, this.awaited ?? frame);
    if (!this.over) this.tell.beat({ run: this.run, frame, playing, seen: this.sequence });
  }
}

// Called once by js_on_load. `watch(callback)` reports new messages.
export function attach(film, props, watch) {
  const receive = () => film.receive(JSON.parse(props.value || "null"));
  watch(receive);
  receive();
}
