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
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from local_aws import ACCOUNT, CHECKOUT, REGION, TARGET, World, client, host, served, settings, wait_until
from moto.server import ThreadedMotoServer
from second_opinion import PACE, Ministack, ministack
from trail_events import EVENTS, WHOLE_SECRET, instance_starts

CDK = CHECKOUT / "cdk"
STACK = "credential-rotation"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-sql-backups"
# What ministack 1.5.33 refuses, and with it the whole template.
LACKING = {
    "AWS::Logs::QueryDefinition",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SSM::Document",
}
# What these tests listen with.
TEST_QUEUES = {"queue credential-rotation-sql-backups", "queue events-all", "rule all"}
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
    # What there was before the deployment.
    before: set[str] = field(default_factory=set)

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

    def remove_traces(self, run_command: str, *arguments: str) -> list[str]:
        """The command for what CloudFormation does not know of: a person's AWS command line asks the local AWS, and for
        Run Command, whose documents are Amazon's own here, another one."""
        program = [CDK / "node_modules/.bin/tsx", CDK / "bin/remove-traces.ts"]
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": self.world.url,
            "AWS_ENDPOINT_URL_SSM": run_command,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": REGION,
            "NO_PROXY": "127.0.0.1",
        }
        return run([*program, "--rotations", self.folder / "rotations.json", *arguments], environment).splitlines()


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

    gone = {name for name, resource in resources.items() if resource["Type"] in LACKING}
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
        assert taken_out <= LACKING
        with ministack(folder / "ministack", {f"AWS_ENDPOINT_URL_{it}": world.url for it in SERVED}) as stack:
            made = Deployment(stack, world, folder, templates)
            made.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
            made.before = inventory(stack)
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


def test_instances_that_start_in_the_same_minute_are_one_execution_of_the_deployed_machine(deployment):
    # ministack's pipes read no queues, so that this does what the pipe's guide says: a message's body is JSON where the
    # template asks for a part of it, and a batch becomes a list.
    template = json.loads((deployment.folder / f"{STACK}.template.json").read_text())
    [pipe] = [it["Properties"] for it in template["Resources"].values() if it["Type"] == "AWS::Pipes::Pipe"]
    ids = [it["id"] for it in deployment.world.ask("fleet")["hosts"]][:2]

    def handed_over(instance: str) -> dict:
        message = {"body": json.dumps(instance_starts(instance).whole())}
        value = json.loads(message["body"])["detail"]["instance-id"]
        return json.loads(pipe["TargetParameters"]["InputTemplate"].replace("<$.body.detail.instance-id>", value))

    states = deployment.stack.states
    started = states.start_execution(stateMachineArn=MACHINE, input=json.dumps([handed_over(it) for it in ids]))

    def ended():
        described = states.describe_execution(executionArn=started["executionArn"])
        return described if described["status"] != "RUNNING" else None

    execution = wait_until("the execution", ended, 200)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    request = json.loads(execution["output"])["evidence"]["request"]
    assert (request["mode"], sorted(request["instanceIds"])) == ("converge", sorted(ids))


def test_cfn_lint_has_nothing_to_say_of_the_templates(deployment):
    command = [Path(sys.executable).parent / "cfn-lint", "--config-file", CDK / ".cfnlintrc"]
    run([*command, *deployment.templates], dict(os.environ))


