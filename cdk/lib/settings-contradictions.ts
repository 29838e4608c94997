// What no schema can say: that a rotation's settings hold together. The functions refuse the same (Settings::check in
// functions/rotation/src/settings.rs), but only when a run begins; here it is refused before anything is deployed.

import { loginRules } from "./login-contradictions";
import { type AccessKeySettings, InvalidSettings, type Settings } from "./settings";

/** Characters of the lists that a command carries: what SSM's 64 KB leave beside the document. */
const LISTS_OF_A_COMMAND = 1_500;
/** Accounts and regions of one rotation: what they report together has to fit a state's 256 KiB. */
const PLACES = 20;
/** SQL Server's limit for a credential's name. */
const CREDENTIAL_NAME = 128;
/** An instance id and two slashes, which a temporary credential's name has below its URL and the prefix. */
const TEMPORARY_NAME = 21;
/** The state machine's own limit of 12 hours, less what is not spent on waves. */
const WAVES_SECONDS = 40_000;

/** What must not be, where it stands, and what to do about it. */
export interface Rule {
  readonly path: string;
  readonly isBroken: boolean;
  readonly problem: string;
  readonly remedy: string;
}

/** Refuses settings that contradict themselves, at the first contradiction. */
export function refuseContradictions(settings: Settings, at: string): void {
  const ofItsKind =
    settings.kind === "iamAccessKey"
      ? [retirementRules, credentialRules].flatMap((of) => of(settings))
      : loginRules(settings);
  const rules = [
    ...documentRules(settings),
    ...scheduleRules(settings),
    ...ofItsKind,
    ...waveRules(settings),
    ...fleetRules(settings),
  ];
  const broken = rules.find((rule) => rule.isBroken);
  if (broken !== undefined) throw new InvalidSettings(`${at}.${broken.path}`, broken.problem, broken.remedy);
}

function documentRules({ kind, document, inspectDocument }: Settings): Rule[] {
  const [alters, reader] =
    kind === "iamAccessKey" ? ["credentials", "inspect-s3-credential"] : ["logins", "inspect-sql-login"];
  return [
    {
      path: "inspectDocument.name",
      isBroken: inspectDocument.name === document.name,
      problem: `it is the document that alters ${alters} (document.name), and a plan must change nothing`,
      remedy: `Name a document that only reads, such as the default ${reader}`,
    },
  ];
}

function scheduleRules({ kind, schedule }: Settings): Rule[] {
  const what = kind === "iamAccessKey" ? "key" : "password";
  return [
    {
      path: "schedule.maximumAgeDays",
      isBroken: schedule.maximumAgeDays <= schedule.rotateEveryDays,
      problem: `a ${what} may be ${schedule.maximumAgeDays} days old and is rotated every ${schedule.rotateEveryDays}`,
      remedy: "Leave a margin: rotate earlier than the policy asks for",
    },
  ];
}

function retirementRules({ schedule, waves }: AccessKeySettings): Rule[] {
  const slotIsFreeAfter = schedule.overlapDays + schedule.deleteAfterDays + Math.ceil(schedule.quietPeriodHours / 24);
  const longest = waves.waveTimeoutSeconds;
  return [
    {
      path: "schedule.rotateEveryDays",
      isBroken: schedule.rotateEveryDays <= slotIsFreeAfter,
      problem: `a user has two key slots, and the old key holds one for overlapDays + quietPeriodHours + deleteAfterDays, ${slotIsFreeAfter} days`,
      remedy: "Rotate less often, or shorten these waits",
    },
    {
      path: "schedule.overlapDays",
      isBroken: schedule.overlapDays * 86_400 <= longest,
      problem: `the overlap must be longer than waves.waveTimeoutSeconds (${longest} s)`,
      remedy: "Lengthen the overlap, so that nothing late can surprise a retirement",
    },
    {
      path: "schedule.quietPeriodHours",
      isBroken: schedule.quietPeriodHours * 3_600 <= longest,
      problem: `the quiet period must be longer than waves.waveTimeoutSeconds (${longest} s)`,
      remedy: "Lengthen the quiet period, so that nothing late can surprise a retirement",
    },
  ];
}

function waveRules({ waves }: Settings): Rule[] {
  const shortest = waves.deliveryTimeoutSeconds + waves.executionTimeoutSeconds;
  const together = waves.waveTimeoutSeconds * 2 * waves.attempts;
  return [
    {
      path: "waves.waveTimeoutSeconds",
      isBroken: waves.waveTimeoutSeconds < shortest,
      problem: `a wave would be judged before deliveryTimeoutSeconds + executionTimeoutSeconds (${shortest} s) have passed`,
      remedy: "Lengthen the wave, or shorten the others",
    },
    {
      path: "waves.waveTimeoutSeconds",
      isBroken: together > WAVES_SECONDS,
      problem: `2 x attempts waves of ${waves.waveTimeoutSeconds} s do not fit the state machine's 12 hours`,
      remedy: "Shorten the wave, or lower waves.attempts",
    },
  ];
}

function credentialRules(settings: AccessKeySettings): Rule[] {
  const { credentials, foreignCredentials, sqlServer, proof } = settings;
  const lists = [...credentials, ...foreignCredentials, ...sqlServer.endpoints];
  const characters = lists.reduce((sum, word) => sum + word.length + 1, 0);
  const ofOne = (url: string, index: number): Rule[] => {
    const path = `credentials[${index}]`;
    const temporary = url.length + proof.prefix.length + TEMPORARY_NAME;
    return [
      {
        path,
        isBroken: temporary > CREDENTIAL_NAME,
        problem: `the temporary credential below it would have a name of ${temporary} characters, and SQL Server takes ${CREDENTIAL_NAME}`,
        remedy: "Shorten the folder in it, or proof.prefix",
      },
      {
        path,
        isBroken: url.endsWith("/"),
        problem: "a credential's name has no slash at its end",
        remedy: "Remove it",
      },
      {
        path,
        isBroken: foreignCredentials.includes(url),
        problem: "it is declared foreign as well",
        remedy: "Say which it is",
      },
      { path, isBroken: credentials.indexOf(url) !== index, problem: "it is listed twice", remedy: "Remove one" },
    ];
  };
  return [
    ...credentials.flatMap(ofOne),
    {
      path: "credentials",
      isBroken: characters > LISTS_OF_A_COMMAND,
      problem: `credentials, foreignCredentials and sqlServer.endpoints have ${characters} characters together, and a command carries ${LISTS_OF_A_COMMAND}`,
      remedy: "Make a second rotation",
    },
  ];
}

function fleetRules({ fleet }: Settings): Rule[] {
  const places = fleet.targets.flatMap((target) => target.regions.map((region) => `${region} of ${target.account}`));
  const twice = places.find((place, index) => places.indexOf(place) !== index);
  return [
    {
      path: "fleet.targets",
      isBroken: places.length > PLACES,
      problem: `${places.length} accounts and regions are more than one execution can report on (${PLACES})`,
      remedy: "Make a second rotation",
    },
    {
      path: "fleet.targets",
      isBroken: twice !== undefined,
      problem: `${twice ?? ""} is named twice`,
      remedy: "Remove one",
    },
  ];
}
