// What a person may write wrong in rotations.json is refused at synth, with where it stands and what to do.

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { completeDeployment, readDeployment } from "../lib/rotations";
import { completeSettings, InvalidSettings, type Json } from "../lib/settings";
import { example, exampleRotation, type JsonObject } from "./deployed";

/** Why the example is refused after a change. */
function refusal(change: (rotation: JsonObject, file: JsonObject) => void): string {
  const file = example();
  change(exampleRotation(file), file);
  try {
    completeDeployment(file);
  } catch (error) {
    if (error instanceof InvalidSettings) return error.message;
    throw error;
  }
  return "it was accepted";
}

describe("settings", () => {
  it("of the example are completed with every default, as the state machine carries them", () => {
    const [rotation] = completeDeployment(example()).rotations;
    expect(rotation?.settings).toMatchObject({
      topic: "arn:aws:sns:eu-west-1:111122223333:credential-rotation-sql-backups",
      document: { name: "apply-s3-credential", version: "1", logGroup: "/credential-rotation/commands" },
      schedule: { rotateEveryDays: 85, paused: false },
      waves: { canaryHosts: 1 },
    });
    expect(rotation?.makesTopic).toBe(true);
  });

  it("keep a topic that is brought", () => {
    const file = example();
    const topic = "arn:aws:sns:eu-west-1:111122223333:operations";
    exampleRotation(file).topic = topic;
    const [rotation] = completeDeployment(file).rotations;
    expect([rotation?.settings.topic, rotation?.makesTopic]).toEqual([topic, false]);
  });

  const refused: [what: string, change: (rotation: JsonObject, file: JsonObject) => void, says: string][] = [
    ["an unknown setting", (it) => (it.waves = { canaries: 2 }), 'rotations[0].waves: there is no setting "canaries"'],
    ["a missing setting", (it) => delete it.user, 'rotations[0]: "user" is missing. Add it'],
    ["a value out of range", (it) => (it.promoteShare = 1.5), "rotations[0].promoteShare: must be <= 1"],
    ["a word that is none", (it) => (it.proof = { kind: "trust" }), 'proof.kind: must be one of "backup", "none"'],
    [
      "a plan that would alter credentials",
      (it) => (it.inspectDocument = { name: "apply-s3-credential" }),
      "inspectDocument.name: it is the document that alters credentials",
    ],
    ["a URL of another kind", (it) => (it.credentials = ["https://b"]), "rotations[0].credentials[0]: must match"],
    [
      "an unknown setting of the deployment",
      (_, file) => (file.regoin = "x"),
      '(the top): there is no setting "regoin"',
    ],
    ["a deployment without an account", (_, file) => delete file.account, '(the top): "account" is missing'],
    ["an unknown setting of deploy", (it) => (it.deploy = { reader: [] }), "rotations[0].deploy: there is no setting"],
    ["a role that is none", (it) => (it.deploy = { readers: ["bob"] }), "rotations[0].deploy.readers[0]: must match"],
    [
      "a secret that no host may read",
      (_, file) => delete file.deploy,
      "rotations[0].deploy.hostRoles: no role of a host",
    ],
    [
      "a secret to be made that has an ARN",
      (it) => (it.secret = { id: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-AbCdEf" }),
      "rotations[0].secret.id: a secret that is to be made has no ARN yet. Give its name, or set deploy.existingSecret",
    ],
    [
      "another account without a role",
      (it) => ((it.fleet as JsonObject).targets = [{ account: "444455556666", regions: ["eu-west-1"] }]),
      "rotations[0].fleet.targets[0].role: account 444455556666 needs a role to assume",
    ],
    [
      "a role of yet another account",
      (it) =>
        ((it.fleet as JsonObject).targets = [
          { account: "444455556666", role: "arn:aws:iam::111122223333:role/r", regions: ["eu-west-1"] },
        ]),
      "rotations[0].fleet.targets[0].role: it is no role of account 444455556666",
    ],
    [
      "another account's hosts with a key that they cannot use",
      (it) =>
        Object.assign(it, {
          deploy: { existingSecret: true },
          fleet: {
            tags: [{ key: "SQL", values: ["2022"] }],
            targets: [{ account: "444455556666", role: "arn:aws:iam::444455556666:role/r", regions: ["eu-west-1"] }],
          },
        }),
      "rotations[0].deploy.secretKey: hosts of 444455556666 cannot decrypt",
    ],
    [
      "a topic elsewhere",
      (it) => (it.topic = "arn:aws:sns:us-east-1:111122223333:operations"),
      "rotations[0].topic: it is in us-east-1 of 111122223333, and the functions are in eu-west-1",
    ],
    [
      "a date that no calendar has",
      (it) => (it.deploy = { firstRotation: "2026-02-31T13:00:00Z" }),
      "rotations[0].deploy.firstRotation: no calendar has 2026-02-31T13:00:00Z. Write a date such as",
    ],
    [
      "a time zone that there is not",
      (it) => (it.deploy = { timeZone: "Europe/Cork" }),
      "rotations[0].deploy.timeZone: there is no time zone Europe/Cork. Use an IANA name",
    ],
    [
      "a name that Secrets Manager does not take",
      (it) => (it.secret = { id: "my secret!" }),
      'rotations[0].secret.id: "my secret!" is no name of a secret. Use letters',
    ],
    [
      "hosts of an account of which no role may read",
      (it) =>
        ((it.fleet as JsonObject).targets = [
          { account: "444455556666", role: "arn:aws:iam::444455556666:role/r", regions: ["eu-west-1"] },
        ]),
      "rotations[0].deploy.hostRoles: no role of a host of 444455556666 may read the secret. List the instance roles",
    ],
    [
      "a host's role of another partition",
      (it) => (it.deploy = { hostRoles: ["arn:aws-cn:iam::111122223333:role/hosts"] }),
      "rotations[0].deploy.hostRoles: arn:aws-cn:iam::111122223333:role/hosts is not in the partition aws",
    ],
    [
      "more readers than a secret's policy can name",
      (it) => {
        const roles = (of: string) => Array.from({ length: 90 }, (_, i) => `arn:aws:iam::111122223333:role/${of}/${i}`);
        it.deploy = { hostRoles: roles("hosts"), readers: roles("readers"), breakGlass: roles("people") };
      },
      "rotations[0].deploy.hostRoles: 270 roles that read are more than a secret's policy can name. Let hosts share",
    ],
    [
      "a user to be made for another maker's S3",
      (it) => (it.credentials = ["s3://minio.example.com:9000/b"]),
      "rotations[0].credentials: none of these URLs is AWS's S3",
    ],
    [
      "a key of another region than the secret's",
      (it) => (it.deploy = { secretKey: "arn:aws:kms:us-east-1:111122223333:key/1" }),
      "rotations[0].deploy.secretKey: it is in us-east-1, and what it encrypts is in eu-west-1",
    ],
    [
      "two rotations of one credential on hosts that could be in both fleets",
      (it, file) => (file.rotations as Json[]).push({ ...it, rotation: "b", user: "b", secret: { id: "b" } }),
      "rotations[1].credentials: sql-backups rotates s3://sql-backups.s3.eu-west-1.amazonaws.com too",
    ],
    [
      "names that differ by hyphens alone",
      (it, file) => (file.rotations as Json[]).push({ ...it, rotation: "sqlback-ups", user: "b", secret: { id: "b" } }),
      "rotations[1].rotation",
    ],
    ["a rotation twice", (it, file) => (file.rotations as Json[]).push(structuredClone(it)), "rotations[1].rotation"],
  ];
  it("let two rotations share a credential where a tag keeps their fleets apart", () => {
    const apart = refusal((it, file) => {
      const fleet = { ...(it.fleet as JsonObject), tags: [{ key: "SQL", values: ["2025"] }] };
      (file.rotations as Json[]).push({ ...it, rotation: "b", user: "b", secret: { id: "b" }, fleet });
    });
    expect(apart).toBe("it was accepted");
  });

  it.each([
    ["that is no JSON", "README.md", "(the file): "],
    ["that is not there", "rotations.jsonn", "(the file): ENOENT"],
  ])("refuse a file %s", (_, name, says) => {
    expect(() => readDeployment(join(__dirname, "..", name))).toThrow(says);
  });

  it.each(refused)("refuse %s with its path", (_, change, says) => {
    expect(refusal(change)).toContain(says);
  });

  const contradictions: [what: string, change: (rotation: JsonObject) => void, says: string][] = [
    [
      "an interval that leaves no free slot",
      (it) => (it.schedule = { rotateEveryDays: 15 }),
      "schedule.rotateEveryDays: a user has two key slots",
    ],
    [
      "a policy without a margin",
      (it) => (it.schedule = { maximumAgeDays: 85 }),
      "schedule.maximumAgeDays: a key may be 85 days old",
    ],
    [
      "a wave that ends before its hosts",
      (it) => (it.waves = { waveTimeoutSeconds: 400 }),
      "waves.waveTimeoutSeconds: a wave would be judged",
    ],
    [
      "waves longer than a run",
      (it) => (it.waves = { waveTimeoutSeconds: 20_000 }),
      "waves.waveTimeoutSeconds: 2 x attempts waves",
    ],
    [
      "a quiet period shorter than a wave",
      (it) =>
        Object.assign(it, { waves: { waveTimeoutSeconds: 36_000, attempts: 1 }, schedule: { quietPeriodHours: 6 } }),
      "schedule.quietPeriodHours: the quiet period must be longer",
    ],
    [
      "a credential whose temporary name is too long",
      (it) => (it.credentials = [`s3://${"b".repeat(110)}`]),
      "SQL Server takes 128",
    ],
    [
      "a slash at a credential's end",
      (it) => (it.credentials = ["s3://bucket/folder/"]),
      "credentials[0]: a credential's name has no slash",
    ],
    [
      "a credential that is foreign as well",
      (it) => (it.foreignCredentials = it.credentials as Json[]),
      "it is declared foreign as well",
    ],
    [
      "a credential twice",
      (it) => (it.credentials = ["s3://bucket", "s3://bucket"]),
      "credentials[1]: it is listed twice",
    ],
    [
      "more text than a command carries",
      (it) => (it.foreignCredentials = Array.from({ length: 20 }, (_, i) => `s3://${i}${"f".repeat(80)}`)),
      "credentials, foreignCredentials and sqlServer.endpoints have",
    ],
    [
      "a place twice",
      (it) =>
        ((it.fleet as JsonObject).targets = [
          { account: "111122223333", regions: ["eu-west-1"] },
          { account: "111122223333", regions: ["eu-west-1"] },
        ]),
      "fleet.targets: eu-west-1 of 111122223333 is named twice",
    ],
  ];
  it.each(contradictions)("refuse %s, as the functions do", (_, change, says) => {
    const message = refusal(change);
    expect(message).toContain(says);
    expect(message).toMatch(/^rotations\[0\]\..*\. [A-Z]/);
  });

  it("are those of the local AWS's examples, too", () => {
    const settings = {
      rotation: "sql-backups",
      secret: { id: "sqlcredential", format: "plain" },
      user: "sql-backups-user",
      credentials: ["s3://sql-backups.s3.eu-west-1.amazonaws.com"],
      fleet: {
        tags: [{ key: "SQL", values: ["2022"] }],
        targets: [{ account: "111122223333", regions: ["eu-west-1"] }],
      },
      topic: "arn:aws:sns:eu-west-1:111122223333:credential-rotation",
    };
    expect(completeSettings(settings, "settings").secret).toEqual({ id: "sqlcredential", format: "plain" });
  });
});

describe("a rotation", () => {
  it("that is added takes six lines, since deploy stands at the top for all", () => {
    const file = example();
    const second: JsonObject = {
      rotation: "reporting",
      secret: { id: "reporting/s3-access-key" },
      user: "reporting-backups",
      credentials: ["s3://reporting.s3.eu-west-1.amazonaws.com"],
      fleet: {
        tags: [{ key: "Role", values: ["reporting"] }],
        targets: [{ account: "111122223333", regions: ["eu-west-1"] }],
      },
      sqlServer: { createMissingCredential: true },
    };
    expect(Object.keys(second)).toHaveLength(6);
    (file.rotations as Json[]).push(second);
    const { rotations } = completeDeployment(file);
    expect(rotations.map(({ deploy }) => deploy.hostRoles)).toEqual(
      Array(2).fill(["arn:aws:iam::111122223333:role/sql-server-hosts"]),
    );
  });

  it("may differ from what all share, setting by setting", () => {
    const file = example();
    exampleRotation(file).deploy = { timeZone: "Europe/Dublin" };
    const [rotation] = completeDeployment(file).rotations;
    expect(rotation?.deploy).toMatchObject({ timeZone: "Europe/Dublin", convergeAt: "06:00", instanceStarts: true });
    expect(rotation?.deploy.hostRoles).toHaveLength(1);
  });
});
