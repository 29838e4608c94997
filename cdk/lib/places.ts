// What rotations are about: accounts and regions of their fleets, users whose keys they rotate, documents that they send.

import type { Place } from "./names";
import type { Rotation } from "./rotations";
import type { Settings } from "./settings";

/** What the document for Windows is called after the one for Linux, where they are two. */
const FOR_WINDOWS = "-windows";

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

/** The IAM users whose keys are rotated. */
export function usersOf(rotations: readonly Rotation[]): string[] {
  return rotations.flatMap(({ settings }) => (settings.kind === "iamAccessKey" ? [settings.user] : []));
}

/**
 * The names of the documents that a rotation sends. Those for logins are one for each platform, since both platforms'
 * scripts together are longer than SSM takes.
 */
export function documentNames({ kind, document, inspectDocument }: Settings): string[] {
  const names = [document.name, inspectDocument.name];
  if (kind === "iamAccessKey") return names;
  return names.flatMap((name) => (name.endsWith(FOR_WINDOWS) ? [name] : [name, `${name}${FOR_WINDOWS}`]));
}
