"""The page at ``/``: the instance's state at a glance. Everything from outside is escaped by `words`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from html import escape
from urllib.parse import quote

from rolewatch.faults import FAULTS
from rolewatch.faults.explain import Explained, explain
from rolewatch.http.page_style import COLOURS, STYLE
from rolewatch.publish import ActiveFault, Event, Report, Snapshot, facts_of, messages
from rolewatch.publish.journal_entry import text
from rolewatch.text import rfc3339, shift
from rolewatch.vocabulary import EventKind, Fault, Level, State

KEPT_CHANGES = 40
KEPT_ROTATIONS = 10
"""They come every hour, and would push everything else out within two days."""
LONGEST = 500
"""Characters of a sentence that is kept; a setting that is wrong may be told at any length."""

REPEATED = (EventKind.FAULT_PERSISTS, EventKind.POLL_FAILED, EventKind.STOPPING)
"""What is no change, or has nobody left to read of it."""


@dataclass(frozen=True)
class Happened:
    """One event, reduced to what the page shows: fifty of them take some 25 kB."""

    number: int
    """Counts what happened, so that the order does not hang on a clock."""
    at: datetime
    """When it was told, by IMDS's clock where that is known."""
    kind: EventKind
    level: Level
    message: str
    fault: Fault | None = None


@dataclass(frozen=True)
class Recent:
    """The last events. A value: another thread may be showing it while the next one is made."""

    changes: tuple[Happened, ...] = ()
    rotations: tuple[Happened, ...] = ()
    count: int = 0

    def after(self, report: Report) -> Recent:
        """Return this with the events of *report*; itself where there are none, as in most polls."""
        recent, at = self, now(report.snapshot, 0.0)
        for event in report.events:
            if event.kind not in REPEATED:
                recent = recent._with(event, at)
        return recent

    def newest_first(self) -> tuple[Happened, ...]:
        """Return all that is kept."""
        return tuple(sorted((*self.changes, *self.rotations), key=lambda each: -each.number))

    def _with(self, event: Event, at: datetime) -> Recent:
        count = self.count + 1
        happened = Happened(count, at, event.kind, event.level, text(event.message)[:LONGEST], event.fault)
        if event.kind is EventKind.CREDENTIALS_ROTATED:
            return replace(self, rotations=(*self.rotations, happened)[-KEPT_ROTATIONS:], count=count)
        return replace(self, changes=(*self.changes, happened)[-KEPT_CHANGES:], count=count)


@dataclass(frozen=True)
class View:
    """The last report, and when it is looked at."""

    snapshot: Snapshot | None
    """None before the first poll has ended."""
    age: float
    """Seconds since the last poll ended; without one since the start."""
    stuck: bool = False
    """Whether the next poll is so late that what is shown may be wrong."""
    recent: Recent = field(default_factory=Recent)
    refresh: int | None = None
    """Seconds until the browser asks again; None where the reader has stopped that."""
    version: str = ""
    runbooks: str = ""
    """URL below which every fault has its page, by its name. Empty: there are none."""
    homepage: str = ""
    uid: int | None = None
    """User that asked IMDS: firewall rules may be for single users."""

    @property
    def state(self) -> State:
        """The state that is shown."""
        return self.snapshot.state if self.snapshot else State.STARTING


NOISE = 2.0
"""Seconds by which two clocks may differ and agree: `Date` has whole seconds, and an answer takes its time."""


def now(snapshot: Snapshot, age: float) -> datetime:
    """Return the time, *age* seconds after the poll of *snapshot*, by IMDS's clock where that is known."""
    return shift(snapshot.time or snapshot.moment.utc, age)


def words(value: object) -> str:
    """Return *value* as text in HTML, on one line and in bounds, with nothing in it that a browser would obey."""
    return escape(text(str(value)))


def code(value: object) -> str:
    """Return *value* as a name or a word to type."""
    return f"<code>{words(value)}</code>"


def command(lines: str) -> str:
    """Return *lines* of shell to copy."""
    return "<pre><code>" + "\n".join(words(line) for line in lines.splitlines()) + "</code></pre>"


