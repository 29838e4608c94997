// What a rotation leaves that CloudFormation knows nothing of: the ledger's tags on the instances, our tags on the
// secret, and the files on the hosts. And what stays on purpose: the secret's versions, the user's keys, the proofs.
//
// It acts in the account whose credentials the caller has, and only on what bears the rotation's name. Done twice it
// finds nothing the second time.

import { type Aws, AwsRefusal } from "./aws-command-line";
import { ledgerTag, type Place, PREFIX } from "./names";
import { placesOf } from "./places";
import type { Rotation } from "./rotations";
import { isObject, type Json } from "./settings";

/** How many instances a command names at once: SSM's limit for the values of a target. */
const NAMED_INSTANCES = 50;
/** What AWS says of a secret or a user that is gone. */
const GONE = ["ResourceNotFoundException", "NoSuchEntity"];

export class Traces {
  private readonly account: string;

  /** `change` carries out a command that changes something, or only shows it and answers nothing. */
  constructor(
    private readonly home: Place,
    private readonly ask: Aws,
    private readonly change: Aws,
    private readonly say: (line: string) => void,
  ) {
    this.account = text(ask("sts", "get-caller-identity"), "Account");
  }

  /** Removes what is left of a rotation in this account, and lists what is kept. */
  removeOf(rotation: Rotation): void {
    const here = placesOf(rotation).filter(({ account }) => account === this.account);
    for (const { region } of here) this.removeFromHosts(rotation, region);
    if (this.account !== this.home.account) return;
    const secret = this.ifThere("secretsmanager", "describe-secret", ...this.ofSecret(rotation));
    if (secret !== undefined) this.removeFromSecret(rotation, secret);
    this.listWhatIsKept(rotation, secret);
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
    this.say(`${settings.rotation}, ${region}: ${ids.length} instances bear the ledger's tag`);
    for (let first = 0; first < ids.length; first += NAMED_INSTANCES) {
      const some = ids.slice(first, first + NAMED_INSTANCES);
      this.removeFiles(settings.rotation, region, some);
      this.change("ec2", "delete-tags", "--region", region, "--resources", ...some, "--tags", `Key=${tag}`);
    }
    const off = instances.filter((it) => isObject(it) && text(it.State, "Name") !== "running");
    if (off.length > 0) {
      const named = off.map((instance) => text(instance, "InstanceId")).join(", ");
      this.say(`kept: files on hosts that do not run: ${named}`);
    }
  }

  /** Each platform passes over the document of the other one. */
  private removeFiles(rotation: string, region: string, ids: string[]): void {
    for (const [document, commands] of Object.entries(filesAway(rotation))) {
      // As targets, since an instance that is stopped or unmanaged would refuse the others' command by its id; and
      // whatever the errors, since SSM would stop at the first.
      const to = ["--targets", `Key=InstanceIds,Values=${ids.join(",")}`, "--max-errors", "100%"];
      const what = ["--document-name", document, "--parameters", JSON.stringify({ commands })];
      const sent = this.change("ssm", "send-command", "--region", region, ...to, ...what);
      if (!isObject(sent)) continue;
      const id = text(sent.Command, "CommandId");
      this.say(`  who did it: aws ssm list-command-invocations --region ${region} --command-id ${id}`);
    }
  }

  private removeFromSecret(rotation: Rotation, secret: Json): void {
    const tags = list(secret, "Tags").map((tag) => text(tag, "Key"));
    const ours = tags.filter((tag) => tag.startsWith(`${PREFIX}:`));
    if (ours.length > 0) {
      this.change("secretsmanager", "untag-resource", ...this.ofSecret(rotation), "--tag-keys", ...ours);
    }
  }

  private listWhatIsKept({ settings }: Rotation, secret: Json | undefined): void {
    if (secret !== undefined) {
      const key = isObject(secret) && typeof secret.KmsKeyId === "string" ? `, KMS key ${secret.KmsKeyId}` : "";
      this.say(`kept: secret ${text(secret, "ARN")}${key}`);
      const versions = isObject(secret) && isObject(secret.VersionIdsToStages) ? secret.VersionIdsToStages : {};
      for (const [version, labels] of Object.entries(versions)) {
        this.say(`kept:   ${version} ${JSON.stringify(labels)}`);
      }
    }
    if (settings.kind !== "iamAccessKey") return;
    const keys = this.ifThere("iam", "list-access-keys", "--user-name", settings.user);
    for (const key of list(keys, "AccessKeyMetadata")) {
      this.say(`kept: key ${text(key, "AccessKeyId")} of ${settings.user}, ${text(key, "Status")}`);
    }
    for (const url of settings.credentials) this.say(`kept: proofs of the hosts, ${url}/${settings.proof.prefix}/`);
  }

  /** What AWS answers about something that may be gone. */
  private ifThere(...words: string[]): Json | undefined {
    try {
      return this.ask(...words);
    } catch (error) {
      if (error instanceof AwsRefusal && GONE.includes(error.code)) return undefined;
      throw error;
    }
  }

  private ofSecret({ settings }: Rotation): string[] {
    return ["--region", this.home.region, "--secret-id", settings.secret.id];
  }
}

/** What removes a rotation's files from a host, by the document that runs it; the folder goes with the last of them. */
function filesAway(rotation: string): { readonly [document: string]: readonly string[] } {
  return {
    "AWS-RunShellScript": [
      'folder="${CREDENTIAL_ROTATION_STATE_DIRECTORY:-/var/lib/credential-rotation}"',
      `rm -f "$folder/${rotation}".*`,
      'rmdir "$folder" 2>/dev/null || true',
    ],
    "AWS-RunPowerShellScript": [
      '$folder = Join-Path $env:ProgramData "credential-rotation"',
      `Remove-Item -Force -ErrorAction SilentlyContinue (Join-Path $folder "${rotation}.*")`,
      "if ((Test-Path $folder) -and -not (Get-ChildItem -Force $folder)) {",
      "  Remove-Item -Force $folder",
      "  if ([Diagnostics.EventLog]::SourceExists('credential-rotation')) { [Diagnostics.EventLog]::DeleteEventSource('credential-rotation') }",
      "}",
    ],
  };
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
