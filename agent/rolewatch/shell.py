"""Put names into commands that a person pastes into a shell: every printed command is made with these.

IAM allows ``=,.@+-`` and the underscore in names, so a name may look like an option (``-x``, ``--help``). The form
``--option=value`` keeps it a value, whatever it begins with. `tests/test_commands.py` runs every command with the AWS
CLI. One legal name cannot be given to the AWS CLI on older Pythons: ``--`` alone, which argparse before 3.13 drops.
"""

from __future__ import annotations

import re
import shlex

_PLACEHOLDER = re.compile(r"<[a-z-]+>")
_PLAIN = re.compile(r"[\w./:-]+", re.ASCII)
_SHORTHAND_KEY = re.compile(r"(?<![\w-])[A-Z][A-Za-z]*=\Z")


def placeholder(name: str) -> str:
    """Return how a person sees that the value called *name* is unknown: ``<instance-id>``. The shell refuses it."""
    return "<" + name.replace("_", "-") + ">"


def quoted(value: str) -> str:
    """Return *value* as one word of the shell. A placeholder stays as it is."""
    return value if _PLACEHOLDER.fullmatch(value) else shlex.quote(value)


def shorthand(value: str) -> str:
    """Return *value* for ``Key=value``, the AWS CLI's shorthand, where an unquoted comma or equals sign ends it."""
    if _PLACEHOLDER.fullmatch(value) or _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return quoted(f'"{escaped}"')


def option(name: str, value: str) -> str:
    """Return ``--name=value``, the form in which a value that begins with a dash is no option."""
    return f"--{name}={quoted(value)}"


def over_ipv6(command: str) -> str:
    """Return *command* with IMDS's IPv6 address in place of its IPv4 address, and the programs for that."""
    for old, new in _OVER_IPV6.items():
        command = command.replace(old, new)
    return command


_OVER_IPV6 = {
    "http://169.254.169.254": "http://[fd00:ec2::254]",
    "169.254.169.254/32": "fd00:ec2::254/128",
    "169.254.169.254": "fd00:ec2::254",
    "ip rule": "ip -6 rule",
    "ip route show": "ip -6 route show",
    "iptables": "ip6tables",
}


def fill(value: str, before: str) -> str:
    """Return *value* quoted for its place in a command template, where *before* is the text in front of it."""
    return shorthand(value) if _SHORTHAND_KEY.search(before) else quoted(value)
