"""The metrics page, as Prometheus gets it."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest

from pages.metrics import markdown
from promises import Area, Measured, promise
from publish.pages import parse_openmetrics, parse_text
from publish.snapshots import DEGRADED, FIRST, OK, PUBLISHERS, STATUS, UNKNOWN, active, report, with_changes
from rolewatch import aws_names
from rolewatch.faults import DAEMON_FAULTS, FAULTS, Fault
from rolewatch.publish import AgentStatus, Snapshot
from rolewatch.publish.metric_table import FAMILIES, PROCESS_FAMILIES
from rolewatch.publish.metrics import MOST_NAMES, OTHER, Metrics
from rolewatch.vocabulary import FailureLabel, State

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
"""What Prometheus 2.42 asks for."""

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "metrics.md"

PAGES = {
    "before-the-first-poll": None,
    "ok": OK,
    "several-faults": DEGRADED,
    "unknown": UNKNOWN,
}

EVERYTHING = with_changes(
    OK, faults=tuple(active(fault) for fault in Fault), role="r" * 200, failures=dict.fromkeys(FailureLabel, 3)
)
"""More than can ever be: every fault is active."""

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def metrics(snapshot: Snapshot | None, *, status: AgentStatus = STATUS, role_info: bool = True) -> Metrics:
    """Return the publisher, after one report where there is a *snapshot*."""
    made = Metrics(version="1.2.3", health=lambda: status, role_info=role_info)
    if snapshot is not None:
        made.publish(report(snapshot))
    return made


def text(made: Metrics) -> str:
    """Return the page in the text format."""
    return made.render()[0].decode()


def series(page: str) -> Series:
    """Return the samples of *page* by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(page)
        for sample in family.samples
    }


def of(page: str, name: str, **labels: str) -> float | None:
    """Return the value of one series; None where it is not there."""
    return series(page).get((name, tuple(sorted(labels.items()))))


def names(page: str) -> list[str]:
    """Return the names of the samples of *page*."""
    return [name for name, _ in series(page)]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_the_golden_one(name: str, golden: Callable[[str, str], None]) -> None:
    """Any difference is either a bug or a change of the contract.

    The costs of the process are left out, and so are inactive faults: a new fault changes no file.
    """
    page = re.sub(r'python_version="[^"]*"', 'python_version="3"', text(metrics(PAGES[name])))
    left_out = re.compile(r".*process_|rolewatch_fault_active{.*} 0\.0$")
    ours = "".join(line for line in page.splitlines(keepends=True) if not left_out.match(line))

    golden(f"{name}.prom", ours)


@pytest.mark.parametrize("name", PAGES)
def test_promtool_finds_nothing_to_complain_about(name: str) -> None:
    """Prometheus's own linter accepts names, types and help."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    page = metrics(PAGES[name]).render()[0]

    lint = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False, timeout=30)

    assert (lint.returncode, lint.stdout + lint.stderr) == (0, b"")


def test_every_label_value_has_a_series_before_the_first_poll() -> None:
    """A series that appears later is indistinguishable from a reset one, and an alert on it starts too late."""
    page = text(metrics(None))

    assert {state: of(page, "rolewatch_state", state=state.value) for state in State} == {
        state: float(state is State.STARTING) for state in State
    }
    assert {of(page, "rolewatch_fault_active", fault=fault.value) for fault in DAEMON_FAULTS} == {0.0}
    assert {of(page, "rolewatch_poll_failures_total", reason=reason.value) for reason in FailureLabel} == {0.0}
    assert [of(page, "rolewatch_publisher_failures_total", publisher=name) for name in PUBLISHERS] == [0.0] * 6
    assert of(page, "rolewatch_poll_duration_seconds_count") == 0.0
    assert of(page, "rolewatch_polls_total") == 0.0
    assert of(page, "rolewatch_credentials_rotations_total") == 0.0


def test_families_are_absent_only_where_the_table_says_so() -> None:
    """What has no "not there" in the table is on every page, from the first."""
    always = {family.name for family in FAMILIES if not family.absent}
    page = text(metrics(None))

    there = {family.name for family in FAMILIES if re.search(rf"^{family.name}(_count)?[ {{]", page, re.MULTILINE)}
    assert there == always


def test_every_metric_of_the_table_can_be_seen() -> None:
    """No row of the table is a promise that nothing keeps."""
    page = text(metrics(EVERYTHING))

    assert [family.name for family in FAMILIES if f"# HELP {family.name} " not in page] == []


@pytest.mark.parametrize("role_info", [True, False])
def test_the_number_of_series_is_bounded_by_a_rule(role_info: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Ten thousand instances are a load: one series for each fault, one more while it is active, and 49 beside."""
    page = text(metrics(EVERYTHING, role_info=role_info))
    beside = 49 - (not role_info)

    assert len(series(page)) == 2 * len(DAEMON_FAULTS) + beside
    assert len(series(text(metrics(OK, role_info=role_info)))) == len(DAEMON_FAULTS) + beside
    assert len(series(page)) == sum(not line.startswith("#") for line in page.splitlines())


