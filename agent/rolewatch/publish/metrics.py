"""The metrics page in Prometheus's formats, from the last report and the agent's own status."""

from __future__ import annotations

import contextlib
import gzip
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from rolewatch import files
from rolewatch.errors import UnavailableError
from rolewatch.faults import DAEMON_FAULTS
from rolewatch.publish import AgentStatus, Report, Snapshot
from rolewatch.publish.metric_table import FAMILIES, PROCESS_FAMILIES, Family
from rolewatch.vocabulary import FailureLabel, Level, State

BUCKETS = {"0.1": 0.1, "1.0": 1.0, "+Inf": float("inf")}
"""Upper bounds for the seconds of a poll: normal, slow, and above that time-outs, the first of which takes 2 s."""
MAX_LABEL = 128
"""Characters of a name in a label: the longest in IAM (IAM quotas, 2026). Longer ones from IMDS are cut."""

MOST_NAMES = 10
"""Pairs of role and instance profile that label `rolewatch_role_info` since the daemon started.

IMDS chooses the names, and Prometheus keeps a series for each pair. It advises to stay below ten
(docs/practices/instrumentation, 2026); an honest instance has one pair, and one or two more for each swap."""
OTHER = "(other)"
"""Both labels of `rolewatch_role_info` for every further pair. No name in IAM has parentheses."""

_LOG_LEVELS = {"warning": (Level.WARNING,), "error": (Level.ERROR, Level.CRITICAL)}

Names = tuple[str, str]
"""Role and instance profile, as label values; empty where one is not known."""

Sample = tuple[Mapping[str, str], float]
"""Labels and value."""

Samples = dict[str, list[Sample]]
"""By sample name. An unknown value has no entry, or an empty one."""


@dataclass(frozen=True)
class MetricsState:
    """What the page needs of all reports so far. Replaced as a whole: another thread renders the page."""

    snapshot: Snapshot
    """Of the last report."""
    within: tuple[int, ...]
    """Polls within each of `BUCKETS`."""
    seconds: float
    """Seconds that all polls took."""
    names: tuple[Names, ...] = ()
    """The pairs that may be labels of `rolewatch_role_info`: the first `MOST_NAMES` that IMDS named."""


def after(state: MetricsState | None, snapshot: Snapshot) -> MetricsState:
    """Return *state* after one more poll, which ended in *snapshot*."""
    took = snapshot.polls.duration
    within, seconds = (state.within, state.seconds) if state else (_NONE_WITHIN, 0.0)
    pair, names = _names(snapshot), state.names if state else ()
    return MetricsState(
        snapshot,
        within=tuple(count + (took <= bound) for count, bound in zip(within, BUCKETS.values())),
        seconds=seconds + took,
        names=(*names, pair) if pair and pair not in names and len(names) < MOST_NAMES else names,
    )


def single_poll_samples(snapshot: Snapshot, *, version: str, role_info: bool) -> Samples:
    """Return the samples of a single poll: no counters, which would start again at each poll, and no `since`."""
    pair = _names(snapshot)
    values = {
        **build_info(version),
        **_of_verdict(snapshot),
        **_of_credentials(snapshot),
        **(_of_role(pair, (pair,) if pair else ()) if role_info else {}),
        **_of_last_poll(snapshot),
    }
    return {name: sample for name, sample in values.items() if name not in _NOT_OF_A_SINGLE_POLL}


def build_info(version: str) -> Samples:
    """Return the sample of `rolewatch_build_info`."""
    return {"rolewatch_build_info": [({"version": version, "python_version": platform.python_version()}, 1.0)]}


_NOT_OF_A_SINGLE_POLL = (
    "rolewatch_state_since_timestamp_seconds",
    "rolewatch_fault_active_since_timestamp_seconds",
    "rolewatch_poll_interval_seconds",
)
_NONE_WITHIN = (0,) * len(BUCKETS)


def _one(value: float) -> list[Sample]:
    return [({}, float(value))]


def _known(**values: float | None) -> Samples:
    """Return the series whose value is not None."""
    return {f"rolewatch_{name}": _one(value) for name, value in values.items() if value is not None}


def _of_verdict(snapshot: Snapshot | None) -> Samples:
    state = snapshot.state if snapshot else State.STARTING
    active = {each.fault: each.since.timestamp() for each in snapshot.faults} if snapshot else {}
    since: list[Sample] = [({"fault": fault.value}, active[fault]) for fault in DAEMON_FAULTS if fault in active]
    return {
        "rolewatch_state": [({"state": member.value}, float(member is state)) for member in State],
        **_known(state_since_timestamp_seconds=snapshot.state_since.timestamp() if snapshot else None),
        "rolewatch_fault_active": [({"fault": fault.value}, float(fault in active)) for fault in DAEMON_FAULTS],
        "rolewatch_fault_active_since_timestamp_seconds": since,
    }


