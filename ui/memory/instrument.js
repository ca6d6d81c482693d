// What it remembers: attention, tokens and places in time of the same frames, on one axis, with a sentence above.

import { onWidth } from "../look/canvas.js";
import { Axis } from "./axis.js";
import { Bars, percent } from "./bars.js";
import { pick, ROLES } from "./history.js";
import { cellsOf, KeepMap } from "./keepmap.js";
import { shares } from "./packing.js";
import { placed, Rope } from "./rope.js";

const [MOST_KEPT, MOST_LOST] = [14, 6]; // frames in part, with a column of their own
const [CROWDED, ROOM] = [56, 125]; // pixels of a group that tells how many it has, and in words what they are

export class Instrument {
  // point: told the frame that pointer or keys stand at, null for none.
  constructor(root, point) {
    this.find = (name) => root.querySelector(`.df-${name}`);
    this.keepmap = new KeepMap(this.find("cells"));
    this.bars = new Bars(this.find("bars"));
    this.rope = new Rope(this.find("rope"));
    this.tell = point;
    this.pointed = null;
    this.hint = this.find("read").textContent;
    this.nothing = this.find("told").textContent;
    onWidth(this.find("axis"), (width) => {
      this.width = width;
      this.lay();
    });
    for (const canvas of [this.bars.canvas, this.rope.canvas]) {
      const at = ({ offsetX, offsetY }) => (canvas === this.rope.canvas ? this.rope.at(offsetX, offsetY) : this.axis?.at(offsetX) ?? null);
      canvas.addEventListener("pointermove", (event) => this.point(at(event)));
      canvas.addEventListener("pointerleave", () => this.point(null));
    }
  }

  // Nothing is known of this run yet.
  open(run) {
    Object.assign(this, { run, cells: [], gone: 0, pointed: null });
    this.keepmap.open(run);
    this.bars.open();
    this.rope.open(run);
    this.find("told").textContent = this.nothing;
    for (const name of ["sink", "keep-note", "rope-note"]) this.find(name).textContent = "";
    this.lay();
  }

  show(chunk, history, choice) {
    const { layer } = choice;
    this.run = chunk.run;
    const fired = history.lastFired(chunk);
    const [cells, left] = strongest(cellsOf(chunk, fired ?? chunk, history, layer));
    this.cells = cells;
    const alive = pick(shares(chunk.cache.alive), chunk.cache.frames.length, layer).filter((share) => share > 0).length;
    const lost = this.cells.filter(({ role }) => role === "evicted").length;
    this.gone = Math.max(0, chunk.latents[0] - alive - chunk.cache.unlisted - lost);
    this.bars.take(chunk, history, choice);
    this.rope.take(chunk, layer);
    this.find("told").textContent = chunk.told;
    this.find("rope-note").textContent = chunk.placement;
    this.rope.canvas.ariaLabel = `Where RoPE puts each frame in time. ${chunk.placement}`;
    const mean = layer ? "" : " Colour is the share of layers that keep a token.";
    this.find("keep-note").textContent = describe(chunk, fired, chunk.run) + mean + missing(chunk.cache.left + left);
    this.find("sink").textContent = this.spent(chunk, history, choice);
    this.lay();
  }

  // What the attention is spent on, in words.
  spent({ attention }, history, { layer, head }) {
    const byRole = history.massByRole(attention);
    if (!byRole) return "was not measured in this run";
    const mass = history.mass(byRole, ROLES.length, layer, head);
    const on = ["on the sink", "on top-C tokens", "on recent frames", "on the frames being made"];
    const parts = [...mass].flatMap((share, i) => (share >= 0.005 ? [`${percent(share)} ${on[i]}`] : []));
    this.bars.canvas.ariaLabel = `Attention by frame: ${parts.join(", ")}.`;
    return parts.join(" · ");
  }

  lay() {
    if (!this.cells || !this.width) return;
    this.axis = new Axis(this.cells, this.gone, this.run.settings.window, this.width);
    this.roles = new Map(this.cells.map(({ latent, role }) => [latent, role]));
    this.keepmap.place(this.cells, this.axis);
    this.head();
    this.draw();
  }

  head() {
    const { groups, gone } = this.axis;
    const at = new Map(groups.map((group) => [group.role, group]));
    if (gone) at.set("gone", { left: gone.left, width: gone.right - gone.left, count: `${gone.count} gone` });
    for (const item of this.find("groups").children) {
      const group = at.get(item.dataset.role);
      item.hidden = !group;
      if (!group) continue;
      Object.assign(item.style, { left: `${group.left}px`, width: `${group.width}px` });
      item.lastElementChild.textContent = group.width < CROWDED ? "" : group.width < ROOM ? group.count : `${group.count} ${item.dataset.words ?? ""}`;
    }
  }

  draw() {
    if (!this.axis) return;
    this.bars.draw(this.axis, this.roles, this.pointed);
    this.rope.draw(this.axis, this.pointed);
  }

  // One frame is read out: its bar, its tokens, its place.
  point(latent) {
    if (latent === this.pointed) return;
    this.pointed = latent;
    this.keepmap.mark(latent);
    this.draw();
    this.find("read").textContent = this.words(latent) ?? this.hint;
    this.tell(latent);
  }

  words(latent) {
    const cell = this.keepmap.cells.get(latent)?.cell;
    if (!cell) return null;
    const item = this.rope.items.find((one) => one.latent === latent);
    const share = this.bars.mass.get(latent);
    const looked = share === undefined ? "" : ` ${percent(share)} of the attention is on it.`;
    if (cell.role === "current") return `Latent frame ${latent}: being made, at ${item.made}.${looked}`;
    if (!item) return `Latent frame ${latent}: let go, none of its tokens is left.`;
    const kept = cell.kept.reduce((a, b) => a + b, 0) / cell.kept.length;
    const held = kept < 1 ? ` ${Math.round(100 * kept)} % of its tokens are held.` : "";
    return `Latent frame ${latent}, ${cell.role}: ${placed(item, this.run)}.${held}${looked}`;
  }
}

// Of the frames that single tokens are kept of, those with the most, and of those that were let go, those that lost the most;
// and how many of the kept ones that leaves out.
function strongest(cells) {
  const sum = (mask) => mask.reduce((a, b) => a + b, 0);
  const best = (role, most, of) => {
    const found = cells.filter((cell) => cell.role === role).sort((a, b) => sum(of(b)) - sum(of(a)));
    return new Set(found.slice(most));
  };
  const weak = best("top-C", MOST_KEPT, ({ kept }) => kept);
  const faint = best("evicted", MOST_LOST, ({ evicted }) => evicted);
  return [cells.filter((cell) => !weak.has(cell) && !faint.has(cell)), weak.size];
}

function describe(chunk, fired, run) {
  const at = (c) => `${(c.first / run.fps).toFixed(1)} s`;
  if (fired === chunk) return `Compression fired for this chunk, at ${at(chunk)}: grey was let go.`;
  if (fired) return `Compression last fired at ${at(fired)}: grey was let go; the window is filling again.`;
  if (run.settings.budget === undefined) return "This policy never compresses: whole frames leave the window.";
  const filled = run.settings.window - run.chunk_frames;
  const seconds = (1 + (filled - 1) * run.stride) / run.fps;
  return `No compression has fired yet: the window is full after ${seconds.toFixed(1)} s of video.`;
}

// Frames without a map are those with the fewest tokens.
function missing(frames) {
  return frames ? ` Not drawn: ${frames} more frame${frames > 1 ? "s" : ""} with fewer tokens.` : "";
}
