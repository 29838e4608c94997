// The example of a service control policy, which reserves the ledger's tags for whoever writes them.

import { join } from "node:path";
import { expect, it } from "vitest";
import { functionName, functionRoleArn, ledgerTag } from "../lib/names";
import { functionsWith } from "../lib/permissions";
import { readJson } from "../lib/settings";
import { type JsonObject, listOf } from "./deployed";

const policy = readJson(join(__dirname, "..", "examples", "scp-reserve-ledger-tag.json")) as JsonObject;
const [statement] = policy.Statement as [
  { Effect: string; Action: string[]; Condition: { [name: string]: JsonObject } },
];

it("the service control policy keeps everybody from the ledger's tags but those who write them", () => {
  expect(statement.Effect).toBe("Deny");
  expect(statement.Action).toContain("ec2:CreateTags");
  const { "ForAnyValue:StringLike": tags, ArnNotLike: who } = statement.Condition;
  const [pattern] = listOf(tags?.["aws:TagKeys"]);
  expect(ledgerTag("sql-backups").startsWith(String(pattern).replace("*", ""))).toBe(true);
  const admitted = listOf(who?.["aws:PrincipalArn"]).map(String);
  const writers = functionsWith("ec2:CreateTags");
  expect(writers).toEqual(["poll-command"]);
  for (const name of writers) {
    const role = functionRoleArn({ account: "*", region: "eu-west-1" }, name);
    expect(admitted, functionName(name)).toContain(role);
  }
});
