// One lane each: a key, a host, a place's hosts all together.

const PHASES = {
  made: "made, not yet staged",
  staged: "staged (AWSPENDING)",
  current: "current (AWSCURRENT)",
  kept: "kept Active",
  inactive: "Inactive",
};

/** What happens to a key and does not show in the form of its bar. */
const TOLD_OF_KEYS = new Set(["leaked", "abandoned"]);

/** What people and EC2 do to a host. */
const ACTS = new Set(["launched", "started", "stopped", "terminated", "tagged", "tagLost", "restored"]);

const STRAYS = {
  left: "left the fleet: its tags match no more, the ledger's is on it",
  outside: "outside the fleet",
};

/** One colour for each key, in the order of their making; a key of another user is grey. */
class Colours {
  constructor(keys) {
    this.places = new Map(keys.map((key, place) => [key.id, place % 6]));
  }

  of(key) {
    return this.places.has(key) ? `var(--key-${this.places.get(key)})` : "var(--key-other)";
  }
}

/** A piece of a bar. */
function piece(scale, from, to, attributes, ...children) {
  const left = scale.at(from);
  const style = { left: percent(left), width: percent(Math.max(scale.at(to) - left, 0)), ...attributes.style };
  return make("span", { ...attributes, style }, ...children);
}

/** Marks of one kind that would lie on each other are drawn once. */
function drawMarks(marks, scale) {
  const drawn = [];
  const taken = new Map();
  for (const mark of marks) {
    const left = scale.at(mark.at);
    if (taken.has(mark.kind) && (left - taken.get(mark.kind)) * scale.pixels < 5) continue;
    taken.set(mark.kind, left);
    const holder = make("span", { class: "moment", style: { left: percent(left) } }, symbol(mark.kind));
    drawn.push(holder);
  }
  return drawn;
}

/** The bar of a key: its form says how it stood. */
function keyTrack(key, story, scale, colours) {
  const track = make("div", { class: "track key-track", role: "img", "aria-label": describeKey(key, story) });
  key.spans.forEach((span) => {
    // What was so before the story began comes in from the left.
    const isOlder = span.from === story.from && key.made < story.from;
    const left = isOlder ? 0 : scale.at(span.from);
    const right = span.to >= story.to ? 1 : scale.at(span.to);
    const pixels = (right - left) * scale.pixels;
    const short = span.is;
    const full = PHASES[span.is];
    const label = [full, short].find((text) => text.length * 6.4 + 14 < pixels);
    const style = { left: percent(left), width: percent(right - left), "--colour": colours.of(key.id) };
    const classes = `bar phase ${span.is}${isOlder ? " older" : ""}`;
    track.append(make("span", { class: classes, style }, label ? make("span", { class: "inside" }, label) : null));
  });
  key.marks
    .filter((mark) => mark.kind === "gone")
    .forEach((mark) => {
      const place = make("span", { class: "moment ending", style: { left: percent(scale.at(mark.at)) } });
      track.append(place);
    });
  track.append(...drawMarks(key.marks.filter((mark) => TOLD_OF_KEYS.has(mark.kind)), scale));
  return track;
}

function describeKey(key, story) {
  const before = key.made < story.from ? `made ${momentOf(key.made)}` : null;
  const marks = key.marks.map((mark) => `${mark.text} ${momentOf(mark.at)}`);
  return [key.id, before, ...marks].filter(Boolean).join(", ");
}

/** Cuts stretches at the edges of others, so that each piece is drawn in one way: what the others say is added to it. */
function cut(pieces, others) {
  return pieces.flatMap(({ from, to, how }) => {
    const parts = [];
    for (const other of others) {
      if (other.to <= from || other.from >= to) continue;
      if (other.from > from) parts.push({ from, to: other.from, how });
      const end = Math.min(other.to, to);
      parts.push({ from: Math.max(from, other.from), to: end, how: `${how} ${other.is}` });
      from = end;
    }
    if (from < to) parts.push({ from, to, how });
    return parts;
  });
}

