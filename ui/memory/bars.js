// Attention on each frame as bars over the instrument's columns.

import { inks, sheet } from "../look/canvas.js";
import { pick } from "./history.js";
import { shares } from "./packing.js";

const HEIGHT = 84; // pixels
const ROOM = 14; // above the highest bar, for its number

export class Bars {
  constructor(canvas) {
    this.canvas = canvas;
    this.mass = new Map(); // latent frame -> share of the attention
  }

  open() {
    this.mass.clear();
  }

  // The chunk's attention in the chosen layer and head; nothing where it was not measured.
  take({ attention }, history, { layer, head }) {
    this.mass.clear();
    if (!attention) return;
    const mass = pick(shares(attention.mass), attention.frames.length, layer * history.columns + head);
    attention.frames.forEach((latent, i) => this.mass.set(latent, mass[i]));
  }

  draw(axis, roles, pointed) {
    const colour = inks(this.canvas);
    const context = sheet(this.canvas, axis.width, HEIGHT);
    context.fillStyle = colour("line");
    context.fillRect(0, HEIGHT - 1, axis.width, 1);
    const most = Math.max(1e-6, ...[...axis.columns.keys()].map((latent) => this.mass.get(latent) ?? 0));
    let highest = null;
    for (const latent of axis.columns.keys()) {
      const share = this.mass.get(latent);
      if (share === undefined) continue;
      const high = ((HEIGHT - ROOM) * share) / most;
      context.globalAlpha = pointed === null || pointed === latent ? 1 : 0.55;
      context.fillStyle = colour(`role-${roles.get(latent)}`);
      const [left, wide] = axis.columns.get(latent);
      context.fillRect(left + 1, HEIGHT - 1 - high, wide - 2, high);
      if (share === most) highest = latent;
    }
    context.globalAlpha = 1;
    this.label(context, axis, highest, most, colour);
  }

  // The scale: how much the highest bar is.
  label(context, axis, highest, most, colour) {
    if (highest === null) return;
    const x = axis.middle(highest);
    context.fillStyle = colour("ink");
    context.textAlign = x > axis.width - 24 ? "right" : "center";
    context.fillText(percent(most), Math.min(x, axis.width), ROOM - 4);
  }
}

export function percent(share) {
  return `${(100 * share).toFixed(share < 0.095 ? 1 : 0)} %`;
}
