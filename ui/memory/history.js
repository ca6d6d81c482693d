// What has arrived: full telemetry of the last minutes, a summary of every chunk since the first.
//
// Numbers come in rows, row 0 the mean over all layers, the others single layers; likewise columns for heads.

import { imageBytes, levels, mask, shares } from "./packing.js";

const DETAIL_SECONDS = 300; // frames and full telemetry are kept this long,
const DETAIL_BYTES = 160e6; // or as long as their images fit into this
const MOST_SUMMARIES = 1200; // beyond, every second one is dropped: the longer ago, the coarser
export const ROLES = ["sink", "top-C", "recent", "current"];

export class History {
  constructor(run) {
    this.run = run; // the `started` message
    this.tokens = run.grid[0] * run.grid[1]; // of one latent frame
    this.columns = run.heads.length + 1;
    this.whole = new Float32Array(this.tokens).fill(1);
    this.chunks = [];
    this.summaries = [];
    this.bytes = 0; // of the images of the chunks that are kept
  }

  // The chunks to come have other settings; each knows the run as it was for it.
  change(now) {
    this.run = { ...this.run, ...now };
  }

  add(chunk) {
    chunk.count = chunk.frames.length;
    chunk.size = imageBytes(chunk.frames);
    chunk.frames = null; // kept by Frames
    chunk.run = this.run;
    this.bytes += chunk.size;
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

  // The layer, from 1, that tells most: what won a place there is looked at most, frame for frame; where nothing competes,
  // the layer that looks back most.
  tellingLayer({ attention, cache }) {
    const byRole = this.massByRole(attention);
    if (!byRole) return 1;
    const alive = shares(cache.alive);
    const told = this.run.layers.map((_, i) => {
      const [, top, , current] = this.mass(byRole, ROLES.length, i + 1, 0);
      const frames = pick(alive, cache.frames.length, i + 1).filter((share, f) => share > 0 && cache.roles[f] === "top-C").length;
      return frames ? 1 + top / frames : 1 - current;
    });
    return 1 + told.indexOf(Math.max(...told));
  }

  // Drop details that are too old or too much; returns the first frame that is still kept.
  prune() {
    const newest = this.chunks.at(-1);
    const seconds = this.run.recorded ? Infinity : DETAIL_SECONDS; // a recorded run is sent only as far as it fits
    const oldest = newest.first + newest.count - seconds * this.run.fps;
    const enough = ({ first, count }) => first + count >= oldest && this.bytes <= DETAIL_BYTES;
    while (this.chunks.length > 1 && !enough(this.chunks[0])) this.bytes -= this.chunks.shift().size;
    return this.chunks[0].first;
  }

  thin() {
    this.summaries = this.summaries.filter((_, i) => i % 2 === 0);
  }

  // Latent frame -> share of the row's layers that hold each token [tokens]; null where the chunk brought no map.
  held(chunk, row) {
    const { frames, maps, mean, kept } = chunk.cache;
    const count = maps.length * this.tokens;
    const bits = row ? mask(kept, this.run.layers.length * count).subarray((row - 1) * count, row * count) : null;
    const flat = Float32Array.from(bits ?? levels(mean, count));
    const alive = pick(shares(chunk.cache.alive), frames.length, 0);
    const held = new Map(frames.map((latent, i) => [latent, alive[i] < 1 ? null : this.whole]));
    maps.forEach((i, m) => held.set(frames[i], flat.subarray(m * this.tokens, (m + 1) * this.tokens)));
    return held;
  }

  summarise(chunk) {
    const { frames, roles, alive } = chunk.cache;
    return {
      seconds: chunk.first / this.run.fps,
      end: (chunk.first + chunk.count) / this.run.fps,
      own: chunk.latents,
      origin: chunk.origin, // latent frame with which its scene began
      sink: this.run.settings.sink ?? 0,
      frames,
      roles,
      alive: shares(alive), // share of tokens, [rows, frames]
      byRole: this.massByRole(chunk.attention),
      readings: chunk.gauges?.readings,
    };
  }

  // Attention mass [rows, columns, roles] flat; null without a probe.
  massByRole(attention) {
    if (!attention) return null;
    const mass = shares(attention.mass);
    const width = attention.frames.length;
    const role = attention.roles.map((name) => ROLES.indexOf(name));
    const out = new Float32Array((mass.length / width) * ROLES.length);
    mass.forEach((m, i) => (out[Math.floor(i / width) * ROLES.length + role[i % width]] += m));
    return out;
  }

  // The chosen row and column of flat [rows, columns, width].
  mass(flat, width, layer, head) {
    return pick(flat, width, layer * this.columns + head);
  }
}

// Video frames of a latent frame, as [first, past the last]; and the way back.
export const videoOf = (latent, stride) => (latent === 0 ? [0, 1] : [1 + stride * (latent - 1), 1 + stride * latent]);
export const latentOf = (frame, stride) => (frame === 0 ? 0 : 1 + Math.floor((frame - 1) / stride));

// The one that stands for them.
export function pictureOf(latent, stride) {
  const [first, end] = videoOf(latent, stride);
  return Math.min(end - 1, first + (stride >> 1));
}

// One row of flat [rows, width].
export function pick(flat, width, row) {
  return flat.subarray(row * width, (row + 1) * width);
}
