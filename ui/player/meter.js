// The meter: only numbers that were measured, each by its name.

const size = (bytes) => (bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`);
const rate = (frames, seconds) => `${Math.round(frames / seconds)} fps`;

export class Meter {
  constructor(root) {
    this.cells = Object.fromEntries([...root.querySelectorAll("[data-meter]")].map((e) => [e.dataset.meter, e]));
  }

  open(run) {
    for (const cell of Object.values(this.cells)) cell.textContent = "–";
    this.cells.attention.textContent = run.attention;
  }

  firstFrame(seconds) {
    this.cells.first.textContent = `${seconds.toFixed(2)} s`;
  }

  shown(fps, stalls) {
    if (fps !== null) this.cells.shown.textContent = `${fps.toFixed(1)} fps`;
    this.cells.stalls.textContent = String(stalls);
  }

  chunk(chunk, layers) {
    const { dit, decode, encode } = chunk.seconds;
    this.cells.dit.textContent = rate(chunk.count, dit);
    this.cells.decode.textContent = rate(chunk.count, decode);
    this.cells.encode.textContent = rate(chunk.count, encode);
    const perLayer = Math.round(chunk.cache.tokens / layers);
    this.cells.tokens.textContent = perLayer.toLocaleString("en");
    this.cells.memory.textContent = size(chunk.cache.bytes);
    if (chunk.sharing) this.cells.sharing.textContent = chunk.sharing === 1 ? "yours" : `${chunk.sharing}, in turns`;
  }
}
