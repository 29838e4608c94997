"""boto3 drives a whole rotation through the local AWS: by AWS's own models of every request, answer and error.

The tests of this file are one story in the order in which they stand: the key is rotated, the days pass, a host is
stopped, an execution is killed. Each test needs what the ones before it did, so the file runs as a whole.
"""

import json
from datetime import datetime

import pytest
from botocore.exceptions import ClientError
from local_aws import ACCOUNT, REGION, host, served, wait_until

ABROAD = "us-east-1"
SECRET, USER = "sqlcredential", "sql-backups-user"
OLD_KEY = "AKIASANDBOXCURRENT00"
HOSTS = [host(1), host(2), host(3, ABROAD), host(4, ABROAD)]
FLEET = {"account": ACCOUNT, "region": REGION, "startsAt": "2026-11-24T06:00:00Z", "hosts": HOSTS}
SETTINGS = {
    "rotation": "sql-backups",
    "secret": {"id": SECRET},
    "user": USER,
    "credentials": ["s3://sql-backups.s3.eu-west-1.amazonaws.com"],
    "fleet": {
        "tags": [{"key": "SQL", "values": ["2022"]}],
        "targets": [{"account": ACCOUNT, "regions": [REGION, ABROAD]}],
    },
    "topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:credential-rotation",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A fleet of four hosts. Simulated time runs 100 times as fast as real time, so that a run can be met half way."""
    with served(tmp_path_factory.mktemp("boto3"), FLEET, SETTINGS, "--pace", "100") as world:
        yield world


@pytest.fixture(scope="module")
def states(world):
    return world.client("stepfunctions")


def pages(client, operation: str, member: str, **given) -> list:
    """All items of a paginator's pages."""
    return [item for page in client.get_paginator(operation).paginate(**given) for item in page[member]]


def history(states, execution: str, **paging) -> list:
    return pages(states, "get_execution_history", "events", executionArn=execution, **paging)


def labels(world) -> dict[str, str]:
    """Each label of the secret and the version that bears it."""
    stages = world.client("secretsmanager").describe_secret(SecretId=SECRET)["VersionIdsToStages"]
    return {label: version for version, held in stages.items() for label in held}


def keys(world) -> dict[str, str]:
    found = pages(world.client("iam"), "list_access_keys", "AccessKeyMetadata", UserName=USER)
    return {key["AccessKeyId"]: key["Status"] for key in found}


def key_of(world, label: str = "AWSCURRENT") -> str:
    value = world.client("secretsmanager").get_secret_value(SecretId=SECRET, VersionStage=label)["SecretString"]
    return json.loads(value)["accessKeyId"] if value.startswith("{") else value.partition(":")[0]


def ledger(world) -> dict[str, str]:
    """What the tag of each host says."""
    found = {}
    for region in (REGION, ABROAD):
        for reservation in pages(world.client("ec2", region), "describe_instances", "Reservations"):
            for instance in reservation["Instances"]:
                tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
                found[instance["InstanceId"]] = tags["credential-rotation:sql-backups"]
    return found


# ---- One rotation ----


@pytest.fixture(scope="module")
def first(world, states) -> dict:
    """The first execution, when it has ended."""
    before = keys(world)
    assert before == {OLD_KEY: "Active"}
    return world.run("first", mode="rotate")


def test_the_machine_can_be_found_and_read(world, states):
    assert [machine["stateMachineArn"] for machine in pages(states, "list_state_machines", "stateMachines")] == [
        world.machine
    ]
    described = states.describe_state_machine(stateMachineArn=world.machine)
    assert described["status"] == "ACTIVE" and described["type"] == "STANDARD"
    definition = json.loads(described["definition"])
    assert definition["StartAt"] in definition["States"]


def test_an_execution_makes_a_new_key_current_and_leaves_the_old_one_active(world, first):
    assert first["status"] == "SUCCEEDED"
    assert json.loads(first["input"]) == {"mode": "rotate"}
    assert isinstance(first["startDate"], datetime) and first["startDate"] < first["stopDate"]
    new_key = key_of(world)
    assert new_key != OLD_KEY
    assert keys(world) == {OLD_KEY: "Active", new_key: "Active"}
    assert "AWSPENDING" not in labels(world)
    assert labels(world)[new_key] == labels(world)["AWSCURRENT"]


def test_every_host_has_proved_the_version_and_its_tag_says_so(world, first):
    current = labels(world)["AWSCURRENT"]
    assert {held.split()[0] for held in ledger(world).values()} == {current}
    assert set(ledger(world)) == {one["id"] for one in HOSTS}


def test_the_history_is_the_same_in_pages_of_any_size_and_from_either_end(states, first):
    whole = history(states, first["executionArn"])
    assert [event["id"] for event in whole] == list(range(1, len(whole) + 1))
    assert history(states, first["executionArn"], PaginationConfig={"PageSize": 7}) == whole
    assert history(states, first["executionArn"], reverseOrder=True, PaginationConfig={"PageSize": 10}) == whole[::-1]


def test_the_history_tells_the_run_from_its_start_to_its_end(states, first):
    whole = history(states, first["executionArn"])
    assert whole[0]["type"] == "ExecutionStarted"
    assert json.loads(whole[0]["executionStartedEventDetails"]["input"]) == {"mode": "rotate"}
    assert whole[-1]["type"] == "ExecutionSucceeded"
    assert whole[-1]["executionSucceededEventDetails"]["output"] == first["output"]
    assert all(event["previousEventId"] < event["id"] for event in whole)
    assert [event["timestamp"] for event in whole] == sorted(event["timestamp"] for event in whole)
    entered = [event["stateEnteredEventDetails"]["name"] for event in whole if "stateEnteredEventDetails" in event]
    milestones = [
        "EnumerateInstances",
        "StageCredential",
        "SendCommand",
        "PollCommand",
        "PromoteStage",
        "RetireCredential",
    ]
    assert [name for name in dict.fromkeys(entered) if name in milestones] == milestones


def test_every_state_that_was_entered_was_left(states, first):
    whole = history(states, first["executionArn"])
    entered = [event["stateEnteredEventDetails"]["name"] for event in whole if "stateEnteredEventDetails" in event]
    left = [event["stateExitedEventDetails"]["name"] for event in whole if "stateExitedEventDetails" in event]
    assert sorted(entered) == sorted(left)


def test_a_name_is_taken_once(world, states, first):
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        world.start("first", mode="converge")
    assert [one["name"] for one in pages(states, "list_executions", "executions", stateMachineArn=world.machine)] == [
        "first"
    ]


def test_every_command_s_answers_can_be_read_and_waited_for(world, first):
    answered = set()
    for region in (REGION, ABROAD):
        ssm = world.client("ssm", region)
        commands = pages(ssm, "list_commands", "Commands")
        assert commands and all(command["DocumentName"] == "apply-s3-credential" for command in commands)
        for invocation in pages(ssm, "list_command_invocations", "CommandInvocations", Details=True):
            place = {"CommandId": invocation["CommandId"], "InstanceId": invocation["InstanceId"]}
            ssm.get_waiter("command_executed").wait(**place, PluginName="applyOnLinux", WaiterConfig={"Delay": 1})
            told = ssm.get_command_invocation(**place, PluginName="applyOnLinux")
            assert told["Status"] == "Success" and told["ResponseCode"] == 0
            answer = json.loads(told["StandardOutputContent"])
            assert answer["proved"] == 1 and answer["failed"] == 0
            answered.add(invocation["InstanceId"])
    assert answered == {one["id"] for one in HOSTS}


def test_no_log_and_no_history_holds_the_secret(world, states, first):
    logs = world.client("logs")
    groups = [group["logGroupName"] for group in pages(logs, "describe_log_groups", "logGroups")]
    assert {"/aws/lambda/rotate-iam-key", "/credential-rotation/commands"} <= set(groups)
    lines = [
        event["message"] for group in groups for event in pages(logs, "filter_log_events", "events", logGroupName=group)
    ]
    assert len(lines) > 10
    value = world.client("secretsmanager").get_secret_value(SecretId=SECRET)["SecretString"]
    secret = json.loads(value)["secretAccessKey"] if value.startswith("{") else value.partition(":")[2]
    told = json.dumps([lines, history(states, first["executionArn"])], default=str)
    assert len(secret) == 40
    assert secret not in told


def test_the_host_s_stderr_lies_in_a_stream_of_its_own(world, first):
    logs = world.client("logs")
    group = "/credential-rotation/commands"
    streams = [one["logStreamName"] for one in pages(logs, "describe_log_streams", "logStreams", logGroupName=group)]
    [of_the_first] = [name for name in streams if HOSTS[0]["id"] in name and name.endswith("stderr")]
    events = logs.get_log_events(logGroupName=group, logStreamName=of_the_first, startFromHead=True)["events"]
    assert any("proved" in event["message"] for event in events)


# ---- The days after it ----


def test_eight_days_later_the_old_key_is_inactive(world, first):
    world.ask("clock", {"days": 8})
    assert world.run("eight-days-later", mode="converge")["status"] == "SUCCEEDED"
    assert keys(world) == {OLD_KEY: "Inactive", key_of(world): "Active"}


def test_eight_more_days_later_it_is_deleted(world, first):
    world.ask("clock", {"days": 8})
    assert world.run("sixteen-days-later", mode="converge")["status"] == "SUCCEEDED"
    assert keys(world) == {key_of(world): "Active"}
    assert OLD_KEY not in labels(world)


# ---- A host that is stopped, and an execution that is ----


def test_a_stopped_host_is_passed_over_and_brought_in_when_it_has_started(world, states):
    ec2 = world.client("ec2")
    stopped = HOSTS[1]["id"]
    [change] = ec2.stop_instances(InstanceIds=[stopped])["StoppingInstances"]
    assert change["PreviousState"]["Name"] == "running"
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[stopped], WaiterConfig={"Delay": 1})

    assert world.run("one-host-is-stopped", mode="rotate")["status"] == "SUCCEEDED"
    current = labels(world)["AWSCURRENT"]
    assert {name for name, held in ledger(world).items() if held.split()[0] != current} == {stopped}

    ec2.start_instances(InstanceIds=[stopped])
    ec2.get_waiter("instance_running").wait(InstanceIds=[stopped], WaiterConfig={"Delay": 1})
    assert world.run("it-has-started", mode="converge")["status"] == "SUCCEEDED"
    assert ledger(world)[stopped].split()[0] == current


