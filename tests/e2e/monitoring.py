"""The real prometheus and prometheus-alertmanager, on loopback, with the rules in compressed time."""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.processes import PATIENCE, served
from harness import get

Labels = dict[str, str]
JOB = "rolewatch"
SCRAPE = 60.0
"""Seconds between two scrapes and two evaluations of the rules, uncompressed: what docs/metrics.md recommends."""


@dataclass(frozen=True)
class Series:
    """What a query gave: labels, and samples by time."""

    labels: Labels
    samples: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        """The last value."""
        return self.samples[-1][1]


@dataclass(frozen=True)
class Prometheus:
    """The HTTP API of a running Prometheus."""

    url: str

    def query(self, expr: str) -> list[Series]:
        """Return what *expr* gives now; fail where it is no PromQL."""
        result = self._ask("query", query=expr)["result"]
        return [
            Series(
                each["metric"],
                tuple((float(at), float(value)) for at, value in each.get("values") or [each["value"]]),
            )
            for each in result
        ]

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing."""
        return list(self._ask("alerts")["alerts"])

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule that is loaded, with its health."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _ask(self, what: str, **parameters: str) -> dict[str, Any]:
        status, body = get(f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}", timeout=PATIENCE)
        answer = json.loads(body)
        assert status == 200, f"{answer.get('error')}: {parameters}"
        return dict(answer["data"])


def program(name: str) -> str:
    """Return the path of Debian's program, which may not be on the PATH of who is not root."""
    found = shutil.which(name) or shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
    assert found is not None, f"{name} is not installed: apt-get install {name}"
    return found


@contextlib.contextmanager
def alertmanager(home: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Run Alertmanager with *config*; yield its URL."""
    home.mkdir()
    file = home / "alertmanager.yml"
    file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    executable = program("prometheus-alertmanager")

    def command(port: int) -> list[str]:
        return [
            executable,
            f"--config.file={file}",
            f"--storage.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]

    with served("alertmanager", command, home / "log") as url:
        yield url


@contextlib.contextmanager
def prometheus(
    home: Path,
    *,
    rules: Mapping[str, Any],
    targets: Mapping[str, Labels],
    alertmanager: str,
    factor: float,
) -> Iterator[Prometheus]:
    """Run Prometheus, which scrapes *targets*, addresses with their labels; yield its API."""
    home.mkdir()
    receiver = urllib.parse.urlsplit(alertmanager).netloc
    interval = f"{round(1000 * SCRAPE / factor)}ms"
    (home / "rules.yml").write_text(json.dumps(rules), encoding="utf-8")
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(home / "rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [receiver]}]}]},
        "scrape_configs": [
            {
                "job_name": JOB,
                "sample_limit": 120,
                "static_configs": [{"targets": [address], "labels": labels} for address, labels in targets.items()],
            }
        ],
    }
    file = home / "prometheus.yml"
    file.write_text(json.dumps(config), encoding="utf-8")
    executable = program("prometheus")

    def command(port: int) -> list[str]:
        return [
            executable,
            f"--config.file={file}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--rules.alert.resend-delay={interval}",
        ]

    with served("prometheus", command, home / "log") as url:
        yield Prometheus(url)
