"""What is left of a run, in words that two runs can share.

Two interpreters that do the same draw other ids and reach each state at another time. So every id is replaced by what
it stands for and every time by one word; all the rest must be equal.
"""

import json
import re
from dataclasses import dataclass

from local_aws import World

OLD_KEY = "AKIASANDBOXCURRENT00"
# More than any late view takes to be seen.
A_MINUTE = 60


@dataclass
class Outcome:
    """All that two runs are compared by."""

    status: str
    error: str | None
    cause: str | None
    report: dict | None
    entered: list
    failures: set
    commands: list
    keys: dict
    labels: dict
    hosts: dict
    notices: list
    events: list
    findings: list


def outcome(world: World, states, ended: dict, notices: list, events_told: list) -> Outcome:
    """What Step Functions (`states`), the world's services and its hosts show when an execution has ended."""
    world.ask("clock", {"seconds": A_MINUTE})
    arn = ended["executionArn"]
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    events = [event for page in pages for event in page["events"]]
    top = set(world.definition("any")["States"])
    versions = versions_of(world)
    plain = Plain(arn, versions)
    return Outcome(
        status=ended["status"],
        error=ended.get("error"),
        cause=plain(ended.get("cause")),
        report=json.loads(plain(ended["output"])) if ended["status"] == "SUCCEEDED" else None,
        entered=[name for event in events if (name := entered(event)) in top],
        failures=failures(events, top),
        commands=[command for region in world.regions for command in commands(world, region)],
        keys={plain(key["id"]): key["status"] for key in world.ask("keys")["keys"]},
        labels={plain(version): plain(" ".join(labels)) for version, labels in versions.items()},
        hosts={host["id"]: host_as_it_is(host, plain) for host in world.ask("fleet")["hosts"]},
        notices=[{part: plain(text) for part, text in notice.items()} for notice in notices],
        # A queue has no order.
        events=sorted(plain(json.dumps([told["detail-type"], told["source"], told["detail"]])) for told in events_told),
        findings=world.ask("findings")["findings"],
    )


def versions_of(world: World) -> dict[str, list[str]]:
    """The secret's versions with their labels."""
    found = world.client("secretsmanager").describe_secret(SecretId="sqlcredential")["VersionIdsToStages"]
    return {version: sorted(labels) for version, labels in found.items()}


def commands(world: World, region: str) -> list[tuple]:
    """What was sent to the region's hosts, in its order: which wave, to which hosts, how it ended."""
    sent = world.client("ssm", region).list_commands()["Commands"]
    return [
        (region, command["Comment"], sorted(command["InstanceIds"]), command["Status"])
        for command in sorted(sent, key=lambda command: command["RequestedDateTime"])
    ]


def host_as_it_is(host: dict, plain) -> tuple:
    """Whether it runs, which keys its SQL Server instances hold, and what the ledger says of it."""
    return host["state"], [plain(held["key"]) for held in host["holds"]], plain(host["ledger"])


class Plain:
    """Puts what they stand for in the place of ids, and one word in the place of every time."""

    def __init__(self, execution: str, versions: dict[str, list[str]]):
        self.execution = execution
        self.versions = {version: " ".join(["version of", *labels]) for version, labels in versions.items()}

    def __call__(self, text: str | None) -> str | None:
        if text is None:
            return None
        text = text.replace(self.execution, "EXECUTION")
        for version, words in self.versions.items():
            text = text.replace(version, words)
        text = re.sub(rf"AKIA(?!{OLD_KEY[4:]})[A-Z0-9]{{16}}", "NEW KEY", text)
        return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)


def entered(event: dict) -> str | None:
    """The state that the event enters."""
    return event["stateEnteredEventDetails"]["name"] if event["type"].endswith("StateEntered") else None


def failures(events: list, top: set) -> set[tuple]:
    """Which error was met in which state at the top; ministack writes Lambda's events as Task's."""
    met, current = set(), None
    for event in events:
        if (name := entered(event)) in top:
            current = name
        details = event.get("taskFailedEventDetails") or event.get("lambdaFunctionFailedEventDetails")
        if details:
            met.add((current, details["error"]))
    return met


def without_rounds(names: list) -> list:
    """The states in their order, a loop that was gone through several times counted once."""
    kept = []
    for name in names:
        kept.append(name)
        for length in range(1, len(kept) // 2 + 1):
            if kept[-length:] == kept[-2 * length : -length]:
                del kept[-length:]
                break
    return kept
