// Attention by role over the video's time, stacked to 100 %: the lowest band is the sink mass.

import { inks, onWidth, sheet } from "../look/canvas.js";
import { ROLES } from "./history.js";

const [LEFT, BOTTOM, HEIGHT] = [40, 20, 190]; // pixels: for numbers, and the whole

export class Roles {
  constructor(root) {
    this.canvas = root.querySelector(".df-shares");
    this.columns = [];
    onWidth(this.canvas, (width) => {
      this.width = width;
      this.draw();
    });
  }

  open() {
    this.columns = [];
    this.draw();
  }

  show(history, { layer, head }) {
    const probed = history.summaries.filter(({ byRole }) => byRole);
    this.columns = probed.map(({ seconds, end, byRole }) => ({ seconds, end, mass: history.mass(byRole, ROLES.length, layer, head) }));
    this.draw();
  }

  x(seconds) {
    const end = this.columns.at(-1).end;
    return LEFT + ((this.width - LEFT) * seconds) / end;
  }

  draw() {
    if (!this.width) return;
    const colour = inks(this.canvas);
    const context = sheet(this.canvas, this.width, HEIGHT);
    if (!this.columns.length) return;
    const high = HEIGHT - BOTTOM;
    for (const { seconds, end, mass } of this.columns) {
      let top = high;
      ROLES.forEach((role, i) => {
        context.fillStyle = colour(`role-${role}`);
        context.globalAlpha = i ? 0.45 : 0.9;
        context.fillRect(this.x(seconds), top - high * mass[i], this.x(end) - this.x(seconds) + 0.4, high * mass[i]);
        top -= high * mass[i];
      });
    }
    Object.assign(context, { globalAlpha: 1, fillStyle: colour("soft"), textAlign: "right" });
    for (const share of [0, 0.5, 1]) context.fillText(`${100 * share} %`, LEFT - 5, high * (1 - share) + (share === 1 ? 9 : 4));
    const end = this.columns.at(-1).end;
    const every = [5, 10, 15, 30, 60, 120].find((size) => end / size <= 10) ?? 300;
    context.textAlign = "center";
    for (let at = every; at < end; at += every) context.fillText(`${at} s`, this.x(at), HEIGHT - 5);
    const latest = this.columns.at(-1).mass;
    const spoken = ROLES.map((role, i) => `${role} ${Math.round(100 * latest[i])} %`).join(", ");
    this.canvas.setAttribute("aria-label", `Attention over time. Latest: ${spoken}.`);
  }
}
