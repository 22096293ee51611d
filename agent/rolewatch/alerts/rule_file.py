"""The rule file: the alerts as YAML that people can read. promtool is the judge of it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from rolewatch.alerts import Alert, Options, Recording
from rolewatch.alerts.rules import groups

WIDTH = 116
_HEAD = """\
# Alerts and recording rules of rolewatch, for Prometheus {since} and newer. What each means: docs/alerts.md.
# Made by `rolewatch rules`. For another selector or other thresholds do not edit this: `rolewatch rules --help`.
"""


def rule_file(options: Options) -> str:
    """Return the rule file as *options* want it."""
    return "\n".join(_lines(options)) + "\n"


def _lines(options: Options) -> Iterator[str]:
    yield _HEAD.format(since="2.42" if options.keep_firing_for else "2.0")
    yield "groups:"
    for group in groups(options):
        yield f"  - name: {group.name}"
        yield "    rules:"
        for rule in group.rules:
            yield from _rule(rule, options)


def _rule(rule: Alert | Recording, options: Options) -> Iterator[str]:
    if isinstance(rule, Recording):
        yield f"      - record: {rule.name}"
        yield from _block("expr", rule.expr, 8)
        return
    if rule.why:
        yield from textwrap.wrap(rule.why, WIDTH, initial_indent=" " * 6 + "# ", subsequent_indent=" " * 6 + "# ")
    yield f"      - alert: {rule.name}"
    yield from _block("expr", rule.expr, 8)
    yield f"        for: {rule.wait}"
    if rule.hold and options.keep_firing_for:
        yield f"        keep_firing_for: {rule.hold}"
    yield f"        labels: {{severity: {rule.severity}}}"
    yield "        annotations:"
    yield f"          summary: {json.dumps(rule.summary)}"
    yield "          description: >-"
    yield from textwrap.wrap(
        rule.description,
        WIDTH,
        initial_indent=" " * 12,
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if rule.fix:
        yield from _block("fix", rule.fix, 10)
    if options.runbooks:
        yield f"          runbook_url: {options.runbooks.rstrip('/')}/{rule.runbook}"


def _block(key: str, text: str, indent: int) -> Iterator[str]:
    """Yield *text* as a literal block: line for line as it is, its own indentation included."""
    if "\n" not in text and ": " not in text and " #" not in text:
        yield f"{' ' * indent}{key}: {text}"
        return
    yield f"{' ' * indent}{key}: |-"
    yield from (f"{' ' * (indent + 2)}{line}".rstrip() for line in text.splitlines())
