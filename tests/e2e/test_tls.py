"""Debian's Prometheus scrapes a daemon over mutual TLS; and what it shows of targets that are set up wrongly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from certificates import Authority, Pair
from daemon_process import config, daemon
from e2e.monitoring import program
from e2e.processes import PATIENCE, served, until
from harness import get, utc_now
from rolewatch.simulator import Simulator


def scraping(address: str, authority: Authority, scraper: Pair | None, scheme: str = "https") -> dict[str, Any]:
    """Return what prometheus.yml says of a daemon at *address*, as docs/install.md has it."""
    shown = {"cert_file": str(scraper.cert), "key_file": str(scraper.key)} if scraper else {}
    tls = {"ca_file": str(authority.own.cert), "server_name": "localhost", **shown}
    return {
        "scheme": scheme,
        "static_configs": [{"targets": [address]}],
        **({"tls_config": tls} if scheme == "https" else {}),
    }


def test_prometheus_scrapes_over_mutual_tls(tmp_path: Path) -> None:
    """With its certificate it gets the page; without one, with another CA's or with http it sees what is wrong."""
    authority = Authority(tmp_path)
    pair, scraper = authority.issue(), authority.issue("prometheus")
    stranger = Authority(tmp_path, "other").issue("prometheus")
    table = (
        f'[metrics.tls]\ncert_file = "{pair.cert}"\nkey_file = "{pair.key}"\nclient_ca_file = "{authority.own.cert}"\n'
    )
    with Simulator(now=utc_now) as simulator, daemon("--config", str(config(tmp_path, simulator, table))) as process:
        address = str(process.wait_for("started")["listen"])
        jobs = {
            "well": scraping(address, authority, scraper),
            "without": scraping(address, authority, None),
            "stranger": scraping(address, authority, stranger),
            "plain": scraping(address, authority, None, "http"),
        }
        written = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "scrape_configs": [{"job_name": name, **job} for name, job in jobs.items()],
        }
        file = tmp_path / "prometheus.yml"
        file.write_text(json.dumps(written))  # JSON is YAML

        def command(port: int) -> list[str]:
            data = f"--storage.tsdb.path={tmp_path / 'data'}"
            return [program("prometheus"), f"--config.file={file}", data, f"--web.listen-address=127.0.0.1:{port}"]

        with served("prometheus", command, tmp_path / "log") as url:

            def targets() -> dict[str, dict[str, Any]]:
                """Return the targets by job, once each was scraped and the good one was so with success."""
                active = json.loads(get(f"{url}/api/v1/targets", timeout=PATIENCE)[1])["data"]["activeTargets"]
                found = {each["labels"]["job"]: each for each in active}
                scraped = all(each["health"] != "unknown" for each in active)
                return found if scraped and len(found) == len(jobs) and found["well"]["health"] == "up" else {}

            seen = until(targets, "every target to be scraped")
            answer = json.loads(get(f"{url}/api/v1/query?query=rolewatch_state", timeout=PATIENCE)[1])

    assert {sample["metric"]["job"] for sample in answer["data"]["result"]} == {"well"}
    assert seen["well"]["lastError"] == ""
    assert "400 Bad Request" in seen["plain"]["lastError"]
    for job in ("without", "stranger"):
        assert seen[job]["health"] == "down"
        assert "remote error: tls:" in seen[job]["lastError"]
