"""Events as EventBridge delivers them, written from AWS's documentation: who hears of each by the rules of the app.

Their shapes are those of the guides: EC2's "State change events for your instances", CloudTrail's "Record contents"
and "userIdentity element", Secrets Manager's "Match events with Amazon EventBridge", IAM's "Logging with CloudTrail",
Step Functions' "Automating event delivery".
"""

from dataclasses import dataclass

from local_aws import ACCOUNT, REGION

ROLE = f"arn:aws:iam::{ACCOUNT}:role"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:sqlcredential"
# Secrets Manager chooses the last characters.
WHOLE_SECRET = f"{SECRET}-AbCdEf"
USER = "sql-backups-user"
SOME_INSTANCE = "i-0123456789abcdef0"


@dataclass
class Sample:
    """An event, and the rules that are to hear of it."""

    says: str
    heard_by: set[str]
    source: str
    detail_type: str
    detail: dict
    region: str = REGION

    def whole(self) -> dict:
        """With its envelope, as EventBridge holds it against the rules' patterns."""
        return {
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": self.detail_type,
            "source": self.source,
            "account": ACCOUNT,
            "time": "2026-11-24T14:00:00Z",
            "region": self.region,
            "resources": [],
            "detail": self.detail,
        }


def session(role: str) -> dict:
    """Whoever has assumed a role."""
    name = role.split("/")[-1]
    issuer = {"type": "Role", "principalId": "AROAEXAMPLE", "arn": f"{ROLE}/{role}", "accountId": ACCOUNT}
    return {
        "type": "AssumedRole",
        "principalId": f"AROAEXAMPLE:{name}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/session",
        "accountId": ACCOUNT,
        "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": {"sessionIssuer": issuer | {"userName": name}, "attributes": {"mfaAuthenticated": "false"}},
    }


def ours(function: str) -> dict:
    """A function of ours at work."""
    return session(f"credential-rotation-{function}")


def user(name: str) -> dict:
    """An IAM user with an access key, which has no session."""
    arn = f"arn:aws:iam::{ACCOUNT}:user/{name}"
    return {"type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": arn, "accountId": ACCOUNT, "userName": name}


ROOT = {"type": "Root", "principalId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root", "accountId": ACCOUNT}
PERSON = session("aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_0123456789abcdef")


def call(service: str, name: str, who: dict, parameters: dict | None, **more) -> dict:
    """CloudTrail's record of a call."""
    return {
        "eventVersion": "1.11",
        "userIdentity": who,
        "eventTime": "2026-11-24T14:00:00Z",
        "eventSource": f"{service}.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "aws-cli/2.31.0",
        "requestParameters": parameters,
        "responseElements": None,
        "requestID": "EXAMPLE",
        "eventID": "b3e4ac2e-50c9-4f5a-8a5a-8f3f5c1d2e3f",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    } | more


def of_secret(says: str, heard: bool, name: str, who: dict, secret: str = "sqlcredential", **more) -> Sample:
    """A call of Secrets Manager."""
    detail = call("secretsmanager", name, who, {"secretId": secret}, **more)
    return Sample(says, {"secret"} if heard else set(), "aws.secretsmanager", "AWS API Call via CloudTrail", detail)


def of_key(says: str, heard: bool, name: str, who: dict, parameters: dict | None, **more) -> Sample:
    """A call of IAM, which is told in us-east-1 and forwarded."""
    detail = call("iam", name, who, parameters, awsRegion="us-east-1", **more)
    heard_by = {"keys"} if heard else set()
    return Sample(says, heard_by, "aws.iam", "AWS API Call via CloudTrail", detail, "us-east-1")


def own_rotation(says: str, heard: bool, name: str, secret: str) -> Sample:
    """What Secrets Manager itself does; nobody called it."""
    detail = call("secretsmanager", name, {"accountId": ACCOUNT, "invokedBy": "secretsmanager.amazonaws.com"}, None)
    detail |= {"eventType": "AwsServiceEvent", "additionalEventData": {"SecretId": secret}}
    heard_by = {"rotator"} if heard else set()
    return Sample(says, heard_by, "aws.secretsmanager", "AWS Service Event via CloudTrail", detail)


