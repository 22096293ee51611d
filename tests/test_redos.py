"""The judge of regular expressions sees those that backtrack, and sees all of ours."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("redos_linter", reason="recheck needs Python 3.10")

from redos import in_ecmascript, judge, uses

HEADER = re.compile(r"(?P<name>[!-9;-~]+):[ \t]*(?P<value>[^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
"""A header line's, with which one request once kept the daemon for minutes."""
SECTION = re.compile(r"\[\s*(?:profile\s+)?([^\]]{1,128})\s*\]")
STARS = re.compile(".*" * 24 + "x")
FINE = re.compile(
    r"""
    (?P<name> [a-z \#]{1,64} )  # a comment
    : [ ] \d+ \Z
    """,
    re.VERBOSE,
)


@pytest.mark.parametrize(
    ("pattern", "method", "status"),
    [
        pytest.param(HEADER, "fullmatch", "vulnerable", id="header"),
        pytest.param(SECTION, "match", "vulnerable", id="section"),
        pytest.param(STARS, "fullmatch", "vulnerable", id="stars"),
        pytest.param(re.compile("-+x"), "search", "vulnerable", id="search"),
        pytest.param(re.compile("-+x"), "match", "safe", id="the same at the start"),
        pytest.param(re.compile(b"(?i)[a-z]+"), "fullmatch", "safe", id="bytes"),
        pytest.param(FINE, "fullmatch", "safe", id="verbose"),
    ],
)
def test_what_backtracks_is_found(pattern: re.Pattern[Any], method: str, status: str) -> None:
    """By its use, with the text that costs most."""
    (judged,) = judge([in_ecmascript(pattern, method, "here")])

    assert judged.status == status
    assert bool(judged.attack) is (status == "vulnerable")


def test_blanks_names_and_large_counts_are_translated() -> None:
    """What Python spells in another way."""
    assert in_ecmascript(FINE, "fullmatch", "here").source == r"^(?:(?<name>[a-z \#]+):[ ]\d+$)$"
    assert in_ecmascript(FINE, "search", "here").source == r"(?<name>[a-z \#]+):[ ]\d+$"


def test_every_expression_is_judged_as_it_is_used() -> None:
    """Examples of all kinds: matched whole, from the start, anywhere, in two ways, and by a helper."""
    found = {(use.where, use.method) for use in uses()}

    assert {
        ("rolewatch.http.request._FIELD_NAME", "fullmatch"),
        ("rolewatch.http.request._END", "search"),
        ("rolewatch.http.request._LETTERS", "match"),
        ("rolewatch.config.toml_files._TOKEN", "finditer"),
        ("rolewatch.aws_names.ERROR_CODE", "fullmatch"),
        ("rolewatch.imds.documents._SECRET", "finditer"),
    } <= found
