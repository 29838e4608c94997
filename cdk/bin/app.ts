// `cdk synth` and `cdk deploy` begin here: reads rotations.json (or the file that `-c rotations=…` names) and the
// surroundings, and adds the stacks.

import { join } from "node:path";
import { App } from "aws-cdk-lib";
import { addStacks } from "../lib/app";
import { defaultBinariesFolder } from "../lib/functions";
import { readDeployment } from "../lib/rotations";
import { InvalidSettings } from "../lib/settings";

const app = new App();
const file: unknown = app.node.tryGetContext("rotations");
const path = typeof file === "string" ? file : join(__dirname, "..", "rotations.json");

try {
  addStacks(app, readDeployment(path), { binariesFolder: defaultBinariesFolder(), now: new Date() });
} catch (error) {
  if (!(error instanceof InvalidSettings)) throw error;
  // What a person wrote is wrong: a stack trace of ours would only hide where.
  process.stderr.write(`${path}: ${error.message}\n`);
  process.exit(1);
}
