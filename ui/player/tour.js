// A tour of a minute: the recorded run on the page stands still at the moments that matter, and the instrument is pointed at.

const OFFERED = "deep-forcing-tour"; // in this browser's storage, once it was offered

// Each stop: the chunk that it is about, what is pointed at, and what is said. One that the run does not have is left out.
const STOPS = [
  {
    find: (chunks) => chunks[0],
    at: ".df-stage",
    say: "The model makes three latent frames at a time, and looks back at what it has made. These are the first; there is nothing to look back at yet.",
  },
  {
    find: (chunks, { settings }) => settings.sink && chunks.find(({ latents }) => latents[1] >= settings.window),
    at: "[data-panel=attention]",
    say: "The window is full. Each bar is a frame, and how much the model looks at it. The blue ones on the left are the first frames, the sink: they stay for ever.",
  },
  {
    find: (chunks) => chunks.find(({ compression }) => compression),
    at: "[data-panel=cache]",
    say: "Something has to go. Of the frames in the middle, each cut into tokens, those stay clear that are looked at most; grey ones have just been let go. That is a compression.",
  },
  {
    find: (chunks) => chunks.find(({ compression }) => compression),
    at: "[data-panel=rope]",
    say: "Why the sink still helps: each thread leads to the place in time that the model is told. The sink is moved along, so it never falls too far behind.",
  },
  {
    find: (chunks, { fps }) => {
      const fired = chunks.find(({ compression }) => compression);
      const later = fired && chunks.findLast(({ first }) => first <= fired.first + 30 * fps);
      return later && later.first > fired.first + 15 * fps ? later : null;
    },
    at: "[data-panel=life]",
    say: "Half a minute on. Nearly all frames are forgotten; the blue band, the sink, is as it was at the start: that is what the video holds on to.",
  },
  {
    find: (chunks) => chunks.find((chunk, i) => i && chunk.prompt !== chunks[i - 1].prompt),
    at: ".df-bar",
    say: "Here the prompt changes. What is remembered was made with the old one; go on from here, and see how soon the new scene takes over.",
  },
];

export class Tour {
  constructor(player) {
    this.player = player;
    this.box = Object.assign(document.createElement("section"), { className: "tour", hidden: true, tabIndex: -1 });
    this.box.setAttribute("role", "dialog");
    this.box.setAttribute("aria-label", "A tour of a minute");
    this.box.innerHTML = "<p class='tour-say' role='status'></p><p class='tour-row'><span></span><button type='button'>Back</button><button type='button'>Next</button><button type='button'>Close</button></p>";
    this.text = this.box.querySelector(".tour-say");
    [this.place, this.back, this.next, this.close] = this.box.querySelector(".tour-row").children;
    this.back.addEventListener("click", () => this.go(this.at - 1));
    this.next.addEventListener("click", () => this.go(this.at + 1));
    this.close.addEventListener("click", () => this.end());
    this.box.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("keydown", ({ key }) => key === "Escape" && !this.box.hidden && this.end());
    player.root.append(this.box);
  }

  // Offered once; where storage is forbidden, not at all.
  offer() {
    try {
      if (localStorage.getItem(OFFERED)) return;
      localStorage.setItem(OFFERED, "yes");
    } catch {
      return;
    }
    this.stops = [];
    this.at = -1;
    this.show(this.player.find("memory"), "New here? A tour of a minute shows what the model remembers, and why it does not forget.", "Start the tour");
  }

  start() {
    const { history } = this.player;
    if (!history?.chunks.length) return;
    this.stops = STOPS.flatMap((stop) => {
      const chunk = stop.find(history.chunks, history.run);
      return chunk ? [{ ...stop, chunk }] : [];
    });
    this.stops.sort((one, other) => one.chunk.first - other.chunk.first);
    this.go(0);
  }

  go(at) {
    if (!this.stops.length) return this.start();
    if (at < 0) return;
    if (at >= this.stops.length) return this.end();
    this.at = at;
    const { chunk, at: where, say } = this.stops[at];
    this.player.pause(true);
    this.player.seek(chunk.first);
    this.show(this.player.root.querySelector(where), say, at + 1 < this.stops.length ? "Next" : "Done");
    this.box.focus({ preventScroll: true });
  }

  show(target, words, next) {
    this.unmark();
    this.target = target;
    target.dataset.toured = true;
    this.text.textContent = words;
    this.next.textContent = next;
    this.back.hidden = this.at <= 0;
    this.place.textContent = this.stops.length ? `${this.at + 1} of ${this.stops.length}` : "";
    this.box.hidden = false;
    const [host, box] = [this.player.root.getBoundingClientRect(), target.getBoundingClientRect()];
    const above = box.bottom + this.box.offsetHeight + 20 > innerHeight;
    const left = Math.min(Math.max(0, box.left - host.left), host.width - this.box.offsetWidth);
    const top = (above ? Math.max(0, box.top - this.box.offsetHeight - 10) : box.bottom + 10) - host.top;
    Object.assign(this.box.style, { left: `${left}px`, top: `${top}px` });
    if (this.stops.length && matchMedia("(max-width: 820px)").matches) target.scrollIntoView({ block: "center" });
  }

  unmark() {
    delete this.target?.dataset.toured;
  }

  end() {
    this.unmark();
    this.box.hidden = true;
  }

  key({ key }) {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (move) this.go(this.at + move);
  }
}
