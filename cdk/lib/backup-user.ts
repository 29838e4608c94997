// The IAM user whose access key the hosts back up with: it may list the bucket, write backups and read them again, and
// nothing else (FACTS B).

import { CfnOutput, RemovalPolicy } from "aws-cdk-lib";
import { CfnUser, Effect, PolicyDocument, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";
import { iamArn, partitionOf } from "./names";
import type { Deploy, Deployment } from "./rotations";
import type { AccessKeySettings } from "./settings";
import { acknowledgeWildcards } from "./wildcards";

const ON_BUCKET = "s3:ListBucket";
const ON_OBJECTS = ["s3:PutObject", "s3:GetObject"];

export class BackupUser extends Construct {
  readonly arn: string;

  constructor(scope: Construct, id: string, deployment: Deployment, settings: AccessKeySettings, deploy: Deploy) {
    super(scope, id);
    this.arn = iamArn(deployment.home, `user${deploy.userPath}${settings.user}`);
    const places = settings.credentials.flatMap((url) => placeInS3(url, partitionOf(deployment.home.region)) ?? []);
    if (deploy.existingUser) {
      // AWS alone knows what the user may do, and says so when it is asked.
      new CfnOutput(this, "gaps", {
        key: `GapsOf${settings.rotation.replace(/-/g, "")}`,
        description: `Lists the rights that the user ${settings.user} lacks; nothing means none`,
        value: commandThatListsGaps(this.arn, places),
      });
      return;
    }
    const statements = [...rights(places), ...rightsToKeys(deploy.bucketKeys)];
    const user = new CfnUser(this, "user", {
      userName: settings.user,
      path: deploy.userPath,
      // In the user itself, so that a user that stays keeps its rights.
      policies: [{ policyName: "backup-and-restore", policyDocument: new PolicyDocument({ statements }) }],
    });
    acknowledgeWildcards(user, statements);
    const stays = deployment.keep.includes("secret");
    user.applyRemovalPolicy(stays ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : RemovalPolicy.DESTROY);
  }
}

/** A bucket, and the objects below a credential's folder. */
export interface PlaceInS3 {
  readonly bucket: string;
  readonly objects: string;
}

/**
 * What a credential's URL means in AWS: `s3://<bucket>.s3.<region>.amazonaws.com/<folder>`, or with the bucket in the
 * path. Nothing for an S3 of another maker, whose rights are not IAM's.
 */
export function placeInS3(url: string, partition: string): PlaceInS3 | undefined {
  const [, host = "", path = ""] = /^s3:\/\/([^/:]+)(?::\d+)?(?:\/(.*))?$/.exec(url) ?? [];
  const ofAws = /^(?:(.+)\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?$/i.exec(host);
  if (ofAws === null) return undefined;
  const folders = path.split("/").filter((folder) => folder !== "");
  const bucket = ofAws[1] ?? folders.shift();
  if (bucket === undefined) return undefined;
  const arn = `arn:${partition}:s3:::${bucket}`;
  return { bucket: arn, objects: [arn, ...folders, "*"].join("/") };
}

function rights(places: readonly PlaceInS3[]): PolicyStatement[] {
  const unique = (arns: string[]) => [...new Set(arns)];
  return [
    new PolicyStatement({
      effect: Effect.ALLOW,
      actions: [ON_BUCKET],
      resources: unique(places.map(({ bucket }) => bucket)),
    }),
    new PolicyStatement({
      effect: Effect.ALLOW,
      actions: ON_OBJECTS,
      // Backups are named by whoever makes them.
      resources: unique(places.map(({ objects }) => objects)),
    }),
  ];
}

/** A bucket that encrypts with a key of its owner asks for it in the writer's and the reader's name. */
function rightsToKeys(keys: readonly string[]): PolicyStatement[] {
  return keys.map(
    (key) =>
      new PolicyStatement({
        effect: Effect.ALLOW,
        actions: ["kms:GenerateDataKey", "kms:Decrypt"],
        resources: [key],
        conditions: { StringEquals: { "kms:ViaService": `s3.${key.split(":")[3]}.amazonaws.com` } },
      }),
  );
}

function commandThatListsGaps(user: string, places: readonly PlaceInS3[]): string {
  const ask = (actions: readonly string[], resources: readonly string[]) =>
    `aws iam simulate-principal-policy --policy-source-arn ${user} --action-names ${actions.join(" ")} ` +
    `--resource-arns ${resources.map((it) => `'${it}'`).join(" ")} --output text --query ` +
    `"EvaluationResults[?EvalDecision!='allowed'].[EvalActionName,EvalResourceName,EvalDecision]"`;
  const buckets = ask(
    [ON_BUCKET],
    places.map(({ bucket }) => bucket),
  );
  const objects = ask(
    ON_OBJECTS,
    places.map((place) => place.objects),
  );
  return `${buckets}; ${objects}`;
}