def test_every_point_in_time_is_named_so() -> None:
    """Prometheus's linter does not find `…_timestamp` without its unit; this does."""
    page = text(metrics(EVERYTHING))

    assert [name for name in names(page) if "timestamp" in name and not name.endswith("_timestamp_seconds")] == []
    assert all(value > 1e9 for (name, _), value in series(page).items() if name.endswith("_timestamp_seconds")), (
        "Unix time, in seconds"
    )


def test_help_is_a_sentence() -> None:
    """What Grafana shows beside a metric starts like a sentence, ends like one and fits in one line."""
    assert [family.name for family in FAMILIES if not re.fullmatch(r"[A-Z][^\n]{20,}[\w)]\.", family.help)] == []


def test_nothing_is_exported_but_ours_and_the_process() -> None:
    """No interpreter's internals, no creation times, no virtual memory: each would be a series for every instance."""
    others = {name for name in names(text(metrics(OK))) if not name.startswith("rolewatch_")}

    assert others == set(PROCESS_FAMILIES)
    assert not [name for name in names(text(metrics(OK))) if name.endswith("_created")]


def test_an_active_fault_has_a_since_and_an_inactive_one_has_none() -> None:
    """Since when is a moment; an inactive fault has none, and 0 would mean 1970."""
    page = text(metrics(DEGRADED))

    assert of(page, "rolewatch_fault_active", fault="role_mismatch") == 1.0
    since = of(page, "rolewatch_fault_active_since_timestamp_seconds", fault="role_mismatch")
    assert since == DEGRADED.faults[2].since.timestamp()
    assert of(page, "rolewatch_fault_active", fault="clock_skew") == 0.0
    assert of(page, "rolewatch_fault_active_since_timestamp_seconds", fault="clock_skew") is None


def test_a_fault_that_nobody_confirms_differs_from_one_that_is_not_active() -> None:
    """Both are 0. Where nobody confirms there is no time of a confirmation, and 0 would mean 1970."""
    confirmed, never = text(metrics(OK)), text(metrics(with_changes(OK, confirmed=None)))

    assert of(confirmed, "rolewatch_fault_active", fault="credentials_rejected") == 0.0
    assert of(never, "rolewatch_fault_active", fault="credentials_rejected") == 0.0
    assert of(confirmed, "rolewatch_confirmation_last_timestamp_seconds") == 1772359200.0
    assert of(never, "rolewatch_confirmation_last_timestamp_seconds") is None


def test_the_state_has_a_since_once_there_is_a_verdict() -> None:
    """For how long an instance is failed is a question to a dashboard."""
    assert of(text(metrics(OK)), "rolewatch_state_since_timestamp_seconds") == OK.state_since.timestamp()
    assert of(text(metrics(None)), "rolewatch_state_since_timestamp_seconds") is None


def test_withdrawn_credentials_take_their_series_with_them() -> None:
    """No alert may count down the expiry of a set that IMDS does not serve any more."""
    made = metrics(OK)
    before = names(text(made))
    made.publish(
        report(with_changes(OK, usable=False, role=None, instance_profile=None, expiration=None, last_updated=None))
    )
    after = text(made)

    gone = set(before) - set(names(after))
    assert gone == {
        "rolewatch_credentials_expiration_timestamp_seconds",
        "rolewatch_credentials_last_updated_timestamp_seconds",
        "rolewatch_role_info",
    }
    assert of(after, "rolewatch_credentials_usable") == 0.0


def test_a_swapped_role_leaves_no_old_label_behind() -> None:
    """The info series is that of the role that is served now."""
    made = metrics(OK)
    made.publish(report(with_changes(OK, role="other")))

    assert [labels for name, labels in series(text(made)) if name == "rolewatch_role_info"] == [
        (("instance_profile", "web"), ("role", "other"))
    ]


def published_names(made: Metrics) -> dict[str, str]:
    """Return the labels of the one info series on the page."""
    (labels,) = [labels for name, labels in series(text(made)) if name == "rolewatch_role_info"]
    return dict(labels)


