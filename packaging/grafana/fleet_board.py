"""The board of a fleet: who has no credentials, who is about to have none, and why."""

from __future__ import annotations

from grafana_foundation_sdk.builders import bargauge, common, dashboard, piechart
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import piechart as pie
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from board_panels import LAST, lines, red_from, stacked, stat, table
from board_parts import (
    BLUE,
    DOCS,
    FLEET,
    FROM_ROW,
    FROM_SERIES,
    GREEN,
    LIFE_LEFT,
    ORANGE,
    PURPLE,
    RED,
    RUNBOOK_LINK,
    SEVERITIES,
    STATES,
    YELLOW,
    Board,
    Property,
    Query,
    by,
    columns,
    fault_pattern,
    in_colour,
    thresholds,
)
from rolewatch.alerts import Alert, Options
from rolewatch.alerts.rules import groups

LIFE = "(rolewatch_credentials_expiration_timestamp_seconds{@} - time())"
FIRING = 'ALERTS{alertname=~"Rolewatch.+", alertstate="firing", job=~"$job"}'
RUNBOOK_OF = {
    alert.name: alert.runbook
    for group in groups(Options())
    for alert in group.rules
    if isinstance(alert, Alert) and alert.runbook != alert.name and "rolewatch_fault_active" not in alert.expr
}
"""The runbooks of alerts that bear neither the alert's name nor that of the fault among its labels."""
AGE = "(time() - rolewatch_credentials_last_updated_timestamp_seconds{@})"
STANDS = "(rolewatch_fault_active{@} == 1)"


def build() -> dashboard.Dashboard:
    """Return the board."""
    board = Board(
        FLEET,
        "rolewatch / Fleet",
        "The instance-role credentials of a fleet, as rolewatch on each instance sees them. Rows from top to bottom: "
        "what is wrong now, since when and where, the life of the credentials, IMDS, and rolewatch itself.",
        'job=~"$job", instance=~"$instance"',
    )
    board.variable("job", "label_values(rolewatch_build_info, job)", "The scrape job of rolewatch.", several=True)
    board.variable(
        "instance",
        'label_values(up{job=~"$job"}, instance)',
        "The instances, those that do not answer among them.",
        several=True,
    )
    board.link("Faults", f"{DOCS}/faults.md", "Cause and fix of every fault", keep=False)
    board.link("Alerts", f"{DOCS}/alerts.md", "What every alert means, and what holds it back", keep=False)
    board.link("Metrics", f"{DOCS}/metrics.md", "What every metric means", keep=False)
    board.frame.time("now-6h", "now")
    _now(board)
    _wrong(board)
    _credentials(board)
    _agents(board)
    return board.frame


def _now(board: Board) -> None:
    board.row("Now")
    counts = (
        (
            "Without usable credentials",
            "Instances whose AWS calls fail now, or will as soon as the applications ask for credentials again.",
            "sum(rolewatch_credentials_usable{@} == bool 0)",
            RED,
        ),
        (
            "Will break",
            "Instances in the state degraded: usable credentials, but something is wrong or will break. Act now.",
            'sum(rolewatch_state{@, state="degraded"})',
            ORANGE,
        ),
        (
            "Not known",
            "Instances in the state unknown: IMDS does not tell. Applications there get no new credentials either.",
            'sum(rolewatch_state{@, state="unknown"})',
            PURPLE,
        ),
        (
            "Agents that do not answer",
            "Scrape targets of this job that are down: nobody watches their credentials.",
            "count(up{@}) - sum(up{@})",
            YELLOW,
        ),
    )
    for title, description, expr, colour in counts:
        panel = stat().thresholds(thresholds(GREEN, (1, colour))).color_mode(look.BigValueColorMode.BACKGROUND)
        board.add(panel, Query(expr), title=title, description=description, unit="short", size=(4, 4))
    board.add(
        stat().thresholds(thresholds(BLUE)).graph_mode(look.BigValueGraphMode.AREA),
        Query("count(up{@})"),
        title="Agents expected",
        description="Scrape targets of this job, whether they answer or not.",
        unit="short",
        size=(4, 4),
    )
    board.add(
        stat().thresholds(thresholds(RED, *LIFE_LEFT)),
        Query(f"min{LIFE}"),
        title="Next expiry",
        description="The shortest life left of any set of credentials. When all is well it goes up and down between "
        "five and six hours.",
        unit="s",
        size=(4, 4),
    )


