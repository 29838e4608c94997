// What others do to a rotation's secret and user: told at once, since each of it can stop backups or hide a key.
//
// The rules read CloudTrail, so that the account needs a trail of management events. IAM's events appear in us-east-1
// only (FACTS C) and are forwarded to the home region. A call that AWS refused has changed nothing and wakes nobody.

import { EventField } from "aws-cdk-lib/aws-events";
import { Construct } from "constructs";
import { arn, functionRoleArn } from "./names";
import { functionsOf, functionsWith } from "./permissions";
import type { Deployment, Rotation } from "./rotations";
import { type Telling, tell, type Watch } from "./telling-rule";

const API_CALL = ["AWS API Call via CloudTrail"];
const SERVICE_EVENT = ["AWS Service Event via CloudTrail"];
const SUCCEEDED = { errorCode: [{ exists: false }] };

/** Calls of IAM that concern access keys, and where they are told. */
export const ACCESS_KEY_CALLS = {
  source: ["aws.iam"],
  detailType: API_CALL,
  detail: {
    eventSource: ["iam.amazonaws.com"],
    eventName: ["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"],
    ...SUCCEEDED,
  },
};

const SECRET_CALLS = [
  "DeleteSecret",
  "PutSecretValue",
  "UpdateSecret",
  "UpdateSecretVersionStage",
  "RotateSecret",
  "DeleteResourcePolicy",
  "PutResourcePolicy",
];

export class TrailRules extends Construct {
  constructor(
    scope: Construct,
    id: string,
    private readonly deployment: Deployment,
    private readonly rotation: Rotation,
    telling: Telling,
    secretArn: string,
  ) {
    super(scope, id);
    const secretIds = this.secretIds(secretArn);
    const { settings } = rotation;
    const ofKeys = settings.kind === "iamAccessKey" ? [this.keysOfOthers(settings.user)] : [];
    for (const watch of [this.secretOfOthers(secretIds), this.ownRotation(secretIds), ...ofKeys]) {
      tell(this, telling, watch);
    }
  }

  private secretOfOthers(secretIds: (string | object)[]): Watch {
    return {
      name: "secret",
      description: "Others changed the secret",
      lines: [
        "its secret was changed by somebody else. README: The alarms, row secret. Next: a run with mode plan says what is so now.",
        facts("$.detail.userIdentity.arn"),
      ],
      pattern: {
        source: ["aws.secretsmanager"],
        detailType: API_CALL,
        detail: {
          eventSource: ["secretsmanager.amazonaws.com"],
          eventName: SECRET_CALLS,
          ...SUCCEEDED,
          requestParameters: { secretId: secretIds },
          $or: this.byOthers(SECRET_CALLS.map((call) => `secretsmanager:${call}`)),
        },
      },
    };
  }

  private ownRotation(secretIds: (string | object)[]): Watch {
    return {
      name: "rotator",
      description: "Secrets Manager's own rotation ran on the secret",
      lines: [
        "Secrets Manager's own rotation ran on its secret. README: Errors of a run, row SecretRotatesItself. Next: aws secretsmanager cancel-rotate-secret.",
        facts("$.detail.userIdentity.invokedBy"),
      ],
      pattern: {
        source: ["aws.secretsmanager"],
        detailType: SERVICE_EVENT,
        detail: {
          eventName: ["RotationSucceeded", "RotationFailed", "RotationAbandoned"],
          additionalEventData: { SecretId: secretIds },
        },
      },
    };
  }

  private keysOfOthers(user: string): Watch {
    return {
      name: "keys",
      description: "Others changed the user's access keys",
      lines: [
        `an access key of its user ${user} was made, changed or deleted by somebody else. README: Errors of a run, row UnknownAccessKey. Next: a run with mode plan says what is so now.`,
        facts("$.detail.userIdentity.arn"),
      ],
      pattern: {
        ...ACCESS_KEY_CALLS,
        detail: {
          ...ACCESS_KEY_CALLS.detail,
          $or: [
            ...this.byOthers(ACCESS_KEY_CALLS.detail.eventName.map((call) => `iam:${call}`)).map((who) => ({
              ...who,
              requestParameters: { userName: [user] },
            })),
            // A user that changes its own keys need not name itself.
            { userIdentity: { type: ["IAMUser"], userName: [user] } },
          ],
        },
      },
    };
  }

  /** Whoever acts is no function of ours that may: another role, or no role at all. */
  private byOthers(actions: readonly string[]): object[] {
    const its = functionsOf(this.rotation.settings.kind);
    const ours = its.filter((name) => actions.some((action) => functionsWith(action, [name]).length > 0));
    const roles = ours.map((name) => functionRoleArn(this.deployment.home, name));
    const issuer = (test: object) => ({ userIdentity: { sessionContext: { sessionIssuer: { arn: [test] } } } });
    return [issuer({ "anything-but": roles }), issuer({ exists: false })];
  }

  /**
   * CloudTrail tells the secret as the caller named it: by its name, its ARN, or its ARN without the six characters at
   * the end. A pattern's wildcard knows no `?`, so that an ARN of which only the name is known is a prefix.
   */
  private secretIds(secretArn: string): (string | object)[] {
    const { id } = this.rotation.settings.secret;
    const name = id.startsWith("arn:") ? (id.split(":secret:")[1] ?? id).replace(/-[A-Za-z0-9]{6}$/, "") : id;
    const unsuffixed = arn("secretsmanager", this.deployment.home, `secret:${name}`);
    return [name, unsuffixed, secretArn.endsWith("-??????") ? { prefix: `${unsuffixed}-` } : secretArn];
  }
}

/** The event's own facts. */
function facts(whoPath: string): string {
  const [what, who, when, event] = ["$.detail.eventName", whoPath, "$.detail.eventTime", "$.detail.eventID"].map((it) =>
    EventField.fromPath(it),
  );
  return `${what} by ${who} at ${when}, CloudTrail event ${event}.`;
}
