// Who may do what: one table, function by function, of AWS actions and what they act on. Nothing else grants a
// function anything but its own log.
//
// Each line is a call that the function makes; the tests of the local AWS compare the table with the calls of recorded
// runs in both directions. An action stands with the narrowest resource that AWS lets a policy name.

import { Effect, PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { FunctionName, Place } from "./names";
import { arn, FUNCTION_NAMES, functionRoleArn, ledgerTag, roleOfArn, rotationName } from "./names";
import { documentNames, placesOf } from "./places";
import type { Deployment, Rotation } from "./rotations";
import type { Kind } from "./settings";

/** A rotation, and the resources of it that functions act on. */
export interface RotationResources {
  readonly rotation: Rotation;
  readonly secretArn: string;
  /** The key of the secret; none where Secrets Manager's own is used, which asks for no permission. */
  readonly secretKeyArn: string | undefined;
  /** The user whose key is rotated; none where it is a login's password. */
  readonly userArn: string | undefined;
}

/** What an action acts on, in the functions' own account. */
type HomeTarget = "secret" | "secretKey" | "user" | "placeRoles" | "executions" | "functionRoles" | "nothing";
/** What an action acts on, in any account that has hosts. */
type PlaceTarget = "hosts" | "documents" | "commandedInstances" | "ledger";

interface Permission {
  readonly on: HomeTarget | PlaceTarget;
  readonly actions: readonly string[];
  /** The kind of rotation that it is for; none where every kind needs it. */
  readonly of?: Kind;
}

/** The functions that only one kind of rotation has; the others serve every kind. */
const OF_A_KIND: Readonly<Partial<Record<FunctionName, Kind>>> = {
  "rotate-iam-key": "iamAccessKey",
  "retire-iam-key": "iamAccessKey",
  "rotate-login-password": "sqlServerLogin",
  "retire-login-password": "sqlServerLogin",
};

/** The functions behind the state machine of a rotation of this kind. */
export function functionsOf(kind: Kind): FunctionName[] {
  return FUNCTION_NAMES.filter((name) => (OF_A_KIND[name] ?? kind) === kind);
}

/** The functions that rotations need, together. */
export function functionsFor(rotations: readonly Rotation[]): FunctionName[] {
  const needed = new Set(rotations.flatMap(({ settings }) => functionsOf(settings.kind)));
  return FUNCTION_NAMES.filter((name) => needed.has(name));
}

/** The table. */
export const PERMISSIONS: Readonly<Record<FunctionName, readonly Permission[]>> = {
  "enumerate-instances": [
    { on: "secret", actions: ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"] },
    { on: "secretKey", actions: ["kms:Decrypt"] },
    { on: "secret", of: "sqlServerLogin", actions: ["secretsmanager:ListSecretVersionIds"] },
    { on: "user", of: "iamAccessKey", actions: ["iam:ListAccessKeys", "iam:GetAccessKeyLastUsed"] },
    { on: "placeRoles", actions: ["sts:AssumeRole"] },
    { on: "hosts", actions: ["ec2:DescribeInstances", "ssm:DescribeInstanceInformation"] },
    { on: "documents", actions: ["ssm:DescribeDocument"] },
  ],
  "plan-rotation": [
    { on: "secret", actions: ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"] },
    { on: "secretKey", actions: ["kms:Decrypt"] },
    { on: "secret", of: "sqlServerLogin", actions: ["secretsmanager:ListSecretVersionIds"] },
    { on: "user", of: "iamAccessKey", actions: ["iam:GetUser", "iam:ListAccessKeys", "iam:GetAccessKeyLastUsed"] },
    { on: "functionRoles", actions: ["iam:SimulatePrincipalPolicy"] },
    { on: "placeRoles", actions: ["sts:AssumeRole"] },
    { on: "hosts", actions: ["ec2:DescribeInstances", "ssm:DescribeInstanceInformation"] },
  ],
  "rotate-iam-key": [
    {
      on: "secret",
      actions: [
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:TagResource",
        "secretsmanager:UntagResource",
      ],
    },
    { on: "secretKey", actions: ["kms:Decrypt", "kms:GenerateDataKey"] },
    {
      on: "user",
      actions: ["iam:ListAccessKeys", "iam:GetAccessKeyLastUsed", "iam:CreateAccessKey", "iam:DeleteAccessKey"],
    },
    { on: "executions", actions: ["states:DescribeExecution"] },
  ],
  "rotate-login-password": [
    {
      on: "secret",
      actions: [
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:ListSecretVersionIds",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:TagResource",
      ],
    },
    { on: "nothing", actions: ["secretsmanager:GetRandomPassword"] },
    { on: "secretKey", actions: ["kms:Decrypt", "kms:GenerateDataKey"] },
    { on: "placeRoles", actions: ["sts:AssumeRole"] },
    { on: "hosts", actions: ["ec2:DescribeInstances"] },
  ],
  "send-command": [
    { on: "secret", actions: ["secretsmanager:DescribeSecret"] },
    { on: "placeRoles", actions: ["sts:AssumeRole"] },
    { on: "hosts", actions: ["ec2:DescribeInstances", "ssm:DescribeInstanceInformation", "ssm:ListCommands"] },
    { on: "documents", actions: ["ssm:SendCommand"] },
    { on: "commandedInstances", actions: ["ssm:SendCommand"] },
  ],
  "poll-command": [
    { on: "secret", actions: ["secretsmanager:DescribeSecret"] },
    { on: "placeRoles", actions: ["sts:AssumeRole"] },
    {
      on: "hosts",
      actions: [
        "ec2:DescribeInstances",
        "ssm:DescribeInstanceInformation",
        "ssm:ListCommands",
        "ssm:ListCommandInvocations",
        "ssm:CancelCommand",
      ],
    },
    { on: "ledger", actions: ["ec2:CreateTags"] },
  ],
  "promote-stage": [
    {
      on: "secret",
      actions: [
        "secretsmanager:DescribeSecret",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:TagResource",
      ],
    },
  ],
  "retire-iam-key": [
    {
      on: "secret",
      actions: [
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:TagResource",
        "secretsmanager:UntagResource",
      ],
    },
    { on: "secretKey", actions: ["kms:Decrypt"] },
    {
      on: "user",
      actions: ["iam:ListAccessKeys", "iam:GetAccessKeyLastUsed", "iam:UpdateAccessKey", "iam:DeleteAccessKey"],
    },
    { on: "placeRoles", actions: ["sts:AssumeRole"] },
    { on: "hosts", actions: ["ec2:DescribeInstances"] },
  ],
  "retire-login-password": [
    {
      on: "secret",
      actions: [
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:ListSecretVersionIds",
        "secretsmanager:UpdateSecretVersionStage",
        "secretsmanager:TagResource",
      ],
    },
    { on: "secretKey", actions: ["kms:Decrypt"] },
    { on: "placeRoles", actions: ["sts:AssumeRole"] },
    { on: "hosts", actions: ["ec2:DescribeInstances"] },
  ],
};

/** What a function asks for in the service of rotations of these kinds. */
export function actionsOf(name: FunctionName, kinds: readonly Kind[]): string[] {
  const lines = PERMISSIONS[name].filter(({ of: kind }) => kind === undefined || kinds.includes(kind));
  return lines.flatMap(({ actions }) => actions).sort();
}

/** Which functions may do an action: all of them, or those of `among`. */
export function functionsWith(action: string, among: readonly FunctionName[] = FUNCTION_NAMES): FunctionName[] {
  return among.filter((name) => PERMISSIONS[name].some(({ actions }) => actions.includes(action)));
}

/** Which functions work in other accounts for these rotations, through a role there. */
export function functionsThatAssumeRoles(rotations: readonly Rotation[]): FunctionName[] {
  return functionsWith("sts:AssumeRole", functionsFor(rotations));
}

/** The policy of a function: its lines of the table, on the resources of every rotation that it serves. */
export function policyOf(
  name: FunctionName,
  deployment: Deployment,
  resources: readonly RotationResources[],
): PolicyStatement[] {
  return PERMISSIONS[name].flatMap(({ on, of: kind = OF_A_KIND[name], actions }) => {
    const served = resources.filter(({ rotation }) => (kind ?? rotation.settings.kind) === rotation.settings.kind);
    if (!isPlaceTarget(on)) return atHome(on, actions, deployment, served);
    const rotations = served.map(({ rotation }) => rotation);
    return inPlaces(on, actions, rotations, deployment.home.account);
  });
}

/** What a role of an account with hosts may do: what the functions may do there, together, and be told what it may. */
export function policyOfPlaces(roleArn: string, rotations: readonly Rotation[]): PolicyStatement[] {
  const { account } = roleOfArn(roleArn);
  const targets: readonly PlaceTarget[] = ["hosts", "documents", "commandedInstances", "ledger"];
  const work = targets.flatMap((target) => {
    const lines = functionsFor(rotations).flatMap((name) => PERMISSIONS[name].filter(({ on }) => on === target));
    const actions = [...new Set(lines.flatMap((line) => line.actions))].sort();
    return inPlaces(target, actions, rotations, account);
  });
  // A plan asks about this role as this role: a policy is simulated in the account where it stands.
  return [...work, ...allow(["iam:SimulatePrincipalPolicy"], [roleArn])];
}

function isPlaceTarget(on: HomeTarget | PlaceTarget): on is PlaceTarget {
  return on === "hosts" || on === "documents" || on === "commandedInstances" || on === "ledger";
}

function atHome(
  on: HomeTarget,
  actions: readonly string[],
  { home, rotations: all }: Deployment,
  resources: readonly RotationResources[],
): PolicyStatement[] {
  const rotations = resources.map(({ rotation }) => rotation);
  switch (on) {
    case "secret":
      return allow(
        actions,
        resources.map(({ secretArn }) => secretArn),
      );
    case "secretKey":
      return allow(
        actions,
        resources.flatMap(({ secretKeyArn }) => secretKeyArn ?? []),
        { StringEquals: { "kms:ViaService": `secretsmanager.${home.region}.amazonaws.com` } },
      );
    case "user":
      return allow(
        actions,
        resources.flatMap(({ userArn }) => userArn ?? []),
      );
    case "placeRoles":
      return allow(actions, [
        ...new Set(rotations.flatMap(({ settings }) => settings.fleet.targets.flatMap(({ role }) => role ?? []))),
      ]);
    case "executions":
      // An execution's name is made when it is started.
      return allow(
        actions,
        rotations.map(({ settings }) => arn("states", home, `execution:${rotationName(settings.rotation)}:*`)),
      );
    case "functionRoles":
      return allow(
        actions,
        functionsFor(all).map((name) => functionRoleArn(home, name)),
      );
    case "nothing":
      return allow(actions, rotations.length === 0 ? [] : ["*"]);
  }
}

function inPlaces(
  on: PlaceTarget,
  actions: readonly string[],
  rotations: readonly Rotation[],
  account: string,
): PolicyStatement[] {
  const here = (rotation: Rotation) => placesOf(rotation).filter((place) => place.account === account);
  if (rotations.flatMap(here).length === 0) return [];
  switch (on) {
    case "hosts":
      return allow(actions, ["*"]);
    case "documents":
      return allow(actions, [
        ...new Set(rotations.flatMap((rotation) => here(rotation).flatMap((place) => documentArns(rotation, place)))),
      ]);
    case "commandedInstances":
      return rotations.flatMap((rotation) =>
        // The conditions of a fleet must all hold, by the key that SSM's guide gives for SendCommand.
        allow(actions, here(rotation).map(instancesOf), { StringEquals: tagsOf(rotation) }),
      );
    case "ledger":
      return rotations.flatMap((rotation) =>
        allow(actions, here(rotation).map(instancesOf), {
          "ForAllValues:StringEquals": { "aws:TagKeys": [ledgerTag(rotation.settings.rotation)] },
          // ForAllValues holds for no key at all, too.
          Null: { "aws:TagKeys": "false" },
        }),
      );
  }
}

/** A document that another account shares is named by its ARN; one of Amazon's own has no account in it. */
function documentArns({ settings }: Rotation, { account, region }: Place): string[] {
  const owner = (name: string) => (/^(AWS|Amazon)/.test(name) ? "" : account);
  return documentNames(settings).map((name) =>
    name.startsWith("arn:") ? name : arn("ssm", { account: owner(name), region }, `document/${name}`),
  );
}

/** Instances have no names of their own; a condition on tags says which. */
function instancesOf(place: Place): string {
  return arn("ec2", place, "instance/*");
}

function tagsOf({ settings }: Rotation): Record<string, readonly string[]> {
  return Object.fromEntries(settings.fleet.tags.map(({ key, values }) => [`ssm:resourceTag/${key}`, values]));
}

function allow(
  actions: readonly string[],
  resources: readonly string[],
  conditions: Record<string, unknown> = {},
): PolicyStatement[] {
  if (resources.length === 0) return [];
  return [new PolicyStatement({ effect: Effect.ALLOW, actions: [...actions], resources: [...resources], conditions })];
}
