// The life of one token, folded from the chunks that have arrived. A token is { latent, row, column, index }, the index
// counting row by row; `line` is 0 for the mean over all layers, else one of the sampled layers.

import { shareAt, bitAt, fewAt, levelAt } from "./packing.js";

// What is known of the token for each chunk, from the one it was made with until it is gone:
// share: of the line's layers that hold it, null where that was not sent; standing: in the compression, null without.
export function lifeOf(token, history, line) {
  const steps = [];
  const made = history.chunks.findIndex(({ latents }) => token.latent < latents[1]);
  for (const chunk of made < 0 ? [] : history.chunks.slice(made)) {
    const share = heldShare(chunk, token, line, history.tokens);
    steps.push({ chunk, share, seconds: chunk.first / history.run.fps, standing: standing(chunk, token, line, history.tokens) });
    if (share === 0) break;
  }
  return steps;
}

export function heldShare({ cache, latents }, { latent, index }, line, tokens) {
  if (latent >= latents[0]) return latent < latents[1] ? 1 : null;
  const i = cache.frames.indexOf(latent);
  if (i < 0) return cache.unlisted ? null : 0;
  const alive = shareAt(cache.alive, line * cache.frames.length + i);
  if (alive === 0 || alive === 1) return alive;
  const map = cache.maps.indexOf(i);
  if (map < 0) return null;
  if (!line) return levelAt(cache.mean, map * tokens + index);
  return bitAt(cache.kept, ((line - 1) * cache.maps.length + map) * tokens + index);
}

function standing({ contest }, { latent, index }, line, tokens) {
  const frame = contest ? contest.frames.indexOf(latent) : -1;
  if (frame < 0 || line >= contest.stood.length) return null;
  const at = (of) => ((of * contest.frames.length + frame) * tokens) + index;
  const rank = fewAt(contest.ranks, at(line));
  if (!rank) return null;
  const [stood, places] = [contest.stood[line], contest.places[line]];
  const [low, high] = contest.range[line - 1] ?? [];
  const score = line ? low + (high - low) * fewAt(contest.scores, at(line - 1)) : null;
  return { rank: Math.max(1, Math.round(rank * stood)), stood, places, score };
}

// Whether the frame's tokens may have stood in a compression whose ranks were sent for other frames, or other layers, only.
export function withheld({ contest, cache, latents }, latent, line) {
  const competes = latent < latents[0] && !["sink", "recent"].includes(cache.roles[cache.frames.indexOf(latent)]);
  const sent = contest?.frames.includes(latent) ? line < contest.stood.length : !contest?.left;
  return Boolean(competes && contest && !sent);
}

// Attention mass on a latent frame for a chunk; null where it was not measured, 0 where the chunk does not see the frame.
export function massOn({ attention }, latent, line, head, columns) {
  if (!attention) return null;
  const i = attention.frames.indexOf(latent);
  return i < 0 ? 0 : shareAt(attention.mass, (line * columns + head) * attention.frames.length + i);
}

export function rankWords({ rank, stood, places, score }, line) {
  const number = (value) => value.toLocaleString("en");
  const scored = score === null ? "" : `, score ${score.toLocaleString("en", { maximumSignificantDigits: 4 }).replace("-", "−")}`;
  return `${line ? "" : "mean "}rank ${number(rank)} of ${number(stood)}, ${number(places)} places${scored}`;
}

// When the token left and why; null while it is held, or when that was not sent. spent: chosen as often as is allowed.
export function endOf(steps, token, line) {
  const last = steps.length - 1;
  if (last < 0 || steps[last].share !== 0) return null;
  const { chunk, seconds } = steps[last];
  if (!last) return { chunk, seconds: null, words: "gone before the time that this page remembers" };
  const { run } = chunk;
  const spent = spentIn(steps, line, run.settings);
  const [verb, reason] = reasonOf(steps, token, line, run);
  const at = `${steps[last - 1].share === null ? "by" : "at"} ${seconds.toFixed(1)} s`;
  const most = spent ? `. It had been chosen ${run.settings.max_reuse} times, the most allowed` : "";
  return { chunk, seconds, spent, words: `${spent ? "let go" : verb} ${at}${reason}${most}` };
}

// A token that stood in a compression and is there afterwards was chosen; where heads choose apart, not by all of them.
function spentIn(steps, line, { max_reuse: most, heads }) {
  if (!line || !most || heads === "separate" || !steps.at(-1).standing) return false;
  return steps.slice(0, -1).filter(({ standing }) => standing).length >= most;
}

function reasonOf(steps, { latent }, line, { policy, switch: switched }) {
  const [{ chunk: before, share }, { chunk, standing }] = steps.slice(-2);
  if (standing) return ["evicted", ` by compression: ${rankWords(standing, line)}`];
  if (withheld(chunk, latent, line)) return ["evicted", " by compression; its rank was not sent"];
  const cut = switched === "sink" || policy === "infinity-rope";
  if (cut && chunk.prompt !== before.prompt) return ["cut", " at the new prompt"];
  const older = chunk.cache.frames.some((frame, i) => frame < latent && chunk.cache.roles[i] !== "sink");
  return ["left", older || share !== 1 ? "" : " with its whole frame, the oldest of the window"];
}
