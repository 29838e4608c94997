// What no schema can say of a rotation of logins; the functions refuse the same (functions/rotation/src/settings/login.rs).

import type { LoginRotationSettings, LoginSettings, PasswordRules } from "./settings";
import type { Rule } from "./settings-contradictions";

/** Bytes of the names that a command carries: as base64 of JSON they are twice as long in what SSM's 64 KB leave. */
const NAMES_OF_A_COMMAND = 1_500;
/** Quotes and the comma of a name in JSON. */
const AROUND_A_NAME = 3;
/** ASCII punctuation, as GetRandomPassword includes it. */
const PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

export function loginRules({ login, secret }: LoginRotationSettings): Rule[] {
  const { names } = login;
  const bytes = bytesOfNames(login);
  return [
    ...names.flatMap((name, index) => rulesOfOne(name, index, names)),
    {
      path: "secret.format",
      isBroken: secret.format === "plain" && names.length > 1,
      problem: "a password alone does not say which of the two logins it is for",
      remedy: "Use json, which says so, or name one login",
    },
    {
      path: "login.createMissing",
      isBroken: login.createMissing && login.containedDatabases.length > 0,
      problem: "a contained user is never created here, for its rights are its database's business",
      remedy: "Leave it out, and create the user in its database",
    },
    {
      path: "login.password",
      isBroken: excludesEverything(login.password),
      problem: "every character is excluded",
      remedy: "Leave capital letters, small letters, numbers or punctuation some characters",
    },
    {
      path: "login",
      isBroken: bytes > NAMES_OF_A_COMMAND,
      problem: `names, instances, containedDatabases and replicaGroups have ${bytes} bytes together, and a command carries ${NAMES_OF_A_COMMAND}`,
      remedy: "Make a second rotation",
    },
  ];
}

function rulesOfOne(name: string, index: number, names: readonly string[]): Rule[] {
  const path = `login.names[${index}]`;
  const sameFor = (other: string) => other.toLowerCase() === name.toLowerCase();
  return [
    {
      path,
      isBroken: name.toLowerCase() === "sa",
      problem: "sa is every instance's administrator",
      remedy: "Rotate a login of the application's own",
    },
    {
      path,
      // Most instances' collation does not tell cases apart.
      isBroken: names.findIndex(sameFor) !== index,
      problem: "it is listed twice",
      remedy: "Name another login, or one only",
    },
  ];
}

function bytesOfNames({ names, instances, containedDatabases, replicaGroups }: LoginSettings): number {
  const all = [...names, ...instances, ...containedDatabases, ...replicaGroups];
  return all.reduce((sum, name) => sum + Buffer.byteLength(name) + AROUND_A_NAME, 0);
}

/** A kind of which every character is excluded is switched off, and with all four nothing is left. */
function excludesEverything(rules: PasswordRules): boolean {
  const isExcluded = (characters: string) => [...characters].every((one) => rules.excludeCharacters.includes(one));
  const capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return (
    (rules.excludeUppercase || isExcluded(capitals)) &&
    (rules.excludeLowercase || isExcluded(capitals.toLowerCase())) &&
    (rules.excludeNumbers || isExcluded("0123456789")) &&
    (rules.excludePunctuation || isExcluded(PUNCTUATION))
  );
}
