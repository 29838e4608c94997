// The secret of a rotation, its KMS key, and who may read it: our functions, the hosts' roles, the readers of the
// settings, and the people of the break-glass list. Nobody else, whatever other policies say.
//
// Roles are named in conditions and not as principals: a policy with a principal that does not exist yet is refused,
// and one whose role was deleted and made again would silently name the dead one.

import { type CfnResource, RemovalPolicy, Validations } from "aws-cdk-lib";
import { AnyPrincipal, ArnPrincipal, Effect, PolicyDocument, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Key } from "aws-cdk-lib/aws-kms";
import { CfnResourcePolicy, CfnSecret } from "aws-cdk-lib/aws-secretsmanager";
import { Construct } from "constructs";
import type { NamedSecret } from "./host-policy";
import { arn, functionRoleArn, iamArn, roleOfArn, rotationName } from "./names";
import { functionsOf, functionsWith } from "./permissions";
import type { Deployment, Rotation } from "./rotations";
import type { Settings } from "./settings";

/** What the owners of the account may do with the key by their own policies: all but use it. */
const KEY_ADMINISTRATION = [
  "kms:DescribeKey",
  "kms:GetKeyPolicy",
  "kms:PutKeyPolicy",
  "kms:ListKeyPolicies",
  "kms:EnableKey",
  "kms:DisableKey",
  "kms:GetKeyRotationStatus",
  "kms:EnableKeyRotation",
  "kms:DisableKeyRotation",
  "kms:ListResourceTags",
  "kms:TagResource",
  "kms:UntagResource",
  "kms:UpdateKeyDescription",
  "kms:CreateAlias",
  "kms:UpdateAlias",
  "kms:DeleteAlias",
  "kms:CreateGrant",
  "kms:ListGrants",
  "kms:RevokeGrant",
  "kms:ScheduleKeyDeletion",
  "kms:CancelKeyDeletion",
];

export class RotatedSecret extends Construct {
  readonly arn: string;
  /** The key, where it is not Secrets Manager's own. */
  readonly keyArn: string | undefined;

  constructor(
    scope: Construct,
    id: string,
    private readonly deployment: Deployment,
    private readonly rotation: Rotation,
  ) {
    super(scope, id);
    const { existingSecret, secretKey } = rotation.deploy;
    if (existingSecret) {
      this.arn = arnByName(deployment, rotation);
      this.keyArn = secretKey;
      return;
    }
    this.keyArn = secretKey ?? this.makeKey().keyArn;
    const { settings } = rotation;
    // Without a value: Secrets Manager's own generator would store something that no server takes, and the first
    // rotation makes one that it does. The key or password in use is stored by hand where there is one.
    const secret = new CfnSecret(this, "secret", {
      name: settings.secret.id,
      description: `${whatIn(settings)}; ${rotationName(settings.rotation)} rotates it`,
      kmsKeyId: this.keyArn,
    });
    this.stay(secret);
    Validations.of(secret).acknowledge({
      id: "AwsSolutions::AwsSolutions-SMG4",
      reason: "Our state machine rotates it; Secrets Manager's own rotation beside it would take its labels away",
    });
    this.arn = secret.ref;
    const policy = new CfnResourcePolicy(this, "policy", {
      secretId: secret.ref,
      blockPublicPolicy: true,
      resourcePolicy: this.readersOnly(),
    });
    // A secret that outlives the stack must not become readable by that.
    this.stay(policy);
  }

  /** Roles that read the value. */
  private get readers(): string[] {
    const { hostRoles, readers, breakGlass } = this.rotation.deploy;
    return [...this.functionsThat("secretsmanager:GetSecretValue"), ...hostRoles, ...readers, ...breakGlass];
  }

  /** Roles of those of its functions that may do an action. */
  private functionsThat(action: string): string[] {
    const its = functionsOf(this.rotation.settings.kind);
    return functionsWith(action, its).map((name) => functionRoleArn(this.deployment.home, name));
  }