def sentence(value: str) -> str:
    """Return *value*, which begins in lower case, as a heading does."""
    return words(value[:1].upper() + value[1:])


def clock(moment: datetime, now: datetime) -> str:
    """Return *moment* as a time of day, with the date where that is not the day of *now*: ``17:31 UTC``."""
    there, here = moment.astimezone(timezone.utc), now.astimezone(timezone.utc)
    date = "" if there.date() == here.date() else f"{there:%Y-%m-%d} "
    return f'<time datetime="{rfc3339(moment)}">{date}{messages.clock(there)}</time>'


def ago(moment: datetime, now: datetime) -> str:
    """Return how far *moment* is from *now*: ``29 min ago``, ``in 5 h 40 min``."""
    seconds = (now - moment).total_seconds()
    return f"{messages.duration(seconds)} ago" if seconds >= 0 else f"in {messages.duration(-seconds)}"


def row(label: str, value: str | None, *, wide: bool = False) -> str:
    """Return one row of a description list, *value* being HTML; nothing where there is none.

    A *wide* one has its label above it, whatever the window.
    """
    start = '<div class="wide">' if wide else "<div>"
    return f"{start}<dt>{label}</dt><dd>{value}</dd></div>\n" if value else ""


MOST_TICKS = 12
"""More refreshes in one life would be a smear."""
_EDGE = 8.0
"""Per cent of the width within which a word in the middle of its place would be cut off."""

_TICK = '<svg class="key" width="14" height="14" aria-hidden="true"><path class="tick" d="M7 1v12"/></svg>'
_LATE = '<svg class="key" width="14" height="14" aria-hidden="true"><path class="late" d="M7 2l5 10H2z"/></svg>'


def lifetime(snapshot: Snapshot, now: datetime) -> str:
    """Return the bar and what it says in words; nothing where no beginning or no end is known."""
    begun, ends = snapshot.credentials.last_updated, snapshot.credentials.expiration
    if begun is None or ends is None or ends <= begun:
        return ""
    life = (ends - begun).total_seconds()

    def at(moment: datetime) -> float:
        """Return where *moment* is on the bar, in per cent."""
        return min(max((moment - begun).total_seconds() / life, 0.0), 1.0) * 100

    passed = at(now)
    marks = [f'<line class="tick" x1="{at(due):.1f}%" x2="{at(due):.1f}%" y1="36" y2="44"/>' for due in _due(snapshot)]
    if snapshot.credentials.overdue is not None and snapshot.credentials.overdue < ends:
        late = '<path class="late" d="M0 0l5 10h-10z"/>'
        marks.append(f'<svg x="{at(snapshot.credentials.overdue):.1f}%" y="35" overflow="visible">{late}</svg>')
    anchor = "start" if passed < _EDGE else "end" if passed > 100 - _EDGE else "middle"
    label = f"{passed:.0f} per cent of the life of the credentials has passed."
    return (
        f'<svg class="bar" role="img" aria-label="{label}" width="100%" height="46">\n'
        '<rect class="life" width="100%" height="16" y="20" rx="3"/>\n'
        f'<rect class="passed" width="{passed:.1f}%" height="16" y="20" rx="3"/>\n'
        + "".join(f"{mark}\n" for mark in marks)
        + f'<line class="now" x1="{passed:.1f}%" x2="{passed:.1f}%" y1="16" y2="40"/>\n'
        f'<text class="now" x="{passed:.1f}%" y="12" text-anchor="{anchor}">now</text>\n</svg>\n'
        f'<p class="ends"><span>refreshed {clock(begun, now)}</span> <span>{_expiry(ends, now)}</span></p>\n'
        f'<ul class="keys">\n<li>{_TICK} {_refreshes(snapshot, now)}</li>\n'
        f"{_overdue(snapshot.credentials.overdue, now)}</ul>\n"
    )


def _due(snapshot: Snapshot) -> list[datetime]:
    """Return when the refreshes of this life are due."""
    begun, ends, interval = (
        snapshot.credentials.last_updated,
        snapshot.credentials.expiration,
        snapshot.credentials.rotation_interval,
    )
    if begun is None or ends is None or not interval:
        return []
    count = int((ends - begun).total_seconds() / interval)
    return [shift(begun, interval * (n + 1)) for n in range(count)] if count <= MOST_TICKS else []


