// Unpack what packing.py packed.

export function bytes(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64); // new in browsers of 2025, ten times faster
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

// Bits, highest first -> Uint8Array of 0 and 1.
export function mask(base64, length) {
  const packed = bytes(base64);
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = (packed[i >> 3] >> (7 - (i & 7))) & 1;
  return out;
}

// uint16 in units of 1/65535 -> Float32Array of 0..1.
export function shares(base64) {
  const view = new DataView(bytes(base64).buffer);
  const out = new Float32Array(view.byteLength / 2);
  for (let i = 0; i < out.length; i++) out[i] = view.getUint16(2 * i, true) / 65535;
  return out;
}

// Half-bytes, the higher first, in units of 1/15 -> Float32Array of 0..1.
export function levels(base64, length) {
  const packed = bytes(base64);
  const out = new Float32Array(length);
  for (let i = 0; i < length; i++) out[i] = ((packed[i >> 1] >> (i & 1 ? 0 : 4)) & 15) / 15;
  return out;
}

// float32 -> Float32Array.
export function floats(base64) {
  return new Float32Array(bytes(base64).buffer);
}

// One of the packed values, without unpacking the others: four letters of base64 are three bytes.

export function bitAt(base64, i) {
  return (byteAt(base64, i >> 3) >> (7 - (i & 7))) & 1;
}

export function shareAt(base64, i) {
  return (byteAt(base64, 2 * i) + 256 * byteAt(base64, 2 * i + 1)) / 65535;
}

// What pack_few packed: the bits before it tell where the value lies.
export function fewAt({ mask, values }, i) {
  if (!bitAt(mask, i)) return 0;
  const packed = bytes(mask);
  let before = 0;
  for (let at = 0; at < i >> 3; at++) before += ONES[packed[at]];
  return shareAt(values, before + ONES[packed[i >> 3] >> (8 - (i & 7))]);
}

const ONES = Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

export function levelAt(base64, i) {
  return ((byteAt(base64, i >> 1) >> (i & 1 ? 0 : 4)) & 15) / 15;
}

function byteAt(base64, i) {
  const group = 4 * Math.floor(i / 3);
  return atob(base64.slice(group, group + 4)).charCodeAt(i % 3);
}

// How much memory images take that came in base64, which spends 4 letters on 3 bytes.
export function imageBytes(images) {
  return images.reduce((sum, image) => sum + image.length, 0) * 0.75;
}
