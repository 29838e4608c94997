"""Two ways to run one rotation: on the local AWS as it is, and with ministack's Step Functions and Lambda in its place.

Our interpreter of the Amazon States Language and the machine were written by the same people, so that a misreading of
AWS's rules would be in both. ministack was written by others. It gets the same definition and the same binaries; the
services that the functions call are ours in both cases.
"""

import io
import json
import os
import socket
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from local_aws import ACCOUNT, REGION, World, client, process, wait_until

# Simulated seconds in a real one. Under ministack the machine's waits are its own, in real time and scaled down by just
# this, while the hosts' time is ours: the same scale for both keeps them in step.
PACE = 40


class Ministack:
    """ministack 1.5.33, a process of its own."""

    def __init__(self, url: str):
        self.url = url
        self.lambdas, self.states = self.client("lambda"), self.client("stepfunctions")
        self.sns, self.sqs = self.client("sns"), self.client("sqs")

    def client(self, service: str):
        # ministack takes an access key of twelve digits for the account: its ARNs have the account of our fleet.
        return client(service, self.url, ACCOUNT)

    def deploy(self, name: str, world: World, definition: dict) -> str:
        """A machine with the world's functions, under ministack; behind the functions are the world's services."""
        for function in world.ask("functions")["functions"]:
            self.lambdas.create_function(
                FunctionName=f"{function['name']}-{name}",
                Runtime="provided.al2023",
                Handler="bootstrap",
                Role=f"arn:aws:iam::{ACCOUNT}:role/rotation",
                Timeout=function["timeoutSeconds"],
                Environment={"Variables": {**own_names(function["environment"]), "BINARY": function["binary"]}},
                Code={"ZipFile": launcher()},
            )
        created = self.states.create_state_machine(
            name=f"second-opinion-{name}",
            definition=json.dumps(definition),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/rotation",
        )
        return created["stateMachineArn"]

    def letter_box(self, topic: str) -> str:
        """A queue that hears what ministack's sns:publish tells the topic, since that always goes to its own SNS."""
        name = topic.split(":")[-1]
        self.sns.create_topic(Name=name)
        queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        endpoint = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)
        return queue

    def bus_box(self, name: str, detail: dict) -> str:
        """A queue that hears those of our events on ministack's default bus whose detail fits."""
        queue = self.sqs.create_queue(QueueName=f"events-{name}")["QueueUrl"]
        events = self.client("events")
        pattern = {"source": ["credential-rotation"], "detail": detail}
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        endpoint = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events-{name}"
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": endpoint}])
        return queue

    def events(self, queue: str) -> list[dict]:
        """Every event that has come."""
        messages = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    def letters(self, queue: str) -> list[dict]:
        """Every notice that has come."""
        messages = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        bodies = [json.loads(message["Body"]) for message in messages]
        return [{"subject": body["Subject"], "message": body["Message"]} for body in bodies]


# AWS lets nobody set these for a function, and nor does ministack, which puts its own there: a launcher puts the
# credentials of the function's role in their place, which Lambda itself would do.
PREFIX = "ROLE_"
RESERVED = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def own_names(environment: dict) -> dict:
    """The environment with names that a function's configuration may have; the region is ministack's to set."""
    allowed = {name: value for name, value in environment.items() if name not in (*RESERVED, "AWS_REGION")}
    return allowed | {PREFIX + name: environment[name] for name in RESERVED}


def launcher() -> bytes:
    """A function's code: a bootstrap that becomes the binary which the sandbox runs too."""
    exports = "".join(f'export {name}="${PREFIX}{name}"\n' for name in RESERVED)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        bootstrap = zipfile.ZipInfo("bootstrap")
        bootstrap.external_attr = 0o755 << 16
        archive.writestr(bootstrap, f'#!/bin/sh\n{exports}exec "$BINARY"\n')
    return content.getvalue()


@contextmanager
def ministack(folder: Path, handed_down: dict[str, str] | None = None):
    """ministack on a free port of loopback, until the block ends. It hands its environment down to the functions."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True)
    # Nothing of the caller's AWS settings; an AWS_ENDPOINT_URL would go before the functions' own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "SFN_WAIT_SCALE": str(1 / PACE),
        "TMPDIR": str(folder),
        **(handed_down or {}),
    }
    log = folder / "ministack.log"
    url = f"http://127.0.0.1:{port}"
    with process([sys.executable, "-m", "ministack"], log, cwd=folder, env=environment) as child:
        stack = Ministack(url)

        def answers():
            if child.poll() is not None:
                raise RuntimeError(f"ministack ended: {log.read_text()}")
            try:
                return stack.states.list_state_machines() is not None
            except (BotoCoreError, ClientError):
                return False

        wait_until("ministack", answers)
        yield stack
