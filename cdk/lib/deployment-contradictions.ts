// What no schema can say of rotations.json: that a deployment holds together. Each is refused before anything is
// synthesised, with its path and what to do, where AWS would refuse it in the middle of a deployment, or nobody at all.

import { placeInS3 } from "./backup-user";
import { type Place, partitionOf } from "./names";
import { placesOf } from "./places";
import type { Deploy, Rotation } from "./rotations";
import { InvalidSettings, type LoginSettings, type Settings } from "./settings";

/** Secrets Manager's own rule for a name. */
const SECRET_NAME = /^[A-Za-z0-9/_+=.@-]{1,512}$/;

/** Secrets Manager takes 20,480 characters of policy; a tenth of them are not roles. */
const SECRET_POLICY_CHARACTERS = 18_000;

/** Refuses one rotation that cannot be deployed as it is written. */
export function refuseOne(rotation: Rotation, home: Place, at: string): void {
  refuseImpossibleTimes(rotation.deploy, at);
  refuseSecret(rotation, at);
  refuseElsewhere(rotation, home, at);
  refuseForeignPlaces(rotation, home, at);
  refuseHostsThatCannotRead(rotation, home, at);
  refuseTooManyReaders(rotation, at);
  refuseUselessUser(rotation, home, at);
}

/** A pattern lets dates and zones pass that no calendar has. */
function refuseImpossibleTimes({ firstRotation, timeZone }: Deploy, at: string): void {
  const time = new Date(firstRotation);
  if (Number.isNaN(time.getTime()) || time.toISOString() !== firstRotation.replace("Z", ".000Z")) {
    const remedy = "Write a date such as 2026-01-05T13:00:00Z";
    throw new InvalidSettings(`${at}.deploy.firstRotation`, `no calendar has ${firstRotation}`, remedy);
  }
  try {
    new Intl.DateTimeFormat("en", { timeZone });
  } catch {
    const remedy = "Use an IANA name, such as Europe/Dublin";
    throw new InvalidSettings(`${at}.deploy.timeZone`, `there is no time zone ${timeZone}`, remedy);
  }
}

function refuseSecret({ deploy, settings }: Rotation, at: string): void {
  const { id } = settings.secret;
  if (id.startsWith("arn:")) {
    if (deploy.existingSecret) return;
    const remedy = "Give its name, or set deploy.existingSecret";
    throw new InvalidSettings(`${at}.secret.id`, "a secret that is to be made has no ARN yet", remedy);
  }
  if (!SECRET_NAME.test(id)) {
    const remedy = "Use letters, digits and /_+=.@-";
    throw new InvalidSettings(`${at}.secret.id`, `${JSON.stringify(id)} is no name of a secret`, remedy);
  }
}

/** A secret whose policy lets no host read it would make every command of the first rotation fail. */
function refuseHostsThatCannotRead({ deploy, settings }: Rotation, home: Place, at: string): void {
  const path = `${at}.deploy.hostRoles`;
  const partition = partitionOf(home.region);
  const foreign = deploy.hostRoles.find((role) => role.split(":")[1] !== partition);
  if (foreign !== undefined) {
    throw new InvalidSettings(path, `${foreign} is not in the partition ${partition} of ${home.region}`, "Correct it");
  }
  if (deploy.existingSecret) return;
  for (const { account } of settings.fleet.targets) {
    if (deploy.hostRoles.some((role) => role.split(":")[4] === account)) continue;
    const remedy = "List the instance roles of the hosts there, or in the top's deploy for all rotations";
    throw new InvalidSettings(path, `no role of a host of ${account} may read the secret`, remedy);
  }
}

/** The policy of a secret names each reader twice: once to let him, once to keep everybody else away. */
function refuseTooManyReaders({ deploy }: Rotation, at: string): void {
  const readers = [...deploy.hostRoles, ...deploy.readers, ...deploy.breakGlass];
  const characters = readers.reduce((sum, role) => sum + role.length + 3, 0);
  if (deploy.existingSecret || 2 * characters <= SECRET_POLICY_CHARACTERS) return;
  const problem = `${readers.length} roles that read are more than a secret's policy can name`;
  const remedy = "Let hosts share an instance role, or make a second rotation";
  throw new InvalidSettings(`${at}.deploy.hostRoles`, problem, remedy);
}

/** IAM's keys open AWS's S3 only. */
function refuseUselessUser({ deploy, settings }: Rotation, home: Place, at: string): void {
  if (settings.kind !== "iamAccessKey") return;
  const isOfAws = (url: string) => placeInS3(url, partitionOf(home.region)) !== undefined;
  if (deploy.existingUser || settings.credentials.some(isOfAws)) return;
  const problem = "none of these URLs is AWS's S3, so that a user made for them would have no rights";
  const remedy = "Correct the URLs, such as s3://BUCKET.s3.REGION.amazonaws.com, or set deploy.existingUser";
  throw new InvalidSettings(`${at}.credentials`, problem, remedy);
}

