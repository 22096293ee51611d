"""What is fuzzed, as ordinary tests: hypothesis changes what the simulator said, and nothing may break a promise."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from forms import Form
from fuzz import targets
from fuzz.seeds import Seeds, seeds
from mutations import mutated
from promises import Area, promise

EXAMPLES = {"parse": 600, "watch": 150}
EACH = pytest.mark.parametrize("target", list(targets.TARGETS))


@pytest.fixture(scope="module")
def begun() -> Seeds:
    """Ask the simulator in each scenario."""
    return seeds()


@EACH
def test_what_the_simulator_says_breaks_nothing(target: str, begun: Seeds) -> None:
    """The seeds themselves: every scenario, three times over, with a restart, a boot and steps of the clock."""
    for seed in begun.of(target):
        targets.TARGETS[target](seed)


@promise(
    Area.IMDS,
    "Documents, headers and statuses are changed at random, for histories of up to twelve polls",
    "Every poll ends in a verdict that agrees with the last; every page, line and file is written, without a secret",
)
@EACH
def test_nothing_that_is_said_breaks_a_promise(target: str, begun: Seeds, *, form: Form) -> None:
    """Cut, doubled, swapped and flipped, in any answer of any poll."""
    short = EXAMPLES[target]

    @settings(max_examples=form.pick(30, short, 40 * short), suppress_health_check=list(HealthCheck))
    @given(data=mutated(begun.of(target)))
    def check(data: bytes) -> None:
        targets.TARGETS[target](data)

    check()


def test_a_secret_in_the_output_fails_the_check() -> None:
    """The check that all of this hangs on can fail."""
    with pytest.raises(AssertionError, match="a secret is in the output"):
        targets.assert_no_secret("x" + targets.SECRETS[b"@S"])
