"""The environment, the AWS SDKs' variables and the flags; and `Sources`, which collects the values of all sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from rolewatch.config.keys import KEYS, TABLES, nearest_setting, variable_prefix
from rolewatch.config.types import Duration, Switch, UnusableError, Value, ValueType, Whole, shown
from rolewatch.text import shortened


class Source(IntEnum):
    """Where a value comes from, the weakest first."""

    DEFAULT = 0
    SDK = 1
    """A variable of the AWS SDKs."""
    FILE = 2
    ENVIRONMENT = 3
    """A ROLEWATCH_… variable."""
    FLAG = 4


@dataclass(frozen=True)
class Candidate:
    """One value that one source gives for one setting."""

    name: str
    """The setting: ``poll.interval``."""
    value: Value
    source: Source
    origin: str
    """The place, as messages and ``rolewatch config show`` spell it: ``FILE:LINE``, a variable, a flag."""
    problem: str = ""
    """Why the value cannot be used, a sentence that begins with the place; then `value` is the default."""


@dataclass
class Sources:
    """Everything that the sources give, and what is wrong with them."""

    candidates: list[Candidate] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Other problems than those of `candidates`: unknown settings, unreadable files."""
    warnings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """The files that were read, in order."""

    def add(self, name: str, raw: object, source: Source, origin: str, item_origins: tuple[str, ...] = ()) -> None:
        """Add the value *raw* of the setting *name*. *item_origins* are the places of the items if it is a list."""
        try:
            self.candidates.append(Candidate(name, KEYS[name].read(raw), source, origin))
        except UnusableError as error:
            place = item_origins[error.item] if error.item is not None and error.item < len(item_origins) else origin
            self.refuse(name, source, origin, f"{place}: {name} {error}.")

    def refuse(self, name: str, source: Source, origin: str, problem: str) -> None:
        """Add an unusable value of the setting *name*."""
        self.candidates.append(Candidate(name, KEYS[name].default, source, origin, problem))


FLAGS: Mapping[str, str] = {"imds.endpoint": "--endpoint", "expect.role": "--expect-role", "metrics.listen": "--listen"}
"""The flags by the setting that they set."""

SDK_VARIABLES: Mapping[str, str] = {
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "imds.endpoint",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "imds.endpoint_mode",
    "AWS_METADATA_SERVICE_TIMEOUT": "imds.timeout",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "imds.attempts",
    "AWS_EC2_METADATA_DISABLED": "imds.disabled",
}
"""The SDKs' variables, and the setting whose default each one is.

AWS SDKs and Tools reference, "Amazon EC2 instance metadata" and "IMDS client"; botocore 1.44 for the cases (2026).
"""

_SDK_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_SDK_INTEGER = re.compile(r"[0-9]{1,9}", re.ASCII)
_LONGEST_VARIABLE = 200
"""Characters of the name of a variable, in a message."""


def read_environment(environ: Mapping[str, str], sources: Sources) -> None:
    """Add what *environ* gives to *sources*. An empty SDK variable counts as unset, as it does for SDKs."""
    for variable, name in SDK_VARIABLES.items():
        text = environ.get(variable, "").strip()
        if text:
            _add_sdk_variable(variable, name, text, sources)
    variables = {key.variable: key for key in KEYS.values()}
    for variable in sorted(environ):
        key = variables.get(variable)
        if key:
            sources.add(key.name, key.read.from_text(environ[variable]), Source.ENVIRONMENT, variable)
        elif variable.startswith("ROLEWATCH_"):
            _add_unknown(variable, sources)


def read_flags(flags: Mapping[str, object], sources: Sources) -> None:
    """Add the values of *flags*, by the names of settings, to *sources*. None is a flag that was not used."""
    for name, raw in flags.items():
        if raw is not None:
            # A list on the command line is one flag for each item; everything else is text, as in the environment.
            is_text = isinstance(raw, str) and name not in FLAGS
            value = KEYS[name].read.from_text(str(raw)) if is_text else raw
            sources.add(name, value, Source.FLAG, FLAGS.get(name, f"flag {name}"))


def _add_unknown(variable: str, sources: Sources) -> None:
    """Refuse a mistyped setting; warn of anything else: a container engine sets ROLEWATCH_PORT for a linked service."""
    table = max((one for one in TABLES if variable.startswith(variable_prefix(one))), key=len, default="")
    rest = variable[len(variable_prefix(table) if table else "ROLEWATCH_") :]
    near = nearest_setting((f"{table}.{rest}" if table else rest.replace("_", ".", 1)).lower())
    hint = f"; did you mean {near.variable}?" if near else "."
    variable = shortened(variable, _LONGEST_VARIABLE)
    if table:
        sources.problems.append(f"{variable}: there is no such setting{hint}")
    else:
        sources.warnings.append(f"{variable}: there is no such setting, and it is ignored{hint}")


def _add_sdk_variable(variable: str, name: str, text: str, sources: Sources) -> None:
    """Add a variable of the SDKs. A number that SDKs accept is cut to our bounds, with a warning."""
    try:
        raw = _from_sdk(KEYS[name].read, text)
    except UnusableError as error:
        sources.refuse(name, Source.SDK, variable, f"{variable}: {name} {error}.")
        return
    least, most = getattr(KEYS[name].read, "least", raw), getattr(KEYS[name].read, "most", raw)
    cut = min(max(raw, least), most)
    if cut != raw:
        limits = f"{name} is at most {most:g} here, and at least {least:g}"
        sources.warnings.append(f"{variable}: {limits}; {cut:g} is used.")
    sources.add(name, cut, Source.SDK, variable)


def _from_sdk(value_type: ValueType, text: str) -> Any:  # noqa: ANN401 - as TOML has it
    """Return what SDKs make of *text*. Raise `UnusableError` if they would not accept it."""
    if isinstance(value_type, Switch):
        if text.lower() not in ("true", "false"):
            raise UnusableError(f"is {shown(text)}; SDKs accept true and false")
        return text.lower() == "true"
    if isinstance(value_type, Whole):
        if not _SDK_INTEGER.fullmatch(text) or int(text) < 1:
            raise UnusableError(f"is {shown(text)}; SDKs accept a whole number, 1 or more")
        return int(text)
    if isinstance(value_type, Duration):
        if not _SDK_SECONDS.fullmatch(text) or float(text) <= 0:
            raise UnusableError(f"is {shown(text)}; SDKs accept a number of seconds, 1 or more")
        return float(text)
    return text