def test_an_execution_that_is_stopped_in_the_middle_is_finished_by_the_next(world, states):
    # The overlap and the delay of the rotation before: a third key has a slot only after them.
    for name in ("make-room", "make-more-room"):
        world.ask("clock", {"days": 8})
        world.run(name, mode="converge")
    before = labels(world)["AWSCURRENT"]
    slow = HOSTS[0]["id"]
    world.ask(f"hosts/{slow}/break", {"slowSeconds": 120})
    execution = world.start("stopped-in-the-middle", mode="rotate")

    def has_sent_a_command():
        events = history(states, execution)
        return any(event.get("stateEnteredEventDetails", {}).get("name") == "WaitForCommand" for event in events)

    wait_until("a command", has_sent_a_command)
    states.stop_execution(executionArn=execution, error="Operator.Stopped", cause="a test stops it")
    stopped = world.ended(execution)
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("ABORTED", "Operator.Stopped", "a test stops it")
    last = history(states, execution)[-1]
    assert last["type"] == "ExecutionAborted"
    assert last["executionAbortedEventDetails"]["error"] == "Operator.Stopped"
    assert labels(world)["AWSCURRENT"] == before and "AWSPENDING" in labels(world)
    assert len(keys(world)) == 2

    world.ask(f"hosts/{slow}/repair", {})
    pending = labels(world)["AWSPENDING"]
    assert world.run("the-next-one", mode="converge")["status"] == "SUCCEEDED"
    assert labels(world)["AWSCURRENT"] == pending and "AWSPENDING" not in labels(world)
    assert len(keys(world)) == 2


