// What a term means, beside it: on hover, on focus, on tap; Escape takes it away.

let tip = null; // one for the page

export function explainTerms() {
  if (tip) return;
  tip = Object.assign(document.createElement("p"), { id: "term-tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  const onTerm = (show) => ({ target }) => {
    const term = target.closest?.(".term");
    if (term && show) tell(term);
    else if (term || show === "only") hush();
  };
  for (const event of ["pointerover", "focusin"]) document.addEventListener(event, onTerm(true));
  for (const event of ["pointerout", "focusout"]) document.addEventListener(event, onTerm(false));
  document.addEventListener("click", onTerm("only"));
  document.addEventListener("keydown", ({ key }) => key === "Escape" && hush());
  addEventListener("scroll", hush, { capture: true, passive: true });
}

function tell(term) {
  tip.textContent = term.dataset.says;
  tip.hidden = false;
  term.setAttribute("aria-describedby", "term-tip");
  const [at, own] = [term.getBoundingClientRect(), tip.getBoundingClientRect()];
  const below = at.bottom + 6 + own.height < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - own.width - 8))}px`;
  tip.style.top = `${below ? at.bottom + 6 : at.top - own.height - 6}px`;
}

function hush() {
  tip.hidden = true;
}
