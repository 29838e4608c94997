// The names that everything bears in AWS, and their ARNs.
//
// Every name is fixed, so that stacks of other accounts and regions can be deployed in any order, policies can be read
// as text, and the local AWS of the tests can use the same names.

/** The functions, named like their crates; each is one state of the state machine of a kind of rotation, or of both. */
export const FUNCTION_NAMES = [
  "enumerate-instances",
  "plan-rotation",
  "rotate-iam-key",
  "rotate-login-password",
  "send-command",
  "poll-command",
  "promote-stage",
  "retire-iam-key",
  "retire-login-password",
] as const;

export type FunctionName = (typeof FUNCTION_NAMES)[number];

/** What all our names begin with. */
export const PREFIX = "credential-rotation";

/** Source of the events that the state machine puts on the default bus. */
export const EVENT_SOURCE = PREFIX;

/** Namespace of the metrics that the functions write; their one dimension is `Rotation`. */
export const METRICS_NAMESPACE = "CredentialRotation";

/** Where an account's resources of one region are. */
export interface Place {
  readonly account: string;
  readonly region: string;
}

/** AWS's partition of a region: China and GovCloud have their own. */
export function partitionOf(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}

/** An ARN of a service in a place. */
export function arn(service: string, place: Place, resource: string): string {
  return `arn:${partitionOf(place.region)}:${service}:${place.region}:${place.account}:${resource}`;
}

/** An ARN of IAM, which has no region. */
export function iamArn(place: Place, resource: string): string {
  return `arn:${partitionOf(place.region)}:iam::${place.account}:${resource}`;
}

/** Name of a function, and of its role. */
export function functionName(name: FunctionName): string {
  return `${PREFIX}-${name}`;
}

/** The role of a function: a literal, so that policies can name it before it exists. */
export function functionRoleArn(home: Place, name: FunctionName): string {
  return iamArn(home, `role/${functionName(name)}`);
}

/**
 * Name of what belongs to one rotation: its state machine and topic, or `what` else. IAM, EventBridge and Pipes take 64
 * characters, which leaves 11 for `what` beside the longest name of a rotation.
 */
export function rotationName(rotation: string, what?: string): string {
  return what === undefined ? `${PREFIX}-${rotation}` : `${PREFIX}-${rotation}-${what}`;
}

/** The state machine of a rotation, a literal for messages to people. */
export function stateMachineArn(home: Place, rotation: string): string {
  return arn("states", home, `stateMachine:${rotationName(rotation)}`);
}

/** The tag of an instance that holds its last proof; `functions/rotation/src/names.rs` writes it. */
export function ledgerTag(rotation: string): string {
  return `${PREFIX}:${rotation}`;
}

/** The default event bus of a place. */
export function defaultBusArn(place: Place): string {
  return arn("events", place, "event-bus/default");
}

/** The parts of a role's ARN. */
export function roleOfArn(roleArn: string): { account: string; path: string; name: string } {
  const [, , , , account = "", resource = ""] = roleArn.split(":");
  const parts = resource.split("/").slice(1);
  const name = parts.pop() ?? "";
  return { account, path: parts.length === 0 ? "/" : `/${parts.join("/")}/`, name };
}
