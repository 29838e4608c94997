// In another account: the role that our functions assume there, with what they may do in the places of that account and
// nothing else, and the policies for its hosts.

import { ArnPrincipal, CompositePrincipal, PolicyDocument, PrincipalWithConditions, Role } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";
import { HostPolicy } from "./host-policy";
import { functionRoleArn, iamArn, roleOfArn } from "./names";
import { functionsThatAssumeRoles, policyOfPlaces } from "./permissions";
import type { Deployment, Rotation } from "./rotations";
import { secretSeenFromAfar } from "./secret";
import { acknowledgeWildcards } from "./wildcards";

export class PlaceRoles extends Construct {
  constructor(scope: Construct, id: string, deployment: Deployment, account: string) {
    super(scope, id);
    const { home, rotations } = deployment;
    for (const [roleArn, theirs] of byRole(rotations, account)) {
      const { path, name } = roleOfArn(roleArn);
      // The account is the principal and the roles are a condition, so that the stacks need no order.
      const functions = new PrincipalWithConditions(new ArnPrincipal(iamArn(home, "root")), {
        ArnEquals: { "aws:PrincipalArn": functionsThatAssumeRoles(theirs).map((it) => functionRoleArn(home, it)) },
      });
      const work = policyOfPlaces(roleArn, theirs);
      const role = new Role(this, name, {
        roleName: name,
        path,
        description: `Lets the credential rotation of ${home.account} command the hosts of this account`,
        assumedBy: new CompositePrincipal(functions),
        inlinePolicies: { hosts: new PolicyDocument({ statements: work }) },
      });
      acknowledgeWildcards(role, work);
      for (const rotation of theirs) {
        const secret = secretSeenFromAfar(deployment, rotation);
        new HostPolicy(this, `${rotation.settings.rotation}-hosts`, account, home, rotation, secret);
      }
    }
  }
}

/** The roles of an account, with the rotations that assume each. */
function byRole(rotations: readonly Rotation[], account: string): Map<string, Rotation[]> {
  const roles = new Map<string, Rotation[]>();
  for (const rotation of rotations) {
    for (const target of rotation.settings.fleet.targets) {
      if (target.account !== account || target.role === undefined) continue;
      roles.set(target.role, [...(roles.get(target.role) ?? []), rotation]);
    }
  }
  return roles;
}
