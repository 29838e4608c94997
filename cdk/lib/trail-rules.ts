// What others do to a rotation's secret and user: told at once, since each of it can stop backups or hide a key.
//
// The rules read CloudTrail, so that the account needs a trail of management events. IAM's events appear in us-east-1
// only (FACTS C) and are forwarded to the home region.

import { CfnRule } from "aws-cdk-lib/aws-events";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import { FUNCTION_NAMES, functionRoleArn, rotationName } from "./names";
import type { Deployment, Rotation } from "./rotations";

const API_CALL = "AWS API Call via CloudTrail";
const SERVICE_EVENT = "AWS Service Event via CloudTrail";

/** Calls of IAM that concern access keys, and where they are told. */
export const ACCESS_KEY_CALLS = {
  source: ["aws.iam"],
  detailType: [API_CALL],
  detail: {
    eventSource: ["iam.amazonaws.com"],
    eventName: ["CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey"],
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
    private readonly topic: ITopic,
    secretArn: string,
  ) {
    super(scope, id);
    const { user } = rotation.settings;
    this.tell(
      "secret",
      "Others changed the secret",
      "its secret was changed by somebody else. README: The alarms, row secret. Next: a run with mode plan says what is so now",
      {
        source: ["aws.secretsmanager"],
        "detail-type": [API_CALL],
        detail: {
          eventSource: ["secretsmanager.amazonaws.com"],
          eventName: SECRET_CALLS,
          $or: this.byOthers.map((who) => ({ ...who, requestParameters: { secretId: this.secretIds(secretArn) } })),
        },
      },
    );
    this.tell(
      "rotator",
      "Secrets Manager's own rotation ran on the secret",
      "Secrets Manager's own rotation ran on its secret. README: Errors of a run, row SecretRotatesItself. Next: aws secretsmanager cancel-rotate-secret",
      {
        source: ["aws.secretsmanager"],
        "detail-type": [SERVICE_EVENT],
        detail: {
          eventName: ["RotationFailed", "RotationAbandoned"],
          additionalEventData: { SecretId: this.secretIds(secretArn) },
        },
      },
    );
    this.tell(
      "keys",
      "Others changed the user's access keys",
      `an access key of its user ${user} was made, changed or deleted by somebody else. README: Errors of a run, row UnknownAccessKey. Next: a run with mode plan says what is so now`,
      {
        source: ACCESS_KEY_CALLS.source,
        "detail-type": ACCESS_KEY_CALLS.detailType,
        detail: {
          ...ACCESS_KEY_CALLS.detail,
          $or: [
            ...this.byOthers.map((who) => ({ ...who, requestParameters: { userName: [user] } })),
            // A user that changes its own keys need not name itself.
            { userIdentity: { type: ["IAMUser"], userName: [user] } },
          ],
        },
      },
    );
  }

  /** Whoever acts is no role of our functions: another role, or no role at all. */
  private get byOthers(): object[] {
    const ours = FUNCTION_NAMES.map((name) => functionRoleArn(this.deployment.home, name));
    const issuer = (test: object) => ({ userIdentity: { sessionContext: { sessionIssuer: { arn: [test] } } } });
    return [issuer({ "anything-but": ours }), issuer({ exists: false })];
  }

  /** A caller may name the secret, or give its ARN. */
  private secretIds(secretArn: string): (string | object)[] {
    const { id } = this.rotation.settings.secret;
    return id.startsWith("arn:") ? [id, { prefix: id }] : [id, secretArn];
  }

  private tell(name: string, title: string, message: string, eventPattern: object): void {
    const { rotation } = this.rotation.settings;
    new CfnRule(this, name, {
      name: rotationName(rotation, name),
      description: `${title} of the rotation ${rotation}`,
      eventPattern,
      targets: [
        {
          id: "people",
          arn: this.topic.topicArn,
          inputTransformer: {
            inputPathsMap: {
              what: "$.detail.eventName",
              who: "$.detail.userIdentity.arn",
              when: "$.detail.eventTime",
              id: "$.detail.eventID",
            },
            inputTemplate: `"credential-rotation ${rotation}: ${message}."\n"<what> by <who> at <when>, CloudTrail event <id>."`,
          },
        },
      ],
    });
  }
}
