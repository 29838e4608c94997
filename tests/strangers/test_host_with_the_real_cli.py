"""The AWS CLI calls of the scripts for Linux, made by the real AWS CLI: under bash, against the local AWS's services.

Everywhere else a stand-in answers for the CLI on a host. Here it is AWS's own program, of version 1, since the Python
package index has no version 2. Where the script leans on the CLI, version 2 differs so:

- Its exit code for an error of a service is 254, and 1 or 255 in version 1. The script asks only whether it is 0.
- From 2.34 on an error's line begins with `aws: [ERROR]: `, and `cli_error_format` in a host's configuration can turn
  it into JSON. AWS_CLI_ERROR_FORMAT=legacy brings the old line; version 1 does not know the variable.
- It sends what it prints through a pager, unless AWS_PAGER is empty.
"""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from local_aws import CHECKOUT, World, example, host, served

DOCUMENTS = CHECKOUT / "statemachine/documents"
STAND_IN = Path(__file__).with_name("stand_in_sqlcmd.py")
URL = "s3://sql-backups.s3.eu-west-1.amazonaws.com"
SECRET, ADMINISTRATOR, USER = "sqlcredential", "sql-administrator", "sql-backups-user"


class Host:
    """One host: a folder with the tools that the script needs, an instance of SQL Server, and a state directory."""

    def __init__(self, world: World, folder: Path):
        self.world, self.folder = world, folder
        self.secrets, self.iam = world.client("secretsmanager"), world.client("iam")
        self.instance = folder / "instance.json"
        (folder / "bin").mkdir()
        (folder / "bin/aws").symlink_to(Path(sys.prefix) / "bin/aws")
        self.tool("sqlcmd", f'exec "{sys.executable}" "{STAND_IN}" "$@"')
        value = self.value("AWSCURRENT")
        self.holds(value if ":" in value else "{accessKeyId}:{secretAccessKey}".format(**json.loads(value)))

    def tool(self, name: str, body: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def holds(self, secret: str) -> None:
        credentials = {URL: {"secret": secret, "altered": 0}}
        self.instance.write_text(json.dumps({"credentials": credentials, "changes": 0, "refusedBackups": 0}))

    def refuse_next_backup(self) -> None:
        """The next backup through the working credential fails."""
        self.instance.write_text(json.dumps(self.told() | {"refusedBackups": 1}))

    def held(self) -> str:
        return self.told()["credentials"][URL]["secret"]

    def told(self) -> dict:
        return json.loads(self.instance.read_text())

    def value(self, label: str, secret: str = SECRET) -> str:
        return self.secrets.get_secret_value(SecretId=secret, VersionStage=label)["SecretString"]

    def arn(self, secret: str) -> str:
        return self.secrets.describe_secret(SecretId=secret)["ARN"]

    def stage(self, value: str) -> str:
        """Stores a value as AWSPENDING and returns its version."""
        return self.secrets.put_secret_value(SecretId=SECRET, SecretString=value, VersionStages=["AWSPENDING"])[
            "VersionId"
        ]

    def new_key(self) -> str:
        """A second key of the user, as AKID:SECRET."""
        key = self.iam.create_access_key(UserName=USER)["AccessKey"]
        return f"{key['AccessKeyId']}:{key['SecretAccessKey']}"

    def target(self, label: str = "AWSCURRENT") -> str:
        return self.secrets.get_secret_value(SecretId=SECRET, VersionStage=label)["VersionId"]

    def apply(self, **changes: str) -> tuple[int, dict]:
        return self.run("apply", **changes)

    def run(self, document: str, **changes: str) -> tuple[int, dict]:
        """Runs a document's script as the SSM agent does, and returns its exit code and its answer."""
        environment = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "AWS_SSM_INSTANCE_ID": "i-0abc",
            "CREDENTIAL_ROTATION_STATE_DIRECTORY": f"{self.folder}/state",
            "CREDENTIAL_ROTATION_SQL_SERVER_PROGRAM": "/bin/true",
            "CREDENTIAL_ROTATION_PATIENCE": "0",
            "STAND_IN_INSTANCE": str(self.instance),
            # On a host the instance's role and its region; nothing else of the caller's.
            "AWS_ENDPOINT_URL": self.world.url,
            "AWS_ACCESS_KEY_ID": "person",
            "AWS_SECRET_ACCESS_KEY": "person",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_MAX_ATTEMPTS": "1",
        }
        parameters = {
            "rotation": "sql-backups",
            "secretArn": self.arn(SECRET),
            "versionId": self.target(),
            "credentials": URL,
            "foreignCredentials": "",
            "endpoints": "localhost",
            "administratorSecretArn": self.arn(ADMINISTRATOR),
            "proof": "backup",
            "proofPrefix": ".credential-rotation",
            "createMissing": "false",
            "trustServerCertificate": "false",
        }
        environment |= {f"SSM_{name}": value for name, value in parameters.items()}
        environment |= changes
        run = {"env": environment, "capture_output": True, "text": True, "timeout": 60}
        marker = ["host/marker.sh"] if document == "apply" else []
        names = ["host/linux.sh", "host/credentials.sh", *marker, f"{document}-s3-credential/{document}.sh"]
        parts = [DOCUMENTS / name for name in names]
        script = self.folder / f"{document}.sh"
        script.write_text("\n".join(part.read_text() for part in parts))
        done = subprocess.run(["bash", script], **run)
        self.stderr = done.stderr
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    fleet = example("fleet") | {"hosts": [host(1)], "story": []}
    with served(tmp_path_factory.mktemp("world"), fleet, example("settings")) as world:
        yield world


