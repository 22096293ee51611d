"""The faults that stand: cause, fix and timing, as the table of faults has them for this instance."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from rolewatch import tell
from rolewatch.explain import Explained, explain, facts_of
from rolewatch.faults import FAULTS
from rolewatch.model import ActiveFault, Snapshot
from rolewatch.publish.page.markup import clock, code, command, row, sentence, words
from rolewatch.publish.page.view import View


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
    lasted = tell.duration((now - active.since).total_seconds())
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
