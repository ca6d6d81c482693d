// A small line chart in SVG: one line a runner over the seconds of video, and a needle at the playhead.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [420, 168];
const PLOT = { left: 60, right: 10, top: 10, bottom: 26 };
const DASHES = ["", "7 4", "2 3", "9 3 2 3"]; // besides colour, for eyes that do not tell colours apart

export class Lines {
  // title, what: for people; format: number -> text; mark: a value that a thin line is drawn at.
  constructor(host, { title, what, format, mark = null }) {
    Object.assign(this, { title, what, format, mark });
    const article = document.createElement("article");
    article.append(tag("h3", title), tag("p", what));
    this.svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    this.grid = this.svg.appendChild(node("g", { class: "lines-grid" }));
    this.marked = this.svg.appendChild(node("line", { class: "lines-mark" }));
    this.paths = this.svg.appendChild(node("g", {}));
    this.pointer = this.svg.appendChild(node("line", { class: "lines-needle", visibility: "hidden" }));
    article.append(this.svg);
    host.append(article);
  }

  open(labels) {
    this.labels = labels;
    this.points = labels.map(() => []); // [seconds, value]
    this.end = 0;
    const path = (i) => node("path", { class: "lines-line", "data-runner": i, "stroke-dasharray": DASHES[i] });
    this.paths.replaceChildren(...labels.map((_, i) => path(i)));
    this.pointer.setAttribute("visibility", "hidden");
    this.draw();
  }

  // A round that ends at `seconds`: a value for each runner, null where nothing is known.
  add(seconds, values) {
    this.end = seconds;
    values.forEach((value, i) => this.points[i].push([seconds, value]));
    this.draw();
  }

  draw() {
    const values = this.points.flat().flatMap(([, value]) => value ?? []);
    this.empty = !values.length;
    this.span = scale([...values, ...(this.mark === null ? [] : [this.mark])]);
    this.until = Math.max(10, this.end);
    this.points.forEach((points, i) => this.paths.children[i].setAttribute("d", this.trace(points)));
    this.grid.replaceChildren(...this.ticks());
    const y = this.mark === null || this.empty ? -9 : this.y(this.mark);
    place(this.marked, { x1: PLOT.left, x2: WIDTH - PLOT.right, y1: y, y2: y });
    const latest = this.labels.map((label, i) => `${label} ${this.spoken(this.points[i].at(-1)?.[1] ?? null)}`);
    this.svg.setAttribute("aria-label", `${this.title}. Latest: ${latest.join(", ")}.`);
  }

  spoken(value) {
    return value === null ? "not known" : this.format(value);
  }

  // The line is broken where nothing is known.
  trace(points) {
    const goesOn = (i) => i > 0 && points[i - 1][1] !== null;
    const step = ([x, y], i) => (y === null ? "" : `${goesOn(i) ? "L" : "M"}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`);
    return points.map(step).join("");
  }

  x(seconds) {
    return PLOT.left + ((WIDTH - PLOT.left - PLOT.right) * seconds) / this.until;
  }

  y(value) {
    const [low, high] = this.span;
    return HEIGHT - PLOT.bottom - ((HEIGHT - PLOT.top - PLOT.bottom) * (value - low)) / (high - low);
  }

  ticks() {
    const [low, high, step] = this.span;
    const parts = [];
    if (this.empty) parts.push(text(WIDTH / 2, HEIGHT / 2, "not known yet", "middle"));
    for (let value = low; !this.empty && value <= high + step / 2; value += step) {
      const y = this.y(value);
      parts.push(node("line", { x1: PLOT.left, x2: WIDTH - PLOT.right, y1: y, y2: y }));
      parts.push(text(PLOT.left - 6, y + 4, this.format(value), "end"));
    }
    const every = [5, 10, 15, 30, 60, 120].find((size) => this.until / size <= 6) ?? 300;
    for (let at = 0; at <= this.until; at += every) {
      const anchor = at === 0 ? "start" : this.x(at) > WIDTH - PLOT.right - 14 ? "end" : "middle";
      parts.push(text(this.x(at), HEIGHT - 8, `${at} s`, anchor));
    }
    return parts;
  }

  needle(seconds) {
    const x = this.x(Math.min(seconds, this.until));
    place(this.pointer, { x1: x, x2: x, y1: PLOT.top, y2: HEIGHT - PLOT.bottom, visibility: "visible" });
  }
}

// [low, high, step] of an axis from 0 with two to four steps.
function scale(values) {
  const most = Math.max(1e-6, ...values);
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [0.25, 0.5, 1, 2, 2.5, 5].map((size) => size * power).find((size) => most / size <= 4);
  return [0, step * Math.ceil(most / step - 1e-9), step];
}

function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  place(made, attributes);
  return made;
}

function place(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function text(x, y, content, anchor) {
  const made = node("text", { x, y, "text-anchor": anchor });
  made.textContent = content;
  return made;
}

function tag(name, content) {
  const made = document.createElement(name);
  made.textContent = content;
  return made;
}