@pytest.fixture
def a_host(world, tmp_path):
    """A host that holds the user's first key; what a test staged or made is taken back."""
    one = Host(world, tmp_path)
    yield one
    stages = one.secrets.describe_secret(SecretId=SECRET)["VersionIdsToStages"]
    for version in [version for version, labels in stages.items() if "AWSPENDING" in labels]:
        one.secrets.update_secret_version_stage(SecretId=SECRET, VersionStage="AWSPENDING", RemoveFromVersionId=version)
    for key in one.iam.list_access_keys(UserName=USER)["AccessKeyMetadata"]:
        if key["AccessKeyId"] not in one.value("AWSCURRENT"):
            one.iam.delete_access_key(UserName=USER, AccessKeyId=key["AccessKeyId"])


def test_without_a_pending_version_the_cli_s_error_is_understood_and_the_current_one_is_the_target(a_host):
    code, answer = a_host.apply()
    assert (code, answer["version"], answer["proved"]) == (0, a_host.target(), 1), a_host.stderr


def test_the_pending_version_is_read_applied_and_proved(a_host):
    key = a_host.new_key()
    version = a_host.stage(key)
    code, answer = a_host.apply(SSM_versionId=version)
    assert (code, answer["version"], answer["proved"], answer["changed"]) == (0, version, 1, 1), a_host.stderr
    assert a_host.held() == key


def test_a_value_that_is_json_over_many_lines_comes_through_the_cli_s_text_output_whole(a_host):
    name, _, secret = a_host.new_key().partition(":")
    value = json.dumps(
        {"note": "tab\there, é€🔑", "accessKeyId": name, "secretAccessKey": secret}, indent=2, ensure_ascii=False
    )
    version = a_host.stage(value)
    code, answer = a_host.apply(SSM_versionId=version)
    assert (code, answer["proved"]) == (0, 1), a_host.stderr
    assert a_host.held() == f"{name}:{secret}"


def test_a_password_beyond_ascii_reaches_sqlcmd_as_it_was_stored(a_host):
    password = 'pä§s €🔑 "quoted" \\ $(id) \''
    arn = a_host.secrets.create_secret(
        Name="beyond-ascii", SecretString=json.dumps({"username": "rotation", "password": password}, ensure_ascii=False)
    )["ARN"]
    code, _ = a_host.apply(SSM_administratorSecretArn=arn)
    assert code == 0, a_host.stderr
    assert a_host.told()["password"] == password


