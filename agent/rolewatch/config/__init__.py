"""The settings: read from files, the environment and flags, validated as a whole, with the origin of every value.

The weakest source first: the defaults, the AWS SDKs' variables, ``rolewatch.toml``, ``conf.d/*.toml`` in the order of
their names, ``ROLEWATCH_<TABLE>_<KEY>``, flags. A list is replaced, never added to.

* `keys`        the one table of settings; the types of their values are in `types`
* `sources`     the environment, the SDKs' variables and flags
* `toml_files`  the settings files
* this module   the values in force, and the rules between several settings
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from rolewatch.config.keys import KEYS, make_settings
from rolewatch.config.sources import Candidate, Source, Sources, read_environment, read_flags
from rolewatch.config.toml_files import DEFAULT_FILE, read_files
from rolewatch.config.types import is_trusted
from rolewatch.errors import ConfigError
from rolewatch.settings import IPV4, IPV6, ImdsSettings, Settings
from rolewatch.text import format_duration, printable


@dataclass(frozen=True)
class Loaded:
    """The settings in force."""

    settings: Settings
    origins: Mapping[str, str]
    """Where each value comes from: ``FILE:LINE``, a variable, a flag, or ``default``. Every setting has an entry."""
    warnings: tuple[str, ...]
    """Probable mistakes that do not stop rolewatch; one sentence each, with its place."""
    files: tuple[str, ...]
    """The files that were read, the weakest first."""


def load(
    path: Path | None, *, environ: Mapping[str, str], flags: Mapping[str, object], default: Path = DEFAULT_FILE
) -> Loaded:
    """Return the settings in force.

    *path* is a file that was named: it must exist, and is the only one that is read. None stands for *default*,
    which need not exist, and ``conf.d`` beside it. *flags* are values by the names of settings (``imds.endpoint``);
    None is a flag that was not used. Raise `ConfigError` with every problem, not only the first.
    """
    sources = Sources()
    read_files(path, sources, default=default)
    read_environment(environ, sources)
    read_flags(flags, sources)
    return _Merge(sources).loaded()


def resolve_endpoint(imds: ImdsSettings) -> str:
    """Return the URL of the IMDS in force, ``http://HOST[:PORT]``: the endpoint, or the address of the mode."""
    return imds.endpoint or (IPV6 if imds.endpoint_mode == "ipv6" else IPV4)


