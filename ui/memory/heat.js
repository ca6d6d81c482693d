// Who attends to one latent frame: its attention mass by layer and head, darker or brighter the more.

import { inks, onWidth, sheet } from "../look/canvas.js";
import { massOn } from "./token.js";

const [LEFT, TOP] = [42, 16]; // pixels, for the numbers of layers and heads
const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 2 : 1)} %`;

export class Heat {
  constructor(root) {
    const find = (name) => root.querySelector(`.df-heat-${name}`);
    Object.assign(this, { canvas: find("map"), name: find("name"), words: find("words"), read: find("read") });
    const { canvas } = this;
    onWidth(canvas, (width) => {
      this.width = width;
      this.draw();
    });
    canvas.addEventListener("pointermove", (event) => this.choose(this.under(event)));
    for (const event of ["pointerleave", "blur"]) canvas.addEventListener(event, () => this.choose(null));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  open(run) {
    this.size = Math.max(7, Math.min(22, 170 / run.layers.length)); // of a cell's height, pixels
    Object.assign(this, { run, followed: null, pointed: null, chunk: null, cell: null });
    this.canvas.style.height = `${TOP + this.size * run.layers.length}px`;
    this.update();
  }

  // The followed token's frame, and the one that is pointed at, which goes before; null for none.
  frames({ followed = this.followed, pointed = this.pointed }) {
    if (followed === this.followed && pointed === this.pointed) return;
    Object.assign(this, { followed, pointed });
    this.update();
  }

  show(chunk, history) {
    Object.assign(this, { chunk, columns: history.columns });
    this.update();
  }

  update() {
    const { chunk, columns, run } = this;
    const latent = this.pointed ?? this.followed;
    const known = latent !== null && chunk?.attention;
    const on = (layer, head) => massOn(chunk, latent, layer, head, columns);
    this.mass = known ? run.layers.map((_, i) => run.heads.map((_, j) => on(i + 1, j + 1))) : null;
    this.name.textContent = latent === null ? "a frame" : `latent frame ${latent}`;
    this.words.textContent = this.inWords(latent, known && on(0, 0));
    this.tell();
    this.draw();
  }

  inWords(latent, mean) {
    if (latent === null) return "Point at a frame that the cache keeps, or reach it by keys, to see which layers and heads look at it.";
    if (!this.mass) return this.chunk ? "Attention was not measured in this run." : "";
    this.most = Math.max(...this.mass.flat());
    if (!this.most) return "The chunk on screen does not look at this frame.";
    const layer = this.mass.findIndex((row) => row.includes(this.most));
    const [strongest, head] = [this.run.layers[layer] + 1, this.run.heads[this.mass[layer].indexOf(this.most)] + 1];
    return `Most in layer ${strongest}, head ${head}: ${percent(this.most)} of its attention. Mean of all: ${percent(mean)}.`;
  }

  tell() {
    const { cell, mass, run } = this;
    const [row, column] = cell ?? [];
    const shown = cell && mass && `Layer ${run.layers[row] + 1}, head ${run.heads[column] + 1}: ${percent(mass[row][column])}`;
    this.read.textContent = shown || (mass ? "Point at a cell, or use the arrow keys, for its value." : "");
  }

  choose(cell) {
    this.cell = cell;
    this.tell();
    this.draw();
  }

  under({ offsetX, offsetY }) {
    const { run } = this;
    const row = Math.floor((offsetY - TOP) / this.size);
    const column = Math.floor(((offsetX - LEFT) / (this.width - LEFT)) * run.heads.length);
    return run.layers[row] === undefined || run.heads[column] === undefined ? null : [row, column];
  }

  key(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step || !this.mass) return;
    event.preventDefault();
    const within = (at, count) => Math.max(0, Math.min(count - 1, at));
    const [row, column] = this.cell ?? [-step[0], -step[1]];
    this.choose([within(row + step[0], this.run.layers.length), within(column + step[1], this.run.heads.length)]);
  }

  draw() {
    const { canvas, run, mass, cell, size, width } = this;
    if (!run || !width) return;
    const [context, colour] = [sheet(canvas, width, TOP + size * run.layers.length), inks(canvas)];
    const wide = (width - LEFT) / run.heads.length;
    Object.assign(context, { fillStyle: colour("soft"), font: "10px system-ui, sans-serif", textBaseline: "middle" });
    const every = Math.ceil(10 / size); // a number to a layer, where there is room
    run.layers.forEach((layer, i) => i % every || context.fillText(`${i ? "" : "layer "}${layer + 1}`, 0, TOP + (i + 0.5) * size));
    context.fillText("head", 0, TOP / 2 - 1);
    context.textAlign = "center";
    run.heads.forEach((head, j) => context.fillText(head + 1, LEFT + (j + 0.5) * wide, TOP / 2 - 1));
    run.layers.forEach((_, i) => run.heads.forEach((_, j) => {
      const share = mass && this.most ? mass[i][j] / this.most : 0;
      context.globalAlpha = share ? 0.12 + 0.88 * share : 0.45;
      context.fillStyle = colour(share ? "role-sink" : "line");
      context.fillRect(LEFT + j * wide, TOP + i * size, wide - 1.5, size - 1.5);
    }));
    context.globalAlpha = 1;
    Object.assign(context, { strokeStyle: colour("ink"), lineWidth: 2 });
    if (cell && mass) context.strokeRect(LEFT + cell[1] * wide + 1, TOP + cell[0] * size + 1, wide - 3.5, size - 3.5);
  }
}
