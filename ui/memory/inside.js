// Look inside: the life of the token that was picked, as far as it has arrived.

import { videoOf } from "./history.js";
import { endOf, heldShare, lifeOf, massOn, rankWords, withheld } from "./token.js";
import { outline, under } from "./picking.js";
import { Spark } from "./spark.js";
import { itemsOf, placed } from "./rope.js";

const AROUND = 2; // tokens to each side of the picked one in its close-up

export class Inside {
  // choose: told another token of the same frame, or null to close.
  constructor(root, choose) {
    Object.assign(this, { host: root, root: root.querySelector(".df-inside") });
    this.find = (name) => this.root.querySelector(`.df-inside-${name}`);
    this.ranks = new Spark(this.find("ranks"), this.find("ranks-read"));
    this.mass = new Spark(this.find("mass"), this.find("mass-read"));
    const frame = this.find("frame");
    frame.addEventListener("click", (event) => choose({ latent: this.token.latent, ...under(event, frame, this) }));
    this.root.addEventListener("keydown", ({ key }) => key === "Escape" && choose(null));
  }

  open(run) {
    const [rows, columns] = run.grid;
    Object.assign(this, { run, rows, columns, last: null });
    for (const name of ["frame", "patch"]) this.find(name).style.aspectRatio = `${run.width} / ${run.height}`;
    this.squares = run.layers.map((layer) => Object.assign(document.createElement("li"), { textContent: layer + 1 }));
    this.find("layers").replaceChildren(...this.squares);
    this.choose(null);
  }

  // picture: a promise of the token's frame, null where it is no longer kept; at: see `place`.
  choose(token, picture = null, at = null) {
    this.token = token && { ...token, index: token.row * this.columns + token.column };
    this.root.dataset.following = Boolean(token);
    if (!token) delete this.root.dataset.meant;
    const chosen = this.token;
    for (const name of ["frame", "patch"]) this.find(name).width = 0; // empty
    picture?.then((bitmap) => {
      if (chosen === this.token) this.drawCrop(bitmap);
      bitmap.close();
    });
    if (this.last) this.show(...this.last);
    if (token && at) this.place(at);
  }

  // Beside an element: under a tile, to the right of the video, within the player.
  place(at) {
    const [host, box] = [this.host.getBoundingClientRect(), at.getBoundingClientRect()];
    const beside = box.width > host.width / 5;
    const left = beside ? box.right + 8 : box.left + box.width / 2 - this.root.offsetWidth / 2;
    const most = Math.min(host.width, innerWidth - host.left) - this.root.offsetWidth;
    this.root.style.left = `${Math.max(0, Math.min(left - host.left, most))}px`;
    this.root.style.top = `${(beside ? box.top : box.bottom + 8) - host.top}px`;
  }

  show(chunk, history, choice) {
    this.last = [chunk, history, choice];
    const { token, run } = this;
    if (!token) return;
    const steps = lifeOf(token, history, choice.layer);
    const made = videoOf(token.latent, run.stride)[0] / run.fps;
    const place = `row ${token.row + 1} of ${this.rows}, column ${token.column + 1} of ${this.columns}`;
    this.write("name", `Latent frame ${token.latent}, ${place}`);
    this.write("made", `Made at ${made.toFixed(1)} s. ${this.roleIn(chunk)}`);
    this.write("place", this.placeIn(chunk, choice.layer));
    this.write("end", this.endWords(steps, chunk, choice.layer));
    this.showLayers(chunk, history);
    const now = chunk.first / run.fps;
    this.ranks.show(this.rankPoints(steps, choice.layer), now, this.unranked(steps, choice.layer), true);
    this.mass.show(this.massPoints(history, choice), now, "Attention on it was not measured.");
  }

  // What is there already is left alone: a layout takes time, and what is read out would be read out again.
  write(name, text) {
    const place = this.find(name);
    if (place.textContent !== text) place.textContent = text;
  }

  roleIn({ cache, latents }) {
    const { latent } = this.token;
    if (latent >= latents[1]) return "At the moment on screen it is not there yet.";
    if (latent >= latents[0]) return "It is being made with the chunk on screen.";
    const role = cache.roles[cache.frames.indexOf(latent)];
    if (role) return `Its frame is ${role} for the chunk on screen.`;
    return cache.unlisted ? "Whether anything of its frame is left was not sent." : "Nothing of its frame is left.";
  }

  placeIn(chunk, layer) {
    const item = itemsOf(chunk, layer).find(({ latent }) => latent === this.token.latent);
    if (!item) return "The chunk on screen does not read its frame.";
    return item.role === "current" ? "It stands where it is made." : `Its frame was ${placed(item, this.run)}.`;
  }

