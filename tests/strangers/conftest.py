"""What holds for every test by strangers' tools."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def nobodys_aws_settings():
    """Nothing of the caller's AWS: neither keys nor a region nor an endpoint, and no file of theirs.

    And no proxy: botocore and the AWS CLI would send it what is meant for 127.0.0.1.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    yield
    os.environ.clear()
    os.environ.update(before)
