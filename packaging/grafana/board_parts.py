"""What both boards are made of: their frame, their queries, colours, and panels that are dressed alike.

The rules are those of grafana/dashboard-linter (2025): a variable for the data source, a job matcher in every query,
``$__rate_interval``, a description and a unit on every panel. tests/test_grafana.py holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import tomllib
from grafana_foundation_sdk.builders import (
    bargauge,
    dashboard,
    piechart,
    prometheus,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from rolewatch.faults import FAULTS
from rolewatch.vocabulary import Fault, Severity, State

FLEET, INSTANCE = "rolewatch-fleet", "rolewatch-instance"
"""The uids. Bookmarks, links and provisioning hold on to them."""
URLS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
DOCS = f"{URLS['Homepage']}/docs"
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
STEP = "1m"
"""The shortest step of a query: rolewatch is scraped every 60 s. ``$__rate_interval`` is four of these at least."""

GREEN, BLUE, YELLOW, ORANGE, RED, PURPLE = "green", "blue", "yellow", "orange", "red", "purple"
STATES = {
    State.STARTING: BLUE,
    State.OK: GREEN,
    State.DEGRADED: ORANGE,
    State.FAILED: RED,
    State.UNKNOWN: PURPLE,
}
SEVERITIES = {Severity.CRITICAL: RED, Severity.ERROR: ORANGE, Severity.WARNING: YELLOW}
SHORT_LIFE, LONG_LIFE = 900.0, 7200.0
"""Seconds of life left: below the first, botocore already insists on new credentials; above the second there is no
hurry, as EC2 rotates about hourly sets that live for six hours."""

AnyPanel: TypeAlias = (
    bargauge.Panel | piechart.Panel | stat.Panel | statetimeline.Panel | table.Panel | text.Panel | timeseries.Panel
)
Property = model.DynamicConfigValue


@dataclass(frozen=True)
class Query:
    """One query. ``@`` between the braces of a selector stands for what the board's variables select."""

    expr: str
    legend: str = ""
    now: bool = False
    """Ask for this moment only."""
    rows: bool = False
    """Ask for this moment only, and take the labels for columns."""


class Board:
    """A dashboard in the making: its frame, and panels as they are added, from left to right."""

    def __init__(self, uid: str, title: str, description: str, selector: str) -> None:
        """Make the frame. *selector* is what every query takes its series by."""
        self._selector = selector
        self._panels = 0
        self.frame = (
            dashboard.Dashboard(title)
            .uid(uid)
            .description(description)
            .tags(["rolewatch"])
            .editable()
            .refresh("1m")
            .timezone("browser")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        )

    def variable(self, name: str, query: str, description: str, *, several: bool) -> None:
        """Add a variable that is asked of Prometheus; *several* values may be chosen, and are at first."""
        variable = (
            dashboard.QueryVariable(name)
            .label(name.capitalize())
            .description(description)
            .datasource(DATASOURCE)
            .query(query)
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.NATURAL_ASC)
            .multi(several)
            .include_all(several)
        )
        if several:
            chosen = model.VariableOption(selected=True, text=["All"], value=["$__all"])
            variable = variable.all_value(".+").current(chosen)
        self.frame.with_variable(variable)

    def link(self, title: str, url: str, tooltip: str, *, keep: bool) -> None:
        """Add a link at the top; *keep* stays in Grafana, and hands the time range on."""
        self.frame.link(
            dashboard.DashboardLink(title)
            .type(model.DashboardLinkType.LINK)
            .icon("dashboard" if keep else "doc")
            .tooltip(tooltip)
            .url(url)
            .tags([])
            .keep_time(keep)
            .include_vars(False)
            .target_blank(not keep)
        )

    def row(self, title: str) -> None:
        """Begin a row."""
        self._panels += 1
        self.frame.with_row(dashboard.Row(title).id(self._panels))

    def add(
        self,
        panel: AnyPanel,
        *queries: Query,
        title: str,
        description: str,
        unit: str,
        size: tuple[int, int],
    ) -> None:
        """Add *panel*, of *size* in columns (24 are a row) and lines, with what every panel has."""
        self._panels += 1
        panel.id(self._panels).title(title).description(description).unit(unit).span(size[0]).height(size[1])
        if queries:
            panel.datasource(DATASOURCE).interval(STEP)
        for letter, query in zip("ABCDEFGH", queries):
            panel.with_target(self._target(query, letter))
        self.frame.with_panel(panel)

    def _target(self, query: Query, letter: str) -> prometheus.Dataquery:
        expr = query.expr.replace("@", self._selector)
        target = prometheus.Dataquery().expr(expr).ref_id(letter).datasource(DATASOURCE).interval(STEP)
        if query.rows:
            return target.instant().format(PromQueryFormat.TABLE)
        target = target.instant() if query.now else target.range()
        return target.format(PromQueryFormat.TIME_SERIES).legend_format(query.legend or "__auto")


