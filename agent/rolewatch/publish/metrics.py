"""The metrics page: the last report, and how rolewatch itself fares, in Prometheus's formats.

A collector of our own over the last snapshot: what is not known any more is gone from the next page. A registry of our
own, so that nothing else is exported. prometheus-client's own counters would each bring a ``_created`` series, unless
`disable_created_metrics`, which is global, is called; the families made here have none. Its modules are imported one
by one: the package's `__init__`, which the launcher puts off until it is needed, imports all of them.
"""

from __future__ import annotations

import gzip
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from rolewatch.model import AgentStatus, Report
from rolewatch.publish.metric_table import FAMILIES, PROCESS_FAMILIES, Family
from rolewatch.publish.samples import Samples, Told, after, build_info, samples

_END = b"# EOF\n"
"""The end of a page in OpenMetrics; the text format has none."""

_Encoder = Callable[[Any], bytes]
"""What `choose_encoder` chooses: it takes whatever has a method `collect`."""


class Metrics:
    """The publisher that keeps the last report for the scrapes that come."""

    name = "metrics"

    def __init__(self, *, version: str, health: Callable[[], AgentStatus], role_info: bool = True) -> None:
        """Make a page without a report: the state is ``starting``. *health* is asked at every scrape."""
        self._build = build_info(version)
        self._health = health
        self._role_info = role_info
        self._told: Optional[Told] = None
        self._encoded: Tuple[str, Samples, bytes] = ("", {}, b"")
        self._process = _Process()
        self.registry = CollectorRegistry()
        self.registry.register(_Ours(self._samples))
        self.registry.register(self._process)

    def publish(self, report: Report) -> None:
        """Keep *report* for the page, and count the duration of its poll."""
        self._told = after(self._told, report.snapshot)

    def render(self, accept: str = "", accept_encoding: str = "", names: Sequence[str] = ()) -> Tuple[bytes, str, str]:
        """Return the page, its content type, and its content encoding (empty: none).

        The first two arguments are the headers of the request; *names*, where there are any, are the samples wanted.
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
        return {**self._build, **samples(self._told, self._health(), role_info=self._role_info)}

    def _ours(self, encode: _Encoder, content_type: str) -> bytes:
        """Return our part of the page, encoded anew only where a sample or the format is another.

        Most scrapes are of a page that was scraped before, and this halves what they cost.
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
    """Our own families, made of samples."""

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
    """prometheus-client's process collector, without what is of no use."""

    def __init__(self) -> None:
        self._all = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        """Yield the families of `PROCESS_FAMILIES`. Where /proc/stat cannot be read there are none."""
        for metric in self._all.collect():
            if metric.samples[0].name in PROCESS_FAMILIES:
                yield metric

    describe = collect


def _metric(family: Family) -> Metric:
    return Metric(family.base, family.help, family.kind)


def _sample_names(family: Family) -> Tuple[str, ...]:
    if family.kind != "histogram":
        return (family.name,)
    return tuple(family.name + suffix for suffix in ("_bucket", "_count", "_sum"))


def _accepts_gzip(accept_encoding: str) -> bool:
    """Return whether the header asks for gzip. ``gzip;q=0`` forbids it, which prometheus-client does not see."""
    for coding in accept_encoding.lower().split(","):
        name, _, weight = coding.replace(" ", "").partition(";")
        if name == "gzip":
            return weight.rstrip("0").rstrip(".") not in ("q=", "q=0")
    return False
