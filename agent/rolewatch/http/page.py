"""The page at ``/``: the instance's state at a glance.

The HTML is in page.html and the CSS in page.css. `safe` escapes every value that is put into them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from rolewatch import files
from rolewatch.faults import FAULTS, Fault
from rolewatch.faults.explain import Explained, explain
from rolewatch.publish import ActiveFault, CredentialSummary, Event, Report, Snapshot, facts_of, messages
from rolewatch.text import bounded, rfc3339, shift
from rolewatch.vocabulary import EventKind, Level, State

# -- what the page shows -----------------------------------------------------------------------------------------------

KEPT_CHANGES = 40
KEPT_ROTATIONS = 10
"""Rotations come every hour, and would otherwise displace all other events within two days."""
LONGEST = 500
"""Characters of a message that are kept. A message about a wrong setting may have any length."""

_NOT_SHOWN = (EventKind.FAULT_PERSISTS, EventKind.POLL_FAILED, EventKind.STOPPING)
"""Events that are reminders, or that come when nobody can open the page any more."""


@dataclass(frozen=True)
class RecentEvent:
    """One event, reduced to what the page shows: fifty of them take some 25 kB."""

    number: int
    """Position in the order of events, which does not depend on a clock."""
    at: datetime
    """Time of its report, by IMDS's clock where that is known."""
    kind: EventKind
    level: Level
    message: str
    fault: Fault | None = None


@dataclass(frozen=True)
class RecentEvents:
    """The last events. Immutable: the server's thread may render them while the loop adds the next."""

    changes: tuple[RecentEvent, ...] = ()
    rotations: tuple[RecentEvent, ...] = ()
    count: int = 0

    def after(self, report: Report) -> RecentEvents:
        """Return the last events including those of *report*."""
        recent, at = self, page_time(report.snapshot, 0.0)
        for event in report.events:
            if event.kind not in _NOT_SHOWN:
                recent = recent._with(event, at)
        return recent

    def newest_first(self) -> tuple[RecentEvent, ...]:
        """Return all events that are kept."""
        return tuple(sorted((*self.changes, *self.rotations), key=lambda each: -each.number))

    def _with(self, event: Event, at: datetime) -> RecentEvents:
        count = self.count + 1
        added = RecentEvent(count, at, event.kind, event.level, bounded(event.message)[:LONGEST], event.fault)
        if event.kind is EventKind.CREDENTIALS_ROTATED:
            return replace(self, rotations=(*self.rotations, added)[-KEPT_ROTATIONS:], count=count)
        return replace(self, changes=(*self.changes, added)[-KEPT_CHANGES:], count=count)


@dataclass(frozen=True)
class View:
    """Everything that one page shows."""

    snapshot: Snapshot | None
    """Snapshot of the last report. None before the first poll has ended."""
    age: float
    """Seconds since the last poll ended; before the first one, since the start."""
    stuck: bool = False
    """Whether the next poll is so late that the page may be out of date."""
    recent: RecentEvents = field(default_factory=RecentEvents)
    refresh: int | None = None
    """Seconds until the browser reloads the page; None where the reader has turned that off."""
    version: str = ""
    runbooks: str = ""
    """URL below which each fault has its runbook, by name. Empty: no links."""
    homepage: str = ""
    uid: int | None = None
    """User ID that polls IMDS: firewall rules may be for single users."""

    @property
    def state(self) -> State:
        """State that the page shows."""
        return self.snapshot.state if self.snapshot else State.STARTING

    @property
    def accent(self) -> State:
        """State whose colour the page has: the neutral one when the data is stale."""
        return State.STARTING if self.stuck else self.state


def page_time(snapshot: Snapshot, age: float) -> datetime:
    """Return the time *age* seconds after the poll of *snapshot*, by IMDS's clock where that is known."""
    return shift(snapshot.time or snapshot.moment.utc, age)


# -- templates ---------------------------------------------------------------------------------------------------------

_PART = re.compile(r"<!-- ([a-z-]+) -->\n")
"""First line of a part of page.html, with its name."""
_LARGEST = 1 << 20
"""Bytes of page.html or page.css that are read, at the most."""


class Html(str):
    """Text that is HTML: `safe` leaves it as it is. Only `safe`, `fill`, `part` and `join` create it from values."""

    __slots__ = ()


def safe(value: object) -> Html:
    """Return *value* as HTML: on one line, bounded, markup and control characters escaped. None is empty."""
    if isinstance(value, Html):
        return value
    return Html("" if value is None else escape(bounded(str(value))))


