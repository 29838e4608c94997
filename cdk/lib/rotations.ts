// What is to be deployed: rotations.json, read, completed and checked, so that everything below gets facts and not
// possibilities.

import { join } from "node:path";
import type { Place } from "./names";
import { arn, rotationName } from "./names";
import type { Json, Settings } from "./settings";
import { completeBySchema, completeSettings, InvalidSettings, isObject, readJson } from "./settings";

/** How AWS is set up for one rotation; rotations.schema.json says what each means. */
export interface Deploy {
  readonly hostRoles: readonly string[];
  readonly readers: readonly string[];
  readonly breakGlass: readonly string[];
  readonly existingSecret: boolean;
  readonly secretKey?: string;
  readonly existingUser: boolean;
  readonly userPath: string;
  readonly firstRotation: string;
  readonly convergeAt: string;
  readonly timeZone: string;
  readonly flexibleWindowMinutes: number;
  readonly instanceStarts: boolean;
}

/**
 * The defaults of `deploy`, each with its reason. They stand here and not in the schema, since `deploy` stands at two
 * places there: a default of the nearer one would go before what the farther one says.
 */
const DEPLOY: Deploy = {
  hostRoles: [],
  readers: [],
  breakGlass: [],
  existingSecret: false,
  existingUser: false,
  userPath: "/",
  // A Monday morning in Europe, before noon in America: who has to look at a failure is at work.
  firstRotation: "2026-01-05T13:00:00Z",
  // After the night's backups, and before people come.
  convergeAt: "06:00",
  timeZone: "UTC",
  // Several rotations of one account do not start in the same second.
  flexibleWindowMinutes: 15,
  instanceStarts: true,
};

/** One rotation. */
export interface Rotation {
  readonly settings: Settings;
  readonly deploy: Deploy;
  /** Whether its topic is made here. */
  readonly makesTopic: boolean;
}

/** All of rotations.json. */
export interface Deployment {
  readonly home: Place;
  readonly reservedConcurrency?: number;
  readonly stateMachineKey?: string;
  readonly logRetentionDays: number;
  readonly evidenceRetentionDays: number;
  readonly keep: readonly ("secret" | "evidence")[];
  readonly rotations: readonly Rotation[];
}

type DeploymentFile = Omit<Deployment, "home" | "rotations"> & {
  readonly account: string;
  readonly region: string;
  readonly deploy: Partial<Deploy>;
  readonly rotations: readonly { [name: string]: Json }[];
};

/** Reads the file of a deployment. */
export function readDeployment(path: string): Deployment {
  return completeDeployment(readJson(path));
}

/** Completes and checks what a file holds. */
export function completeDeployment(given: Json): Deployment {
  const schema = join(__dirname, "..", "rotations.schema.json");
  const file = completeBySchema(schema, given, "") as unknown as DeploymentFile;
  const { account, region, deploy, rotations, ...rest } = file;
  const home = { account, region };
  const complete = rotations.map((one, index) => completeRotation(one, deploy, home, `rotations[${index}]`));
  refuseSharing(complete);
  return { ...rest, home, rotations: complete };
}

function completeRotation(given: { [name: string]: Json }, shared: Partial<Deploy>, home: Place, at: string): Rotation {
  const { deploy, ...settings } = given;
  const makesTopic = settings.topic === undefined;
  if (makesTopic && typeof settings.rotation === "string") {
    settings.topic = arn("sns", home, rotationName(settings.rotation));
  }
  const own = isObject(deploy) ? (deploy as unknown as Partial<Deploy>) : {};
  const rotation = {
    settings: completeSettings(settings, at),
    deploy: { ...DEPLOY, ...shared, ...own },
    makesTopic,
  };
  refuseUnreadableSecret(rotation, at);
  refuseElsewhere(rotation.settings, home, at);
  refuseForeignPlaces(rotation, home, at);
  return rotation;
}

/** A secret whose policy lets no host read it would make every command of the first rotation fail. */
function refuseUnreadableSecret({ deploy, settings }: Rotation, at: string): void {
  if (!deploy.existingSecret && deploy.hostRoles.length === 0) {
    const remedy = "List the instance roles of the hosts there, or in the top's deploy for all rotations";
    throw new InvalidSettings(`${at}.deploy.hostRoles`, "no role of a host may read the secret", remedy);
  }
  if (!deploy.existingSecret && settings.secret.id.startsWith("arn:")) {
    const remedy = "Give its name, or set deploy.existingSecret";
    throw new InvalidSettings(`${at}.secret.id`, "a secret that is to be made has no ARN yet", remedy);
  }
}

/** Functions read the secret, and the state machine publishes to the topic, where they themselves are. */
function refuseElsewhere({ secret, topic }: Settings, home: Place, at: string): void {
  for (const [path, it] of Object.entries({ "secret.id": secret.id, topic })) {
    const [, , , region, account] = it.split(":");
    if (!it.startsWith("arn:") || (region === home.region && account === home.account)) continue;
    const problem = `it is in ${region} of ${account}, and the functions are in ${home.region} of ${home.account}`;
    throw new InvalidSettings(`${at}.${path}`, problem, "Name one that is there");
  }
}

/** Another account's hosts are reached through a role there. */
function refuseForeignPlaces({ settings, deploy }: Rotation, home: Place, at: string): void {
  for (const [index, target] of settings.fleet.targets.entries()) {
    const path = `${at}.fleet.targets[${index}].role`;
    if (target.account !== home.account && target.role === undefined) {
      const remedy = "Name one, such as arn:aws:iam::444455556666:role/credential-rotation-place; it is made there";
      throw new InvalidSettings(path, `account ${target.account} needs a role to assume`, remedy);
    }
    if (target.role !== undefined && !target.role.includes(`::${target.account}:`)) {
      throw new InvalidSettings(path, `it is no role of account ${target.account}`, "Correct one of the two");
    }
    if (target.account !== home.account && deploy.existingSecret && deploy.secretKey === undefined) {
      const problem = `hosts of ${target.account} cannot decrypt what Secrets Manager's own key encrypts`;
      throw new InvalidSettings(`${at}.deploy.secretKey`, problem, "Give the secret a KMS key, and name it there");
    }
  }
}

/** Two rotations of one credential would take each other's keys and labels. */
function refuseSharing(rotations: readonly Rotation[]): void {
  const shared: readonly [string, (rotation: Rotation) => string][] = [
    ["rotation", ({ settings }) => settings.rotation],
    ["secret.id", ({ settings }) => settings.secret.id],
    ["user", ({ settings }) => settings.user],
  ];
  for (const [path, of] of shared) {
    const values = rotations.map(of);
    const index = values.findIndex((value, position) => values.indexOf(value) !== position);
    if (index >= 0) {
      const problem = `${JSON.stringify(values[index])} belongs to another rotation already`;
      throw new InvalidSettings(`rotations[${index}].${path}`, problem, "Give each rotation its own");
    }
  }
}

/** The places of a rotation. */
export function placesOf({ settings }: Rotation): Place[] {
  return settings.fleet.targets.flatMap(({ account, regions }) => regions.map((region) => ({ account, region })));
}

/** The places of all rotations, each once. */
export function allPlaces(rotations: readonly Rotation[]): Place[] {
  const places = new Map(rotations.flatMap(placesOf).map((place) => [`${place.account} ${place.region}`, place]));
  return [...places.values()];
}

/** The rotations that have hosts in a place. */
export function rotationsIn(rotations: readonly Rotation[], { account, region }: Place): Rotation[] {
  return rotations.filter((one) => placesOf(one).some((it) => it.account === account && it.region === region));
}
