// What the README says of the deployment is so: the rows to which alarms and rules send people, and the resources.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { STATE_MACHINE_FOLDER } from "../lib/settings";
import { Deployed } from "./deployed";

const readme = readFileSync(join(__dirname, "..", "..", "README.md"), "utf8");

let deployed: Deployed;
beforeAll(async () => {
  deployed = await Deployed.synthesised();
});

it("every row of the README that a message names is there", () => {
  const text = JSON.stringify(deployed.template()).replace(/\\+"/g, "");
  const named = [...text.matchAll(/README: ([^.;,]+)(?:, row ([\w-]+))?[.;]/g)];
  expect(named.length).toBeGreaterThan(5);
  for (const [, section = "", row] of named) {
    expect(readme).toMatch(new RegExp(`^#+ ${section.trim()}$`, "m"));
    if (row !== undefined) expect(readme).toContain(`| \`${row}\` |`);
  }
});

it("every alarm, and every rule that tells people, has its row", () => {
  const named = [...deployed.all("AWS::CloudWatch::Alarm"), ...deployed.all("AWS::Events::Rule")]
    .map(({ Properties }) => String(Properties.AlarmName ?? Properties.Name))
    .filter((name) => !name.endsWith("-starts"));
  expect(named).toHaveLength(11);
  const [, table = ""] = readme.split("### The alarms");
  for (const name of named) {
    expect(table).toContain(`\n| \`${name.replace("credential-rotation-sql-backups-", "")}\` |`);
  }
});

it("the README lists the resources of the example's template", () => {
  expect(readme).toContain(readFileSync(join(__dirname, "snapshots", "resources.txt"), "utf8"));
});

it("every event that the definition puts on the bus has its row", () => {
  const definition = readFileSync(join(STATE_MACHINE_FOLDER, "rotation.asl.json"), "utf8");
  const told = new Set([...definition.matchAll(/"DetailType": "(\w+)"/g)].map(([, name]) => name));
  expect(told.size).toBe(5);
  for (const name of told) expect(readme).toContain(`| \`${name}\` |`);
});
