"""Merge the sources into settings, and validate combinations of settings."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import Any, cast

from rolewatch.config import addresses
from rolewatch.config.keys import KEYS, TABLES
from rolewatch.config.sources import Gathered, Given, Source
from rolewatch.config.types import UnusableError, Value, format_duration
from rolewatch.settings import Settings


class Draft:
    """A value for every setting; the defaults to begin with."""

    def __init__(self) -> None:
        """Start with the defaults."""
        self.values: dict[str, Value] = {name: key.default for name, key in KEYS.items()}
        self.origins: dict[str, str] = dict.fromkeys(KEYS, "default")
        self.sources: dict[str, Source] = {}
        self.broken: set[str] = set()
        """Settings for which something unusable was given: nothing more is to be said of them."""

    def take(self, gathered: Gathered) -> None:
        """Take what was *gathered*, the weakest source first; add what cannot be used to its problems."""
        postponed: dict[str, str] = {}
        for given in sorted(gathered.given, key=lambda one: one.source):  # stable: files stay in their order
            try:
                self._set(given, _read(given))
            except _ComplaintError as error:
                if given.source is Source.SDK:
                    postponed[given.name] = str(error)
                else:
                    gathered.problems.append(str(error))
                    self.broken.add(given.name)
        for name, problem in postponed.items():
            if name in self.sources:
                gathered.warnings.append(f"{problem} {self.origins[name]} stands before it, and is used.")
            else:
                gathered.problems.append(problem)
                self.broken.add(name)

    def _set(self, given: Given, value: Value) -> None:
        self.values[given.name], self.origins[given.name] = value, given.origin
        self.sources[given.name] = given.source

    def unset(self, name: str) -> None:
        """Let the default of the setting *name* be in force again."""
        self.values[name], self.origins[name] = KEYS[name].default, "default"
        self.sources.pop(name, None)

    def settings(self) -> Settings:
        """Return the values as settings."""
        tables: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
        for name, value in self.values.items():
            tables[KEYS[name].table][KEYS[name].field] = value
        settings = Settings()
        for table in reversed(TABLES):  # a table in another one is made before it
            outer, _, field = table.rpartition(".")
            made = replace(attrgetter(table)(settings), **tables[table])
            if outer:
                tables[outer][field] = made
            else:
                settings = replace(settings, **{field: made})
        return settings


class _ComplaintError(Exception):
    """A value cannot be used; the text is a whole sentence that begins with the place."""


def _read(given: Given) -> Value:
    """Return the value that *given* stands for."""
    if given.complaint:
        raise _ComplaintError(f"{given.origin}: {given.name} {given.complaint}.")
    try:
        return KEYS[given.name].read(given.value)
    except UnusableError as error:
        known = error.item is not None and error.item < len(given.item_origins)
        place = given.item_origins[error.item or 0] if known else given.origin
        raise _ComplaintError(f"{place}: {given.name} {error}.") from None


def settle(draft: Draft, gathered: Gathered) -> None:
    """Settle what stands against what in *draft*; add problems and warnings to *gathered*."""
    _fit_sdk_timeout(draft, gathered)
    _choose_endpoint(draft, gathered)
    _refuse_untrusted_endpoint(draft, gathered)
    _ask_what_was_named(draft, gathered)
    _refuse_if_longer(draft, gathered, "imds.timeout", "imds.deadline")
    _refuse_if_longer(draft, gathered, "poll.interval", "poll.max_interval")
    _say_if_useless(draft, gathered)
    _refuse_half_of_tls(draft, gathered)


def _seconds(draft: Draft, name: str) -> float:
    return cast("float", draft.values[name])


def _fit_sdk_timeout(draft: Draft, gathered: Gathered) -> None:
    """Cut a time-out that was meant for SDKs down to the deadline of our poll."""
    timeout, deadline = _seconds(draft, "imds.timeout"), _seconds(draft, "imds.deadline")
    if draft.sources.get("imds.timeout") is Source.SDK and timeout > deadline:
        used = format_duration(deadline)
        origin = draft.origins["imds.timeout"]
        gathered.warnings.append(f"{origin}: imds.timeout is at most imds.deadline here; {used} is used.")
        draft.values["imds.timeout"] = deadline


def _choose_endpoint(draft: Draft, gathered: Gathered) -> None:
    """Let the endpoint stand before the mode, as SDKs do, unless the mode is our own setting and it is not."""
    endpoint, mode = draft.sources.get("imds.endpoint"), draft.sources.get("imds.endpoint_mode")
    if not draft.values["imds.endpoint"] or mode is None:
        return
    endpoint_origin, mode_origin = draft.origins["imds.endpoint"], draft.origins["imds.endpoint_mode"]
    if endpoint is Source.SDK and mode is not Source.SDK:
        draft.unset("imds.endpoint")
        gathered.warnings.append(f"{endpoint_origin}: is not used, because {mode_origin} sets imds.endpoint_mode.")
    elif endpoint is not Source.FLAG:
        message = f"{mode_origin}: imds.endpoint_mode has no effect, because {endpoint_origin} sets imds.endpoint."
        gathered.warnings.append(message)


def _refuse_untrusted_endpoint(draft: Draft, gathered: Gathered) -> None:
    url = cast("str", draft.values["imds.endpoint"])
    concerned = {"imds.endpoint", "imds.allow_any_endpoint"}
    if not url or draft.values["imds.allow_any_endpoint"] or concerned & draft.broken or addresses.is_trusted(url):
        return
    gathered.problems.append(
        f"{draft.origins['imds.endpoint']}: imds.endpoint is {url}, which is neither link-local nor loopback, and what "
        "is read there is a secret: the role's credentials; if it is meant, set allow_any_endpoint = true in [imds]."
    )


def _ask_what_was_named(draft: Draft, gathered: Gathered) -> None:
    """Ask an IMDS that was named to us, although an SDK's variable switches IMDS off: our own settings stand first."""
    named = draft.sources.get("imds.endpoint", Source.SDK) > Source.SDK
    if named and draft.values["imds.disabled"] and draft.sources["imds.disabled"] is Source.SDK:
        gathered.warnings.append(
            f"{draft.origins['imds.disabled']}: is not followed, because {draft.origins['imds.endpoint']} names an "
            "IMDS to ask; applications that see the variable do not ask."
        )
        draft.unset("imds.disabled")


