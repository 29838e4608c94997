// A deployment that rotates an access key and two logins: what each kind has of its own, and that neither gets what only
// the other one needs.

import { beforeAll, describe, expect, it } from "vitest";
import { FUNCTION_NAMES } from "../lib/names";
import { actionsOf } from "../lib/permissions";
import { completeDeployment } from "../lib/rotations";
import { InvalidSettings, isObject, type Json } from "../lib/settings";
import { Deployed, exampleOfBothKinds, type JsonObject, listOf, objectsIn } from "./deployed";

const LOGIN = "credential-rotation-orders-login";
const PLACE_ROLE = "arn:aws:iam::444455556666:role/hosts";

let both: Deployed;
let loginsOnly: Deployed;
beforeAll(async () => {
  both = await Deployed.synthesised(undefined, undefined, exampleOfBothKinds());
  loginsOnly = await Deployed.synthesised(
    (file) => {
      const login = loginOf(file);
      (login.fleet as JsonObject).targets = [{ account: "444455556666", role: PLACE_ROLE, regions: ["eu-west-1"] }];
      file.deploy = { hostRoles: ["arn:aws:iam::444455556666:role/hosts-of-sql"] };
      file.rotations = [login];
    },
    undefined,
    exampleOfBothKinds(),
  );
});

/** The example's rotation of logins. */
function loginOf(file: JsonObject): JsonObject {
  const login = (file.rotations as Json[])[1];
  if (!isObject(login)) throw new Error("the example has no rotation of logins");
  return login;
}

/** The statements of a function's role, but for those about its log. */
function statementsOf(of: Deployed, name: string): JsonObject[] {
  const role = of.one("AWS::IAM::Role", "RoleName", `credential-rotation-${name}`);
  return [...objectsIn(role.Properties.Policies)].filter(
    ({ Effect, Action }) => Effect === "Allow" && !JSON.stringify(Action).includes("logs:"),
  );
}

function actionsGranted(of: Deployed, name: string): string[] {
  return [...new Set(statementsOf(of, name).flatMap(({ Action }) => listOf(Action).map(String)))].sort();
}

/** The function that a state of a rotation calls. */
function functionBehind(token: string, machine: string): string {
  const { DefinitionSubstitutions } = both.one(
    "AWS::StepFunctions::StateMachine",
    "StateMachineName",
    machine,
  ).Properties;
  return JSON.stringify((DefinitionSubstitutions as JsonObject)[token]);
}

describe("a rotation of each kind", () => {
  it("passes cdk-nag", () => {
    for (const { report } of [both, loginsOnly]) {
      const [aws] = report.pluginReports as JsonObject[];
      expect(aws).toMatchObject({ pluginName: "AwsSolutions", conclusion: "success", violations: [] });
    }
  });

  it("has its own functions behind the same states, and both have all nine together", () => {
    expect(both.all("AWS::Lambda::Function")).toHaveLength(FUNCTION_NAMES.length);
    expect(functionBehind("StageCredentialFunctionArn", LOGIN)).toContain("rotateloginpassword");
    expect(functionBehind("RetireCredentialFunctionArn", LOGIN)).toContain("retireloginpassword");
    expect(functionBehind("StageCredentialFunctionArn", "credential-rotation-sql-backups")).toContain("rotateiamkey");
    expect(functionBehind("RetireCredentialFunctionArn", "credential-rotation-sql-backups")).toContain("retireiamkey");
    const names = loginsOnly.all("AWS::Lambda::Function").map(({ Properties }) => String(Properties.FunctionName));
    expect(names).toHaveLength(7);
    expect(names.filter((name) => name.includes("iam-key"))).toEqual([]);
  });

  it("has exactly the permissions of the table, for the kinds that are there", () => {
    for (const name of FUNCTION_NAMES) {
      // No account but home has hosts here, so that no role is assumed.
      const expected = [...new Set(actionsOf(name, ["iamAccessKey", "sqlServerLogin"]))];
      expect(actionsGranted(both, name), name).toEqual(expected.filter((action) => action !== "sts:AssumeRole"));
    }
    const ofLogins = ["enumerate-instances", "plan-rotation", "rotate-login-password", "retire-login-password"];
    for (const name of ofLogins) {
      const ask = (action: string) => /^(iam:(Get|List)|states:)/.test(action);
      expect(actionsGranted(loginsOnly, name).filter(ask), `${name} asks nothing of IAM's keys`).toEqual([]);
      expect(actionsGranted(loginsOnly, name)).toContain("secretsmanager:ListSecretVersionIds");
    }
  });

  it("lets no function of one kind touch the secret of the other", () => {
    const secrets = (name: string) => {
      const ofSecrets = statementsOf(both, name).filter(({ Action }) => JSON.stringify(Action).includes(":GetSecretV"));
      return JSON.stringify(ofSecrets.map(({ Resource }) => Resource));
    };
    expect(secrets("rotate-iam-key")).toContain("sqlbackupssecret");
    expect(secrets("rotate-iam-key")).not.toContain("orderslogin");
    for (const name of ["rotate-login-password", "retire-login-password"]) {
      expect(secrets(name)).toContain("ordersloginsecret");
      expect(secrets(name)).not.toContain("sqlbackups");
    }
    const [random] = statementsOf(both, "rotate-login-password").filter(
      ({ Action }) => Action === "secretsmanager:GetRandomPassword",
    );
    expect(random?.Resource, "a password that is made belongs to no secret").toBe("*");
  });
});

