"""Durations: what people write, and what that is in seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.config.types import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("6h", 21600.0),
        ("1h30m", 5400.0),
        ("1h30m15s", 5415.0),
        ("1h 30m", 5400.0),
        (" 30s ", 30.0),
        ("250ms", 0.25),
        ("2.5s", 2.5),
        ("1s500ms", 1.5),
        ("0s", 0.0),
        ("1h250ms", 3600.25),
        ("90m", 5400.0),
    ],
)
def test_a_duration_is_read_in_the_units_that_people_write(text: str, seconds: float) -> None:
    """Hours, minutes, seconds and milliseconds, the larger unit first, with or without spaces between."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "30",
        "s",
        "-30s",
        "+30s",
        "30S",
        "5 m",
        "30m1h",
        "1h1h",
        "1d",
        "1e3s",
        ".5s",
        "1.s",
        "\N{ARABIC-INDIC DIGIT THREE}s",
        "30s;",
        "30s\n30s",
        "nan",
        "infs",
        "9" * 60 + "s",
    ],
)
def test_what_is_no_duration_is_none(text: str) -> None:
    """Nothing is guessed: no sign, no bare number, no unit out of order, no other digits than ASCII's."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.25, "250ms"),
        (0.0005, "0.5ms"),
        (2.0, "2s"),
        (2.5, "2.5s"),
        (90.0, "1m30s"),
        (300.0, "5m"),
        (3600.0, "1h"),
        (5400.0, "1h30m"),
        (86400.0, "24h"),
        (3661.1, "1h1m1.1s"),
    ],
)
def test_seconds_are_written_in_the_units_that_people_read(seconds: float, text: str) -> None:
    """No unit that is zero is written, and no digits that floating point invents."""
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False).map(lambda seconds: round(seconds, 3)))
def test_what_is_written_is_read_back(seconds: float) -> None:
    """`parse_duration` undoes `format_duration`."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.text() | st.from_regex(r"[0-9.]*h?[0-9.]*m?[0-9. ]*(ms|s)?", fullmatch=True))
def test_any_text_is_a_duration_or_none(text: str) -> None:
    """No text raises anything, and none is a negative or an infinite duration."""
    seconds: float | None = parse_duration(text)

    assert seconds is None or 0 <= seconds < float("inf")
