// How people are told: the alarms, the topic, and the rules whose events they read.

import { beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../lib/settings";
import { Deployed, type JsonObject, objectsIn } from "./deployed";

let deployed: Deployed;
beforeAll(async () => {
  deployed = await Deployed.synthesised();
});

describe("the alarms", () => {
  it("each say where to look, which row of the README explains it, and what is next", () => {
    const alarms = deployed.all("AWS::CloudWatch::Alarm").map(({ Properties }) => Properties);
    expect(alarms.map(({ AlarmName }) => String(AlarmName).replace("credential-rotation-sql-backups-", ""))).toEqual([
      "failed",
      "timed-out",
      "aborted",
      "dead-letters",
      "overdue",
      "old-key-used",
      "hosts-without-proof",
    ]);
    for (const { AlarmDescription, AlarmActions } of alarms) {
      const text = String(AlarmDescription);
      expect(text).toMatch(/\nREADME: "[^"]+"/);
      expect(text).toMatch(/\nNext: /);
      expect(text).toContain(
        "#/statemachines/view/arn:aws:states:eu-west-1:111122223333:stateMachine:credential-rotation-sql-backups",
      );
      expect(text.length, "CloudWatch's limit").toBeLessThanOrEqual(1024);
      expect(AlarmActions as Json[]).toHaveLength(1);
    }
  });

  it("take silence for what it is: of the key's age for a failure, of hosts for no news, of everything else for peace", () => {
    const silence = deployed
      .all("AWS::CloudWatch::Alarm")
      .map(({ Properties }) => [
        String(Properties.AlarmName).replace("credential-rotation-sql-backups-", ""),
        Properties.TreatMissingData,
      ]);
    expect(Object.fromEntries(silence)).toEqual({
      failed: "notBreaching",
      "timed-out": "notBreaching",
      aborted: "notBreaching",
      "dead-letters": "notBreaching",
      overdue: "breaching",
      "old-key-used": "notBreaching",
      "hosts-without-proof": "ignore",
    });
  });

  it("look back no longer than CloudWatch can", () => {
    for (const { Properties } of deployed.all("AWS::CloudWatch::Alarm")) {
      const seconds = Number(Properties.Period ?? 300) * Number(Properties.EvaluationPeriods);
      expect(seconds).toBeLessThanOrEqual(7 * 86_400);
    }
  });
});

describe("the topic", () => {
  it("admits alarms of this account, and EventBridge's rules without a condition, which it would not fulfil", () => {
    const [policy] = deployed.all("AWS::SNS::TopicPolicy");
    const admitted = [...objectsIn(policy?.Properties.PolicyDocument)].filter((it) => it.Effect === "Allow");
    expect(admitted.map(({ Principal, Condition }) => [(Principal as JsonObject).Service, Condition])).toEqual([
      ["cloudwatch.amazonaws.com", { StringEquals: { "aws:SourceAccount": "111122223333" } }],
      ["events.amazonaws.com", undefined],
    ]);
  });
});

describe("an execution that could not speak for itself", () => {
  it("is told of with its link, the row of the README and what is next", () => {
    const rule = deployed.one("AWS::Events::Rule", "Name", "credential-rotation-sql-backups-ended").Properties;
    expect(rule.EventPattern).toMatchObject({ source: ["aws.states"], detail: { status: ["TIMED_OUT", "ABORTED"] } });
    const [target] = rule.Targets as { InputTransformer: { InputTemplate: string; InputPathsMap: JsonObject } }[];
    const { InputTemplate = "", InputPathsMap = {} } = target?.InputTransformer ?? {};
    expect(InputPathsMap["detail-executionArn"]).toBe("$.detail.executionArn");
    expect(InputTemplate).toContain(
      "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/v2/executions/details/<detail-executionArn>",
    );
    expect(InputTemplate).toMatch(/README: The alarms, row ended\. Next: /);
  });
});

describe("the rules on CloudTrail", () => {
  it("tell of what others do to the secret and the keys, and not of our functions", () => {
    const rule = (name: string) => deployed.one("AWS::Events::Rule", "Name", `credential-rotation-sql-backups-${name}`);
    const secret = rule("secret").Properties.EventPattern as { detail: JsonObject };
    expect(secret.detail.eventName).toEqual(
      expect.arrayContaining(["DeleteSecret", "PutSecretValue", "UpdateSecretVersionStage"]),
    );
    const [other, nobody] = secret.detail.$or as JsonObject[];
    expect(other).toMatchObject({
      userIdentity: {
        sessionContext: {
          sessionIssuer: {
            arn: [
              {
                "anything-but": ["rotate-iam-key", "promote-stage", "retire-iam-key"].map(
                  (name) => `arn:aws:iam::111122223333:role/credential-rotation-${name}`,
                ),
              },
            ],
          },
        },
      },
    });
    expect(JSON.stringify(nobody)).toContain('"exists":false');
    const keys = rule("keys").Properties.EventPattern as { detail: JsonObject };
    expect(keys.detail.eventName).toEqual(["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"]);
    const own = rule("rotator").Properties.EventPattern as { detail: JsonObject };
    expect(own.detail.eventName).toEqual(["RotationSucceeded", "RotationFailed", "RotationAbandoned"]);
  });

  it("leave what they cannot publish with the dead letters", () => {
    for (const name of ["secret", "rotator", "keys"]) {
      const rule = deployed.one("AWS::Events::Rule", "Name", `credential-rotation-sql-backups-${name}`);
      const [target] = rule.Properties.Targets as JsonObject[];
      expect(target?.DeadLetterConfig, name).toBeDefined();
      expect(target?.RoleArn, "EventBridge's guide: none for a topic").toBeUndefined();
    }
  });

  it("see IAM's calls, which AWS tells in us-east-1 only", () => {
    const [rule] = deployed.all("AWS::Events::Rule", "credential-rotation-iam-events");
    expect(rule?.Properties).toMatchObject({
      EventPattern: {
        source: ["aws.iam"],
        detail: { eventName: ["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"] },
      },
      Targets: [{ Arn: "arn:aws:events:eu-west-1:111122223333:event-bus/default" }],
    });
  });
});
