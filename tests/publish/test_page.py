"""The page as a text: what it says in each state. `tests/page` opens it with a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Callable
from xml.etree.ElementTree import Element

import html5lib
import pytest

from page.views import VIEWS, changed, recent, report_at, rotated, started, view_of
from publish.snapshots import DEGRADED, FIRST, NOON, OK, active, with_changes
from rolewatch.faults import FAULTS, Fault
from rolewatch.http.page import COLOURS, KEPT_CHANGES, KEPT_ROTATIONS, LONGEST, RecentEvents, View, render_page
from rolewatch.publish import Event
from rolewatch.publish.status import status_document
from rolewatch.vocabulary import EventKind, Level, State

HTTP = Path(__file__).parents[2] / "agent" / "rolewatch" / "http"
HTML = "{http://www.w3.org/1999/xhtml}"
LARGEST = 30_000
"""Bytes of a page with several faults: one round of packets or two, on any network."""


def tree(view: View) -> Element:
    """Return the page as a browser builds it. Raise where the HTML breaks a rule."""
    root: Element = html5lib.HTMLParser(strict=True).parse(render_page(view).decode())
    return root


def words(element: Element) -> str:
    """Return the text of *element* on one line, as a screen reader says it; without styles."""
    return " ".join("".join(_texts(element)).split())


def _texts(element: Element) -> Iterator[str]:
    if element.tag not in (f"{HTML}style", f"{HTML}title"):
        yield element.text or ""
        for child in element:
            yield from _texts(child)
            yield child.tail or ""


def every(root: Element, tag: str) -> list[Element]:
    """Return every element of *tag*."""
    return list(root.iter(HTML + tag))


@pytest.mark.parametrize("state", ["starting", "ok", "degraded", "failed", "unknown"])
def test_the_page_of_each_state_is_as_it_was_reviewed(golden: Callable[[str, str], None], state: str) -> None:
    """Byte for byte but for the style, which is page.css in each."""
    page = render_page(VIEWS[state]).decode()
    golden(f"page-{state}.html", page.replace((HTTP / "page.css").read_text(), "page.css"))


@pytest.mark.parametrize("state", State)
def test_the_icon_has_the_colour_of_the_page(state: State) -> None:
    """The icon cannot use the style of the page, so that its colours are written twice."""
    selector, colour = ":root" if state is State.STARTING else f".{state.value}", COLOURS[state]

    assert f"\n{selector} {{ --state: {colour}; --mark: {colour} }}\n" in f"\n{(HTTP / 'page.css').read_text()}"


@pytest.mark.parametrize("view", VIEWS)
def test_every_page_is_valid_html(view: str) -> None:
    """One language, one title, one heading of the first rank, ids that are there once, and landmarks."""
    root = tree(VIEWS[view])
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    labelled = [each.get("aria-labelledby") for each in root.iter() if each.get("aria-labelledby")]

    assert root.get("lang") == "en"
    assert [len(every(root, tag)) for tag in ("title", "h1", "header", "main", "footer")] == [1] * 5
    assert len(ids) == len(set(ids))
    assert set(labelled) <= set(ids)


@pytest.mark.parametrize("view", VIEWS)
def test_headings_are_in_order(view: str) -> None:
    """No rank is left out on the way down."""
    ranks = [int(each.tag[-1]) for each in tree(VIEWS[view]).iter() if each.tag in {f"{HTML}h{n}" for n in range(1, 7)}]

    assert ranks[0] == 1
    assert all(after <= before + 1 for before, after in zip(ranks, ranks[1:]))


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_in_a_page_needs_what_the_policy_forbids(view: str) -> None:
    """No style on an element, no handler, no script, no form, nothing to load but the icon that is in the page."""
    root = tree(VIEWS[view])
    attributes = {name for each in root.iter() for name in each.attrib}
    tags = {str(each.tag).rpartition("}")[2] for each in root.iter()}

    assert not {name for name in attributes if name == "style" or name.startswith("on")}
    assert not tags & {"script", "form", "iframe", "object", "embed", "base", "img", "input", "button"}
    assert [each.get("href", "")[:5] for each in every(root, "link")] == ["data:"]


@pytest.mark.parametrize("view", VIEWS)
def test_no_page_is_large(view: str) -> None:
    """The reader may have a slow network."""
    assert len(render_page(VIEWS[view])) < LARGEST


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_cause_fix_and_timing_on_the_page(fault: Fault) -> None:
    """The same words and commands as in ``/status.json``, with the ids of this instance filled in."""
    snapshot = replace(DEGRADED, faults=(active(fault, role="web-role"),))
    article = every(tree(view_of(snapshot, RecentEvents())), "article")[0]
    report_at = words(article)
    document = json.loads(json.dumps(status_document(snapshot, version="", uid=990)))["faults"][0]

    for key in ("meaning", "cause", "takes_effect"):
        assert document[key] in report_at
    commands = ["".join(each.itertext()) for each in every(article, "pre")]
    assert commands == [step["command"] for step in document["fix"] if step["command"]]
    links = [each.get("href") for each in every(article, "a")]
    assert links == [f"https://rolewatch.example/docs/runbooks/{fault.value}", document["page"]]
    assert fault.value in report_at
    assert "since 11:00 UTC, for 1 h now" in report_at


def test_every_severity_is_a_word() -> None:
    """Not a colour."""
    for fault in Fault:
        article = every(tree(view_of(replace(DEGRADED, faults=(active(fault),)), RecentEvents())), "article")[0]

        severity = FAULTS[fault].severity_with({}, usable=True)
        assert f"{fault.value} {severity.name.lower()}" in words(article)


def test_faults_are_listed_at_the_top_with_links_to_their_articles() -> None:
    """However long the page is."""
    root = tree(VIEWS["degraded"])
    links = [each.get("href", "") for each in every(every(root, "header")[0], "a")]

    assert links == ["/?refresh=off", *(f"#{each.fault.value}" for each in DEGRADED.faults)]
    assert [each.get("id") for each in every(root, "h3")] == [each.fault.value for each in DEGRADED.faults]


def test_the_bar_has_an_explanation() -> None:
    """Refreshed, expiry, when the next refresh is due, and when it is overdue."""
    report_at = words(tree(VIEWS["ok"]))

    assert "refreshed 11:30 UTC expires 17:40 UTC" in report_at
    assert "Refreshed about every 1 h; the next is due at 12:30 UTC, in 29 min." in report_at
    assert "Overdue from 13:30 UTC on, in 1 h 29 min." in report_at


def test_the_bar_shows_a_missed_refresh() -> None:
    """The refresh that did not come, and since when that is a fault."""
    report_at = words(tree(VIEWS["degraded"]))

    assert "the next was due at 10:30 UTC, 1 h 30 min ago." in report_at
    assert "Overdue since 11:30 UTC, for 30 min now." in report_at


def test_the_bar_does_not_guess() -> None:
    """Where no interval is learned there are no marks for it."""
    root = tree(VIEWS["unlearned"])
    ticks = [each for each in root.iter() if each.get("class") == "tick" and each.get("x1")]

    assert ticks == []
    assert "The refresh interval is not known yet" in words(root)


@pytest.mark.parametrize(
    ("begun", "ends"),
    [(None, 6), (-1, None), (6, 6), (2, -1)],
    ids=["no-beginning", "no-end", "no-life", "backwards"],
)
def test_dates_that_make_no_life_draw_no_bar(begun: int | None, ends: int | None) -> None:
    """IMDS may say anything."""
    snapshot = with_changes(
        OK,
        last_updated=None if begun is None else NOON + timedelta(hours=begun),
        expiration=None if ends is None else NOON + timedelta(hours=ends),
    )

    assert 'class="bar"' not in render_page(view_of(snapshot, RecentEvents())).decode()


@pytest.mark.parametrize("hours", [-30.0, 30.0], ids=["long-ago", "far-off"])
def test_now_stays_on_the_bar(hours: float) -> None:
    """A clock may be anywhere."""
    moved = timedelta(hours=hours)
    snapshot = with_changes(OK, last_updated=NOON + moved, expiration=NOON + moved + timedelta(hours=6))
    (line,) = (
        each
        for each in tree(view_of(snapshot, RecentEvents())).iter()
        if each.tag.endswith("line") and each.get("class") == "now"
    )

    assert line.get("x1") == ("100.0%" if hours < 0 else "0.0%")


def test_times_are_by_the_clock_of_imds() -> None:
    """What the credentials live by: a host that is an hour ahead does not see them expire early."""
    report_at = words(
        tree(
            view_of(
                replace(OK, moment=replace(OK.moment, utc=NOON + timedelta(hours=1)), time=NOON, clock_offset=3600.0),
                RecentEvents(),
            )
        )
    )

    assert "The credentials expire in 5 h 39 min." in report_at
    assert "1 h ahead of IMDS" in report_at


def test_old_data_of_imds_has_its_time() -> None:
    """While it is silent."""
    report_at = words(tree(VIEWS["unknown"]))

    assert "The details below are from the last usable answer of IMDS, at 11:53 UTC, 7 min 12 s ago." in report_at


def test_credentials_that_are_not_served_are_not_counted_down() -> None:
    """IMDS has withdrawn them."""
    report_at = words(tree(VIEWS["failed"]))

    assert "IMDS serves none" in report_at
    assert "expire" not in words(every(tree(VIEWS["failed"]), "header")[0])


def test_a_poll_without_any_data_makes_a_page() -> None:
    """Nothing is known of the instance."""
    root = tree(view_of(FIRST, RecentEvents()))

    assert "Starting" in words(root)
    assert "not known yet" in map(words, every(root, "dd"))
    assert "none" not in words(root)


def test_what_was_never_heard_is_not_known() -> None:
    """IMDS has been silent since rolewatch started: that it serves none would be a verdict."""
    silent = with_changes(FIRST, state=State.UNKNOWN, faults=(active(Fault.IMDS_UNREACHABLE),))
    known = list(map(words, every(tree(view_of(silent, RecentEvents())), "dd")))

    assert known.count("not known") == 3
    assert "none" not in " ".join(known[-3:])


def test_what_an_earlier_process_knew_is_dated() -> None:
    """The state file has it; no poll of this process has."""
    restored = with_changes(FIRST, state=State.UNKNOWN, expiration=OK.credentials.expiration)

    assert "The details below are from before rolewatch started." in words(tree(view_of(restored, RecentEvents())))


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]>&lt;&#60;",
    "\x00\x1b[2J",
    "\u202egnp.exe",
    "\ud800",
    "</style>",
)


@pytest.mark.parametrize("name", HOSTILE, ids=["script", "attribute", "entities", "control", "bidi", "half", "style"])
def test_names_are_text(name: str) -> None:
    """No name from IMDS becomes an element, or a control character."""
    identity = replace(OK.identity, instance_id=name, region=name, account_id=name)  # type: ignore[type-var]  # not None
    snapshot = with_changes(
        OK,
        identity=identity,
        role=name,
        instance_profile=name,
        instance_profile_id=name,
        expected_role=(name,),
        expected_instance_profile=(name,),
        faults=(active(Fault.ROLE_MISMATCH, role=name, expected_role=name, code=name),),
    )
    event = Event(EventKind.ROLE_CHANGED, Level.WARNING, name)
    view = view_of(snapshot, recent(report_at(snapshot, 0, event)))
    plain = view_of(
        replace(snapshot, faults=(active(Fault.ROLE_MISMATCH, role="x", expected_role="x", code="x"),)), view.recent
    )
    root = tree(view)

    assert [each.tag for each in root.iter()] == [each.tag for each in tree(plain).iter()]
    assert "\u202e" not in "".join(root.itertext())


def test_the_newest_comes_first_and_the_start_last() -> None:
    """As far as this process remembers."""
    root = tree(VIEWS["ok"])
    (line,) = (each for each in every(root, "ol") if each.get("class") == "time")
    kinds = [words(each).split(" UTC ")[1].split(" ")[0] for each in every(line, "li")]

    assert kinds == ["credentials", "credentials", "credentials", "state", "started"]


def test_what_happened_is_bounded() -> None:
    """A thousand changes and rotations leave the last ones; rotations do not push the changes out."""
    reports = [report_at(OK, 100 - n / 10, rotated(0), changed(State.OK, State.DEGRADED)) for n in range(1000)]
    kept = recent(report_at(OK, 200, started()), *reports)
    rotations = recent(report_at(OK, 200, started()), *(report_at(OK, 1, rotated(0)) for _ in range(1000)))

    assert len(kept.newest_first()) == KEPT_CHANGES + KEPT_ROTATIONS
    assert [each.kind for each in rotations.newest_first()] == [EventKind.CREDENTIALS_ROTATED] * KEPT_ROTATIONS + [
        EventKind.STARTED
    ]
    assert len(render_page(view_of(OK, kept))) < LARGEST


def test_a_sentence_that_is_kept_is_bounded() -> None:
    """A message about a wrong setting may have any length."""
    kept = recent(report_at(OK, 0, Event(EventKind.CONFIG_REJECTED, Level.ERROR, "x" * 100_000)))

    assert len(kept.newest_first()[0].message) == LONGEST


def test_reminders_are_no_news() -> None:
    """A fault that lasts for a week is one line, and so is an IMDS that fails now and then."""
    events = (Event(kind, Level.ERROR, "again") for kind in (EventKind.FAULT_PERSISTS, EventKind.POLL_FAILED))

    assert recent(report_at(OK, 0, *events)).newest_first() == ()
