// The life of the cache, on the scrubber's axis: a row for each frame ever made, coloured while it lives, pale when thinned
// out. The sink, of a later scene that scene's, has a band of its own at the bottom, so that it can be seen however long the
// video is.

import { inks, onWidth, sheet } from "../look/canvas.js";
import { pick } from "./history.js";
import { own } from "./keepmap.js";

const [HEIGHT, BAND, GAP] = [84, 18, 3]; // pixels: of all, of the sink's band, between it and the rest

export class Life {
  // seek: told seconds.
  constructor(root, seek) {
    this.canvas = root.querySelector(".df-life");
    this.read = root.querySelector(".df-life-read");
    this.hint = this.read.textContent;
    this.columns = [];
    onWidth(this.canvas, (width) => {
      this.width = width;
      this.draw();
    });
    const { canvas } = this;
    canvas.addEventListener("click", ({ offsetX }) => this.columns.length && seek(this.secondsAt(offsetX)));
    canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => this.tell(offsetX, offsetY));
    canvas.addEventListener("pointerleave", () => (this.read.textContent = this.hint));
  }

  open() {
    this.columns = [];
    this.read.textContent = this.hint;
    this.draw();
  }

  // marks: seconds of new prompts and of jumps.
  show(history, layer, [from, to], marks) {
    Object.assign(this, { columns: history.summaries.filter(({ end }) => end > from), layer, span: [from, to], marks, history });
    this.draw();
  }

  secondsAt(x) {
    const [from, to] = this.span;
    return from + (x / this.width) * (to - from);
  }

  x(seconds) {
    const [from, to] = this.span;
    return (this.width * (Math.max(from, seconds) - from)) / Math.max(1e-6, to - from);
  }

  // Top of a frame's row in a column, and its height.
  row(latent, { origin, sink }) {
    const rest = HEIGHT - (this.sink ? BAND + GAP : 0);
    const number = latent - origin;
    if (number >= 0 && number < sink) return [HEIGHT - (BAND * (number + 1)) / sink, BAND / sink];
    const count = Math.max(1, this.latest - this.first);
    return [rest * (1 - (latent + 1 - this.first) / count), rest / count];
  }

  draw() {
    if (!this.width) return;
    const colour = inks(this.canvas);
    const context = sheet(this.canvas, this.width, HEIGHT);
    if (!this.columns.length) return;
    this.sink = Math.max(...this.columns.map(({ sink }) => sink));
    this.first = Math.max(this.columns[0].origin ? 0 : this.columns[0].sink, this.columns[0].own[0]);
    this.latest = this.columns.at(-1).own[1];
    for (const column of this.columns) {
      const [left, right] = [this.x(column.seconds), this.x(column.end)];
      for (const [latent, role, share] of livesIn(column, this.layer)) {
        const [top, high] = this.row(latent, column);
        if (top < 0 || top > HEIGHT) continue;
        context.fillStyle = colour(`role-${role}`);
        context.globalAlpha = 0.25 + 0.75 * share;
        context.fillRect(left, top, right - left + 0.3, Math.max(high, 0.8) + 0.2);
      }
    }
    context.globalAlpha = 1;
    for (const { seconds, kind } of this.marks) {
      context.fillStyle = colour({ prompt: "ink", change: "focus" }[kind] ?? "alarm");
      context.fillRect(this.x(seconds), 0, 1, HEIGHT);
    }
    const now = this.columns.at(-1);
    this.canvas.setAttribute("aria-label", `The life of the cache: of ${this.latest} frames made so far, some of ${now.frames.length} are still remembered.`);
  }

  tell(x, y) {
    if (!this.columns.length) return;
    const at = this.secondsAt(x);
    const column = this.columns.find(({ end }) => at < end) ?? this.columns.at(-1);
    const found = livesIn(column, this.layer).find(([latent]) => {
      const [top, high] = this.row(latent, column);
      return y >= top && y < top + Math.max(high, 2);
    });
    this.read.textContent = found
      ? `Frame ${found[0]} at ${at.toFixed(1)} s: ${found[1]}, ${Math.round(100 * found[2])} % of its tokens alive.`
      : `Nothing is left of this frame at ${at.toFixed(1)} s.`;
  }
}

// [latent frame, role, share of its tokens] of all that lives while a chunk is made, the chunk included.
function livesIn(summary, layer) {
  const alive = pick(summary.alive, summary.frames.length, layer);
  const held = summary.frames.map((latent, i) => [latent, summary.roles[i], alive[i]]).filter(([, , share]) => share > 0);
  return [...held, ...own({ latents: summary.own }).map((latent) => [latent, "current", 1])];
}
