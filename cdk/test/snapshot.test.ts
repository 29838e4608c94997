// The example's templates as a person reads them, kept in the repository: a change of what is deployed is seen in review.
//
// Left out is what no reader reads: the scripts inside the documents, which are files of their own, the hashes of the
// binaries, and CDK's own parameters.

import { beforeAll, expect, it } from "vitest";
import { isObject, type Json } from "../lib/settings";
import { Deployed, type JsonObject } from "./deployed";

let deployed: Deployed;
beforeAll(async () => {
  deployed = await Deployed.synthesised();
});

function readable(value: Json): Json {
  if (Array.isArray(value)) return value.map(readable);
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shortened(name, member)]));
  }
  return value;
}

function shortened(name: string, value: Json): Json {
  if (name === "S3Key") return "(the binary)";
  if (name === "runCommand") return "(scripts)";
  if (name === "DefinitionString" && typeof value === "string") return readable(JSON.parse(value) as Json);
  return readable(value);
}

it.each(["credential-rotation", "credential-rotation-iam-events"])(
  "the template of %s is the one that was reviewed",
  async (stack) => {
    const { Resources, Outputs } = deployed.template(stack) as unknown as JsonObject;
    const text = `${JSON.stringify(readable({ Resources: Resources ?? {}, Outputs: Outputs ?? {} }), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot(`snapshots/${stack}.json`);
  },
);

it("the list of the example's resources is the one that the README shows", async () => {
  const counts = new Map<string, number>();
  for (const { Type } of Object.values(deployed.template().Resources)) counts.set(Type, (counts.get(Type) ?? 0) + 1);
  const lines = [...counts].sort().map(([type, count]) => `${String(count).padStart(3)} ${type}`);
  await expect(`${lines.join("\n")}\n`).toMatchFileSnapshot("snapshots/resources.txt");
});