def fill(template: str, **values: object) -> Html:
    """Return *template*, which is HTML of ours, with each ``$name`` replaced by `safe` of its value."""
    return Html(Template(template).substitute({name: safe(value) for name, value in values.items()}))


def part(name: str, **values: object) -> Html:
    """Return the part *name* of page.html, filled with *values* as in `fill`."""
    return fill(_parts()[name], **values)


def join(values: Iterable[object], separator: str = "\n") -> Html:
    """Return `safe` of each of *values*, joined by *separator*."""
    return Html(separator.join(map(safe, values)))


@cache
def _parts() -> Mapping[str, str]:
    """Return the parts of page.html by name. Reads the file at the first visit."""
    _, *names_and_parts = _PART.split(_read("page.html"))
    return dict(zip(names_and_parts[::2], (each[:-1] for each in names_and_parts[1::2])))


@cache
def style() -> Html:
    """Return page.css. Reads the file at the first visit."""
    return Html(_read("page.css"))


@cache
def content_security_policy() -> str:
    """Return the policy that allows the page's style, the icon within the page, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _read(name: str) -> str:
    return files.read(Path(__file__).with_name(name), limit=_LARGEST, follow_links=True).data.decode()


# -- values ------------------------------------------------------------------------------------------------------------


def code(value: object) -> Html:
    """Return *value* as a name or a word to type."""
    return fill("<code>$value</code>", value=value)


def codes(values: Iterable[object]) -> Html:
    """Return each of *values* as `code` does, separated by commas."""
    return join(map(code, values), ", ")


def command(lines: str) -> Html:
    """Return *lines* of shell to copy; nothing where there are none."""
    return fill("<pre><code>$lines</code></pre>", lines=join(lines.splitlines())) if lines else Html()


def capitalized(sentence: str) -> str:
    """Return *sentence* with its first letter in upper case."""
    return sentence[:1].upper() + sentence[1:]


def clock(moment: datetime, now: datetime) -> Html:
    """Return *moment* as a time of day, ``17:31 UTC``, with its date where that is not the date of *now*."""
    there, here = moment.astimezone(timezone.utc), now.astimezone(timezone.utc)
    date = "" if there.date() == here.date() else f"{there:%Y-%m-%d} "
    return fill('<time datetime="$iso">$date$time</time>', iso=rfc3339(moment), date=date, time=messages.clock(there))


def ago(moment: datetime, now: datetime) -> str:
    """Return the distance of *moment* from *now*: ``29 min ago``, ``in 5 h 40 min``."""
    seconds = (now - moment).total_seconds()
    return f"{messages.duration(seconds)} ago" if seconds >= 0 else f"in {messages.duration(-seconds)}"


def lasted(since: datetime, now: datetime) -> str:
    """Return the time from *since* to *now*: ``5 h 40 min``."""
    return messages.duration((now - since).total_seconds())


def rows(values: Mapping[str, object]) -> Html:
    """Return the rows of a description list, by their labels, without those that are empty."""
    return join(part("row", label=label, value=value) for label, value in values.items() if value)


# -- the page ----------------------------------------------------------------------------------------------------------

COLOURS: Mapping[State, str] = {
    State.STARTING: "#46525f",
    State.OK: "#176a34",
    State.DEGRADED: "#8a4b00",
    State.FAILED: "#b1221b",
    State.UNKNOWN: "#5a3f9e",
}
"""Colours of the icon, which are those of page.css."""


def render_page(view: View) -> bytes:
    """Return the page that shows *view*, in UTF-8."""
    snapshot, state = view.snapshot, view.state
    identity = snapshot.identity if snapshot else None
    old = f"{messages.duration(view.age)} ago" if view.stuck else ""
    of_host = f": {identity.instance_id}" if identity and identity.instance_id else ""
    name = "OK" if state is State.OK else state.value.capitalize()
    sign = part(f"sign-{state.value}")
    page = part(
        "page",
        title=f"{f'{state.value} {old}' if old else state.value}{of_host} (rolewatch)",
        icon=quote(part("icon", colour=COLOURS[view.accent], sign=sign)),
        style=style(),
        accent=view.accent.value,
        host=_host(snapshot),
        refresh=part("refresh", seconds=view.refresh) if view.refresh is not None else part("no-refresh"),
        sign=sign,
        state=f"{name}, {old}" if old else name,
        meaning=capitalized(messages.STATES[state]),
        summary=_summary(view),
        sections=join(_sections(view)),
        version=view.version,
        polled=f" Polled {rfc3339(snapshot.moment.utc)}." if snapshot else "",
    )
    return f"{page}\n".encode()


def _host(snapshot: Snapshot | None) -> Html:
    identity = snapshot.identity if snapshot else None
    if identity is None:
        return Html("rolewatch")
    region = part("region", region=identity.region) if identity.region else ""
    return fill("rolewatch on $id$region", id=code(identity.instance_id), region=region)


def _summary(view: View) -> Html:
    """Return how long the state lasts, and the titles of the faults as links to their articles."""
    age, snapshot = messages.duration(view.age), view.snapshot
    stuck = [part("stuck", age=age)] if view.stuck else []
    if snapshot is None:
        waiting = fill("<p>rolewatch started $age ago. The first poll ends within a few seconds.</p>", age=age)
        return join([waiting, *stuck])
    links = [
        part("fault-link", fault=each.fault.value, title=capitalized(FAULTS[each.fault].title))
        for each in snapshot.faults
    ]
    listed = [part("faults", items=join(links))] if links else []
    return join([fill("<p>$text</p>", text=join(_since(view, snapshot), " ")), *listed, *stuck])


def _since(view: View, snapshot: Snapshot) -> Iterable[object]:
    now = page_time(snapshot, view.age)
    since, ends, last = snapshot.state_since, snapshot.credentials.expiration, snapshot.polls.last_success
    yield fill("Since $since, for $lasted now.", since=clock(since, now), lasted=lasted(since, now))
    if ends is not None and snapshot.credentials.usable:
        yield f"The credentials {'expire' if ends > now else 'expired'} {ago(ends, now)}."
    yield f"Polled {messages.duration(view.age)} ago."
    if snapshot.state is State.UNKNOWN and last:
        yield fill(
            "The details below are from the last usable answer of IMDS, at $last, $ago.",
            last=clock(last, now),
            ago=ago(last, now),
        )
    elif snapshot.state is State.UNKNOWN and ends:
        yield "The details below are from before rolewatch started."


def _sections(view: View) -> Iterable[Html]:
    snapshot = view.snapshot
    now = page_time(snapshot, view.age) if snapshot else None
    if snapshot and now:
        lifetime = _lifetime(snapshot.credentials, now)
        if lifetime:
            yield part("section", id="life", heading="Credentials", body=lifetime)
        if snapshot.faults:
            facts = facts_of(snapshot, uid=view.uid)
            articles = join(
                _article(view, each, explain(each.fault, each.evidence, facts), now) for each in snapshot.faults
            )
            yield part("section", id="wrong", heading="What is wrong, and what to do", body=articles)
        instance = part("list", rows=rows(_instance(snapshot, now, with_expiry=not lifetime)))
        yield part("section", id="instance", heading="This instance", body=instance)
    events = [_event(each, now or each.at) for each in view.recent.newest_first()]
    body = part("events", items=join(events)) if events else Html("<p>Nothing yet.</p>")
    yield part("section", id="happened", heading="What happened", body=join([body, part("events-note")]))
    homepage = part("homepage", url=view.homepage) if view.homepage else None
    yield part("section", id="links", heading="See also", body=part("links", homepage=homepage))


# -- the bar of the credentials' life ----------------------------------------------------------------------------------

MOST_TICKS = 12
"""Refreshes in one life that are drawn. More would run into each other."""
_EDGE = 8.0
"""Per cent of the width. A word centred closer to the edge would be cut off."""


def _lifetime(credentials: CredentialSummary, now: datetime) -> Html | None:
    """Return the bar and its explanation; None where the beginning or the end of the credentials is unknown."""
    begun, ends, overdue = credentials.last_updated, credentials.expiration, credentials.overdue
    if begun is None or ends is None or ends <= begun:
        return None
    life = (ends - begun).total_seconds()

    def percent(moment: datetime) -> float:
        """Return the position of *moment* on the bar."""
        return min(max((moment - begun).total_seconds() / life, 0.0), 1.0) * 100

    marks = [part("due-mark", at=f"{percent(due):.1f}") for due in _due(begun, life, credentials.rotation_interval)]
    if overdue is not None and overdue < ends:
        marks.append(part("overdue-mark", at=f"{percent(overdue):.1f}"))
    passed = percent(now)
    return part(
        "lifetime",
        percent=f"{passed:.0f}",
        now=f"{passed:.1f}",
        anchor="start" if passed < _EDGE else "end" if passed > 100 - _EDGE else "middle",
        marks=join(marks),
        begun=clock(begun, now),
        expires="expired" if ends <= now else "expires",
        ends=clock(ends, now),
        refreshes=_refreshes(begun, credentials.rotation_interval, now),
        overdue=part("overdue", sentence=_overdue(overdue, now)) if overdue else None,
    )


def _due(begun: datetime, life: float, interval: float | None) -> list[datetime]:
    """Return when the refreshes within this life are due, or nothing where they are too many to draw."""
    count = int(life / interval) if interval else 0
    return [shift(begun, (interval or 0.0) * (n + 1)) for n in range(count)] if count <= MOST_TICKS else []


def _refreshes(begun: datetime, interval: float | None, now: datetime) -> Html:
    """Return when the next refresh is due."""
    if not interval:
        return Html("The refresh interval is not known yet: it is learned from two refreshes.")
    due = shift(begun, interval)
    return fill(
        "Refreshed about every $interval; the next $verb due at $due, $ago.",
        interval=messages.duration(interval),
        verb="was" if due <= now else "is",
        due=clock(due, now),
        ago=ago(due, now),
    )


def _overdue(overdue: datetime, now: datetime) -> Html:
    if overdue <= now:
        return fill("Overdue since $at, for $lasted now.", at=clock(overdue, now), lasted=lasted(overdue, now))
    return fill("Overdue from $at on, $ago.", at=clock(overdue, now), ago=ago(overdue, now))


# -- faults, the instance, and events ----------------------------------------------------------------------------------

AGREEMENT = 2.0
"""Seconds by which two clocks that agree may differ: `Date` has whole seconds, and an answer takes its time."""


def _article(view: View, active: ActiveFault, explained: Explained, now: datetime) -> Html:
    fault = active.fault.value
    return part(
        "article",
        fault=fault,
        title=capitalized(explained.title),
        severity=explained.severity.name.lower(),
        since=clock(active.since, now),
        lasted=lasted(active.since, now),
        meaning=explained.meaning,
        cause=explained.cause,
        steps=join(part("step", text=step.text, command=command(step.command)) for step in explained.fix),
        takes_effect=explained.takes_effect,
        who=capitalized(explained.who),
        evidence=rows({"Evidence": codes(f"{key}={value}" for key, value in active.evidence.items())}),
        runbook=part("runbook", url=view.runbooks, fault=fault) if view.runbooks else None,
        page=explained.page,
    )


_UNHEARD = {State.STARTING: "not known yet", State.UNKNOWN: "not known"}
"""What a value is that was not heard, in the states that have no verdict: "none" is one."""


def _instance(snapshot: Snapshot, now: datetime, *, with_expiry: bool) -> Mapping[str, object]:
    """Return what is known of the instance, by label; *with_expiry* that of the credentials, too."""
    identity, offset, binding = snapshot.identity, snapshot.clock_offset, snapshot.binding
    unheard = _UNHEARD.get(snapshot.state)
    return {
        "Credentials": _expiry(snapshot.credentials.expiration, now, unheard or "IMDS serves none")
        if with_expiry
        else None,
        "IMDS": messages.over_ipv6(snapshot.imds_address),
        "Role": code(binding.role) if binding.role else unheard or "none",
        "Expected role": "none" if snapshot.expected.none else codes(snapshot.expected.role),
        "Instance profile": fill(
            "$name$id",
            name=code(binding.instance_profile) if binding.instance_profile else unheard or "none",
            id=fill(" ($id)", id=code(binding.instance_profile_id)) if binding.instance_profile_id else "",
        ),
        "Expected profile": codes(snapshot.expected.instance_profile),
        "Account": code(identity.account_id) if identity and identity.account_id else None,
        "Clock": _clock_offset(offset) if offset is not None else None,
    }


def _expiry(ends: datetime | None, now: datetime, without: str) -> object:
    if ends is None:
        return without
    return fill(
        "$verb $ends, $ago", verb="expired" if ends <= now else "expire", ends=clock(ends, now), ago=ago(ends, now)
    )


def _clock_offset(offset: float) -> str:
    if abs(offset) < AGREEMENT:
        return "agrees with IMDS"
    return f"{messages.duration(abs(offset))} {'ahead of' if offset > 0 else 'behind'} IMDS"


def _event(event: RecentEvent, now: datetime) -> Html:
    return part(
        "bad-event" if event.level.value <= Level.WARNING.value else "event",
        time=clock(event.at, now),
        kind=event.kind.value.replace("_", " "),
        message=event.message,
    )