def test_executions_are_listed_by_how_they_ended_and_on_pages(world, states):
    given = {"stateMachineArn": world.machine}
    aborted = pages(states, "list_executions", "executions", **given, statusFilter="ABORTED")
    assert [one["name"] for one in aborted] == ["stopped-in-the-middle"]
    whole = pages(states, "list_executions", "executions", **given)
    assert pages(states, "list_executions", "executions", **given, PaginationConfig={"PageSize": 2}) == whole
    assert [one["startDate"] for one in whole] == sorted((one["startDate"] for one in whole), reverse=True)


def test_what_is_new_since_is_told_to_the_topic(world):
    [topic] = pages(world.client("sns"), "list_topics", "Topics")
    assert topic["TopicArn"] == world.topic
    assert world.ask("notices")


def test_no_guarantee_was_broken_and_no_backup_failed_in_all_of_this(world):
    assert world.ask("findings") == {"findings": []}
    failed = world.ask("backups")
    assert failed == {"failed": []}, failed


# ---- Errors, as botocore reads them ----

NOBODY = "i-00000000000000fff"
ERRORS = [
    ("stepfunctions", "describe_execution", {"executionArn": "{execution}:nobody"}, "ExecutionDoesNotExist"),
    ("stepfunctions", "describe_execution", {"executionArn": "nonsense"}, "InvalidArn"),
    ("stepfunctions", "get_execution_history", {"executionArn": "{execution}:nobody"}, "ExecutionDoesNotExist"),
    ("stepfunctions", "stop_execution", {"executionArn": "{execution}:nobody"}, "ExecutionDoesNotExist"),
    ("stepfunctions", "start_execution", {"stateMachineArn": "{machine}-nobody"}, "StateMachineDoesNotExist"),
    ("stepfunctions", "start_execution", {"stateMachineArn": "{machine}", "input": "{{"}, "InvalidExecutionInput"),
    ("stepfunctions", "start_execution", {"stateMachineArn": "{machine}", "name": "a b"}, "InvalidName"),
    ("stepfunctions", "list_executions", {"stateMachineArn": "{machine}", "nextToken": "nonsense"}, "InvalidToken"),
    ("secretsmanager", "get_secret_value", {"SecretId": "nobody"}, "ResourceNotFoundException"),
    ("secretsmanager", "get_secret_value", {"SecretId": SECRET, "VersionStage": "NONE"}, "ResourceNotFoundException"),
    ("secretsmanager", "describe_secret", {"SecretId": "nobody"}, "ResourceNotFoundException"),
    ("secretsmanager", "put_secret_value", {"SecretId": "nobody", "SecretString": "x"}, "ResourceNotFoundException"),
    (
        "secretsmanager",
        "update_secret_version_stage",
        {"SecretId": SECRET, "VersionStage": "AWSCURRENT", "MoveToVersionId": "0" * 32},
        "ResourceNotFoundException",
    ),
    ("iam", "list_access_keys", {"UserName": "nobody"}, "NoSuchEntity"),
    ("iam", "create_access_key", {"UserName": "nobody"}, "NoSuchEntity"),
    ("iam", "create_access_key", {"UserName": USER}, "LimitExceeded"),
    ("iam", "update_access_key", {"UserName": USER, "AccessKeyId": "A" * 20, "Status": "Inactive"}, "NoSuchEntity"),
    ("iam", "delete_access_key", {"UserName": USER, "AccessKeyId": "A" * 20}, "NoSuchEntity"),
    ("ec2", "stop_instances", {"InstanceIds": [NOBODY]}, "InvalidInstanceID.NotFound"),
    ("ec2", "describe_instances", {"InstanceIds": [NOBODY]}, "InvalidInstanceID.NotFound"),
    ("ec2", "create_tags", {"Resources": [NOBODY], "Tags": [{"Key": "a", "Value": "b"}]}, "InvalidInstanceID.NotFound"),
    ("ssm", "send_command", {"DocumentName": "nobody", "InstanceIds": [HOSTS[0]["id"]]}, "InvalidDocument"),
    ("ssm", "send_command", {"DocumentName": "apply-s3-credential", "InstanceIds": [NOBODY]}, "InvalidParameters"),
    ("ssm", "get_command_invocation", {"CommandId": "0" * 36, "InstanceId": NOBODY}, "InvocationDoesNotExist"),
    ("sns", "publish", {"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:nobody", "Message": "x"}, "NotFound"),
    ("logs", "describe_log_streams", {"logGroupName": "nobody"}, "ResourceNotFoundException"),
    ("logs", "filter_log_events", {"logGroupName": "nobody"}, "ResourceNotFoundException"),
    (
        "logs",
        "get_log_events",
        {"logGroupName": "/aws/lambda/rotate-iam-key", "logStreamName": "no"},
        "ResourceNotFoundException",
    ),
]


@pytest.mark.parametrize("service, operation, given, code", ERRORS, ids=[f"{s}-{o}-{c}" for s, o, _, c in ERRORS])
def test_a_service_s_error_has_aws_s_code_and_a_message(world, service, operation, given, code):
    places = {"execution": world.machine.replace("stateMachine", "execution"), "machine": world.machine}
    given = {name: value.format(**places) if isinstance(value, str) else value for name, value in given.items()}
    with pytest.raises(ClientError) as refused:
        getattr(world.client(service), operation)(**given)
    error = refused.value.response
    assert error["Error"]["Code"] == code
    # SSM says nothing more of an invocation that is not there.
    assert error["Error"]["Message"] or code == "InvocationDoesNotExist"
    assert 400 <= error["ResponseMetadata"]["HTTPStatusCode"] < 500
