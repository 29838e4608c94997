// Further regions and accounts: a small stack each, that needs no other stack to be deployed first.

import { beforeAll, describe, expect, it } from "vitest";
import { placeInS3 } from "../lib/backup-user";
import { Deployed, exampleRotation, type JsonObject, objectsIn } from "./deployed";

let deployed: Deployed;
beforeAll(async () => {
  deployed = await Deployed.synthesised((file) => {
    (file.deploy as JsonObject).hostRoles = [111122223333, 444455556666].map((it) => `arn:aws:iam::${it}:role/hosts`);
    (exampleRotation(file).fleet as JsonObject).targets = [
      { account: "111122223333", regions: ["us-east-1"] },
      { account: "444455556666", role: "arn:aws:iam::444455556666:role/hosts", regions: ["eu-west-1"] },
    ];
  });
});

const REGION = "credential-rotation-111122223333-us-east-1";
const ABROAD = "credential-rotation-444455556666-eu-west-1";

describe("a further region", () => {
  it("gets the documents, the commands' log group, and a rule that tells home of starts", () => {
    for (const stack of [REGION, ABROAD]) {
      expect(deployed.all("AWS::SSM::Document", stack)).toHaveLength(2);
      expect(deployed.one("AWS::Logs::LogGroup", undefined, undefined, stack).Properties.LogGroupName).toBe(
        "/credential-rotation/commands",
      );
      const [rule] = deployed.all("AWS::Events::Rule", stack);
      expect(rule?.Properties).toMatchObject({
        EventPattern: { source: ["aws.ec2"], detail: { state: ["running"] } },
        Targets: [{ Arn: "arn:aws:events:eu-west-1:111122223333:event-bus/default" }],
      });
    }
  });

  it("that has no hosts gets nothing, home included", () => {
    expect(deployed.all("AWS::SSM::Document")).toEqual([]);
  });
});

describe("a further account", () => {
  it("gets a policy for its hosts, who read the secret by its name and decrypt nothing else", () => {
    const policy = deployed.one("AWS::IAM::ManagedPolicy", undefined, undefined, "credential-rotation-444455556666");
    const statements = [...objectsIn(policy.Properties.PolicyDocument)].filter((it) => it.Effect === "Allow");
    expect(statements[0]?.Resource).toContain(
      "arn:aws:secretsmanager:eu-west-1:111122223333:secret:sql-backups/s3-access-key-??????",
    );
    expect(statements[1]).toMatchObject({
      Resource: "arn:aws:kms:eu-west-1:111122223333:key/*",
      Condition: {
        StringEquals: { "kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com" },
        StringLike: {
          "kms:EncryptionContext:SecretARN":
            "arn:aws:secretsmanager:eu-west-1:111122223333:secret:sql-backups/s3-access-key-??????",
        },
      },
    });
    expect(statements[2]?.Resource).toBe(
      "arn:aws:logs:eu-west-1:444455556666:log-group:/credential-rotation/commands:*",
    );
  });
});

describe("stacks away from home", () => {
  it("have no assets, no parameters and no references to other stacks, so that a StackSet takes them", () => {
    for (const [name, template] of deployed.templates) {
      if (name === "credential-rotation") continue;
      const text = JSON.stringify(template);
      expect(Object.keys(template), name).not.toContain("Parameters");
      expect(text, name).not.toContain("ImportValue");
      expect(text, name).not.toContain("S3Bucket");
    }
  });
});

describe("home", () => {
  it("admits instance starts of the accounts with hosts, and nothing else", () => {
    const [policy] = deployed.all("AWS::Events::EventBusPolicy");
    expect(policy?.Properties.Statement).toMatchObject({
      Principal: { AWS: "arn:aws:iam::444455556666:root" },
      Action: "events:PutEvents",
      Condition: { StringEqualsIfExists: { "events:source": "aws.ec2" } },
    });
  });

  it("listens to starts of every place", () => {
    const rule = deployed.one("AWS::Events::Rule", "Name", "credential-rotation-sql-backups-starts");
    expect(rule.Properties.EventPattern).toMatchObject({
      account: ["111122223333", "444455556666"],
      region: ["us-east-1", "eu-west-1"],
    });
  });
});

describe("a credential's URL", () => {
  it("names a bucket and a folder in each of AWS's forms, and nothing of another maker's S3", () => {
    const of = (url: string) => placeInS3(url, "aws");
    expect(of("s3://b.s3.eu-west-1.amazonaws.com")).toEqual({ bucket: "arn:aws:s3:::b", objects: "arn:aws:s3:::b/*" });
    expect(of("s3://my.b.S3.eu-west-1.amazonaws.com:443/prod/x")?.objects).toBe("arn:aws:s3:::my.b/prod/x/*");
    expect(of("s3://s3.eu-west-1.amazonaws.com/b/prod")?.objects).toBe("arn:aws:s3:::b/prod/*");
    expect(of("s3://b.s3-eu-west-1.amazonaws.com")?.bucket).toBe("arn:aws:s3:::b");
    expect(of("s3://b.s3.amazonaws.com/f")?.objects).toBe("arn:aws:s3:::b/f/*");
    expect(of("s3://minio.example.com:9000/b")).toBeUndefined();
  });
});