def _expiry(ends: datetime, now: datetime) -> str:
    return f"{'expired' if ends <= now else 'expires'} {clock(ends, now)}"


def _refreshes(snapshot: Snapshot, now: datetime) -> str:
    """Return when the next refresh is due."""
    interval = snapshot.credentials.rotation_interval
    if not interval or snapshot.credentials.last_updated is None:
        return "How often they are refreshed here is not known yet: it takes two refreshes to learn that."
    due = shift(snapshot.credentials.last_updated, interval)
    verb = "the next was due" if due <= now else "the next is due"
    return f"Refreshed about every {words(messages.duration(interval))}; {verb} at {clock(due, now)}, {ago(due, now)}."


def _overdue(overdue: datetime | None, now: datetime) -> str:
    if overdue is None:
        return ""
    told = (
        f"Overdue since {clock(overdue, now)}, for {messages.duration((now - overdue).total_seconds())} now."
        if overdue <= now
        else f"Overdue from {clock(overdue, now)} on, {ago(overdue, now)}."
    )
    return f"<li>{_LATE} {told}</li>\n"


def list_of_faults(snapshot: Snapshot) -> str:
    """Return the titles, each as a link to its article."""
    items = "".join(
        f'<li><a href="#{each.fault.value}">{sentence(FAULTS[each.fault].title)}</a></li>\n' for each in snapshot.faults
    )
    return f'<ul class="faults">\n{items}</ul>\n' if items else ""


def articles(view: View, snapshot: Snapshot, now: datetime) -> str:
    """Return one article for each fault that stands."""
    facts = facts_of(snapshot, uid=view.uid)
    return "".join(_article(view, each, explain(each.fault, each.evidence, facts), now) for each in snapshot.faults)


def _article(view: View, active: ActiveFault, explained: Explained, now: datetime) -> str:
    name = active.fault.value
    seen = ", ".join(f"{code(f'{key}={value}')}" for key, value in active.evidence.items())
    lasted = messages.duration((now - active.since).total_seconds())
    return (
        f'<article aria-labelledby="{name}">\n<h3 id="{name}">{sentence(explained.title)}</h3>\n'
        f'<p class="meta">{code(name)} <span class="tag">{explained.severity.name.lower()}</span> '
        f"since {clock(active.since, now)}, for {lasted} now</p>\n"
        f"<p>{words(explained.meaning)}</p>\n<dl>\n"
        + row("Cause", words(explained.cause))
        + row("Fix", _steps(explained), wide=True)
        + row("Takes effect", words(explained.takes_effect))
        + row("Who can do it", words(explained.who[:1].upper() + explained.who[1:]))
        + row("Seen", seen)
        + row("More", _more(view, name, explained))
        + "</dl>\n</article>\n"
    )


def _steps(explained: Explained) -> str:
    steps = "".join(
        f"<li>{words(step.text)}{command(step.command) if step.command else ''}</li>\n" for step in explained.fix
    )
    return f"<ol>\n{steps}</ol>\n" if steps else ""


def _more(view: View, name: str, explained: Explained) -> str:
    links = [f'<a href="{words(explained.page)}">AWS on this</a>']
    if view.runbooks:
        links.insert(0, f'<a href="{words(view.runbooks)}/{quote(name)}">Runbook</a>')
    return f"{', '.join(links)}; on the host {code(f'rolewatch explain {name}')}"


_NAMES: Mapping[State, str] = {state: "OK" if state is State.OK else state.value.capitalize() for state in State}

_SIGNS: Mapping[State, str] = {
    State.STARTING: '<circle cx="12" cy="12" r="10"/><path d="M12 6v6l4 3"/>',
    State.OK: '<circle cx="12" cy="12" r="10"/><path d="M7 12.5l3.5 3.5L17 9"/>',
    State.DEGRADED: '<path d="M12 2.5L23 21.5H1z"/><path d="M12 10v5M12 18v.01"/>',
    State.FAILED: '<circle cx="12" cy="12" r="10"/><path d="M8 8l8 8M16 8l-8 8"/>',
    State.UNKNOWN: '<circle cx="12" cy="12" r="10"/><path d="M9 9a3 3 0 1 1 4 3q-1 .7-1 2M12 17.5v.01"/>',
}
"""A shape for each state: colour alone tells nothing."""

