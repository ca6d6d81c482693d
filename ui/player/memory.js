// Which live run this tab shows, and where in it: what finds it again after a reload, a lost connection, or Back.

const NAME = "deep-forcing-run";

// { who, run, frame }; null where there is none, or where the browser keeps nothing.
function read() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME));
  } catch {
    return null;
  }
}

function write(kept) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify(kept));
  } catch {} // nothing is found again, and all else works
}

export class Memory {
  // who: the player that asks; a tab has one run, in one of its players.
  constructor(who) {
    this.who = who;
    const kept = read();
    this.found = kept?.who === who ? kept : null;
  }

  // Unless another player of this tab has begun a later run: names sort by time.
  keep(run, frame) {
    const kept = read();
    if (kept && kept.run > run) return;
    write({ who: this.who, run, frame });
  }

  forget() {
    this.found = null;
    write(null);
  }

  // The frame at which the run was left, null for a run that is new.
  frameOf(run) {
    return this.found?.run === run && this.found.frame > 0 ? Math.floor(this.found.frame) : null;
  }
}
