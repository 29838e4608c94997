// One page for all rotations: how old the credentials are, which hosts lack a proof, what failed, and the alarms.

import type { Alarm } from "aws-cdk-lib/aws-cloudwatch";
import { AlarmStatusWidget, Dashboard, GraphWidget, type IWidget, TextWidget } from "aws-cdk-lib/aws-cloudwatch";
import type { StateMachine } from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { executionsLink, type RotationMetric, rotationMetric } from "./alarms";
import { PREFIX } from "./names";
import type { Deployment, Rotation } from "./rotations";
import type { Settings } from "./settings";

/** What the page shows of one rotation. */
export interface Shown {
  readonly rotation: Rotation;
  readonly machine: StateMachine;
  readonly alarms: readonly Alarm[];
}

export class RotationsDashboard extends Construct {
  constructor(scope: Construct, id: string, deployment: Deployment, shown: readonly Shown[]) {
    super(scope, id);
    new Dashboard(this, "dashboard", {
      dashboardName: PREFIX,
      widgets: shown.flatMap((one) => rowsOf(deployment, one)),
    });
  }
}

function rowsOf({ home }: Deployment, { rotation, machine, alarms }: Shown): IWidget[][] {
  const { settings } = rotation;
  const { schedule } = settings;
  const isKey = settings.kind === "iamAccessKey";
  const metric = (name: RotationMetric, statistic: string) => rotationMetric(settings.rotation, name, statistic);
  const graph = (title: string, ...left: ReturnType<typeof metric>[]) => new GraphWidget({ title, left, width: 6 });
  const heading = [
    `## ${settings.rotation}`,
    `${subject(settings)}, secret ${settings.secret.id}. [Executions](${executionsLink(home, settings.rotation)})`,
    schedule.paused ? "**Paused.** Runs by hand go on." : `Every ${schedule.rotateEveryDays} days.`,
  ];
  return [
    [new TextWidget({ markdown: heading.join("\n"), width: 24, height: 3 })],
    [
      new GraphWidget({
        title: `Age of the ${isKey ? "key" : "password"} in days`,
        left: [metric("CredentialAgeDays", "Maximum")],
        leftAnnotations: [
          { value: schedule.rotateEveryDays, label: "rotated" },
          { value: schedule.maximumAgeDays, label: "policy" },
        ],
        width: 6,
      }),
      graph("Hosts", metric("HostsWithoutProof", "Maximum"), metric("HostFailures", "Sum")),
      ...(isKey ? [graph("Old key used", metric("OldKeyUsed", "Maximum"))] : []),
      new GraphWidget({
        title: "Runs",
        left: [machine.metricSucceeded(), machine.metricFailed(), machine.metricTimedOut(), machine.metricAborted()],
        right: [metric("DurationSeconds", "Maximum")],
        width: 6,
      }),
    ],
    [new AlarmStatusWidget({ title: "Alarms", alarms: [...alarms], width: 24, height: 3 })],
  ];
}

/** Whose credential it is. A name of a login may hold what Markdown reads; between backquotes it reads nothing. */
function subject(settings: Settings): string {
  if (settings.kind === "iamAccessKey") return `User ${settings.user}`;
  return `Login ${settings.login.names.map((name) => `\`${name.replace(/`/g, "'")}\``).join(" and ")}`;
}