describe("a rotation of logins", () => {
  it("has no IAM user, no rules on access keys, and no alarm about an old key", () => {
    expect(both.all("AWS::IAM::User")).toHaveLength(1);
    expect(loginsOnly.all("AWS::IAM::User")).toEqual([]);
    expect([...loginsOnly.templates.keys()], "IAM has nothing to tell of it").not.toContain(
      "credential-rotation-iam-events",
    );
    const named = (type: string, property: string) =>
      loginsOnly.all(type).map(({ Properties }) => String(Properties[property]).replace(`${LOGIN}-`, ""));
    expect(named("AWS::Events::Rule", "Name").sort()).toEqual(["ended", "rotator", "secret", "starts"]);
    expect(named("AWS::CloudWatch::Alarm", "AlarmName")).toEqual([
      "failed",
      "timed-out",
      "aborted",
      "dead-letters",
      "overdue",
      "hosts-without-proof",
    ]);
    expect(JSON.stringify(loginsOnly.all("AWS::CloudWatch::Dashboard"))).not.toContain("OldKeyUsed");
  });

  it("has a secret that its functions, the hosts and the application read, and a schedule of its own", () => {
    const secret = both.one("AWS::SecretsManager::Secret", "Name", "orders/database").Properties;
    expect(secret.Description).toBe(
      "Password of the login orders_a or orders_b; credential-rotation-orders-login rotates it",
    );
    const policies = both.all("AWS::SecretsManager::ResourcePolicy").map(({ Properties }) => Properties.ResourcePolicy);
    const denials = policies.flatMap((policy) => [...objectsIn(policy)].filter((it) => it.Effect === "Deny"));
    const functions = ["enumerate-instances", "plan-rotation", "rotate-login-password", "retire-login-password"];
    expect(denials[1]?.Condition).toEqual({
      ArnNotEquals: {
        "aws:PrincipalArn": [
          ...functions.map((name) => `arn:aws:iam::111122223333:role/credential-rotation-${name}`),
          "arn:aws:iam::111122223333:role/sql-server-hosts",
          "arn:aws:iam::111122223333:role/orders",
        ],
      },
    });
    expect(both.one("AWS::Scheduler::Schedule", "Name", `${LOGIN}-rotate`).Properties).toMatchObject({
      Description: "Rotates the password every 85 days",
      ScheduleExpression: "rate(85 days)",
    });
  });

  it("gives its hosts the secret, the administrator's and the log, and nothing of S3", () => {
    const policy = both.one("AWS::IAM::ManagedPolicy", "ManagedPolicyName", `${LOGIN}-host`).Properties.PolicyDocument;
    const services = [...objectsIn(policy)]
      .flatMap(({ Action }) => listOf(Action))
      .map((it) => String(it).split(":")[0]);
    expect([...new Set(services)]).toEqual(["secretsmanager", "kms", "logs"]);
  });

  it("sends its hosts documents of either platform, which are made where the hosts are", () => {
    const ofLogins = ["apply-sql-login", "apply-sql-login-windows", "inspect-sql-login", "inspect-sql-login-windows"];
    const abroad = loginsOnly.all("AWS::SSM::Document", "credential-rotation-444455556666-eu-west-1");
    expect(abroad.map(({ Properties }) => Properties.Name)).toEqual(ofLogins);
    const all = both.all("AWS::SSM::Document");
    expect(all).toHaveLength(6);
    for (const { Properties } of all) {
      expect(Buffer.byteLength(JSON.stringify(Properties.Content))).toBeLessThanOrEqual(64 * 1024);
    }
    const [sends] = statementsOf(both, "send-command").filter(({ Resource }) =>
      JSON.stringify(Resource).includes(":document/"),
    );
    const arns = listOf(sends?.Resource).map((it) =>
      String(it).replace("arn:aws:ssm:eu-west-1:111122223333:document/", ""),
    );
    expect(arns.sort()).toEqual([...ofLogins, "apply-s3-credential", "inspect-s3-credential"].sort());
  });

  it("is trusted by the role of another account through its own functions only", () => {
    const stack = "credential-rotation-444455556666";
    const { AssumeRolePolicyDocument } = loginsOnly.one("AWS::IAM::Role", "RoleName", "hosts", stack).Properties;
    const trusted = JSON.stringify(AssumeRolePolicyDocument);
    expect(trusted).toContain("credential-rotation-rotate-login-password");
    expect(trusted).toContain("credential-rotation-retire-login-password");
    expect(trusted).not.toContain("iam-key");
  });
});

