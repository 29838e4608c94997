"""The second opinion: the same definition and the same binaries under ministack's Step Functions and Lambda.

Every fleet is rotated twice, by our interpreter and by ministack's, each with an AWS of its own that was made from the
same files; then the two are compared. Where ministack 1.5.33 differs from AWS:

- `sns:publish` and `events:putEvents` always reach its own SNS and EventBridge, whatever AWS_ENDPOINT_URL_SNS says; its
  notices and events are read there.
- What goes on inside a Map leaves no StateEntered events; the commands that reached the hosts stand for them.
- A retry's `MaxDelaySeconds` and `JitterStrategy` are ignored (a delay is 60 s at most), and so is the machine's own
  `TimeoutSeconds`. AWS knows all three:
  https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
- A failed function is a TaskFailed event; AWS writes LambdaFunctionFailed where the Resource is a function's ARN.
- `$$.State.EnteredTime` is this computer's time, and the fleet's time runs ahead of it. To the functions a command
  looks younger than it is, which makes them patient and no more; the times in the two reports differ.
"""

import copy
import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

import local_aws
import pytest
from local_aws import ACCOUNT, REGION, served, settings, wait_until
from outcome import OLD_KEY, Outcome, outcome, without_rounds
from second_opinion import PACE, Ministack, ministack

ABROAD = "us-east-1"


def host(number: int, region: str = REGION, **sql_server) -> dict:
    """A host of the fleet with one SQL Server instance that is like this."""
    return local_aws.host(number, region, sqlServers=[sql_server])


@dataclass
class Situation:
    """What a fleet is like when its key is rotated."""

    hosts: list
    fleet: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    # With late views the fleet's time stands still but for calls, commands and retries, so that what is late is missed
    # however slow this computer is. STS is then asked many times before it accepts the key, and the fleet's time begins
    # so far ahead that ministack's never overtakes it.
    is_late: bool = False

    def files(self, topic: str) -> tuple[dict, dict]:
        """The fleet file and the settings."""
        start = datetime.now(timezone.utc) + timedelta(minutes=2 if self.is_late else 0)
        fleet = {"account": ACCOUNT, "region": REGION, "startsAt": f"{start:%Y-%m-%dT%H:%M:%SZ}", "hosts": self.hosts}
        fleet["lateVisibility"] = self.is_late
        regions = sorted({host["region"] for host in self.hosts}) or [REGION]
        return fleet | self.fleet, settings(regions, topic, keyCheck={"attempts": 200}) | self.settings


SITUATIONS = {
    "quiet": Situation([host(1), host(2), host(3, ABROAD), host(4, ABROAD)]),
    "failing-host": Situation([host(1), host(2), host(3, neverWorks=True)], settings={"promoteShare": 0.6}),
    "too-many-fail": Situation([host(1), host(2, neverWorks=True)]),
    "late": Situation([host(1), host(2)], is_late=True),
    "empty-fleet": Situation([]),
    "unexplained-key": Situation([host(1)], fleet={"secondKey": "unknown"}),
}
# Run by ministack alone, with a definition of which a part is missing.
WITHOUT_RETRY = "late-without-retry"

# How a run ends that only a person can go on with.
FOR_A_PERSON = ["ExplainFailure", "NotifyOperator", "PublishOperatorNeeded", "RotationNeedsOperator"]

Opinions = dict[str, tuple[Future, Future]]


@pytest.fixture(scope="module")
def opinions(tmp_path_factory) -> Opinions:
    """Every situation under both interpreters, all at once: most of the time is waiting."""
    folder = tmp_path_factory.mktemp("ministack")
    with ministack(folder / "ministack") as stack, ThreadPoolExecutor(len(SITUATIONS) * 2 + 1) as pool:
        runs = {
            name: (
                pool.submit(ours, folder / name / "ours", name, situation),
                pool.submit(theirs, folder / name / "theirs", name, situation, stack),
            )
            for name, situation in SITUATIONS.items()
        }
        arguments = (folder / WITHOUT_RETRY, WITHOUT_RETRY, SITUATIONS["late"], stack, without_retry_of_what_is_late)
        control = pool.submit(theirs, *arguments)
        yield runs | {WITHOUT_RETRY: (control, control)}


def both(opinions: Opinions, name: str) -> tuple[Outcome, Outcome]:
    """Our interpreter's run and ministack's."""
    mine, other = opinions[name]
    return mine.result(), other.result()


def ours(folder, name: str, situation: Situation) -> Outcome:
    """The run under our own interpreter, started as anybody starts one."""
    with served(folder, *situation.files(name)) as world:
        states = world.client("stepfunctions")
        execution = states.start_execution(stateMachineArn=world.machine, name="first", input="{}")["executionArn"]
        end = wait_until(name, lambda: if_ended(states, execution))
        notices = [{"subject": told["subject"], "message": told["message"]} for told in world.ask("notices")["notices"]]
        return outcome(world, states, end, notices, world.ask("events")["events"])


