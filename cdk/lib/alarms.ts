// What wakes people: one alarm a question, each text with where to look, which row of the README explains it, and what
// to start next.
//
// Success that does not come is a failure too: the age of the credential is written daily, and a day without it alarms,
// so that a rotation that is paused, broken or was never started is as loud as one that failed.

import { Duration } from "aws-cdk-lib";
import { Alarm, ComparisonOperator, type IMetric, Metric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { StateMachine } from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { METRICS_NAMESPACE, type Place, rotationName, stateMachineArn } from "./names";
import type { Deployment, Rotation } from "./rotations";
import type { Settings } from "./settings";

const DAY = Duration.days(1);
/** CloudWatch looks back seven days at most. */
const LONGEST_DAYS = 7;
/** A host that two daily runs could not bring to a password needs somebody: its applications are given another one. */
const DAYS_WITHOUT_A_PASSWORD = 2;
/** A credential that is overdue is staged by the daily converge a day later; two days more than that, and something is wrong. */
const GRACE_DAYS = 1;

/** A metric that the functions write for a rotation. */
export function rotationMetric(rotation: string, metricName: RotationMetric, statistic: string): Metric {
  return new Metric({
    namespace: METRICS_NAMESPACE,
    metricName,
    dimensionsMap: { Rotation: rotation },
    statistic,
    period: DAY,
  });
}

/** The names of the metrics. */
export type RotationMetric =
  | "CredentialAgeDays"
  | "HostsWithoutProof"
  | "HostFailures"
  | "DurationSeconds"
  | "OldKeyUsed";

interface Question {
  readonly name: string;
  readonly metric: IMetric;
  readonly threshold: number;
  readonly days: number;
  readonly missing: TreatMissingData;
  /** What is so, where the README explains it, and what to do next. */
  readonly text: readonly string[];
}

export class Alarms extends Construct {
  readonly all: Alarm[];

  constructor(
    scope: Construct,
    id: string,
    deployment: Deployment,
    rotation: Rotation,
    machine: StateMachine,
    topic: ITopic,
    deadLetters: Queue,
  ) {
    super(scope, id);
    const executions = `Executions: ${executionsLink(deployment.home, rotation.settings.rotation)}`;
    const questions = [...aboutRuns(rotation, machine, deadLetters), ...aboutTheCredential(rotation)];
    this.all = questions.map((question) => {
      const alarm = new Alarm(this, question.name, {
        alarmName: rotationName(rotation.settings.rotation, question.name),
        alarmDescription: [...question.text, executions].join("\n"),
        metric: question.metric,
        comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
        threshold: question.threshold,
        evaluationPeriods: question.days,
        treatMissingData: question.missing,
      });
      alarm.addAlarmAction(new SnsAction(topic));
      return alarm;
    });
  }
}

/** Whether runs start, and end well. */
function aboutRuns({ settings }: Rotation, machine: StateMachine, deadLetters: Queue): Question[] {
  const name = settings.rotation;
  const over = { period: Duration.minutes(5), statistic: "Sum" };
  const atOnce = { threshold: 0, days: 1, missing: TreatMissingData.NOT_BREACHING };
  // One alarm an ending, and no sum of the three: a sum has no value where one of its metrics has none.
  return [
    {
      ...atOnce,
      name: "failed",
      metric: machine.metricFailed(over),
      text: [
        `A run of the rotation ${name} failed; the next run goes on from there. Its own message names the execution, the error and the remedy.`,
        'README: "Errors of a run"; the execution\'s error is the name of the row.',
        'Next: what that row says, then {"mode": "converge"}.',
      ],
    },
    {
      ...atOnce,
      name: "timed-out",
      metric: machine.metricTimedOut(over),
      text: [
        `A run of the rotation ${name} did not end within the state machine's time limit; a message with its link comes by the rule ended.`,
        'README: "The alarms", row timed-out.',
        'Next: {"mode": "converge"} goes on from there.',
      ],
    },
    {
      ...atOnce,
      name: "aborted",
      metric: machine.metricAborted(over),
      text: [
        `Somebody stopped a run of the rotation ${name}; a message with its link comes by the rule ended, and CloudTrail's StopExecution says who.`,
        'README: "The alarms", row aborted.',
        'Next: {"mode": "converge"} goes on from there; {"mode": "abandon"} goes back.',
      ],
    },
    {
      ...atOnce,
      name: "dead-letters",
      metric: deadLetters.metricApproximateNumberOfMessagesVisible({ period: over.period, statistic: "Maximum" }),
      text: [
        `A start of the rotation ${name}, or a message of one of its rules, could not be delivered; it lies in ${rotationName(name, "dead-letters")}.`,
        'README: "The alarms", row dead-letters.',
        'Next: read it. A start: {"mode": "converge"} by hand. A message: let the topic\'s policy admit events.amazonaws.com. Then delete it.',
      ],
    },
  ];
}

/** Whether the credential is as it should be. */
function aboutTheCredential({ settings }: Rotation): Question[] {
  const { rotation } = settings;
  if (settings.kind === "iamAccessKey") {
    const patience = Math.min(settings.schedule.overlapDays, LONGEST_DAYS);
    return [
      whetherOverdue("key", settings),
      whetherAnOldKeyIsUsed(rotation),
      whetherHostsLackAProof(rotation, patience, "the old key stays Active for them."),
    ];
  }
  // SQL Server itself refuses a password that was replaced, so that no use of an old one is asked about.
  const consequence =
    "a new password is promoted only when they have it, and one that started late may refuse its own.";
  return [whetherOverdue("password", settings), whetherHostsLackAProof(rotation, DAYS_WITHOUT_A_PASSWORD, consequence)];
}

function whetherOverdue(what: string, { rotation, schedule }: Settings): Question {
  const due = Math.min(schedule.rotateEveryDays + GRACE_DAYS, schedule.maximumAgeDays);
  return {
    name: "overdue",
    metric: rotationMetric(rotation, "CredentialAgeDays", "Maximum"),
    threshold: due,
    // A run may slip past midnight within its window, so that one day without an age is none to wake anybody for.
    // CloudWatch looks back further than the two days where ages are missing, and alarms when it finds none at all.
    days: 2,
    missing: TreatMissingData.BREACHING,
    text: [
      `The ${what} of the rotation ${rotation} is older than ${due} days, or nothing has told its age for two days and more: no run succeeds, or the schedule is paused.`,
      'README: "The alarms", row overdue.',
      'Next: {"mode": "plan"} says what is in the way, then {"mode": "rotate"}.',
    ],
  };
}

function whetherAnOldKeyIsUsed(rotation: string): Question {
  return {
    name: "old-key-used",
    metric: rotationMetric(rotation, "OldKeyUsed", "Maximum"),
    threshold: 0,
    days: 1,
    missing: TreatMissingData.NOT_BREACHING,
    text: [
      `A key of the rotation ${rotation} was used after another one was promoted and proved: something that is no host of the fleet holds it. It stays Active meanwhile.`,
      'README: "The alarms", row old-key-used.',
      "Next: find who uses it (CloudTrail, aws iam get-access-key-last-used), and give that use a user of its own.",
    ],
  };
}

function whetherHostsLackAProof(rotation: string, patience: number, consequence: string): Question {
  return {
    name: "hosts-without-proof",
    metric: rotationMetric(rotation, "HostsWithoutProof", "Minimum"),
    threshold: 0,
    days: patience,
    missing: TreatMissingData.IGNORE,
    text: [
      `Hosts of the rotation ${rotation} have lacked a proof for ${patience} days; ${consequence}`,
      'README: "Errors of a host"; the last report names the hosts and their errors.',
      'Next: repair them, then {"mode": "converge"}; or go on {"mode": "converge", "without": ["i-…"]}.',
    ],
  };
}

/** Where the console shows the executions of a rotation. */
export function executionsLink(home: Place, rotation: string): string {
  const { region } = home;
  return `https://${region}.console.aws.amazon.com/states/home?region=${region}#/statemachines/view/${stateMachineArn(home, rotation)}`;
}
