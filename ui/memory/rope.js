// Where RoPE thinks things are: from each frame's column a thread leads to the place in time that it is put at. The ruler
// counts latent frames from the chunk being made; what is put further back than the window is squeezed into its left.

import { inks, sheet } from "../look/canvas.js";
import { pick } from "./history.js";
import { floats, shares } from "./packing.js";

const SQUEEZED = 0.14; // of the width, for everything older than the window
const GLIDE_MS = 300; // from one chunk's places to the next one's
const [RULER, THICK, HEIGHT] = [46, 17, 82]; // where the ruler is, its thickness, the whole: pixels
const WIDE_ENOUGH = 19; // pixels of a frame that has its number written on it
const MOVED = 0.25; // latent frames

export class Rope {
  constructor(canvas) {
    this.canvas = canvas;
    this.items = []; // one a latent frame, oldest first, see `itemsOf`
  }

  open(run) {
    Object.assign(this, { run, items: [], index: null });
  }

  take(chunk, layer) {
    const follows = chunk.index === this.index + 1 && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    const before = new Map(this.items.map((item) => [item.latent, item]));
    this.items = itemsOf(chunk, layer);
    for (const item of this.items) item.from = before.get(item.latent)?.put ?? item.put + this.run.chunk_frames;
    this.run = chunk.run;
    this.index = chunk.index;
    this.began = follows ? performance.now() : -GLIDE_MS;
  }

  draw(axis, pointed) {
    Object.assign(this, { axis, pointed });
    const { canvas, items, run } = this;
    const colour = inks(canvas);
    const context = sheet(canvas, axis.width, HEIGHT);
    this.scale = measure(axis.width, items, run);
    drawRuler(context, this.scale, run.settings.window, colour);
    const done = Math.min(1, (performance.now() - this.began) / GLIDE_MS);
    const eased = 1 - (1 - done) ** 3;
    const order = ({ latent, role }) => (latent === pointed ? 2 : role === "sink" ? 1 : 0); // who is drawn over whom
    for (const item of [...items].sort((one, other) => order(one) - order(other))) {
      const put = item.from + eased * (item.put - item.from);
      const from = axis.columns.has(item.latent) ? axis.middle(item.latent) : null;
      drawItem(context, this.scale, item, from, put, colour, pointed);
    }
    if (done < 1) requestAnimationFrame(() => this.axis === axis && this.draw(axis, this.pointed));
  }

  // The frame that the pointer is at: on the ruler by place, above it by column.
  at(x, y) {
    if (y < RULER || !this.scale) return this.axis?.at(x) ?? null;
    const far = ({ put }) => Math.abs((this.scale.x(put) + this.scale.x(put + 1)) / 2 - x);
    const best = this.items.reduce((one, other) => (!one || far(other) < far(one) ? other : one), null);
    return best && far(best) < 16 ? best.latent : null;
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

// From a place in time to pixels; left and right of the squeezed part.
function measure(width, items, { settings, chunk_frames: end }) {
  const near = settings.window + 1;
  const far = items.some(({ put }) => put < -near);
  const left = far ? SQUEEZED * width : 0;
  const oldest = Math.min(-2 * near, ...items.map(({ put }) => put));
  const unit = (width - left) / (near + end);
  const x = (time) => (time < -near ? (left * (time - oldest)) / (-near - oldest) : left + (time + near) * unit);
  return { width, near, end, left, oldest, unit, x };
}

function drawRuler(context, { width, near, end, left, oldest, x, unit }, window, colour) {
  context.fillStyle = colour("line");
  context.globalAlpha = 0.5;
  context.fillRect(0, RULER, width, THICK);
  context.globalAlpha = 1;
  context.strokeStyle = colour("soft");
  context.setLineDash([2, 3]);
  context.strokeRect(x(end - window) - 1, RULER - 2.5, x(end) - x(end - window), THICK + 5);
  context.setLineDash([]);
  context.fillStyle = colour("soft");
  const write = (text, at, align) => {
    context.textAlign = align;
    context.fillText(text, at, RULER + THICK + 15);
  };
  if (left) write(`−${Math.round(-oldest)}`, 0, "left");
  for (let time = -5; time > -near; time -= 5) write(`−${-time}`, x(time) + unit / 2, "center");
  write("now", x(0) + unit / 2, "center");
}

function drawItem(context, { x, unit }, { latent, role, share, made }, from, put, colour, pointed) {
  const wide = Math.max(2, x(put + 1) - x(put) - 1.5);
  const to = x(put) + wide / 2;
  const [chosen, moved] = [latent === pointed, Math.abs(put - made) >= MOVED];
  context.fillStyle = context.strokeStyle = colour(`role-${role}`);
  context.globalAlpha = chosen ? 1 : (pointed === null ? 0.25 : 0.12) + (moved ? 0.55 : 0.2) * share;
  context.lineWidth = chosen ? 2.5 : moved ? 1.75 : 1;
  context.beginPath();
  if (from !== null) context.moveTo(from, 0);
  if (from !== null) context.bezierCurveTo(from, RULER * 0.55, to, RULER * 0.45, to, RULER);
  context.stroke();
  context.globalAlpha = chosen ? 1 : 0.3 + 0.7 * share;
  context.fillRect(x(put), RULER, wide, THICK);
  context.globalAlpha = 1;
  if (chosen) Object.assign(context, { strokeStyle: colour("ink"), lineWidth: 2 }).strokeRect(x(put), RULER, wide, THICK);
  if (share < 1 || unit < WIDE_ENOUGH || wide < WIDE_ENOUGH - 2) return;
  Object.assign(context, { fillStyle: colour("on-role"), font: "600 10px system-ui, sans-serif", textAlign: "center" });
  context.fillText(latent, to, RULER + 12.5);
}

const frames = (count) => `${count} frame${count === 1 ? "" : "s"}`;
const before = (time) => (time < -0.5 ? `${frames(Math.round(-time))} before` : time < 0.5 ? "with" : `${frames(Math.round(time))} into`);

// Such as: made 69 frames (17.3 s) before the chunk; RoPE puts it 21 frames before the chunk: moved by 48
export function placed({ made, put }, { stride, fps }) {
  const seconds = ((-made * stride) / fps).toFixed(1);
  const moved = Math.abs(put - made) < MOVED ? "where it was made" : `${before(put)} the chunk: moved by ${Math.round(put - made)}`;
  return `made ${frames(-made)} (${seconds} s) before the chunk; RoPE puts it ${moved}`;
}