@promise(
    Area.IMDS,
    "IMDS names another role and another instance profile at each poll, for ever",
    "The metric role_info has ten pairs of names and then (other): eleven series for each start at most",
)
@pytest.mark.parametrize("changes", ["role", "instance_profile", "both"])
def test_imds_makes_a_bounded_number_of_series(changes: str, measured: Measured) -> None:
    """Every name is a series for as long as Prometheus keeps data. Earlier names are published again."""
    made, seen = metrics(OK), {tuple(published_names(metrics(OK)).items())}
    for number in range(500):
        keys = ("role", "instance_profile") if changes == "both" else (changes,)
        made.publish(report(with_changes(OK, **dict.fromkeys(keys, f"name-{number}"))))
        seen.add(tuple(published_names(made).items()))

    measured("series of role_info", len(seen), "", bound=MOST_NAMES + 1)
    assert len(seen) == MOST_NAMES + 1
    assert published_names(made) == {"role": OTHER, "instance_profile": OTHER}
    made.publish(report(OK))
    assert published_names(made) == {"role": "web-role", "instance_profile": "web"}


def test_no_name_in_iam_can_be_other() -> None:
    """The label value for too many names is no valid name: `documents` would refuse it."""
    assert aws_names.name(OTHER) is None


def test_no_id_and_no_arn_is_in_a_label() -> None:
    """Ids make new series when they change, and say more than a monitoring system has to know."""
    page = text(metrics(OK))

    assert [
        word for word in ("AIPA", "i-0123", "123456789012", "arn:", "0123abcd", "eu-central-1") if word in page
    ] == []


def test_role_info_can_be_switched_off() -> None:
    """Where names are confidential they are not exported."""
    page = text(metrics(OK, role_info=False))

    assert "web" not in page


@pytest.mark.parametrize(
    "name", ["r" * 5000, 'a"b\\c\nd', "\ud800", "naïve 🦊", "\x00"], ids=["long", "quotes", "half", "wide", "nul"]
)
@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_whatever_imds_calls_a_role_the_page_stays_readable(name: str, accept: str) -> None:
    """A name is cut at 128 characters, escaped, and half a surrogate pair does not break the page for ever."""
    page, _, _ = metrics(with_changes(OK, role=name)).render(accept)

    parse = parse_openmetrics if accept else parse_text
    (info,) = [
        sample for family in parse(page.decode()) for sample in family.samples if sample.name == "rolewatch_role_info"
    ]
    assert info.labels["role"] == name[:128].replace("\ud800", "?")


def test_the_log_levels_are_two() -> None:
    """CRITICAL counts as an error; what is less than a warning is not counted."""
    page = text(metrics(OK))

    assert of(page, "rolewatch_log_messages_total", level="warning") == 4.0
    assert of(page, "rolewatch_log_messages_total", level="error") == 3.0
    assert "info" not in [dict(labels).get("level") for _, labels in series(page)]


def test_the_duration_of_every_poll_is_counted_once() -> None:
    """One report is one poll, however often the page is scraped."""
    made = metrics(with_changes(OK, duration=0.02))
    for duration in (0.1, 0.7, 2.5):
        made.publish(report(with_changes(OK, duration=duration)))
        text(made)
    page = text(made)

    assert [of(page, "rolewatch_poll_duration_seconds_bucket", le=le) for le in ("0.1", "1.0", "+Inf")] == [2, 3, 4]
    assert of(page, "rolewatch_poll_duration_seconds_count") == 4
    assert of(page, "rolewatch_poll_duration_seconds_sum") == pytest.approx(3.32)


def test_the_page_shows_how_rolewatch_fares_now() -> None:
    """The figures about rolewatch itself are those of the scrape, not of the last report."""
    status = STATUS
    made = Metrics(version="1.2.3", health=lambda: status)
    made.publish(report(OK))
    before = text(made)
    status = replace(STATUS, config_ok=False, publisher_failures={"journal": 3})
    after = text(made)

    assert of(before, "rolewatch_config_last_reload_successful") == 1.0
    assert of(after, "rolewatch_config_last_reload_successful") == 0.0
    assert of(after, "rolewatch_publisher_failures_total", publisher="journal") == 3.0


def test_the_page_shows_the_last_report_in_every_format() -> None:
    """The part that is kept from scrape to scrape is made anew when the report or the format is another."""
    made = metrics(OK)
    pages = [made.render(accept)[0] for accept in ("", OPENMETRICS, "", OPENMETRICS)]
    made.publish(report(DEGRADED))

    assert [page.endswith(b"# EOF\n") for page in pages] == [False, True, False, True]
    assert [page.count(b"# EOF") for page in pages] == [0, 1, 0, 1]
    assert of(text(made), "rolewatch_fault_active", fault="role_mismatch") == 1.0
    assert b'rolewatch_fault_active{fault="role_mismatch"} 1.0' in made.render(OPENMETRICS)[0]


def test_openmetrics_is_what_its_parser_expects() -> None:
    """Negotiated as Prometheus does it, and read by prometheus-client's strict parser."""
    page, content_type, coding = metrics(DEGRADED).render(OPENMETRICS)
    families = {family.name: family.type for family in parse_openmetrics(page.decode())}

    assert content_type.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert coding == ""
    assert families["rolewatch_build"] == "info"
    assert families["rolewatch_polls"] == "counter"
    assert families["rolewatch_poll_duration_seconds"] == "histogram"
    assert set(families) == {family.base for family in FAMILIES} | {
        name.replace("_total", "") for name in PROCESS_FAMILIES
    }


