// The race component: every runner's video on one shared clock, to the frame, and their numbers over time.

import { Clock } from "../player/clock.js";
import { Controls } from "../player/controls.js";
import { attach, Film, KINDS } from "../player/film.js";
import { Memory } from "../player/memory.js";
import { Frames } from "../player/frames.js";
import { Lines } from "./lines.js";
import { imageBytes } from "../memory/packing.js";
import { Stage } from "../player/stage.js";

const KEPT_BYTES = 200e6; // of images; beyond, the first rounds can no longer be shown
const WORDS = { finished: "The race is over.", stopped: "Stopped.", failed: "The race ended with an error" };
const number = (digits, sign = "") => (value) => sign + value.toFixed(digits);
const percent = (value) => `${Math.round(100 * value)} %`;
const megabytes = (value) => (value < 1e9 ? `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} MB` : `${(value / 1e9).toFixed(2)} GB`);
const CHARTS = {
  scenery: { title: "Scenery kept", what: "What stands still as it did in the first five seconds of the prompt. 1: all of it.", format: number(2) },
  way: { title: "Way back", what: "To the old prompt's scene, once the prompt has changed. 0: the new scene, 1: the old one.", format: number(2) },
  drift: { title: "Colour drift", what: "The last five seconds against the first five. 0: the same hues.", format: number(3) },
  motion: { title: "Motion", what: "As a multiple of the first five seconds. Below the thin line a runner no longer moves.", format: number(1, "×"), mark: 0.5 },
  sink: { title: "Sink mass", what: "Attention on the frames that the policy keeps for ever.", format: percent },
  bytes: { title: "Cache size", what: "Keys and values held, all layers.", format: megabytes },
};

class Bar extends Controls {
  open(run) {
    this.enable(run);
  }
}

class Lane {
  constructor(place, runner, index) {
    this.figure = document.createElement("figure");
    this.figure.dataset.runner = index;
    const name = document.createElement("figcaption");
    name.textContent = this.label = runner.label;
    if (runner.words !== runner.label) name.append(Object.assign(document.createElement("small"), { textContent: runner.words }));
    name.title = Object.entries(runner.settings).map(([key, value]) => `${key} ${value}`).join(", ");
    const canvas = document.createElement("canvas");
    canvas.className = "df-screen";
    this.figure.append(name, canvas);
    place.append(this.figure);
    this.stage = new Stage(canvas);
  }

  open({ width, height }) {
    this.frames = new Frames(width, height);
    this.stage.open(width, height);
  }
}

class Race extends Film {
  constructor(element, props, tell) {
    super(element, tell, { ...KINDS, round: "takes" }, WORDS);
    this.part = (name) => this.root.querySelector(`.race-${name}`);
    this.controls = new Bar(this);
    this.charts = Object.fromEntries(Object.entries(CHARTS).map(([name, chart]) => [name, new Lines(this.part("charts"), chart)]));
    for (const chart of Object.values(this.charts)) chart.open([]);
    this.part("rule").textContent = props.rule;
    this.lanes = [];
    this.rounds = [];
    document.addEventListener("click", (event) => {
      if (event.target.closest("#race-start")) document.querySelector("#player .df")?.player?.pause(true);
      if (event.target.closest("#race-stop")) this.pause(true, false);
    });
    this.memory = new Memory("race");
    this.begin();
  }

  // The race that this tab showed before it was loaded anew, if any.
  arrive() {
    if (this.memory.found) this.tell.rejoin({ run: this.memory.found.run });
  }

  get awaited() {
    return this.left;
  }

  get hasFrames() {
    return this.rounds.length > 0;
  }

