"""The one table of keys: every setting, and how it is read. Made from `settings`, so that none can be forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from rolewatch.config import addresses, names
from rolewatch.config.types import Duration, Reader, Several, Switch, Text, Value, Whole
from rolewatch.settings import Settings

_HOUR = 3600.0
_LONGEST = 64
"""Characters of a mistyped name that are looked at."""

_ENDPOINT = Text("URL, http://HOST[:PORT]", addresses.endpoint, optional=True)
_LISTEN = Text("HOST:PORT, [IPV6]:PORT or *:PORT", addresses.listen)
_HOST = Text("host name, or *.DOMAIN", names.allowed_host)
_TAG = Text("key of an instance tag", names.tag_key, optional=True)
_DIRECTORY = Text("absolute path", names.directory, optional=True)
_PEM_FILE = Text("absolute path of a PEM file", names.directory, optional=True)

READERS: Mapping[str, Reader] = {
    "imds.endpoint": _ENDPOINT,
    "imds.endpoint_mode": names.words("ipv4", "ipv6"),
    "imds.timeout": Duration(0.1, 60),
    "imds.attempts": Whole(1, 10),
    # A poll holds up the watchdog, which the unit sets to three minutes.
    "imds.deadline": Duration(0.1, 60),
    "imds.allow_any_endpoint": Switch(),
    "imds.disabled": Switch(),
    # Longer, and a rotation could not be told from several that nobody saw: no cadence would be learned.
    "poll.interval": Duration(5, 240),
    "poll.confirm_interval": Duration(2, _HOUR),
    "poll.max_interval": Duration(5, _HOUR),
    "expect.role": Several(names.pattern_of("role", "a role", longest=64)),
    "expect.instance_profile": Several(names.pattern_of("instance-profile", "an instance profile", longest=128)),
    "expect.role_tag": _TAG,
    "expect.instance_profile_tag": _TAG,
    "limits.boot_grace": Duration(0, 6 * _HOUR),
    # `Date` has a resolution of one second, and an answer takes its time: less than two is noise.
    "limits.clock_skew": Duration(2, _HOUR),
    "limits.reminder": Duration(60, 24 * _HOUR),
    "metrics.listen": Several(_LISTEN),
    "metrics.allowed_hosts": Several(_HOST),
    "metrics.role_info": Switch(),
    "metrics.tls.cert_file": _PEM_FILE,
    "metrics.tls.key_file": _PEM_FILE,
    "metrics.tls.client_ca_file": _PEM_FILE,
    "metrics.tls.min_version": names.words("tls12", "tls13"),
    "textfile.path": Text("absolute path that ends in .prom", names.prom_file, optional=True),
    "log.format": names.words("auto", "journal", "json", "console"),
    "log.level": names.words("error", "warning", "notice", "info", "debug"),
    "state.directory": _DIRECTORY,
    "confirm.file": _DIRECTORY,
    "confirm.request": _DIRECTORY,
    "confirm.interval": Duration(600, 24 * _HOUR),
    "confirm.spread": Duration(0, _HOUR),
}


@dataclass(frozen=True)
class Key:
    """One setting."""

    table: str
    """As its header has it: ``poll``, or ``metrics.tls`` for a table in a table."""
    field: str
    default: Value
    read: Reader

    @property
    def name(self) -> str:
        """What people call it: ``poll.interval``."""
        return f"{self.table}.{self.field}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it: ``ROLEWATCH_POLL_INTERVAL``."""
        return f"{prefix_of(self.table)}{self.field}".upper()


def prefix_of(table: str) -> str:
    """Return what the environment variables of *table* begin with: ``ROLEWATCH_METRICS_TLS_``."""
    return f"ROLEWATCH_{table.replace('.', '_')}_".upper()


def _keys() -> dict[str, Key]:
    found = {}
    for table, field, default in _fields("", Settings()):
        name = f"{table}.{field}"
        found[name] = Key(table, field, default, READERS[name])
    return found


def _fields(table: str, values: Any) -> Iterator[tuple[str, str, Value]]:  # noqa: ANN401 - any dataclass
    """Yield table, name and default of each setting in *values*; a table's own come before those of tables in it."""
    within = {one.name: getattr(values, one.name) for one in fields(values)}
    yield from ((table, name, value) for name, value in within.items() if not is_dataclass(value))
    for name, value in within.items():
        if is_dataclass(value):
            yield from _fields(f"{table}.{name}".lstrip("."), value)


KEYS: Mapping[str, Key] = _keys()
"""Every setting by its name, in the order of `settings`."""

TABLES = tuple(dict.fromkeys(key.table for key in KEYS.values()))
"""The tables, in the same order."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the one of *known* that is nearest to *name*; empty where none is near."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for complaints

    found = get_close_matches(name.lower()[:_LONGEST], list(known), n=1)
    return found[0] if found else ""


def nearest_setting(name: str) -> Key | None:
    """Return the setting that was probably meant by *name*: of the same table, of another one, or by the whole name."""
    table, _, field = name.rpartition(".")
    for keys in ([key for key in KEYS.values() if key.table == table], KEYS.values()):
        found = nearest(field, (key.field for key in keys))
        if found:
            return next(key for key in keys if key.field == found)
    return KEYS.get(nearest(field, KEYS)) if table not in TABLES else None
