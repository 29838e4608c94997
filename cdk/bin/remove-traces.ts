// After `cdk destroy`: removes what CloudFormation does not know of, and lists the secrets and keys that are kept.
//
//   npx tsx bin/remove-traces.ts [--rotations FILE] [--yes]
//
// Without --yes it shows what it would do and changes nothing. Run it once an account that has hosts, home last, with
// AWS's command line configured for that account.

import { join } from "node:path";
import { parseArgs } from "node:util";
import { readDeployment } from "../lib/rotations";
import { commandLine, Traces } from "../lib/traces";

const { values } = parseArgs({
  options: {
    rotations: { type: "string", default: join(__dirname, "..", "rotations.json") },
    yes: { type: "boolean", default: false },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);
const change = (...words: string[]) => {
  say(`${values.yes ? "" : "would: "}aws ${words.join(" ")}`);
  if (values.yes) commandLine(...words);
};

const { home, rotations } = readDeployment(values.rotations);
const traces = new Traces(home, commandLine, change, say);
for (const rotation of rotations) {
  traces.removeOf(rotation);
  const others = traces.otherAccountsOf(rotation);
  if (others.length > 0) say(`${rotation.settings.rotation}: run this with credentials of ${others.join(", ")}, too`);
}
if (!values.yes) say("Nothing was changed; --yes does it.");
