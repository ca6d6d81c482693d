// A small course over time on a canvas, read point by point: by pointer, or by arrow keys.

import { inks, onWidth, sheet } from "../look/canvas.js";

const HEIGHT = 64; // pixels
const EDGE = 6;

export class Spark {
  constructor(canvas, read) {
    Object.assign(this, { canvas, read, points: [], chosen: null });
    onWidth(canvas, (width) => {
      this.width = width;
      this.draw();
    });
    canvas.addEventListener("pointermove", ({ offsetX }) => this.choose(this.nearest(offsetX)));
    for (const event of ["pointerleave", "blur"]) canvas.addEventListener(event, () => this.choose(null));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // points: { seconds, value: 0..1 of the height, words, hollow: an open dot, limit: 0..1, a dash across it };
  // now: seconds; otherwise: words where there is no point.
  show(points, now, otherwise, dots = false) {
    Object.assign(this, { points, now, otherwise, dots });
    if (this.chosen >= points.length) this.chosen = null;
    this.tell();
    this.draw();
  }

  get at() {
    return this.chosen ?? this.points.findLastIndex(({ seconds }) => seconds <= this.now + 1e-6);
  }

  tell() {
    const point = this.points[this.at];
    const words = point ? point.words : this.otherwise;
    if (this.read.textContent !== words) this.read.textContent = words;
  }

  choose(index) {
    if (index === this.chosen) return;
    this.chosen = index;
    this.tell();
    this.draw();
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.points.length) return;
    event.preventDefault();
    this.choose(Math.max(0, Math.min(this.points.length - 1, this.at + step)));
  }

  nearest(x) {
    const far = ({ seconds }) => Math.abs(this.x(seconds) - x);
    const best = this.points.reduce((one, other, i) => (one < 0 || far(other) < far(this.points[one]) ? i : one), -1);
    return best < 0 ? null : best;
  }

  x(seconds) {
    const [first, last] = [this.points[0].seconds, this.points.at(-1).seconds];
    const width = this.width - 2 * EDGE;
    return EDGE + (last > first ? (width * (seconds - first)) / (last - first) : width / 2);
  }

  draw() {
    const { canvas, points, width } = this;
    if (!width) return;
    const [context, colour] = [sheet(canvas, width, HEIGHT), inks(canvas)];
    const y = (value) => HEIGHT - EDGE - value * (HEIGHT - 2 * EDGE);
    const path = (step) => {
      context.beginPath();
      points.forEach((point, i) => step(this.x(point.seconds), point, i));
      context.stroke();
    };
    context.strokeStyle = colour("role-top-C");
    context.lineWidth = 2;
    path((x, { limit }) => limit !== undefined && (context.moveTo(x - 5, y(limit)), context.lineTo(x + 5, y(limit))));
    context.strokeStyle = context.fillStyle = colour("ink");
    context.lineWidth = 1.25;
    path((x, { value }, i) => context[i ? "lineTo" : "moveTo"](x, y(value)));
    points.forEach(({ seconds, value, hollow }, i) => {
      if (!this.dots && i !== this.at) return;
      context.beginPath();
      context.arc(this.x(seconds), y(value), i === this.at ? 4.5 : 3, 0, 7);
      context.fillStyle = colour(hollow ? "card" : "ink");
      context.fill();
      context.stroke();
    });
  }
}
