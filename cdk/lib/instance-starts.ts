// An instance that starts is brought to the target at once: rule, queue, pipe, execution.
//
// EC2's event has no tags (FACTS C), so that every start of the places is told and the run says whether it is a host of
// the fleet. Starts of the same minute are one execution: the pipe hands them over as a list, one input a host
// (functions/rotation/src/request.rs).

import { Duration } from "aws-cdk-lib";
import { Rule } from "aws-cdk-lib/aws-events";
import { SqsQueue } from "aws-cdk-lib/aws-events-targets";
import { Effect, PolicyDocument, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { CfnPipe } from "aws-cdk-lib/aws-pipes";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import type { StateMachine } from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { rotationName } from "./names";
import { placesOf } from "./places";
import type { Deployment, Rotation } from "./rotations";

/** Seconds in which starts are gathered; a host needs a minute or two before its agent answers anyway. */
const WINDOW_SECONDS = 60;
/** More hosts than that at once are a fleet that starts, and the run commands whoever lacks a proof. */
const BATCH = 100;
/** Deliveries before a start becomes a dead letter. */
const DELIVERIES = 5;

/** The input that a start becomes; a message's body is EC2's event, which a pipe reads as JSON. */
const INPUT_OF_A_START = '{"mode":"converge","instanceIds":["<$.body.detail.instance-id>"]}';

/** The event's pattern for the places of a rotation; forwarded events keep their account and region. */
export const INSTANCE_STARTS = {
  source: ["aws.ec2"],
  detailType: ["EC2 Instance State-change Notification"],
  detail: { state: ["running"] },
};

export class InstanceStarts extends Construct {
  constructor(
    scope: Construct,
    id: string,
    deployment: Deployment,
    rotation: Rotation,
    machine: StateMachine,
    deadLetters: Queue,
  ) {
    super(scope, id);
    const { settings } = rotation;
    const name = rotationName(settings.rotation, "starts");
    const isOn = !settings.schedule.paused;
    const queue = new Queue(this, "queue", {
      queueName: name,
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // A day: an older start was converged by the daily run.
      retentionPeriod: Duration.days(1),
      visibilityTimeout: Duration.seconds(2 * WINDOW_SECONDS),
      deadLetterQueue: { queue: deadLetters, maxReceiveCount: DELIVERIES },
    });
    const places = placesOf(rotation);
    new Rule(this, "rule", {
      ruleName: name,
      description: `Tells of instances that start, for ${rotationName(settings.rotation)}`,
      enabled: isOn,
      eventPattern: {
        ...INSTANCE_STARTS,
        account: [...new Set(places.map(({ account }) => account))],
        region: [...new Set(places.map(({ region }) => region))],
      },
      targets: [new SqsQueue(queue, { deadLetterQueue: deadLetters })],
    });
    this.makePipe(deployment, name, queue, machine, isOn);
  }

  private makePipe({ home }: Deployment, name: string, queue: Queue, machine: StateMachine, isOn: boolean): void {
    const role = new Role(this, "role", {
      roleName: name,
      description: "Starts executions for instances that start",
      assumedBy: new ServicePrincipal("pipes.amazonaws.com", {
        conditions: { StringEquals: { "aws:SourceAccount": home.account } },
      }),
      inlinePolicies: {
        pipe: new PolicyDocument({
          statements: [
            allow(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], queue.queueArn),
            allow(["states:StartExecution"], machine.stateMachineArn),
          ],
        }),
      },
    });
    new CfnPipe(this, "pipe", {
      name,
      description: "Starts one execution for the instances that started in the same minute",
      desiredState: isOn ? "RUNNING" : "STOPPED",
      roleArn: role.roleArn,
      source: queue.queueArn,
      sourceParameters: {
        sqsQueueParameters: { batchSize: BATCH, maximumBatchingWindowInSeconds: WINDOW_SECONDS },
      },
      target: machine.stateMachineArn,
      targetParameters: {
        inputTemplate: INPUT_OF_A_START,
        stepFunctionStateMachineParameters: { invocationType: "FIRE_AND_FORGET" },
      },
    });
  }
}

function allow(actions: string[], resource: string): PolicyStatement {
  return new PolicyStatement({ effect: Effect.ALLOW, actions, resources: [resource] });
}
