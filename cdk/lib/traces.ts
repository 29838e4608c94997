// What a rotation leaves that CloudFormation knows nothing of: the ledger's tags on the instances, our tags on the
// secret, and the files on the hosts. And what stays on purpose: the secret's versions and the user's keys.
//
// It acts in the account whose credentials the caller has, and only on what bears the rotation's name.

import { execFileSync } from "node:child_process";
import { ledgerTag, type Place, PREFIX } from "./names";
import { placesOf, type Rotation } from "./rotations";
import { isObject, type Json } from "./settings";

/** Calls AWS: the words of a command of AWS's command line, and its answer. */
export type Aws = (...words: string[]) => Json;

/** How many instances a command names at once: SSM's limit for the values of a target. */
const NAMED_INSTANCES = 50;

/** AWS's own command line, as the caller has configured it. */
export const commandLine: Aws = (...words) => {
  const answer = execFileSync("aws", [...words, "--output", "json"], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  return answer.trim() === "" ? null : (JSON.parse(answer) as Json);
};

export class Traces {
  private readonly account: string;

  /** `change` carries out a command that changes something, or only shows it. */
  constructor(
    private readonly home: Place,
    private readonly ask: Aws,
    private readonly change: (...words: string[]) => void,
    private readonly say: (line: string) => void,
  ) {
    this.account = text(ask("sts", "get-caller-identity"), "Account");
  }

  /** Removes what is left of a rotation in this account, and lists what is kept. */
  removeOf(rotation: Rotation): void {
    const here = placesOf(rotation).filter(({ account }) => account === this.account);
    for (const { region } of here) this.removeFromHosts(rotation, region);
    if (this.account !== this.home.account) return;
    this.removeFromSecret(rotation);
    this.listWhatIsKept(rotation);
  }

  /** The accounts of a rotation whose hosts these credentials do not reach. */
  otherAccountsOf(rotation: Rotation): string[] {
    const accounts = placesOf(rotation).map(({ account }) => account);
    return [...new Set(accounts.filter((it) => it !== this.account))];
  }

  private removeFromHosts({ settings }: Rotation, region: string): void {
    const tag = ledgerTag(settings.rotation);
    const filter = `Name=tag-key,Values=${tag}`;
    const found = this.ask("ec2", "describe-instances", "--region", region, "--filters", filter);
    const instances = list(found, "Reservations").flatMap((group) => list(group, "Instances"));
    const ids = instances.map((instance) => text(instance, "InstanceId"));
    for (let first = 0; first < ids.length; first += NAMED_INSTANCES) {
      const some = ids.slice(first, first + NAMED_INSTANCES);
      this.removeFiles(settings.rotation, region, some);
      this.change("ec2", "delete-tags", "--region", region, "--resources", ...some, "--tags", `Key=${tag}`);
    }
    this.say(`${settings.rotation}, ${region}: ${ids.length} instances bear the ledger's tag`);
  }

  /** Each platform passes over the document of the other one. */
  private removeFiles(rotation: string, region: string, ids: string[]): void {
    const commands = {
      "AWS-RunShellScript": `rm -f /var/lib/credential-rotation/${rotation}.*`,
      "AWS-RunPowerShellScript": `Remove-Item -Force "$env:ProgramData\\credential-rotation\\${rotation}.*"`,
    };
    for (const [document, command] of Object.entries(commands)) {
      const parameters = JSON.stringify({ commands: [command] });
      // As targets, since an instance that is stopped or unmanaged would refuse the others' command by its id.
      const to = ["--targets", `Key=InstanceIds,Values=${ids.join(",")}`, "--document-name", document];
      this.change("ssm", "send-command", "--region", region, ...to, "--parameters", parameters);
    }
  }

  private removeFromSecret({ settings }: Rotation): void {
    const secret = this.ask("secretsmanager", "describe-secret", ...this.ofSecret(settings.secret.id));
    const tags = list(secret, "Tags").map((tag) => text(tag, "Key"));
    const ours = tags.filter((tag) => tag.startsWith(`${PREFIX}:`));
    if (ours.length > 0) {
      this.change("secretsmanager", "untag-resource", ...this.ofSecret(settings.secret.id), "--tag-keys", ...ours);
    }
  }

  private listWhatIsKept({ settings }: Rotation): void {
    const secret = this.ask("secretsmanager", "describe-secret", ...this.ofSecret(settings.secret.id));
    const versions = isObject(secret) && isObject(secret.VersionIdsToStages) ? secret.VersionIdsToStages : {};
    this.say(`kept: secret ${text(secret, "ARN")}`);
    for (const [version, labels] of Object.entries(versions)) this.say(`kept:   ${version} ${JSON.stringify(labels)}`);
    const keys = this.ask("iam", "list-access-keys", "--user-name", settings.user);
    for (const key of list(keys, "AccessKeyMetadata")) {
      this.say(`kept: key ${text(key, "AccessKeyId")} of ${settings.user}, ${text(key, "Status")}`);
    }
  }

  private ofSecret(id: string): string[] {
    return ["--region", this.home.region, "--secret-id", id];
  }
}

function text(value: Json | undefined, name: string): string {
  const member = isObject(value) ? value[name] : undefined;
  if (typeof member !== "string") throw new Error(`AWS's answer has no ${name}: ${JSON.stringify(value)}`);
  return member;
}

function list(value: Json | undefined, name: string): Json[] {
  const member = isObject(value) ? value[name] : undefined;
  return Array.isArray(member) ? member : [];
}