  starts(message) {
    this.clock = new Clock(message.fps, 1 + message.stride * (message.chunk_frames - 1));
    this.part("lanes").replaceChildren();
    this.lanes = message.runners.map((runner, i) => new Lane(this.part("lanes"), runner, i));
    this.root.dataset.count = this.lanes.length;
    this.root.dataset.wide = message.width > 1.3 * message.height;
    for (const lane of this.lanes) lane.open(message);
    for (const chart of Object.values(this.charts)) chart.open(this.lanes.map((lane) => lane.label));
    const { tHead, tBodies } = this.part("table");
    const names = [...tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    tBodies[0].replaceChildren(...this.lanes.map((lane, i) => row(lane.label, i, names)));
    this.rounds = [];
    this.bytes = 0;
    this.left = this.memory.frameOf(message.run); // where it was left
    this.shown = this.shownRound = null;
    this.lastPrompt = message.prompt;
    this.notice = "";
    for (const name of ["now-text", "coming"]) this.find(name).textContent = "";
    this.controls.open(message);
    this.say("Making the first frames of every runner ...", "starting");
  }

  takes(round) {
    this.lanes.forEach((lane, i) => lane.frames.add(round.first, round.frames[i], round.mime));
    round.count = round.frames[0].length;
    if (!this.rounds.length) this.clock.beginAt(round.first); // what was before may be gone
    round.size = imageBytes(round.frames.flat());
    round.frames = null; // kept by Frames
    this.bytes += round.size;
    this.rounds.push(round);
    this.clock.add(round.count, round.encode + round.laps.reduce((sum, lap) => sum + lap.seconds, 0));
    this.markPrompt(round);
    this.forget();
    if (this.left !== null && this.clock.newest > this.left) this.clock.seek(this.left), (this.left = null);
    const end = (round.first + round.count) / this.clock.fps;
    for (const [name, chart] of Object.entries(this.charts)) chart.add(end, round.laps.map((lap) => lap[name]));
  }

  // Keep the browser's memory bounded.
  forget() {
    while (this.rounds.length > 1 && this.bytes > KEPT_BYTES) this.bytes -= this.rounds.shift().size;
    const oldest = this.rounds[0].first;
    if (oldest === this.clock.oldest) return;
    for (const lane of this.lanes) lane.frames.forget(oldest);
    this.begins(oldest);
  }

  tick(now) {
    requestAnimationFrame((next) => this.tick(next));
    if (!this.clock) return;
    if (this.shown !== null) this.clock.tick(now); // time begins with the first frame on screen
    if (this.clock.newest > 0) this.paint(now);
    this.controls.update(this.clock);
  }

  // A frame is painted when every runner's picture of it is there, so that all always show the same one.
  paint(now) {
    const frame = this.clock.frame;
    if (frame === this.shown) return;
    const pictures = this.lanes.map((lane) => lane.frames.get(frame));
    if (pictures.includes(null)) return;
    this.lanes.forEach((lane, i) => lane.stage.show(frame, pictures[i], now, this.clock.moving));
    if (this.shown === null) this.root.dataset.state = "playing";
    this.shown = frame;
    for (const chart of Object.values(this.charts)) chart.needle(frame / this.clock.fps);
    const round = this.rounds.findLast(({ first }) => first <= frame);
    if (round !== this.shownRound) this.follow(round);
  }

  // Everything that belongs to the round under the playhead.
  follow(round) {
    this.shownRound = round;
    this.find("now-text").textContent = round.prompt;
    const rows = this.part("table").tBodies[0].rows;
    const frames = round.first + round.count;
    round.laps.forEach((lap, i) => {
      const known = (value, format) => (value === null ? "–" : format(value));
      const cells = [known(lap.scenery, number(2)), known(lap.way, number(2)), known(lap.drift, number(3)), known(lap.motion, number(2, "×")), known(lap.sink, percent), megabytes(lap.bytes)];
      cells.push((frames / lap.total).toFixed(1), `${lap.total.toFixed(1)} s`);
      cells.forEach((cell, column) => (rows[i].cells[column + 1].textContent = cell));
      const ahead = i === round.leader;
      rows[i].dataset.ahead = this.lanes[i].figure.dataset.ahead = ahead;
    });
    this.part("ahead").textContent = round.verdict;
  }
}

// A runner's line of the table; narrow pages show each number under its column's name.
function row(label, index, names) {
  const made = document.createElement("tr");
  made.dataset.runner = index;
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = label;
  made.append(name);
  for (const column of names) Object.assign(made.insertCell(), { textContent: "–" }).dataset.name = column;
  return made;
}

// Called once by js_on_load.
export function mount(element, props, watch, tell) {
  const race = new Race(element, props, tell);
  race.root.race = race; // for the console, and for tests
  attach(race, props, watch);
  race.arrive();
}
