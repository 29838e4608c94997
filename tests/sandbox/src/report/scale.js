// The time axis. An execution lasts minutes and the overlap weeks, so time runs evenly only where something happens;
// what lies between is folded: its width grows with the logarithm of its length, and the axis names it.

/** What is further apart than this has quiet time between. */
const QUIET = 30 * MINUTE;
/** Pixels, before everything is fitted to the width that there is. */
const LEAST_BUSY = 40;
const MARGIN = 9;

/** The stretches of time in which something happened, in order. */
function busyStretches(story) {
  const stretches = [
    [story.from, story.from],
    [story.to, story.to],
  ];
  const at = (moment) => stretches.push([moment, moment]);
  story.executions.forEach((execution) => stretches.push([execution.from, execution.to ?? story.to]));
  story.keys.forEach((key) => key.marks.forEach((mark) => at(mark.at)));
  story.breaches.forEach((breach) => at(breach.at));
  story.hosts.forEach((host) => {
    host.marks.forEach((mark) => at(mark.at));
    [host.outages, host.there, ...host.strips.map((strip) => strip.spans)].flat().forEach((span) => {
      at(span.from);
      at(span.to);
    });
  });
  stretches.sort((a, b) => a[0] - b[0]);
  const busy = [];
  for (const [from, to] of stretches) {
    const last = busy[busy.length - 1];
    if (last && from - last.to < QUIET) last.to = Math.max(last.to, to);
    else busy.push({ from, to });
  }
  return busy;
}

/** Where each moment lies, as a fraction of the width. `zoomed` is the stretch that is looked at closely, if one is. */
class Scale {
  constructor(busy, pixels, zoomed) {
    const widths = [];
    busy.forEach((stretch, place) => {
      widths.push(LEAST_BUSY + 42 * Math.log2(1 + (stretch.to - stretch.from) / (20 * SECOND)));
      const next = busy[place + 1];
      if (next) widths.push(26 + 16 * Math.log2(1 + (next.from - stretch.to) / DAY));
    });
    if (zoomed !== null) {
      const others = widths.reduce((sum, width) => sum + width, 0) - widths[2 * zoomed];
      widths[2 * zoomed] = others * 5;
    }
    const total = widths.reduce((sum, width) => sum + width, 0);
    const fit = pixels / total;
    const margin = Math.min(MARGIN, (LEAST_BUSY / 3) * fit) / pixels;
    this.pixels = pixels;
    this.nodes = [];
    this.busy = [];
    this.folds = [];
    let left = 0;
    widths.forEach((width, number) => {
      const right = left + width / total;
      const stretch = busy[number >> 1];
      if (number % 2 === 0) {
        const next = busy[(number >> 1) + 1];
        const past = stretch.to + (next ? Math.min(5 * MINUTE, (next.from - stretch.to) / 4) : MINUTE);
        const previous = busy[(number >> 1) - 1];
        const early = stretch.from - (previous ? Math.min(5 * MINUTE, (stretch.from - previous.to) / 4) : MINUTE);
        this.nodes.push([early, left], [stretch.from, left + margin], [stretch.to, right - margin], [past, right]);
        this.busy.push({ from: stretch.from, to: stretch.to, left, right, start: left + margin });
      } else {
        this.folds.push({ from: stretch.to, to: busy[(number >> 1) + 1].from, left, right });
      }
      left = right;
    });
  }

  /** The fraction of the width at which a moment lies. */
  at(moment) {
    return this.between(moment, 0, 1);
  }

  /** The moment that lies at a fraction of the width. */
  momentAt(fraction) {
    return this.between(fraction, 1, 0);
  }

  between(value, known, wanted) {
    const nodes = this.nodes;
    let low = 0;
    let high = nodes.length - 1;
    if (value <= nodes[low][known]) return nodes[low][wanted];
    if (value >= nodes[high][known]) return nodes[high][wanted];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (nodes[middle][known] <= value) low = middle;
      else high = middle;
    }
    const [from, to] = [nodes[low], nodes[high]];
    const share = to[known] === from[known] ? 1 : (value - from[known]) / (to[known] - from[known]);
    return from[wanted] + share * (to[wanted] - from[wanted]);
  }

  /** Round moments within a busy stretch, as close together as their labels allow. */
  ticks(stretch) {
    const apart = 62;
    const start = this.at(stretch.from) * this.pixels;
    const end = this.at(stretch.to) * this.pixels;
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400].map(
      (step) => step * SECOND,
    );
    const length = stretch.to - stretch.from;
    const step = steps.find((candidate) => ((end - start) * candidate) / Math.max(length, 1) >= apart);
    const ticks = [];
    if (!step) return ticks;
    for (let at = Math.ceil(stretch.from / step) * step; at <= stretch.to; at += step)
      ticks.push({ at, withSeconds: step < MINUTE });
    return ticks;
  }
}
