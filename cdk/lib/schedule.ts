// When runs start by themselves: rotate every so many days, and converge daily.
//
// EventBridge Scheduler and not Secrets Manager's own schedule: RotateSecret would put an empty version under AWSPENDING
// and call a function with a contract of four steps that knows nothing of a fleet.

import { Effect, PolicyDocument, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { CfnSchedule } from "aws-cdk-lib/aws-scheduler";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { StateMachine } from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { rotationName } from "./names";
import type { Deployment, Rotation } from "./rotations";

const DAY_MILLISECONDS = 86_400_000;

/** How long Scheduler tries to start a run that it could not start; then the start is a dead letter. */
const RETRY = { maximumEventAgeInSeconds: 3_600, maximumRetryAttempts: 10 };

export class Schedule extends Construct {
  constructor(
    scope: Construct,
    id: string,
    deployment: Deployment,
    private readonly rotation: Rotation,
    private readonly machine: StateMachine,
    private readonly deadLetters: Queue,
    now: Date,
  ) {
    super(scope, id);
    const { settings, deploy } = rotation;
    const role = this.makeRole(deployment);
    const days = settings.schedule.rotateEveryDays;
    this.make("rotate", role, {
      description: `Rotates the ${settings.kind === "iamAccessKey" ? "key" : "password"} every ${days} days`,
      scheduleExpression: days === 1 ? "rate(1 day)" : `rate(${days} days)`,
      startDate: nextOfSeries(new Date(deploy.firstRotation), days, now).toISOString(),
    });
    const [hour, minute] = deploy.convergeAt.split(":").map(Number);
    const first = new Date(deploy.firstRotation);
    this.make("converge", role, {
      description: "Brings late hosts to the target, retires what may go, stages what is overdue",
      scheduleExpression: `cron(${minute} ${hour} * * ? *)`,
      scheduleExpressionTimezone: deploy.timeZone,
      // A key that is overdue, or not there yet, is staged by a converge: neither may come before its time.
      ...(first > now ? { startDate: first.toISOString() } : {}),
    });
  }

  private make(
    mode: "rotate" | "converge",
    role: Role,
    when: {
      description: string;
      scheduleExpression: string;
      scheduleExpressionTimezone?: string;
      startDate?: string;
    },
  ): void {
    const { settings, deploy } = this.rotation;
    new CfnSchedule(this, mode, {
      name: rotationName(settings.rotation, mode),
      ...when,
      state: settings.schedule.paused ? "DISABLED" : "ENABLED",
      flexibleTimeWindow: { mode: "FLEXIBLE", maximumWindowInMinutes: deploy.flexibleWindowMinutes },
      target: {
        arn: this.machine.stateMachineArn,
        roleArn: role.roleArn,
        input: JSON.stringify({ mode }),
        retryPolicy: RETRY,
        deadLetterConfig: { arn: this.deadLetters.queueArn },
      },
    });
  }

  private makeRole({ home }: Deployment): Role {
    const name = rotationName(this.rotation.settings.rotation);
    return new Role(this, "role", {
      roleName: `${name}-schedule`,
      description: `Starts ${name} on schedule`,
      assumedBy: new ServicePrincipal("scheduler.amazonaws.com", {
        conditions: { StringEquals: { "aws:SourceAccount": home.account } },
      }),
      inlinePolicies: {
        start: new PolicyDocument({
          statements: [
            allow("states:StartExecution", this.machine.stateMachineArn),
            allow("sqs:SendMessage", this.deadLetters.queueArn),
          ],
        }),
      },
    });
  }
}

/**
 * The next date of the series that begins at `first`, at least a day from now.
 *
 * Scheduler runs a rate at once when it has no start date, which would be a rotation on deploy, and refuses a start date
 * in the past; so each deployment names the next one, and the series stays what it is.
 */
export function nextOfSeries(first: Date, days: number, now: Date): Date {
  const earliest = now.getTime() + DAY_MILLISECONDS;
  const intervals = Math.max(0, Math.ceil((earliest - first.getTime()) / (days * DAY_MILLISECONDS)));
  return new Date(first.getTime() + intervals * days * DAY_MILLISECONDS);
}

function allow(action: string, resource: string): PolicyStatement {
  return new PolicyStatement({ effect: Effect.ALLOW, actions: [action], resources: [resource] });
}
