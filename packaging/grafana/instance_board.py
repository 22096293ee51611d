"""The board of one instance: what is wrong with it, since when, and what was seen before."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common, dashboard, statetimeline
from grafana_foundation_sdk.builders import text as words
from grafana_foundation_sdk.models import common as look
from grafana_foundation_sdk.models import text as words_model
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from board_panels import lines, stat, table
from board_parts import (
    BLUE,
    DOCS,
    FLEET,
    GREEN,
    INSTANCE,
    LIFE_LEFT,
    ORANGE,
    RED,
    RUNBOOK_LINK,
    SHORT_LIFE,
    STATES,
    Board,
    Property,
    Query,
    by,
    columns,
    in_colour,
    texts,
    thresholds,
)
from rolewatch.settings import LimitSettings
from rolewatch.vocabulary import State

LIFE = "(rolewatch_credentials_expiration_timestamp_seconds{@} - time())"
AGE = "(time() - rolewatch_credentials_last_updated_timestamp_seconds{@})"
STATE = " + ".join(
    f'{number} * sum(rolewatch_state{{@, state="{state.value}"}})' for number, state in enumerate(State, 1)
)
"""The state as a number, so that it is one band of a timeline. The sums take off the label that differs."""
SKEW = LimitSettings().clock_skew
STATE_TEXTS = {str(number): (state.value, STATES[state]) for number, state in enumerate(State, 1)}
ON_THE_HOST = """\
```sh
rolewatch check                # what is wrong now, and what to do
journalctl -u rolewatch -x -S -1h   # what happened, what it means, and what to do
rolewatch history --since 7d   # the same as a time line
systemctl status rolewatch     # the verdict in one line
```

