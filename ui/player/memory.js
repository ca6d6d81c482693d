// Which live run this tab shows, and where in it: what finds it again after a reload, a lost connection, or Back.

const NAME = "deep-forcing-run";

export class Memory {
  // who: the player that asks; a tab has one run, in one of its players.
  constructor(who) {
    this.who = who;
    const kept = JSON.parse(sessionStorage.getItem(NAME)); // { who, run, frame }
    this.found = kept?.who === who ? kept : null;
  }

  keep(run, frame) {
    sessionStorage.setItem(NAME, JSON.stringify({ who: this.who, run, frame }));
  }

  forget() {
    this.found = null;
    sessionStorage.removeItem(NAME);
  }

  // The frame at which the run was left, null for a run that is new.
  frameOf(run) {
    return this.found?.run === run && this.found.frame > 0 ? Math.floor(this.found.frame) : null;
  }
}
