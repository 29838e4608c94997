// The command after `cdk destroy`: what it removes, and that it touches nothing else.

import { describe, expect, it } from "vitest";
import { AwsRefusal } from "../lib/aws-command-line";
import { completeDeployment } from "../lib/rotations";
import type { Json } from "../lib/settings";
import { Traces } from "../lib/traces";
import { example, exampleOfBothKinds } from "./deployed";

const HOME = { account: "111122223333", region: "eu-west-1" };
const IDS = Array.from({ length: 51 }, (_, index) => `i-${index}`);

/** What AWS answers in these tests, by the first two words. */
const ANSWERS: { [command: string]: Json } = {
  "ec2 describe-instances": {
    Reservations: [
      {
        Instances: IDS.map((InstanceId, index) => ({
          InstanceId,
          State: { Name: index === 7 ? "stopped" : "running" },
        })),
      },
    ],
  },
  "secretsmanager describe-secret": {
    ARN: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:sql-backups/s3-access-key-AbCdEf",
    Tags: [
      { Key: "owner" },
      { Key: "credential-rotation:standing" },
      { Key: "credential-rotation:inactive:AKIAEXAMPLE" },
    ],
    VersionIdsToStages: { "version-1": ["AWSCURRENT", "AKIAIOSFODNN7EXAMPLE"] },
  },
  "iam list-access-keys": { AccessKeyMetadata: [{ AccessKeyId: "AKIAIOSFODNN7EXAMPLE", Status: "Active" }] },
};

/** Removes a rotation's traces with an account's credentials, the example's if none is given: the changes, and what was said. */
function removed(
  account: string,
  answers = ANSWERS,
  rotation = completeDeployment(example()).rotations[0],
): { changes: string[][]; said: string[] } {
  if (rotation === undefined) throw new Error("no rotation");
  const changes: string[][] = [];
  const said: string[] = [];
  const ask = (service: string, operation: string): Json => {
    if (service === "sts") return { Account: account };
    const answer = answers[`${service} ${operation}`];
    if (answer === undefined)
      throw new AwsRefusal(service === "iam" ? "NoSuchEntity" : "ResourceNotFoundException", "");
    return answer;
  };
  const traces = new Traces(
    HOME,
    (service = "", operation = "") => ask(service, operation),
    (...words) => {
      changes.push(words);
      return words[0] === "ssm" ? { Command: { CommandId: `command-${changes.length}` } } : null;
    },
    (line) => said.push(line),
  );
  traces.removeOf(rotation);
  return { changes, said };
}

describe("removing the traces", () => {
  it("of logins lists the secret's versions, asks about no IAM user, and names no proofs in a bucket", () => {
    const { "iam list-access-keys": _, ...withoutIam } = ANSWERS;
    const { changes, said } = removed(
      "111122223333",
      withoutIam,
      completeDeployment(exampleOfBothKinds()).rotations[1],
    );
    expect(said.filter((line) => line.startsWith("kept: ")).map((line) => line.split(" ")[1])).toEqual(
      expect.arrayContaining(["secret"]),
    );
    expect(said.join("\n")).not.toMatch(/kept: (key|proofs)/);
    expect(changes.map((words) => words.at(-1))).toContain("Key=credential-rotation:orders-login");
  });

  it("takes the ledger's tag and the files from every host that bears it, fifty at a time", () => {
    const { changes } = removed("111122223333");
    const tags = changes.filter(([service, operation]) => service === "ec2" && operation === "delete-tags");
    expect(tags.map((words) => words.filter((word) => word.startsWith("i-")).length)).toEqual([50, 1]);
    for (const words of tags) expect(words.at(-1)).toBe("Key=credential-rotation:sql-backups");
    const files = changes.filter(([service]) => service === "ssm");
    expect(files.map((words) => words[words.indexOf("--document-name") + 1])).toEqual([
      "AWS-RunShellScript",
      "AWS-RunPowerShellScript",
      "AWS-RunShellScript",
      "AWS-RunPowerShellScript",
    ]);
    expect(files[0]?.join(" "), "SSM would stop at the first host that fails").toContain("--max-errors 100%");
  });

  it("takes our tags from the secret and no others, and neither labels nor keys", () => {
    const { changes } = removed("111122223333");
    const ofSecret = changes.filter(([service]) => service === "secretsmanager");
    expect(ofSecret).toHaveLength(1);
    expect(ofSecret[0]?.slice(-2)).toEqual([
      "credential-rotation:standing",
      "credential-rotation:inactive:AKIAEXAMPLE",
    ]);
    expect(changes.map(([service]) => service)).not.toContain("iam");
  });

  it("lists the secret's versions and the user's keys, which stay", () => {
    const { said } = removed("111122223333");
    expect(said.filter((line) => line.startsWith("kept:"))).toEqual([
      "kept: files on hosts that do not run: i-7",
      "kept: secret arn:aws:secretsmanager:eu-west-1:111122223333:secret:sql-backups/s3-access-key-AbCdEf",
      'kept:   version-1 ["AWSCURRENT","AKIAIOSFODNN7EXAMPLE"]',
      "kept: key AKIAIOSFODNN7EXAMPLE of sql-backups, Active",
      "kept: proofs of the hosts, s3://sql-backups.s3.eu-west-1.amazonaws.com/.credential-rotation/",
    ]);
  });

  it("says which command tells of each host", () => {
    const { said } = removed("111122223333");
    expect(said).toContain("  who did it: aws ssm list-command-invocations --region eu-west-1 --command-id command-1");
  });

  it("goes on where secret and user are gone as well", () => {
    const { "ec2 describe-instances": instances = null } = ANSWERS;
    const { changes, said } = removed("111122223333", { "ec2 describe-instances": instances });
    expect(changes.map(([service]) => service)).not.toContain("secretsmanager");
    expect(said.join("\n")).not.toContain("kept: secret");
  });

  it("does nothing in an account that has neither hosts nor the secret", () => {
    expect(removed("444455556666").changes).toEqual([]);
  });
});