/** The bar of a host: what it held, by colour; how it was, by form; a thin one above another for several credentials. */
function hostTrack(host, story, scale, colours) {
  const track = make("div", { class: "track host-track", role: "img", "aria-label": describeHost(host) });
  const rows = host.strips.length;
  host.strips.forEach((strip, row) => {
    strip.spans.forEach((span) => {
      for (const part of cut(cut([{ ...span, how: "held" }], host.outages), host.strays)) {
        const style = { "--colour": colours.of(span.is), "--row": row, "--rows": rows };
        const classes = `bar ${part.how}`;
        track.append(
          piece(scale, startOf(part.from, story, scale), endOf(part.to, story, scale), { class: classes, style }),
        );
      }
    });
  });
  if (rows === 0) {
    host.there.forEach((span) => {
      track.append(
        piece(scale, startOf(span.from, story, scale), endOf(span.to, story, scale), { class: "bar empty" }),
      );
    });
  }
  track.append(...drawMarks(host.marks, scale));
  return track;
}

/** What is so at the start of the story was so before it, and comes in from the edge. */
const startOf = (from, story, scale) => (from <= story.from ? scale.momentAt(0) : from);

/** What is so at the end of the story goes on to the edge. */
const endOf = (to, story, scale) => (to >= story.to ? scale.momentAt(1) : to);

function describeHost(host) {
  const strips = host.strips.map((strip) => {
    const held = strip.spans.map((span) => `${span.is} from ${momentOf(span.from)}`);
    return `${strip.endpoint} held ${held.join(", then ")}`;
  });
  const outages = host.outages.map((outage) => `${outage.is} from ${momentOf(outage.from)} to ${momentOf(outage.to)}`);
  const proofs = host.marks.filter((mark) => mark.kind === "proved").length;
  const acts = host.marks.filter((mark) => ACTS.has(mark.kind)).map((mark) => `${mark.text} ${momentOf(mark.at)}`);
  return [host.name, ...strips, ...outages, ...acts, `proved ${counted(proofs, "time")}`].join("; ");
}

/** Whether anything about a host asks for a look. */
function hasIncident(host, story) {
  const ended = story.keys.find((key) => key.spans.some((span) => span.is === "current" && span.to === story.to));
  const lacks = ended && host.strips.some((strip) => strip.spans[strip.spans.length - 1]?.is !== ended.id);
  const isWhole = host.there.length === 1 && host.there[0].from === story.from && host.there[0].to === story.to;
  const isWrong = host.marks.some((mark) => mark.kind !== "proved" && mark.kind !== "nothingToHold");
  return host.outages.length > 0 || isWrong || !isWhole || Boolean(lacks);
}

/** How many of a place's hosts held which key when: one area for each key. */
function stackTrack(hosts, story, scale, colours) {
  const track = make("div", {
    class: "track stack-track",
    role: "img",
    "aria-label": `${hosts.length} hosts together`,
  });
  const changes = [];
  hosts.forEach((host) =>
    host.strips.forEach((strip) =>
      strip.spans.forEach((span) => {
        const share = 1 / host.strips.length;
        changes.push(
          { at: startOf(span.from, story, scale), key: span.is, by: share },
          { at: endOf(span.to, story, scale), key: span.is, by: -share },
        );
      }),
    ),
  );
  changes.sort((a, b) => a.at - b.at);
  const keys = [...new Set(changes.map((change) => change.key))].sort((a, b) =>
    colours.of(b) < colours.of(a) ? -1 : 1,
  );
  const held = new Map(keys.map((key) => [key, 0]));
  const outlines = new Map(keys.map((key) => [key, { above: [], below: [] }]));
  const note = (x) => {
    let below = 0;
    keys.forEach((key) => {
      const outline = outlines.get(key);
      outline.below.push([x, below]);
      below += held.get(key);
      outline.above.push([x, below]);
    });
  };
  changes.forEach((change, place) => {
    const x = scale.at(change.at) * 1000;
    if (place === 0 || changes[place - 1].at !== change.at) note(x);
    held.set(change.key, held.get(change.key) + change.by);
    if (place === changes.length - 1 || changes[place + 1].at !== change.at) note(x);
  });
  const y = (count) => (hosts.length - count).toFixed(2);
  const picture = makeSvg("svg", {
    viewBox: `0 0 1000 ${hosts.length}`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  keys.forEach((key) => {
    const { above, below } = outlines.get(key);
    const points = [...above, ...below.reverse()].map(([x, count]) => `${x.toFixed(2)},${y(count)}`).join(" ");
    picture.append(makeSvg("polygon", { points, style: `fill: ${colours.of(key)}` }));
  });
  track.append(picture);
  return track;
}
