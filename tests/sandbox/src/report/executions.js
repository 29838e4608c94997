// The executions: a list; each opens to its states in order, and each state to its input and output.

/** What goes by in no time and does no work. */
const SILENT_KINDS = new Set(["Choice", "Pass"]);

class Executions {
  constructor(section, story) {
    this.story = story;
    this.items = new Map();
    section.append(make("div", { class: "heading" }, make("h2", { id: "executions-title" }, "Executions")));
    if (story.executions.length === 0) section.append(make("p", { class: "quiet" }, "None was started."));
    story.executions.forEach((execution) => {
      if (execution.chapter) section.append(make("p", { class: "chapter" }, execution.chapter));
      section.append(this.drawOne(execution));
    });
  }

  open(execution) {
    const item = this.items.get(execution.name);
    item.open = true;
    item.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    item.querySelector("summary").focus({ preventScroll: true });
  }

  drawOne(execution) {
    const lasted = execution.to ? durationOf(execution.to - execution.from) : "running";
    const troubles = execution.steps.flatMap((step) => step.tries.filter((one) => one.error)).length;
    const summary = make(
      "summary",
      {},
      make("span", { class: "title" }, execution.name),
      make("span", { class: "mode" }, execution.mode || "rotate"),
      make(
        "span",
        { class: `status ${execution.status.toLowerCase()}${execution.isExpected ? " expected" : ""}` },
        execution.status.toLowerCase().replace("_", " ") + (execution.isExpected ? ", as told" : ""),
      ),
      make("span", { class: "when" }, momentOf(execution.from)),
      make("span", { class: "lasted" }, lasted),
      make(
        "span",
        { class: "states" },
        counted(execution.steps.length, "state"),
        troubles ? make("em", { class: "wrong" }, `, ${counted(troubles, "error")}`) : "",
      ),
    );
    const item = make("details", { class: "execution", "data-execution": execution.name }, summary);
    let isDrawn = false;
    item.addEventListener("toggle", () => {
      if (item.open && !isDrawn) item.append(this.drawBody(execution));
      isDrawn = isDrawn || item.open;
    });
    this.items.set(execution.name, item);
    return item;
  }

  drawBody(execution) {
    const isNoted = execution.steps.some((step) => step.tries.length > 1 || step.tries.some((one) => one.error));
    const list = make(
      "ol",
      { class: `steps${isNoted ? " noted" : ""}` },
      ...execution.steps.map((step) => this.drawStep(step, execution)),
    );
    const silent = execution.steps.filter((step) => SILENT_KINDS.has(step.kind)).length;
    const toggle = (event) => {
      const isShown = list.classList.toggle("all");
      event.target.textContent = isShown
        ? "Show only the states that do something"
        : `Show the ${counted(silent, "choice")} and passes too`;
      event.target.setAttribute("aria-pressed", String(isShown));
    };
    const words = `Show the ${counted(silent, "choice")} and passes too`;
    const whole = this.drawPayloads([
      ["Input of the execution", execution.input],
      ["Its output", execution.output],
    ]);
    const own = make("details", { class: "whole" }, make("summary", {}, "Input and output of the execution"));
    own.addEventListener("toggle", () => own.children.length === 1 && own.append(whole));
    return make(
      "div",
      { class: "body" },
      execution.message ? make("p", { class: "message" }, execution.message) : null,
      own,
      silent ? make("button", { class: "silent-states", "aria-pressed": "false", onclick: toggle }, words) : null,
      list,
    );
  }

  drawStep(step, execution) {
    const length = Math.max((execution.to ?? this.story.to) - execution.from, 1);
    const to = step.to ?? execution.to ?? this.story.to;
    const style = { left: percent((step.from - execution.from) / length), width: percent((to - step.from) / length) };
    const errors = step.tries.filter((one) => one.error);
    const bar = make("span", { class: `course-bar ${step.kind.toLowerCase()}${errors.length ? " wrong" : ""}`, style });
    const tries = step.tries.length > 1 ? `${step.tries.length} tries` : "";
    const button = make(
      "button",
      { class: "step", "aria-expanded": "false", title: `${step.kind}, entered ${momentOf(step.from)}` },
      make(
        "span",
        { class: "state" },
        step.name,
        step.place ? make("span", { class: "where" }, ` ${step.place}`) : null,
      ),
      make("span", { class: "strip", "aria-hidden": "true" }, bar),
      make(
        "span",
        { class: "lasted" },
        step.kind === "Choice" || step.kind === "Pass" ? step.kind.toLowerCase() : durationOf(to - step.from),
      ),
      make("span", { class: "note" }, [tries, ...errors.map((one) => one.error)].filter(Boolean).join(" · ")),
    );
    const item = make("li", { class: SILENT_KINDS.has(step.kind) ? "silent" : null, "data-state": step.name }, button);
    button.addEventListener("click", () => {
      const isOpen = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!isOpen));
      if (isOpen) item.lastChild.remove();
      else item.append(this.drawInside(step));
    });
    return item;
  }

  drawInside(step) {
    const inside = make("div", { class: "inside-state" });
    step.tries.forEach((one, place) => {
      const number = step.tries.length > 1 ? `Try ${place + 1}: ` : "";
      const lasted = one.to ? ` answered after ${durationOf(one.to - one.from)}` : " did not answer";
      const line = make("p", { class: one.error ? "wrong" : "quiet" }, `${number}${one.called}${lasted}`);
      if (one.error) line.append(`: ${one.error}. ${one.cause || ""}`);
      inside.append(line);
    });
    const call = step.tries[step.tries.length - 1];
    const told = call
      ? [
          [`Given to ${call.called}`, call.input],
          ["Its answer", call.output],
        ]
      : [];
    inside.append(this.drawPayloads([["Input", step.input], ["Output", step.output], ...told]));
    return inside;
  }

  drawPayloads(payloads) {
    const shown = payloads.filter(([, place]) => place !== null && place !== undefined);
    const draw = ([title, place]) =>
      make(
        "figure",
        { class: "payload" },
        make("figcaption", {}, title),
        make("pre", { tabindex: "0" }, ...colourJson(this.payload(place))),
      );
    return make("div", { class: "payloads" }, ...shown.map(draw));
  }

  /** The payload at a place of the table: whole again. See payloads.rs. */
  payload(place) {
    const whole = (value) => {
      if (value === null || typeof value !== "object") return value;
      return "@" in value ? this.payload(value["@"]) : members(value);
    };
    const members = (value) =>
      Array.isArray(value)
        ? value.map(whole)
        : Object.fromEntries(Object.entries(value).map(([name, member]) => [name, whole(member)]));
    const kept = this.story.payloads[place];
    return kept === null || typeof kept !== "object" ? kept : members(kept);
  }
}

/** JSON with its names set apart from its values. */
function colourJson(value) {
  const text = JSON.stringify(value, null, 2);
  const parts = [];
  let done = 0;
  for (const found of text.matchAll(/^(\s*)("(?:[^"\\]|\\.)*")(?=:)/gm)) {
    const start = found.index + found[1].length;
    parts.push(text.slice(done, start), make("span", { class: "member" }, found[2]));
    done = start + found[2].length;
  }
  return [...parts, text.slice(done)];
}
