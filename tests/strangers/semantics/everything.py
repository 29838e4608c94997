"""A whole rotation, and every call with which a person may watch it.

No other AWS here knows what comes of it; AWS's models know what the answers may hold.
"""

from local_aws import wait_until
from two_clouds import FLEET_REGION, MACHINE, Cloud


def a_whole_rotation(cloud: Cloud):
    started = cloud("stepfunctions.StartExecution", stateMachineArn=MACHINE, name="watched", input="{}")
    execution = started["executionArn"]

    def end():
        described = cloud("stepfunctions.DescribeExecution", executionArn=execution)
        return described if described["status"] != "RUNNING" else None

    described = wait_until("the end of the rotation", end)
    watched = {
        "stepfunctions.DescribeStateMachine": {"stateMachineArn": MACHINE},
        "stepfunctions.ListStateMachines": {},
        "stepfunctions.ListExecutions": {"stateMachineArn": MACHINE},
        "stepfunctions.GetExecutionHistory": {"executionArn": execution},
        "secretsmanager.DescribeSecret": {"SecretId": "sqlcredential"},
        "secretsmanager.GetSecretValue": {"SecretId": "sqlcredential"},
        "secretsmanager.ListSecrets": {},
        "secretsmanager.ListSecretVersionIds": {"SecretId": "sqlcredential", "IncludeDeprecated": True},
        "secretsmanager.GetRandomPassword": {},
        "iam.ListUsers": {},
        "iam.ListAccessKeys": {"UserName": "sql-backups-user"},
        "ec2.DescribeInstances": {"region": FLEET_REGION},
        "ec2.DescribeInstanceStatus": {"region": FLEET_REGION, "IncludeAllInstances": True},
        "ssm.DescribeInstanceInformation": {"region": FLEET_REGION},
        "ssm.ListCommands": {"region": FLEET_REGION},
        "ssm.ListCommandInvocations": {"region": FLEET_REGION, "Details": True},
        "logs.DescribeLogGroups": {},
        "logs.DescribeLogStreams": {"logGroupName": "/aws/lambda/rotate-iam-key"},
        "logs.FilterLogEvents": {"logGroupName": "/aws/lambda/rotate-iam-key"},
        "logs.GetLogEvents": {"logGroupName": "/aws/lambda/rotate-iam-key", "logStreamName": "sandbox"},
    }
    answers = {operation: cloud(operation, **members) for operation, members in watched.items()}
    invocation = answers["ssm.ListCommandInvocations"]["CommandInvocations"][0]
    members = {"CommandId": invocation["CommandId"], "InstanceId": invocation["InstanceId"], "region": FLEET_REGION}
    answers["ssm.GetCommandInvocation"] = cloud("ssm.GetCommandInvocation", **members)
    return described["status"], answers
