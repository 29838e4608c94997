// The example as it would be deployed: what each capability makes, and what it must never do.

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Architecture } from "aws-cdk-lib/aws-lambda";
import { Queue } from "aws-cdk-lib/aws-sqs";
import { beforeAll, describe, expect, it } from "vitest";
import { architectureOf } from "../lib/functions";
import { functionsOf } from "../lib/permissions";
import { Deployed, elf, exampleRotation, folderOfBinaries, type JsonObject, listOf, objectsIn } from "./deployed";

/** The functions of a deployment that rotates access keys only. */
const ITS_FUNCTIONS = functionsOf("iamAccessKey");

let deployed: Deployed;
beforeAll(async () => {
  deployed = await Deployed.synthesised();
});

describe("cdk-nag", () => {
  it("finds nothing, and every acknowledgement has a reason that is a sentence", () => {
    const [aws] = deployed.report.pluginReports as JsonObject[];
    expect(aws).toMatchObject({ pluginName: "AwsSolutions", conclusion: "success", violations: [] });
    const acknowledged = aws?.suppressedViolations as JsonObject[];
    expect(acknowledged.length).toBeGreaterThan(5);
    for (const { reason } of acknowledged) expect(String(reason).split(" ").length).toBeGreaterThan(4);
  });

  it("is really asked: a queue of which nobody thought fails the synthesis", async () => {
    const withQueue = Deployed.synthesised(undefined, (stack) => new Queue(stack, "unthought-of"));
    await expect(withQueue).rejects.toThrow("AwsSolutions-SQS4");
  });
});

describe("the functions", () => {
  it("are one set of small binaries, as built, without a secret in their environment", () => {
    const functions = deployed.all("AWS::Lambda::Function");
    expect(functions, "those of its kind, and no others").toHaveLength(ITS_FUNCTIONS.length);
    for (const { Properties } of functions) {
      expect(Properties).toMatchObject({
        Runtime: "provided.al2023",
        Handler: "bootstrap",
        Architectures: ["x86_64"],
        Timeout: 60,
        LoggingConfig: { LogFormat: "JSON" },
      });
      expect(Properties.ReservedConcurrentExecutions).toBeUndefined();
    }
    const environments = functions.filter(({ Properties }) => Properties.Environment !== undefined);
    expect(environments.map(({ Properties }) => Properties.FunctionName)).toEqual([
      "credential-rotation-plan-rotation",
    ]);
    const keys = new Set(functions.map(({ Properties }) => (Properties.Code as JsonObject).S3Key));
    expect(keys.size, "every function has its own binary").toBe(ITS_FUNCTIONS.length);
  });

  it("have the memory that was measured: more where a fleet is read", () => {
    const memory = deployed
      .all("AWS::Lambda::Function")
      .map(({ Properties }) => [
        String(Properties.FunctionName).replace("credential-rotation-", ""),
        Properties.MemorySize,
      ]);
    expect(Object.fromEntries(memory)).toEqual({
      "enumerate-instances": 256,
      "plan-rotation": 256,
      "rotate-iam-key": 128,
      "send-command": 256,
      "poll-command": 256,
      "promote-stage": 128,
      "retire-iam-key": 256,
    });
  });

  it("of a plan know every function's role", () => {
    const { Environment } = deployed.one(
      "AWS::Lambda::Function",
      "FunctionName",
      "credential-rotation-plan-rotation",
    ).Properties;
    const roles = JSON.parse(String((Environment as { Variables: JsonObject }).Variables.FUNCTION_ROLES)) as JsonObject;
    expect(Object.keys(roles)).toEqual(ITS_FUNCTIONS);
    expect(roles["send-command"]).toBe("arn:aws:iam::111122223333:role/credential-rotation-send-command");
  });

  it("that stage keys are reserved where the settings say so", async () => {
    const reserved = await Deployed.synthesised((file) => (file.reservedConcurrency = 1));
    const staging = reserved.one("AWS::Lambda::Function", "FunctionName", "credential-rotation-rotate-iam-key");
    expect(staging.Properties.ReservedConcurrentExecutions).toBe(1);
  });

  it("are asked for their architecture, and a missing or foreign binary is refused with what to do", () => {
    const folder = folderOfBinaries(0xb7);
    expect(architectureOf(folder)).toBe(Architecture.ARM_64);
    writeFileSync(join(folder, "send-command"), elf(0x3e, ""));
    expect(() => architectureOf(folder)).toThrow("several architectures: run `make build` again");
    writeFileSync(join(folder, "send-command"), "#!/bin/sh");
    expect(() => architectureOf(folder)).toThrow("send-command is no Linux binary");
    rmSync(join(folder, "send-command"));
    expect(() => architectureOf(folder)).toThrow("send-command is missing: run `make build` first");
    rmSync(folder, { recursive: true });
  });
});

