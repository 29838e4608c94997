// All stacks of a deployment, and the checks that every one of them passes.

import { type App, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { CredentialRotationStack, type Surroundings } from "./credential-rotation-stack";
import { PREFIX } from "./names";
import { AccountStack, IamEventsStack, RegionStack } from "./other-stacks";
import { allPlaces, usersOf } from "./places";
import type { Deployment } from "./rotations";

/** Adds the stacks of a deployment to an app. */
export function addStacks(app: App, deployment: Deployment, surroundings: Surroundings): CredentialRotationStack {
  const { home, rotations } = deployment;
  const stack = new CredentialRotationStack(app, PREFIX, deployment, surroundings, {
    env: home,
    description: "Rotates the credentials of SQL Server fleets",
  });
  for (const place of allPlaces(rotations)) {
    const isHome = place.account === home.account && place.region === home.region;
    if (isHome) continue;
    new RegionStack(app, `${PREFIX}-${place.account}-${place.region}`, deployment, place, {
      env: place,
      description: `Credential rotation of ${home.account}: the hosts of ${place.region}`,
    });
  }
  const accounts = new Set(allPlaces(rotations).map(({ account }) => account));
  for (const account of accounts) {
    if (account === home.account) continue;
    new AccountStack(app, `${PREFIX}-${account}`, deployment, account, {
      env: { account, region: home.region },
      description: `Credential rotation of ${home.account}: the role that its functions assume here`,
    });
  }
  // Of logins IAM has nothing to tell.
  if (home.region !== "us-east-1" && usersOf(rotations).length > 0) {
    new IamEventsStack(app, `${PREFIX}-iam-events`, deployment, {
      env: { account: home.account, region: "us-east-1" },
      description: `Credential rotation: what IAM tells in us-east-1 is forwarded to ${home.region}`,
    });
  }
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return stack;
}
