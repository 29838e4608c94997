// The topic through which people are told of a rotation, and the queue for what could not be delivered.

import { Duration, Validations } from "aws-cdk-lib";
import { Effect, PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { type ITopic, Topic } from "aws-cdk-lib/aws-sns";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { rotationName } from "./names";
import type { Deployment, Rotation } from "./rotations";

export class Messages extends Construct {
  readonly topic: ITopic;
  /** Starts of the state machine that could not be delivered: schedules and instance starts. */
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, deployment: Deployment, { settings, makesTopic }: Rotation) {
    super(scope, id);
    this.topic = makesTopic
      ? this.makeTopic(deployment, rotationName(settings.rotation))
      : Topic.fromTopicArn(this, "topic", settings.topic);
    this.deadLetters = new Queue(this, "dead-letters", {
      queueName: rotationName(settings.rotation, "dead-letters"),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // As long as SQS keeps anything: a start that was lost over Christmas is still there.
      retentionPeriod: Duration.days(14),
    });
    Validations.of(this.deadLetters).acknowledge({
      id: "AwsSolutions::AwsSolutions-SQS3",
      reason: "It is the dead-letter queue itself, of the schedules and the instance starts",
    });
  }

  private makeTopic({ home }: Deployment, topicName: string): Topic {
    const topic = new Topic(this, "topic", {
      topicName,
      displayName: "Credential rotation",
      enforceSSL: true,
    });
    // Alarms and the rules on CloudTrail publish as services; the state machine publishes with its own role.
    topic.addToResourcePolicy(
      new PolicyStatement({
        sid: "Alarms",
        effect: Effect.ALLOW,
        principals: [new ServicePrincipal("cloudwatch.amazonaws.com")],
        actions: ["sns:Publish"],
        resources: [topic.topicArn],
        conditions: { StringEquals: { "aws:SourceAccount": home.account } },
      }),
    );
    // CDK admits EventBridge with each rule, and without a condition: EventBridge's guide, "Amazon SNS permissions",
    // says that a topic's policy can have none for it. With one the rules would match, and tell nobody.
    return topic;
  }
}
