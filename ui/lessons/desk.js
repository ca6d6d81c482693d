// The reader's own desk: how far each lesson is, and six questions before and after. Kept on this device alone.

import { explainTerms } from "../look/terms.js";

const KEPT = "deep-forcing-lessons";
let notes = { steps: {}, before: null, after: null }; // where storage is forbidden, for this page alone
try {
  notes = { ...notes, ...JSON.parse(localStorage.getItem(KEPT)) };
} catch {}

function keep(changes) {
  Object.assign(notes, changes);
  try {
    localStorage.setItem(KEPT, JSON.stringify(notes));
  } catch {}
}

function made(tag, text, more = {}) {
  return Object.assign(document.createElement(tag), { textContent: text, ...more });
}

// The page has changed: remember its step, make its links to the glossary terms, mark the cards.
function look(terms) {
  const { lesson, step } = document.querySelector("#lesson:not(.away) [data-lesson]")?.dataset ?? {};
  if (lesson && Number(step) > (notes.steps[lesson] ?? 0)) keep({ steps: { ...notes.steps, [lesson]: Number(step) } });
  for (const link of document.querySelectorAll('#lesson-words a[href^="#term-"]')) {
    const term = made("button", link.textContent, { type: "button", className: "term" });
    term.dataset.says = terms[link.hash.slice(6)];
    link.replaceWith(term);
  }
  const [plot, found] = [document.querySelector("#lesson-plot"), document.querySelector(".lesson-found")];
  if (plot && found && plot.ariaLabel !== found.innerText) Object.assign(plot, { role: "figure", ariaLabel: found.innerText });
  document.querySelector("#lesson-image .image-container > button")?.setAttribute("aria-label", "Your picture");
  for (const card of document.querySelectorAll("button.card[id]")) mark(card);
}

function mark(card) {
  const [, steps, lesson] = /^card-(\d+)-(.*)$/.exec(card.id);
  const at = notes.steps[lesson];
  const words = !at ? "" : at >= Number(steps) ? "done" : `step ${at} of ${steps}`;
  if ((card.dataset.at ?? "") !== words) card.dataset.at = words;
}

class Quiz {
  constructor(host, questions) {
    Object.assign(this, { host, questions });
    this.show();
  }

  show() {
    const { before, after } = notes;
    const box = made("details", "", { className: "quiz" });
    const title = after ? "Six questions: before and after" : `Six questions, ${before ? "after" : "before"} the lessons`;
    box.append(made("summary", `${title} (if you like)`));
    if (after) box.append(this.result(), this.forgets());
    else if (before) box.append(made("p", "Your answers from before are kept. Answer again after the lessons, and see both side by side."), this.form("after"));
    else box.append(this.form("before"));
    this.host.replaceChildren(box);
    return box;
  }

  form(when) {
    const form = made("form", "");
    form.append(...this.questions.map((question, i) => field(question, i)), made("button", "These are my answers"), made("p", "They stay on this device: nobody else sees them."));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = new FormData(form);
      keep({ [when]: this.questions.map((_, i) => Number(given.get(`question-${i}`))) });
      this.show().open = true;
      this.host.querySelector("summary").focus();
    });
    return form;
  }

  result() {
    const table = made("table", "");
    const right = [notes.before, notes.after].map((given) => this.questions.map((question, i) => given[i] === question.right));
    const words = (all) => all.map((one) => (one ? "right" : "not yet"));
    const sum = (all) => `${all.filter(Boolean).length} of ${all.length}`;
    line(table, "Question", ["Before", "After"], "th");
    this.questions.forEach(({ asks, choices, right: best, why }, i) => {
      const head = line(table, asks, words(right.map((all) => all[i])));
      head.append(made("small", `${choices[best]}. ${why}`));
    });
    line(table, "Right", right.map(sum));
    return table;
  }

  forgets() {
    const button = made("button", "Forget my answers", { type: "button" });
    button.addEventListener("click", () => {
      keep({ before: null, after: null });
      this.show();
    });
    return button;
  }
}

function field({ asks, choices }, i) {
  const all = made("fieldset", "");
  all.append(made("legend", `${i + 1}. ${asks}`));
  choices.forEach((choice, value) => {
    const label = made("label", "");
    label.append(made("input", "", { type: "radio", name: `question-${i}`, value, required: true }), choice);
    all.append(label);
  });
  return all;
}

function line(table, head, cells, tag = "td") {
  const row = table.insertRow();
  row.append(made("th", head, { scope: tag === "th" ? "col" : "row" }), ...cells.map((cell) => made(tag, cell)));
  return row.cells[0];
}

// Called once by js_on_load.
export function mount(element, { questions, terms }) {
  explainTerms();
  new Quiz(element.querySelector(".desk"), questions);
  new MutationObserver(() => look(terms)).observe(element.closest(".tabitem"), { childList: true, subtree: true });
  look(terms);
}
