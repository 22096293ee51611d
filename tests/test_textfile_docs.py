"""What docs/textfile.md and the example units ask operators to do, tried with promtool, systemd and our own parser."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from rolewatch.cli.parser import build_parser
from rolewatch.config.keys import KEYS
from rolewatch.vocabulary import State

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "packaging/examples/systemd"
PAGE = (ROOT / "docs/textfile.md").read_text(encoding="utf-8")
DIRECTORY = "/var/lib/prometheus/node-exporter"
POLLED = "rolewatch_poll_last_timestamp_seconds"
INSTANCE = 'instance="a"'


def alerts() -> dict[str, str]:
    """Return the expressions of the alerts on the page, by name."""
    return dict(re.findall(r"- alert: (\w+)\n  expr: (.*)\n", PAGE))


def unit(name: str) -> list[tuple[str, str]]:
    """Return the settings of an example, in their order."""
    lines = (EXAMPLES / name).read_text(encoding="utf-8").splitlines()
    return [(key, value) for key, mark, value in (line.partition("=") for line in lines) if mark and key.isalpha()]


@pytest.mark.parametrize(
    ("alert", "series", "fires"),
    [
        pytest.param("RolewatchTextfileStale", {"rolewatch_poll_last_timestamp_seconds": "0x120"}, True, id="stale"),
        pytest.param(
            "RolewatchTextfileStale", {"rolewatch_poll_last_timestamp_seconds": "0+60x120"}, False, id="fresh"
        ),
        pytest.param("RolewatchTextfileMissing", {"node_textfile_scrape_error": "0x120"}, True, id="missing"),
        pytest.param(
            "RolewatchTextfileMissing",
            {"node_textfile_scrape_error": "0x120", 'rolewatch_build_info{version="1"}': "1x120"},
            False,
            id="there",
        ),
    ],
)
def test_the_alerts_of_the_page_fire_when_they_should(
    tmp_path: Path,
    alert: str,
    series: dict[str, str],
    fires: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """By Prometheus's own rule engine, over two hours."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    rule = {"alert": alert, "expr": alerts()[alert]}
    labelled = [
        {"series": f"{name[:-1]}, {INSTANCE}}}" if name.endswith("}") else f"{name}{{{INSTANCE}}}", "values": values}
        for name, values in series.items()
    ]
    expected = [{"exp_labels": {"instance": "a"}}] if fires else []
    test = {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": labelled,
                "alert_rule_test": [{"eval_time": "1h", "alertname": alert, "exp_alerts": expected}],
            }
        ],
    }
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "page", "rules": [rule]}]}))
    (tmp_path / "test.yml").write_text(json.dumps(test))  # JSON is YAML
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_drop_in_opens_the_directory_that_it_writes_to() -> None:
    """And names a setting that there is."""
    settings = dict(unit("textfile.conf"))
    variable, _, path = settings["Environment"].partition("=")

    assert variable == KEYS["textfile.path"].variable
    assert KEYS["textfile.path"].read(path) == f"{DIRECTORY}/rolewatch.prom"
    assert settings["BindPaths"] == f"-{DIRECTORY}"


def test_the_timer_runs_a_command_that_there_is_and_takes_verdicts_for_success() -> None:
    """Every exit status of a state is one; none of a mistake is."""
    settings = dict(unit("rolewatch-check.service"))
    program, *words = shlex.split(settings["ExecStart"])
    arguments = build_parser("check").parse_args(words)

    assert program == "/usr/bin/rolewatch"
    assert arguments.textfile == Path(f"{DIRECTORY}/rolewatch.prom")
    assert settings["BindPaths"] == f"-{DIRECTORY}"
    assert {int(status) for status in settings["SuccessExitStatus"].split()} | {0} == {
        state.exit_code for state in State
    }


def test_no_port_means_none() -> None:
    """The drop-in takes the unit's port back before it names its own socket, which is no address."""
    listen = [value for key, value in unit("socket-none.conf") if key == "ListenStream"]

    assert listen == ["", "/run/rolewatch.sock"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_examples(tmp_path: Path) -> None:
    """Without a word, but for the program that is not installed here."""
    for each in (*(ROOT / "systemd").glob("rolewatch.*"), *EXAMPLES.glob("rolewatch-check.*")):
        shutil.copy(each, tmp_path)
    for target, drop_in in (("rolewatch.service", "textfile.conf"), ("rolewatch.socket", "socket-none.conf")):
        (tmp_path / f"{target}.d").mkdir()
        shutil.copy(EXAMPLES / drop_in, tmp_path / f"{target}.d")
    names = ("rolewatch.service", "rolewatch.socket", "rolewatch-check.service", "rolewatch-check.timer")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    said = [line for line in done.stderr.splitlines() if "/usr/bin/rolewatch is not executable" not in line]

    assert said == []


def test_every_file_that_the_page_speaks_of_is_there() -> None:
    """The links lead to the examples that ship."""
    links = re.findall(r"\]\(((?!http)[^)#]+)\)", PAGE)

    assert {link.rpartition("/")[2] for link in links} >= {
        "textfile.conf",
        "socket-none.conf",
        "rolewatch-check.service",
        "rolewatch-check.timer",
    }
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
