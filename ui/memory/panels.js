// The Plotly panels. Figures come empty from figures.py; here only arrays are filled in.

import { pick, ROLES } from "./history.js";
import { shares } from "./packing.js";

const MOST_COLUMNS = 240; // of the life map, in time
const MOST_ROWS = 160; // of the life map, in frames
const LATELY_SECONDS = 30;
const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset" };

export class Panels {
  constructor(root, figures, theme) {
    this.figures = figures;
    this.theme = theme; // () -> "light" | "dark"
    this.plots = Object.fromEntries([...root.querySelectorAll("[data-plot]")].map((e) => [e.dataset.plot, e]));
    this.queue = new Map(); // plot name -> [arrays for its traces, change to its layout]; the latest wins
    this.drawing = false;
    this.hidden = new Map(); // the same, of plots that cannot be seen: drawn when they can
    this.widths = Object.fromEntries(Object.entries(this.plots).map(([name, place]) => [name, place.clientWidth]));
    const sizes = new ResizeObserver((entries) => entries.forEach((entry) => this.resized(entry)));
    Object.values(this.plots).forEach((place) => sizes.observe(place));
  }

  // Draw one panel a frame, so that video never waits for plots.
  draw(name, fill, adjust = () => {}) {
    if (!window.Plotly) return;
    this.hidden.delete(name);
    if (!this.widths[name]) return void this.hidden.set(name, [fill, adjust]);
    this.queue.set(name, [fill, adjust]);
    if (!this.drawing) requestAnimationFrame(() => this.drawNext());
    this.drawing = true;
  }

  resized({ target, contentRect }) {
    const name = target.dataset.plot;
    this.widths[name] = contentRect.width;
    if (contentRect.width && this.hidden.has(name)) this.draw(name, ...this.hidden.get(name));
  }

  // Axes without data; a plot's first drawing is slow, so it is done before there is a video to disturb.
  clear() {
    for (const [name, place] of Object.entries(this.plots)) {
      place.dataset.drawn = 0;
      this.draw(name, null);
    }
  }

  async drawNext() {
    const [name, [fill, adjust]] = this.queue.entries().next().value;
    this.queue.delete(name);
    const figure = this.figures[this.theme()][name];
    const data = figure.data.map((trace, i) => ({ ...trace, ...fill?.[i] }));
    const place = this.plots[name];
    const layout = structuredClone(figure.layout);
    adjust(layout);
    try {
      await window.Plotly.react(place, data, layout, CONFIG);
      if (fill) place.dataset.drawn = Number(place.dataset.drawn) + 1;
    } finally {
      this.drawing = this.queue.size > 0;
      if (this.drawing) requestAnimationFrame(() => this.drawNext());
    }
  }

  showChunk(chunk, history, { layer, head }) {
    const attention = chunk.attention;
    if (!attention) return;
    const y = history.mass(shares(attention.mass), attention.frames.length, layer, head);
    const colours = roleColours(this.plots.attention);
    const fill = { x: attention.frames.map(String), y: [...y], customdata: attention.roles };
    this.draw("attention", [{ ...fill, marker: { color: attention.roles.map((role) => colours[role]) } }]);
  }

  showHistory(history, { layer, head, lately }) {
    const columns = every(history.summaries, MOST_COLUMNS);
    this.draw("shares", this.fillShares(columns, history, layer, head));
    if (lately) this.showLately(history, layer);
    else this.showWholeRun(columns, layer);
  }

  showWholeRun(columns, layer) {
    const fill = this.fillLife(columns, layer, allRows(columns));
    // The first chunk is shorter than the rest; columns of equal width let Plotly draw one pixel a cell, which is much faster.
    if (columns.length > 2) fill.x[0] = 2 * fill.x[1] - fill.x[2];
    this.draw("life", [fill], (layout) => (layout.xaxis.range = [0, fill.x.at(-1)]));
  }

  // The last seconds only, and only the frames that lived then: their rows follow each other without gaps.
  showLately(history, layer) {
    const from = history.summaries.at(-1).end - LATELY_SECONDS;
    const columns = history.summaries.filter((summary) => summary.seconds >= from);
    const frames = [...new Set(columns.flatMap((summary) => [...summary.frames, ...own(summary)]))].sort((a, b) => a - b);
    const row = new Map(frames.map((latent, i) => [latent, i]));
    const fill = this.fillLife(columns, layer, { y: frames.map(String), row: (latent) => row.get(latent) });
    this.draw("life", [fill], (layout) => {
      layout.yaxis.type = "category";
      layout.xaxis.rangemode = "normal";
    });
  }

  fillShares(columns, history, layer, head) {
    const probed = columns.filter((summary) => summary.byRole);
    if (!probed.length) return ROLES.map(() => ({}));
    const means = probed.map((summary) => history.mass(summary.byRole, ROLES.length, layer, head));
    return ROLES.map((_, role) => ({ x: edges(probed), y: [...means, means.at(-1)].map((mean) => mean[role]) }));
  }

  fillLife(columns, layer, rows) {
    const blank = () => rows.y.map(() => new Array(columns.length).fill(null));
    const [z, customdata] = [blank(), blank()];
    const put = (latent, column, role, share) => {
      const row = rows.row(latent);
      if (share <= 0 || share <= (customdata[row][column] ?? 0)) return;
      customdata[row][column] = share;
      z[row][column] = ROLES.indexOf(role) + Math.min(Math.max(share, 0.01), 1);
    };
    columns.forEach((summary, column) => {
      const alive = pick(summary.alive, summary.frames.length, layer);
      summary.frames.forEach((latent, i) => put(latent, column, summary.roles[i], alive[i]));
      own(summary).forEach((latent) => put(latent, column, "current", 1));
    });
    return { x: edges(columns), y: rows.y, z, customdata };
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

// The frames of the chunk itself.
function own(summary) {
  return Array.from({ length: summary.own[1] - summary.own[0] }, (_, i) => summary.own[0] + i);
}

// Rows of the life map for all frames so far; several frames share a row when there are many.
function allRows(columns) {
  const latest = columns.at(-1).own[1];
  const step = Math.ceil(latest / MOST_ROWS);
  const y = Array.from({ length: Math.ceil(latest / step) }, (_, row) => row * step);
  return { y, row: (latent) => Math.floor(latent / step) };
}

// Where each chunk begins, and where the last one ends, in seconds.
function edges(summaries) {
  return [...summaries.map((summary) => summary.seconds), summaries.at(-1).end];
}

// Evenly spaced items, about `count`, the first and the last always among them.
function every(items, count) {
  const step = Math.ceil(items.length / count);
  return items.filter((_, i) => i === 0 || (items.length - 1 - i) % step === 0);
}