def inventory(stack: Ministack) -> set[str]:
    """All there is in ministack of the types that the app makes, by type and name."""
    found = {
        "role": [it["RoleName"] for it in stack.client("iam").list_roles()["Roles"]],
        "policy": [it["PolicyName"] for it in stack.client("iam").list_policies(Scope="Local")["Policies"]],
        "user": [it["UserName"] for it in stack.client("iam").list_users()["Users"]],
        "function": [it["FunctionName"] for it in stack.lambdas.list_functions()["Functions"]],
        "machine": [it["name"] for it in stack.states.list_state_machines()["stateMachines"]],
        "schedule": [it["Name"] for it in stack.client("scheduler").list_schedules()["Schedules"]],
        "pipe": [it["Name"] for it in stack.client("pipes").list_pipes()["Pipes"]],
        "rule": [it["Name"] for it in stack.client("events").list_rules()["Rules"]],
        "alarm": [it["AlarmName"] for it in stack.client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "dashboard": [it["DashboardName"] for it in stack.client("cloudwatch").list_dashboards()["DashboardEntries"]],
        "log group": [it["logGroupName"] for it in stack.client("logs").describe_log_groups()["logGroups"]],
        "topic": [it["TopicArn"].split(":")[-1] for it in stack.sns.list_topics()["Topics"]],
        "queue": [it.split("/")[-1] for it in stack.sqs.list_queues().get("QueueUrls", [])],
        "secret": [it["Name"] for it in stack.client("secretsmanager").list_secrets()["SecretList"]],
        "key": [it["KeyId"] for it in stack.client("kms").list_keys()["Keys"]],
        "key alias": [it["AliasName"] for it in stack.client("kms").list_aliases()["Aliases"]],
    }
    return {f"{type_} {name}" for type_, names in found.items() for name in names}


def patterns(deployment: Deployment, stack: str) -> dict[str, dict]:
    """The patterns of a stack's rules, by name, as CloudFormation completes them: a secret's Ref is its ARN."""
    template = json.loads((deployment.folder / f"{stack}.template.json").read_text())

    def completed(value):
        if isinstance(value, dict):
            return WHOLE_SECRET if "Ref" in value else {name: completed(member) for name, member in value.items()}
        return [completed(member) for member in value] if isinstance(value, list) else value

    rules = [it["Properties"] for it in template["Resources"].values() if it["Type"] == "AWS::Events::Rule"]
    return {rule["Name"]: completed(rule["EventPattern"]) for rule in rules}


@pytest.mark.parametrize("sample", EVENTS, ids=lambda sample: sample.says)
def test_a_rule_hears_of_just_the_events_that_it_is_for(deployment, sample):
    events, event = deployment.stack.client("events"), json.dumps(sample.whole())

    def hears(pattern: dict) -> bool:
        return events.test_event_pattern(EventPattern=json.dumps(pattern), Event=event)["Result"]

    heard_by = {name for name, pattern in patterns(deployment, STACK).items() if hears(pattern)}
    assert heard_by == {f"{STACK}-sql-backups-{rule}" for rule in sample.heard_by}, event
    if sample.source == "aws.iam" and heard_by:
        [forwarded] = patterns(deployment, f"{STACK}-iam-events").values()
        assert hears(forwarded), "the home region would never hear of it"


def test_destroy_leaves_the_secret_with_its_key_and_user_and_nothing_else(deployment):
    made = inventory(deployment.stack) - deployment.before
    deployment.cdk("destroy", STACK, "--exclusively", "--force")
    left = inventory(deployment.stack) - deployment.before
    [key] = {thing for thing in made if thing.startswith("key ") and "alias" not in thing}
    assert len(made) > 40, made
    # The queues of these tests themselves are no part of the deployment.
    left = {thing for thing in left if thing not in TEST_QUEUES}
    assert left == {"secret sqlcredential", "user sql-backups-user", key}


@pytest.fixture
def run_command():
    """moto's Systems Manager, which takes every document and says what it was sent."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host_name, port = server.get_host_and_port()
    yield f"http://{host_name}:{port}"
    server.stop()


def test_one_command_removes_what_destroy_cannot_and_lists_what_is_kept(deployment, run_command, tmp_path):
    world = deployment.world
    tag, [*ids] = f"{STACK}:sql-backups", [it["id"] for it in world.ask("fleet")["hosts"]]
    instances = world.client("ec2")
    secret = world.client("secretsmanager").describe_secret(SecretId="sqlcredential")

    def tagged() -> list[str]:
        found = instances.describe_instances(Filters=[{"Name": "tag-key", "Values": [tag]}])["Reservations"]
        return sorted(it["InstanceId"] for group in found for it in group["Instances"])

    assert tagged() == sorted(ids)
    shown = deployment.remove_traces(run_command)
    assert shown[-1] == "Nothing was changed; --yes does it."
    assert tagged() == sorted(ids)

    said = deployment.remove_traces(run_command, "--yes")
    assert tagged() == []
    after = world.client("secretsmanager").describe_secret(SecretId="sqlcredential")
    assert [it["Key"] for it in after.get("Tags", []) if it["Key"].startswith(f"{STACK}:")] == []
    assert after["VersionIdsToStages"] == secret["VersionIdsToStages"], "labels are the way back to a value"
    kept = [line for line in said if line.startswith("kept:")]
    assert kept[0].startswith(f"kept: secret {secret['ARN']}")
    keys = world.client("iam").list_access_keys(UserName="sql-backups-user")["AccessKeyMetadata"]
    named = [line.split()[2] for line in kept if line.startswith("kept: key ")]
    assert named == [key["AccessKeyId"] for key in keys]

    commands = client("ssm", run_command).list_commands()["Commands"]
    assert {command["DocumentName"] for command in commands} == {"AWS-RunShellScript", "AWS-RunPowerShellScript"}
    [script] = [it["Parameters"]["commands"] for it in commands if it["DocumentName"] == "AWS-RunShellScript"]
    files = [*(f"sql-backups.{name}" for name in ("marker", "lock", "log", "log.1", "message")), "other.marker"]
    for file in files:
        (tmp_path / file).touch()
    # As the agent does: lines in a file, run by a shell.
    run(["sh", "-c", "\n".join(script)], os.environ | {"CREDENTIAL_ROTATION_STATE_DIRECTORY": str(tmp_path)})
    assert [path.name for path in tmp_path.iterdir()] == ["other.marker"]

    again = deployment.remove_traces(run_command, "--yes")
    assert [line for line in again if line.startswith("aws ")] == [], "a second time there is nothing to remove"
