"""The CDK app, deployed without AWS: its template goes into ministack, a schedule fires, and the functions that were
deployed rotate a fleet on the local AWS to success.

ministack has CloudFormation, Lambda, Step Functions, EventBridge Scheduler, SNS and SQS; for the services that it plays
too simply (EC2, IAM, Secrets Manager, STS, Systems Manager) the functions are sent to the local AWS, through the
environment that ministack hands down to them. What its CloudFormation lacks is taken out of a copy of the template
here, and never out of the product's own.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from local_aws import ACCOUNT, CHECKOUT, REGION, TARGET, World, host, served, settings, wait_until
from second_opinion import PACE, Ministack, ministack

CDK = CHECKOUT / "cdk"
STACK = "credential-rotation"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-sql-backups"
# What ministack 1.5.33 refuses, and with it the whole template.
LACKING = {
    "AWS::Logs::QueryDefinition",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SSM::Document",
}
# What the functions ask the local AWS for.
SERVED = ("EC2", "IAM", "SECRETS_MANAGER", "SSM", "STS", "SFN")


@dataclass
class Deployment:
    """The app in ministack, and the fleet that it rotates."""

    stack: Ministack
    world: World
    folder: Path
    # The app's output before anything was taken out of it.
    templates: list[Path]

    def cdk(self, *arguments: str) -> str:
        """The command line of CDK, as a person uses it, on the copy of the app's output."""
        environment = os.environ | {
            "AWS_ENDPOINT_URL": self.stack.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": REGION,
            "CDK_DISABLE_CLI_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return run([CDK / "node_modules/.bin/cdk", *arguments, "--app", self.folder / "out"], environment)

    def resources(self) -> dict[str, str]:
        """What CloudFormation says it made: physical ids by type."""
        found = self.stack.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        return {resource["PhysicalResourceId"]: resource["ResourceType"] for resource in found}


def run(command: list, environment: dict) -> str:
    """A program's output; its own words are the error's."""
    done = subprocess.run(command, env=environment, cwd=CDK, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def rotations(converge_at: str, rotation: dict) -> dict:
    """rotations.json of this deployment: one rotation, whose schedule fires soon."""
    return {
        "account": ACCOUNT,
        "region": REGION,
        "keep": ["secret"],
        "deploy": {
            "hostRoles": [f"arn:aws:iam::{ACCOUNT}:role/sql-server-host"],
            "convergeAt": converge_at,
            "flexibleWindowMinutes": 1,
        },
        "rotations": [rotation],
    }


def rotation_of(world: World) -> dict:
    """The fleet's rotation, as the local AWS has completed its settings; the topic is left for the app to make."""
    complete = world.definition("any")["States"]["Settings"]["Result"]
    return {name: value for name, value in complete.items() if name != "topic"}


def synthesise(folder: Path, file: dict) -> None:
    """`cdk synth` of the app as it is, into a folder of the test's own; the functions are those of this checkout."""
    binaries = folder / "target/release"
    binaries.mkdir(parents=True)
    for name in json.loads((CDK / "test/snapshots/permissions.json").read_text()):
        # Without what a debugger wants the files are a tenth of their size.
        run(["strip", "-o", binaries / name, TARGET / "debug" / name], dict(os.environ))
    path = folder / "rotations.json"
    path.write_text(json.dumps(file))
    environment = os.environ | {"CARGO_TARGET_DIR": str(folder / "target"), "CDK_DISABLE_CLI_TELEMETRY": "1"}
    command = [CDK / "node_modules/.bin/cdk", "synth", "--quiet", "--output", folder / "out", "-c", f"rotations={path}"]
    run(command, environment)
    shutil.rmtree(folder / "target")


def take_out_what_ministack_lacks(out: Path) -> set[str]:
    """Takes resources out of the copy, and whatever names them."""
    template = out / f"{STACK}.template.json"
    content = json.loads(template.read_text())
    resources = content["Resources"]

    def is_lacking(resource: dict) -> bool:
        has_arithmetic = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
        return resource["Type"] in LACKING or has_arithmetic

    gone = {name for name, resource in resources.items() if is_lacking(resource)}
    names_one = [name for name, resource in resources.items() if any(f'"{it}"' in json.dumps(resource) for it in gone)]
    gone |= set(names_one)
    content["Resources"] = {name: resource for name, resource in resources.items() if name not in gone}
    template.write_text(json.dumps(content))
    return {resources[name]["Type"] for name in gone}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """Everything, from the app's source to a stack whose schedule is about to fire."""
    folder = tmp_path_factory.mktemp("deployment")
    fleet = {
        "account": ACCOUNT,
        "region": REGION,
        "startsAt": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        # Overdue, so that the daily converge stages a new key.
        "keyAgeDays": 100,
        "hosts": [host(1), host(2), host(3)],
    }
    given = settings([REGION], f"{STACK}-sql-backups", keyCheck={"attempts": 200})
    with served(folder / "world", fleet, given, "--pace", str(PACE)) as world:
        # A few minutes are for synthesis and deployment.
        fires = datetime.now(timezone.utc) + timedelta(minutes=2)
        synthesise(folder, rotations(f"{fires:%H:%M}", rotation_of(world)))
        templates = [
            Path(shutil.copy(template, folder / template.name)) for template in (folder / "out").glob("*.template.json")
        ]
        taken_out = take_out_what_ministack_lacks(folder / "out")
        assert taken_out <= LACKING | {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}
        with ministack(folder / "ministack", {f"AWS_ENDPOINT_URL_{it}": world.url for it in SERVED}) as stack:
            made = Deployment(stack, world, folder, templates)
            made.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
            made.cdk("deploy", STACK, "--exclusively", "--require-approval", "never")
            yield made


def test_a_scheduled_execution_of_the_deployed_functions_rotates_the_fleet(deployment):
    states = deployment.stack.states

    def ended():
        executions = states.list_executions(stateMachineArn=MACHINE)["executions"]
        return executions if executions and executions[0]["status"] != "RUNNING" else None

    queue = deployment.stack.letter_box(f"arn:aws:sns:{REGION}:{ACCOUNT}:{STACK}-sql-backups")
    bus = deployment.stack.bus_box("all", {"rotation": ["sql-backups"]})
    execution = states.describe_execution(executionArn=wait_until("the schedule", ended, 400)[0]["executionArn"])
    assert json.loads(execution["input"]) == {"mode": "converge"}
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    assert json.loads(execution["output"])["evidence"]["promoted"] is True
    hosts = deployment.world.ask("fleet")["hosts"]
    assert len({json.dumps(it["holds"]) for it in hosts}) == 1, hosts
    assert deployment.world.ask("findings") == {"findings": []}
    assert [letter["subject"] for letter in deployment.stack.letters(queue)] == [f"{STACK} sql-backups: rotated"]
    assert [event["detail-type"] for event in deployment.stack.events(bus)] == ["Staged", "Promoted"]


def test_cfn_lint_has_nothing_to_say_of_the_templates(deployment):
    command = [Path(sys.executable).parent / "cfn-lint", "--config-file", CDK / ".cfnlintrc"]
    run([*command, *deployment.templates], dict(os.environ))


def test_destroy_leaves_the_secret_with_its_key_and_user_and_nothing_else(deployment):
    before = deployment.resources()
    deployment.cdk("destroy", STACK, "--exclusively", "--force")
    stack = deployment.stack
    assert stack.client("secretsmanager").describe_secret(SecretId="sqlcredential")["Name"] == "sqlcredential"
    assert stack.client("iam").get_user(UserName="sql-backups-user")["User"]["UserName"] == "sql-backups-user"
    left = {
        "AWS::Lambda::Function": stack.lambdas.list_functions()["Functions"],
        "AWS::StepFunctions::StateMachine": stack.states.list_state_machines()["stateMachines"],
        "AWS::Scheduler::Schedule": stack.client("scheduler").list_schedules()["Schedules"],
        "AWS::CloudWatch::Alarm": stack.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "AWS::Pipes::Pipe": stack.client("pipes").list_pipes()["Pipes"],
        "AWS::Logs::LogGroup": [
            group
            for group in stack.client("logs").describe_log_groups()["logGroups"]
            if group["logGroupName"] in before
        ],
    }
    assert {type_: found for type_, found in left.items() if found} == {}
