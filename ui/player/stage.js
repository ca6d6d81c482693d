// The screen: paints frames crisply and measures what was really shown.

import { outline } from "../memory/picking.js";

const LOGGED = 900; // shown frames remembered, about a minute

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.shown = -1;
    this.log = []; // [frame, milliseconds] of every frame painted while playing
    this.patch = null; // see `follow`
    new ResizeObserver(() => this.fit()).observe(canvas);
  }

  open(width, height) {
    this.width = width;
    this.height = height;
    this.shown = -1;
    this.log = [];
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    this.fit();
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  // Small pictures are enlarged by a whole factor, pixel for pixel; the browser only shrinks the result to fit.
  fit() {
    if (!this.width) return;
    const wanted = (this.canvas.clientWidth * devicePixelRatio) / this.width;
    const scale = this.width <= 256 ? Math.max(1, Math.ceil(wanted)) : 1;
    if (this.canvas.width === this.width * scale) return;
    this.canvas.width = this.width * scale;
    this.canvas.height = this.height * scale;
    this.redraw();
  }

  redraw() {
    if (this.bitmap?.width) this.draw(this.bitmap); // a bitmap that was closed has no width
  }

  // Outline a patch while frames [first, end) are on screen; x, y, wide, high as shares of the picture. null: none.
  follow(patch) {
    this.patch = patch;
    this.redraw();
  }

  draw(bitmap) {
    this.bitmap = bitmap;
    this.context.imageSmoothingEnabled = false;
    const { width, height } = this.canvas;
    this.context.drawImage(bitmap, 0, 0, width, height);
    if (!(this.patch?.first <= this.shown && this.shown < this.patch.end)) return;
    const { x, y, wide, high } = this.patch;
    outline(this.context, x * width, y * height, wide * width, high * height, Math.max(1, Math.round(width / 300)));
  }

  // Paint a frame unless it is on screen already; returns whether it is the first of the run.
  show(frame, bitmap, now, moving) {
    if (frame === this.shown) return false;
    const first = this.shown < 0;
    this.shown = frame;
    this.draw(bitmap);
    if (moving) this.log.push([frame, now]);
    if (this.log.length > LOGGED) this.log.shift();
    return first;
  }

  // Frames per second shown over the last two seconds, null while too few were.
  fps(now) {
    const recent = this.log.filter(([, at]) => at > now - 2000);
    if (recent.length < 8) return null;
    return ((recent.length - 1) * 1000) / (recent.at(-1)[1] - recent[0][1]);
  }
}

// On a narrow page the video sticks to the top: small once it would be in the way, and nothing below it moves for that.
export function staySmall(root, video) {
  const look = () => {
    const small = root.getBoundingClientRect().top < -120;
    if (small === "small" in video.dataset) return;
    const before = video.offsetHeight;
    video.toggleAttribute("data-small", small);
    video.style.marginBottom = small ? `${before - video.offsetHeight}px` : "";
  };
  addEventListener("scroll", look, { passive: true });
}
