"""Session tokens: their shape, their life, and whose they are."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.simulator.imds import Tokens, ttl

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)


def test_a_token_looks_like_one_of_imds() -> None:
    """56 characters of base64url, as recorded: AQAEA in front, two equals signs behind."""
    assert re.fullmatch(r"AQAEA[A-Za-z0-9_-]{49}==", Tokens(b"k" * 32).issue(21600, NOON))


def test_every_token_is_another() -> None:
    """Two tokens of the same moment differ."""
    tokens = Tokens(b"k" * 32)

    assert tokens.issue(60, NOON) != tokens.issue(60, NOON)


@pytest.mark.parametrize(
    ("after", "left"),
    [
        pytest.param(0, 60, id="at once"),
        pytest.param(0.4, 60, id="a moment later"),
        pytest.param(1, 59, id="a second later"),
        pytest.param(59.9, 1, id="just before its end"),
        pytest.param(60, 0, id="at its end"),
        pytest.param(3600, 0, id="long after"),
    ],
)
def test_a_token_contains_its_remaining_lifetime(after: float, left: int) -> None:
    """The seconds left are rounded up, and 0 from the end on."""
    tokens = Tokens(b"k" * 32)

    assert tokens.left(tokens.issue(60, NOON), NOON + timedelta(seconds=after)) == left


def test_a_token_of_another_instance_is_none() -> None:
    """A token is good where it was issued."""
    assert Tokens(b"a" * 32).left(Tokens(b"b" * 32).issue(60, NOON), NOON) == 0


@given(st.text())
def test_no_text_is_taken_for_a_token(text: str) -> None:
    """Whatever a client sends for a token is 0 seconds good, and no error."""
    assert Tokens(b"k" * 32).left(text, NOON) == 0


@pytest.mark.parametrize("position", [0, 8, 20, 30, 50])
def test_a_token_that_was_changed_is_none(position: int) -> None:
    """No character of a token can be changed."""
    tokens = Tokens(b"k" * 32)
    token = tokens.issue(60, NOON)
    changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]

    assert tokens.left(changed, NOON) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        ("21600", 21600),
        (" 60 ", 60),
        ("0", None),
        ("21601", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("٣", None),
        ("9" * 5000, None),
        (None, None),
    ],
)
def test_a_life_is_1_to_21600_seconds(text: str | None, seconds: int | None) -> None:
    """Anything else is no life, and IMDS answers 400."""
    assert ttl(text) == seconds
