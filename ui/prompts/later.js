// Rows of a time and a prompt, and a strip that shows which prompt holds when.

const TIME = /^\s*((\d+:)?\d+:\d{1,2}(\.\d+)?|(?=.*\d)(\d+h)?(\d+m)?(\d+(\.\d+)?s?)?)\s*$/i; // as `read_time` reads it
const isTime = (text) => text.split("..").length < 3 && text.split("..").every((part) => TIME.test(part)); // `read_span`
const STEP_SECONDS = 10; // a new row is so much later than the last

class Later {
  constructor(element, most, tell) {
    this.find = (name) => element.querySelector(`.lp-${name}`);
    this.most = most;
    this.tell = tell; // (rows, whether a row is done) to the server
    this.rows = [];
    this.find("add").addEventListener("click", () => this.add());
  }

  // Rows that did not come from here.
  take(text) {
    const rows = JSON.parse(text || "[]");
    if (text === this.told || JSON.stringify(rows) === JSON.stringify(this.rows)) return;
    this.rows = rows;
    this.draw();
  }

  add() {
    const last = this.rows.length ? seconds(this.rows.at(-1).at) : 0;
    this.rows.push({ at: shown((last || 0) + STEP_SECONDS), prompt: "" });
    this.draw();
    this.find("rows").lastElementChild.querySelector(".lp-text").focus();
    this.changed(false);
  }

  remove(index) {
    this.rows.splice(index, 1);
    this.draw();
    const rest = this.find("rows").children;
    (rest[Math.min(index, rest.length - 1)]?.querySelector(".lp-remove") ?? this.find("add")).focus();
    this.changed(true);
  }

  changed(done) {
    this.strip();
    this.told = JSON.stringify(this.rows);
    this.tell(this.rows, done);
  }

  draw() {
    this.find("rows").replaceChildren(...this.rows.map((row, index) => this.row(row, index)));
    this.find("add").hidden = this.rows.length >= this.most;
    this.strip();
  }

  row(row, index) {
    const item = document.createElement("li");
    const at = field("lp-at", row.at, `Time of prompt ${index + 2}`, "0:10");
    const text = field("lp-text", row.prompt, `Prompt ${index + 2}`, "What the video shows from then on");
    at.inputMode = "text";
    at.maxLength = 24;
    at.title = "When it begins, such as 0:10; or from when to when it melts in, such as 0:10..0:14";
    const remove = document.createElement("button");
    Object.assign(remove, { type: "button", className: "lp-remove", textContent: "×" });
    remove.setAttribute("aria-label", `Remove prompt ${index + 2}`);
    remove.addEventListener("click", () => this.remove(index));
    for (const [input, name] of [[at, "at"], [text, "prompt"]]) {
      input.addEventListener("input", () => ((row[name] = input.value), this.changed(false)));
      input.addEventListener("change", () => (at.setAttribute("aria-invalid", !isTime(at.value)), this.changed(true)));
    }
    item.append("at ", at, text, remove);
    return item;
  }

  // One piece a prompt, as long as it holds; the last one as long as the mean of the others.
  strip() {
    const strip = this.find("strip");
    const starts = [0, ...this.rows.map(({ at }) => seconds(at))];
    strip.hidden = starts.length < 2 || starts.some((start, i) => !(start > (starts[i - 1] ?? -1)));
    if (strip.hidden) return;
    const end = starts.at(-1) * (starts.length / (starts.length - 1));
    const pieces = starts.map((start, i) => {
      const piece = document.createElement("span");
      piece.style.flexGrow = (starts[i + 1] ?? end) - start;
      piece.textContent = `${shown(start)} ${i ? this.rows[i - 1].prompt : "the prompt above"}`;
      return piece;
    });
    strip.replaceChildren(...pieces);
    strip.setAttribute("aria-label", pieces.map((piece) => piece.textContent).join("; "));
  }
}

function field(className, value, label, placeholder) {
  const input = document.createElement("input");
  Object.assign(input, { type: "text", className, value, placeholder, autocomplete: "off" });
  input.setAttribute("aria-label", label);
  return input;
}

// When it begins; NaN for what is no time.
function seconds(at) {
  if (!isTime(at)) return NaN;
  const text = at.split("..")[0];
  if (text.includes(":")) return text.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
  const of = (unit) => Number(text.match(new RegExp(`([\\d.]+)${unit}`, "i"))?.[1] ?? 0);
  return 3600 * of("h") + 60 * of("m") + of("s?\\s*$");
}

function shown(time) {
  const whole = Math.round(time);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// Called once by js_on_load. `watch(callback)` reports values from the server.
export function mount(element, props, watch, tell) {
  const later = new Later(element, props.most, tell);
  later.take(props.value);
  watch(() => later.take(props.value));
}
