// The keep/evict map: a tile for each frame of the instrument's axis. Tokens that are kept are clear; those that were let go
// for this chunk are grey, those that went earlier are blank.

import { inks } from "../look/canvas.js";
import { pictureOf } from "./history.js";
import { outline } from "./picking.js";

const GREYED = 0.55; // of the ground over a picture without colours
const SHORT_SIDE = 72; // pixels, about the shorter side of a tile's picture

export class KeepMap {
  constructor(root) {
    this.root = root;
    this.mask = document.createElement("canvas"); // one pixel a token
    this.layer = document.createElement("canvas"); // of the size of a picture
    this.cells = new Map(); // latent frame -> its elements, and what they show
    this.thumbnails = new Map(); // latent frame -> ImageBitmap
    this.chosen = null; // a token, { latent, row, column }
    this.marked = null; // the latent frame that keys or pointer stand at
  }

  // A new run: tokens are drawn as squares of whole pixels, tiles have the shape of the video.
  open({ grid: [rows, columns] }) {
    const size = Math.max(1, Math.round(SHORT_SIDE / Math.min(rows, columns)));
    Object.assign(this, { rows, columns, width: columns * size, height: rows * size });
    Object.assign(this.mask, { width: columns, height: rows });
    Object.assign(this.layer, { width: this.width, height: this.height });
    this.root.replaceChildren();
    this.cells.clear();
    for (const bitmap of this.thumbnails.values()) bitmap.close();
    this.thumbnails = new Map();
  }

  addThumbnails(chunk, frames, stride) {
    const { thumbnails } = this;
    for (const latent of own(chunk)) {
      const last = chunk.first + chunk.count - 1;
      frames.thumbnail(Math.min(pictureOf(latent, stride), last), this.width)?.then((bitmap) => this.addThumbnail(latent, bitmap, thumbnails));
    }
  }

  // thumbnails: of the run that the picture belongs to; another may have begun while it was decoded.
  addThumbnail(latent, bitmap, thumbnails) {
    if (thumbnails !== this.thumbnails) return bitmap.close();
    thumbnails.set(latent, bitmap);
    const shown = this.cells.get(latent);
    if (shown) this.draw(shown);
  }

  // Drop pictures of frames that no kept chunk mentions.
  prune(chunks) {
    const used = new Set(chunks.flatMap((chunk) => chunk.cache.frames));
    const oldest = chunks[0].latents[0];
    for (const [latent, bitmap] of this.thumbnails) {
      if (latent >= oldest || used.has(latent)) continue;
      bitmap.close();
      this.thumbnails.delete(latent);
    }
  }

  // Bring the page in line with the cells; those that show the same as before are left alone.
  place(wanted, axis) {
    const old = this.cells;
    this.ground = inks(this.root)("card");
    this.cells = new Map(wanted.map((cell) => [cell.latent, { ...(old.get(cell.latent) ?? newElements()), cell }]));
    for (const [latent, { figure }] of old) if (!this.cells.has(latent)) figure.remove();
    const high = (wide) => Math.round((wide * this.rows) / this.columns);
    this.root.style.height = `${Math.max(...[...axis.tiles.values()].map(([, wide, row]) => (row + 1) * high(wide))) + 16}px`;
    let next = this.root.firstChild;
    for (const shown of this.cells.values()) {
      if (shown.figure === next) next = next.nextSibling;
      else this.root.insertBefore(shown.figure, next);
      const [left, wide, row, rows] = axis.tiles.get(shown.cell.latent);
      shown.caption.hidden = rows > 1 || wide < 7 * String(shown.cell.latent).length;
      Object.assign(shown.figure.style, { left: `${left}px`, width: `${wide}px`, top: `${row * high(wide)}px` });
      const print = fingerprint(shown.cell) + this.ground;
      if (print !== shown.print) this.draw(shown);
      shown.print = print;
    }
    this.mark(this.marked);
  }

  choose(token) {
    const changed = new Set([this.chosen?.latent, token?.latent]);
    this.chosen = token;
    for (const latent of changed) if (this.cells.has(latent)) this.draw(this.cells.get(latent));
  }

  mark(latent) {
    this.marked = latent;
    for (const [frame, { figure }] of this.cells) figure.toggleAttribute("data-marked", frame === latent);
  }

  draw({ figure, canvas, caption, cell }) {
    this.paint(canvas, cell, this.thumbnails.get(cell.latent));
    if (this.chosen?.latent === cell.latent) this.outlineChosen(canvas.getContext("2d"));
    figure.dataset.role = cell.role;
    figure.dataset.latent = cell.latent;
    caption.textContent = cell.latent;
  }