  private readersOnly(): PolicyDocument {
    return new PolicyDocument({
      statements: [
        new PolicyStatement({
          sid: "ReadersOfOtherAccountsToo",
          effect: Effect.ALLOW,
          principals: accountsOf(this.readers),
          actions: ["secretsmanager:GetSecretValue"],
          resources: ["*"],
          conditions: { ArnEquals: { "aws:PrincipalArn": this.readers } },
        }),
        new PolicyStatement({
          sid: "NobodyElse",
          effect: Effect.DENY,
          principals: [new AnyPrincipal()],
          actions: ["secretsmanager:GetSecretValue"],
          resources: ["*"],
          conditions: { ArnNotEquals: { "aws:PrincipalArn": this.readers } },
        }),
      ],
    });
  }

  private makeKey(): Key {
    const { home } = this.deployment;
    const { settings, deploy } = this.rotation;
    const throughSecretsManager = { "kms:ViaService": `secretsmanager.${home.region}.amazonaws.com` };
    const writers = [...this.functionsThat("secretsmanager:PutSecretValue"), ...deploy.breakGlass];
    const use = (sid: string, action: string, roles: readonly string[]) =>
      new PolicyStatement({
        sid,
        effect: Effect.ALLOW,
        principals: accountsOf(roles),
        actions: [action],
        resources: ["*"],
        conditions: { ArnEquals: { "aws:PrincipalArn": roles }, StringEquals: throughSecretsManager },
      });
    return new Key(this, "key", {
      alias: rotationName(settings.rotation),
      description: `Encrypts the secret ${settings.secret.id}`,
      enableKeyRotation: true,
      removalPolicy: this.stays ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : RemovalPolicy.DESTROY,
      policy: new PolicyDocument({
        statements: [
          new PolicyStatement({
            sid: "AdministrationByTheAccountsPolicies",
            effect: Effect.ALLOW,
            principals: [new ArnPrincipal(iamArn(home, "root"))],
            actions: KEY_ADMINISTRATION,
            resources: ["*"],
          }),
          use("Readers", "kms:Decrypt", this.readers),
          use("Writers", "kms:GenerateDataKey", writers),
          // Secrets Manager asks in the name of whoever makes a secret with this key, or names another key for it, here
          // CloudFormation, whether he may use it, and says so in the encryption context. No value is read by that.
          new PolicyStatement({
            sid: "ProofOfAccessWhenTheSecretIsMade",
            effect: Effect.ALLOW,
            principals: [new ArnPrincipal(iamArn(home, "root"))],
            actions: ["kms:Decrypt", "kms:GenerateDataKey"],
            resources: ["*"],
            conditions: {
              StringEquals: {
                ...throughSecretsManager,
                "kms:EncryptionContext:SecretVersionId": "RequestToValidateKeyAccess",
              },
            },
          }),
        ],
      }),
    });
  }

  private get stays(): boolean {
    return this.deployment.keep.includes("secret");
  }

  private stay(resource: CfnResource): void {
    resource.applyRemovalPolicy(this.stays ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : RemovalPolicy.DESTROY);
  }
}

/** What the secret holds, for whoever finds it in the console. */
function whatIn(settings: Settings): string {
  if (settings.kind === "iamAccessKey") return `Access key of the user ${settings.user}`;
  // Secrets Manager takes 2,048 characters, and two names have 256 at most.
  return `Password of the login ${settings.login.names.join(" or ")}`;
}

/** The secret of a rotation as another account's policies name it, with nothing from a template. */
export function secretSeenFromAfar(deployment: Deployment, rotation: Rotation): NamedSecret {
  const { deploy } = rotation;
  const { secretKey } = deploy;
  const ofOurs = deploy.existingSecret ? undefined : "known at home";
  return { arn: arnByName(deployment, rotation), key: secretKey === undefined ? ofOurs : { arn: secretKey } };
}

/** A secret's ARN ends in six characters that Secrets Manager chooses; where only the name is known, any six. */
function arnByName({ home }: Deployment, { settings }: Rotation): string {
  const { id } = settings.secret;
  return id.startsWith("arn:") ? id : arn("secretsmanager", home, `secret:${id}-??????`);
}

/** The accounts of roles, as principals. */
function accountsOf(roles: readonly string[]): ArnPrincipal[] {
  const roots = roles.map((role) => `${role.split(":").slice(0, 4).join(":")}:${roleOfArn(role).account}:root`);
  return [...new Set(roots)].map((root) => new ArnPrincipal(root));
}