describe("the schedules", () => {
  it("rotate in a series that begins after the deployment, and converge daily at a local time", () => {
    expect(
      deployed.one("AWS::Scheduler::Schedule", "Name", "credential-rotation-sql-backups-rotate").Properties,
    ).toMatchObject({
      ScheduleExpression: "rate(85 days)",
      StartDate: "2026-12-11T13:00:00.000Z",
      State: "ENABLED",
      FlexibleTimeWindow: { Mode: "FLEXIBLE", MaximumWindowInMinutes: 15 },
      Target: { Input: '{"mode":"rotate"}', RetryPolicy: { MaximumRetryAttempts: 10 } },
    });
    expect(
      deployed.one("AWS::Scheduler::Schedule", "Name", "credential-rotation-sql-backups-converge").Properties,
    ).toMatchObject({
      ScheduleExpression: "cron(0 6 * * ? *)",
      ScheduleExpressionTimezone: "UTC",
      Target: { Input: '{"mode":"converge"}' },
    });
    for (const { Properties } of deployed.all("AWS::Scheduler::Schedule")) {
      expect((Properties.Target as JsonObject).DeadLetterConfig).toBeDefined();
    }
  });

  it("start nothing before the first rotation, where that is still to come", async () => {
    const firstRotation = "2026-12-07T13:00:00Z";
    const later = await Deployed.synthesised((file) => (exampleRotation(file).deploy = { firstRotation }));
    const starts = later.all("AWS::Scheduler::Schedule").map(({ Properties }) => Properties.StartDate);
    expect(starts).toEqual(["2026-12-07T13:00:00.000Z", "2026-12-07T13:00:00.000Z"]);
    const converge = deployed.one("AWS::Scheduler::Schedule", "Name", "credential-rotation-sql-backups-converge");
    expect(converge.Properties.StartDate, "the example's series has begun").toBeUndefined();
  });

  it("and the starts stop when the rotation is paused, and the alarm on the due date does not", async () => {
    const paused = await Deployed.synthesised((file) => (exampleRotation(file).schedule = { paused: true }));
    const states = paused.all("AWS::Scheduler::Schedule").map(({ Properties }) => Properties.State);
    expect(states).toEqual(["DISABLED", "DISABLED"]);
    expect(startsRule(paused).State).toBe("DISABLED");
    expect(paused.one("AWS::Pipes::Pipe").Properties.DesiredState).toBe("STOPPED");
    const overdue = paused.one("AWS::CloudWatch::Alarm", "AlarmName", "credential-rotation-sql-backups-overdue");
    expect(overdue.Properties).toMatchObject({ TreatMissingData: "breaching", Threshold: 86, Period: 86_400 });
    expect(overdue.Properties.ActionsEnabled).toBeUndefined();
  });
});

describe("an instance that starts", () => {
  it("waits in a queue, and those of a minute are one execution with a list of inputs", () => {
    const rule = startsRule(deployed);
    expect(rule).toMatchObject({
      State: "ENABLED",
      EventPattern: { detail: { state: ["running"] }, account: ["111122223333"], region: ["eu-west-1"] },
    });
    expect(deployed.one("AWS::Pipes::Pipe").Properties).toMatchObject({
      DesiredState: "RUNNING",
      SourceParameters: { SqsQueueParameters: { BatchSize: 100, MaximumBatchingWindowInSeconds: 60 } },
      TargetParameters: {
        InputTemplate: '{"mode":"converge","instanceIds":["<$.body.detail.instance-id>"]}',
        StepFunctionStateMachineParameters: { InvocationType: "FIRE_AND_FORGET" },
      },
    });
  });

  it("is left to the daily converge where the settings say so", async () => {
    const without = await Deployed.synthesised((file) => ((file.deploy as JsonObject).instanceStarts = false));
    expect(without.all("AWS::Pipes::Pipe")).toEqual([]);
    expect(without.all("AWS::Events::Rule").map(({ Properties }) => Properties.Name)).not.toContain(
      "credential-rotation-sql-backups-starts",
    );
  });
});

