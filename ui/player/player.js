// The player component: takes chunk messages, plays them at constant speed, and lets the panels follow the playhead.

import { Clock } from "./clock.js";
import { Controls } from "./controls.js";
import { attach, Film, KINDS } from "./film.js";
import { Frames } from "./frames.js";
import { Gauges } from "../drift/gauges.js";
import { Heads } from "../memory/heads.js";
import { Heat } from "../memory/heat.js";
import { History, latentOf, pictureOf, ROLES, videoOf } from "../memory/history.js";
import { Inside } from "../memory/inside.js";
import { KeepMap } from "../memory/keepmap.js";
import { Meter } from "./meter.js";
import { Panels } from "../memory/panels.js";
import { Picking } from "../memory/picking.js";
import { describe, linkTo, Opening } from "./recorded.js";
import { Stage } from "./stage.js";
import { Timeline } from "../memory/rope.js";

const PATIENCE_MS = 1500; // that the first frame is waited for before the plots are loaded
const TAKES = { ...KINDS, idle: "idles", chunk: "takes", prompt: "expects" };
const WORDS = { finished: "The video is complete.", stopped: "Stopped.", failed: "The run ended with an error" };

class Player extends Film {
  constructor(element, props, tell) {
    super(element, tell, TAKES, WORDS);
    this.stage = new Stage(this.find("screen"));
    this.meter = new Meter(this.root);
    this.panels = new Panels(this.root, props.figures, () => (document.body.classList.contains("dark") ? "dark" : "light"));
    this.keepmap = new KeepMap(this.find("cells"), this.find("keep-note"));
    this.controls = new Controls(this);
    this.gauges = new Gauges(this.root, props.gauges, this.controls);
    this.inside = new Inside(this.root);
    this.heat = new Heat(this.root);
    const heads = new Heads(this.root, (layer, head) => this.pick(layer, head));
    this.followers = [this.gauges, this.inside, this.heat, new Timeline(this.root), heads];
    this.clicked = null; // when Generate was pressed
    this.painted = new Promise((done) => (this.tellPainted = done));
    this.listen(props);
    this.listenToPicks();
    this.begin();
  }

