"""The AWS CLI, run as a process like a person runs it, starts a rotation, watches it and reads what it left.

The last tests run the README's own commands, read out of README.md, so that they cannot rot. The CLI is version 1,
which the Python package index has; in version 2, which AWS's installer brings, the commands, options and answers used
here are the same (test_host_with_the_real_cli.py says what differs where a script leans on it).
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from local_aws import CHECKOUT, REGION, TARGET, World, example, served, started, wait_until

AWS = Path(sys.prefix) / "bin/aws"
OLD_KEY = "AKIASANDBOXCURRENT00"
FLEET = example("fleet")


def environment(world: World) -> dict[str, str]:
    """A person's shell: the venv's programs, a key pair, and the local AWS for every service."""
    return os.environ | {
        "PATH": f"{AWS.parent}:{os.environ['PATH']}",
        "AWS_ACCESS_KEY_ID": "person",
        "AWS_SECRET_ACCESS_KEY": "person",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": world.url,
    }


class CommandLine:
    """The AWS CLI in a shell of its own."""

    def __init__(self, world: World):
        self.environment = environment(world)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([AWS, *arguments], env=self.environment, capture_output=True, text=True, timeout=60)

    def __call__(self, *arguments: str):
        """What the CLI prints, read as JSON."""
        return json.loads(self.text(*arguments, "--output", "json") or "null")

    def text(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with served(tmp_path_factory.mktemp("command-line"), FLEET, example("settings")) as world:
        yield world


@pytest.fixture(scope="module")
def aws(world) -> CommandLine:
    return CommandLine(world)


@pytest.fixture(scope="module")
def execution(world, aws) -> str:
    """The first execution, after it has ended."""
    started = aws("stepfunctions", "start-execution", "--state-machine-arn", world.machine, "--name", "first")
    arn = started["executionArn"]

    def status():
        told = aws.text(
            "stepfunctions", "describe-execution", "--execution-arn", arn, "--query", "status", "--output", "text"
        ).strip()
        return told if told != "RUNNING" else None

    assert wait_until("the end of the execution", status) == "SUCCEEDED"
    return arn


def test_a_person_who_asks_who_she_is_gets_an_account_s_arn(aws):
    identity = aws("sts", "get-caller-identity")
    assert identity["Account"] == FLEET["account"]
    assert identity["Arn"].startswith("arn:aws:")


def test_an_execution_that_was_started_ends_and_says_what_it_did(aws, execution):
    described = aws("stepfunctions", "describe-execution", "--execution-arn", execution)
    assert described["status"] == "SUCCEEDED"
    report = json.loads(described["output"])
    assert report, "the output is the run's report"


def test_its_history_names_every_state_of_the_readme_s_table(aws, execution):
    query = "events[?type=='TaskStateEntered'].stateEnteredEventDetails.name"
    words = aws.text(
        "stepfunctions", "get-execution-history", "--execution-arn", execution, "--query", query, "--output", "text"
    ).split()
    table = {"EnumerateInstances", "StageCredential", "SendCommand", "PollCommand", "PromoteStage", "RetireCredential"}
    assert table <= set(words)


def test_a_history_is_cut_and_gone_on_with_as_the_cli_does_for_long_ones(aws, execution):
    cut = (
        "stepfunctions",
        "get-execution-history",
        "--execution-arn",
        execution,
        "--max-items",
        "5",
        "--page-size",
        "2",
    )
    first = aws(*cut)
    second = aws(*cut, "--starting-token", first["NextToken"])
    assert [event["id"] for event in first["events"] + second["events"]] == list(range(1, 11))


def test_the_secret_has_a_new_current_version_and_its_value_a_key_of_the_user(aws, execution):
    stages = aws("secretsmanager", "describe-secret", "--secret-id", "sqlcredential")["VersionIdsToStages"]
    [current] = [version for version, labels in stages.items() if "AWSCURRENT" in labels]
    value = aws("secretsmanager", "get-secret-value", "--secret-id", "sqlcredential")
    assert value["VersionId"] == current
    keys = aws("iam", "list-access-keys", "--user-name", "sql-backups-user")["AccessKeyMetadata"]
    assert {key["Status"] for key in keys} == {"Active"} and len(keys) == 2
    [new_key] = {key["AccessKeyId"] for key in keys} - {OLD_KEY}
    assert new_key in value["SecretString"] and new_key in stages[current]


def test_the_new_key_is_the_user_s_and_a_wrong_secret_for_it_is_refused(aws, execution):
    value = aws("secretsmanager", "get-secret-value", "--secret-id", "sqlcredential")["SecretString"]
    key_id, secret = re.findall(r"[A-Za-z0-9+/]{20,}", value)[-2:]
    holder = CommandLine.__new__(CommandLine)
    holder.environment = aws.environment | {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret}
    assert holder("sts", "get-caller-identity")["Arn"].endswith(":user/sql-backups-user")
    holder.environment["AWS_SECRET_ACCESS_KEY"] = secret[::-1]
    refused = holder.run("sts", "get-caller-identity")
    assert refused.returncode != 0 and "(SignatureDoesNotMatch)" in refused.stderr


def test_the_tags_of_the_hosts_hold_the_ledger(aws, execution):
    query = "Reservations[].Instances[].[InstanceId,State.Name,Tags[?Key=='credential-rotation:sql-backups']|[0].Value]"
    rows = aws("ec2", "describe-instances", "--query", query)
    stages = aws("secretsmanager", "describe-secret", "--secret-id", "sqlcredential")["VersionIdsToStages"]
    [current] = [version for version, labels in stages.items() if "AWSCURRENT" in labels]
    assert len(rows) == 7
    for instance, state, proof in rows:
        assert (state == "running") == bool(proof and proof.startswith(current)), instance


def test_the_answer_of_a_host_that_failed_at_first_can_be_read(aws, execution):
    failing = next(host["id"] for host in FLEET["hosts"] if "fails-once" in host["name"])
    place = ("--instance-id", failing, "--region", "us-east-1")
    invocations = aws("ssm", "list-command-invocations", *place)["CommandInvocations"]
    assert {one["Status"] for one in invocations} == {"Failed", "Success"}
    [failed] = [one["CommandId"] for one in invocations if one["Status"] == "Failed"]
    plugin = ("--command-id", failed, "--plugin-name", "applyOnLinux")
    told = aws("ssm", "get-command-invocation", *place, *plugin)
    [failure] = json.loads(told["StandardOutputContent"])["failures"]
    assert failure["error"] == "ProofFailed" and told["ResponseCode"] == 1


def test_the_functions_logs_and_the_hosts_can_be_searched(aws, execution):
    groups = aws.text("logs", "describe-log-groups", "--query", "logGroups[].logGroupName", "--output", "text").split()
    assert "/aws/lambda/promote-stage" in groups
    messages = aws(
        "logs", "filter-log-events", "--log-group-name", "/credential-rotation/commands", "--query", "events[].message"
    )
    assert any("proved, altered" in message for message in messages)


def test_a_table_a_person_reads_can_be_printed(aws, execution):
    table = aws.text("iam", "list-access-keys", "--user-name", "sql-backups-user", "--output", "table")
    assert OLD_KEY in table and "ListAccessKeys" in table


def test_an_error_is_one_line_with_its_code_and_the_operation(aws):
    refused = aws.run("secretsmanager", "describe-secret", "--secret-id", "nobody")
    assert refused.returncode != 0 and refused.stdout == ""
    assert "An error occurred (ResourceNotFoundException) when calling the DescribeSecret operation: " in refused.stderr


def test_a_service_that_is_not_there_says_so(aws):
    refused = aws.run("dynamodb", "list-tables")
    assert refused.returncode != 0
    assert "(UnknownOperationException)" in refused.stderr


# ---- The READMEs' own commands ----

README = (CHECKOUT / "README.md").read_text()
README_OF_THE_LOCAL_AWS = (CHECKOUT / "tests/sandbox/README.md").read_text()


def blocks(text: str) -> list[str]:
    """A README's blocks of commands, or those of a part of it."""
    return re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)


