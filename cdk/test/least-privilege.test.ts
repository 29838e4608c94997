// Who may do what, in the synthesised templates: every statement of every policy is looked at.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { FUNCTION_NAMES } from "../lib/names";
import { actionsOf, functionsOf, functionsWith, PERMISSIONS } from "../lib/permissions";
import type { Json } from "../lib/settings";
import { reasonOf, WITHOUT_RESOURCE } from "../lib/wildcards";
import { Deployed, exampleOfBothKinds, type JsonObject, listOf, objectsIn } from "./deployed";

let deployed: Deployed;
let ofBothKinds: Deployed;
beforeAll(async () => {
  const inTwoAccounts = (file: JsonObject) => {
    (file.deploy as JsonObject).hostRoles = [111122223333, 444455556666].map((it) => `arn:aws:iam::${it}:role/hosts`);
    for (const { fleet } of file.rotations as { fleet: { targets: Json[] } }[]) {
      fleet.targets = [
        { account: "111122223333", regions: ["eu-west-1", "eu-central-1"] },
        { account: "444455556666", role: "arn:aws:iam::444455556666:role/ops/hosts", regions: ["eu-west-1"] },
      ];
    }
  };
  deployed = await Deployed.synthesised(inTwoAccounts);
  ofBothKinds = await Deployed.synthesised(inTwoAccounts, undefined, exampleOfBothKinds());
});

interface Statement {
  readonly where: string;
  readonly effect: Json | undefined;
  readonly actions: Json[];
  readonly resources: Json[];
  readonly isOfResource: boolean;
  readonly condition: Json | undefined;
}

/** Every policy statement of every stack. */
function statements(of: Deployed): Statement[] {
  const ofResource = ["AWS::KMS::Key", "AWS::SecretsManager::ResourcePolicy"];
  return [...of.templates.values()].flatMap((template) =>
    Object.entries(template.Resources).flatMap(([where, { Type, Properties }]) =>
      [...objectsIn(Properties)]
        .filter((it) => it.Effect !== undefined && it.Action !== undefined)
        .map((it) => ({
          where,
          effect: it.Effect,
          actions: listOf(it.Action),
          resources: listOf(it.Resource),
          isOfResource: ofResource.includes(Type),
          condition: it.Condition,
        })),
    ),
  );
}

function textOf(resource: Json): string {
  return typeof resource === "string" ? resource : JSON.stringify(resource);
}

describe("policies", () => {
  it("allow no action with a wildcard", () => {
    const allowed = statements(ofBothKinds).filter(({ effect }) => effect === "Allow");
    expect(allowed.length).toBeGreaterThan(40);
    expect(allowed.flatMap(({ actions }) => actions).filter((action) => textOf(action).includes("*"))).toEqual([]);
  });

  it("name a resource wherever AWS lets them, and every wildcard has AWS's reason", () => {
    const unexplained = statements(ofBothKinds)
      .filter(({ effect, isOfResource }) => effect === "Allow" && !isOfResource)
      .flatMap(({ where, actions, resources }) =>
        resources
          .map(textOf)
          .filter((resource) => /[*?]/.test(resource))
          .filter((resource) => reasonOf(resource, actions.map(textOf)) === undefined)
          .map((resource) => `${where}: ${actions.join(", ")} on ${resource}`),
      );
    expect(unexplained).toEqual([]);
  });

  it("have no other wildcards than the file for readers lists", async () => {
    const lines = statements(ofBothKinds)
      .filter(({ effect, isOfResource }) => effect === "Allow" && !isOfResource)
      .flatMap(({ actions, resources }) =>
        actions.map(textOf).flatMap((action) =>
          resources
            .map(textOf)
            .filter((resource) => /[*?]/.test(resource))
            .map((resource) => `${action}\n    ${resource}\n    ${reasonOf(resource, [action])}`),
        ),
      );
    const head =
      "Wildcards in resources, of a rotation of each kind over a fleet in two accounts and two regions: action, resource, why.\n\n";
    const text = `${head}${[...new Set(lines)].sort().join("\n")}\n`;
    await expect(text).toMatchFileSnapshot("snapshots/wildcards.txt");
  });

  it("have no reason for a wildcard where a resource can be named", () => {
    expect(reasonOf("*", ["secretsmanager:GetSecretValue"])).toBeUndefined();
    expect(reasonOf("*", ["ec2:DescribeInstances", "ec2:CreateTags"])).toBeUndefined();
    expect(reasonOf("arn:aws:iam::111122223333:user/*", ["iam:CreateAccessKey"])).toBeUndefined();
    expect(reasonOf("*", ["ec2:DescribeInstances"])).toContain("no resource-level permissions");
  });

  it("list no action without a resource that nobody uses", () => {
    const used = new Set(statements(ofBothKinds).flatMap(({ actions }) => actions));
    expect(Object.keys(WITHOUT_RESOURCE).filter((action) => !used.has(action))).toEqual([]);
  });

  it("of a secret or a key say `*` of itself only, and never allow without naming who", () => {
    for (const { where, effect, condition, actions } of statements(ofBothKinds).filter(
      ({ isOfResource }) => isOfResource,
    )) {
      const isAdministration = actions.includes("kms:PutKeyPolicy");
      const text = JSON.stringify(condition ?? {});
      // Or who reads nothing: Secrets Manager only asks whether a key may be used.
      const names = text.includes("aws:PrincipalArn") || text.includes("RequestToValidateKeyAccess");
      expect(effect === "Deny" || isAdministration || names, `${where}: ${actions.join(", ")}`).toBe(true);
    }
  });
});

