// A curve to draw: press and drag, or left and right to choose a point, up and down to move it.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, EDGE] = [420, 200, 12];
const STEP = 0.05;

class Pad {
  constructor(element, tell) {
    this.tell = tell;
    this.host = element.querySelector(".sketch");
    this.svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "slider", "aria-valuemin": 0, "aria-valuemax": 100 });
    this.line = this.svg.appendChild(node("path", {}));
    this.dot = this.svg.appendChild(node("circle", { r: 6 }));
    this.label = document.createElement("p");
    this.host.append(this.svg, this.label);
    this.svg.addEventListener("pointerdown", (event) => this.svg.setPointerCapture(event.pointerId));
    for (const kind of ["pointerdown", "pointermove"]) this.svg.addEventListener(kind, (event) => event.buttons && this.draw(event));
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  // From the server: another pad, or this one locked.
  take(text) {
    if (text === this.told) return;
    const pad = JSON.parse(text || "null");
    if (!pad) return;
    Object.assign(this, pad, { at: 0, before: null });
    this.svg.setAttribute("aria-label", `Curve: ${pad.y}, by ${pad.x}. Left and right choose a point, up and down move it.`);
    this.svg.setAttribute("aria-disabled", pad.locked);
    this.label.textContent = `up: ${pad.y} · across: ${pad.x}`;
    this.show();
  }

  draw(event) {
    const box = this.svg.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * WIDTH - EDGE;
    const to = clamp(Math.round((across / (WIDTH - 2 * EDGE)) * (this.points.length - 1)), this.points.length - 1);
    const height = clamp(1 - (((event.clientY - box.top) / box.height) * HEIGHT - EDGE) / (HEIGHT - 2 * EDGE), 1);
    const from = event.type === "pointermove" ? this.at : to; // points that a quick stroke skips come along
    const [was, span] = [this.points[from], Math.max(1, Math.abs(to - from))];
    for (let i = from === to ? 1 : 0; i <= span; i++) this.move(from + Math.round(((to - from) * i) / span), was + ((height - was) * i) / span);
    this.move(to, height);
  }

  key(event) {
    const [across, up] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] }[event.key] ?? [];
    if (across === undefined) return;
    event.preventDefault();
    const at = clamp(this.at + across, this.points.length - 1);
    this.move(at, clamp(this.points[at] + up, 1));
  }

  move(at, height) {
    if (this.locked) return;
    this.at = at;
    this.points[at] = height;
    const { points, x, y, locked } = this;
    this.told = JSON.stringify({ points, x, y, locked });
    this.tell({ points, x, y, locked });
    this.show();
  }

  show() {
    const place = (i) => [EDGE + (i * (WIDTH - 2 * EDGE)) / (this.points.length - 1), EDGE + (1 - this.points[i]) * (HEIGHT - 2 * EDGE)];
    const spots = this.points.map((_, i) => place(i).map((value) => value.toFixed(1)).join(" "));
    this.line.setAttribute("d", `M${spots.join("L")}`);
    const [cx, cy] = place(this.at);
    Object.entries({ cx, cy }).forEach(([name, value]) => this.dot.setAttribute(name, value));
    const percent = Math.round(100 * this.points[this.at]);
    this.svg.setAttribute("aria-valuenow", percent);
    this.svg.setAttribute("aria-valuetext", `point ${this.at + 1} of ${this.points.length}: ${percent} %`);
  }
}

const clamp = (value, most) => Math.max(0, Math.min(value, most));

function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function mount(element, props, watch, tell) {
  const pad = new Pad(element, tell);
  const take = () => pad.take(props.value);
  watch(take);
  take();
}