  // A frame's picture with its tokens; the same in a tile and where one looks inside.
  paint(canvas, { kept, evicted }, picture) {
    const { width, height, ground } = this;
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    if (evicted && picture) {
      this.through(context, evicted, picture, (layer) => {
        Object.assign(layer, { globalCompositeOperation: "saturation", fillStyle: "#888" }).fillRect(0, 0, width, height);
        Object.assign(layer, { globalCompositeOperation: "source-over", fillStyle: ground, globalAlpha: GREYED }).fillRect(0, 0, width, height);
        layer.globalAlpha = 1;
      });
    }
    if (picture && kept.every((share) => share === 1)) context.drawImage(picture, 0, 0, width, height);
    else if (picture) this.through(context, kept, picture, () => {});
  }

  // The picture, changed, where the mask [tokens] of 0..1 lets it through.
  through(context, mask, picture, change) {
    const { width, height, columns, rows } = this;
    const dots = this.mask.getContext("2d");
    const image = dots.createImageData(columns, rows);
    mask.forEach((share, token) => (image.data[4 * token + 3] = Math.round(255 * Math.min(1, share))));
    dots.putImageData(image, 0, 0);
    const layer = this.layer.getContext("2d");
    layer.globalCompositeOperation = "copy";
    layer.drawImage(picture, 0, 0, width, height);
    change(layer);
    Object.assign(layer, { globalCompositeOperation: "destination-in", imageSmoothingEnabled: false }).drawImage(this.mask, 0, 0, width, height);
    layer.imageSmoothingEnabled = true;
    context.drawImage(this.layer, 0, 0);
  }

  outlineChosen(context) {
    const { row, column } = this.chosen;
    const size = this.width / this.columns;
    const edge = Math.max(0, 14 - size) / 2; // never too small to see
    outline(context, column * size - edge, row * size - edge, size + 2 * edge, size + 2 * edge, 5);
  }
}

// One cell a latent frame, oldest first: those that the row's layers can look back at, those that lost tokens when chunk
// `decided` was made, and the chunk's own.
export function cellsOf(chunk, decided, history, row) {
  const cells = new Map();
  history.held(chunk, row).forEach((kept, latent) => cells.set(latent, { latent, kept, evicted: null }));
  chunk.cache.frames.forEach((latent, i) => (cells.get(latent).role = chunk.cache.roles[i]));
  evictions(decided, history, row).forEach((evicted, latent) => {
    const gone = { latent, role: "evicted", kept: new Float32Array(history.tokens) };
    cells.set(latent, { ...(cells.get(latent) ?? gone), evicted });
  });
  for (const latent of own(chunk)) cells.set(latent, { latent, role: "current", kept: history.whole, evicted: null });
  const found = [...cells.values()].filter(({ kept, evicted }) => kept?.some((share) => share > 0) || (kept && evicted));
  for (const cell of found) if (!cell.kept.some((share) => share > 0)) cell.role = "evicted";
  return found.sort((a, b) => a.latent - b.latent);
}

// Latent frame -> share of the row's layers that threw each token away for this chunk: what was held for the chunk
// before, and that chunk itself, less what is held now.
function evictions(chunk, history, row) {
  const before = history.before(chunk);
  if (!before) return new Map();
  const now = history.held(chunk, row);
  const was = history.held(before, row);
  for (const latent of own(before)) was.set(latent, history.whole);
  const lost = new Map();
  for (const [latent, had] of was) {
    const has = now.get(latent);
    if (!had || has === null || has === had) continue; // a frame without a map, or one that is held whole
    const out = had.map((share, token) => Math.max(0, share - (has ? has[token] : 0)));
    if (out.some((share) => share > 0)) lost.set(latent, out);
  }
  return lost;
}

// Latent frames of the chunk itself.
export function own({ latents: [first, end] }) {
  return Array.from({ length: end - first }, (_, i) => first + i);
}

function newElements() {
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  const caption = document.createElement("figcaption");
  figure.append(canvas, caption);
  return { figure, canvas, caption };
}

// A number that differs, for all practical purposes, when two cells would look different.
function fingerprint({ role, kept, evicted }) {
  let sum = role.length;
  kept.forEach((share, token) => (sum += share * Math.sqrt(2 * token + 1)));
  evicted?.forEach((share, token) => (sum += share * Math.sqrt(2 * token + 2)));
  return sum;
}
