// Executions that could not speak for themselves: one that ran out of time or was stopped sends no message of its own.
// One that fails does, with its error and the remedy (NotifyOperator and NotifyFailure of the definition).

import { EventField } from "aws-cdk-lib/aws-events";
import { Construct } from "constructs";
import { type Place, stateMachineArn } from "./names";
import { type Telling, tell } from "./telling-rule";

export class Endings extends Construct {
  constructor(scope: Construct, id: string, home: Place, telling: Telling) {
    super(scope, id);
    const execution = EventField.fromPath("$.detail.executionArn");
    tell(this, telling, {
      name: "ended",
      description: "Executions that ran out of time or were stopped",
      pattern: {
        source: ["aws.states"],
        detailType: ["Step Functions Execution Status Change"],
        detail: { status: ["TIMED_OUT", "ABORTED"], stateMachineArn: [stateMachineArn(home, telling.rotation)] },
      },
      lines: [
        `a run ended as ${EventField.fromPath("$.detail.status")}, in the middle of what it did. README: The alarms, row ended. Next: a run with mode converge goes on from there.`,
        `https://${home.region}.console.aws.amazon.com/states/home?region=${home.region}#/v2/executions/details/${execution}`,
      ],
    });
  }
}
