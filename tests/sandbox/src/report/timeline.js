// The time line: axis, executions, keys, and the hosts by account and region.

/** A place with more hosts than this is shown as one area, with a lane for each host that asks for a look. */
const MANY = 24;
/** So many lanes at once have a line's height; more are drawn close together. */
const ROOMY = 60;
/** So many hosts that ask for a look are shown without being asked for. */
const SHOWN_INCIDENTS = 30;

class Timeline {
  constructor(section, story, openExecution) {
    this.section = section;
    this.story = story;
    this.openExecution = openExecution;
    this.colours = new Colours(story.keys);
    this.busy = busyStretches(story);
    this.incidents = new Set(story.hosts.filter((host) => hasIncident(host, story)));
    this.view = { zoomed: null, query: "", onlyIncidents: false, open: new Set(), detailed: new Set() };
    this.places = this.gather();
    this.plot = make("div", { class: "plot" });
    section.append(
      this.heading(),
      this.legend(),
      this.plot,
      make(
        "p",
        { class: "caption" },
        "Where nothing happens, time is folded and fainter. Select a date to look at it closely, a host to read its course, an execution to see its states. Times are UTC, and simulated.",
      ),
    );
    this.pointer = new Pointer(this);
    new ResizeObserver(() => this.fitWidth()).observe(this.plot);
  }

  /** Hosts by account and region, in the story's order. */
  gather() {
    const places = new Map();
    this.story.hosts.forEach((host) => {
      const name = `${host.account} ${host.region}`;
      if (!places.has(name)) places.set(name, { name, account: host.account, region: host.region, hosts: [] });
      places.get(name).hosts.push(host);
    });
    return [...places.values()];
  }

  heading() {
    const find = (event) => this.change({ query: event.target.value.trim().toLowerCase() });
    const input = make("input", {
      type: "search",
      id: "search",
      placeholder: "Find a host, region or key",
      "aria-label": "Find a host, region or key",
      oninput: find,
    });
    const only = make("input", {
      type: "checkbox",
      id: "incidents",
      onchange: (event) => this.change({ onlyIncidents: event.target.checked }),
    });
    this.found = make("output", { for: "search", class: "found" });
    const label = make(
      "label",
      { class: "only" },
      only,
      ` only the ${counted(this.incidents.size, "host")} with an incident`,
    );
    return make(
      "div",
      { class: "heading" },
      make("h2", { id: "timeline-title" }, "Keys and hosts"),
      make(
        "div",
        { class: "tools" },
        this.found,
        this.incidents.size > 0 && this.incidents.size < this.story.hosts.length ? label : null,
        input,
      ),
    );
  }

