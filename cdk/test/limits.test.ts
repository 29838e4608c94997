// AWS's limits, for deployments as large as rotations.schema.json lets them be, of either kind.

import { beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../lib/settings";
import { Deployed, exampleRotation, type JsonObject } from "./deployed";

/** The longest name that a rotation may have. */
const NAME = "a-rotation-of-thirty-two-letters";
const REGIONS = ["eu-west-1", "eu-central-1", "us-east-1", "ap-southeast-1"];

async function eightRotations(ofLogins: boolean): Promise<Deployed> {
  return Deployed.synthesised((file) => {
    const { user: _, credentials: __, ...shared } = exampleRotation(file);
    file.rotations = Array.from({ length: 8 }, (_, index): Json => {
      const number = String(index).padStart(2, "0");
      const fleet = {
        tags: [{ key: "Fleet", values: [number] }],
        targets: [{ account: "111122223333", regions: REGIONS }],
      };
      const name = `${NAME.slice(0, 30)}${number}`;
      const names = ["a", "b"].map((it) => `${number}${it.repeat(100)}`);
      const what: JsonObject = ofLogins
        ? { kind: "sqlServerLogin", login: { names } }
        : { user: name, credentials: ["s3://sql-backups.s3.eu-west-1.amazonaws.com"] };
      return { ...shared, ...what, rotation: name, secret: { id: name }, fleet };
    });
  });
}

/** Names of a type, by the property that holds them. */
const NAMED: [type: string, property: string, limit: number][] = [
  ["AWS::IAM::Role", "RoleName", 64],
  ["AWS::Events::Rule", "Name", 64],
  ["AWS::Pipes::Pipe", "Name", 64],
  ["AWS::Scheduler::Schedule", "Name", 64],
  ["AWS::SQS::Queue", "QueueName", 80],
  ["AWS::StepFunctions::StateMachine", "StateMachineName", 80],
  ["AWS::IAM::ManagedPolicy", "ManagedPolicyName", 128],
];

describe.each([
  ["keys", false],
  ["logins", true],
])("eight rotations of %s with the longest names, each in four regions", (_, ofLogins) => {
  let deployed: Deployed;
  beforeAll(async () => {
    deployed = await eightRotations(ofLogins);
  });

  it.each(NAMED)("have names that %s takes", (type, property, limit) => {
    for (const stack of deployed.templates.keys()) {
      for (const { Properties } of deployed.all(type, stack)) {
        expect(String(Properties[property]).length, String(Properties[property])).toBeLessThanOrEqual(limit);
      }
    }
  });

  it("have roles whose policies fit the 10,240 characters that IAM counts", () => {
    for (const { Properties } of deployed.all("AWS::IAM::Role")) {
      // IAM counts no white space, and sees ARNs where the template has references.
      const policies = JSON.stringify(withArns(Properties.Policies ?? []));
      expect(policies.length, String(Properties.RoleName)).toBeLessThanOrEqual(10_240);
    }
  });

  it("fit the 500 resources and the megabyte of a template, as CDK writes it", () => {
    expect(Object.keys(deployed.template().Resources).length).toBeLessThanOrEqual(500);
    expect(Buffer.byteLength(JSON.stringify(deployed.template(), null, 1))).toBeLessThanOrEqual(1_000_000);
  });

  it("have patterns of events that EventBridge takes: 2,048 characters", () => {
    for (const stack of deployed.templates.keys()) {
      for (const { Properties } of deployed.all("AWS::Events::Rule", stack)) {
        const pattern = JSON.stringify(withArns(Properties.EventPattern ?? {}));
        expect(pattern.length, String(Properties.Name)).toBeLessThanOrEqual(2_048);
      }
    }
  });
});

/** The longest ARN that a reference stands for, in place of each. */
function withArns(value: Json): Json {
  if (Array.isArray(value)) return value.map(withArns);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value);
  if (members.some(([name]) => name === "Ref" || name.startsWith("Fn::"))) return "a".repeat(110);
  return Object.fromEntries(members.map(([name, member]) => [name, withArns(member)]));
}
