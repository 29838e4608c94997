"""The local AWS, `sandbox serve`, as a stranger's tool finds it: an address, and a key pair that is a person's."""

import json
import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
from botocore.config import Config

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "tests/sandbox/examples"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", CHECKOUT / "target"))
REGION = "eu-west-1"
ACCOUNT = "111122223333"

# A run takes a few seconds on an idle machine. Before it serves, the sandbox lets cargo look whether the functions are
# built, and cargo may have to wait for another build.
PATIENCE_SECONDS = 80
PATIENCE_WITH_CARGO_SECONDS = 300


@contextmanager
def process(arguments, log: Path, **options):
    """A child of ours that ends with the block."""
    with log.open("wb") as output:
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        child = subprocess.Popen(arguments, **streams, **options)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until(what: str, question, seconds: float = PATIENCE_SECONDS):
    """Asks until there is an answer."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)
    return answer


def client(service: str, url: str, access_key: str = "person", secret: str = "any", region: str = REGION):
    """A client of botocore, which reads every answer by AWS's own models."""
    return boto3.Session().client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 1}, read_timeout=30),
    )


@dataclass
class World:
    """A fleet with its AWS, as `sandbox serve` makes it."""

    url: str
    machine: str
    topic: str
    regions: list[str]

    def client(self, service: str, region: str = REGION):
        return client(service, self.url, region=region)

    def ask(self, path: str, body=None):
        """What AWS has no API for; the table of these calls is in tests/sandbox/README.md."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/sandbox/{path}", data=data, headers={"content-type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def definition(self, suffix: str) -> dict:
        """The machine's definition with these settings, for functions under names that end so."""
        return self.ask(f"definition?functionArn=arn:aws:lambda:{REGION}:{ACCOUNT}:function:*-{suffix}")

    def start(self, name: str, **given) -> str:
        """Starts an execution."""
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=self.machine, name=name, input=json.dumps(given)
        )
        return started["executionArn"]

    def ended(self, execution: str) -> dict:
        """An execution when it has ended."""
        states = self.client("stepfunctions")

        def end():
            described = states.describe_execution(executionArn=execution)
            return described if described["status"] != "RUNNING" else None

        return wait_until(f"the end of {execution}", end)

    def run(self, name: str, **given) -> dict:
        """Starts an execution and waits for its end."""
        return self.ended(self.start(name, **given))


@contextmanager
def served(folder: Path, fleet: dict, settings: dict, *more: str):
    """`sandbox serve`, until the block ends."""
    program = TARGET / "debug/sandbox"
    if not program.exists():
        raise RuntimeError(f"{program} is missing; run: cargo build --workspace --bins")
    folder.mkdir(parents=True, exist_ok=True)
    files = {"fleet": folder / "fleet.json", "settings": folder / "settings.json"}
    files["fleet"].write_text(json.dumps(fleet))
    files["settings"].write_text(json.dumps(settings))
    arguments = ["serve", "--fleet", files["fleet"], "--settings", files["settings"], *more]
    with started([program, *arguments], folder / "sandbox.log", fleet) as world:
        yield world


@contextmanager
def started(command: list, log: Path, fleet: dict):
    """What a whole command of `sandbox serve` makes of this fleet, until the block ends."""
    with process(command, log, cwd=CHECKOUT) as child:

        def greeting():
            if child.poll() is not None:
                raise RuntimeError(f"sandbox serve ended: {log.read_text()}")
            lines = log.read_text().splitlines()
            return lines[:3] if len(lines) > 3 else None

        listening, machine, topic = wait_until("sandbox serve", greeting, PATIENCE_WITH_CARGO_SECONDS)
        regions = sorted({REGION, *(host["region"] for host in fleet["hosts"])})
        yield World(listening.split()[-1], machine.split()[-1], topic.split()[-1], regions)


def example(name: str) -> dict:
    """One of the files that the README's commands use: fleet or settings."""
    return json.loads((EXAMPLES / f"{name}.json").read_text())


def settings(regions: list[str], topic: str, **more) -> dict:
    """The published set-up's settings for a fleet in these regions."""
    return {
        "rotation": "sql-backups",
        "secret": {"id": "sqlcredential"},
        "user": "sql-backups-user",
        "credentials": ["s3://sql-backups.s3.eu-west-1.amazonaws.com"],
        "fleet": {
            "tags": [{"key": "SQL", "values": ["2022"]}],
            "targets": [{"account": ACCOUNT, "regions": regions}],
        },
        "topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{topic}",
    } | more


def host(number: int, region: str = REGION, **more) -> dict:
    """A host of a fleet with one SQL Server instance."""
    return {"id": f"i-{number:017x}", "region": region, "tags": {"SQL": "2022"}, "sqlServers": [{}]} | more