From a workstation with AWS credentials, why: `rolewatch diagnose --instance-id ID`.
"""


def build() -> dashboard.Dashboard:
    """Return the board."""
    board = Board(
        INSTANCE,
        "rolewatch / Instance",
        "The instance-role credentials of one instance, as rolewatch on it sees them.",
        'job=~"$job", instance="$instance"',
    )
    board.variable("job", "label_values(rolewatch_build_info, job)", "The scrape job of rolewatch.", several=True)
    board.variable("instance", 'label_values(up{job=~"$job"}, instance)', "The instance.", several=False)
    all_of_them = f"/d/{FLEET}?${{datasource:queryparam}}&${{job:queryparam}}"  # without the instance
    board.link("Fleet", all_of_them, "The board of all instances", keep=True)
    board.link("Faults", f"{DOCS}/faults.md", "Cause and fix of every fault", keep=False)
    board.link("Alerts", f"{DOCS}/alerts.md", "What every alert means, and what holds it back", keep=False)
    board.link("Metrics", f"{DOCS}/metrics.md", "What every metric means", keep=False)
    board.frame.time("now-12h", "now")
    _now(board)
    _happened(board)
    _credentials(board)
    _imds(board)
    _agent(board)
    return board.frame


def _now(board: Board) -> None:
    board.row("Now")
    board.add(
        stat().mappings(texts(STATE_TEXTS)).color_mode(look.BigValueColorMode.BACKGROUND).thresholds(thresholds(BLUE)),
        Query(STATE),
        title="State",
        description="ok; degraded: usable credentials, but something is wrong or will break; failed: no usable "
        "credentials; unknown: IMDS does not tell; starting: not known yet.",
        unit="none",
        size=(4, 4),
    )
    board.add(
        stat()
        .mappings(texts({"0": ("no", RED), "1": ("yes", GREEN)}))
        .color_mode(look.BigValueColorMode.BACKGROUND)
        .thresholds(thresholds(RED, (1, GREEN))),
        Query("rolewatch_credentials_usable{@}"),
        title="Usable credentials",
        description="Whether the credentials that IMDS told last are well-formed and have not expired.",
        unit="none",
        size=(4, 4),
    )
    board.add(
        stat().thresholds(thresholds(RED, *LIFE_LEFT)).no_value("none served"),
        Query(LIFE),
        title="Life left",
        description="Until the credentials expire; below zero they have.",
        unit="s",
        size=(4, 4),
    )
    board.add(
        stat().thresholds(thresholds(BLUE)).no_value("none served"),
        Query(AGE),
        title="Age",
        description="Since EC2 obtained the credentials that are served. EC2 rotates about hourly.",
        unit="s",
        size=(4, 4),
    )
    board.add(
        stat().thresholds(thresholds(BLUE)).text_mode(look.BigValueTextMode.NAME).no_value("not told"),
        Query("rolewatch_role_info{@}", "{{role}} in {{instance_profile}}", now=True),
        title="Role in instance profile",
        description="As IMDS told last. The names may differ, and that alone is no fault.",
        unit="none",
        size=(4, 4),
    )
    board.add(
        stat().mappings(texts({"0": ("no", RED), "1": ("yes", GREEN)})).thresholds(thresholds(RED, (1, GREEN))),
        Query("up{@}", now=True),
        title="Agent answers",
        description="Whether the last scrape reached rolewatch. If not, all the rest is of the past.",
        unit="none",
        size=(4, 4),
    )


def _happened(board: Board) -> None:
    board.row("What happened")
    board.add(
        _bands().mappings(texts(STATE_TEXTS)).show_value(look.VisibilityMode.AUTO),
        Query(STATE, "state"),
        title="State",
        description="The state over time.",
        unit="none",
        size=(24, 4),
    )
    board.add(
        _bands()
        .mappings(texts({"0": (" ", "transparent"), "1": ("stands", RED)}))
        .show_value(look.VisibilityMode.NEVER)
        .row_height(0.8),
        Query("rolewatch_fault_active{@}", "{{fault}}"),
        title="Faults",
        description="When each fault stood, after debouncing.",
        unit="none",
        size=(24, 13),
    )
    board.add(
        table(("fault", [RUNBOOK_LINK]), ("standing for", [Property("unit", "s")]))
        .no_value("No fault stands")
        .transformations(columns([("fault", "fault"), ("Value", "standing for")], hidden=["job", "instance"])),
        Query("time() - rolewatch_fault_active_since_timestamp_seconds{@}", rows=True),
        title="Faults that stand",
        description="Click a fault for its cause and fix.",
        unit="short",
        size=(12, 7),
    )
    board.add(
        words.Panel().mode(words_model.TextMode.MARKDOWN).content(ON_THE_HOST),
        title="On the instance",
        description="What to ask there.",
        unit="none",
        size=(12, 7),
    )


def _credentials(board: Board) -> None:
    board.row("Credentials")
    board.add(
        lines()
        .thresholds(thresholds(RED, (SHORT_LIFE, "transparent")))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(look.GraphThresholdsStyleMode.DASHED))
        .override_by_name("age", in_colour("fixed", ORANGE))
        .override_by_name("life left", in_colour("fixed", GREEN)),
        Query(LIFE, "life left"),
        Query(AGE, "age"),
        title="Life left and age",
        description="Two saw-teeth when all is well: at each rotation the life goes up and the age to zero. Where the "
        "lines run on, the rotation is stuck; where they end, no credentials are served.",
        unit="s",
        size=(12, 8),
    )
    board.add(
        lines()
        .min(0)
        .override_by_name(
            "rotations",
            [
                Property("unit", "short"),
                Property("custom.drawStyle", look.GraphDrawStyle.BARS),
                Property("custom.axisPlacement", look.AxisPlacement.RIGHT),
                Property("decimals", 0),
            ],
        ),
        Query("rolewatch_rotation_interval_seconds{@}", "learned interval"),
        Query("increase(rolewatch_credentials_rotations_total{@}[$__rate_interval])", "rotations"),
        title="Rotation",
        description="Each bar is a change of the credentials; the line is the time between two of them, as learned on "
        "this instance (not there until enough were seen).",
        unit="s",
        size=(12, 8),
    )


def _imds(board: Board) -> None:
    board.row("IMDS")
    board.add(
        lines().min(0),
        Query(
            "rate(rolewatch_poll_duration_seconds_sum{@}[$__rate_interval]) "
            "/ rate(rolewatch_poll_duration_seconds_count{@}[$__rate_interval])",
            "mean",
        ),
        title="Duration of a poll",
        description="Four requests, a few milliseconds when all is well. From two seconds on something timed out.",
        unit="s",
        size=(8, 8),
    )
    board.add(
        lines().draw_style(look.GraphDrawStyle.BARS).min(0),
        Query("increase(rolewatch_poll_failures_total{@}[$__rate_interval])", "{{reason}}"),
        title="Failed polls by reason",
        description="Polls that yielded no usable answer.",
        unit="short",
        size=(8, 8),
    )
    board.add(
        lines().min(0),
        Query("time() - rolewatch_poll_last_timestamp_seconds{@}", "last poll"),
        Query("time() - rolewatch_poll_last_success_timestamp_seconds{@}", "last credentials document"),
        Query("rolewatch_poll_interval_seconds{@}", "configured interval"),
        title="Time since the last poll",
        description="Where the last poll stays below twice the interval, rolewatch turns. Where the last document runs "
        "away from it, IMDS serves none.",
        unit="s",
        size=(8, 8),
    )
    board.add(
        lines()
        .thresholds(thresholds(RED, (-SKEW, "transparent"), (SKEW, RED)))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(look.GraphThresholdsStyleMode.DASHED)),
        Query("rolewatch_clock_offset_seconds{@}", "local clock minus IMDS's"),
        title="Clock offset",
        description="How far the local clock is ahead of IMDS's. IMDS tells whole seconds, so that one second is "
        "nothing; signed requests to AWS fail from five minutes on.",
        unit="s",
        size=(24, 6),
    )


def _agent(board: Board) -> None:
    board.row("rolewatch itself")
    board.add(
        stat().text_mode(look.BigValueTextMode.NAME).thresholds(thresholds(BLUE)),
        Query("rolewatch_build_info{@}", "{{version}} on Python {{python_version}}", now=True),
        title="Version",
        description="Of rolewatch, and of the Python it runs on.",
        unit="none",
        size=(6, 4),
    )
    board.add(
        stat().thresholds(thresholds(BLUE)),
        Query("1000 * process_start_time_seconds{@}"),
        title="Running since",
        description="When the process was started. A crash starts it anew.",
        unit="dateTimeFromNow",
        size=(6, 4),
    )
    board.add(
        stat()
        .mappings(texts({"0": ("refused", RED), "1": ("in force", GREEN)}))
        .thresholds(thresholds(RED, (1, GREEN))),
        Query("rolewatch_config_last_reload_successful{@}"),
        title="Settings",
        description="Whether the last load or reload was successful. If not, the old settings are in force, and the "
        "journal says why.",
        unit="none",
        size=(6, 4),
    )
    board.add(
        stat().thresholds(thresholds(BLUE)),
        Query("1000 * rolewatch_config_last_reload_success_timestamp_seconds{@}"),
        title="Settings loaded",
        description="When the settings in force were loaded.",
        unit="dateTimeFromNow",
        size=(6, 4),
    )
    board.add(
        lines().min(0),
        Query("process_resident_memory_bytes{@}", "resident"),
        title="Memory",
        description="Resident memory of the process, shared libraries included. It does not grow.",
        unit="bytes",
        size=(6, 7),
    )
    board.add(
        lines().min(0),
        Query("rate(process_cpu_seconds_total{@}[$__rate_interval])", "CPU"),
        title="CPU",
        description="Part of one CPU; far below one per cent.",
        unit="percentunit",
        size=(6, 7),
    )
    board.add(
        lines().min(0),
        Query("process_open_fds{@}", "open"),
        Query("process_max_fds{@}", "limit"),
        title="Files",
        description="Open files and sockets, and how many the process may have.",
        unit="short",
        size=(6, 7),
    )
    board.add(
        lines().draw_style(look.GraphDrawStyle.BARS).min(0),
        Query("increase(rolewatch_log_messages_total{@}[$__rate_interval])", "{{level}} told"),
        Query("increase(rolewatch_log_messages_dropped_total{@}[$__rate_interval])", "lost"),
        Query("increase(rolewatch_publisher_failures_total{@}[$__rate_interval])", "{{publisher}} failed"),
        title="What it told, and what it could not",
        description="Warnings and errors told in the journal; messages that could be written nowhere, and publishers "
        "that failed, which are at zero when all is well.",
        unit="short",
        size=(6, 7),
    )


def _bands() -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .thresholds(thresholds(BLUE))
        .color_scheme(by(FieldColorModeId.THRESHOLDS))
        .merge_values(True)
        .fill_opacity(80)
        .line_width(0)
        .legend(common.VizLegendOptions().show_legend(False).display_mode(look.LegendDisplayMode.HIDDEN))
    )