describe("the secret", () => {
  it("is made without a value, has a key of its own, and lets nobody else read it", () => {
    const secret = deployed.one("AWS::SecretsManager::Secret");
    expect(Object.keys(secret.Properties).sort()).toEqual(["Description", "KmsKeyId", "Name"]);
    expect(secret.DeletionPolicy).toBe("RetainExceptOnCreate");
    const policy = deployed.one("AWS::SecretsManager::ResourcePolicy").Properties;
    expect(policy.BlockPublicPolicy).toBe(true);
    const [deny] = [...objectsIn(policy.ResourcePolicy)].filter((it) => it.Effect === "Deny");
    expect(deny?.Condition).toEqual({
      ArnNotEquals: {
        "aws:PrincipalArn": [
          ...["enumerate-instances", "plan-rotation", "rotate-iam-key", "retire-iam-key"].map(
            (name) => `arn:aws:iam::111122223333:role/credential-rotation-${name}`,
          ),
          "arn:aws:iam::111122223333:role/sql-server-hosts",
        ],
      },
    });
  });

  it("can also be read by applications, and written by people of the break-glass list, in other accounts too", async () => {
    const reader = "arn:aws:iam::444455556666:role/app";
    const person = "arn:aws:iam::111122223333:role/break-glass";
    const other = await Deployed.synthesised((file) => {
      exampleRotation(file).deploy = { readers: [reader], breakGlass: [person] };
    });
    const policy = other.one("AWS::SecretsManager::ResourcePolicy").Properties.ResourcePolicy;
    for (const statement of [...objectsIn(policy)].filter((it) => it.Effect !== undefined)) {
      expect(JSON.stringify(statement.Condition)).toContain(reader);
      expect(JSON.stringify(statement.Condition)).toContain(person);
    }
    const [allow] = [...objectsIn(policy)].filter((it) => it.Effect === "Allow");
    expect(allow?.Principal).toEqual({ AWS: ["arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:root"] });
    const key = [...objectsIn(other.one("AWS::KMS::Key").Properties.KeyPolicy)];
    const writers = key.find((it) => it.Action === "kms:GenerateDataKey");
    expect(JSON.stringify(writers?.Condition)).toContain(person);
    expect(JSON.stringify(writers?.Condition)).not.toContain(reader);
  });

  it("can be made by CloudFormation, which Secrets Manager asks for its right to the key, and read by nobody for that", () => {
    const policy = [...objectsIn(deployed.one("AWS::KMS::Key").Properties.KeyPolicy)];
    const ofAnybody = policy.filter(
      ({ Action, Condition }) =>
        listOf(Action).includes("kms:Decrypt") && !JSON.stringify(Condition).includes("aws:PrincipalArn"),
    );
    expect(ofAnybody.map(({ Action, Condition }) => [Action, Condition])).toEqual([
      [
        ["kms:Decrypt", "kms:GenerateDataKey"],
        {
          StringEquals: {
            "kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com",
            "kms:EncryptionContext:SecretVersionId": "RequestToValidateKeyAccess",
          },
        },
      ],
    ]);
  });

  it("goes with the stack only where the settings say so", async () => {
    const gone = await Deployed.synthesised((file) => (file.keep = []));
    for (const type of [
      "AWS::SecretsManager::Secret",
      "AWS::SecretsManager::ResourcePolicy",
      "AWS::KMS::Key",
      "AWS::IAM::User",
    ]) {
      expect([gone.one(type).DeletionPolicy, deployed.one(type).DeletionPolicy], type).toEqual([
        "Delete",
        "RetainExceptOnCreate",
      ]);
    }
    const retained = Object.values(deployed.template().Resources).filter(
      (it) => it.DeletionPolicy === "RetainExceptOnCreate",
    );
    expect(retained.map(({ Type }) => Type).sort()).toEqual([
      "AWS::IAM::User",
      "AWS::KMS::Key",
      "AWS::Logs::LogGroup",
      "AWS::Logs::LogGroup",
      "AWS::SecretsManager::ResourcePolicy",
      "AWS::SecretsManager::Secret",
    ]);
  });

  it("with its user, key and topic can be brought, and nothing is made in their place", async () => {
    const secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:sqlcredential-AbCdEf";
    const brought = await Deployed.synthesised((file) => {
      Object.assign(exampleRotation(file), {
        secret: { id: secret, format: "plain" },
        topic: "arn:aws:sns:eu-west-1:111122223333:operations",
        deploy: {
          existingSecret: true,
          existingUser: true,
          userPath: "/service/",
          secretKey: "arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555",
        },
      });
    });
    const made = [
      "AWS::SecretsManager::Secret",
      "AWS::SecretsManager::ResourcePolicy",
      "AWS::KMS::Key",
      "AWS::IAM::User",
      "AWS::SNS::Topic",
    ];
    for (const type of made) expect(brought.all(type), type).toEqual([]);
    const roles = JSON.stringify(brought.all("AWS::IAM::Role"));
    expect(roles).toContain(`"Resource":"${secret}"`);
    expect(roles).toContain("user/service/sql-backups");
    const gaps = String(brought.template().Outputs?.GapsOfsqlbackups?.Value);
    expect(gaps).toContain(
      "aws iam simulate-principal-policy --policy-source-arn arn:aws:iam::111122223333:user/service/sql-backups --action-names s3:PutObject s3:GetObject --resource-arns 'arn:aws:s3:::sql-backups/*'",
    );
  });
});

