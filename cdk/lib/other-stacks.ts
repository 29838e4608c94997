// The small stacks away from home: one a further region, one a further account, one for IAM's events.
//
// They have no assets and no references to other stacks, so that each template can also be given to a StackSet.

import { DefaultStackSynthesizer, Stack, type StackProps } from "aws-cdk-lib";
import type { Construct } from "constructs";
import type { Place } from "./names";
import { PlaceRoles } from "./place-role";
import { usersOf } from "./places";
import { forward, Region } from "./region";
import type { Deployment } from "./rotations";
import { ACCESS_KEY_CALLS } from "./trail-rules";

/** Where IAM's calls are told, whatever region they were made from. */
const IAM_REGION = "us-east-1";

abstract class AssetlessStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps) {
    // A StackSet's accounts need no bootstrap.
    super(scope, id, { ...props, synthesizer: new DefaultStackSynthesizer({ generateBootstrapVersionRule: false }) });
  }
}

/** A region with hosts: documents, log group, forwarded starts. */
export class RegionStack extends AssetlessStack {
  constructor(scope: Construct, id: string, deployment: Deployment, place: Place, props: StackProps) {
    super(scope, id, props);
    new Region(this, "region", deployment, place);
  }
}

/** An account with hosts: the role that the functions assume. Deploy it once an account, in any region. */
export class AccountStack extends AssetlessStack {
  constructor(scope: Construct, id: string, deployment: Deployment, account: string, props: StackProps) {
    super(scope, id, props);
    new PlaceRoles(this, "roles", deployment, account);
  }
}

/** Forwards what happens to access keys to the home region, where it is judged. */
export class IamEventsStack extends AssetlessStack {
  constructor(scope: Construct, id: string, deployment: Deployment, props: StackProps) {
    super(scope, id, props);
    const from = { account: deployment.home.account, region: IAM_REGION };
    const users = usersOf(deployment.rotations);
    const ofOurUsers = {
      ...ACCESS_KEY_CALLS.detail,
      $or: [{ requestParameters: { userName: users } }, { userIdentity: { userName: users } }],
    };
    forward(this, "keys", "access-key-calls", from, deployment.home, { ...ACCESS_KEY_CALLS, detail: ofOurUsers });
  }
}