  endWords(steps, shown, layer) {
    const end = endOf(steps, this.token, layer);
    if (end) return sentence(`${end.chunk.first > shown.first ? "later " : ""}${end.words}`);
    const last = steps.at(-1);
    if (!last) return "";
    const until = `at ${last.seconds.toFixed(1)} s, the newest chunk there is`;
    if (last.share === null) return `Whether it is held ${until}, was not sent.`;
    return sentence(`still held ${last.share < 1 ? "by some layers " : ""}${until}`);
  }

  // Each layer that is sent: a full square where it holds the token for the chunk on screen; and when the others let it go.
  showLayers(chunk, history) {
    const { run, token } = this;
    const states = run.layers.map((layer, i) => {
      const share = heldShare(chunk, token, i + 1, history.tokens);
      const end = endOf(lifeOf(token, history, i + 1), token, i + 1);
      const state = token.latent < chunk.latents[1] ? stateOf(share, end, run.settings) : "not there yet";
      return { name: layer + 1, share, end, state, since: share ? -1 : end?.seconds ?? 0 };
    });
    states.forEach((state, i) => fill(this.squares[i], state));
    const groups = new Map();
    for (const { state, name } of states.sort((one, other) => one.since - other.since)) {
      groups.set(state, [...(groups.get(state) ?? []), name]);
    }
    const named = (layers) => (layers.length === run.layers.length ? "all" : layers.join(", "));
    this.write("held", sentence([...groups].map(([state, layers]) => `${named(layers)} ${state}`).join("; ")));
  }

  rankPoints(steps, layer) {
    const { layers } = this.run.of;
    const kept = (share) => {
      if (share === null) return "";
      if (layer) return share ? ": kept" : ": evicted";
      const about = share < 1 && layers > 15 ? "about " : ""; // shares of a mean come in steps of 1/15
      return `: kept by ${about}${Math.round(share * layers)} of ${layers} layers`;
    };
    return steps.filter(({ standing }) => standing).map(({ seconds, share, standing }) => ({
      seconds,
      value: 1 - standing.rank / standing.stood,
      limit: 1 - standing.places / standing.stood,
      hollow: share === 0,
      words: `${seconds.toFixed(1)} s: ${rankWords(standing, layer)}${kept(share)}`,
    }));
  }

  unranked(steps, line) {
    if (this.run.settings.budget === undefined) return "This policy never compresses.";
    if (this.token.latent < this.run.settings.sink) return "The sink does not compete: it is kept for ever.";
    const some = steps.some(({ chunk }) => withheld(chunk, this.token.latent, line));
    return some ? "Its ranks were not sent." : "It has stood in no compression so far.";
  }

  massPoints({ chunks, columns }, { layer, head }) {
    const { latent } = this.token;
    const seen = chunks.filter(({ attention }) => attention?.frames.includes(latent));
    const masses = seen.map((chunk) => massOn(chunk, latent, layer, head, columns));
    const most = Math.max(1e-9, ...masses);
    return seen.map(({ first }, i) => {
      const seconds = first / this.run.fps;
      const words = `${seconds.toFixed(1)} s: ${(100 * masses[i]).toFixed(2)} % of the attention`;
      return { seconds, value: masses[i] / most, words };
    });
  }

  // The whole frame with the token outlined, and the token with its neighbours.
  drawCrop(picture) {
    const { token: { row, column }, rows, columns } = this;
    const [wide, high] = [picture.width / columns, picture.height / rows];
    const draw = (name, x, y, width, height) => {
      const canvas = this.find(name);
      const scale = Math.ceil((2 * 150) / width);
      Object.assign(canvas, { width: width * scale, height: height * scale });
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      context.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
      context.drawImage(picture, 0, 0);
      outline(context, column * wide, row * high, wide, high, 5 / scale);
    };
    draw("frame", 0, 0, picture.width, picture.height);
    const size = 2 * AROUND + 1;
    const begin = (at, count) => Math.max(0, Math.min(at - AROUND, count - size));
    draw("patch", begin(column, columns) * wide, begin(row, rows) * high, Math.min(size, columns) * wide, Math.min(size, rows) * high);
  }
}

function stateOf(share, end, { max_reuse }) {
  if (share) return "hold it";
  if (share === null) return "not sent";
  return `gone${end?.seconds ? ` at ${end.seconds.toFixed(1)} s` : ""}${end?.spent ? `, after being chosen ${max_reuse} times` : ""}`;
}

function fill(square, { name, share, state, end }) {
  square.title = `layer ${name}: ${end ? `${share ? "held; later " : ""}${end.words}` : state}`;
  square.dataset.held = share === null ? "unknown" : Boolean(share);
}

function sentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}