def _of_credentials(snapshot: Snapshot) -> Samples:
    return _known(
        credentials_usable=snapshot.credentials.usable,
        credentials_expiration_timestamp_seconds=snapshot.credentials.expiration.timestamp()
        if snapshot.credentials.expiration
        else None,
        credentials_last_updated_timestamp_seconds=snapshot.credentials.last_updated.timestamp()
        if snapshot.credentials.last_updated
        else None,
        rotation_interval_seconds=snapshot.credentials.rotation_interval,
        clock_offset_seconds=snapshot.clock_offset,
        imds_hop_limit=snapshot.hop_limit,
    )


def _names(snapshot: Snapshot) -> Names | None:
    """Return the names in *snapshot* as label values, or None if there are none."""
    if snapshot.binding.role is None and snapshot.binding.instance_profile is None:
        return None
    return _label(snapshot.binding.role), _label(snapshot.binding.instance_profile)


def _of_role(pair: Names | None, known: Sequence[Names]) -> Samples:
    """Return the info series of *pair*, whose labels are `OTHER` if it is not *known*."""
    if pair is None:
        return {}
    role, profile = pair if pair in known else (OTHER, OTHER)
    return {"rolewatch_role_info": [({"role": role, "instance_profile": profile}, 1.0)]}


def _label(name: str | None) -> str:
    """Return *name* as a label's value: cut, and without half a surrogate pair, which UTF-8 cannot encode."""
    return (name or "")[:MAX_LABEL].encode("utf-8", "replace").decode("utf-8")


def _of_polls(state: MetricsState | None) -> Samples:
    snapshot = state.snapshot if state else None
    failures = snapshot.polls.failures if snapshot else {}
    within = state.within if state else _NONE_WITHIN
    values: Samples = {
        "rolewatch_credentials_rotations_total": _one(snapshot.credentials.rotations if snapshot else 0),
        "rolewatch_polls_total": _one(snapshot.polls.ended if snapshot else 0),
        "rolewatch_poll_failures_total": [
            ({"reason": label.value}, float(failures.get(label, 0))) for label in FailureLabel
        ],
        "rolewatch_poll_duration_seconds_bucket": [
            ({"le": bound}, float(count)) for bound, count in zip(BUCKETS, within)
        ],
        "rolewatch_poll_duration_seconds_count": _one(within[-1]),
        "rolewatch_poll_duration_seconds_sum": _one(state.seconds if state else 0.0),
    }
    if snapshot:
        values.update(_of_last_poll(snapshot))
        values.update(_known(linklocal_packets_dropped_total=snapshot.dropped_packets))
    return values


def _of_last_poll(snapshot: Snapshot) -> Samples:
    return _known(
        poll_interval_seconds=snapshot.polls.interval,
        poll_last_timestamp_seconds=snapshot.moment.utc.timestamp(),
        poll_last_success_timestamp_seconds=snapshot.polls.last_success.timestamp()
        if snapshot.polls.last_success
        else None,
        confirmation_last_timestamp_seconds=snapshot.confirmed.timestamp() if snapshot.confirmed else None,
    )


def _of_status(status: AgentStatus) -> Samples:
    counts = status.log_messages
    return {
        **_known(
            config_last_reload_successful=status.config_ok,
            config_last_reload_success_timestamp_seconds=status.config_loaded.timestamp(),
            log_messages_dropped_total=status.log_dropped,
        ),
        "rolewatch_log_messages_total": [
            ({"level": label}, float(sum(counts.get(level, 0) for level in levels)))
            for label, levels in _LOG_LEVELS.items()
        ],
        "rolewatch_publisher_failures_total": [
            ({"publisher": name}, float(count)) for name, count in status.publisher_failures.items()
        ],
    }


_END = b"# EOF\n"
"""The end of a page in OpenMetrics; the text format has none."""

_Encoder = Callable[[Any], bytes]
"""What `choose_encoder` returns: it accepts anything with a method `collect`."""


