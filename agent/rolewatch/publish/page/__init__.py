"""The page at ``/``: the instance's state at a glance, for whoever opens it at three in the morning.

One self-contained page without a script. It tells what ``/status.json`` tells, and what happened lately.
"""

from __future__ import annotations

from datetime import datetime
from typing import Mapping, Optional
from urllib.parse import quote

from rolewatch import tell
from rolewatch.model import EventKind, Level, Snapshot, State, rfc3339
from rolewatch.publish.page.clocks import NOISE, by_imds, now
from rolewatch.publish.page.faults import articles, list_of_faults
from rolewatch.publish.page.lifetime import lifetime
from rolewatch.publish.page.markup import ago, clock, code, row, words
from rolewatch.publish.page.recent import Happened
from rolewatch.publish.page.style import COLOURS, STYLE
from rolewatch.publish.page.view import View

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


def page(view: View) -> bytes:
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
    return f"{tell.duration(view.age)} ago"


def _icon(view: View) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 -2 28 28" fill="none" stroke-width="3" '
        f'stroke="{COLOURS[_accent(view)]}">{_SIGNS[view.state]}</svg>'
    )


def _header(view: View) -> str:
    snapshot, state = view.snapshot, view.state
    said = tell.STATES[state]
    name = f"{_NAMES[state]}, {_old(view)}" if view.stuck else _NAMES[state]
    return (
        f'<header>\n<div class="bar-top">\n<p>{_where(snapshot)}</p>\n<p>{_refreshing(view)}</p>\n</div>\n'
        f'<h1><svg viewBox="0 0 24 24" aria-hidden="true">{_SIGNS[state]}</svg> {name}</h1>\n'
        f'<p class="say">{said[:1].upper()}{said[1:]}.</p>\n'
        + (_since(view, snapshot) + list_of_faults(snapshot) if snapshot else _unpolled(view))
        + (_stuck(view) if view.stuck else "")
        + "</header>\n"
    )


def _where(snapshot: Optional[Snapshot]) -> str:
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
    since = by_imds(snapshot, snapshot.state_since)
    told = f"Since {clock(since, here)}, for {tell.duration((here - since).total_seconds())} now."
    ends = snapshot.expiration
    if ends is not None and snapshot.usable:
        told += f" The credentials {'expire' if ends > here else 'expired'} {ago(ends, here)}."
    told += f" Polled {tell.duration(view.age)} ago."
    if snapshot.state is State.UNKNOWN and snapshot.last_success:
        last = by_imds(snapshot, snapshot.last_success)
        told += f" What follows is what IMDS told last, at {clock(last, here)}, {ago(last, here)}."
    return f"<p>{told}</p>\n"


def _unpolled(view: View) -> str:
    waited = tell.duration(view.age)
    return f"<p>No poll has ended yet, {waited} after the start. The first takes some seconds at most.</p>\n"


def _stuck(view: View) -> str:
    return (
        f'<p class="stuck">There was no poll for {tell.duration(view.age)}: rolewatch is stuck, and this may be wrong '
        "by now. See: systemctl status rolewatch</p>\n"
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
    profile = code(snapshot.instance_profile) if snapshot.instance_profile else "none is told"
    profile_id = f" ({code(snapshot.instance_profile_id)})" if snapshot.instance_profile_id else ""
    rows = (
        row("Credentials", None if told else _expiration(snapshot.expiration, here))
        + row("Role", code(snapshot.role) if snapshot.role else "none is told")
        + row("Expected role", ", ".join(map(code, snapshot.expected_role)))
        + row("Instance profile", profile + profile_id)
        + row("Expected profile", ", ".join(map(code, snapshot.expected_instance_profile)))
        + row("Account", code(identity.account_id) if identity and identity.account_id else None)
        + row("Clock", _clock(offset) if offset is not None else None)
    )
    return _section("instance", "This instance", f"<dl>\n{rows}</dl>\n")


def _expiration(ends: Optional[datetime], here: datetime) -> str:
    if ends is None:
        return "IMDS serves none"
    return f"{'expired' if ends <= here else 'expire'} {clock(ends, here)}, {ago(ends, here)}"


def _clock(offset: float) -> str:
    if abs(offset) < NOISE:
        return "agrees with IMDS"
    return f"{tell.duration(abs(offset))} {'ahead of' if offset > 0 else 'behind'} IMDS"


def _happened(view: View, here: Optional[datetime]) -> str:
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
