// The address says what is on the page: the tab, a lesson's step, a recording and the second of it. It is kept up to date
// without a word in the browser's history; only a tab that a viewer turns to is a step that Back goes back.

const LOOK_MS = 1000;
const OURS = ["tab", "lesson", "step", "trace", "t", "panel"];
let turned = false; // a viewer has turned to a tab, and the address does not say so yet

const tabs = () => [...(document.querySelector("#views [role=tablist]")?.querySelectorAll("[role=tab]") ?? [])];
const nameOf = (tab) => tab.textContent.trim().toLowerCase();

function turnTo(name) {
  const tab = tabs().find((one) => nameOf(one) === name);
  if (tab && tab.getAttribute("aria-selected") !== "true") tab.click();
  return Boolean(tab);
}

// What the page shows, by the names in OURS; what is as it is at first is left out.
function shown() {
  const tab = tabs().find((one) => one.getAttribute("aria-selected") === "true");
  const says = tab && tab !== tabs()[0] ? { tab: nameOf(tab) } : {};
  if (says.tab === "learn") return { ...says, ...lesson() };
  return says.tab ? says : recording();
}

function lesson() {
  const { lesson: name, step } = document.querySelector("#lesson:not(.away) [data-lesson]")?.dataset ?? {};
  return name ? { lesson: name, step } : {};
}

// What the address says of a recording already.
const said = () => Object.fromEntries([...new URLSearchParams(location.search)].filter(([name]) => ["trace", "t"].includes(name)));

const player = () => document.querySelector("#player .df")?.player;

function recording() {
  const { history, clock } = player();
  if (!history) return said(); // what was asked for is on its way
  const { link, unasked } = history?.run.recorded ?? {};
  if (!link || (unasked && clock.playing)) return {};
  return { trace: link, t: (clock.frame / clock.fps).toFixed(2) };
}

// Not before the player has asked for what the address says, and stands at that moment.
function keepUp() {
  if (!tabs().length || !player()?.asked || player().opening?.waits) return;
  const link = new URL(location.href);
  for (const name of OURS) link.searchParams.delete(name);
  for (const [name, value] of Object.entries(shown())) link.searchParams.set(name, value);
  if (link.href !== location.href) history[turned ? "pushState" : "replaceState"](history.state, "", link);
  turned = false;
}

// Called once, by the head of the page.
export function mount() {
  const asked = new URLSearchParams(location.search);
  const wanted = asked.get("tab") ?? (asked.has("lesson") ? "learn" : "");
  let waits = Boolean(wanted); // until what the link asks for is there, however long that takes, or a viewer goes elsewhere
  addEventListener("popstate", () => {
    waits = false;
    turnTo(new URLSearchParams(location.search).get("tab") ?? nameOf(tabs()[0]));
  });
  document.addEventListener("click", ({ target, isTrusted }) => {
    if (!isTrusted || !tabs().includes(target.closest("[role=tab]"))) return;
    turned = true;
    waits = false;
  });
  setInterval(() => {
    if (waits) waits = !(turnTo(wanted) && (!asked.has("lesson") || lesson().lesson));
    if (!waits) keepUp();
  }, LOOK_MS);
}