def _say_if_useless(draft: Draft, gathered: Gathered) -> None:
    """Warn of an interval for haste that is no haste; the default one is nobody's mistake."""
    hasty, name = _seconds(draft, "poll.confirm_interval"), "poll.confirm_interval"
    if name in draft.sources and hasty > _seconds(draft, "poll.interval"):
        gathered.warnings.append(f"{draft.origins[name]}: {name} is longer than poll.interval, and has no effect.")


def _refuse_half_of_tls(draft: Draft, gathered: Gathered) -> None:
    """Refuse a certificate without its key and the reverse, and what is said of TLS where there is none."""
    cert, key, ca = (f"metrics.tls.{field}" for field in ("cert_file", "key_file", "client_ca_file"))
    if {cert, key, ca} & draft.broken:
        return
    for given, missing in ((cert, key), (key, cert)):
        if draft.values[given] and not draft.values[missing]:
            field = missing.rpartition(".")[2]
            gathered.problems.append(
                f"{draft.origins[given]}: {given} is set, and {missing} is not; TLS needs both: set {field} in "
                "[metrics.tls], too."
            )
    if draft.values[ca] and not (draft.values[cert] or draft.values[key]):
        gathered.problems.append(
            f"{draft.origins[ca]}: {ca} is set, and {cert} is not: without TLS nobody can show a certificate; set "
            "cert_file and key_file in [metrics.tls], too."
        )


def _refuse_if_longer(draft: Draft, gathered: Gathered, short: str, long: str) -> None:
    """Add a problem where the setting *short* is longer than *long*."""
    if {short, long} & draft.broken or _seconds(draft, short) <= _seconds(draft, long):
        return
    blamed, other = (short, long) if short in draft.sources else (long, short)
    relation = "longer than" if blamed == short else "shorter than"
    found, limit = format_duration(_seconds(draft, blamed)), format_duration(_seconds(draft, other))
    gathered.problems.append(
        f"{draft.origins[blamed]}: {blamed} is {found}, {relation} {other}, which is {limit} ({draft.origins[other]}); "
        "change one of the two."
    )