def commands_of_the_readme(about: str) -> list[str]:
    """The README's blocks of commands that hold this text."""
    return [block for block in blocks(README) if re.search(about, block)]


def commands_after_serve() -> list[str]:
    """What the README lets a person run in a second shell, while `serve` runs in the first."""
    [section] = [part for part in re.split(r"^##+ ", README, flags=re.M) if " serve " in "".join(blocks(part))]
    return [block for block in blocks(section) if " serve " not in block]


def sandbox_commands(verb: str) -> list[list[str]]:
    """Both READMEs' commands of the sandbox, word by word, without cargo: the program is built already."""
    lines = "".join(blocks(README + README_OF_THE_LOCAL_AWS)).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if re.search(rf"\bsandbox -- +{verb}\b", line)]
    return [[str(TARGET / "debug/sandbox"), *line[line.index("--") + 1 :]] for line in words]


def run_as_written(commands: str, world: World) -> subprocess.CompletedProcess:
    shell = ["bash", "-euo", "pipefail", "-c", commands]
    return subprocess.run(shell, env=environment(world), cwd=CHECKOUT, capture_output=True, text=True, timeout=100)


def test_the_readme_s_commands_rotate_the_fleet_as_they_are_written(tmp_path):
    shown = "\n".join(commands_after_serve())
    assert "stepfunctions start-execution" in shown, "the README shows how to start a rotation"
    with served(tmp_path, FLEET, example("settings")) as world:
        # Only the address is another: a port of its own for each test.
        commands = re.sub(r"http://127\.0\.0\.1:\d+", world.url, shown)
        done = run_as_written(commands, world)
        assert done.returncode == 0, done.stderr
        [execution] = world.client("stepfunctions").list_executions(stateMachineArn=world.machine)["executions"]
        assert world.ended(execution["executionArn"])["status"] == "SUCCEEDED"
        [new_key] = {key["id"] for key in world.ask("keys")["keys"]} - {OLD_KEY}
        assert world.ask("findings")["findings"] == []
        assert new_key in str(world.ask("fleet"))


