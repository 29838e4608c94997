// What every region with hosts needs: the documents, the log group of the commands' output, and, away from home, a rule
// that tells home of instances that start.

import { RemovalPolicy } from "aws-cdk-lib";
import { CfnRule } from "aws-cdk-lib/aws-events";
import { Effect, PolicyDocument, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { Documents } from "./documents";
import { INSTANCE_STARTS } from "./instance-starts";
import { defaultBusArn, type Place, PREFIX } from "./names";
import { rotationsIn } from "./places";
import type { Deployment } from "./rotations";

export class Region extends Construct {
  constructor(scope: Construct, id: string, deployment: Deployment, place: Place) {
    super(scope, id);
    const rotations = rotationsIn(deployment.rotations, place);
    new Documents(this, "documents", rotations);
    const groups = new Set(rotations.map(({ settings }) => settings.document.logGroup));
    for (const logGroupName of groups) {
      new LogGroup(this, `log ${logGroupName.replace(/\//g, " ").trim()}`, {
        logGroupName,
        // The hosts' own answers are the proofs that an auditor asks for.
        retention: deployment.evidenceRetentionDays,
        removalPolicy: deployment.keep.includes("evidence")
          ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
          : RemovalPolicy.DESTROY,
      });
    }
    const isHome = place.account === deployment.home.account && place.region === deployment.home.region;
    const areStartsAwaited = rotations.some(({ deploy }) => deploy.instanceStarts);
    if (!isHome && areStartsAwaited)
      forward(this, "starts", "instance-starts", place, deployment.home, INSTANCE_STARTS);
  }
}

/** Forwards events to the home's default bus, where the rules of the rotations are. */
export function forward(
  scope: Construct,
  id: string,
  what: string,
  from: Place,
  home: Place,
  pattern: { source: string[]; detailType: string[]; detail: object },
): void {
  const name = `${PREFIX}-forward-${what}`;
  const role = new Role(scope, `${id}-role`, {
    roleName: `${name}-${from.region}`,
    description: `Forwards ${what} of ${from.region} to ${home.region}`,
    assumedBy: new ServicePrincipal("events.amazonaws.com", {
      conditions: { StringEquals: { "aws:SourceAccount": from.account } },
    }),
    inlinePolicies: {
      forward: new PolicyDocument({
        statements: [
          new PolicyStatement({
            effect: Effect.ALLOW,
            actions: ["events:PutEvents"],
            resources: [defaultBusArn(home)],
          }),
        ],
      }),
    },
  });
  new CfnRule(scope, id, {
    name,
    description: `Forwards ${what} to ${home.region}`,
    eventPattern: { source: pattern.source, "detail-type": pattern.detailType, detail: pattern.detail },
    targets: [{ id: "home", arn: defaultBusArn(home), roleArn: role.roleArn }],
  });
}
