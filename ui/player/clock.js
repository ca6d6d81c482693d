// The playhead: constant speed out of a jitter buffer. Positions are video frames; no DOM in here.

const PREROLL = 20; // frames gathered before playing when generation is slower than, or near, real time
const CATCH_UP = 1.03; // the most that playback may run faster, too little to be seen
const LONG_AHEAD = 2.5; // seconds of buffer from which playback catches up
const HUNGRY = 1.5; // seconds of buffer up to which the server makes more at once, see pace.py; above, it waits
const LEFT = 8; // frames that should be left when the next ones arrive; where there are fewer, playback slows down a little
const MORE = 4; // of them for each time that they were not enough, up to twice as many
const [LOOKED_AT, LONGEST] = [5, 12]; // arrivals, and seconds between two of them, that tell the rate

export class Clock {
  constructor(fps, firstCount, recorded = false) {
    this.fps = fps;
    this.recorded = recorded; // the video is complete already, and comes as fast as it can
    this.position = 0; // of the frame on screen, with its fraction
    this.oldest = 0; // first frame still held
    this.newest = 0; // past the last frame held
    this.playing = true; // what the viewer wants
    this.held = false; // while the scrubber is being dragged
    this.buffering = true;
    this.ended = false; // no more frames will come
    this.stalls = 0;
    this.made = 0; // measured frames per second of generation, 0 = not known yet
    this.arrivals = []; // [seconds that the server was busy with it, frames] of the latest ones
    this.arrived = null; // [milliseconds, frames in hand then] of the last one
    this.trim = 0.9; // of the speed, so that about LEFT frames are left when the next ones arrive
    this.firstCount = firstCount;
    this.last = null;
  }

  // The first frame that there is: another than 0 where a run is found again of which the beginning is gone.
  beginAt(frame) {
    this.oldest = this.newest = this.position = frame;
  }

  // A chunk arrived: `seconds` is what making its `count` frames took.
  add(count, seconds, now = performance.now()) {
    const rate = count / seconds;
    this.made = this.made ? 0.6 * this.made + 0.4 * rate : rate;
    if (!this.buffering) this.trim = Math.max(0.75, Math.min(1.12, 1 + (this.ahead - this.left) / 48));
    this.look(count, now);
    this.newest += count;
    this.arrived = this.playing ? [now, this.ahead] : null;
  }

  // How long a chunk was on its way, less the time that the server waited since there was enough in hand.
  look(count, now) {
    if (!this.arrived) return void (this.arrivals = []);
    const [then, ahead] = this.arrived;
    const seconds = (now - then) / 1000 - Math.max(0, ahead / this.fps - HUNGRY);
    this.arrivals = seconds > LONGEST ? [] : [...this.arrivals, [Math.max(0, seconds), count]].slice(-LOOKED_AT);
  }

  // Frames a second that come to be shown: what is made, or less, where others share the machine or the way is slow.
  get rate() {
    if (this.arrivals.length < 2) return this.made;
    const [seconds, frames] = [0, 1].map((i) => this.arrivals.reduce((sum, arrival) => sum + arrival[i], 0));
    return Math.min(this.made, frames / Math.max(seconds, 0.1));
  }

  get left() {
    return Math.min(2 * LEFT, LEFT + MORE * this.stalls);
  }

  get frame() {
    return Math.min(Math.floor(this.position), Math.max(this.newest - 1, this.oldest));
  }

  get ahead() {
    return this.newest - this.position;
  }

  get moving() {
    return this.playing && !this.held && !this.buffering && !this.atEnd;
  }

  get atEnd() {
    return this.ended && this.position >= this.newest - 1;
  }

  // Never faster than frames come, or playback would stutter: slower, steady motion instead.
  get speed() {
    if (this.ended || this.recorded) return 1;
    if (this.slow) return Math.min(1, (0.97 * this.trim * this.rate) / this.fps);
    return this.ahead > LONG_AHEAD * this.fps ? CATCH_UP : 1;
  }

  get slow() {
    return this.rate < this.fps;
  }

  get preroll() {
    return this.recorded || this.made > 1.5 * this.fps ? Math.min(this.firstCount, PREROLL) : PREROLL;
  }

  tick(now) {
    const seconds = this.last === null ? 0 : Math.min((now - this.last) / 1000, 0.25);
    this.last = now;
    if (this.buffering && (this.ended || this.ahead >= this.preroll)) this.buffering = false;
    if (this.moving) this.advance(seconds);
  }

  advance(seconds) {
    const next = this.position + seconds * this.fps * this.speed;
    const limit = this.newest - 1e-3;
    this.position = Math.min(next, limit);
    if (next > limit && !this.ended) {
      this.buffering = true;
      this.stalls += 1;
      this.trim = 0.85;
    }
  }

  seek(frame) {
    this.position = Math.max(this.oldest, Math.min(frame, this.newest - 1));
  }

  // The newest point from which playback does not stall at once.
  get live() {
    return Math.max(this.oldest, this.ended ? this.newest - 1 : this.newest - this.preroll);
  }
}
