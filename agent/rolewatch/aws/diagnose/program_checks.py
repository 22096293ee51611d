"""Checks of what a program uses instead of the role, and of its way to IMDS. Pure.

The program is the one that the command names, or else those of the user who runs it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace

from rolewatch.aws.checks import Outcome, Result, Status, failed, passed, skipped, unknown
from rolewatch.aws.diagnose.findings import LocalFindings
from rolewatch.aws.diagnose.overrides import Override
from rolewatch.faults import Fault

_NAME_ONE = "root on the instance: rolewatch diagnose --unit=NAME, --pid=N, --user=NAME or --all-units"
_LATER = "What it sets for itself later cannot be read."


def proxy(local: LocalFindings) -> Outcome:
    """Check whether clients would send requests for IMDS to a proxy."""
    found, address = local.overrides.proxies, local.host.address
    if not found:
        return _no_variable(local, f"No variable of {local.whose} sends a request for IMDS to a proxy.")
    names = ", ".join(dict.fromkeys(found.values()))
    forms = f"both {address} and [{address}]" if ":" in address else address
    return failed(
        f"In {', '.join(found)}, {names} of {local.whose} sends requests for IMDS to a proxy. Add {forms} to no_proxy "
        "and NO_PROXY: not every client accepts a network, a pattern or a port there.",
        Fault.CREDENTIALS_OVERRIDDEN,
        {},
        where=names,
    )


def network(local: LocalFindings) -> Outcome:
    """Check whether a request as the named program is answered: by its user, and in its network."""
    program, request = local.program, local.request
    if program is None:
        return skipped("No program is named.", _NAME_ONE)
    if program.uid is None:
        return skipped(f"The uid of {program.name} is not known before it runs.", _NAME_ONE)
    if request is None:
        return skipped(f"No request could be sent as {program.name}.", _NAME_ONE)
    where = " in its network namespace" if program.own_network else ""
    if not request:
        return passed(f"IMDS answers the uid of {program.name}{where}.")
    note = f"IMDS does not answer the uid of {program.name}{where} ({request.get('reason')})."
    if local.failure is not None:
        return failed(note)
    return failed(f"{note} It answers {local.user}.", Fault.CREDENTIALS_OVERRIDDEN, request)


def limits(local: LocalFindings) -> Outcome:
    """Check whether the unit of the named program forbids requests for IMDS, and say what else confines it."""
    program, address = local.program, local.host.address
    if program is None:
        return skipped("No program is named.", _NAME_ONE)
    family = "AF_INET6" if ":" in address else "AF_INET"
    families = program.limits.get("RestrictAddressFamilies", ())
    if families and (family in families or f"~{family}" in families) == families[0].startswith("~"):
        return _forbidden(local, "RestrictAddressFamilies", f"does not allow {family}")
    denied, allowed = (program.limits.get(name, ()) for name in ("IPAddressDeny", "IPAddressAllow"))
    if _contains(denied, address) and not _contains(allowed, address):
        return _forbidden(local, "IPAddressDeny", f"contains {address}, and IPAddressAllow does not")
    if not program.confined_by:
        return passed(f"Nothing is known to confine {program.name}.")
    return passed(
        f"Its unit allows IMDS. {program.name} is confined by {' and '.join(program.confined_by)}: what these refuse "
        "cannot be read. The kernel logs it: journalctl -k -g 'apparmor|avc|seccomp'."
    )


def _forbidden(local: LocalFindings, setting: str, why: str) -> Outcome:
    return failed(f"{setting} of the unit of {local.whose} {why}.", Fault.CREDENTIALS_OVERRIDDEN, {}, where=setting)


def _contains(networks: Sequence[str], address: str) -> bool:
    """Return whether one of *networks*, as systemd shows them, contains *address*."""
    try:
        return any(ipaddress.ip_address(address) in ipaddress.ip_network(each, strict=False) for each in networks)
    except ValueError:
        return False


def environment(local: LocalFindings) -> Outcome:
    """Check the variables that SDKs read before anything else."""
    return _overridden(local, local.overrides.environment, "variable of the environment")


def files(local: LocalFindings) -> Outcome:
    """Check the shared configuration files."""
    found = local.overrides
    if found.unreadable and not found.files:
        return unknown(f"{', '.join(found.unreadable)} cannot be read from here.")
    if not found.files and local.program and local.program.home is None:
        return unknown(f"The home directory of {local.whose} is not known.")
    outcome = _overridden(local, found.files, "configuration file")
    if outcome.status is Status.FAIL or not found.built_on_role:
        return outcome
    named = "; ".join(f"{each.where} ({each.what})" for each in found.built_on_role)
    return replace(outcome, note=f"{outcome.note} SDKs assume another role with the instance's role: {named}.")


def container(local: LocalFindings) -> Outcome:
    """Check the variables of containers and web identities."""
    return _overridden(local, local.overrides.container, "variable of a container or a web identity")


def _overridden(local: LocalFindings, overrides: tuple[Override, ...], kind: str) -> Outcome:
    if overrides:
        named = "; ".join(f"{each.where} ({each.what})" for each in overrides)
        return failed(
            f"SDKs do not use the instance's role for {local.whose}: {named}.",
            Fault.CREDENTIALS_OVERRIDDEN,
            {},
            where=", ".join(each.where for each in overrides),
        )
    note = f"No {kind} shadows the instance's role for {local.whose}."
    if "file" not in kind:
        return _no_variable(local, note)
    unknown_variables = local.program is not None and local.program.environ is None
    return passed(f"{note} Its variables are not known, and may name other files." if unknown_variables else note)


_OVERRIDING = (proxy, environment, files, container)


def units(each: Sequence[LocalFindings]) -> list[Result]:
    """Return a result for the named program of each of *each*: first those that do not use the role."""
    results = [Result(f"unit.{one.whose}", one.whose, _of_unit(one)) for one in each]
    order = (Status.FAIL, Status.UNKNOWN, Status.SKIPPED, Status.PASS)
    return sorted(results, key=lambda result: order.index(result.outcome.status))


def _of_unit(local: LocalFindings) -> Outcome:
    """Return one outcome for a service. A sandbox that excludes IMDS is no fault: systemd's own services have one."""
    reached = network(local)
    is_private = bool(local.program and local.program.limits.get("PrivateNetwork") == ("yes",))
    is_closed = limits(local).status is Status.FAIL or (is_private and reached.status is not Status.PASS)
    outcomes = [judge(local) for judge in _OVERRIDING] + ([] if is_private else [reached])
    wrong = [outcome for outcome in outcomes if outcome.status is Status.FAIL]
    if wrong:
        return replace(wrong[0], note=" ".join(outcome.note for outcome in wrong))
    if is_closed:
        return passed("Its unit allows no request for IMDS.")
    undecided = [outcome for outcome in outcomes if outcome.status is not Status.PASS]
    if undecided:
        return skipped("Some of it cannot be read: its variables, its files or its network.", undecided[0].who)
    return passed(f"Nothing keeps it from the role. {_LATER}")


def _no_variable(local: LocalFindings, note: str) -> Outcome:
    """Return the outcome where no variable overrides the role: *note*, as far as the variables are known."""
    if local.program is None:
        return passed(f"{note} Services have variables of their own: --unit=NAME.")
    if local.program.environ is None:
        why = "" if local.program.pid is None else ": its environment cannot be read"
        return skipped(f"The variables of {local.whose} are not known{why}.", _NAME_ONE)
    return passed(f"{note} {_LATER}")