describe("functions", () => {
  it("may command only instances with the fleet's tags, and only our documents", () => {
    const sends = statementsOf("send-command").filter(({ actions }) => actions.includes("ssm:SendCommand"));
    expect(sends).toHaveLength(2);
    const [documents, instances] = sends;
    expect(documents?.resources).toEqual([
      "arn:aws:ssm:eu-west-1:111122223333:document/apply-s3-credential",
      "arn:aws:ssm:eu-west-1:111122223333:document/inspect-s3-credential",
      "arn:aws:ssm:eu-central-1:111122223333:document/apply-s3-credential",
      "arn:aws:ssm:eu-central-1:111122223333:document/inspect-s3-credential",
    ]);
    expect(instances?.resources).toEqual([
      "arn:aws:ec2:eu-west-1:111122223333:instance/*",
      "arn:aws:ec2:eu-central-1:111122223333:instance/*",
    ]);
    expect(instances?.condition).toEqual({ StringEquals: { "ssm:resourceTag/SQL": ["2022"] } });
  });

  it("may write the ledger's tag and no other", () => {
    const tags = statementsOf("poll-command").filter(({ actions }) => actions.includes("ec2:CreateTags"));
    expect(tags.map(({ condition }) => condition)).toEqual([
      {
        "ForAllValues:StringEquals": { "aws:TagKeys": ["credential-rotation:sql-backups"] },
        Null: { "aws:TagKeys": "false" },
      },
    ]);
  });

  it("have exactly the permissions of the table, and their logs", () => {
    for (const name of functionsOf("iamAccessKey")) {
      const granted = new Set(statementsOf(name).flatMap(({ actions }) => actions.map(textOf)));
      const expected = new Set(actionsOf(name, ["iamAccessKey"]));
      for (const action of ["logs:CreateLogStream", "logs:PutLogEvents"]) expected.add(action);
      expect([...granted].sort(), name).toEqual([...expected].sort());
    }
  });

  it("that make and store a credential are one for each kind, and a plan can do neither", () => {
    expect(functionsWith("iam:CreateAccessKey")).toEqual(["rotate-iam-key"]);
    expect(functionsWith("secretsmanager:GetRandomPassword")).toEqual(["rotate-login-password"]);
    expect(functionsWith("secretsmanager:PutSecretValue")).toEqual(["rotate-iam-key", "rotate-login-password"]);
    const reads = /:(Describe|Get|List|Simulate|Decrypt|AssumeRole)/;
    const ofPlan = PERMISSIONS["plan-rotation"].flatMap(({ actions }) => actions);
    expect(ofPlan.filter((action) => !reads.test(action))).toEqual([]);
  });

  it("may use the secret's key for just what Secrets Manager asks of it in their name", () => {
    const uses = (action: string) => functionsWith(action);
    expect(uses("kms:Decrypt")).toEqual(uses("secretsmanager:GetSecretValue"));
    expect(uses("kms:GenerateDataKey")).toEqual(uses("secretsmanager:PutSecretValue"));
  });

  it("are those that the local AWS runs and that `make build` builds", () => {
    const read = (path: string) => readFileSync(join(__dirname, "..", "..", path), "utf8");
    const [, list = ""] =
      /FUNCTIONS: \[&str; \d+\] = \[([^\]]*)\]/.exec(read("tests/sandbox/src/functions_folder.rs")) ?? [];
    expect([...list.matchAll(/"([a-z-]+)"/g)].map(([, name]) => name)).toEqual([...FUNCTION_NAMES]);
    const build = read("Makefile").match(/^build:\n(?:\t.*\n)+/m)?.[0] ?? "";
    const built = [...build.matchAll(/-p ([a-z-]+)/g)].map(([, name]) => name);
    expect(FUNCTION_NAMES.filter((name) => !built.includes(name))).toEqual([]);
  });

  it("have the permissions that the file for readers and for the local AWS lists", async () => {
    const table = FUNCTION_NAMES.map((name) => [name, actionsOf(name, ["iamAccessKey", "sqlServerLogin"])]);
    const text = `${JSON.stringify(Object.fromEntries(table), null, 2)}\n`;
    await expect(text).toMatchFileSnapshot("snapshots/permissions.json");
  });
});

describe("the role of another account", () => {
  it("may do there what the functions do in places, trusts only them, and has its own path", () => {
    const stack = "credential-rotation-444455556666";
    const role = deployed.one("AWS::IAM::Role", undefined, undefined, stack).Properties;
    expect([role.RoleName, role.Path]).toEqual(["hosts", "/ops/"]);
    const [trust] = [...objectsIn(role.AssumeRolePolicyDocument)].filter((it) => it.Effect === "Allow");
    expect(trust?.Principal).toEqual({ AWS: "arn:aws:iam::111122223333:root" });
    const trusted = JSON.stringify(trust?.Condition);
    for (const name of ["enumerate-instances", "plan-rotation", "send-command", "poll-command", "retire-iam-key"]) {
      expect(trusted).toContain(`role/credential-rotation-${name}"`);
    }
    expect(trusted).not.toContain("rotate-iam-key");
    const actions = [...objectsIn(role.Policies)].flatMap((it) => listOf(it.Action));
    expect(actions).toContain("ssm:SendCommand");
    expect(actions.filter((action) => /^(iam|secretsmanager|kms):/.test(textOf(action)))).toEqual([
      "iam:SimulatePrincipalPolicy",
    ]);
  });
});

function statementsOf(name: string): Statement[] {
  const role = Object.entries(deployed.template().Resources).find(
    ([, it]) => it.Type === "AWS::IAM::Role" && it.Properties.RoleName === `credential-rotation-${name}`,
  );
  return statements(deployed)
    .filter(({ where }) => where === role?.[0])
    .filter(isWork);
}

/** All but the trust, which acts on no resource. */
function isWork({ resources }: Statement): boolean {
  return resources.length > 0;
}
