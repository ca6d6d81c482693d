// Everything that is not on the first screen: one drawer is open, or none. Some belong to the page, not to the player.

export class Drawers {
  // opened: called when a drawer is open.
  constructor(root, opened) {
    Object.assign(this, { root, opened });
    this.tabs = [...root.querySelectorAll(".df-drawers button")];
    for (const tab of this.tabs) {
      tab.addEventListener("click", () => this.toggle(tab.dataset.drawer));
      tab.addEventListener("keydown", (event) => this.key(event, tab));
    }
    this.show(null);
  }

  toggle(name) {
    this.show(this.open === name ? null : name);
  }

  show(name) {
    this.open = name;
    this.root.dataset.drawer = name ?? "";
    if (this.root.closest("#player")) document.body.dataset.drawer = name ?? "";
    for (const tab of this.tabs) {
      tab.setAttribute("aria-selected", tab.dataset.drawer === name);
      tab.tabIndex = tab.dataset.drawer === name || (!name && tab === this.tabs[0]) ? 0 : -1;
    }
    if (name) this.opened();
  }

  key(event, tab) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const shown = this.tabs.filter((one) => one.offsetWidth);
    shown.at((shown.indexOf(tab) + step) % shown.length).focus();
  }

  // Whether a panel lies in a drawer, which is then opened.
  reveal(panel) {
    if (this.tabs.some((tab) => tab.dataset.drawer === panel)) this.show(panel);
  }
}