def thresholds(base: str, *steps: tuple[float, str]) -> dashboard.ThresholdsConfig:
    """Return thresholds: the colour *base*, and another from each value on."""
    levels = [model.Threshold(None, base), *(model.Threshold(value, colour) for value, colour in steps)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(levels)


LIFE_LEFT = ((SHORT_LIFE, ORANGE), (LONG_LIFE, GREEN))
"""What follows red for a life that is left."""


def by(mode: model.FieldColorModeId) -> dashboard.FieldColor:
    """Return a way of choosing colours."""
    return dashboard.FieldColor().mode(mode)


def in_colour(mode: str, colour: str) -> list[Property]:
    """Return the properties that give a series a colour: `fixed`, or one of its `shades`."""
    return [Property("color", {"mode": mode, "fixedColor": colour})]


def texts(of: dict[str, tuple[str, str]]) -> list[model.ValueMapping]:
    """Return mappings of values to a text and its colour."""
    results = {
        value: model.ValueMappingResult(text=words, color=colour, index=index)
        for index, (value, (words, colour)) in enumerate(of.items())
    }
    return [model.ValueMap(results)]


def fault_pattern(severity: Severity) -> str:
    """Return the regular expression of the faults of *severity*."""
    return "/^(" + "|".join(fault.value for fault in Fault if FAULTS[fault].severity is severity) + ")$/"


def to_instance(job: str, instance: str) -> Property:
    """Return the link to the board of an instance; both are Grafana's variables for what was clicked."""
    handed_on = f"var-job={job}&var-instance={instance}&${{datasource:queryparam}}&${{__url_time_range}}"
    url = f"/d/{INSTANCE}?{handed_on}"
    return Property("links", [{"title": "Look at this instance", "url": url, "targetBlank": False}])


FROM_ROW = to_instance("${__data.fields.job}", "${__value.raw}")
FROM_SERIES = to_instance("${__field.labels.job}", "${__field.labels.instance}")


def to_page(title: str, url: str) -> Property:
    """Return the link from a value to the page of the same name."""
    return Property("links", [{"title": title, "url": url + "${__value.raw}", "targetBlank": True}])


RUNBOOK_LINK = to_page("What to do: the runbook", f"{URLS['Runbooks']}/")


def columns(order: Sequence[tuple[str, str]], hidden: Sequence[str] = ()) -> list[model.DataTransformerConfig]:
    """Return what makes one table of several queries: *order* are the columns with their titles, others follow."""
    away = ("Time", "__name__", *hidden)
    return [
        model.DataTransformerConfig("merge", options={}),
        model.DataTransformerConfig(
            "organize",
            options={
                "excludeByName": dict.fromkeys(away, True),
                "indexByName": {name: index for index, (name, _) in enumerate(order)},
                "renameByName": dict(order),
            },
        ),
    ]