class Metrics:
    """The publisher that keeps the last report for the scrapes that come."""

    name = "metrics"

    def __init__(self, *, version: str, health: Callable[[], AgentStatus], role_info: bool = True) -> None:
        """Start without a report: the state is ``starting``. *health* is called at every scrape."""
        self._build = build_info(version)
        self._health = health
        self._role_info = role_info
        self._state: MetricsState | None = None
        self._encoded: tuple[str, Samples, bytes] = ("", {}, b"")
        self._process = _Process()
        self.registry = CollectorRegistry()
        self.registry.register(_Ours(self._samples))
        self.registry.register(self._process)

    def publish(self, report: Report) -> None:
        """Keep *report* for the page, and count the duration of its poll."""
        self._state = after(self._state, report.snapshot)

    def render(self, accept: str = "", accept_encoding: str = "", names: Sequence[str] = ()) -> tuple[bytes, str, str]:
        """Return the page, its content type, and its content encoding (empty: none).

        The first two arguments are headers of the request; *names*, if any, are the samples wanted.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is no number, in prometheus-client 0.23 to 0.26
            encode, content_type = choose_encoder("")
        if names:
            page = encode(self.registry.restricted_registry(names))
        else:
            page = self._ours(encode, content_type).removesuffix(_END) + encode(self._process)
        if not _accepts_gzip(accept_encoding):
            return page, content_type, ""
        return gzip.compress(page, mtime=0), content_type, "gzip"

    def text(self) -> bytes:
        """Return our part of the page in the text format, for a file."""
        return as_text(self._samples())

    def _samples(self) -> Samples:
        """Return the samples of the page. Every family that always exists is there before the first report."""
        state = self._state
        values = {
            **self._build,
            **_of_status(self._health()),
            **_of_verdict(state.snapshot if state else None),
            **_of_polls(state),
        }
        if state:
            values.update(_of_credentials(state.snapshot))
            if self._role_info:
                values.update(_of_role(_names(state.snapshot), state.names))
        return values

    def _ours(self, encode: _Encoder, content_type: str) -> bytes:
        """Return our part of the page, encoded again only if a sample or the format has changed.

        Most scrapes get an unchanged page, and this halves their cost.
        """
        now = self._samples()
        before_type, before, page = self._encoded
        if (content_type, now) != (before_type, before):
            page = encode(_Ours(lambda: now))
            self._encoded = content_type, now, page
        return page


def as_text(values: Samples) -> bytes:
    """Return *values* in the text format 0.0.4."""
    encode: _Encoder
    encode, _ = choose_encoder("")
    return encode(_Ours(lambda: values))


class _Ours(Collector):
    """Our own families, from samples."""

    def __init__(self, values: Callable[[], Samples]) -> None:
        self._values = values

    def describe(self) -> Iterator[Metric]:
        """Yield every family, so that the registry can find one by its name."""
        return (_metric(family) for family in FAMILIES)

    def collect(self) -> Iterator[Metric]:
        """Yield the families that have a sample now."""
        values = self._values()
        for family in FAMILIES:
            metric = _metric(family)
            for name in _sample_names(family):
                for labels, value in values.get(name, ()):
                    metric.add_sample(name, dict(labels), value)
            if metric.samples:
                yield metric


class _Process(Collector):
    """prometheus-client's process collector, reduced to `PROCESS_FAMILIES`."""

    def __init__(self) -> None:
        self._all = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        """Yield the families of `PROCESS_FAMILIES`; none if /proc/stat cannot be read."""
        for metric in self._all.collect():
            if metric.samples[0].name in PROCESS_FAMILIES:
                yield metric

    describe = collect


def _metric(family: Family) -> Metric:
    return Metric(family.base, family.help, family.kind)


def _sample_names(family: Family) -> tuple[str, ...]:
    if family.kind != "histogram":
        return (family.name,)
    return tuple(family.name + suffix for suffix in ("_bucket", "_count", "_sum"))


def _accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the header asks for gzip. ``gzip;q=0`` forbids it, which prometheus-client ignores."""
    for coding in accept_encoding.lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";")
        if name == "gzip":
            return weight.rstrip("0").rstrip(".") not in ("q=", "q=0")
    return False


TEXTFILE_MODE = 0o644
"""node_exporter runs as another user."""


class Textfile:
    """The publisher that writes the metrics into a file after each poll, for node_exporter's text file collector.

    That collector requires (node_exporter 1.5, collector/textfile.go): a name that ends in ``.prom``, the text format,
    no time stamps, the same HELP in every file. The file has no ``process_*``: node_exporter has its own.
    """

    name = "textfile"

    def __init__(self, path: Path, page: Callable[[], bytes]) -> None:
        """Prepare to write what *page* returns into the file *path*. Writes nothing yet."""
        self._path = path
        self._page = page
        self._written = False

    def publish(self, report: Report) -> None:
        """Write the page, which has *report* by now. Raise `UnavailableError` if that fails."""
        del report
        write_textfile(self._path, self._page())
        self._written = True

    def stop(self) -> None:
        """Remove the file, if this process wrote it: node_exporter would go on exporting stale metrics.

        A daemon that was killed leaves its file behind. The time of the last poll in it shows how old it is.
        """
        if self._written:
            with contextlib.suppress(OSError):
                self._path.unlink()


def write_textfile(path: Path, page: bytes) -> None:
    """Replace the file *path* with *page* atomically. Raise `UnavailableError` if that fails.

    node_exporter does not read the temporary, whose name does not end in ``.prom``. Not synced: an fsync on a hung disk
    would block the daemon, and after a power cut the next poll writes the file again.
    """
    try:
        files.replace(path, page, mode=TEXTFILE_MODE)
    except OSError as error:
        raise UnavailableError(
            f"{path} cannot be written: {error.strerror}. Its directory has to be there, and writable for the user "
            "that rolewatch runs as; under systemd it needs ReadWritePaths=, too"
        ) from None
