"""Two AWSs that were written by people who never met: ours, and moto 5.2.5. The same calls are played against both.

A case is a function that plays some calls and gives back what can be seen of them. Where both must see the same it is
marked `agrees`. Where moto does not do what AWS documents, the documentation wins: such a case is marked `documented`
with what AWS says, where it says so, and what moto does instead. It fails as soon as ours strays from the
documentation, and also when moto comes to follow it, so that the list never claims too much.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from local_aws import ACCOUNT, REGION, host, process, served, settings, wait_until
from model import strange_members

HOSTS = 8
FLEET_REGION = "us-east-1"
TOPIC = "notices"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:credential-rotation-sql-backups"


@dataclass(frozen=True)
class Refusal:
    """An error as a caller sees it. What the message says is compared where a case asks for it."""

    code: str
    status: int = field(compare=False, default=0)
    message: str = field(compare=False, default="")


@dataclass(frozen=True)
class Difference:
    """Why the two differ."""

    expected: object
    source: str
    moto: str


AGREEING: list[Callable] = []
DIFFERING: list[tuple[Callable, Difference]] = []


def agrees(case: Callable) -> Callable:
    """A case in which both must see the same."""
    AGREEING.append(case)
    return case


def documented(expected: object, source: str, moto: str) -> Callable:
    """A case in which moto does not do what AWS documents."""

    def mark(case: Callable) -> Callable:
        DIFFERING.append((case, Difference(expected, source, moto)))
        return case

    return mark


class Cloud:
    """One of the two, as boto3 sees it."""

    def __init__(self, url: str, instances: list[str]):
        self.url = url
        self.instances = instances
        # What an answer held that AWS's model does not know; boto3 drops such members without a word.
        self.strange: list[str] = []
        self._clients: dict[tuple, object] = {}
        self._names = 0

    def __call__(self, operation: str, region: str = REGION, key: tuple[str, str] = ("person", "any"), **members):
        """Calls `service.Operation`: its answer without the metadata, or a refusal."""
        service, name = operation.split(".")
        call = getattr(self._client(service, region, key), xform_name(name))
        try:
            answer = call(**members)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return Refusal(error.response["Error"]["Code"], status, error.response["Error"].get("Message", ""))
        except ResponseParserError as error:
            return Refusal("no answer of AWS's", 500, str(error))
        answer.pop("ResponseMetadata")
        return answer

    def new_name(self) -> str:
        """A name that no case has used. Both clouds play the same cases, so it is the same in both."""
        self._names += 1
        return f"case-{self._names}"

    def checking_every_caller(self):
        """From here to the end of the block every caller is checked; ours always checks a user's key at STS."""
        return _unchanged()

    def _client(self, service: str, region: str, key: tuple[str, str]):
        # What AWS refuses is to be refused by the cloud, not by boto3.
        config = Config(retries={"max_attempts": 1}, read_timeout=30, parameter_validation=False)
        if (service, region, key) not in self._clients:
            client = boto3.Session().client(
                service,
                endpoint_url=self.url,
                region_name=region,
                aws_access_key_id=key[0],
                aws_secret_access_key=key[1],
                config=config,
            )
            client.meta.events.register("before-parse", self._look)
            self._clients[service, region, key] = client
        return self._clients[service, region, key]

    def _look(self, operation_model, response_dict, **_):
        if response_dict["status_code"] < 300:
            self.strange += strange_members(operation_model, response_dict["body"])


class Moto(Cloud):
    """moto lets everybody in, unless it is told to check from the next call on."""

    @contextmanager
    def checking_every_caller(self):
        self._check_callers_after(b"0")
        try:
            yield
        finally:
            self._check_callers_after(b"inf")

    def _check_callers_after(self, calls: bytes):
        request = Request(f"{self.url}/moto-api/reset-auth", data=calls, headers={"content-type": "text/plain"})
        urlopen(request, timeout=30).close()


@contextmanager
def _unchanged():
    yield


@contextmanager
def ours(folder: Path):
    """`sandbox serve` with hosts for the cases, and in another region a small fleet to rotate that no case touches."""
    hosts = [host(number, name=f"host-{number}") for number in range(1, HOSTS + 1)]
    rotated = [host(number, FLEET_REGION, name=f"fleet-{number}") for number in range(HOSTS + 1, HOSTS + 3)]
    fleet = {"account": ACCOUNT, "region": REGION, "startsAt": "2026-11-24T06:00:00Z", "hosts": hosts + rotated}
    with served(folder / "ours", fleet, settings([FLEET_REGION], TOPIC)) as world:
        yield Cloud(world.url, [host["id"] for host in hosts])


@contextmanager
def moto(folder: Path):
    """moto's server on a free port of loopback, with as many instances that bear the same tags."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    environment["MOTO_ACCOUNT_ID"] = ACCOUNT
    log, url = folder / "moto.log", f"http://127.0.0.1:{port}"
    arguments = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with process(arguments, log, cwd=folder, env=environment) as child:

        def answers():
            if child.poll() is not None:
                raise RuntimeError(f"moto ended: {log.read_text()}")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until("moto", answers)
        cloud = Moto(url, [])
        cloud("sns.CreateTopic", Name=TOPIC)
        machine = {"StartAt": "Nothing", "States": {"Nothing": {"Type": "Wait", "Seconds": 1, "End": True}}}
        role = f"arn:aws:iam::{ACCOUNT}:role/machine"
        name = MACHINE.rsplit(":", 1)[-1]
        cloud("stepfunctions.CreateStateMachine", name=name, definition=json.dumps(machine), roleArn=role)
        for number in range(1, HOSTS + 1):
            tags = [{"Key": "Name", "Value": f"host-{number}"}, {"Key": "SQL", "Value": "2022"}]
            # One of the images that moto brings along.
            wanted = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1}
            wanted["TagSpecifications"] = [{"ResourceType": "instance", "Tags": tags}]
            cloud.instances.append(cloud("ec2.RunInstances", **wanted)["Instances"][0]["InstanceId"])
        yield cloud
