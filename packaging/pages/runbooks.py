"""The generated parts of the runbooks, `docs/runbooks/`: what the tables of faults and of alerts contain.

A runbook is for who was woken by an alert and knows nothing else. What no table has is written by hand around these
parts: what applications say, how the answers of IMDS look, how to prevent it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pages.alerts import prose
from rolewatch.alerts import Alert, Options, alert_name, alerts
from rolewatch.cli.render import raised_when, remedies
from rolewatch.faults import FAULTS, Fault
from rolewatch.faults.explain import explain
from rolewatch.faults.table import Entry
from rolewatch.publish import messages

ASK = """\
imds=http://169.254.169.254/latest
ttl='X-aws-ec2-metadata-token-ttl-seconds: 60'
curl -sS -m 2 --noproxy '*' -o /dev/null -w 'token: HTTP %{http_code}\\n' -X PUT -H "$ttl" $imds/api/token
token=$(curl -sS -m 2 --noproxy '*' -X PUT -H "$ttl" $imds/api/token)
ask() { curl -sS -m 2 --noproxy '*' -w '\\nHTTP %{http_code}\\n' -H "X-aws-ec2-metadata-token: $token" \\
  "$imds/meta-data/iam/$1"; }
ask info
ask security-credentials/
role=$(curl -sSf -m 2 --noproxy '*' -H "X-aws-ec2-metadata-token: $token" $imds/meta-data/iam/security-credentials/) &&
  ask "security-credentials/$role" | grep -vE 'AccessKeyId|SecretAccessKey|Token'
"""
"""What rolewatch asks at every poll, by hand, without the secrets. For a shell on the instance."""


def blocks(name: str) -> dict[str, Iterator[str]]:
    """Return the generated blocks of the runbook *name*, which is a fault's or an alert's, by their names."""
    if name not in set(Fault):
        return {"alert": _alert_lines(name)}
    fault = Fault(name)
    entry = FAULTS[fault]
    return {"summary": _summary(entry), "looks": _looks(fault), "ask": _fenced(ASK), "fix": remedies(entry)}


def subjects() -> tuple[str, ...]:
    """Return the names of all runbooks: every fault, then every alert that is not one fault's."""
    led_to = dict.fromkeys(alert.runbook for alert in alerts(Options()))
    return (*(fault.value for fault in Fault), *(name for name in led_to if name not in set(Fault)))


def index() -> Iterator[str]:
    """Yield the lines of the index, `docs/runbooks/README.md`."""
    yield "| fault | what is wrong | alert |"
    yield "|---|---|---|"
    for fault, entry in FAULTS.items():
        alert = "none" if entry.only_diagnosed else f"`{alert_name(fault)}`"
        yield f"| [`{fault.value}`]({fault.value}.md) | {entry.title} | {alert} |"
    yield ""
    yield "| alert | what is wrong |"
    yield "|---|---|"
    for name in subjects()[len(Fault) :]:
        yield f"| [`{name}`]({name}.md) | {prose(_named(name)[0].summary)} |"


def _named(name: str) -> tuple[Alert, ...]:
    return tuple(alert for alert in alerts(Options()) if alert.name == name)


def _summary(entry: Entry) -> Iterator[str]:
    explained = explain(entry.fault, {}, {})
    yield f"**{explained.title[0].upper()}{explained.title[1:]}.** {explained.meaning}"
    yield ""
    if entry.only_diagnosed:
        yield f"No alert: {raised_when(entry)}. AWS: <{entry.page}>."
        return
    severities = " or ".join(dict.fromkeys(alert.severity for alert in _named(alert_name(entry.fault))))
    yield f"Alert: `{alert_name(entry.fault)}`, {severities}. Raised {raised_when(entry)}. AWS: <{entry.page}>."


def _looks(fault: Fault) -> Iterator[str]:
    if FAULTS[fault].only_diagnosed:
        yield "No metric and no journal entry: `rolewatch diagnose` names it, for one program at a time."
        return
    evidence = FAULTS[fault].example
    yield "The metric, and the journal entry (`journalctl -u rolewatch`; `-x` adds cause and fix):"
    yield ""
    yield "```text"
    yield f'rolewatch_fault_active{{fault="{fault.value}"}} 1.0'
    yield messages.raised(fault, evidence, {})
    yield "```"
    yield ""
    yield f"All journal entries of this fault: `journalctl -u rolewatch MESSAGE_ID={FAULTS[fault].message_id}`."


def _fenced(script: str) -> Iterator[str]:
    yield "```sh"
    yield from script.splitlines()
    yield "```"


def _alert_lines(name: str) -> Iterator[str]:
    for alert in _named(name):
        yield f"**{prose(alert.summary)}** Severity {alert.severity}, after {alert.wait} of:"
        yield ""
        yield "```promql"
        yield from alert.expr.splitlines()
        yield "```"
        yield ""
    yield prose(_named(name)[0].description)