  listen({ starts, stops }) {
    document.addEventListener("click", (event) => {
      if (event.target.closest(starts)) this.clicked = performance.now();
      if (event.target.closest(stops)) this.pause(true, false);
    });
    for (const select of [this.find("layer"), this.find("head"), this.find("span")]) {
      select.addEventListener("change", () => this.redraw());
    }
    new MutationObserver(() => this.redraw()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  // What the viewer points at and picks.
  listenToPicks() {
    new Picking(this.keepmap, this.stage.canvas, {
      choose: (token, onVideo) => {
        this.choose(token);
        if (onVideo) this.find("coming").textContent = "This patch is followed under “Look inside”.";
      },
      point: (pointed) => this.heat.frames({ pointed }),
      onScreen: () => (this.stage.shown < 0 ? null : latentOf(this.stage.shown, this.history.run.stride)),
    });
    this.find("letgo").addEventListener("click", () => this.choose(null));
  }

  // Follow a token, { latent, row, column }; null lets it go.
  choose(token) {
    const { stride, grid: [rows, columns], width } = this.history.run;
    this.keepmap.choose(token);
    this.heat.frames({ followed: token ? token.latent : null });
    if (!token) return this.stage.follow(null), this.inside.choose(null);
    const [first, end] = videoOf(token.latent, stride);
    this.stage.follow({ first, end, x: token.column / columns, y: token.row / rows, wide: 1 / columns, high: 1 / rows });
    const small = this.keepmap.thumbnails.get(token.latent); // outlives the frame itself
    const picture = this.frames.thumbnail(pictureOf(token.latent, stride), Math.min(width, 416));
    this.inside.choose(token, picture ?? (small ? createImageBitmap(small) : null));
  }

  get choice() {
    const value = (name) => this.find(name).value;
    return { layer: Number(value("layer")), head: Number(value("head")), lately: value("span") === "lately" };
  }

  get hasFrames() {
    return this.stage.shown >= 0 || Boolean(this.history?.chunks.length);
  }

  receive(value) {
    super.receive(value);
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
    this.shownChunk = null;
    this.lastPrompt = message.prompt;
    this.notice = "";
    this.root.dataset.wide = message.width > 1.3 * message.height;
    this.stage.open(message.width, message.height);
    this.meter.open(message);
    this.keepmap.open(message);
    this.keepmap.choose(null);
    this.stage.follow(null);
    this.panels.clear();
    for (const name of ["sink", "now-text", "coming"]) this.find(name).textContent = "";
    this.find("about").textContent = describe(message);
    this.controls.open(message);
    for (const follower of this.followers) follower.open(message);
    this.say(message.recorded ? "Opening the recorded run ..." : "Making the first frames ...", "starting");
  }

  takes(chunk) {
    const seconds = chunk.seconds.dit + chunk.seconds.decode;
    this.frames.add(chunk.first, chunk.frames, chunk.mime);
    this.clock.add(chunk.frames.length, seconds);
    this.history.add(chunk);
    this.keepmap.addThumbnails(chunk, this.frames, this.history.run.stride);
    this.markPrompt(chunk);
    this.gauges.take(chunk);
    this.forget();
    this.opening.look();
    this.frames.get(this.clock.frame);
    this.panels.showHistory(this.history, this.choice);
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

  ends(message) {
    super.ends(message);
    this.opening?.look();
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
  }

  paint(now) {
    const frame = this.clock.frame;
    if (frame === this.stage.shown && this.shownChunk) return;
    const bitmap = this.frames.get(frame);
    if (!bitmap) return;
    if (this.stage.show(frame, bitmap, now, this.clock.moving)) this.firstShown(now);
    this.panels.needle(frame / this.history.run.fps);
    const chunk = this.history.at(frame);
    if (chunk !== this.shownChunk) this.follow(chunk);
    if (Math.floor(now / 500) !== this.metered) {
      this.metered = Math.floor(now / 500);
      if (this.clock.moving) this.meter.shown(this.stage.fps(now), this.clock.stalls);
    }
  }

  firstShown(now) {
    this.root.dataset.state = "playing";
    this.tellPainted();
    if (this.clicked !== null) this.meter.firstFrame((now - this.clicked) / 1000);
    this.clicked = null;
  }

  // Everything that belongs to the chunk under the playhead.
  follow(chunk) {
    this.shownChunk = chunk;
    this.find("now-text").textContent = chunk.prompt;
    if (this.coming === chunk.prompt) {
      this.coming = null;
      this.find("coming").textContent = this.notice;
    }
    this.meter.chunk(chunk, this.history.run.of.layers);
    this.panels.showChunk(chunk, this.history, this.choice);
    this.keepmap.show(chunk, this.history, this.choice.layer);
    this.find("sink").textContent = this.sinkMass(chunk);
    this.showNext(chunk, this.followers);
  }

  // One a frame, so that video never waits for them.
  showNext(chunk, [follower, ...others]) {
    requestAnimationFrame(() => {
      if (!follower || chunk !== this.shownChunk) return;
      follower.show(chunk, this.history, this.choice);
      this.showNext(chunk, others);
    });
  }

  pick(layer, head) {
    Object.assign(this.find("layer"), { value: layer });
    Object.assign(this.find("head"), { value: head });
    this.redraw();
  }

  sinkMass(chunk) {
    const { layer, head } = this.choice;
    const byRole = this.history.massByRole(chunk.attention);
    return byRole ? `sink mass ${Math.round(100 * this.history.mass(byRole, ROLES.length, layer, head)[0])} %` : "";
  }

  redraw() {
    if (!this.shownChunk) return this.panels.clear();
    this.panels.showHistory(this.history, this.choice);
    this.follow(this.shownChunk);
  }
}

let loaded; // shared by all players of a page

function load(script) {
  loaded ??= new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    Object.assign(tag, { src: script, onload: resolve, onerror: reject });
    document.head.append(tag);
  });
  return loaded;
}

// Called once by js_on_load.
export async function mount(element, props, watch, tell, plotly) {
  const player = new Player(element, props, tell);
  player.root.player = player; // for the console, and for tests
  attach(player, props, watch);
  tell.arrive({ search: location.search });
  await Promise.race([player.painted, new Promise((done) => setTimeout(done, PATIENCE_MS))]);
  await load(plotly); // takes the browser half a second, in which nothing else would appear
  player.redraw();
}
