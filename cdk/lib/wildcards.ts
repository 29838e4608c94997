// Every `*` that stands in a policy's resource, with AWS's reason. No action ever holds one.
//
// cdk-nag asks for a reason for each, and the tests refuse any that is not listed here.

import { Validations } from "aws-cdk-lib";
import type { PolicyStatement } from "aws-cdk-lib/aws-iam";
import type { IConstruct } from "constructs";

const NO_TYPE = "AWS defines no resource type for it";
const DELIVERY = "Step Functions' log delivery is no resource, and AWS's guide to its logging asks for *";

/** Actions for which AWS lets a policy name no resource. */
export const WITHOUT_RESOURCE: Readonly<Record<string, string>> = {
  "ec2:DescribeInstances": "EC2's Describe actions have no resource-level permissions",
  "ssm:DescribeInstanceInformation": `it lists a region's managed nodes; ${NO_TYPE}`,
  "secretsmanager:GetRandomPassword": `it makes a password and touches no secret; ${NO_TYPE}`,
  "ssm:ListCommands": `it lists a region's commands; ${NO_TYPE}`,
  "ssm:ListCommandInvocations": `SSM makes a command's id; ${NO_TYPE}`,
  "ssm:CancelCommand": `SSM makes a command's id; ${NO_TYPE}`,
  "xray:PutTraceSegments": `traces are the account's; ${NO_TYPE}`,
  "xray:PutTelemetryRecords": `traces are the account's; ${NO_TYPE}`,
  "xray:GetSamplingRules": `sampling is the account's; ${NO_TYPE}`,
  "xray:GetSamplingTargets": `sampling is the account's; ${NO_TYPE}`,
  "logs:CreateLogDelivery": DELIVERY,
  "logs:GetLogDelivery": DELIVERY,
  "logs:UpdateLogDelivery": DELIVERY,
  "logs:DeleteLogDelivery": DELIVERY,
  "logs:ListLogDeliveries": DELIVERY,
  "logs:PutResourcePolicy": DELIVERY,
  "logs:DescribeResourcePolicies": DELIVERY,
  "logs:DescribeLogGroups": DELIVERY,
};

/** Resources whose last part AWS or somebody else chooses. */
const OPEN_ENDED: readonly (readonly [RegExp, string])[] = [
  [/:instance\/\*$/, "instances have no names of their own; the statement's condition says which, or which tag"],
  [/:execution:[a-z0-9-]+:\*$/, "an execution's name is chosen when it is started"],
  [/:log-group:[^*]+:\*$/, "CloudWatch Logs writes a group's ARN so: whoever logs names the streams"],
  [
    /:log-group:\*$/,
    "the SSM agent lists the region's groups, which AWS judges on the resource log-group::log-stream:",
  ],
  [/:s3:::[^*]+\/\*$/, "backups are named by whoever makes them"],
  [
    /:kms:[^*]+:key\/\*$/,
    "KMS chooses a key's id; the statement's condition on the encryption context says of which secret",
  ],
  [/:secret:[^*]+-\?{6}$/, "Secrets Manager chooses the last six characters of a secret's ARN"],
];

/** AWS's reason for a wildcard in a resource; nothing where there is none. */
export function reasonOf(resource: string, actions: readonly string[]): string | undefined {
  if (resource !== "*") return OPEN_ENDED.find(([pattern]) => pattern.test(resource))?.[1];
  const reasons = actions.map((action) => WITHOUT_RESOURCE[action]);
  if (reasons.some((reason) => reason === undefined)) return undefined;
  return actions.map((action, index) => `${action}: ${reasons[index]}`).join("; ");
}

/** Gives cdk-nag the reason for every wildcard of a policy that belongs to a construct. */
export function acknowledgeWildcards(construct: IConstruct, statements: readonly PolicyStatement[]): void {
  for (const { actions, resources } of statements) {
    for (const resource of resources.filter((it) => /[*?]/.test(it))) {
      const reason = reasonOf(resource, actions);
      if (reason !== undefined) acknowledgeWildcard(construct, resource, reason);
    }
  }
}

/** The same for one wildcard. */
export function acknowledgeWildcard(construct: IConstruct, resource: string, reason: string): void {
  Validations.of(construct).acknowledge({ id: `AwsSolutions::AwsSolutions-IAM5[Resource::${resource}]`, reason });
}