/** Functions read the secret, and the state machine publishes to the topic, where they themselves are. */
function refuseElsewhere({ settings, deploy }: Rotation, home: Place, at: string): void {
  const remedy = "Name one that is there";
  for (const [path, it] of Object.entries({ "secret.id": settings.secret.id, topic: settings.topic })) {
    const [, , , region, account] = it.split(":");
    if (!it.startsWith("arn:") || (region === home.region && account === home.account)) continue;
    const problem = `it is in ${region} of ${account}, and the functions are in ${home.region} of ${home.account}`;
    throw new InvalidSettings(`${at}.${path}`, problem, remedy);
  }
  for (const [path, key] of Object.entries({ secretKey: deploy.secretKey, topicKey: deploy.topicKey })) {
    const region = key?.split(":")[3] ?? home.region;
    if (region === home.region) continue;
    const problem = `it is in ${region}, and what it encrypts is in ${home.region}`;
    throw new InvalidSettings(`${at}.deploy.${path}`, problem, remedy);
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
export function refuseSharing(rotations: readonly Rotation[]): void {
  const shared: readonly [path: string, of: (rotation: Rotation) => string | undefined][] = [
    // Outputs of a template are named without hyphens.
    ["rotation", ({ settings }) => settings.rotation.replace(/-/g, "")],
    ["secret.id", ({ settings }) => settings.secret.id],
    ["user", ({ settings }) => (settings.kind === "iamAccessKey" ? settings.user : undefined)],
  ];
  for (const [path, of] of shared) {
    const values = rotations.map(of);
    const index = values.findIndex((value, position) => value !== undefined && values.indexOf(value) !== position);
    if (index >= 0) {
      const problem = `${JSON.stringify(values[index])} belongs to another rotation already`;
      throw new InvalidSettings(`rotations[${index}].${path}`, problem, "Give each rotation its own");
    }
  }
  for (const [index, rotation] of rotations.entries()) {
    for (const other of rotations.slice(0, index).filter((it) => mayShareAHost(it, rotation))) {
      const shared = sharedOnAHost(rotation.settings, other.settings);
      if (shared === undefined) continue;
      const problem = `${other.settings.rotation} rotates ${shared.what} too, and their tags do not keep a host from being in both`;
      const remedy = "Give the two fleets different values of one tag, or put the hosts into one rotation";
      throw new InvalidSettings(`rotations[${index}].${shared.path}`, problem, remedy);
    }
  }
}

/** What two rotations would both change on a host that is in both fleets. */
function sharedOnAHost(one: Settings, other: Settings): { path: string; what: string } | undefined {
  if (one.kind === "iamAccessKey" && other.kind === "iamAccessKey") {
    const url = one.credentials.find((it) => other.credentials.includes(it));
    return url === undefined ? undefined : { path: "credentials", what: url };
  }
  if (one.kind === "sqlServerLogin" && other.kind === "sqlServerLogin" && meet(one.login, other.login)) {
    const [name] = common(one.login.names, other.login.names);
    return name === undefined ? undefined : { path: "login.names", what: `the login ${name}` };
  }
  return undefined;
}

/** Whether logins of one name are the same: on an instance of both, and not users of different contained databases. */
function meet(one: LoginSettings, other: LoginSettings): boolean {
  const everywhere = one.instances.length === 0 || other.instances.length === 0;
  const onAnInstance = everywhere || common(one.instances, other.instances).length > 0;
  const [databases, others] = [one.containedDatabases, other.containedDatabases];
  const areLogins = databases.length === 0 && others.length === 0;
  return onAnInstance && (areLogins || common(databases, others).length > 0);
}

/** Most instances' collation does not tell cases apart. */
function common(names: readonly string[], others: readonly string[]): string[] {
  return names.filter((name) => others.some((other) => other.toLowerCase() === name.toLowerCase()));
}

/** Whether a host could be in both fleets: in a place of both, and with no tag of which the two ask other values. */
function mayShareAHost(one: Rotation, other: Rotation): boolean {
  const isInBoth = placesOf(one).some(({ account, region }) =>
    placesOf(other).some((it) => it.account === account && it.region === region),
  );
  const areApart = one.settings.fleet.tags.some(({ key, values }) =>
    other.settings.fleet.tags.some((it) => it.key === key && !it.values.some((value) => values.includes(value))),
  );
  return isInBoth && !areApart;
}