describe("the user and the hosts", () => {
  it("may do what backup and restore need, and no more", () => {
    const { Policies } = deployed.one("AWS::IAM::User").Properties;
    const allowed = [...objectsIn(Policies)].filter((it) => it.Effect === "Allow");
    expect(allowed.map(({ Action, Resource }) => [Action, Resource])).toEqual([
      ["s3:ListBucket", "arn:aws:s3:::sql-backups"],
      [["s3:PutObject", "s3:GetObject"], "arn:aws:s3:::sql-backups/*"],
    ]);
  });

  it("read this secret, the administrator's, the key, and write to the commands' log group", () => {
    const policy = deployed.one("AWS::IAM::ManagedPolicy").Properties;
    expect(policy.ManagedPolicyName).toBe("credential-rotation-sql-backups-host");
    const actions = [...objectsIn(policy.PolicyDocument)].flatMap((it) => listOf(it.Action));
    expect(actions).toEqual([
      "secretsmanager:GetSecretValue",
      "kms:Decrypt",
      "logs:CreateLogStream",
      "logs:PutLogEvents",
      "logs:DescribeLogStreams",
      "logs:DescribeLogGroups",
    ]);
  });
});

describe("keys of others", () => {
  it("are opened to whoever needs them, through the service that they are for", async () => {
    const key = (number: number) => `arn:aws:kms:eu-west-1:111122223333:key/${number}`;
    const deploy = { administratorSecretKey: key(1), bucketKeys: [key(2)], topicKey: key(3) };
    const topic = "arn:aws:sns:eu-west-1:111122223333:operations";
    const brought = await Deployed.synthesised((file) => Object.assign(exampleRotation(file), { deploy, topic }));
    const uses = (type: string) =>
      brought
        .all(type)
        .flatMap(({ Properties }) => [...objectsIn(Properties)])
        .filter((it) => [1, 2, 3].some((number) => it.Resource === key(number)))
        .map(({ Action, Resource, Condition }) => [Action, Resource, JSON.stringify(Condition)]);
    const through = (service: string) =>
      JSON.stringify({ StringEquals: { "kms:ViaService": `${service}.eu-west-1.amazonaws.com` } });
    expect(uses("AWS::IAM::ManagedPolicy")).toEqual([["kms:Decrypt", key(1), through("secretsmanager")]]);
    expect(uses("AWS::IAM::User")).toEqual([[["kms:GenerateDataKey", "kms:Decrypt"], key(2), through("s3")]]);
    expect(uses("AWS::IAM::Policy")).toEqual([
      ["kms:GenerateDataKey", key(3), through("sns")],
      ["kms:Decrypt", key(3), through("sns")],
    ]);
  });
});

function startsRule(of: Deployed): JsonObject {
  return of.one("AWS::Events::Rule", "Name", "credential-rotation-sql-backups-starts").Properties;
}
