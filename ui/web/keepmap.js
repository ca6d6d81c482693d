// The keep/evict map: one cell a latent frame, its token grid laid over its picture.

const GONE = 0.93; // darkness of tokens thrown away earlier
const EVICTED = 0.72; // darkness of tokens thrown away by the compression shown
const TARGET = 84; // pixels, about the width of a cell

export class KeepMap {
  constructor(root, note) {
    this.root = root;
    this.note = note;
    this.cells = new Map(); // latent frame -> its elements, and what they show
    this.thumbnails = new Map(); // latent frame -> ImageBitmap
  }

  clear() {
    this.root.replaceChildren();
    this.note.textContent = "";
    this.cells.clear();
    for (const bitmap of this.thumbnails.values()) bitmap.close();
    this.thumbnails.clear();
  }

  addThumbnails(chunk, frames, stride) {
    for (let latent = chunk.latents[0]; latent < chunk.latents[1]; latent++) {
      const video = latent === 0 ? 0 : 1 + stride * (latent - 1) + (stride >> 1);
      const last = chunk.first + chunk.count - 1;
      frames.thumbnail(Math.min(video, last), TARGET)?.then((bitmap) => this.addThumbnail(latent, bitmap));
    }
  }

  addThumbnail(latent, bitmap) {
    this.thumbnails.set(latent, bitmap);
    const cell = this.cells.get(latent);
    if (cell) this.draw(cell);
  }

  // Drop pictures of frames that no kept chunk mentions.
  prune(chunks) {
    const used = new Set(chunks.flatMap((c) => [...c.cache.frames, ...(c.compression?.frames ?? [])]));
    const oldest = chunks[0].latents[0];
    for (const [latent, bitmap] of this.thumbnails) {
      if (latent >= oldest || used.has(latent)) continue;
      bitmap.close();
      this.thumbnails.delete(latent);
    }
  }

  show(chunk, history, layer) {
    const fired = history.lastFired(chunk);
    const mean = layer < 0 && fired ? " Brightness is the share of layers that keep a token." : "";
    this.note.textContent = this.describe(chunk, fired, history) + mean;
    const cells = [...this.cached(chunk, fired, history, layer), ...this.own(chunk, history)];
    cells.sort((a, b) => a.latent - b.latent);
    this.grid = history.run.grid;
    this.place(cells);
  }

  // Bring the page in line with the cells; those that show the same as before are left alone.
  place(wanted) {
    const old = this.cells;
    this.cells = new Map(wanted.map((cell) => [cell.latent, { ...(old.get(cell.latent) ?? this.newCell()), cell }]));
    for (const [latent, { figure }] of old) if (!this.cells.has(latent)) figure.remove();
    let next = this.root.firstChild;
    for (const shown of this.cells.values()) {
      if (shown.figure === next) next = next.nextSibling;
      else this.root.insertBefore(shown.figure, next);
      const print = fingerprint(shown.cell);
      if (print !== shown.print) this.draw(shown);
      shown.print = print;
    }
  }

  describe(chunk, fired, history) {
    const run = history.run;
    const at = (c) => `${(c.first / run.fps).toFixed(1)} s`;
    if (fired === chunk) return `Compression fired for this chunk, at ${at(chunk)}: this is what it decided.`;
    if (fired) return `Compression last fired at ${at(fired)}; the window is filling again.`;
    if (run.settings.budget === undefined) return "This policy never compresses: whole frames leave the window.";
    const filled = run.settings.window - run.chunk_frames;
    const seconds = (1 + (filled - 1) * run.stride) / run.fps;
    return `No compression has fired yet: the window is full after ${seconds.toFixed(1)} s of video.`;
  }

  // Frames that the model can look back at, and those that have just lost their last token.
  cached(chunk, fired, history, layer) {
    const { frames, roles, kept } = chunk.cache;
    const now = this.byFrame(history, kept, frames, layer);
    const cells = new Map(frames.map((latent, i) => [latent, { latent, role: roles[i], kept: now(i), evicted: null }]));
    if (fired) this.addDecision(cells, fired, history, layer);
    else this.addDropped(cells, chunk, history);
    return cells.values();
  }

  addDecision(cells, fired, history, layer) {
    const { frames, candidate, kept } = fired.compression;
    const stood = this.byFrame(history, candidate, frames, layer);
    const won = this.byFrame(history, kept, frames, layer);
    frames.forEach((latent, i) => {
      const evicted = stood(i).map((s, t) => s - won(i)[t]);
      const cell = cells.get(latent);
      if (cell) cell.evicted = evicted;
      else cells.set(latent, { latent, role: "evicted", kept: won(i), evicted });
    });
  }

  addDropped(cells, chunk, history) {
    for (const latent of history.before(chunk)?.cache.frames ?? []) {
      if (cells.has(latent)) continue;
      const none = new Float32Array(history.tokens);
      cells.set(latent, { latent, role: "evicted", kept: none, evicted: none.map(() => 1) });
    }
  }

  own(chunk, history) {
    const cells = [];
    for (let latent = chunk.latents[0]; latent < chunk.latents[1]; latent++) {
      cells.push({ latent, role: "current", kept: new Float32Array(history.tokens).fill(1), evicted: null });
    }
    return cells;
  }

  // index of a frame -> share of the chosen layers [tokens] whose bit is set.
  byFrame(history, packed, frames, layer) {
    const mean = history.meanLayer(history.mask(packed, frames.length), frames.length * history.tokens, layer);
    return (i) => Float32Array.from(mean.subarray(i * history.tokens, (i + 1) * history.tokens));
  }

  newCell() {
    const figure = document.createElement("figure");
    const canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption");
    figure.append(canvas, caption);
    return { figure, canvas, caption };
  }

  draw({ figure, canvas, caption, cell }) {
    const [rows, columns] = this.grid;
    const size = Math.max(1, Math.round(TARGET / columns));
    canvas.width = columns * size;
    canvas.height = rows * size;
    const context = canvas.getContext("2d");
    const picture = this.thumbnails.get(cell.latent);
    if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    cell.kept.forEach((kept, token) => {
      const evicted = cell.evicted ? cell.evicted[token] : 0;
      const dark = EVICTED * evicted + GONE * Math.max(0, 1 - kept - evicted);
      if (dark < 0.01) return;
      context.fillStyle = `rgba(10, 14, 22, ${dark})`;
      context.fillRect((token % columns) * size, Math.floor(token / columns) * size, size, size);
    });
    figure.dataset.role = cell.role;
    caption.textContent = cell.latent;
    const share = cell.kept.reduce((a, b) => a + b, 0) / cell.kept.length;
    figure.title = `latent frame ${cell.latent}, ${cell.role}: ${Math.round(100 * share)} % of its tokens in the cache`;
  }
}

// A number that differs, for all practical purposes, when two cells would look different.
function fingerprint({ role, kept, evicted }) {
  let sum = role.length;
  kept.forEach((share, token) => (sum += share * Math.sqrt(2 * token + 1)));
  evicted?.forEach((share, token) => (sum += share * Math.sqrt(2 * token + 2)));
  return sum;
}
