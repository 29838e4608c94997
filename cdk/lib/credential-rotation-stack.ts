// The home stack: functions for all rotations, and for each rotation what belongs to it. It only composes.

import { Stack, type StackProps } from "aws-cdk-lib";
import { CfnEventBusPolicy } from "aws-cdk-lib/aws-events";
import type { Construct } from "constructs";
import { Alarms } from "./alarms";
import { BackupUser } from "./backup-user";
import { RotationsDashboard, type Shown } from "./dashboard";
import { Endings } from "./endings";
import { Evidence } from "./evidence";
import { Functions } from "./functions";
import { HostPolicy } from "./host-policy";
import { InstanceStarts } from "./instance-starts";
import { Messages } from "./messages";
import { defaultBusArn, iamArn } from "./names";
import type { RotationResources } from "./permissions";
import { allPlaces, rotationsIn } from "./places";
import { Region } from "./region";
import type { Deployment } from "./rotations";
import { Schedule } from "./schedule";
import { RotatedSecret } from "./secret";
import { RotationStateMachine } from "./state-machine";
import { TrailRules } from "./trail-rules";

/** Where things come from that are not in the deployment's file. */
export interface Surroundings {
  /** The folder with the functions' binaries. */
  readonly binariesFolder: string;
  /** The present time, from which the next scheduled rotation is counted. */
  readonly now: Date;
}

export class CredentialRotationStack extends Stack {
  constructor(
    scope: Construct,
    id: string,
    private readonly deployment: Deployment,
    surroundings: Surroundings,
    props: StackProps,
  ) {
    super(scope, id, props);
    const { home, rotations } = deployment;
    const resources = rotations.map((rotation): RotationResources => {
      const { settings, deploy } = rotation;
      const secret = new RotatedSecret(this, `${settings.rotation}-secret`, deployment, rotation);
      // A login is a user of SQL Server, and no user of IAM.
      const user =
        settings.kind === "iamAccessKey"
          ? new BackupUser(this, `${settings.rotation}-user`, deployment, settings, deploy)
          : undefined;
      return { rotation, secretArn: secret.arn, secretKeyArn: secret.keyArn, userArn: user?.arn };
    });
    const evidence = new Evidence(this, "evidence", deployment);
    const { binariesFolder, now } = surroundings;
    const functions = new Functions(this, "functions", deployment, resources, evidence.log, binariesFolder);
    const shown = resources.map((one) => this.rotate(one, functions, now));
    if (rotationsIn(rotations, home).length > 0) new Region(this, "region", deployment, home);
    this.admitForwardedEvents();
    new RotationsDashboard(this, "dashboard", deployment, shown);
  }

  /** All that belongs to one rotation but its secret and user, on which the functions' rights depend. */
  private rotate(resources: RotationResources, functions: Functions, now: Date): Shown {
    const { deployment } = this;
    const { rotation, secretArn, secretKeyArn } = resources;
    const of = (what: string) => `${rotation.settings.rotation}-${what}`;
    const { machine } = new RotationStateMachine(this, of("machine"), deployment, rotation, functions);
    const { topic, deadLetters } = new Messages(this, of("messages"), deployment, rotation);
    new Schedule(this, of("schedule"), deployment, rotation, machine, deadLetters, now);
    if (rotation.deploy.instanceStarts) {
      new InstanceStarts(this, of("starts"), deployment, rotation, machine, deadLetters);
    }
    const { home } = deployment;
    if (rotation.settings.fleet.targets.some(({ account }) => account === home.account)) {
      const key = secretKeyArn === undefined ? undefined : { arn: secretKeyArn };
      new HostPolicy(this, of("hosts"), home.account, home, rotation, { arn: secretArn, key });
    }
    const alarms = new Alarms(this, of("alarms"), deployment, rotation, machine, topic, deadLetters);
    const telling = { rotation: rotation.settings.rotation, topic, deadLetters };
    new Endings(this, of("endings"), home, telling);
    new TrailRules(this, of("trail"), deployment, rotation, telling, secretArn);
    return { rotation, machine, alarms: alarms.all };
  }

  /** Other accounts' instance starts come to the default bus here. */
  private admitForwardedEvents(): void {
    const { home, rotations } = this.deployment;
    const accounts = allPlaces(rotations).map(({ account }) => account);
    for (const account of new Set(accounts.filter((it) => it !== home.account))) {
      new CfnEventBusPolicy(this, `events-of-${account}`, {
        statementId: `credential-rotation-${account}`,
        statement: {
          Effect: "Allow",
          Principal: { AWS: iamArn({ ...home, account }, "root") },
          Action: "events:PutEvents",
          Resource: defaultBusArn(home),
          // IfExists, for AWS does not say that an event which a rule forwards is asked for its source.
          Condition: { StringEqualsIfExists: { "events:source": "aws.ec2" } },
        },
      });
    }
  }
}
