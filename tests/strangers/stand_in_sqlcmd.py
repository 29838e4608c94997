"""Stands in for sqlcmd on a host of test_host_with_the_real_cli.py: one instance of SQL Server 2022 in a JSON file.

A backup signs a PutObject with the key that the most specific credential holds, as SQL Server's S3 connector does.
"""

import json
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

CREDENTIAL = re.compile(
    r"(CREATE|ALTER|DROP) CREDENTIAL \[([^]]+)\](?: WITH IDENTITY = 'S3 Access Key', SECRET = N'(.*)')?;"
)
BACKUP = re.compile(r"BACKUP DATABASE \[model\] TO URL = N'([^']+)' WITH COPY_ONLY, FORMAT.*;")


def answer(statement: str, instance: dict) -> str:
    """What SQL Server prints; an error begins with Msg."""
    if "~instance~" in statement:
        return "~instance~16.0.4165.4~2~1"
    if "~backup~" in statement:
        return "~backup~1"
    if "~credential~" in statement:
        rows = instance["credentials"].items()
        return "\n".join(f"~credential~2026-11-24T06:00:{held['altered']:02}~s3~{name}" for name, held in rows)
    if change := CREDENTIAL.fullmatch(statement):
        return altered(*change.groups(), instance)
    if backup := BACKUP.fullmatch(statement):
        return backed_up(backup.group(1), instance)
    return f"Msg 102, Level 15, State 1: Incorrect syntax near {statement[:20]}"


def altered(verb: str, name: str, secret: str | None, instance: dict) -> str:
    if verb == "DROP":
        del instance["credentials"][name]
    else:
        instance["changes"] += 1
        instance["credentials"][name] = {"secret": secret.replace("''", "'"), "altered": instance["changes"]}
    return ""


def backed_up(url: str, instance: dict) -> str:
    # Loading the SDK takes longer than all the rest, and most statements need none.
    from botocore.exceptions import ClientError
    from local_aws import client

    covering = [name for name in instance["credentials"] if url.startswith(f"{name}/")]
    key, _, secret = instance["credentials"][max(covering, key=len)]["secret"].partition(":")
    place = urlsplit(url)
    storage = client("s3", os.environ["AWS_ENDPOINT_URL"], key, secret)
    try:
        if "/held/" in url and instance["refusedBackups"] > 0:
            instance["refusedBackups"] -= 1
            return (
                "Msg 3201, Level 16, State 1: Cannot open backup device. Operating system error 5(Access is denied.)."
            )
        storage.put_object(Bucket=place.hostname.partition(".")[0], Key=place.path[1:], Body=b"backup of model")
    except ClientError as refused:
        return f"Msg 3201, Level 16, State 1: Cannot open backup device: {refused}"
    return "BACKUP DATABASE successfully processed 2 pages"


def main() -> int:
    file = Path(os.environ["STAND_IN_INSTANCE"])
    instance = json.loads(file.read_text())
    instance["password"] = os.environ["SQLCMDPASSWORD"]
    statement = sys.stdin.read().removesuffix("\nGO\n")
    said = answer(statement, instance)
    file.write_text(json.dumps(instance))
    print(said)
    return 1 if said.startswith("Msg ") else 0


if __name__ == "__main__":
    sys.exit(main())
