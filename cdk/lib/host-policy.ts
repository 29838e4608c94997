// The managed policy for the hosts' instance role: this rotation's secret and its key, the administrator's secret, and
// the log group of the commands. What the SSM agent itself needs is in AWS's own AmazonSSMManagedInstanceCore.

import { CfnOutput } from "aws-cdk-lib";
import { Effect, ManagedPolicy, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";
import { arn, type Place, rotationName } from "./names";
import { placesOf } from "./places";
import type { Rotation } from "./rotations";
import { acknowledgeWildcards } from "./wildcards";

/** The secret as a policy names it. */
export interface NamedSecret {
  readonly arn: string;
  /** Its key: by its ARN, or the one of ours that only home knows, or Secrets Manager's own, which asks for no right. */
  readonly key: { readonly arn: string } | "known at home" | undefined;
}

export class HostPolicy extends Construct {
  /** `account` is the one whose hosts bear the policy; `home` is where the secret is. */
  constructor(scope: Construct, id: string, account: string, home: Place, rotation: Rotation, secret: NamedSecret) {
    super(scope, id);
    const { settings } = rotation;
    const secrets = [secret.arn, settings.sqlServer.administratorSecret].filter((it) => it !== undefined);
    const places = placesOf(rotation).filter((place) => place.account === account);
    const statements = [
      allow(["secretsmanager:GetSecretValue"], secrets),
      ...decrypt(secret, home),
      ...decryptOfAdministrator(rotation),
      allow(
        ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
        // SSM names the streams: command, instance, step.
        places.map((place) => arn("logs", place, `log-group:${settings.document.logGroup}:*`)),
      ),
      allow(
        // The SSM agent looks whether the group is there before it writes.
        ["logs:DescribeLogGroups"],
        places.map((place) => arn("logs", place, "log-group:*")),
      ),
    ];
    const policy = new ManagedPolicy(this, "policy", {
      managedPolicyName: rotationName(settings.rotation, "host"),
      description: `For the instance role of the hosts of ${rotationName(settings.rotation)}`,
      statements,
    });
    acknowledgeWildcards(policy, statements);
    new CfnOutput(this, "arn", {
      key: `HostPolicyOf${settings.rotation.replace(/-/g, "")}`,
      description: `Attach it to the instance role of the hosts of ${settings.rotation}`,
      value: policy.managedPolicyArn,
    });
  }
}

function decryptOfAdministrator({ deploy, settings }: Rotation): PolicyStatement[] {
  const region = settings.sqlServer.administratorSecret?.split(":")[3];
  if (deploy.administratorSecretKey === undefined || region === undefined) return [];
  return [allow(["kms:Decrypt"], [deploy.administratorSecretKey], throughSecretsManager(region))];
}

function throughSecretsManager(region: string) {
  return { StringEquals: { "kms:ViaService": `secretsmanager.${region}.amazonaws.com` } };
}

function decrypt({ arn: secret, key }: NamedSecret, home: Place): PolicyStatement[] {
  if (key === undefined) return [];
  const through = throughSecretsManager(home.region);
  if (key !== "known at home") return [allow(["kms:Decrypt"], [key.arn], through)];
  // Whatever its id: Secrets Manager names the secret in the encryption context of each call (its guide, "Secret
  // encryption and decryption").
  const ofThisSecret = { StringLike: { "kms:EncryptionContext:SecretARN": secret } };
  return [allow(["kms:Decrypt"], [arn("kms", home, "key/*")], { ...through, ...ofThisSecret })];
}

function allow(actions: string[], resources: string[], conditions: Record<string, unknown> = {}): PolicyStatement {
  return new PolicyStatement({ effect: Effect.ALLOW, actions, resources, conditions });
}
