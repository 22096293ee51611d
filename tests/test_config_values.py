"""Readers: strict about types, bounded, and clear about what to write instead."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.config.keys import KEYS, READERS
from rolewatch.config.types import Duration, Reader, Several, Switch, Text, UnusableError, Whole, shown
from rolewatch.text import printable

DURATION = Duration(5, 3600)
WHOLE = Whole(1, 10)
SWITCH = Switch()
TEXT = Text("anything", lambda text: text.lower(), optional=True)
SEVERAL = Several(TEXT)


@pytest.mark.parametrize(
    ("reader", "given_value", "value"),
    [
        (DURATION, 30, 30.0),
        (DURATION, 30.5, 30.5),
        (DURATION, "1h", 3600.0),
        (DURATION, 5, 5.0),
        (WHOLE, 1, 1),
        (WHOLE, 10, 10),
        (SWITCH, True, True),
        (SWITCH, False, False),
        (TEXT, "Word", "word"),
        (TEXT, "", ""),
        (SEVERAL, "One", ("one",)),
        (SEVERAL, ["One", "two", "ONE"], ("one", "two")),
        (SEVERAL, ("One",), ("one",)),
        (SEVERAL, [], ()),
    ],
)
def test_what_is_right_becomes_the_value(reader: Reader, given_value: object, value: object) -> None:
    """A reader returns the value in the type that the settings have."""
    read = reader(given_value)

    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("reader", "given_value", "complaint"),
    [
        (DURATION, 2, "is 2s; it must be 5s to 1h"),
        (DURATION, 3601, "is 1h1s; it must be 5s to 1h"),
        (DURATION, -1, "is -1; it must be 5s to 1h"),
        (DURATION, "250ms", "is 250ms; it must be 5s to 1h"),
        (DURATION, float("nan"), "is nan; it must be 5s to 1h"),
        (DURATION, float("inf"), "is inf; it must be 5s to 1h"),
        (DURATION, 10**400, "is a number of many digits; it must be 5s to 1h"),
        (DURATION, "30", 'is "30"; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms"'),
        (DURATION, True, 'is true; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms"'),
        (DURATION, [30], 'is a list; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms"'),
        (WHOLE, 0, "is 0; it must be 1 to 10"),
        (WHOLE, 11, "is 11; it must be 1 to 10"),
        pytest.param(WHOLE, 16**5000, "is a number of many digits; it must be 1 to 10", id="huge-number"),
        (WHOLE, 3.0, "is 3.0; write a whole number, as in 1"),
        (WHOLE, True, "is true; write a whole number, as in 1"),
        (WHOLE, "3", 'is "3"; write a whole number without quotes: 3'),
        (WHOLE, "three", 'is "three"; write a whole number, as in 1'),
        (SWITCH, "true", 'is "true"; write true, without quotes'),
        (SWITCH, "Off", 'is "Off"; write false, without quotes'),
        (SWITCH, 1, "is 1; write true, without quotes"),
        pytest.param(
            SWITCH, 16**5000, "is a number of many digits; write true or false, without quotes", id="huge-switch"
        ),
        (SWITCH, {}, "is a table; write true or false, without quotes"),
        (TEXT, 5, "is 5; write a text in quotes"),
        (TEXT, date(2026, 11, 23), "is a date or time; write a text in quotes"),
        (SEVERAL, 5, 'is 5; write a list of texts, as in ["one", "two"]'),
        (SEVERAL, ["one", 5], "is 5; write a text in quotes"),
    ],
)
def test_what_is_wrong_is_complained_of(reader: Reader, given_value: object, complaint: str) -> None:
    """A complaint says what was found, and what to write instead."""
    with pytest.raises(UnusableError) as caught:
        reader(given_value)

    assert str(caught.value) == complaint


def test_a_complaint_about_an_item_says_which() -> None:
    """So that its line can be told, and not only that of the list."""
    with pytest.raises(UnusableError) as caught:
        SEVERAL(["one", "two", 3])

    assert caught.value.item == 2


@pytest.mark.parametrize(
    ("reader", "text", "meant"),
    [
        (DURATION, "30", 30.0),
        (DURATION, " 0.5 ", 0.5),
        (DURATION, "1\x1f", 1.0),
        (DURATION, "30s", "30s"),
        (DURATION, "1e9", "1e9"),
        (WHOLE, "3", 3),
        (WHOLE, "\x1c3\n", 3),
        (WHOLE, "three", "three"),
        (WHOLE, "9" * 5000, "9" * 5000),
        (SWITCH, "YES", True),
        (SWITCH, "0", False),
        (SWITCH, "perhaps", "perhaps"),
        (TEXT, "text", "text"),
        (SEVERAL, "app-*, batch", ["app-*", "batch"]),
        (SEVERAL, "a,b c", ["a", "b", "c"]),
        (SEVERAL, " , ", []),
        (SEVERAL, "", []),
    ],
)
def test_text_of_the_environment_is_taken_for_what_it_means(reader: Reader, text: str, meant: object) -> None:
    """An environment has no types: numbers, switches and lists are read from text there, and only there."""
    assert reader.from_text(text) == meant


@pytest.mark.parametrize(
    ("given_value", "text"),
    [
        ("a\nb\x1b[31m", '"a\\nb\\x1b[31m"'),
        ("\udcff", '"\\udcff"'),
        ("x" * 100, '"' + "x" * 60 + '…"'),
        ("http://user:hunter2@h/", "a text that may hold a password, and is not shown for that"),
        ({}, "a table"),
        ([], "a list"),
        (False, "false"),
    ],
)
def test_a_value_is_shown_on_one_line_and_without_a_password(given_value: object, text: str) -> None:
    """What is wrong with the settings goes to the journal: no line breaks, no escapes, no secrets."""
    assert shown(given_value) == text


@given(st.text())
def test_printable_text_is_on_one_line_and_can_be_encoded(text: str) -> None:
    """No character of a file's name breaks a line or a terminal."""
    made = printable(text)

    assert made.isprintable()
    assert made.encode().decode() == made


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def assert_read_or_complained_of(name: str, value: object) -> None:
    """Assert that the reader of *name* returns its type, or complains on one line."""
    try:
        outcome = KEYS[name].read(value)
    except UnusableError as error:
        outcome = str(error)
        is_right = outcome.isprintable()
    else:
        is_right = type(outcome) is type(KEYS[name].default)

    assert is_right, outcome


@pytest.mark.parametrize("name", list(KEYS))
@given(value=JSON)
def test_a_reader_gives_a_value_of_its_type_or_complains(name: str, value: object) -> None:
    """Whatever stands in a file, a reader returns what the settings may hold, or raises `UnusableError`."""
    assert_read_or_complained_of(name, value)


@pytest.mark.parametrize("name", list(KEYS))
@given(text=st.text())
def test_any_text_of_the_environment_is_read_or_complained_of(name: str, text: str) -> None:
    """The same for the environment."""
    assert_read_or_complained_of(name, KEYS[name].read.from_text(text))


@pytest.mark.parametrize("name", list(KEYS))
def test_a_default_is_accepted_by_its_reader(name: str) -> None:
    """Otherwise nobody could write it down."""
    assert KEYS[name].read(KEYS[name].default) == KEYS[name].default


def test_every_reader_belongs_to_a_setting() -> None:
    """A setting that is gone takes its reader with it; one without a reader fails at import."""
    assert list(READERS) == list(KEYS)
