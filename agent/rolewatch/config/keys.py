"""The one table of settings: the name, default and value type of each. Made from `settings`, so that it is complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from operator import attrgetter
from typing import Any

from rolewatch.config import types
from rolewatch.config.types import Duration, Several, Switch, Text, Value, ValueType, Whole
from rolewatch.settings import Settings
from rolewatch.text import format_duration

_HOUR = 3600.0
_LONGEST = 64
"""Characters of a mistyped name that are compared."""

_ENDPOINT = Text("URL, http://HOST[:PORT]", types.endpoint, optional=True)
_LISTEN = Text("HOST:PORT, [IPV6]:PORT or *:PORT", types.listen)
_HOST = Text("host name, or *.DOMAIN", types.allowed_host)
_TAG = Text("key of an instance tag", types.tag_key, optional=True)
_DIRECTORY = Text("absolute path", types.absolute_path, optional=True)
_PEM_FILE = Text("absolute path of a PEM file", types.absolute_path, optional=True)

VALUE_TYPES: Mapping[str, ValueType] = {
    "imds.endpoint": _ENDPOINT,
    "imds.endpoint_mode": types.choice("auto", "ipv4", "ipv6"),
    "imds.timeout": Duration(0.1, 60),
    "imds.attempts": Whole(1, 10),
    # A poll delays the watchdog ping; the unit sets WatchdogSec to three minutes.
    "imds.deadline": Duration(0.1, 60),
    "imds.allow_any_endpoint": Switch(),
    "imds.accept_responder": Several(types.choice("not_ec2", "local_address", "other_instance", "proxy")),
    "imds.disabled": Switch(),
    # With a longer interval the rotation interval cannot be learned: one rotation looks like several.
    "poll.interval": Duration(5, 240),
    "poll.confirm_interval": Duration(2, _HOUR),
    "poll.max_interval": Duration(5, _HOUR),
    "expect.role": Several(types.pattern_of("role", "a role", longest=64)),
    "expect.instance_profile": Several(types.pattern_of("instance-profile", "an instance profile", longest=128)),
    "expect.none": Switch(),
    "expect.role_tag": _TAG,
    "expect.instance_profile_tag": _TAG,
    "expect.containers": Switch(),
    "expect.container_hop_limit": Whole(2, 64),
    "limits.boot_grace": Duration(0, 6 * _HOUR),
    # `Date` has a resolution of one second, and the response takes time: less than two seconds is noise.
    "limits.clock_skew": Duration(2, _HOUR),
    "limits.reminder": Duration(60, 24 * _HOUR),
    "metrics.listen": Several(_LISTEN),
    "metrics.allowed_hosts": Several(_HOST),
    "metrics.role_info": Switch(),
    "metrics.tls.cert_file": _PEM_FILE,
    "metrics.tls.key_file": _PEM_FILE,
    "metrics.tls.client_ca_file": _PEM_FILE,
    "metrics.tls.min_version": types.choice("tls12", "tls13"),
    "textfile.path": Text("absolute path that ends in .prom", types.prom_file, optional=True),
    "log.format": types.choice("auto", "journal", "json", "console"),
    "log.level": types.choice("error", "warning", "notice", "info", "debug"),
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
    """The name in the table's header: ``poll``, or ``metrics.tls`` for a table in a table."""
    field: str
    default: Value
    read: ValueType

    @property
    def name(self) -> str:
        """The name that people use: ``poll.interval``."""
        return f"{self.table}.{self.field}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it: ``ROLEWATCH_POLL_INTERVAL``."""
        return f"{variable_prefix(self.table)}{self.field}".upper()

    def value_in(self, settings: Settings) -> Value:
        """Return the value that *settings* have for this setting."""
        value: Value = attrgetter(self.name)(settings)
        return value

    def to_toml(self, value: Value) -> str:
        """Return *value* in TOML; a duration with its unit."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, tuple):
            return f"[{', '.join(map(_quoted, value))}]"
        if isinstance(value, str):
            return _quoted(value)
        return _quoted(format_duration(value)) if isinstance(self.read, Duration) else str(value)


def _quoted(text: str) -> str:
    """Return *text* as a TOML string. No setting contains a control character."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def variable_prefix(table: str) -> str:
    """Return the prefix of the environment variables of *table*: ``ROLEWATCH_METRICS_TLS_``."""
    return f"ROLEWATCH_{table.replace('.', '_')}_".upper()


def _keys(table: str, values: Any) -> Iterator[Key]:  # noqa: ANN401 - any dataclass
    """Yield the settings in *values*, the dataclass of *table*; its own come before those of the tables in it."""
    inner = {one.name: getattr(values, one.name) for one in fields(values)}
    for name, value in inner.items():
        if not is_dataclass(value):
            yield Key(table, name, value, VALUE_TYPES[f"{table}.{name}"])
    for name, value in inner.items():
        if is_dataclass(value):
            yield from _keys(f"{table}.{name}".lstrip("."), value)


KEYS: Mapping[str, Key] = {key.name: key for key in _keys("", Settings())}
"""Every setting by its name, in the order of `settings`."""

TABLES = tuple(dict.fromkeys(key.table for key in KEYS.values()))
"""The tables, in the same order."""


def make_settings(values: Mapping[str, Value]) -> Settings:
    """Return the settings with *values*, which has every setting by its name."""

    def filled(prefix: str, default: Any) -> Any:  # noqa: ANN401 - any dataclass
        inner = {one.name: getattr(default, one.name) for one in fields(default)}
        return replace(
            default,
            **{
                name: filled(f"{prefix}{name}.", value) if is_dataclass(value) else values[prefix + name]
                for name, value in inner.items()
            },
        )

    settings: Settings = filled("", Settings())
    return settings


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the string in *known* that is most similar to *name*; the empty string if none is similar."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for error messages

    found = get_close_matches(name.lower()[:_LONGEST], list(known), n=1)
    return found[0] if found else ""


def nearest_setting(name: str) -> Key | None:
    """Return the setting most similar to *name*: in the same table, in another one, or by its whole name."""
    table, _, field = name.rpartition(".")
    for keys in ([key for key in KEYS.values() if key.table == table], KEYS.values()):
        found = nearest(field, (key.field for key in keys))
        if found:
            return next(key for key in keys if key.field == found)
    return KEYS.get(nearest(field, KEYS)) if table not in TABLES else None