_KINDS: Mapping[EventKind, str] = {kind: kind.value.replace("_", " ") for kind in EventKind}


def render_page(view: View) -> bytes:
    """Return the page that shows *view*."""
    snapshot, state = view.snapshot, view.state
    instance = snapshot.identity.instance_id if snapshot and snapshot.identity else ""
    standing = f"{state.value} {_old(view)}" if view.stuck else state.value
    title = f"{standing}: {instance} (rolewatch)" if instance else f"{standing} (rolewatch)"
    html = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{words(title)}</title>\n"
        f'<link rel="icon" href="data:image/svg+xml,{quote(_icon(view))}">\n'
        f"<style>{STYLE}</style>\n</head>\n"
        f'<body class="{_accent(view).value}">\n{_header(view)}<main>\n{_main(view)}</main>\n{_footer(view)}'
        "</body>\n</html>\n"
    )
    return html.encode("utf-8")


def _accent(view: View) -> State:
    """Return the state whose colour the page has: none that was true once."""
    return State.STARTING if view.stuck else view.state


def _old(view: View) -> str:
    return f"{messages.duration(view.age)} ago"


def _icon(view: View) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 28 28" fill="none" stroke-width="3" '
        f'stroke="{COLOURS[_accent(view)]}">{_SIGNS[view.state]}</svg>'
    )


def _header(view: View) -> str:
    snapshot, state = view.snapshot, view.state
    said = messages.STATES[state]
    name = f"{_NAMES[state]}, {_old(view)}" if view.stuck else _NAMES[state]
    return (
        f'<header>\n<div class="bar-top">\n<p>{_where(snapshot)}</p>\n<p>{_refreshing(view)}</p>\n</div>\n'
        f'<h1><svg viewBox="0 0 24 24" aria-hidden="true">{_SIGNS[state]}</svg> {name}</h1>\n'
        f'<p class="say">{said[:1].upper()}{said[1:]}.</p>\n'
        + (_since(view, snapshot) + list_of_faults(snapshot) if snapshot else _unpolled(view))
        + (_stuck(view) if view.stuck else "")
        + "</header>\n"
    )


def _where(snapshot: Snapshot | None) -> str:
    identity = snapshot.identity if snapshot else None
    if identity is None:
        return "rolewatch"
    region = f' in <span class="one">{words(identity.region)}</span>' if identity.region else ""
    return f"rolewatch on {code(identity.instance_id)}{region}"


def _refreshing(view: View) -> str:
    if view.refresh is None:
        return 'Does not refresh itself. <a href="/">Refresh again</a>'
    return f'Refreshes every {view.refresh} s. <a href="/?refresh=off">Stop refreshing</a>'


def _since(view: View, snapshot: Snapshot) -> str:
    here = now(snapshot, view.age)
    since = snapshot.state_since
    told = f"Since {clock(since, here)}, for {messages.duration((here - since).total_seconds())} now."
    ends = snapshot.credentials.expiration
    if ends is not None and snapshot.credentials.usable:
        told += f" The credentials {'expire' if ends > here else 'expired'} {ago(ends, here)}."
    told += f" Polled {messages.duration(view.age)} ago."
    if snapshot.state is State.UNKNOWN and snapshot.polls.last_success:
        last = snapshot.polls.last_success
        told += f" What follows is what IMDS told last, at {clock(last, here)}, {ago(last, here)}."
    return f"<p>{told}</p>\n"


def _unpolled(view: View) -> str:
    waited = messages.duration(view.age)
    return f"<p>No poll has ended yet, {waited} after the start. The first takes some seconds at most.</p>\n"


def _stuck(view: View) -> str:
    return (
        f'<p class="stuck">There was no poll for {messages.duration(view.age)}: rolewatch is stuck, and this may be '
        "wrong by now. See: systemctl status rolewatch</p>\n"
    )


