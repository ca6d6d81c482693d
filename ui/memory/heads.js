// All layers and heads at a glance: attention by frame for each, its sink mass, and which are deep sinks.

import { inks, sheet } from "../look/canvas.js";
import { ROLES } from "./history.js";
import { shares } from "./packing.js";

const DEEP = 0.25; // the least sink mass of a deep sink,
const BEYOND = 0.5; // and the part of it that has to lie beyond the first chunk, not on the first frames alone
const HEIGHT = 30; // of a cell's bars, pixels

export class Heads {
  constructor(root, pick) {
    this.root = root.querySelector(".df-grid");
    this.empty = root.querySelector(".df-heads-empty");
    this.pick = pick;
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  // Row 0 and column 0 are means, as everywhere.
  open({ layers, heads, chunk_frames }) {
    Object.assign(this, { chunkFrames: chunk_frames, columns: heads.length + 1, cells: [] });
    const [rows, columns] = [["mean", ...layers.map((n) => n + 1)], ["mean", ...heads.map((n) => n + 1)]];
    this.root.style.setProperty("--columns", columns.length);
    this.root.replaceChildren(label("layer / head"), ...columns.map(label));
    rows.forEach((layer, row) => {
      this.root.append(label(layer));
      columns.forEach((head, column) => this.root.append(this.newCell(layer, head, row, column)));
    });
    this.say("Cells appear with the first chunk.");
  }

  newCell(layer, head, row, column) {
    const button = document.createElement("button");
    const [bars, number, spoken] = ["canvas", "span", "small"].map((tag) => document.createElement(tag));
    number.ariaHidden = true;
    button.append(bars, number, spoken);
    Object.assign(button, { type: "button", tabIndex: this.cells.length ? -1 : 0 });
    button.addEventListener("click", () => this.pick(row, column));
    const name = `${layer === "mean" ? "all layers" : `layer ${layer}`}, ${head === "mean" ? "all heads" : `head ${head}`}`;
    this.cells.push({ button, bars, number, spoken, name, row, column });
    return button;
  }

  say(text) {
    this.empty.textContent = text;
    this.root.hidden = Boolean(text);
  }

  show({ attention }, history, { layer, head }) {
    if (!attention) return this.say("Attention was not measured in this run.");
    this.say("");
    if (!this.root.clientWidth) return; // its drawer is closed
    const mass = shares(attention.mass);
    const colour = inks(this.root);
    const width = this.cells[0].bars.clientWidth; // asked once, before anything changes: a layout takes time
    this.cells.forEach((cell, i) => {
      const own = mass.subarray(i * attention.frames.length, (i + 1) * attention.frames.length);
      const { sink, deep } = sinkOf(own, attention, this.chunkFrames);
      const marked = deep && cell.row > 0 && cell.column > 0;
      cell.number.textContent = `${Math.round(100 * sink)} %`;
      cell.number.className = marked ? "df-deep" : "";
      cell.spoken.textContent = `${cell.name}: sink mass ${cell.number.textContent}${marked ? ", a deep sink" : ""}`;
      cell.button.title = cell.spoken.textContent;
      cell.button.setAttribute("aria-pressed", cell.row === layer && cell.column === head);
      drawBars(cell.bars, width, own, attention.roles, colour);
    });
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[event.key];
    const at = this.cells.findIndex(({ button }) => button === document.activeElement);
    const to = this.cells[at + step];
    if (!to) return;
    event.preventDefault();
    this.cells[at].button.tabIndex = -1;
    to.button.tabIndex = 0;
    to.button.focus();
  }
}

// A deep sink looks at many of the first frames, not only at the very first as language models do.
function sinkOf(mass, { frames, roles }, chunkFrames) {
  let [sink, beyond] = [0, 0];
  mass.forEach((share, i) => {
    if (roles[i] !== "sink") return;
    sink += share;
    if (frames[i] >= chunkFrames) beyond += share;
  });
  return { sink, deep: sink >= DEEP && beyond > BEYOND * sink };
}

function drawBars(canvas, width, mass, roles, colour) {
  const highest = mass.reduce((one, other) => Math.max(one, other), 1e-6);
  const context = sheet(canvas, width, HEIGHT);
  context.scale(width / mass.length, HEIGHT / highest);
  for (const role of ROLES) {
    context.beginPath();
    mass.forEach((share, i) => roles[i] === role && context.rect(i, highest - share, 0.85, share));
    context.fillStyle = colour(`role-${role}`);
    context.fill();
  }
}

function label(text) {
  return Object.assign(document.createElement("span"), { textContent: text });
}
