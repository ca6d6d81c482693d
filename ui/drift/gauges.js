// The drift gauges: a number, its words and its course for each, and a list of the places where the video jumped.

import { inks, sheet } from "../look/canvas.js";

export class Gauges {
  // gauges: what gauges.py says of each.
  constructor(root, gauges, controls) {
    this.note = root.querySelector(".df-gauge-note");
    this.symptoms = root.querySelector(".df-symptoms");
    this.controls = controls;
    const parent = root.querySelector(".df-gauges");
    this.gauges = gauges.map((gauge) => ({ ...gauge, ...newElements(gauge.title, parent, "canvas") }));
    for (const { box, what } of this.gauges) {
      Object.assign(box, { tabIndex: 0, title: what }).setAttribute("role", "img");
      for (const event of ["focus", "pointerenter"]) box.addEventListener(event, () => (this.note.textContent = what));
      for (const event of ["blur", "pointerleave"]) box.addEventListener(event, () => this.explain());
    }
    this.jumps = newElements("Jumps", parent, "select");
    this.jumps.tool.setAttribute("aria-label", "Go to a jump");
    this.jumps.tool.addEventListener("change", ({ target }) => target.value && controls.player.seek(Number(target.value)));
    this.open();
  }

  open(run) {
    this.symptoms.textContent = run?.broken ?? "";
    this.jumps.tool.replaceChildren(new Option("go to ...", ""));
    for (const gauge of this.gauges) write(gauge, { shown: "–", level: 0, words: "not enough video yet" });
    write(this.jumps, { shown: "–", level: 0, words: "sudden changes, on the track too" });
    this.explain("");
  }

  // Marks of a chunk that has arrived.
  take({ gauges }) {
    for (const { frame, kind, words } of gauges?.marks ?? []) {
      this.controls.flag(frame, words, words, kind);
      this.jumps.tool.append(new Option(words.split(":")[0], frame));
    }
    if (gauges) this.jumps.shown.textContent = this.jumps.tool.options.length - 1;
  }

  show({ gauges, seconds, first, count, run }, history) {
    if (!gauges) return this.explain("This run was not measured.");
    const words = [run.broken, gauges.symptom].join(" ");
    if (this.symptoms.textContent !== words) this.symptoms.textContent = words; // told aloud when it changes
    const points = history.summaries.filter(({ readings }) => readings);
    const [now, end] = [(first + count) / history.run.fps, points.at(-1).end];
    const sizes = this.gauges.map(({ tool }) => [tool.clientWidth, tool.clientHeight]); // before anything changes
    this.gauges.forEach((gauge, i) => {
      write(gauge, gauges.readings[gauge.name]);
      drawCurve(gauge, sizes[i], points.map((point) => [point.end, point.readings[gauge.name].value]), now, end);
    });
    const share = (100 * gauges.seconds) / (seconds.dit + seconds.decode);
    const start = gauges.start ? `The start: ${gauges.start.map((at) => at.toFixed(1)).join(" to ")} s. ` : "";
    this.explain(`${start}Measuring took ${share.toFixed(1)} % of the time that this chunk took.`);
  }

  explain(summary = this.summary) {
    this.note.textContent = this.summary = summary;
  }
}

function newElements(title, parent, tag) {
  const make = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });
  const [box, shown, tool, words] = [make("div"), make("b"), make(tag), make("em")];
  box.className = "df-gauge";
  box.append(make("span", title), shown, tool, words);
  parent.append(box);
  return { box, shown, tool, words };
}

function write({ box, title, what, shown, words }, reading) {
  box.dataset.level = reading.level;
  shown.textContent = reading.shown;
  words.textContent = reading.words;
  if (what) box.setAttribute("aria-label", `${title}: ${reading.shown}, ${reading.words}. ${what}`);
}

// The course over the whole run, [seconds, value or null] of each chunk, and a dot at the chunk on screen.
function drawCurve({ tool: canvas, axis, normal }, [width, height], points, now, end) {
  if (!width) return;
  const [context, colour] = [sheet(canvas, width, height), inks(canvas)];
  const known = points.filter(([, value]) => value !== null);
  const values = known.map(([, value]) => value);
  const [low, high] = [Math.min(axis[0], ...values), Math.max(axis[1], ...values)];
  const x = (at) => 4 + (at / end) * (width - 8);
  const y = (value) => 4 + ((high - value) / (high - low)) * (height - 8);
  context.fillStyle = colour("band");
  context.fillRect(0, y(normal[1]), width, y(normal[0]) - y(normal[1]));
  context.strokeStyle = context.fillStyle = colour("ink");
  context.lineWidth = 1.5;
  points.forEach(([at, value], i) => {
    if (!i || value === null || points[i - 1][1] === null) return;
    context.moveTo(x(points[i - 1][0]), y(points[i - 1][1]));
    context.lineTo(x(at), y(value));
  });
  context.stroke();
  const shown = known.filter(([at]) => at <= now + 1e-6).at(-1);
  context.beginPath();
  if (shown) context.arc(x(shown[0]), y(shown[1]), 3.5, 0, 7);
  context.fill();
}