class _Merge:
    """The strongest value of every setting, validated."""

    def __init__(self, sources: Sources) -> None:
        self._files = sources.files
        self._problems = list(sources.problems)
        self._warnings = list(sources.warnings)
        self._chosen = {name: Candidate(name, key.default, Source.DEFAULT, "default") for name, key in KEYS.items()}
        self._broken: set[str] = set()
        """Settings with an unusable value: no rule between settings is applied to them."""
        self._choose(sources.candidates)
        self._limit_sdk_timeout()
        self._choose_endpoint_or_mode()
        self._refuse_untrusted_endpoint()
        self._enable_a_named_endpoint()
        self._refuse_if_longer("imds.timeout", "imds.deadline")
        self._refuse_if_longer("poll.interval", "poll.max_interval")
        self._warn_of_useless_confirm_interval()
        self._refuse_none_and_a_name()
        self._refuse_incomplete_tls()

    def loaded(self) -> Loaded:
        """Return the settings in force. Raise `ConfigError` if there is a problem."""
        # The names of files and variables are in all of this, and may contain anything but NUL.
        if self._problems:
            raise ConfigError(*map(printable, self._problems))
        return Loaded(
            make_settings({name: chosen.value for name, chosen in self._chosen.items()}),
            {name: printable(chosen.origin) for name, chosen in self._chosen.items()},
            tuple(map(printable, self._warnings)),
            tuple(map(printable, self._files)),
        )

    def _choose(self, candidates: list[Candidate]) -> None:
        """Let each setting have its strongest usable value. An unusable one is a problem.

        An unusable variable of an SDK is only a warning if a stronger source has a value.
        """
        unusable_by_sdk = []
        for candidate in sorted(candidates, key=lambda one: one.source):  # stable: files stay in their order
            if not candidate.problem:
                self._chosen[candidate.name] = candidate
            elif candidate.source is Source.SDK:
                unusable_by_sdk.append(candidate)
            else:
                self._refuse(candidate.name, candidate.problem)
        for candidate in unusable_by_sdk:
            if self._source(candidate.name) is Source.DEFAULT:
                self._refuse(candidate.name, candidate.problem)
            else:
                self._warnings.append(f"{candidate.problem} {self._origin(candidate.name)} overrides it.")

    def _refuse(self, name: str, problem: str) -> None:
        self._problems.append(problem)
        self._broken.add(name)

    def _source(self, name: str) -> Source:
        return self._chosen[name].source

    def _origin(self, name: str) -> str:
        return self._chosen[name].origin

    def _text(self, name: str) -> str:
        return cast("str", self._chosen[name].value)

    def _seconds(self, name: str) -> float:
        return cast("float", self._chosen[name].value)

    def _reset(self, name: str) -> None:
        self._chosen[name] = Candidate(name, KEYS[name].default, Source.DEFAULT, "default")

    def _limit_sdk_timeout(self) -> None:
        """Reduce a time-out that was set for SDKs to the deadline of a poll."""
        timeout, deadline = self._chosen["imds.timeout"], self._seconds("imds.deadline")
        if timeout.source is Source.SDK and self._seconds("imds.timeout") > deadline:
            limit = f"imds.timeout is at most imds.deadline here; {format_duration(deadline)} is used."
            self._warnings.append(f"{timeout.origin}: {limit}")
            self._chosen["imds.timeout"] = replace(timeout, value=deadline)

    def _choose_endpoint_or_mode(self) -> None:
        """Let the endpoint override the mode, as SDKs do; but our own mode overrides the SDKs' endpoint."""
        endpoint, mode = self._chosen["imds.endpoint"], self._chosen["imds.endpoint_mode"]
        if not endpoint.value or mode.source is Source.DEFAULT:
            return
        if endpoint.source is Source.SDK and mode.source is not Source.SDK:
            self._reset("imds.endpoint")
            self._warnings.append(f"{endpoint.origin}: is not used, because {mode.origin} sets imds.endpoint_mode.")
        elif endpoint.source is not Source.FLAG:
            no_effect = f"imds.endpoint_mode has no effect, because {endpoint.origin} sets imds.endpoint."
            self._warnings.append(f"{mode.origin}: {no_effect}")

    def _refuse_untrusted_endpoint(self) -> None:
        url = self._text("imds.endpoint")
        if not url or self._chosen["imds.allow_any_endpoint"].value or is_trusted(url):
            return
        if not {"imds.endpoint", "imds.allow_any_endpoint"} & self._broken:
            self._problems.append(
                f"{self._origin('imds.endpoint')}: imds.endpoint is {url}, which is neither link-local nor loopback; "
                "rolewatch would read the role's credentials there, which are secret; to accept this endpoint, set "
                "allow_any_endpoint = true in [imds]."
            )

    def _enable_a_named_endpoint(self) -> None:
        """Poll an endpoint of our own settings although a variable of the SDKs disables IMDS."""
        disabled = self._chosen["imds.disabled"]
        is_named = self._source("imds.endpoint") > Source.SDK
        if is_named and disabled.value and disabled.source is Source.SDK:
            self._warnings.append(
                f"{disabled.origin}: is ignored, because {self._origin('imds.endpoint')} names an IMDS to poll; "
                "applications that see the variable do not use IMDS."
            )
            self._reset("imds.disabled")

    def _refuse_none_and_a_name(self) -> None:
        """Refuse an expected name beside ``none = true``."""
        if not self._chosen["expect.none"].value:
            return
        for name in ("expect.role", "expect.instance_profile"):
            if self._chosen[name].value and not {name, "expect.none"} & self._broken:
                self._problems.append(
                    f"{self._origin('expect.none')}: expect.none says that no role is expected, and {name} names one "
                    f"({self._origin(name)}); remove one of the two."
                )

    def _refuse_if_longer(self, short: str, long: str) -> None:
        """Add a problem if the duration *short* is longer than *long*. The one that was set is blamed."""
        if {short, long} & self._broken or self._seconds(short) <= self._seconds(long):
            return
        is_default = self._source(short) is Source.DEFAULT
        blamed, other, relation = (long, short, "shorter") if is_default else (short, long, "longer")
        found, limit = format_duration(self._seconds(blamed)), format_duration(self._seconds(other))
        self._problems.append(
            f"{self._origin(blamed)}: {blamed} is {found}, {relation} than {other}, which is {limit} "
            f"({self._origin(other)}); change one of the two."
        )

    def _warn_of_useless_confirm_interval(self) -> None:
        """Warn if confirm_interval was set and exceeds interval."""
        confirm = self._chosen["poll.confirm_interval"]
        if confirm.source is not Source.DEFAULT and self._seconds(confirm.name) > self._seconds("poll.interval"):
            self._warnings.append(f"{confirm.origin}: {confirm.name} is longer than poll.interval, and has no effect.")

    def _refuse_incomplete_tls(self) -> None:
        """Refuse a certificate without its key, a key without its certificate, and client CAs without TLS."""
        cert, key, ca = (f"metrics.tls.{field}" for field in ("cert_file", "key_file", "client_ca_file"))
        if {cert, key, ca} & self._broken:
            return
        for present, missing in ((cert, key), (key, cert)):
            if self._text(present) and not self._text(missing):
                self._problems.append(
                    f"{self._origin(present)}: {present} is set, and {missing} is not; TLS needs both: set "
                    f"{KEYS[missing].field} in [metrics.tls], too."
                )
        if self._text(ca) and not (self._text(cert) or self._text(key)):
            self._problems.append(
                f"{self._origin(ca)}: {ca} is set, and {cert} is not: without TLS nobody can show a certificate; set "
                "cert_file and key_file in [metrics.tls], too."
            )
