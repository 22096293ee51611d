"""prometheus-client's own parsers, which Prometheus's formats are read with."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families


def parse_text(page: str) -> list[Metric]:
    """Return the families of *page* in the text format 0.0.4."""
    return list(text_string_to_metric_families(page))


def parse_openmetrics(page: str) -> list[Metric]:
    """Return the families of *page* in OpenMetrics. Raise `ValueError` where it breaks a rule of that format."""
    return list(openmetrics.text_string_to_metric_families(page))  # type: ignore[no-untyped-call]
