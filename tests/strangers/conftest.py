"""What holds for every test by strangers' tools."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def nobodys_aws_settings():
    """Nothing of the caller's AWS: neither keys nor a region nor an endpoint, and no file of theirs."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    yield
    os.environ.clear()
    os.environ.update(before)
