"""The checks of this host: what may stand between its processes and IMDS, and what shadows the role."""

from __future__ import annotations

from rolewatch.aws.checks import Outcome, failed, passed, unknown
from rolewatch.aws.diagnose.collect import Context
from rolewatch.aws.diagnose.credential_overrides import Shadow, Shadows
from rolewatch.aws.diagnose.host import Host
from rolewatch.aws.queries import Instance
from rolewatch.faults import Fault
from rolewatch.observation import Failure, Unanswered
from rolewatch.vocabulary import FailureLabel, Reason


def route(context: Context) -> Outcome:
    """Judge the local route to IMDS."""
    host = _host(context)
    if host.rejected:
        return failed(f"The main routing table rejects {host.address} (unreachable, prohibit or blackhole).")
    failure = _failure(context)
    if host.interface:
        return passed(f"{host.address} goes out through {host.interface}.", interface=host.interface)
    if failure is None:
        return passed(f"IMDS answered at {host.address}; the main routing table does not show how.")
    if not host.routes_read:
        return unknown(f"The routes to {host.address} could not be read.")
    return failed(f"The main routing table has no route to {host.address}.")


def firewall(context: Context) -> Outcome:
    """Say whether the failure looks like a firewall's. Its rules are root's to read."""
    failure = _failure(context)
    user = context.look.user if context.look and context.look.user else "this user"
    if failure is None:
        return passed(f"IMDS answers {user}. Rules by uid may hold for others: applications may be refused.")
    if failure.reason is Reason.REFUSED:
        return failed(
            "The connection is refused: a firewall rule (REJECT), perhaps only for this user, or nothing listens."
        )
    if failure.reason is Reason.FILTERED:
        return failed("A local filter refuses the packet: nftables, the unit's IPAddressDeny, or seccomp.")
    if failure.reason is Reason.CONNECT_TIMEOUT:
        return failed("The connection is not answered: a firewall rule (DROP), or packets are dropped on the way.")
    return passed("The failure is not one that a firewall makes.")


def hop_limit(context: Context) -> Outcome:
    """Judge whether the answer to the token request comes back."""
    failure = _failure(context)
    instance = context.asked.instance
    limit = instance.options.hop_limit if isinstance(instance, Instance) else None
    told = "" if limit is None else f" EC2 has it at {limit}."
    if failure is None:
        return passed(f"The answer to the token request comes back.{told}", hop_limit=limit)
    if context.finding(Fault.IMDS_HOP_LIMIT) is None:
        return unknown(f"The token request did not come so far.{told}", hop_limit=limit)
    return failed(
        f"Connected, and the token request is not answered: the response dies on its way back.{told}",
        Fault.IMDS_HOP_LIMIT,
        failure.evidence,
        hop_limit=limit,
    )


def allowance(context: Context) -> Outcome:
    """Judge the budget of link-local packets: IMDS, DNS and NTP share 1024 a second on an interface."""
    host, failure = _host(context), _failure(context)
    count = host.allowance_exceeded
    if count is None:
        return unknown("The counter linklocal_allowance_exceeded is not told here (no ENA driver, or no ethtool).")
    if count == 0:
        return passed(f"{host.interface} has dropped no link-local packet since boot.", dropped=0)
    note = f"{host.interface} has dropped {count} link-local packets since boot"
    if failure is not None and failure.reason.label is FailureLabel.TIMEOUT:
        return failed(f"{note}, and IMDS does not answer: the budget of 1024 a second is used up.", dropped=count)
    return passed(f"{note}, though IMDS answers now: watch whether the figure grows.", dropped=count)


def imdsd(context: Context) -> Outcome:
    """Judge whether systemd-imdsd locks IMDS for unprivileged processes."""
    host, failure = _host(context), _failure(context)
    locked = host.imdsd_network == "locked"
    if failure is not None and failure.reason is Reason.PROHIBITED and (host.imdsd or locked):
        return failed("systemd-imdsd locks IMDS for unprivileged processes with a prohibit route.")
    if failure is not None and failure.reason is Reason.PROHIBITED:
        return failed("A prohibit route stands before IMDS, as systemd-imdsd sets one; it is not installed, though.")
    if locked and failure is None:
        return passed("systemd-imdsd is told to lock IMDS, and this user still reaches it; others may not.")
    return passed("systemd-imdsd does not lock IMDS." if host.imdsd else "There is no systemd-imdsd.")


def proxy(context: Context) -> Outcome:
    """Judge whether SDKs would send requests for IMDS to a proxy."""
    host = _host(context)
    if not host.proxies:
        return passed("No variable of this environment would send a request for IMDS to a proxy.")
    names = ", ".join(host.proxies)
    return failed(
        f"{names} would send SDKs' requests for IMDS to a proxy: add {host.address} to no_proxy.", where=names
    )


def environment(context: Context) -> Outcome:
    """Judge the variables that SDKs read before anything else."""
    return _shadowed(context, _shadows(context).environment, "variable of the environment")


def files(context: Context) -> Outcome:
    """Judge the shared configuration files."""
    shadows = _shadows(context)
    if shadows.unreadable and not shadows.files:
        return unknown(f"{', '.join(shadows.unreadable)} cannot be read by this user.")
    return _shadowed(context, shadows.files, "configuration file")


def container(context: Context) -> Outcome:
    """Judge the variables of containers and web identities."""
    return _shadowed(context, _shadows(context).container, "variable of a container or a web identity")


def _shadowed(context: Context, shadows: tuple[Shadow, ...], kind: str) -> Outcome:
    user = context.look.user if context.look and context.look.user else "this user"
    if not shadows:
        return passed(f"No {kind} shadows the instance's role for {user}. Services have environments of their own.")
    told = "; ".join(f"{each.where} ({each.what})" for each in shadows)
    return failed(
        f"SDKs do not get to the instance's role for {user}: {told}.", where=", ".join(e.where for e in shadows)
    )


def _host(context: Context) -> Host:
    return context.look.host if context.look else Host(address="")


def _shadows(context: Context) -> Shadows:
    return context.look.shadows if context.look else Shadows()


def _failure(context: Context) -> Failure | None:
    seen = context.look.seen if context.look else None
    return seen.failure if isinstance(seen, Unanswered) else None
