// Choosing a token: on the keep/evict map, by pointer or by keys, and on the video by pointer.

const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const FRAMES = { ArrowLeft: -1, ArrowRight: 1, PageUp: -1, PageDown: 1, Home: -Infinity, End: Infinity };

export class Picking {
  // map: of class KeepMap; screen: the video's canvas; choose: told the token, and the element beside which it was picked;
  // point: told the frame under pointer or keys; onScreen: () -> the video's latent frame, null without.
  constructor(map, screen, { choose, point, onScreen }) {
    Object.assign(this, { map, choose, point, at: null });
    const { root } = map;
    root.addEventListener("click", (event) => this.click(event));
    root.addEventListener("pointermove", ({ target }) => this.stand(frameOf(target)));
    root.addEventListener("pointerleave", () => this.stand(null));
    root.addEventListener("blur", () => this.stand(null));
    root.addEventListener("keydown", (event) => this.key(event));
    screen.addEventListener("click", (event) => {
      const latent = onScreen();
      if (latent !== null) choose({ latent, ...under(event, screen, map) }, screen);
    });
  }

  click(event) {
    const latent = frameOf(event.target);
    if (latent !== null) this.choose({ latent, ...under(event, event.target, this.map) }, event.target);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { chosen, rows, columns } = this.map;
    const move = chosen && MOVES[event.key];
    const middle = { row: rows >> 1, column: columns >> 1 };
    const moved = move && { row: within(chosen.row + move[0], rows), column: within(chosen.column + move[1], columns) };
    if (moved) this.choose({ latent: chosen.latent, ...moved });
    else if (event.key in FRAMES) this.step(FRAMES[event.key], chosen);
    else if (event.key === "Enter" && !chosen && this.at !== null) this.choose({ latent: this.at, ...middle }, this.map.cells.get(this.at).canvas);
    else if (event.key === "Escape" && chosen) this.choose(null);
    else return;
    event.preventDefault();
  }

  // To another frame that is drawn: with the chosen token, or without one.
  step(by, chosen) {
    const frames = [...this.map.cells.keys()];
    const from = chosen?.latent ?? this.at ?? (by < 0 ? Infinity : -Infinity);
    const nearest = by < 0 ? frames.findLastIndex((latent) => latent < from) : frames.findIndex((latent) => latent > from);
    if (nearest < 0 || !frames.length) return;
    const latent = Number.isFinite(by) ? frames[nearest] : frames.at(by < 0 ? 0 : -1);
    this.stand(latent);
    if (chosen) this.choose({ ...chosen, latent });
  }

  stand(latent) {
    this.at = latent;
    this.point(latent);
  }
}

// A line around a patch that shows on any picture; in pixels of the canvas.
export function outline(context, x, y, width, height, thick = 2) {
  for (const [colour, line] of [["#0a0e16", 2.2 * thick], ["#fff", thick]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: line });
    context.strokeRect(x, y, width, height);
  }
}

function frameOf(target) {
  return target.matches("canvas") ? Number(target.parentElement.dataset.latent) : null;
}

// The token under the pointer on a picture of a whole frame.
export function under({ clientX, clientY }, canvas, { rows, columns }) {
  const box = canvas.getBoundingClientRect();
  const part = (at, count) => within(Math.floor(at * count), count);
  return { row: part((clientY - box.top) / box.height, rows), column: part((clientX - box.left) / box.width, columns) };
}

function within(at, count) {
  return Math.max(0, Math.min(count - 1, at));
}