def test_without_negotiation_the_text_format_is_served() -> None:
    """A browser, and anything that does not say otherwise, gets text 0.0.4."""
    page, content_type, coding = metrics(OK).render("text/html,*/*")

    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert coding == ""
    assert page.startswith(b"# HELP rolewatch_build_info ")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=x",
        "application/openmetrics-text; version=1.x",
        "text/plain; version=;;=",
        "application/openmetrics-text; version=1.0.0; escaping=nonsense",
        ",,;;==",
        "\xff",
    ],
)
def test_nonsense_in_accept_still_gets_a_page(accept: str) -> None:
    """prometheus-client trips over some versions; a scraper that asks oddly is served all the same."""
    page, _, _ = metrics(OK).render(accept)

    assert b"rolewatch_state" in page


@pytest.mark.parametrize(
    ("accept_encoding", "packed"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br, deflate", False),
    ],
)
def test_gzip_is_served_to_who_takes_it(accept_encoding: str, packed: bool) -> None:  # noqa: FBT001 - a parameter
    """A weight of 0 means: not this."""
    page, _, coding = metrics(OK).render("", accept_encoding)

    assert coding == ("gzip" if packed else "")
    assert (gzip.decompress(page) if packed else page).startswith(b"# HELP rolewatch_build_info ")


def test_a_scraper_may_ask_for_some_metrics_only() -> None:
    """`name[]` works as with prometheus-client's own server, also for what was absent at the start."""
    made = metrics(None)
    made.publish(report(DEGRADED))
    page, _, _ = made.render(
        names=["rolewatch_state", "rolewatch_fault_active_since_timestamp_seconds", "process_open_fds", "no_such"]
    )

    assert set(names(page.decode())) == {
        "rolewatch_state",
        "rolewatch_fault_active_since_timestamp_seconds",
        "process_open_fds",
    }


def test_a_first_report_that_knows_nothing_makes_a_page() -> None:
    """At boot IMDS may give no answer: an unknown value is absent, and not 0."""
    page = text(metrics(FIRST))

    assert of(page, "rolewatch_polls_total") == 1.0
    assert of(page, "rolewatch_credentials_usable") is None
    assert of(page, "rolewatch_poll_last_timestamp_seconds") == FIRST.moment.utc.timestamp()
    assert of(page, "rolewatch_poll_last_success_timestamp_seconds") is None


def test_the_documentation_has_the_table() -> None:
    """docs/metrics.md has every row as the code has it. The table is made by `pages.metrics`."""
    lines = DOCUMENTATION.read_text(encoding="utf-8").splitlines()
    begin, end = lines.index("<!-- begin: metrics, generated -->"), lines.index("<!-- end: metrics, generated -->")

    assert lines[begin + 1 : end] == markdown()


def test_the_documentation_names_nothing_that_is_not_exported() -> None:
    """Every metric in a query of docs/metrics.md exists, and every fault and reason in it is a real one."""
    page = DOCUMENTATION.read_text(encoding="utf-8")
    known = {family.name for family in FAMILIES} | set(PROCESS_FAMILIES)
    samples = known | {f"rolewatch_poll_duration_seconds{suffix}" for suffix in ("_bucket", "_sum", "_count")}

    assert set(re.findall(r"\b(?:rolewatch|process)_[a-z_]+\b", page)) <= samples
    assert set(re.findall(r'fault="([a-z_]+)"', page)) <= {fault.value for fault in FAULTS}
    assert [name for name in known if page.count(f"`{name}`") < 1] == []


@pytest.mark.parametrize("name", [*(family.name for family in FAMILIES), *PROCESS_FAMILIES])
def test_every_metric_answers_a_question(name: str) -> None:
    """docs/metrics.md has a query with it: a metric that nobody would ask for need not be exported."""
    queries = re.findall(r"```promql\n(.*?)```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL)

    assert [query for query in queries if re.search(rf"\b{name}(_bucket|_sum|_count)?\b", query)]


def test_every_query_of_the_documentation_is_promql(tmp_path: Path) -> None:
    """Prometheus itself accepts the queries of docs/metrics.md."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    queries = re.findall(r"```promql\n(.*?)```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL)
    rules = [{"record": f"query:number_{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "documentation", "rules": rules}]}), encoding="utf-8")

    lint = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, check=False, timeout=30)

    assert (lint.returncode, lint.stderr) == (0, b"")
    assert f"SUCCESS: {len(queries)} rules found".encode() in lint.stdout
