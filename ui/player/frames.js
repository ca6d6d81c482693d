// The video's frames: kept as encoded images, decoded a little ahead of the playhead.

import { bytes } from "../memory/packing.js";

const DECODED_BYTES = 64e6; // of bitmaps held at a time
const [LEAST, MOST] = [32, 96]; // how many bitmaps these may be
const AHEAD = 20; // frames decoded before they are needed

export class Frames {
  constructor(width, height) {
    this.most = Math.max(LEAST, Math.min(MOST, Math.floor(DECODED_BYTES / (4 * width * height))));
    this.blobs = new Map();
    this.bitmaps = new Map(); // insertion order = age
    this.decoding = new Set();
  }

  add(first, images, mime) {
    images.forEach((image, i) => this.blobs.set(first + i, new Blob([bytes(image)], { type: mime })));
  }

  // The bitmap of a frame when it is decoded already; otherwise null, and decoding begins.
  get(frame) {
    for (let f = frame; f <= frame + AHEAD; f++) this.decode(f);
    return this.bitmaps.get(frame) ?? null;
  }

  async decode(frame) {
    const blob = this.blobs.get(frame);
    if (!blob || this.bitmaps.has(frame) || this.decoding.has(frame)) return;
    this.decoding.add(frame);
    const bitmap = await createImageBitmap(blob);
    this.decoding.delete(frame);
    this.bitmaps.set(frame, bitmap);
    if (this.bitmaps.size > this.most) this.drop(this.bitmaps.keys().next().value);
  }

  drop(frame) {
    this.bitmaps.get(frame)?.close();
    this.bitmaps.delete(frame);
  }

  // Forget everything before `frame`.
  forget(frame) {
    for (const old of this.blobs.keys()) {
      if (old >= frame) break;
      this.blobs.delete(old);
      this.drop(old);
    }
  }

  // A small picture of one frame, for the keep/evict map.
  thumbnail(frame, width) {
    const blob = this.blobs.get(frame);
    return blob ? createImageBitmap(blob, { resizeWidth: width, resizeQuality: "medium" }) : null;
  }
}
