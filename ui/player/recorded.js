// What only recorded runs have: a moment at which they open, a panel that a link means, a link to the moment on screen.

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Opening {
  constructor(root, { recorded, fps }, clock) {
    Object.assign(this, { root, clock });
    this.frame = recorded?.seconds == null ? null : Math.floor(recorded.seconds * fps + 1e-6);
    this.panel = recorded?.panel ?? null;
    root.dataset.recorded = Boolean(recorded);
    root.querySelectorAll("[data-meant]").forEach((panel) => delete panel.dataset.meant);
    root.dataset.link = Boolean(recorded?.link);
    if (this.waits || (recorded?.unasked && calm())) clock.playing = false; // a moment is shown standing
  }

  // Whether the moment has not arrived yet.
  get waits() {
    return this.frame !== null;
  }

  // More has arrived: go to the moment when it is there, and show the panel.
  look() {
    if (this.waits && this.clock.newest <= this.frame && !this.clock.ended) return;
    if (this.waits) this.clock.seek(this.frame);
    if (this.panel) this.root.player?.drawers.reveal(this.panel);
    if (this.panel) setTimeout(reveal, 100, this.root.querySelector(`[data-panel="${CSS.escape(this.panel)}"]`));
    this.frame = this.panel = null;
  }
}

function reveal(panel) {
  if (!panel) return;
  panel.scrollIntoView({ block: panel.clientHeight > innerHeight ? "start" : "center" });
  panel.dataset.meant = true; // marked for a moment, see player.css
}

export function linkTo(trace, seconds) {
  const link = new URL(location.href);
  link.searchParams.set("trace", trace);
  link.searchParams.set("t", seconds.toFixed(2));
  link.searchParams.delete("panel");
  return link;
}

// What made a run, in a line.
export function describe({ policy, settings, seed, model, weights, recorded }) {
  const values = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
  const made = `${policy} (${values.join(", ")}) · seed ${seed} · ${model} model, weights ${weights}`;
  return recorded ? `${made}. Speeds of DiT and decoder are those of the recording.` : made;
}
