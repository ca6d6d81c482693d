// The player component: takes chunk messages, plays them at constant speed, and lets the panels follow the playhead.

import { Gauges } from "../drift/gauges.js";
import { explainTerms } from "../look/terms.js";
import { Heads } from "../memory/heads.js";
import { Heat } from "../memory/heat.js";
import { History, latentOf, pictureOf, videoOf } from "../memory/history.js";
import { Inside } from "../memory/inside.js";
import { Instrument } from "../memory/instrument.js";
import { Life } from "../memory/life.js";
import { Picking } from "../memory/picking.js";
import { Roles } from "../memory/roles.js";
import { Clock } from "./clock.js";
import { Controls } from "./controls.js";
import { Drawers } from "./drawers.js";
import { attach, Film, KINDS } from "./film.js";
import { Frames } from "./frames.js";
import { Memory } from "./memory.js";
import { Meter } from "./meter.js";
import { describe, linkTo, Opening } from "./recorded.js";
import { Stage, staySmall } from "./stage.js";
import { Tour } from "./tour.js";

const WORD_MS = 5000; // how often the server hears that somebody waits for the next part of a recorded run
const TAKES = { ...KINDS, idle: "idles", chunk: "takes", prompt: "expects", changed: "changes" };
const WORDS = { finished: "The video is complete.", stopped: "Stopped.", failed: "The run ended with an error" };

class Player extends Film {
  constructor(element, props, tell) {
    super(element, tell, TAKES, WORDS);
    this.stage = new Stage(this.find("screen"));
    this.meter = new Meter(this.root);
    this.heat = new Heat(this.root);
    this.instrument = new Instrument(this.root, (pointed) => this.heat.frames({ pointed }));
    this.keepmap = this.instrument.keepmap;
    this.life = new Life(this.root, (seconds) => this.seek(Math.floor(seconds * this.history.run.fps)));
    this.roles = new Roles(this.root);
    this.drawers = new Drawers(this.root, () => this.redraw());
    this.controls = new Controls(this);
    this.gauges = new Gauges(this.root, props.gauges, this.controls);
    this.inside = new Inside(this.root, (token) => this.choose(token));
    const heads = new Heads(this.root, (layer, head) => this.pick(layer, head));
    this.followers = [this.gauges, this.inside, this.heat, heads];
    this.memory = props.keeps ? new Memory(props.keeps) : null;
    this.clicked = null; // when Generate was pressed
    this.picked = !this.root.closest("#player"); // whether the layer was chosen; else the page chooses one
    this.tour = new Tour(this);
    this.find("again").addEventListener("click", () => this.pause(false));
    this.find("own").addEventListener("click", () => document.querySelector("#prompt textarea").select());
    this.root.dataset.makes = props.keeps === "video";
    this.find("tour").addEventListener("click", () => this.tour.start());
    staySmall(this.root, this.find("video"));
    this.listen(props);
    this.listenToPicks();
    this.begin();
    setInterval(() => this.over || this.confirm(), WORD_MS);
  }

