// Where RoPE thinks things are: every cached frame when it was made (upper rail) and where it is put (lower rail), in
// latent frames from the chunk being made. What lies far back is squeezed into the left of both rails.

import { pick } from "./history.js";
import { floats, shares } from "./packing.js";
import { roleColours } from "./panels.js";

const SQUEEZED = 0.2; // of the width, for everything older than the window
const GLIDE_MS = 300; // from one chunk's places to the next one's
const [TOP, BOTTOM, RAIL, HEIGHT] = [2, 104, 18, 140]; // where the rails are, their thickness, the whole: pixels
const WIDE_ENOUGH = 20; // pixels of a frame that has its number written on it

export class Timeline {
  constructor(root) {
    this.find = (name) => root.querySelector(`.df-${name}`);
    this.canvas = this.find("timeline");
    this.items = []; // one a latent frame, oldest first, see `itemsOf`
    this.chosen = null; // a latent frame
    const { canvas } = this;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.choose(this.nearest(event)));
    canvas.addEventListener("pointerleave", () => this.choose(null));
    canvas.addEventListener("blur", () => this.choose(null));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  open(run) {
    Object.assign(this, { run, items: [], index: null, chosen: null });
    this.find("rope-note").textContent = "";
    this.read();
    this.draw();
  }

  show(chunk, history, { layer }) {
    const follows = chunk.index === this.index + 1 && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    const before = new Map(this.items.map((item) => [item.latent, item]));
    this.items = itemsOf(chunk, layer);
    for (const item of this.items) item.from = before.get(item.latent) ?? comingFrom(item, this.run.chunk_frames);
    this.index = chunk.index;
    this.began = follows ? performance.now() : -GLIDE_MS;
    this.find("rope-note").textContent = chunk.placement ?? "";
    this.read();
    this.draw();
  }

  // Left and right of the squeezed part; from a place in time to pixels.
  measure() {
    const [width, near, end] = [this.canvas.clientWidth, this.run.settings.window + 2, this.run.chunk_frames];
    const left = SQUEEZED * width;
    const oldest = Math.min(-2 * near, ...this.items.flatMap((item) => [item.made, item.put]));
    const unit = (width - left) / (near + end);
    const x = (time) => (time < -near ? (left * (time - oldest)) / (-near - oldest) : left + (time + near) * unit);
    return { width, near, end, left, oldest, unit, x };
  }

  draw() {
    const { canvas } = this;
    if (!this.run || !canvas.clientWidth) return;
    Object.assign(canvas, { width: canvas.clientWidth * devicePixelRatio, height: HEIGHT * devicePixelRatio });
    const context = canvas.getContext("2d");
    context.scale(devicePixelRatio, devicePixelRatio);
    const scale = this.measure();
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    drawRails(context, scale, this.run.settings.window, colour);
    const done = Math.min(1, (performance.now() - this.began) / GLIDE_MS);
    const eased = 1 - (1 - done) ** 3;
    const colours = roleColours(canvas);
    const order = ({ latent, role }) => (latent === this.chosen ? 2 : role === "sink" ? 1 : 0); // who is drawn over whom
    for (const item of [...this.items].sort((one, other) => order(one) - order(other))) {
      const at = (place) => item.from[place] + eased * (item[place] - item.from[place]);
      drawItem(context, scale, item, at("made"), at("put"), colours[item.role], item.latent === this.chosen && colour("ink"));
    }
    if (done < 1) requestAnimationFrame(() => this.draw());
  }

  nearest(event) {
    if (!this.items.length) return null;
    const { x } = this.measure();
    const place = event.offsetY < (TOP + BOTTOM + RAIL) / 2 ? "made" : "put";
    const far = (item) => Math.abs((x(item[place]) + x(item[place] + 1)) / 2 - event.offsetX);
    const best = this.items.reduce((one, other) => (far(other) < far(one) ? other : one));
    return far(best) < 16 ? best.latent : null;
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!this.items.length || !(step || event.key === "Escape")) return;
    event.preventDefault();
    const at = this.items.findIndex(({ latent }) => latent === this.chosen);
    const next = at < 0 ? this.items.length - 1 : Math.max(0, Math.min(at + step, this.items.length - 1));
    this.choose(step ? this.items[next].latent : null);
  }

  choose(latent) {
    if (latent === this.chosen) return;
    this.chosen = latent;
    this.read();
    this.draw();
  }

  // The chosen frame in words.
  read() {
    const item = this.items.find(({ latent }) => latent === this.chosen);
    this.find("rope-read").textContent = item ? inWords(item, this.run) : "Point at a frame, or use the arrow keys.";
  }
}