  legend() {
    const sample = (classes, words, colour) =>
      make(
        "li",
        {},
        make(
          "span",
          { class: "sample" },
          make("span", { class: `bar ${classes}`, style: { "--colour": colour, "--row": 0, "--rows": 1 } }),
        ),
        words,
      );
    const sign = (name, words) => make("li", {}, symbol(name), words);
    const ink = "var(--faint)";
    const keys = this.story.keys.map((key) =>
      sample("phase current", make("code", {}, key.id), this.colours.of(key.id)),
    );
    const kinds = new Set(this.story.hosts.flatMap((host) => host.marks.map((mark) => mark.kind)));
    const outages = new Set(this.story.hosts.flatMap((host) => host.outages.map((outage) => outage.is)));
    const phases = new Set(this.story.keys.flatMap((key) => key.spans.map((span) => span.is)));
    const phase = (name) => (phases.has(name) ? sample(`phase ${name}`, PHASES[name].replace(/ \(.*/, ""), ink) : null);
    const told = new Set(this.story.keys.flatMap((key) => key.marks.map((mark) => mark.kind)));
    const strays = new Set(this.story.hosts.flatMap((host) => host.strays.map((stray) => stray.is)));
    const signs = [
      ["proved", "proved, as the ledger says"],
      ["failed", "a command failed"],
      ["noAnswer", "a command was not answered"],
      ["backupFailed", "a nightly backup failed"],
      ["restored", "an older disk was put back"],
      ["launched", "launched"],
      ["started", "started"],
      ["stopped", "stopped"],
      ["terminated", "terminated"],
      ["tagLost", "lost a tag"],
      ["tagged", "was given a tag"],
    ];
    return make(
      "div",
      { class: "legend" },
      make("ul", { "aria-label": "Keys" }, ...keys, phase("staged"), phase("kept"), phase("inactive"),
        told.has("leaked") ? sign("leaked", "declared leaked") : null,
        told.has("abandoned") ? sign("abandoned", "abandoned") : null,
      ),
      make(
        "ul",
        { "aria-label": "Hosts" },
        outages.has("stopped") ? sample("held stopped", "host stopped", ink) : null,
        outages.has("silent") ? sample("held silent", "agent silent", ink) : null,
        strays.has("left") ? sample("held left", "left the fleet", ink) : null,
        strays.has("outside") ? sample("held outside", "outside the fleet", ink) : null,
        ...signs.filter(([name]) => kinds.has(name)).map(([name, words]) => sign(name, words)),
      ),
    );
  }

  /** Another view of the same story. */
  change(view) {
    Object.assign(this.view, view);
    this.draw();
  }

  fitWidth() {
    const width = this.plot.clientWidth;
    if (width > 0 && width !== this.width) {
      this.width = width;
      this.draw();
    }
  }

  draw() {
    const focused = document.activeElement?.dataset?.focus;
    const rest = parseFloat(getComputedStyle(this.plot).getPropertyValue("--names")) || 0;
    this.scale = new Scale(this.busy, Math.max(this.width - rest, 120), this.view.zoomed);
    this.plot.replaceChildren(
      this.drawBackdrop(),
      this.drawAxis(),
      this.drawExecutions(),
      ...this.drawKeys(),
      ...this.drawHosts(),
      this.drawVeil(),
    );
    this.pointer.attach();
    if (focused) this.plot.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  drawBackdrop() {
    const stretch = (classes, left, right) =>
      make("span", { class: classes, style: { left: percent(left), width: percent(right - left) } });
    const runs = this.story.executions.map((execution) =>
      stretch("running", this.scale.at(execution.from), this.scale.at(execution.to ?? this.story.to)),
    );
    const folds = this.scale.folds.map((fold) => stretch("fold", fold.left, fold.right));
    return make(
      "div",
      { class: "backdrop", "aria-hidden": "true" },
      ...runs,
      ...folds,
      make("span", { class: "crosshair", hidden: true }),
    );
  }

  /** Above the bars, which run through folded time as well. */
  drawVeil() {
    const veils = this.scale.folds.map((fold) =>
      make("span", { style: { left: percent(fold.left), width: percent(fold.right - fold.left) } }),
    );
    return make("div", { class: "backdrop veil", "aria-hidden": "true" }, ...veils);
  }

  drawAxis() {
    const { scale, view } = this;
    const track = make("div", { class: "track axis-track" });
    let free = 0;
    scale.busy.forEach((stretch, place) => {
      const x = stretch.left * scale.pixels;
      const day = dayOf(stretch.from);
      if (x >= free || place === view.zoomed) {
        const isZoomed = view.zoomed === place;
        const label = isZoomed ? `${day}, back to the whole` : day;
        const attributes = {
          class: "day",
          style: { left: percent(Math.min(stretch.start, 1 - (label.length * 7) / scale.pixels)) },
          title: isZoomed ? "Show the whole story" : `Look closely at ${day} ${clockOf(stretch.from)}`,
          "aria-pressed": String(isZoomed),
          "data-focus": `day ${place}`,
          onclick: () => this.change({ zoomed: isZoomed ? null : place }),
        };
        track.append(make("button", attributes, label));
        free = x + label.length * 7 + 14;
      }
    });
    let end = 0;
    const tick = (at, withSeconds, x, limit) => {
      const text = clockOf(at, withSeconds);
      if (x < end || x + text.length * 6.2 > limit) return;
      track.append(make("span", { class: "tick", style: { left: percent(x / scale.pixels) } }, text));
      end = x + text.length * 6.2 + 10;
    };
    scale.busy.forEach((stretch, place) => {
      const start = stretch.start * scale.pixels;
      tick(stretch.from, false, start, scale.pixels);
      const limit = stretch.right * scale.pixels;
      scale.ticks(stretch).forEach(({ at, withSeconds }) => tick(at, withSeconds, scale.at(at) * scale.pixels, limit));
      const fold = scale.folds[place];
      if (!fold) return;
      const text = durationOf(fold.to - fold.from);
      const room = (fold.right - fold.left) * scale.pixels;
      if (text.length * 5.8 < room && fold.left * scale.pixels >= end - 10) {
        track.append(make("span", { class: "folded", style: { left: percent((fold.left + fold.right) / 2) } }, text));
      }
    });
    return make("div", { class: "lane axis" }, make("div", { class: "name" }), track);
  }

  /** Of executions that would lie on each other, the longest. */
  clickable() {
    const length = (execution) => (execution.to ?? this.story.to) - execution.from;
    const apart = (one, other) => (this.scale.at(other.from) - this.scale.at(one.from)) * this.scale.pixels > 2;
    const shown = [];
    this.story.executions.forEach((execution) => {
      const last = shown[shown.length - 1];
      if (!last || apart(last, execution)) shown.push(execution);
      else if (length(execution) > length(last)) shown[shown.length - 1] = execution;
    });
    return shown;
  }

  drawExecutions() {
    const track = make("div", { class: "track runs-track" });
    this.clickable().forEach((execution) => {
      const left = this.scale.at(execution.from);
      const right = this.scale.at(execution.to ?? this.story.to);
      const pixels = Math.max((right - left) * this.scale.pixels, 7);
      const label = [execution.name, execution.name.match(/\d*$/)[0]].find((text) => text.length * 6.2 + 10 < pixels);
      const attributes = {
        class: `run ${execution.status.toLowerCase()}`,
        style: { left: percent(left), width: `max(7px, ${percent(right - left)})` },
        title: `${execution.name} ${execution.status.toLowerCase()}, ${momentOf(execution.from)}`,
        "aria-label": `${execution.name}, ${execution.status}, ${momentOf(execution.from)}: show its states`,
        "data-focus": `run ${execution.name}`,
        onclick: () => this.openExecution(execution),
      };
      track.append(make("button", attributes, label || ""));
    });
    return make("div", { class: "lane runs" }, make("div", { class: "name quiet" }, "executions"), track);
  }

  drawKeys() {
    return this.story.keys.map((key) => {
      const name = make("div", { class: "name" }, make("code", {}, key.id));
      const lane = make(
        "div",
        { class: "lane key", "data-key": key.id },
        name,
        keyTrack(key, this.story, this.scale, this.colours),
      );
      lane.subject = { key };
      return lane;
    });
  }

  matches(host) {
    if (this.view.onlyIncidents && !this.incidents.has(host)) return false;
    const query = this.view.query;
    if (query === "") return true;
    const held = host.strips.flatMap((strip) => strip.spans.map((span) => span.is));
    return [host.name, host.id, host.region, host.account, ...held].some((text) => text.toLowerCase().includes(query));
  }

  drawHosts() {
    const isFiltered = this.view.query !== "" || this.view.onlyIncidents;
    const all = this.places.map((place) => ({ place, found: place.hosts.filter((host) => this.matches(host)) }));
    const found = all.reduce((sum, { found }) => sum + found.length, 0);
    this.found.textContent = isFiltered ? `${found} of ${counted(this.story.hosts.length, "host")}` : "";
    const shown = all.map(({ place, found }) => ({ place, found, hosts: this.shownOf(place, found, isFiltered) }));
    const count = shown.reduce((sum, { hosts }) => sum + hosts.length, 0);
    this.plot.classList.toggle("close", count > ROOMY);
    return shown.filter(({ found }) => found.length > 0).flatMap((group) => this.drawPlace(group));
  }

  shownOf(place, found, isFiltered) {
    if (isFiltered || place.hosts.length <= MANY || this.view.open.has(place.name)) return found;
    return found.filter((host) => this.incidents.has(host)).slice(0, SHOWN_INCIDENTS);
  }

  drawPlace({ place, found, hosts }) {
    const isMany = place.hosts.length > MANY;
    const title = make("h3", {}, place.region, make("span", { class: "account" }, ` ${place.account}`));
    const head = make(
      "div",
      { class: `lane place${isMany ? " together" : ""}` },
      make("div", { class: "name" }, title, make("div", { class: "quiet" }, counted(place.hosts.length, "host"))),
    );
    head.append(
      isMany ? stackTrack(place.hosts, this.story, this.scale, this.colours) : make("div", { class: "track" }),
    );
    head.subject = isMany ? { place } : null;
    const lanes = hosts.flatMap((host) => this.drawHost(host));
    return [head, ...lanes, this.drawMore(place, found, hosts)].filter(Boolean);
  }

  /** Opens and closes a place with many hosts. */
  drawMore(place, found, hosts) {
    const isOpen = this.view.open.has(place.name);
    const left = found.length - hosts.length;
    if (left === 0 && !isOpen) return null;
    const quiet = found.slice().filter((host) => !hosts.includes(host) && !this.incidents.has(host)).length;
    const words = isOpen
      ? "Show only the hosts with an incident"
      : quiet === left
        ? `Show ${counted(left, "more host")}, all without an incident`
        : `Show ${counted(left, "more host")}`;
    const toggle = () => {
      if (isOpen) this.view.open.delete(place.name);
      else this.view.open.add(place.name);
      this.draw();
    };
    return make(
      "div",
      { class: "more" },
      make("button", { "data-focus": `place ${place.name}`, "aria-expanded": String(isOpen), onclick: toggle }, words),
    );
  }

  drawHost(host) {
    const isDetailed = this.view.detailed.has(host.id);
    const toggle = () => {
      if (isDetailed) this.view.detailed.delete(host.id);
      else this.view.detailed.add(host.id);
      this.draw();
    };
    const name = make(
      "button",
      {
        class: "name",
        title: host.id,
        "data-focus": `host ${host.id}`,
        "aria-expanded": String(isDetailed),
        onclick: toggle,
      },
      host.name,
    );
    const lane = make(
      "div",
      { class: "lane host", "data-host": host.id },
      name,
      hostTrack(host, this.story, this.scale, this.colours),
    );
    lane.subject = { host };
    return isDetailed ? [lane, this.drawCourse(host)] : [lane];
  }

  /** What happened on a host, in words and in order. */
  drawCourse(host) {
    const lines = courseOf(host, this.story).map(({ at, text, isWrong }) =>
      make(
        "li",
        { class: isWrong ? "wrong" : null },
        make("time", { datetime: new Date(at).toISOString() }, momentOf(at)),
        make("span", {}, text),
      ),
    );
    const where = `${host.id} in ${host.region}, account ${host.account}`;
    return make("div", { class: "course", "data-course": host.id }, make("p", {}, where), make("ol", {}, ...lines));
  }
}

/** What happened on a host, in the order of time. */
function courseOf(host, story) {
  const lines = [];
  host.strips.forEach((strip) =>
    strip.spans.forEach((span) => {
      const verb = span.from === story.from ? "held" : "holds";
      lines.push({ at: span.from, text: `${strip.endpoint} ${verb} ${span.is}` });
    }),
  );
  host.outages.forEach((outage) => {
    if (outage.is === "silent") {
      lines.push({ at: outage.from, text: "its agent did not answer" });
      if (outage.to < story.to) lines.push({ at: outage.to, text: "its agent answered again" });
    } else if (outage.from === story.from) lines.push({ at: outage.from, text: "was stopped" });
  });
  host.strays.forEach((stray) => lines.push({ at: stray.from, text: STRAYS[stray.is] }));
  const isWrong = (mark) => mark.kind === "failed" || mark.kind === "backupFailed";
  host.marks.forEach((mark) => lines.push({ at: mark.at, text: mark.text, isWrong: isWrong(mark) }));
  if (host.strips.length === 0) lines.push({ at: story.from, text: "nothing on it held a key" });
  return lines.sort((a, b) => a.at - b.at);
}
