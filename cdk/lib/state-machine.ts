// The state machine of one rotation: the repository's definition, with the rotation's settings in its first state.
//
// The definition stays in the template as text (`fromString`), where a reader and the tests see it. What it may call is
// read from the definition itself, so that a state that is added can neither lack its permission nor leave one behind.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { RemovalPolicy } from "aws-cdk-lib";
import { Effect, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Key } from "aws-cdk-lib/aws-kms";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import {
  CustomerManagedEncryptionConfiguration,
  DefinitionBody,
  LogLevel,
  StateMachine,
} from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { type Functions, stateOf } from "./functions";
import { defaultBusArn, EVENT_SOURCE, type FunctionName, rotationName } from "./names";
import { functionsOf } from "./permissions";
import type { Deployment, Rotation } from "./rotations";
import { isObject, type Json, type Settings, STATE_MACHINE_FOLDER } from "./settings";
import { acknowledgeWildcard } from "./wildcards";

/** Where the settings stand in the definition. */
const SETTINGS_TOKEN = '"${Settings}"';

export class RotationStateMachine extends Construct {
  readonly machine: StateMachine;

  constructor(scope: Construct, id: string, deployment: Deployment, rotation: Rotation, functions: Functions) {
    super(scope, id);
    const { settings } = rotation;
    const name = rotationName(settings.rotation);
    const definition = withSettings(readDefinition(), settings);
    const substitutions = Object.fromEntries(
      functionsOf(settings.kind).map((it) => [tokenOf(it), functions.arnOf(it)]),
    );
    refuseOtherTokens(definition, Object.keys(substitutions));
    const role = new Role(this, "role", {
      roleName: rotationName(settings.rotation, "machine"),
      description: `What the state machine ${name} may call`,
      assumedBy: new ServicePrincipal("states.amazonaws.com", {
        conditions: { StringEquals: { "aws:SourceAccount": deployment.home.account } },
      }),
    });
    this.machine = new StateMachine(this, "machine", {
      stateMachineName: name,
      definitionBody: DefinitionBody.fromString(definition),
      definitionSubstitutions: substitutions,
      role,
      tracingEnabled: true,
      logs: {
        destination: new LogGroup(this, "log", {
          // CloudWatch Logs keeps room in its resource policy for groups of this name.
          logGroupName: `/aws/vendedlogs/states/${name}`,
          retention: deployment.logRetentionDays,
          removalPolicy: RemovalPolicy.DESTROY,
        }),
        level: LogLevel.ALL,
        includeExecutionData: false,
      },
      ...(deployment.stateMachineKey === undefined
        ? {}
        : {
            encryptionConfiguration: new CustomerManagedEncryptionConfiguration(
              Key.fromKeyArn(this, "key", deployment.stateMachineKey),
            ),
          }),
    });
    const calls = callsOf(definition, substitutions, settings.topic, defaultBusArn(deployment.home));
    for (const statement of [...calls, ...useOf(rotation.deploy.topicKey)]) role.addToPolicy(statement);
    acknowledgeWildcard(role, "*", "Tracing and logging, as CDK grants them: X-Ray and log delivery are no resources");
  }
}

/** The repository's definition, which must have a time limit: without one an execution may hang for a year. */
export function readDefinition(): string {
  const path = join(STATE_MACHINE_FOLDER, "rotation.asl.json");
  const text = readFileSync(path, "utf8");
  const definition = JSON.parse(text) as Json;
  if (!isObject(definition) || typeof definition.TimeoutSeconds !== "number") {
    throw new Error(`${path} has no TimeoutSeconds at its top: add it`);
  }
  return text;
}

/** Puts the settings in their place, by the local AWS's rule (tests/sandbox/src/machine/substitute.rs). */
export function withSettings(definition: string, settings: Settings): string {
  const parts = definition.split(SETTINGS_TOKEN);
  if (parts.length !== 2) {
    throw new Error(`rotation.asl.json must hold ${SETTINGS_TOKEN} once, as a value: it holds it ${parts.length - 1}x`);
  }
  const filled = parts.join(JSON.stringify(settings));
  JSON.parse(filled);
  return filled;
}

/** The token of a function in the definition is its state's, which every kind of rotation has. */
function tokenOf(name: FunctionName): string {
  return `${stateOf(name)}FunctionArn`;
}

/** Tokens and functions must match: CloudFormation would leave a misspelt one as it is. */
function refuseOtherTokens(definition: string, known: readonly string[]): void {
  const found = new Set([...definition.matchAll(/\$\{([^}]*)\}/g)].map(([, name]) => name ?? ""));
  const unknown = [...found].filter((name) => !known.includes(name));
  const unused = known.filter((name) => !found.has(name));
  if (unknown.length > 0 || unused.length > 0) {
    const list = (names: readonly string[]) => names.map((name) => `\${${name}}`).join(", ") || "none";
    throw new Error(
      `rotation.asl.json and the functions do not match: tokens without a function: ${list(unknown)}; functions without a token: ${list(unused)}`,
    );
  }
}

/** The permissions for what the definition's Task states call. */
function callsOf(
  definition: string,
  substitutions: Readonly<Record<string, string>>,
  topic: string,
  bus: string,
): PolicyStatement[] {
  const called = [...resourcesOf(JSON.parse(definition) as Json)];
  const functions = called.flatMap((resource) => substitutions[/^\$\{(.*)\}$/.exec(resource)?.[1] ?? ""] ?? []);
  const integrations: Readonly<Record<string, PolicyStatement>> = {
    "arn:aws:states:::sns:publish": allow("sns:Publish", [topic]),
    // The default bus is everybody's; under another name than ours nothing may be put there.
    "arn:aws:states:::events:putEvents": allow("events:PutEvents", [bus], {
      StringEquals: { "events:source": EVENT_SOURCE },
    }),
  };
  const others = called.filter((resource) => !resource.startsWith("${"));
  const statements = others.map((resource) => {
    const statement = integrations[resource];
    if (statement === undefined) {
      throw new Error(`rotation.asl.json calls ${resource}, for which cdk/lib/state-machine.ts knows no permission`);
    }
    return statement;
  });
  return [allow("lambda:InvokeFunction", functions), ...statements];
}

/** SNS encrypts a message in its publisher's name, where the topic has a key. */
function useOf(topicKey: string | undefined): PolicyStatement[] {
  if (topicKey === undefined) return [];
  const through = { StringEquals: { "kms:ViaService": `sns.${topicKey.split(":")[3]}.amazonaws.com` } };
  return ["kms:GenerateDataKey", "kms:Decrypt"].map((action) => allow(action, [topicKey], through));
}

function allow(action: string, resources: string[], conditions: Record<string, unknown> = {}): PolicyStatement {
  return new PolicyStatement({ effect: Effect.ALLOW, actions: [action], resources, conditions });
}

/** The `Resource` of every Task state, however deep in a Map. */
function resourcesOf(value: Json, found = new Set<string>()): Set<string> {
  if (Array.isArray(value)) for (const item of value) resourcesOf(item, found);
  if (isObject(value)) {
    if (value.Type === "Task" && typeof value.Resource === "string") found.add(value.Resource);
    for (const member of Object.values(value)) resourcesOf(member, found);
  }
  return found;
}