def test_a_hint_that_is_not_the_target_is_told_apart(a_host):
    code, answer = a_host.apply(SSM_versionId="00000000-0000-0000-0000-000000000000")
    assert (code, answer["failures"][0]["error"]) == (3, "VersionNotVisibleYet")


def test_a_secret_that_is_not_there_is_named_in_the_cli_s_words(a_host):
    code, answer = a_host.apply(SSM_secretArn=a_host.arn(SECRET)[:-6] + "nobody")
    [failure] = answer["failures"]
    assert (code, failure["error"]) == (2, "SecretNotReadable")
    assert "(ResourceNotFoundException) when calling the GetSecretValue operation" in failure["message"]


def test_secrets_manager_that_cannot_be_reached_is_named_in_the_cli_s_words(a_host):
    code, answer = a_host.apply(AWS_ENDPOINT_URL="http://127.0.0.1:1")
    [failure] = answer["failures"]
    assert (code, failure["error"]) == (2, "SecretNotReadable")
    assert "Could not connect to the endpoint URL" in failure["message"]


def test_what_was_held_is_read_by_its_version_and_put_back_where_the_last_proof_fails(a_host):
    before = a_host.held()
    assert a_host.apply()[0] == 0
    version = a_host.stage(a_host.new_key())
    a_host.refuse_next_backup()
    code, answer = a_host.apply(SSM_versionId=version)
    [failure] = answer["failures"]
    assert (code, failure["error"]) == (1, "ProofFailedRestored"), a_host.stderr
    assert a_host.held() == before


def test_an_inspection_reads_both_secrets_and_shows_what_it_sees(a_host):
    before = a_host.held()
    assert a_host.apply()[0] == 0
    version = a_host.target()
    a_host.stage(a_host.new_key())
    code, answer = a_host.run("inspect", SSM_versionId=a_host.target("AWSPENDING"))
    assert (code, answer["proved"], answer["changed"]) == (0, 0, 0), a_host.stderr
    assert answer["inspected"] == {
        "instances": 1,
        "seen": [{"instance": "localhost", "product": "16.0.4165.4", "holds": version}],
    }
    assert a_host.held() == before


def test_without_backups_the_new_key_signs_a_call_of_its_own(a_host):
    version = a_host.stage(a_host.new_key())
    code, answer = a_host.apply(SSM_versionId=version, SSM_proof="none")
    assert (code, answer["proved"]) == (0, 1), a_host.stderr


@pytest.mark.parametrize(
    "wrong, error",
    [
        (lambda key: key[:-4] + "XXXX", "(SignatureDoesNotMatch) when calling the GetCallerIdentity operation"),
        (
            lambda key: "AKIANOBODYNOBODY0000" + key[20:],
            "(InvalidClientTokenId) when calling the GetCallerIdentity operation",
        ),
    ],
    ids=["a-wrong-secret", "a-key-that-is-not-there"],
)
def test_a_key_that_sts_refuses_is_named_in_the_cli_s_words_and_changes_nothing(a_host, wrong, error):
    before = a_host.held()
    version = a_host.stage(wrong(a_host.new_key()))
    code, answer = a_host.apply(SSM_versionId=version, SSM_proof="none")
    [failure] = answer["failures"]
    assert (code, failure["error"]) == (1, "ProofFailed")
    assert error in failure["message"]
    assert a_host.held() == before


def test_the_secret_is_in_no_output_and_no_file_of_the_host(a_host):
    key = a_host.new_key()
    code, answer = a_host.apply(SSM_versionId=a_host.stage(key))
    assert code == 0
    secret = key.partition(":")[2]
    files = [path.read_text(errors="replace") for path in (a_host.folder / "state").rglob("*") if path.is_file()]
    assert files and not any(secret in text for text in [a_host.stderr, json.dumps(answer), *files])