def test_the_readme_starts_the_local_aws_with_files_that_are_there_and_at_the_port_that_it_uses():
    [block] = commands_of_the_readme(r"-- serve ")
    for file in re.findall(r"--(?:fleet|settings) (\S+)", block):
        assert (CHECKOUT / file).is_file()
    ports = re.findall(r"http://127\.0\.0\.1:(\d+)", README)
    assert set(ports) == set(re.findall(r"--port (\d+)", block))


@pytest.mark.parametrize("command", sandbox_commands("serve"), ids=lambda words: " ".join(words[2:]))
def test_each_command_that_serves_in_a_readme_makes_a_world_that_answers(tmp_path, command):
    # Only the port is another: the system's choice.
    port = command.index("--port") + 1
    with started([*command[:port], "0", *command[port + 1 :]], tmp_path / "sandbox.log", FLEET) as world:
        assert world.client("sts").get_caller_identity()["Account"] == FLEET["account"]


@pytest.mark.parametrize("command", sandbox_commands("rotate"), ids=lambda words: " ".join(words[2:]))
def test_each_command_that_rotates_in_a_readme_ends_well(command):
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_both_readmes_show_how_to_serve_and_how_to_rotate():
    assert len(sandbox_commands("serve")) == 2 and len(sandbox_commands("rotate")) >= 2


def test_the_readme_s_command_brings_an_inactive_key_back(tmp_path):
    [block] = commands_of_the_readme("update-access-key")
    with served(tmp_path, FLEET | {"hosts": FLEET["hosts"][:2], "story": []}, example("settings")) as world:
        world.run("first", mode="rotate")
        world.ask("clock", {"days": 9})
        world.run("nine-days-later", mode="converge")
        before = status_of(world, OLD_KEY)
        done = run_as_written(block.replace("AKIAIOSFODNN7EXAMPLE", OLD_KEY), world)
        assert done.returncode == 0, done.stderr
        assert (before, status_of(world, OLD_KEY)) == ("Inactive", "Active")


def status_of(world: World, key: str) -> str:
    keys = world.client("iam").list_access_keys(UserName="sql-backups-user")["AccessKeyMetadata"]
    return {one["AccessKeyId"]: one["Status"] for one in keys}[key]
