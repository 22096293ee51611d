"""The dashboards follow the rules of grafana/dashboard-linter (2025) and query only metrics that exist.

`test_generated` checks that the JSON is in its canonical form.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rolewatch.alerts import Alert, Options, groups
from rolewatch.faults import Fault
from rolewatch.publish.metric_table import FAMILIES, PROCESS_FAMILIES
from rolewatch.publish.metrics import BUCKETS
from rolewatch.vocabulary import State
from test_project import pyproject

HOME = Path(__file__).parents[1] / "packaging" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(HOME.glob("rolewatch-*.json"))}
PANELS = [
    pytest.param(panel, id=f"{uid}-{panel['title']}")
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
TARGETS = [
    pytest.param(uid, target["expr"], id=f"{uid}-{panel['title']}-{target['refId']}")
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", ())
]
OF_PROMETHEUS = {"up", "ALERTS"}
"""What Prometheus itself makes of a scrape and of the rules."""
SELECTOR = {
    "rolewatch-fleet": 'job=~"$job", instance=~"$instance"',
    "rolewatch-instance": 'job=~"$job", instance="$instance"',
}
COLOURS = {"green", "blue", "yellow", "orange", "red", "purple", "transparent"}


def known_samples() -> set[str]:
    """Return the name of every sample that Prometheus can have of us."""
    names = {family.name for family in FAMILIES if family.kind != "histogram"} | set(PROCESS_FAMILIES) | OF_PROMETHEUS
    for family in FAMILIES:
        if family.kind == "histogram":
            names |= {f"{family.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
    return names


def everything(value: Any, key: str) -> Iterator[Any]:  # noqa: ANN401 - JSON
    """Yield every value under *key*, anywhere in *value*."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from everything(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from everything(inner, key)


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the variables of *board* by their names."""
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def test_there_is_a_board_of_the_fleet_and_one_of_an_instance() -> None:
    """Their uids are in bookmarks and links, and stay."""
    assert {name: board["uid"] for name, board in BOARDS.items()} == {name: name for name in SELECTOR}


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_can_be_found_and_changed(name: str) -> None:
    """It has a tag, a title, a description, and lets itself be edited; no two panels have one number."""
    board = BOARDS[name]
    numbers = [panel["id"] for panel in board["panels"]]

    assert (board["tags"], board["editable"], board["timezone"]) == (["rolewatch"], True, "browser")
    assert board["title"]
    assert board["description"]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_has_its_variables(name: str) -> None:
    """Data source, job and instance can be chosen, and follow when the time range changes."""
    chosen = variables(BOARDS[name])

    assert list(chosen) == ["datasource", "job", "instance"]
    assert (chosen["datasource"]["type"], chosen["datasource"]["query"]) == ("datasource", "prometheus")
    for variable in (chosen["job"], chosen["instance"]):
        assert variable["datasource"]["uid"] == "${datasource}"
        assert variable["query"].startswith("label_values(")
        assert variable["refresh"] == 2
        assert not variable["multi"] or variable["allValue"] == ".+"
    assert chosen["instance"]["multi"] is (name == "rolewatch-fleet")


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """Title, description and unit are there, and values come from the chosen data source."""
    assert panel["title"][0].isupper() or panel["title"].startswith("rolewatch")
    assert re.fullmatch(r"[A-Za-z].{10,}\.", panel["description"])
    assert panel["fieldConfig"]["defaults"]["unit"]
    if panel["type"] == "text":
        assert panel["options"]["content"]
    else:
        assert panel["targets"]
        assert {source["uid"] for source in everything(panel, "datasource")} == {"${datasource}"}


@pytest.mark.parametrize("panel", PANELS)
def test_the_colours_of_a_panel_mean_something(panel: dict[str, Any]) -> None:
    """Steps go up from nothing, and have the colours that the states and severities have."""
    for thresholds in everything(panel, "thresholds"):
        values = [step["value"] for step in thresholds["steps"]]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])
    named = [*everything(panel, "color"), *everything(panel, "fixedColor")]
    assert {colour for colour in named if isinstance(colour, str)} <= COLOURS
    if panel["type"] in {"stat", "bargauge"}:
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"]


@pytest.mark.parametrize(("uid", "expr"), TARGETS)
def test_a_query_selects_what_the_variables_say(uid: str, expr: str) -> None:
    """Every selector has the matchers of its board, but for alerts, which need not have an instance."""
    selectors = re.findall(r"\b([a-zA-Z_]+)\{([^}]*)\}", expr)

    assert selectors
    for name, matchers in selectors:
        assert name in known_samples()
        assert 'job=~"$job"' in matchers if name == "ALERTS" else matchers.startswith(SELECTOR[uid])
    bare = set(re.findall(r"\b(?:rolewatch|process|up|ALERTS)[a-z_]*\b(?!\{)", re.sub(r"\{[^}]*\}", "{}", expr)))
    assert bare - {"rolewatch"} == set()


@pytest.mark.parametrize(("uid", "expr"), TARGETS)
def test_a_query_names_labels_and_values_that_exist(uid: str, expr: str) -> None:
    """No fault, state or bucket of a query was renamed since."""
    del uid
    labels = {label for family in FAMILIES for label in family.labels}

    assert set(re.findall(r'fault="([^"]*)"', expr)) <= {fault.value for fault in Fault}
    assert set(re.findall(r'\bstate="([^"]*)"', expr)) <= {state.value for state in State}
    assert set(re.findall(r'\ble="([^"]*)"', expr)) <= set(BUCKETS)
    grouped = {
        label.strip()
        for group in re.findall(r"(?:by|on|ignoring|group_left) \(([^)]*)\)", expr)
        for label in group.split(",")
    }
    assert grouped - {""} <= labels | {"job", "instance", "alertname", "runbook", "severity"}


@pytest.mark.parametrize(("uid", "expr"), TARGETS)
def test_a_rate_is_taken_over_the_interval_that_grafana_finds_out(uid: str, expr: str) -> None:
    """A fixed window is wrong at the next zoom; and each query has a shortest step, that of our scrapes."""
    del uid
    windows = re.findall(r"\b(?:rate|irate|increase|delta)\([^[]*\[([^\]]*)\]", expr)

    assert set(windows) <= {"$__rate_interval"}
    assert expr.count("[") == len(windows)


def test_every_query_is_promql(tmp_path: Path) -> None:
    """Prometheus itself reads them."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    queries = [target.values[1].replace("$__rate_interval", "4m") for target in TARGETS]  # type: ignore[union-attr]
    rules = [{"record": f"query:number_{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "boards", "rules": rules}]}), encoding="utf-8")

    lint = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, check=False, timeout=30)

    assert (lint.returncode, lint.stderr) == (0, b"")


def test_the_fleet_leads_to_an_instance_and_back() -> None:
    """A click on an instance opens its board, with data source, job and time range; the link at the top leads back."""
    links = [link["url"] for group in everything(BOARDS["rolewatch-fleet"]["panels"], "value") for link in urls(group)]
    inside = [link for link in links if link.startswith("/d/")]

    assert inside
    for link in inside:
        assert link.startswith("/d/rolewatch-instance?")
        assert all(part in link for part in ("var-job=", "var-instance=", "${datasource:queryparam}", "${__url_time"))
    (back,) = [link for link in BOARDS["rolewatch-instance"]["links"] if link["url"].startswith("/d/")]
    assert back["url"] == "/d/rolewatch-fleet?${datasource:queryparam}&${job:queryparam}"
    assert (back["keepTime"], back["includeVars"]) == (True, False)


def urls(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """Return the links among the properties of a column."""
    return [each for each in value if isinstance(each, dict) and "url" in each] if isinstance(value, list) else []


def test_faults_and_alerts_lead_to_what_to_do() -> None:
    """Both link to a runbook."""
    addresses = pyproject()["project"]["urls"]
    links = {
        link["url"]
        for board in BOARDS.values()
        for group in everything(board["panels"], "value")
        for link in urls(group)
        if not link["url"].startswith("/d/")
    }

    assert links == {f"{addresses['Runbooks']}/${{__value.raw}}"}


def test_every_alert_finds_its_runbook() -> None:
    """The label that the table of firing alerts makes is the last part of the alert's own runbook_url."""
    (query,) = [target.values[1] for target in TARGETS if "ALERTS" in str(target.values[1])]
    replaced = re.findall(r'"runbook", "([^"]*)", "(\w+)", "([^"]*)"', str(query))
    for alert in (alert for group in groups(Options()) for alert in group.rules if isinstance(alert, Alert)):
        labels = {"alertname": alert.name, "fault": ""}
        if fault := re.search(r'fault="(\w+)"', alert.expr):
            labels["fault"] = fault.group(1)
        runbook = ""
        for replacement, label, pattern in replaced:
            if found := re.fullmatch(pattern, labels[label]):
                runbook = found.expand(replacement.replace("$1", r"\1"))
        assert runbook == alert.runbook
