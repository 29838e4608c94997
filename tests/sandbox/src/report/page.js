// Reads the story and draws the page.

function drawSummary(header, story) {
  const verdict = make("p", { class: `verdict ${story.held ? "held" : "broken"}` }, story.verdict);
  header.append(
    make("p", { class: "kind" }, "Credential rotation"),
    make("h1", {}, story.title),
    verdict,
    make("p", { class: "paragraph" }, ...story.summary.flatMap((sentence) => [...withKeys(sentence, story), " "])),
  );
  if (story.breaches.length === 0) return;
  const lines = story.breaches.map((breach) =>
    make("li", {}, make("time", {}, momentOf(breach.at)), make("span", {}, breach.text)),
  );
  header.append(make("ol", { class: "breaches" }, ...lines));
}

/** Each key's id in its own colour, so that the paragraph is a legend too. */
function withKeys(sentence, story) {
  const colours = new Colours(story.keys);
  const ids = new Set(story.keys.map((key) => key.id));
  return sentence
    .split(/(AKIA[A-Z0-9]+)/)
    .map((part) =>
      ids.has(part) ? make("code", { class: "key-name", style: { "--colour": colours.of(part) } }, part) : part,
    );
}

function drawPage() {
  const story = JSON.parse(document.getElementById("story").textContent);
  drawSummary(document.getElementById("summary"), story);
  const executions = new Executions(document.getElementById("executions"), story);
  new Timeline(document.getElementById("timeline"), story, (execution) => executions.open(execution));
}

drawPage();