def _main(view: View) -> str:
    snapshot = view.snapshot
    if snapshot is None:
        return _happened(view, None) + _links(view)
    here = now(snapshot, view.age)
    bar = lifetime(snapshot, here)
    return (
        (_section("life", "Credentials", bar) if bar else "")
        + (
            _section("wrong", "What is wrong, and what to do", articles(view, snapshot, here))
            if snapshot.faults
            else ""
        )
        + _instance(snapshot, here, told=bool(bar))
        + _happened(view, here)
        + _links(view)
    )


def _section(name: str, heading: str, body: str) -> str:
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{heading}</h2>\n{body}</section>\n'


def _instance(snapshot: Snapshot, here: datetime, *, told: bool) -> str:
    """Return what is known of the instance; of its credentials, too, unless the bar has *told* that."""
    identity, offset = snapshot.identity, snapshot.clock_offset
    profile = code(snapshot.binding.instance_profile) if snapshot.binding.instance_profile else "none is told"
    profile_id = f" ({code(snapshot.binding.instance_profile_id)})" if snapshot.binding.instance_profile_id else ""
    rows = (
        row("Credentials", None if told else _expiration(snapshot.credentials.expiration, here))
        + row("Role", code(snapshot.binding.role) if snapshot.binding.role else "none is told")
        + row("Expected role", ", ".join(map(code, snapshot.expected.role)))
        + row("Instance profile", profile + profile_id)
        + row("Expected profile", ", ".join(map(code, snapshot.expected.instance_profile)))
        + row("Account", code(identity.account_id) if identity and identity.account_id else None)
        + row("Clock", _clock(offset) if offset is not None else None)
    )
    return _section("instance", "This instance", f"<dl>\n{rows}</dl>\n")


def _expiration(ends: datetime | None, here: datetime) -> str:
    if ends is None:
        return "IMDS serves none"
    return f"{'expired' if ends <= here else 'expire'} {clock(ends, here)}, {ago(ends, here)}"


def _clock(offset: float) -> str:
    if abs(offset) < NOISE:
        return "agrees with IMDS"
    return f"{messages.duration(abs(offset))} {'ahead of' if offset > 0 else 'behind'} IMDS"


def _happened(view: View, here: datetime | None) -> str:
    items = "".join(_item(each, here or each.at) for each in view.recent.newest_first())
    body = f'<ol class="time">\n{items}</ol>\n' if items else "<p>Nothing yet.</p>\n"
    note = (
        '<p class="note">Since rolewatch started, the last fifty at most. What happened before stands in the journal: '
        f"{code('rolewatch history --since 7d')}</p>\n"
    )
    return _section("happened", "What happened", body + note)


def _item(happened: Happened, here: datetime) -> str:
    bad = ' class="bad"' if happened.level.value <= Level.WARNING.value else ""
    return (
        f'<li{bad}><p class="meta">{clock(happened.at, here)} {_KINDS[happened.kind]}</p>\n'
        f"<p>{words(happened.message)}</p></li>\n"
    )


def _links(view: View) -> str:
    items = (
        ('<a href="/metrics">Metrics</a>', "for Prometheus"),
        ('<a href="/status.json">Status</a>', "the same as here, as JSON"),
        ('<a href="/-/healthy">Healthy</a>', "whether rolewatch polls"),
        ('<a href="/-/ready">Ready</a>', "whether the first poll has ended"),
        (code("rolewatch check"), "on the host: a look at IMDS now"),
        (code("rolewatch diagnose"), "on the host or from a workstation: why, with what AWS says"),
        *(((f'<a href="{words(view.homepage)}">rolewatch</a>', "its documentation"),) if view.homepage else ()),
    )
    listed = "".join(f"<li>{link}: {what}</li>\n" for link, what in items)
    return _section("links", "Where to look", f'<ul class="links">\n{listed}</ul>\n')


def _footer(view: View) -> str:
    polled = f" Polled {rfc3339(view.snapshot.moment.utc)}." if view.snapshot else ""
    return f"<footer>\n<p>rolewatch {words(view.version)}.{polled} Times are UTC.</p>\n</footer>\n"
