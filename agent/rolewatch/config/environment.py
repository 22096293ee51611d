"""The environment and the flags: our own variables, the AWS SDKs', and what was said on the command line.

An SDK's variable is weaker than anything of ours, and it was set for other programs. So what an SDK accepts and we do
not is cut to our bounds with a warning; what an SDK would refuse is a problem, if nothing of ours stands before it.
"""

from __future__ import annotations

import re
from typing import Callable, Mapping, Tuple

from rolewatch.config.given import Gathered, Given, Source
from rolewatch.config.keys import KEYS, TABLES, nearest_setting, prefix_of
from rolewatch.config.values import shown

_PREFIX = "ROLEWATCH_"
_VARIABLES: Mapping[str, str] = {key.variable: key.name for key in KEYS.values()}

FLAGS: Mapping[str, str] = {"imds.endpoint": "--endpoint", "expect.role": "--expect-role", "metrics.listen": "--listen"}
"""The flags by the setting that they set."""

_SDK_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_SDK_INTEGER = re.compile(r"[0-9]{1,9}", re.ASCII)


def gather_environment(environ: Mapping[str, str], gathered: Gathered) -> None:
    """Add what *environ* gives to *gathered*. An empty SDK variable counts as unset, as it does for SDKs."""
    for variable, (name, convert) in SDK_VARIABLES.items():
        text = environ.get(variable, "").strip()
        if text:
            try:
                value = convert(text)
            except _NotSdkError as error:
                gathered.given.append(Given(name, text, Source.SDK, variable, complaint=str(error)))
            else:
                gathered.given.append(Given(name, _cut(name, value, variable, gathered), Source.SDK, variable))
    for variable in sorted(environ):
        if variable in _VARIABLES:
            name = _VARIABLES[variable]
            value = KEYS[name].read.from_text(environ[variable])
            gathered.given.append(Given(name, value, Source.ENVIRONMENT, variable))
        elif variable.startswith(_PREFIX):
            _add_unknown(variable, gathered)


def gather_flags(flags: Mapping[str, object], gathered: Gathered) -> None:
    """Add what *flags* give, by the settings' names. None is a flag that was not used."""
    for name, value in flags.items():
        if value is not None:
            origin = FLAGS.get(name, f"flag {name}")
            read = KEYS[name].read
            # A list on the command line is one flag for each item; everything else is text, as in the environment.
            given = read.from_text(value) if isinstance(value, str) and name not in FLAGS else value
            gathered.given.append(Given(name, given, Source.FLAG, origin))


def _add_unknown(variable: str, gathered: Gathered) -> None:
    """Refuse a mistyped setting; warn of anything else: a container engine sets ROLEWATCH_PORT for a linked service."""
    table = max((one for one in TABLES if variable.startswith(prefix_of(one))), key=len, default="")
    rest = variable[len(prefix_of(table) if table else _PREFIX) :]
    near = nearest_setting((f"{table}.{rest}" if table else rest.replace("_", ".", 1)).lower())
    hint = f"; did you mean {near.variable}?" if near else "."
    if table:
        gathered.problems.append(f"{variable}: there is no such setting{hint}")
    else:
        gathered.warnings.append(f"{variable}: there is no such setting, and it is ignored{hint}")


class _NotSdkError(ValueError):
    """An SDK would not accept this; the text goes on after the setting's name."""


def _sdk_switch(text: str) -> object:
    if text.lower() not in ("true", "false"):
        raise _NotSdkError(f"is {shown(text)}; SDKs know true and false")
    return text.lower() == "true"


def _sdk_seconds(text: str) -> object:
    if not _SDK_NUMBER.fullmatch(text) or float(text) <= 0:
        raise _NotSdkError(f"is {shown(text)}; SDKs know a number of seconds, 1 or more")
    return float(text)


def _sdk_attempts(text: str) -> object:
    if not _SDK_INTEGER.fullmatch(text) or int(text) < 1:
        raise _NotSdkError(f"is {shown(text)}; SDKs know a whole number, 1 or more")
    return int(text)


def _cut(name: str, value: object, variable: str, gathered: Gathered) -> object:
    """Return *value* within the bounds of our setting *name*, with a warning where that is another value."""
    read = KEYS[name].read
    least, most = getattr(read, "least", None), getattr(read, "most", None)
    if least is None or most is None or not isinstance(value, (int, float)) or least <= value <= most:
        return value
    cut = type(value)(min(max(value, least), most))
    gathered.warnings.append(f"{variable}: {name} is at most {most:g} here, and at least {least:g}; {cut:g} is used.")
    return cut


SDK_VARIABLES: Mapping[str, Tuple[str, Callable[[str], object]]] = {
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": ("imds.endpoint", str),
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": ("imds.endpoint_mode", str),
    "AWS_METADATA_SERVICE_TIMEOUT": ("imds.timeout", _sdk_seconds),
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS": ("imds.attempts", _sdk_attempts),
    "AWS_EC2_METADATA_DISABLED": ("imds.disabled", _sdk_switch),
}
"""The SDKs' variables: the setting of ours that each is the default of, and how SDKs read it.

AWS SDKs and Tools reference, "Amazon EC2 instance metadata" and "IMDS client"; botocore 1.44 for the cases (2026).
"""
