// What lies under the pointer: a line through all lanes at its moment, and in words what was so there and then.

/** Marks this close to the pointer are told. */
const REACH = 8;

class Pointer {
  constructor(timeline) {
    this.timeline = timeline;
    this.hint = document.getElementById("hint");
    timeline.plot.addEventListener("pointermove", (event) => this.follow(event));
    timeline.plot.addEventListener("pointerleave", () => this.hide());
    document.addEventListener("scroll", () => this.hide(), { passive: true });
  }

  attach() {
    this.crosshair = this.timeline.plot.querySelector(".crosshair");
  }

  hide() {
    this.hint.hidden = true;
    if (this.crosshair) this.crosshair.hidden = true;
  }

  follow(event) {
    const lane = event.target.closest(".lane");
    const track = lane?.querySelector(".track");
    if (!track) return this.hide();
    const box = track.getBoundingClientRect();
    const fraction = (event.clientX - box.left) / box.width;
    if (fraction < 0 || fraction > 1) return this.hide();
    const { scale, story } = this.timeline;
    const moment = Math.min(Math.max(scale.momentAt(fraction), story.from), story.to);
    this.crosshair.hidden = false;
    this.crosshair.style.left = percent(fraction);
    const near = (at) => Math.abs(scale.at(at) - fraction) * scale.pixels < REACH;
    const lines = lane.subject ? this.tell(lane.subject, moment, near) : [];
    const exact = scale.busy.some((stretch) => moment >= stretch.from - MINUTE && moment <= stretch.to + MINUTE);
    const time = exact ? momentOf(moment) : `${dayOf(moment)} ${clockOf(moment)}`;
    this.hint.replaceChildren(make("div", { class: "time" }, time), ...lines.map((line) => make("div", {}, line)));
    this.hint.hidden = false;
    this.place(event);
  }

  place(event) {
    const { width, height } = this.hint.getBoundingClientRect();
    const left = event.clientX + 16 + width > innerWidth ? event.clientX - 16 - width : event.clientX + 16;
    const top = event.clientY + 18 + height > innerHeight ? event.clientY - 12 - height : event.clientY + 18;
    this.hint.style.left = `${Math.max(8, left)}px`;
    this.hint.style.top = `${Math.max(8, top)}px`;
  }

  tell({ key, host, place }, moment, near) {
    if (key) return this.tellKey(key, moment, near);
    if (host) return this.tellHost(host, moment, near);
    return this.tellPlace(place, moment);
  }

  tellKey(key, moment, near) {
    const phase = at(key.spans, moment);
    const marks = key.marks.filter((mark) => near(mark.at)).map((mark) => `${clockOf(mark.at, true)} ${mark.text}`);
    const how = phase ? PHASES[phase.is] : moment < key.made ? "not made yet" : "gone";
    return [`${key.id}: ${how}`, ...marks];
  }

  tellHost(host, moment, near) {
    const held = host.strips.map((strip) => {
      const key = at(strip.spans, moment)?.is ?? "nothing";
      return host.strips.length === 1 ? `holds ${key}` : `${strip.endpoint} holds ${key}`;
    });
    const outage = at(host.outages, moment);
    const words = outage ? (outage.is === "stopped" ? ", stopped" : ", agent silent") : "";
    const marks = host.marks.filter((mark) => near(mark.at)).map((mark) => `${clockOf(mark.at, true)} ${mark.text}`);
    const stray = at(host.strays, moment);
    const there = at(host.there, moment) ? held : ["not there"];
    return [`${host.name}${words}`, ...(host.strips.length ? there : ["nothing to hold"]), ...(stray ? [STRAYS[stray.is]] : []), ...marks];
  }

  tellPlace(place, moment) {
    const counts = new Map();
    place.hosts.forEach((host) => {
      const keys = new Set(host.strips.map((strip) => at(strip.spans, moment)?.is ?? "nothing"));
      const what = keys.size === 1 ? [...keys][0] : keys.size === 0 ? "nothing" : "more than one key";
      counts.set(what, (counts.get(what) || 0) + 1);
    });
    return [place.region, ...[...counts].map(([what, count]) => `${counted(count, "host")}: ${what}`)];
  }
}

/** The stretch in which a moment lies. */
const at = (spans, moment) => spans.find((span) => span.from <= moment && moment <= span.to);
