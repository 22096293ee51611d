"""How much of itself the test suite runs: the quick form, the short form, or the long form.

| form | command | what it runs |
|---|---|---|
| quick | ``pytest --quick``, `make test` | all but `slow` and `thorough` tests, and each promise once; 20 examples |
| short | ``pytest`` | all tests; 100 examples of Hypothesis |
| long | ``pytest --long``, `make reliability FORM=--long` | each promise in the longest form of its test: an hour |

`make test-all` is the short form in two parts: `make test`, then ``pytest --rest``, which runs what the quick form
leaves out, and what it runs in a smaller form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Callable, TypeVar

import hypothesis
import pytest
from _pytest.mark.structures import ParameterSet

T = TypeVar("T")

LEFT_OUT = ("slow", "thorough")
"""The marks of what the quick form leaves out."""


class Form(Enum):
    """One form. A test that has more than one takes the fixture `form`."""

    QUICK = "quick"
    SHORT = "short"
    LONG = "long"

    def pick(self, quick: T, short: T, long: T) -> T:
        """Return the value for this form."""
        return {Form.QUICK: quick, Form.SHORT: short, Form.LONG: long}[self]


def form_of(config: pytest.Config) -> Form:
    """Return the form that the command line asks for."""
    if config.getoption("--long"):
        return Form.LONG
    return Form.QUICK if config.getoption("--quick") else Form.SHORT


def examples(count: int) -> int:
    """Return how many examples Hypothesis tries in the current form: *count* in all but the quick one."""
    return max(1, count * hypothesis.settings().max_examples // 100)


def one_of_each(values: Iterable[T], kind: Callable[[T], object], name: Callable[[T], str]) -> list[ParameterSet]:
    """Return *values* as parameters with the id that *name* gives. All but the first of each *kind* are thorough."""
    parameters, kinds = [], set()
    for value in values:
        marks = pytest.mark.thorough if kind(value) in kinds else ()
        kinds.add(kind(value))
        parameters.append(pytest.param(value, id=name(value), marks=marks))
    return parameters


def some(values: Mapping[str, object], *quick: str) -> list[ParameterSet]:
    """Return *values* as parameters with their keys as ids. All but those named *quick* are thorough."""
    return [
        pytest.param(value, id=name, marks=() if name in quick else pytest.mark.thorough)
        for name, value in values.items()
    ]


@pytest.fixture
def form(request: pytest.FixtureRequest) -> Form:
    """Return the form in which the suite runs."""
    return form_of(request.config)


def add_options(parser: pytest.Parser) -> None:
    """Add ``--quick`` and ``--long``."""
    parser.addoption("--quick", action="store_true", help="the quick form: minutes, each promise once")
    parser.addoption("--rest", action="store_true", help="of the short form, what the quick form has not run")
    parser.addoption("--long", action="store_true", help="the long forms: minutes to an hour")


def load_profile(config: pytest.Config) -> None:
    """Set the number of Hypothesis's examples. No deadline: a shared machine is slow at times."""
    hypothesis.settings.register_profile("short", deadline=None, print_blob=True)
    hypothesis.settings.register_profile("quick", deadline=None, print_blob=True, max_examples=20)
    hypothesis.settings.load_profile("quick" if form_of(config) is Form.QUICK else "short")


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Remove from *items* what the form that was asked for does not run."""
    quick = _quick(items)
    if form_of(config) is Form.QUICK:
        kept = quick
    elif config.getoption("--rest"):
        done = {item for item in quick if not _has_forms(item)}
        kept = [item for item in items if item not in done]
    else:
        return
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def _quick(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return what the quick form runs of *items*: all that is not left out, and each promise once."""
    promises: set[tuple[str, object]] = set()
    kept: set[pytest.Item] = set()
    for item in sorted(items, key=_is_left_out):
        rows = {(item.nodeid.partition("[")[0], mark.args[1]) for mark in item.iter_markers("promise")}
        if not _is_left_out(item) or not rows <= promises:
            kept.add(item)
        promises |= rows
    return [item for item in items if item in kept]


def _has_forms(item: pytest.Item) -> bool:
    """Return whether *item* does less in the quick form: fewer examples of Hypothesis, or a form of its own."""
    function = getattr(item, "obj", None)
    return bool(getattr(function, "is_hypothesis_test", False)) or "form" in getattr(item, "fixturenames", ())


def _is_left_out(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in LEFT_OUT)
