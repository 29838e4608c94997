// What is to be deployed: rotations.json, read, completed and checked, so that everything below gets facts and not
// possibilities.

import { join } from "node:path";
import { refuseOne, refuseSharing } from "./deployment-contradictions";
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
  readonly administratorSecretKey?: string;
  readonly bucketKeys: readonly string[];
  readonly topicKey?: string;
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
  bucketKeys: [],
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
  let given: Json;
  try {
    given = readJson(path);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new InvalidSettings("(the file)", problem, "Write it as JSON; cdk/rotations.json is an example");
  }
  return completeDeployment(given);
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
  refuseOne(rotation, home, at);
  return rotation;
}