def instance_starts(instance_id: str) -> Sample:
    """What EC2 tells of an instance that starts."""
    return instance("an instance runs", True, "running", instance_id=instance_id)


def instance(says: str, heard: bool, state: str, region: str = REGION, instance_id: str = SOME_INSTANCE) -> Sample:
    """An instance that changes its state."""
    detail = {"instance-id": instance_id, "state": state}
    heard_by = {"starts"} if heard else set()
    return Sample(says, heard_by, "aws.ec2", "EC2 Instance State-change Notification", detail, region)


def execution(says: str, heard: bool, status: str, machine: str = "credential-rotation-sql-backups") -> Sample:
    """An execution that changes its status."""
    states = f"arn:aws:states:{REGION}:{ACCOUNT}"
    detail = {
        "executionArn": f"{states}:execution:{machine}:first",
        "stateMachineArn": f"{states}:stateMachine:{machine}",
        "name": "first",
        "status": status,
        "startDate": 1795500000000,
        "stopDate": 1795500060000,
        "input": "{}",
        "output": None,
    }
    return Sample(says, {"ended"} if heard else set(), "aws.states", "Step Functions Execution Status Change", detail)


OF_USER = {"userName": USER}
DENIED = {"errorCode": "AccessDenied", "errorMessage": "User is not authorized"}

EVENTS = [
    of_secret("a person stores a value by the secret's name", True, "PutSecretValue", PERSON),
    of_secret("a person stores a value by the ARN", True, "PutSecretValue", PERSON, WHOLE_SECRET),
    of_secret("a person stores a value by the ARN without its end", True, "PutSecretValue", PERSON, SECRET),
    of_secret("an IAM user moves a label", True, "UpdateSecretVersionStage", user("admin")),
    of_secret("root deletes the secret", True, "DeleteSecret", ROOT),
    of_secret("a session of a role of theirs stores a value", True, "PutSecretValue", session("other")),
    of_secret("our function stores a value", False, "PutSecretValue", ours("rotate-iam-key")),
    of_secret("our function promotes", False, "UpdateSecretVersionStage", ours("promote-stage")),
    of_secret("a plan, which may only read, stores", True, "PutSecretValue", ours("plan-rotation")),
    of_secret("somebody is refused", False, "DeleteSecret", PERSON, **DENIED),
    of_secret("another secret gets a value", False, "PutSecretValue", PERSON, "sqlcredential2"),
    of_secret("a value is read", False, "GetSecretValue", PERSON),
    own_rotation("Secrets Manager's rotation fails", True, "RotationFailed", WHOLE_SECRET),
    own_rotation("Secrets Manager's rotation is abandoned", True, "RotationAbandoned", WHOLE_SECRET),
    own_rotation("another secret's rotation fails", False, "RotationFailed", f"{SECRET}2-AbCdEf"),
    of_key("a person makes a key for our user", True, "CreateAccessKey", PERSON, OF_USER),
    of_key("a person makes a key Inactive", True, "UpdateAccessKey", PERSON, OF_USER | {"status": "Inactive"}),
    of_key("root deletes a key of our user", True, "DeleteAccessKey", ROOT, OF_USER),
    of_key("our user makes a key for itself", True, "CreateAccessKey", user(USER), None),
    of_key("our function makes a key", False, "CreateAccessKey", ours("rotate-iam-key"), OF_USER),
    of_key("our function retires one", False, "UpdateAccessKey", ours("retire-iam-key"), OF_USER),
    of_key("a person makes a key for another user", False, "CreateAccessKey", PERSON, {"userName": "somebody"}),
    of_key("a person makes a key for himself", False, "CreateAccessKey", user("somebody"), None),
    of_key("somebody is refused a key", False, "CreateAccessKey", PERSON, OF_USER, **DENIED),
    instance_starts(SOME_INSTANCE),
    execution("a run is stopped by a person", True, "ABORTED"),
    execution("a run takes too long", True, "TIMED_OUT"),
    execution("a run fails, which it tells itself", False, "FAILED"),
    execution("a run succeeds", False, "SUCCEEDED"),
    execution("a run of another state machine is stopped", False, "ABORTED", "somebody-elses"),
    instance("an instance stops", False, "stopped"),
    instance("an instance runs elsewhere", False, "running", "ap-southeast-1"),
]