def _wrong(board: Board) -> None:
    board.row("What is wrong")
    states = stacked().draw_style(look.GraphDrawStyle.LINE).line_interpolation(look.LineInterpolation.STEP_AFTER)
    for state, colour in STATES.items():
        states = states.override_by_name(state.value, in_colour("fixed", colour))
    board.add(
        states,
        Query("sum by (state) (rolewatch_state{@})", "{{state}}"),
        title="Instances by state",
        description="How many instances are in which state. Failed and unknown have no usable credentials, or will "
        "soon have none.",
        unit="short",
        size=(12, 8),
    )
    faults = stacked().draw_style(look.GraphDrawStyle.BARS).no_value("No fault stands")
    for severity, colour in SEVERITIES.items():
        faults = faults.override_by_regexp(fault_pattern(severity), in_colour("shades", colour))
    board.add(
        faults,
        Query("sum by (fault) (rolewatch_fault_active{@}) > 0", "{{fault}}"),
        title="Active faults by kind",
        description="On how many instances each fault stands: shades of red are critical, of orange errors, of yellow "
        "warnings. One instance may have several. A wall of one colour is one change that hit many.",
        unit="short",
        size=(12, 8),
    )
    board.add(
        table(("fault", [RUNBOOK_LINK]), ("instance", [FROM_ROW]))
        .override_by_name("standing for", [Property("unit", "s")])
        .override_by_name(
            "life left",
            [
                Property("unit", "s"),
                Property("thresholds", thresholds(RED, *LIFE_LEFT).build()),
                Property("custom.cellOptions", {"type": "color-text"}),
            ],
        )
        .sort_by([common.TableSortByFieldState().display_name("standing for").desc(True)])
        .no_value("No fault stands")
        .transformations(
            columns(
                [
                    ("fault", "fault"),
                    ("instance", "instance"),
                    ("Value #B", "standing for"),
                    ("Value #C", "life left"),
                    ("role", "role"),
                    ("instance_profile", "instance profile"),
                ],
                hidden=["Value #A", "Value #D"],
            )
        ),
        Query(STANDS, rows=True),
        Query("time() - rolewatch_fault_active_since_timestamp_seconds{@}", rows=True),
        Query(f"{STANDS} * on (job, instance) group_left () {LIFE}", rows=True),
        Query(f"{STANDS} * on (job, instance) group_left (role, instance_profile) rolewatch_role_info{{@}}", rows=True),
        title="Instances with a fault",
        description="Every fault that stands, the oldest first, with the life left of the credentials (none are served "
        "where it is empty). Click a fault for its cause and fix, an instance for its board. Labels that your scrape "
        "adds, such as account or Auto Scaling group, follow as columns.",
        unit="short",
        size=(24, 9),
    )
    board.add(
        table(("runbook", [RUNBOOK_LINK]))
        .no_value("No alert fires")
        .transformations(
            columns(
                [
                    ("alertname", "alert"),
                    ("runbook", "runbook"),
                    ("severity", "severity"),
                    ("job", "job"),
                    ("Value", "alerts"),
                ]
            )
        ),
        Query(f"sum by (alertname, runbook, severity, job) ({_with_runbook(FIRING)})", rows=True),
        title="Firing alerts",
        description="The alerts of rolewatch that Prometheus holds to be firing, silenced ones among them, each "
        "with its runbook. Empty, too, where the rules of packaging/prometheus are not loaded.",
        unit="short",
        size=(12, 8),
    )
    board.add(
        table(("instance", [FROM_ROW]))
        .no_value("All answer")
        .transformations(columns([("instance", "instance"), ("job", "job")], hidden=["Value"])),
        Query("up{@} == 0", rows=True),
        title="Agents that do not answer",
        description="Scrape targets that are down. Their board shows what was seen last.",
        unit="short",
        size=(12, 8),
    )


