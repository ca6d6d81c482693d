// The Plotly panels. Figures come empty from ui/figures.py; here only arrays are filled in.

import { ROLES } from "./history.js";
import { shares } from "./packed.js";

const MOST_COLUMNS = 240; // of the life map, in time
const MOST_ROWS = 160; // of the life map, in frames
const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset" };

export class Panels {
  constructor(root, figures, theme) {
    this.figures = figures;
    this.theme = theme; // () -> "light" | "dark"
    this.plots = Object.fromEntries([...root.querySelectorAll("[data-plot]")].map((e) => [e.dataset.plot, e]));
    this.queue = new Map(); // plot name -> traces to draw; the latest wins
    this.drawing = false;
  }

  // Draw one panel a frame, so that video never waits for plots.
  draw(name, fill) {
    if (!window.Plotly) return;
    this.queue.set(name, fill);
    if (!this.drawing) requestAnimationFrame(() => this.drawNext());
    this.drawing = true;
  }

  // Axes without data; a plot's first drawing is slow, so it is done before there is a video to disturb.
  clear() {
    for (const [name, place] of Object.entries(this.plots)) {
      place.dataset.drawn = 0;
      this.draw(name, null);
    }
  }

  async drawNext() {
    const [name, fill] = this.queue.entries().next().value;
    this.queue.delete(name);
    const figure = this.figures[this.theme()][name];
    const data = figure.data.map((trace, i) => ({ ...trace, ...fill?.[i] }));
    const place = this.plots[name];
    await window.Plotly.react(place, data, structuredClone(figure.layout), CONFIG);
    if (fill) place.dataset.drawn = Number(place.dataset.drawn) + 1;
    this.drawing = this.queue.size > 0;
    if (this.drawing) requestAnimationFrame(() => this.drawNext());
  }

  showChunk(chunk, history, { layer, head }) {
    const attention = chunk.attention;
    if (!attention) return;
    const y = history.meanMass(shares(attention.mass), attention.frames.length, layer, head);
    const colours = roleColours(this.plots.attention);
    const fill = { x: attention.frames.map(String), y: [...y], customdata: attention.roles };
    this.draw("attention", [{ ...fill, marker: { color: attention.roles.map((role) => colours[role]) } }]);
  }

  showHistory(history, { layer, head }) {
    const columns = every(history.summaries, MOST_COLUMNS);
    this.draw("shares", this.fillShares(columns, history, layer, head));
    this.draw("life", [this.fillLife(columns, history, layer)]);
  }

  fillShares(columns, history, layer, head) {
    const probed = columns.filter((summary) => summary.byRole);
    if (!probed.length) return ROLES.map(() => ({}));
    const means = probed.map((summary) => history.meanMass(summary.byRole, ROLES.length, layer, head));
    return ROLES.map((_, role) => ({ x: edges(probed), y: [...means, means.at(-1)].map((mean) => mean[role]) }));
  }

  fillLife(columns, history, layer) {
    const latest = columns.at(-1).own[1];
    const step = Math.ceil(latest / MOST_ROWS); // latent frames a row
    const rows = Math.ceil(latest / step);
    const blank = () => Array.from({ length: rows }, () => new Array(columns.length).fill(null));
    const [z, customdata] = [blank(), blank()];
    const put = (latent, column, role, share) => {
      const row = Math.floor(latent / step);
      if (share <= 0 || share <= (customdata[row][column] ?? 0)) return;
      customdata[row][column] = share;
      z[row][column] = ROLES.indexOf(role) + Math.min(Math.max(share, 0.01), 1);
    };
    columns.forEach((summary, column) => {
      const alive = history.meanLayer(summary.alive, summary.frames.length, layer);
      summary.frames.forEach((latent, i) => put(latent, column, summary.roles[i], alive[i]));
      for (let latent = summary.own[0]; latent < summary.own[1]; latent++) put(latent, column, "current", 1);
    });
    const y = Array.from({ length: rows }, (_, row) => row * step);
    return { x: edges(columns), y, z, customdata };
  }

  // A line at the playhead over the panels that have time as their x-axis; no plot is redrawn for it.
  needle(seconds) {
    for (const name of ["shares", "life"]) {
      const place = this.plots[name];
      const axis = place._fullLayout?.xaxis;
      const line = place.parentElement.querySelector(".needle");
      const x = axis ? axis._offset + axis.c2p(seconds) : -1;
      line.hidden = !axis || x < axis._offset || x > axis._offset + axis._length;
      line.style.transform = `translateX(${x}px)`;
    }
  }
}

export function roleColours(element) {
  const style = getComputedStyle(element);
  return Object.fromEntries(ROLES.map((role) => [role, style.getPropertyValue(`--role-${role}`).trim()]));
}

// Where each chunk begins, and where the last one ends, in seconds.
function edges(summaries) {
  return [...summaries.map((summary) => summary.seconds), summaries.at(-1).end];
}

// At most `count` of the items, evenly spaced, the last one always among them.
function every(items, count) {
  const step = Math.ceil(items.length / count);
  return items.filter((_, i) => (items.length - 1 - i) % step === 0);
}
