// The instrument's one axis: a column for each frame that the chunk could look back at, in groups from left to right.
//
// The sink stands at the left end, the chunk itself at the right end; what was let go long ago is the space between.

export const GROUPS = ["sink", "evicted", "top-C", "recent", "current"];
const GAP = 10; // pixels between groups
const NAMED = { sink: 30, evicted: 46, "top-C": 38, recent: 42, current: 28 }; // pixels, at least: room for the group's name
const FORGOTTEN = 54; // pixels, at least, for the frames that are gone
const WEIGHTS = { sink: 0.8, evicted: 1.4, "top-C": 1.4, recent: 0.8, current: 0.8 }; // wider where single tokens count,
const NARROW = { sink: 0.5, evicted: 1, "top-C": 1.6, recent: 0.6, current: 0.6 }; // the more so where there is no room
const NARROW_BELOW = 560; // pixels
const [LEGIBLE, MOST_ROWS] = [26, 4]; // pixels of a tile: where there is no room for it beside others, they stand in rows

export class Axis {
  // frames: [{ latent, role }], the chunk's own among them; gone: frames that are in no column.
  constructor(frames, gone, window, width) {
    const groups = GROUPS.map((role) => [role, frames.filter((frame) => frame.role === role)]).filter(([, own]) => own.length);
    this.width = width;
    const weights = width < NARROW_BELOW ? NARROW : WEIGHTS;
    const unit = unitOf(groups, weights, width - GAP * (groups.length - 1) - (gone ? FORGOTTEN : 0), window);
    this.wide = (role) => unit * weights[role]; // of a column
    this.columns = new Map(); // latent frame -> its left edge and its width, in pixels
    this.tiles = new Map(); // latent frame -> left edge, width, row and number of rows, of a tile that is wide enough to be looked at
    this.groups = []; // { role, left, width, count }
    const left = groups[0]?.[0] === "sink" ? groups.shift() : null;
    const others = groups.reduce((sum, group) => sum + this.room(group) + GAP, -GAP);
    const start = width - others;
    if (left) this.put(left, 0);
    this.gone = gone ? { count: gone, left: this.groups[0]?.width ?? 0, right: start } : null;
    groups.reduce((at, group) => this.put(group, at) + GAP, start);
  }

  // Of a group: its columns, or its name where that is wider.
  room([role, frames]) {
    return Math.max(frames.length * this.wide(role), NAMED[role]);
  }

  put([role, frames], left) {
    const wide = this.wide(role);
    const width = this.room([role, frames]);
    const legible = this.width < NARROW_BELOW ? LEGIBLE : wide;
    const rows = Math.min(MOST_ROWS, Math.ceil(legible / wide), frames.length);
    const tile = Math.max(rows * wide, Math.min(legible, width));
    frames.forEach(({ latent }, i) => {
      const at = Math.min(Math.max(0, (i + 0.5) * wide - tile / 2), Math.max(0, frames.length * wide - tile));
      this.columns.set(latent, [left + i * wide, wide]);
      this.tiles.set(latent, [left + at, tile, i % rows, rows]);
    });
    this.groups.push({ role, left, width, count: frames.length });
    return left + width;
  }

  middle(latent) {
    const [left, wide] = this.columns.get(latent);
    return left + wide / 2;
  }

  // The frame of the nearest column; null where there is none.
  at(x) {
    const far = (latent) => Math.abs(this.middle(latent) - x);
    const nearest = [...this.columns.keys()].reduce((one, other) => (one === null || far(other) < far(one) ? other : one), null);
    return nearest === null || far(nearest) > this.columns.get(nearest)[1] ? null : nearest;
  }
}

// Pixels of a weight: what the groups that are not wider than their names leave to the others.
function unitOf(groups, weights, room, window) {
  const weigh = (some) => some.reduce((sum, [role, own]) => sum + own.length * weights[role], 0);
  const unit = Math.max(2, room / Math.max(weigh(groups), window * weights.recent));
  const narrow = groups.filter((group) => weigh([group]) * unit < NAMED[group[0]]);
  const left = room - narrow.reduce((sum, [role]) => sum + NAMED[role], 0);
  const weight = weigh(groups) - weigh(narrow);
  return weight ? Math.max(2, Math.min(unit, left / weight)) : unit;
}
