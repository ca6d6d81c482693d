// What has arrived: full telemetry of the last minutes, a summary of every chunk since the first.

import { mask, shares } from "./packed.js";

const DETAIL_SECONDS = 300; // frames and full telemetry are kept this long
const MOST_SUMMARIES = 1200; // beyond, every second one is dropped: the longer ago, the coarser
export const ROLES = ["sink", "top-C", "recent", "current"];

export class History {
  constructor(run) {
    this.run = run; // the `started` message
    this.tokens = run.grid[0] * run.grid[1]; // of one latent frame
    this.chunks = [];
    this.summaries = [];
  }

  add(chunk) {
    chunk.count = chunk.frames.length;
    chunk.frames = null; // kept by Frames
    this.chunks.push(chunk);
    this.summaries.push(this.summarise(chunk));
    if (this.summaries.length > MOST_SUMMARIES) this.thin();
  }

  // The chunk that holds a video frame; the nearest one where it is no longer kept.
  at(frame) {
    let low = 0;
    let high = this.chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.chunks[middle].first <= frame) low = middle;
      else high = middle - 1;
    }
    return this.chunks[low] ?? null;
  }

  before(chunk) {
    return this.chunks[this.chunks.indexOf(chunk) - 1] ?? null;
  }

  // The latest chunk, up to this one, at which compression fired.
  lastFired(chunk) {
    for (let i = this.chunks.indexOf(chunk); i >= 0; i--) if (this.chunks[i].compression) return this.chunks[i];
    return null;
  }

  // Drop details that are too old; returns the first frame that is still kept.
  prune() {
    const newest = this.chunks.at(-1);
    const oldest = newest.first + newest.count - DETAIL_SECONDS * this.run.fps;
    while (this.chunks.length > 1 && this.chunks[0].first + this.chunks[0].count < oldest) this.chunks.shift();
    return this.chunks[0].first;
  }

  thin() {
    this.summaries = this.summaries.filter((_, i) => i % 2 === 0);
  }

  // Mask of `frames` latent frames, [layers, frames, tokens] flat.
  mask(packed, frames) {
    return mask(packed, this.run.layers * frames * this.tokens);
  }

  summarise(chunk) {
    const { frames, roles, kept } = chunk.cache;
    const bits = this.mask(kept, frames.length);
    const alive = new Float32Array(this.run.layers * frames.length); // share of tokens, [layers, frames]
    for (let i = 0; i < bits.length; i++) alive[Math.floor(i / this.tokens)] += bits[i] / this.tokens;
    return {
      seconds: chunk.first / this.run.fps,
      end: (chunk.first + chunk.count) / this.run.fps,
      own: chunk.latents,
      frames,
      roles,
      alive,
      byRole: this.massByRole(chunk.attention),
    };
  }

  // Attention mass [layers, heads, roles] flat; null without a probe.
  massByRole(attention) {
    if (!attention) return null;
    const mass = shares(attention.mass);
    const width = attention.frames.length;
    const out = new Float32Array((mass.length / width) * ROLES.length);
    mass.forEach((m, i) => {
      out[Math.floor(i / width) * ROLES.length + ROLES.indexOf(attention.roles[i % width])] += m;
    });
    return out;
  }

  // Mean over the chosen layer and head (-1 = all) of flat [layers, heads, width].
  meanMass(flat, width, layer, head) {
    const out = new Float32Array(width);
    let rows = 0;
    for (let l = 0; l < this.run.layers; l++) {
      for (let h = 0; h < this.run.heads; h++) {
        if ((layer >= 0 && l !== layer) || (head >= 0 && h !== head)) continue;
        rows += 1;
        for (let i = 0; i < width; i++) out[i] += flat[(l * this.run.heads + h) * width + i];
      }
    }
    return out.map((value) => value / rows);
  }

  // Mean over the chosen layer (-1 = all) of flat [layers, width].
  meanLayer(flat, width, layer) {
    if (layer >= 0) return flat.slice(layer * width, (layer + 1) * width);
    const out = new Float32Array(width);
    for (let i = 0; i < flat.length; i++) out[i % width] += flat[i] / this.run.layers;
    return out;
  }
}
