"""Our local AWS beside moto 5.2.5 and beside AWS's own models; the cases are in `semantics/`.

The tables in tests/sandbox/README.md name these cases as witnesses.
"""

import re
from collections.abc import Callable

import pytest
from local_aws import CHECKOUT
from semantics import ec2, events, iam, notices, secrets, ssm, states  # noqa: F401 (they fill the two lists)
from semantics.everything import a_whole_rotation
from two_clouds import AGREEING, DIFFERING, Cloud, Difference, Refusal, moto, ours


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two-clouds")
    with ours(folder) as one, moto(folder) as other:
        yield one, other


def named(case: Callable) -> str:
    return f"{case.__module__.split('.')[-1]}-{case.__name__}"


def play(case: Callable, cloud: Cloud):
    """What the case sees, and what of our answers AWS's models do not know."""
    cloud.strange.clear()
    return case(cloud), list(cloud.strange)


def test_every_answer_of_a_whole_rotation_is_as_the_models_have_it(clouds):
    one, _ = clouds
    (status, answers), strange = play(a_whole_rotation, one)
    assert status == "SUCCEEDED"
    assert [operation for operation, answer in answers.items() if isinstance(answer, Refusal)] == []
    assert strange == []


@pytest.mark.parametrize("case", AGREEING, ids=named)
def test_both_do_the_same(clouds, case):
    (here, strange), (there, _) = (play(case, cloud) for cloud in clouds)
    assert here == there
    assert strange == []


@pytest.mark.parametrize(("case", "difference"), DIFFERING, ids=[named(case) for case, _ in DIFFERING])
def test_the_documentation_wins(clouds, case, difference: Difference):
    (here, strange), (there, _) = (play(case, cloud) for cloud in clouds)
    assert here == difference.expected, f"AWS: {difference.source}"
    assert there != difference.expected, f"moto follows AWS now; it said to differ: {difference.moto}"
    assert strange == []


def test_the_readme_names_no_witness_that_is_not_there_and_every_difference():
    tables = (CHECKOUT / "tests/sandbox/README.md").read_text()
    named_there = set(re.findall(r"\*([a-z0-9_]+_[a-z0-9_]+)\*", tables))
    differing = {case.__name__ for case, _ in DIFFERING}
    assert named_there - differing - {case.__name__ for case in AGREEING} == set()
    assert differing - named_there == set()
