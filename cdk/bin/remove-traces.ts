// After `cdk destroy`: removes what CloudFormation does not know of, and lists the secrets and keys that are kept.
//
//   npx tsx bin/remove-traces.ts [--rotations FILE] [--yes]
//
// Without --yes it shows what it would do and changes nothing. Run it once an account that has hosts, home last, with
// AWS's command line configured for that account.

import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Aws, AwsRefusal, commandLine } from "../lib/aws-command-line";
import { readDeployment } from "../lib/rotations";
import { InvalidSettings } from "../lib/settings";
import { Traces } from "../lib/traces";

const { values } = parseArgs({
  options: {
    rotations: { type: "string", default: join(__dirname, "..", "rotations.json") },
    yes: { type: "boolean", default: false },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);
const change: Aws = (...words) => {
  say(`${values.yes ? "" : "would: "}aws ${words.join(" ")}`);
  return values.yes ? commandLine(...words) : null;
};

try {
  const { home, rotations } = readDeployment(values.rotations);
  const traces = new Traces(home, commandLine, change, say);
  for (const rotation of rotations) {
    traces.removeOf(rotation);
    const others = traces.otherAccountsOf(rotation);
    if (others.length > 0) say(`${rotation.settings.rotation}: run this with credentials of ${others.join(", ")}, too`);
  }
  if (!values.yes) say("Nothing was changed; --yes does it.");
} catch (error) {
  // What was done stays done, and a second run does the rest: a stack trace of ours would only hide what AWS said.
  if (!(error instanceof AwsRefusal || error instanceof InvalidSettings)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