def theirs(folder, name: str, situation: Situation, stack: Ministack, change=lambda definition: definition) -> Outcome:
    """The run under ministack, with a world of ours behind its functions."""
    pace = () if situation.is_late else ("--pace", str(PACE))
    with served(folder, *situation.files(name), *pace) as world:
        queue = stack.letter_box(world.topic)
        machine = stack.deploy(name, world, change(world.definition(name)))
        bus = stack.bus_box(name, {"execution": [f"{machine.replace(':stateMachine:', ':execution:')}:first"]})
        execution = stack.states.start_execution(stateMachineArn=machine, name="first", input="{}")["executionArn"]
        world.ask("executions", {"arn": execution, "status": "RUNNING"})

        def ended():
            if situation.is_late and waits_to_retry(stack.states, execution):
                world.ask("clock", {"seconds": 2})
            return if_ended(stack.states, execution)

        end = wait_until(name, ended)
        world.ask("executions", {"arn": execution, "status": end["status"]})
        assert world.ask("notices")["notices"] == [], "ministack's sns:publish reached our SNS after all"
        assert world.ask("events")["events"] == [], "ministack's events:putEvents reached our bus after all"
        return outcome(world, stack.states, end, stack.letters(queue), stack.events(bus))


def if_ended(states, execution: str) -> dict | None:
    """The execution, once it has ended."""
    described = states.describe_execution(executionArn=execution)
    return described if described["status"] != "RUNNING" else None


def waits_to_retry(states, execution: str) -> bool:
    """Whether a function failed and was not called again yet."""
    last = states.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=1)["events"]
    return last[0]["type"] == "TaskFailed"


def without_retry_of_what_is_late(definition: dict) -> dict:
    """The definition as it would be if nobody had thought of late views."""
    changed = copy.deepcopy(definition)
    for state in changed["States"].values():
        state["Retry"] = [retry for retry in state.get("Retry", []) if "NotVisibleYet" not in retry["ErrorEquals"]]
    return changed


@pytest.mark.parametrize("name", [name for name in SITUATIONS if name != "late"])
def test_both_interpreters_come_to_the_same_end_by_the_same_states(opinions, name):
    mine, other = both(opinions, name)
    assert other == mine
    assert mine.findings == []


def test_a_quiet_run_brings_the_new_key_to_every_host_under_both(opinions):
    for run in both(opinions, "quiet"):
        assert run.status == "SUCCEEDED"
        assert run.entered[-3:] == ["CanStageNow", "NotifySuccess", "RotationSucceeded"]
        assert run.keys == {OLD_KEY: "Active", "NEW KEY": "Active"}
        assert [keys for _, keys, _ in run.hosts.values()] == [["NEW KEY"]] * 4
        assert [notice["message"] for notice in run.notices] == [run.report["message"]]
        assert [json.loads(told)[0] for told in run.events] == ["Promoted", "Staged"]


def test_a_host_that_fails_is_tried_three_times_and_keeps_its_key_under_both(opinions):
    failing = host(3)["id"]
    for run in both(opinions, "failing-host"):
        assert run.status == "SUCCEEDED"
        assert [status for _, _, hosts, status in run.commands if failing in hosts] == ["Failed"] * 3
        assert run.hosts[failing] == ("running", [OLD_KEY], None)
        assert f"{failing} at localhost: ProofFailed" in run.report["message"]


def test_too_many_failing_hosts_end_in_a_caught_error_under_both(opinions):
    for run in both(opinions, "too-many-fail"):
        assert (run.status, run.error) == ("FAILED", "ProofsMissing")
        assert run.entered[-5:] == ["PromoteStage", *FOR_A_PERSON]
        assert [json.loads(told)[0] for told in run.events] == ["Failed", "HostFailed", "Staged"]


@pytest.mark.parametrize("name, error", [("empty-fleet", "EmptyFleet"), ("unexplained-key", "UnknownAccessKey")])
def test_an_error_for_a_person_is_caught_and_told_under_both(opinions, name, error):
    for run in both(opinions, name):
        assert (run.status, run.error) == ("FAILED", error)
        assert run.entered[-4:] == FOR_A_PERSON
        [notice] = run.notices
        assert notice["subject"] == "credential-rotation sql-backups: needs you"
        assert notice["message"].startswith(f"{error} in execution EXECUTION.\n{run.cause}")
        assert set(run.keys.values()) == {"Active"}, "no key was touched"


def test_what_is_not_visible_yet_is_retried_and_the_run_succeeds_under_both(opinions):
    mine, other = both(opinions, "late")
    for run in (mine, other):
        assert run.status == "SUCCEEDED"
        assert ("CommandFleet", "NotVisibleYet") in run.failures
        assert {error for _, error in run.failures} == {"NotVisibleYet"}
    # How often a key is checked and a view is late depends on how long a machine waits, and ministack hardly waits.
    alike = {"failures": set(), "entered": []}
    assert replace(other, **alike) == replace(mine, **alike)
    assert without_rounds(other.entered) == without_rounds(mine.entered)


def test_without_its_retry_what_is_not_visible_yet_ends_the_run(opinions):
    _, run = both(opinions, WITHOUT_RETRY)
    assert (run.status, run.error) == ("FAILED", "NotVisibleYet")
    assert run.entered[-4:] == ["StageCredential", "NotifyFailure", "PublishFailed", "RotationFailed"]
    [notice] = run.notices
    assert notice["subject"] == "credential-rotation sql-backups: failed"
    assert run.findings == []
