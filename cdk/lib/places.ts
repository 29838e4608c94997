// Where the fleets of rotations are: accounts and regions.

import type { Place } from "./names";
import type { Rotation } from "./rotations";

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
