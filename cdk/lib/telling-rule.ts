// A rule whose events people read on the rotation's topic, as sentences and not as JSON.

import { type EventPattern, Rule, RuleTargetInput } from "aws-cdk-lib/aws-events";
import { SnsTopic } from "aws-cdk-lib/aws-events-targets";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { rotationName } from "./names";

/** Where a rotation's people are told, and where what could not be told is kept. */
export interface Telling {
  readonly rotation: string;
  readonly topic: ITopic;
  readonly deadLetters: Queue;
}

/** What a rule listens to, and what people read of it. */
export interface Watch {
  readonly name: string;
  readonly description: string;
  readonly pattern: EventPattern;
  /** What is so, where the README explains it, and what to do next; then the event's own facts. */
  readonly lines: readonly string[];
}

/** Makes the rule. */
export function tell(scope: Construct, { rotation, topic, deadLetters }: Telling, watch: Watch): void {
  const message = RuleTargetInput.fromMultilineText(`credential-rotation ${rotation}: ${watch.lines.join("\n")}`);
  new Rule(scope, watch.name, {
    ruleName: rotationName(rotation, watch.name),
    description: `${watch.description} of the rotation ${rotation}`,
    eventPattern: watch.pattern,
    // What cannot be published is a dead letter, which has an alarm: a rule that tells nobody is worse than none.
    targets: [new SnsTopic(topic, { message, deadLetterQueue: deadLetters })],
  });
}
