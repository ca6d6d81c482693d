// The keep/evict map: one cell a latent frame, its token grid laid over its picture.

import { pictureOf } from "./history.js";
import { outline } from "./picking.js";

const GONE = 0.93; // darkness of tokens thrown away earlier
const EVICTED = 0.72; // darkness of tokens thrown away by the decision shown
const SHORT_SIDE = 84; // pixels, about the shorter side of a cell

export class KeepMap {
  constructor(root, note) {
    this.root = root;
    this.note = note;
    this.shade = document.createElement("canvas"); // one pixel a token
    this.cells = new Map(); // latent frame -> its elements, and what they show
    this.thumbnails = new Map(); // latent frame -> ImageBitmap
    this.chosen = null; // a token, { latent, row, column }
    this.marked = null; // the latent frame that the keys stand at
  }

  // A new run: tokens are drawn as squares of whole pixels, cells have the shape of the video.
  open({ grid: [rows, columns] }) {
    const size = Math.max(1, Math.round(SHORT_SIDE / Math.min(rows, columns)));
    Object.assign(this, { rows, columns, width: columns * size, height: rows * size });
    Object.assign(this.shade, { width: columns, height: rows });
    this.root.style.setProperty("--cell", `${Math.round(Math.max(76, (64 * columns) / rows))}px`);
    this.root.replaceChildren();
    this.note.textContent = "";
    this.cells.clear();
    for (const bitmap of this.thumbnails.values()) bitmap.close();
    this.thumbnails.clear();
  }

  addThumbnails(chunk, frames, stride) {
    for (const latent of own(chunk)) {
      const last = chunk.first + chunk.count - 1;
      frames.thumbnail(Math.min(pictureOf(latent, stride), last), this.width)?.then((bitmap) => this.addThumbnail(latent, bitmap));
    }
  }

  addThumbnail(latent, bitmap) {
    this.thumbnails.set(latent, bitmap);
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

  show(chunk, history, row) {
    const fired = history.lastFired(chunk);
    const mean = row === 0 && fired ? " Brightness is the share of layers that keep a token." : "";
    this.note.textContent = describe(chunk, fired, history.run) + mean + missing(chunk.cache.left);
    this.place(wantedCells(chunk, fired ?? chunk, history, row));
  }

  // Bring the page in line with the cells; those that show the same as before are left alone.
  place(wanted) {
    const old = this.cells;
    this.cells = new Map(wanted.map((cell) => [cell.latent, { ...(old.get(cell.latent) ?? newElements()), cell }]));
    for (const [latent, { figure }] of old) if (!this.cells.has(latent)) figure.remove();
    let next = this.root.firstChild;
    for (const shown of this.cells.values()) {
      if (shown.figure === next) next = next.nextSibling;
      else this.root.insertBefore(shown.figure, next);
      const print = fingerprint(shown.cell);
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
    Object.assign(canvas, { width: this.width, height: this.height });
    const context = canvas.getContext("2d");
    const picture = this.thumbnails.get(cell.latent);
    if (picture) context.drawImage(picture, 0, 0, this.width, this.height);
    this.darken(cell);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.shade, 0, 0, this.width, this.height);
    this.outlineChosen(context, cell);
    figure.dataset.role = cell.role;
    figure.dataset.latent = cell.latent;
    caption.textContent = cell.latent;
    const share = cell.kept.reduce((a, b) => a + b, 0) / cell.kept.length;
    figure.title = `latent frame ${cell.latent}, ${cell.role}: ${Math.round(100 * share)} % of its tokens in the cache`;
  }

  outlineChosen(context, { latent }) {
    if (this.chosen?.latent !== latent) return;
    const [size, edge] = [this.width / this.columns, Math.max(0, 7 - this.width / this.columns) / 2]; // never too small to see
    outline(context, this.chosen.column * size - edge, this.chosen.row * size - edge, size + 2 * edge, size + 2 * edge);
  }

  // Paint the shade: clear where a token is kept, dark where it is not.
  darken({ kept, evicted }) {
    const context = this.shade.getContext("2d");
    const image = context.createImageData(this.columns, this.rows);
    const pixels = new Uint32Array(image.data.buffer);
    for (let token = 0; token < pixels.length; token++) {
      const out = evicted ? evicted[token] : 0;
      const dark = EVICTED * out + GONE * Math.max(0, 1 - kept[token] - out);
      pixels[token] = (Math.round(255 * Math.min(1, dark)) << 24) | 0x160e0a; // alpha, blue, green, red
    }
    context.putImageData(image, 0, 0);
  }
}

// One cell a latent frame, oldest first: those that the model can look back at, those that lost their last tokens when
// chunk `decided` was made, and the chunk's own.
function wantedCells(chunk, decided, history, row) {
  const cells = new Map();
  history.held(chunk, row).forEach((kept, latent) => cells.set(latent, { latent, kept, evicted: null }));
  chunk.cache.frames.forEach((latent, i) => (cells.get(latent).role = chunk.cache.roles[i]));
  evictions(decided, history, row).forEach((evicted, latent) => {
    const gone = { latent, role: "evicted", kept: new Float32Array(history.tokens) };
    cells.set(latent, { ...(cells.get(latent) ?? gone), evicted });
  });
  for (const latent of own(chunk)) cells.set(latent, { latent, role: "current", kept: history.whole, evicted: null });
  return [...cells.values()].filter((cell) => cell.kept).sort((a, b) => a.latent - b.latent);
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
function own({ latents: [first, end] }) {
  return Array.from({ length: end - first }, (_, i) => first + i);
}

function describe(chunk, fired, run) {
  const at = (c) => `${(c.first / run.fps).toFixed(1)} s`;
  if (fired === chunk) return `Compression fired for this chunk, at ${at(chunk)}: this is what it decided.`;
  if (fired) return `Compression last fired at ${at(fired)}; the window is filling again.`;
  if (run.settings.budget === undefined) return "This policy never compresses: whole frames leave the window.";
  const filled = run.settings.window - run.chunk_frames;
  const seconds = (1 + (filled - 1) * run.stride) / run.fps;
  return `No compression has fired yet: the window is full after ${seconds.toFixed(1)} s of video.`;
}

// Frames without a map are those with the fewest tokens.
function missing(frames) {
  return frames ? ` Not drawn: ${frames} more frame${frames > 1 ? "s" : ""} with fewer tokens.` : "";
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
