"""Panels as both boards use them, dressed alike. What they ask and say is the boards'."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, timeseries
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from board_parts import GREEN, RED, Property, by, thresholds

LAST = common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)
"""Show the last value that there is."""


def stat() -> stats.Panel:
    """Return one value, large."""
    return stats.Panel().reduce_options(LAST).graph_mode(look.BigValueGraphMode.NONE).no_value("no data")


def lines() -> timeseries.Panel:
    """Return lines over time."""
    return (
        timeseries.Panel()
        .fill_opacity(10)
        .show_points(look.VisibilityMode.NEVER)
        .color_scheme(by(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .tooltip(common.VizTooltipOptions().mode(look.TooltipDisplayMode.MULTI).sort(look.SortOrder.DESCENDING))
    )


def stacked() -> timeseries.Panel:
    """Return areas over time that add up."""
    return lines().fill_opacity(60).line_width(1).stacking(common.StackingConfig().mode(look.StackingMode.NORMAL))


def table(*overrides: tuple[str, list[Property]]) -> tables.Panel:
    """Return a table; each override is a column and its properties."""
    panel = tables.Panel().filterable(True)
    for name, properties in overrides:
        panel = panel.override_by_name(name, properties)
    return panel


def red_from(value: float) -> list[Property]:
    """Return the properties of a column that is red from *value* on."""
    return [
        Property("thresholds", thresholds(GREEN, (value, RED)).build()),
        Property("custom.cellOptions", {"type": "color-text"}),
    ]