  listen({ starts, stops }) {
    document.addEventListener("click", (event) => {
      if (event.target.closest(starts)) this.clicked = performance.now();
      if (event.target.closest(stops)) this.pause(true, false);
    });
    for (const select of [this.find("layer"), this.find("head")]) {
      select.addEventListener("change", () => this.pick(this.choice.layer, this.choice.head));
    }
    this.find("all").addEventListener("click", () => this.pick(this.choice.layer || !this.shownChunk ? 0 : this.history.tellingLayer(this.shownChunk), 0));
    new MutationObserver(() => this.redraw()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  // What the viewer points at and picks.
  listenToPicks() {
    new Picking(this.keepmap, this.stage.canvas, {
      choose: (token, at) => this.choose(token, at),
      point: (latent) => this.instrument.point(latent),
      onScreen: () => (this.stage.shown < 0 ? null : latentOf(this.stage.shown, this.history.run.stride)),
    });
    this.find("letgo").addEventListener("click", () => this.choose(null));
  }

  // Follow a token, { latent, row, column }; null lets it go. at: the element beside which it is looked into.
  choose(token, at = null) {
    const { stride, grid: [rows, columns], width } = this.history.run;
    this.keepmap.choose(token);
    this.heat.frames({ followed: token ? token.latent : null });
    if (!token) return this.stage.follow(null), this.inside.choose(null);
    const [first, end] = videoOf(token.latent, stride);
    this.stage.follow({ first, end, x: token.column / columns, y: token.row / rows, wide: 1 / columns, high: 1 / rows });
    const small = this.keepmap.thumbnails.get(token.latent); // outlives the frame itself
    const picture = this.frames.thumbnail(pictureOf(token.latent, stride), Math.min(width, 416));
    this.inside.choose(token, picture ?? (small ? createImageBitmap(small) : null), at);
  }

  get choice() {
    const value = (name) => this.find(name).value;
    return { layer: Number(value("layer")), head: Number(value("head")) };
  }

  get awaited() {
    return this.opening?.frame;
  }

  get hasFrames() {
    return this.stage.shown >= 0 || Boolean(this.history?.chunks.length);
  }

  // What this tab showed before it was loaded anew; where there is nothing, what its address asks for.
  arrive() {
    this.asked = true;
    if (this.memory?.found) this.tell.rejoin({ run: this.memory.found.run });
    else this.tell.arrive({ search: location.search });
  }

  receive(value) {
    super.receive(value);
    this.confirm();
  }

  // What of a recorded run is here.
  confirm() {
    if (this.history?.run.recorded) this.tell.confirm({ run: this.run, seen: this.sequence });
  }

  // What was shown is over; nothing has begun.
  idles({ text }) {
    if (this.clock) this.pause(true, false);
    this.say(text, "idle");
  }

  starts(message) {
    this.history = new History(message);
    this.frames = new Frames(message.width, message.height);
    this.clock = new Clock(message.fps, 1 + message.stride * (message.chunk_frames - 1), Boolean(message.recorded));
    this.opening = new Opening(this.root, message, this.clock);
    this.opening.frame ??= this.memory?.frameOf(message.run) ?? (Math.round(message.begun * message.fps) || null);
    this.root.dataset.over = Boolean(message.recorded);
    if (message.recorded) this.memory?.forget();
    else this.tour.end(); // who makes a video of their own needs no offer on it
    this.shownChunk = null;
    this.lastPrompt = message.prompt;
    this.notice = "";
    this.root.dataset.wide = message.width > 1.3 * message.height;
    this.stage.open(message.width, message.height);
    this.find("rate").hidden = true;
    this.meter.open(message);
    this.instrument.open(message);
    for (const panel of [this.life, this.roles]) panel.open();
    this.needle(0);
    this.keepmap.choose(null);
    this.stage.follow(null);
    for (const name of ["now-text", "coming"]) this.find(name).textContent = "";
    this.find("about").textContent = describe(message);
    this.controls.open(message);
    if (!this.picked) this.setChoice(0, 0);
    for (const follower of this.followers) follower.open(message);
    if (message.begun) this.controls.flag(this.opening.frame, "Gone on from here", "Go to where it was gone on", "change");
    this.say(message.recorded ? "Opening the recorded run ..." : "Making the first frames ...", "starting");
  }

  takes(chunk) {
    const seconds = chunk.seconds.dit + chunk.seconds.decode;
    this.frames.add(chunk.first, chunk.frames, chunk.mime);
    if (!this.history.chunks.length) this.clock.beginAt(chunk.first);
    this.clock.add(chunk.frames.length, seconds);
    this.history.add(chunk);
    this.keepmap.addThumbnails(chunk, this.frames, this.history.run.stride);
    this.markPrompt(chunk);
    this.gauges.take(chunk);
    this.forget();
    this.opening.look();
    if (this.opening.waits && chunk.again) this.say(`Remembering what was there: ${(this.clock.newest / this.clock.fps).toFixed(0)} s ...`, "starting");
    this.frames.get(this.clock.frame);
    this.openOnALayer(chunk);
    this.told ??= requestAnimationFrame(() => this.showHistory());
  }

  // With the first compression, or a full window where there is none, the layer that tells most is chosen, unless the
  // viewer has chosen one.
  openOnALayer(chunk) {
    const { window, budget } = this.history.run.settings;
    if (this.picked || this.choice.layer || !(budget ? chunk.compression : chunk.latents[1] >= window)) return;
    this.setChoice(this.history.tellingLayer(chunk), 0);
    this.redraw();
  }

  // All that shows the whole run, once however many chunks have come.
  showHistory() {
    this.told = null;
    const { fps } = this.history.run;
    const marks = this.controls.marks.map(({ frame, flag }) => ({ seconds: frame / fps, kind: flag.dataset.kind }));
    this.life.show(this.history, this.choice.layer, [this.clock.oldest / fps, Math.max(1, this.clock.newest - 1) / fps], marks);
    this.roles.show(this.history, this.choice);
    this.needle(this.clock.frame / fps);
  }

  // A line at the playhead over what has time as its axis.
  needle(seconds) {
    for (const panel of [this.life, this.roles]) {
      const line = panel.canvas.parentElement.querySelector(".needle");
      line.hidden = !panel.width || !panel.columns.length;
      if (!line.hidden) line.style.transform = `translateX(${panel.x(seconds)}px)`;
    }
  }

  // Keep the browser's memory bounded on endless runs.
  forget() {
    const oldest = this.history.prune();
    if (oldest === this.clock.oldest) return;
    this.frames.forget(oldest);
    this.keepmap.prune(this.history.chunks);
    this.begins(oldest);
  }

  expects({ prompt }) {
    this.coming = prompt;
    this.find("coming").textContent = "A new prompt is on its way ...";
  }

  // Other settings, from a frame on.
  changes({ first, words, policy, settings, switch: atPrompt, broken }) {
    this.history.change({ policy, settings, switch: atPrompt, broken });
    this.controls.flag(first, `Settings: ${words}`, `Go to the change of settings: ${words}`, "change");
    this.find("about").textContent += ` · from ${(first / this.history.run.fps).toFixed(1)} s: ${words}`;
  }

  // The frame on screen, as the data of an address; empty where there is none.
  picture() {
    const blob = this.frames?.blobs.get(this.clock.frame);
    if (!blob) return "";
    return new Promise((done) => Object.assign(new FileReader(), { onload: ({ target }) => done(target.result) }).readAsDataURL(blob));
  }

  // From the moment on screen, in a new run.
  goOn() {
    this.clicked = performance.now();
    this.tell.goOn({ run: this.run, seconds: (this.clock.frame + 1) / this.clock.fps });
  }

  ends(message) {
    super.ends(message);
    this.root.dataset.over = true;
    this.opening?.look();
    if (message.reason === "recorded" && this.root.closest("#player") && !this.history.run.recorded.panel) this.tour.offer();
  }

  async copyLink() {
    const link = linkTo(this.history.run.recorded.link, this.clock.frame / this.history.run.fps);
    window.history.replaceState(null, "", link);
    const copied = await navigator.clipboard?.writeText(link.href).then(() => true, () => false);
    this.find("coming").textContent = copied ? "Link copied." : "The link is in the address bar.";
  }

  tick(now) {
    requestAnimationFrame((next) => this.tick(next));
    if (!this.clock) return;
    if (this.stage.shown >= 0) this.clock.tick(now); // time begins with the first frame on screen
    if (this.clock.newest > 0 && !this.opening.waits) this.paint(now);
    if (now - this.barred < 100 && this.clock.frame === this.barFrame) return;
    this.barred = now;
    this.barFrame = this.clock.frame;
    this.controls.update(this.clock);
    this.root.dataset.done = this.clock.recorded && this.clock.atEnd;
  }

  paint(now) {
    const frame = this.clock.frame;
    if (frame === this.stage.shown && this.shownChunk) return;
    const bitmap = this.frames.get(frame);
    if (!bitmap) return;
    if (this.stage.show(frame, bitmap, now, this.clock.moving)) this.firstShown(now);
    this.needle(frame / this.history.run.fps);
    const chunk = this.history.at(frame);
    if (chunk !== this.shownChunk) this.follow(chunk);
    if (Math.floor(now / 500) !== this.metered) {
      this.metered = Math.floor(now / 500);
      if (this.clock.moving) this.meter.shown(this.stage.fps(now), this.clock.stalls);
      this.showRate(this.clock);
    }
  }

  // A video that is made more slowly than it is to be seen says so: it plays slowly, and goes on.
  showRate({ slow, ended, recorded, made, rate, fps }) {
    const label = this.find("rate");
    label.hidden = recorded || ended || !slow || rate > 0.95 * fps;
    if (label.hidden) return;
    const shown = rate < 9.5 ? rate.toFixed(1) : Math.round(rate);
    label.textContent = `slow motion: ${shown} of ${fps} pictures a second`;
    label.title = made < fps ? "As fast as this machine makes them." : "As fast as they come to you: others share the machine, or your connection is slow.";
  }

  firstShown(now) {
    this.root.dataset.state = "playing";
    if (this.clicked !== null) this.meter.firstFrame((now - this.clicked) / 1000);
    this.clicked = null;
  }

  // Everything that belongs to the chunk under the playhead.
  follow(chunk) {
    this.shownChunk = chunk;
    this.find("now-text").textContent = chunk.prompt;
    this.stage.canvas.ariaLabel = `The video: ${chunk.prompt}`;
    if (this.coming === chunk.prompt) {
      this.coming = null;
      this.find("coming").textContent = this.notice;
    }
    this.meter.chunk(chunk, this.history.run.of.layers);
    this.instrument.show(chunk, this.history, this.choice);
    this.showNext(chunk, this.followers);
  }

  // One a frame, so that video never waits for them.
  showNext(chunk, [follower, ...others]) {
    this.waiting = follower ? 1 + others.length : 0;
    requestAnimationFrame(() => {
      if (!follower || chunk !== this.shownChunk) return;
      follower.show(chunk, this.history, this.choice);
      this.showNext(chunk, others);
    });
  }

  pick(layer, head) {
    this.picked = true;
    this.setChoice(layer, head);
    this.redraw();
  }

  setChoice(layer, head) {
    Object.assign(this.find("layer"), { value: layer });
    Object.assign(this.find("head"), { value: head });
    this.find("all").setAttribute("aria-pressed", layer === 0 && head === 0);
  }

  redraw() {
    if (!this.shownChunk) return;
    this.showHistory();
    this.follow(this.shownChunk);
  }
}

// Called once by js_on_load.
export function mount(element, props, watch, tell) {
  explainTerms();
  const player = new Player(element, props, tell);
  player.root.player = player; // for the console, and for tests
  attach(player, props, watch);
  player.arrive();
}