describe("settings of a rotation of logins", () => {
  it("are completed by their own branch of the schema, and none of a key's are among them", () => {
    const [, rotation] = completeDeployment(exampleOfBothKinds()).rotations;
    expect(rotation?.settings).toMatchObject({
      kind: "sqlServerLogin",
      document: { name: "apply-sql-login" },
      inspectDocument: { name: "inspect-sql-login" },
      login: { whileInUse: "refuse", createMissing: false, instances: [], password: { length: 32 } },
      schedule: { rotateEveryDays: 85, reproveEveryDays: 30 },
    });
    const settings = Object.keys(rotation?.settings ?? {});
    for (const of of ["user", "credentials", "proof", "keyCheck", "stoppedHosts"]) expect(settings).not.toContain(of);
    expect(JSON.stringify(rotation?.settings.schedule)).not.toContain("overlapDays");
  });

  it("take six lines in a second rotation", () => {
    const file = exampleOfBothKinds();
    const { fleet } = loginOf(file);
    const second: JsonObject = {
      rotation: "reporting-login",
      kind: "sqlServerLogin",
      secret: { id: "reporting/database" },
      login: { names: ["reporting"] },
      fleet: fleet as Json,
      sqlServer: { trustServerCertificate: true },
    };
    expect(Object.keys(second)).toHaveLength(6);
    (file.rotations as Json[]).push(second);
    expect(completeDeployment(file).rotations).toHaveLength(3);
  });

  const refused: [what: string, change: (login: JsonObject, file: JsonObject) => void, says: string][] = [
    ["a member of the other kind", (it) => (it.user = "u"), 'rotations[1]: there is no setting "user" for this kind'],
    [
      "a wait of the other kind",
      (it) => (it.schedule = { overlapDays: 7 }),
      'schedule: there is no setting "overlapDays"',
    ],
    ["a kind that there is not", (it) => (it.kind = "password"), 'rotations[1].kind: must be one of "iamAccessKey"'],
    ["no login", (it) => delete it.login, 'rotations[1]: "login" is missing. Add it'],
    [
      "three logins",
      (it) => (it.login = { names: ["a", "b", "c"] }),
      "rotations[1].login.names: must NOT have more than 2",
    ],
    ["a Windows account", (it) => (it.login = { names: ["CORP\\app"] }), "rotations[1].login.names[0]: must match"],
    ["sa", (it) => (it.login = { names: ["SA"] }), "rotations[1].login.names[0]: sa is every instance's administrator"],
    ["one login twice", (it) => (it.login = { names: ["app", "App"] }), "login.names[1]: it is listed twice"],
    [
      "a contained user that would be created",
      (it) => (it.login = { names: ["app"], createMissing: true, containedDatabases: ["Orders"] }),
      "rotations[1].login.createMissing: a contained user is never created",
    ],
    [
      "a password of no characters",
      (it) => {
        const excludeLowercase = true;
        const password = { excludeUppercase: true, excludeLowercase, excludeNumbers: true, excludePunctuation: true };
        it.login = { names: ["app"], password };
      },
      "rotations[1].login.password: every character is excluded",
    ],
    [
      "a password of which each character is excluded by name",
      (it) => {
        const excludeCharacters = String.fromCharCode(...Array.from({ length: 94 }, (_, index) => 33 + index));
        it.login = { names: ["app"], password: { excludeCharacters } };
      },
      "rotations[1].login.password: every character is excluded",
    ],
    [
      "a password that is too short",
      (it) => (it.login = { names: ["a"], password: { length: 8 } }),
      "length: must be >= 12",
    ],
    [
      "more names than a command carries",
      (it) => (it.login = { names: ["app"], instances: Array.from({ length: 13 }, (_, i) => `${i}${"ü".repeat(60)}`) }),
      "rotations[1].login: names, instances, containedDatabases and replicaGroups have 16",
    ],
    [
      "a password alone for two logins",
      (it) => (it.secret = { id: "orders/database", format: "plain" }),
      "rotations[1].secret.format: a password alone does not say which",
    ],
    [
      "a plan that would alter logins",
      (it) => (it.inspectDocument = { name: "apply-sql-login" }),
      "rotations[1].inspectDocument.name: it is the document that alters logins",
    ],
    [
      "a policy without a margin",
      (it) => (it.schedule = { maximumAgeDays: 85 }),
      "rotations[1].schedule.maximumAgeDays: a password may be 85 days old",
    ],
    [
      "a login that another rotation has on hosts that could be in both fleets",
      (it, file) =>
        (file.rotations as Json[]).push({ ...it, rotation: "b", secret: { id: "b" }, login: { names: ["Orders_B"] } }),
      "rotations[2].login.names: orders-login rotates the login Orders_B too",
    ],
  ];
  it.each(refused)("refuse %s with its path", (_, change, says) => {
    expect(refusal(change)).toContain(says);
  });

  const apart: [what: string, login: JsonObject, other: JsonObject][] = [
    ["on different instances", { names: ["app"], instances: ["PROD"] }, { names: ["app"], instances: ["TEST"] }],
    [
      "of different contained databases",
      { names: ["app"], containedDatabases: ["Orders"] },
      { names: ["app"], containedDatabases: ["Stock"] },
    ],
    ["of which one is a database's own user", { names: ["app"] }, { names: ["app"], containedDatabases: ["Stock"] }],
  ];
  it.each(apart)("let two rotations have logins of one name %s", (_, login, other) => {
    const said = refusal((it, file) => {
      it.login = login;
      (file.rotations as Json[]).push({ ...it, rotation: "b", secret: { id: "b" }, login: other });
    });
    expect(said).toBe("it was accepted");
  });
});

/** Why the example of both kinds is refused after a change to its rotation of logins. */
function refusal(change: (login: JsonObject, file: JsonObject) => void): string {
  const file = exampleOfBothKinds();
  change(loginOf(file), file);
  try {
    completeDeployment(file);
  } catch (error) {
    if (error instanceof InvalidSettings) return error.message;
    throw error;
  }
  return "it was accepted";
}