// One item a latent frame: `made`, its true place, and `put`, where RoPE puts it, both in latent frames from the chunk's
// first; `share`: how much of it is held.
export function itemsOf(chunk, layer) {
  const { frames, roles } = chunk.cache;
  const [first, end] = chunk.latents;
  const put = chunk.cache.time ? pick(floats(chunk.cache.time), frames.length, layer) : [];
  const share = pick(shares(chunk.cache.alive), frames.length, layer);
  const items = frames.map((latent, i) => ({ latent, role: roles[i], made: latent - first, put: put[i], share: share[i] }));
  for (let i = 0; i < end - first; i++) items.push({ latent: first + i, role: "current", made: i, put: i, share: 1 });
  return items.filter((item) => Number.isFinite(item.put));
}

// A frame that was not there comes in from the right.
function comingFrom({ made, put }, frames) {
  return { made: made + frames, put: put + frames };
}

function drawRails(context, { width, near, end, left, oldest, x, unit }, window, colour) {
  context.fillStyle = colour("line");
  context.globalAlpha = 0.45;
  for (const y of [TOP, BOTTOM]) context.fillRect(0, y, width, RAIL);
  context.globalAlpha = 1;
  context.strokeStyle = colour("soft");
  context.setLineDash([2, 4]);
  context.strokeRect(left - 2, TOP, 0, BOTTOM + RAIL - TOP);
  context.strokeRect(x(end - window) - 1, BOTTOM - 3, x(end) - x(end - window), RAIL + 6);
  context.setLineDash([]);
  context.fillStyle = colour("soft");
  context.font = "11px system-ui, sans-serif";
  const write = (text, at, align) => {
    context.textAlign = align;
    context.fillText(text, at, BOTTOM + RAIL + 17);
  };
  write(`−${-oldest}`, 0, "left");
  for (let time = 0; time > -near; time -= 5) write(String(time).replace("-", "−"), x(time) + unit / 2, "center");
}

function drawItem(context, { x, unit }, { latent, share }, made, put, colour, chosen) {
  const wide = (time) => Math.max(2, x(time + 1) - x(time) - 1.5);
  const middle = (time) => x(time) + wide(time) / 2;
  context.fillStyle = context.strokeStyle = colour;
  context.globalAlpha = chosen ? 1 : 0.15 + 0.5 * share;
  context.lineWidth = chosen ? 2.5 : 1.25;
  context.beginPath();
  context.moveTo(middle(made), TOP + RAIL);
  context.bezierCurveTo(middle(made), (TOP + BOTTOM + RAIL) / 2, middle(put), (TOP + BOTTOM + RAIL) / 2, middle(put), BOTTOM);
  context.stroke();
  context.globalAlpha = chosen ? 1 : 0.3 + 0.7 * share;
  for (const [time, y] of [[made, TOP], [put, BOTTOM]]) {
    context.fillRect(x(time), y, wide(time), RAIL);
    if (chosen) Object.assign(context, { strokeStyle: chosen, lineWidth: 2 }).strokeRect(x(time), y, wide(time), RAIL);
    if (share < 1 || unit < WIDE_ENOUGH || wide(time) < WIDE_ENOUGH - 2) continue;
    Object.assign(context, { fillStyle: "#fff", font: "600 10px system-ui, sans-serif", textAlign: "center" });
    context.fillText(latent, middle(time), y + 13);
    context.fillStyle = colour;
  }
}

const frames = (count) => `${count} frame${count === 1 ? "" : "s"}`;
const before = (time) => (time < -0.5 ? `${frames(Math.round(-time))} before` : time < 0.5 ? "with" : `${frames(Math.round(time))} into`);

function inWords({ latent, role, made, put, share }, { stride, fps }) {
  if (role === "current") return `Latent frame ${latent}: being made, at ${made}.`;
  const held = share < 1 ? ` ${Math.round(100 * share)} % of its tokens are held.` : "";
  return `Latent frame ${latent}, ${role}: ${placed({ made, put }, { stride, fps })}.${held}`;
}

export function placed({ made, put }, { stride, fps }) {
  const seconds = ((-made * stride) / fps).toFixed(1);
  const moved = Math.abs(put - made) < 0.25 ? "where it was made" : `${before(put)} the chunk: moved by ${Math.round(put - made)}`;
  return `made ${frames(-made)} (${seconds} s) before the chunk; RoPE puts it ${moved}`;
}