def _credentials(board: Board) -> None:
    board.row("Credentials")
    board.add(
        bargauge.Panel()
        .thresholds(thresholds(RED, *LIFE_LEFT))
        .color_scheme(by(FieldColorModeId.THRESHOLDS))
        .orientation(look.VizOrientation.HORIZONTAL)
        .display_mode(look.BarGaugeDisplayMode.BASIC)
        .reduce_options(LAST)
        .min(0)
        .override_by_field_type("number", [FROM_SERIES])
        .no_value("No credentials are served"),
        Query(f"sort(bottomk(10, {LIFE}))", "{{instance}}", now=True),
        title="Shortest life left",
        description="The ten sets of credentials that expire first. Below zero they have expired. Green is above two "
        "hours, red below fifteen minutes.",
        unit="s",
        size=(12, 9),
    )
    board.add(
        lines().override_by_name("oldest", in_colour("fixed", RED)).min(0),
        Query(f"max{AGE}", "oldest"),
        Query(f"quantile(0.9, {AGE})", "90 %"),
        Query(f"quantile(0.5, {AGE})", "median"),
        title="Age of the credentials",
        description="When all is well the oldest set is about an hour old. A line that climbs without end is a "
        "rotation that is stuck, hours before anything expires.",
        unit="s",
        size=(12, 9),
    )
    board.add(
        table()
        .override_by_name("not as expected", [Property("noValue", "0"), *red_from(1)])
        .transformations(
            columns(
                [
                    ("role", "role"),
                    ("instance_profile", "instance profile"),
                    ("Value #A", "instances"),
                    ("Value #B", "not as expected"),
                ]
            )
        ),
        Query("count by (role, instance_profile) (rolewatch_role_info{@})", rows=True),
        Query(
            'sum by (role, instance_profile) (rolewatch_fault_active{@, fault="role_mismatch"} '
            "* on (job, instance) group_left (role, instance_profile) rolewatch_role_info{@})",
            rows=True,
        ),
        title="Roles in service",
        description="Which roles and instance profiles are served, to how many instances, and how many of those expect "
        "another one (role_mismatch). What they expect stands in their settings, journal and `rolewatch check`.",
        unit="short",
        size=(12, 8),
    )
    board.add(
        lines().min(0),
        Query("3600 * avg(rate(rolewatch_credentials_rotations_total{@}[$__rate_interval]))", "per instance"),
        title="Rotations an hour",
        description="Changes of the credentials, on average of all instances. About one an hour when all is well.",
        unit="short",
        size=(12, 8),
    )


def _agents(board: Board) -> None:
    board.row("IMDS, and rolewatch itself")
    board.add(
        stacked().draw_style(look.GraphDrawStyle.LINE).min(0),
        Query(
            "sum by (reason) (rate(rolewatch_poll_failures_total{@}[$__rate_interval])) "
            "/ ignoring (reason) group_left () sum(rate(rolewatch_polls_total{@}[$__rate_interval]))",
            "{{reason}}",
        ),
        title="Failed polls by reason",
        description="Which part of the polls of IMDS yields no usable answer. A low, steady share of `throttled` means "
        "that something on the hosts asks IMDS too often.",
        unit="percentunit",
        size=(8, 8),
    )
    board.add(
        lines().min(0),
        Query(_slower("0.1"), "over 0.1 s"),
        Query(_slower("1.0"), "over 1 s"),
        title="Slow polls",
        description="Which part of the polls of IMDS takes longer than 0.1 s, where all is well within a few "
        "milliseconds, and longer than 1 s, where something was waited for.",
        unit="percentunit",
        size=(8, 8),
    )
    board.add(
        lines().min(0),
        Query(
            "sum by (publisher) (increase(rolewatch_publisher_failures_total{@}[$__rate_interval]))",
            "{{publisher}} failed",
        ),
        Query("sum(increase(rolewatch_log_messages_dropped_total{@}[$__rate_interval]))", "log messages lost"),
        Query("sum(rolewatch_config_last_reload_successful{@} == bool 0)", "instances with refused settings"),
        title="What rolewatch could not tell",
        description="Publishers that failed, log messages that could be written nowhere, and instances that run on old "
        "settings because the new ones were refused. All at zero when all is well.",
        unit="short",
        size=(8, 8),
    )
    for title, label, description in (
        ("Versions", "version", "Which versions of rolewatch are out there."),
        ("Pythons", "python_version", "Which Pythons they run on."),
    ):
        board.add(
            piechart.Panel()
            .pie_type(pie.PieChartType.DONUT)
            .legend(
                piechart.PieChartLegendOptions()
                .show_legend(True)
                .display_mode(look.LegendDisplayMode.TABLE)
                .placement(look.LegendPlacement.RIGHT)
                .values([pie.PieChartLegendValues.VALUE])
            )
            .reduce_options(LAST),
            Query(f"count by ({label}) (rolewatch_build_info{{@}})", f"{{{{{label}}}}}"),
            title=title,
            description=description,
            unit="short",
            size=(12, 6),
        )


def _with_runbook(alerts: str) -> str:
    """Return *alerts* with the name of their runbook as a label: the fault's, or else the alert's."""
    named = [("$1", "alertname", "(.+)"), *((page, "alertname", name) for name, page in RUNBOOK_OF.items())]
    for replacement, label, pattern in (*named, ("$1", "fault", "(.+)")):
        alerts = f'label_replace({alerts}, "runbook", "{replacement}", "{label}", "{pattern}")'
    return alerts


def _slower(bound: str) -> str:
    return (
        f'1 - sum(rate(rolewatch_poll_duration_seconds_bucket{{@, le="{bound}"}}[$__rate_interval])) '
        "/ sum(rate(rolewatch_poll_duration_seconds_count{@}[$__rate_interval]))"
    )
