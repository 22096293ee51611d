"""Poll once and judge as the daemon does, with the daemon's state: for `check` and `diagnose`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rolewatch import monitor
from rolewatch.config import resolve_endpoint
from rolewatch.errors import ImdsError, StateFileError
from rolewatch.faults import FAULTS
from rolewatch.imds import Questions, observe
from rolewatch.imds.client import Client
from rolewatch.imds.host import host_of_url, instance_id_for
from rolewatch.monitor.classify import Verdict, classify
from rolewatch.monitor.clock import keep_time
from rolewatch.monitor.confirmation import Confirmation
from rolewatch.monitor.loop import clock
from rolewatch.monitor.memory import Memory
from rolewatch.monitor.state_file import StateFile
from rolewatch.observation import Answered, Failure, Observation, Unanswered
from rolewatch.publish import Snapshot
from rolewatch.settings import Settings
from rolewatch.vocabulary import Phase, Reason

INSTALLED = "/var/lib/rolewatch"
"""The StateDirectory of the unit, for a command that systemd did not start."""


def state_file(settings: Settings, environ: Mapping[str, str]) -> StateFile | None:
    """Return the state file of the daemon; None if it has none. Of several directories from systemd it is the first."""
    directory = settings.state.directory or environ.get("STATE_DIRECTORY", "").split(":")[0]
    return StateFile(Path(directory), resolve_endpoint(settings.imds)) if directory else None


def confirmation_request(settings: Settings, environ: Mapping[str, str]) -> Path | None:
    """Return the file that the daemon replaces to request a confirmation; None if it has no place for one."""
    if settings.confirm.request:
        return Path(settings.confirm.request)
    directory = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(directory, "confirm") if directory else None


def boot_id() -> str:
    """Return the kernel's id of this boot; empty if it cannot be read."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def load_state(file: StateFile, endpoint: str) -> Memory:
    """Return the memory in *file* for the IMDS at *endpoint*. Raise `StateFileError` if it cannot be used."""
    return file.load(boot_id=boot_id(), instance_id=instance_id_for(host_of_url(endpoint)))


def load_memory(settings: Settings) -> Memory:
    """Return what the daemon of this instance has learned, so that a single poll agrees with it.

    Empty without a state file, if that cannot be used, and with a custom endpoint, which need not be this instance's.
    """
    file = state_file(settings, os.environ)
    if file is None and not settings.imds.endpoint:
        file = StateFile(Path(INSTALLED), resolve_endpoint(settings.imds))
    try:
        return Memory() if file is None else load_state(file, resolve_endpoint(settings.imds))
    except StateFileError:
        return Memory()


@dataclass(frozen=True)
class SinglePoll:
    """What one poll observed, its verdict, and the snapshot to show."""

    observation: Observation
    verdict: Verdict
    snapshot: Snapshot


def poll(
    client: Client, settings: Settings, *, measure: bool = False, confirmation: Confirmation | None = None
) -> SinglePoll:
    """Poll IMDS once through *client*, without debouncing. What the daemon has learned of this instance counts.

    So does the last *confirmation*, but what needs two of them only where it is active in the daemon. `diagnose`, which
    makes the next one, has none.
    Then measure the hop limit, with *measure* or where containers are expected: if it is low, that takes the time-out.
    """
    memory = load_memory(settings)
    tags = bool(settings.expect.role_tag or settings.expect.instance_profile_tag)
    observation = observe(client, settings.expect, Questions(identity=True, tags=tags))
    if isinstance(observation, Unanswered) and observation.failure.reason is Reason.NO_ANSWER:
        observation = replace(observation, failure=_late_failure(client, observation.failure))
    now = clock()
    memory, _ = monitor.update_instance(memory, observation, now, at_once=True)
    memory = keep_time(memory, observation, now)
    if isinstance(observation, Answered) and (measure or settings.expect.containers):
        measured = client.measure_hop_limit(settings.expect.container_hop_limit).result()
        memory = monitor.update_hop_limit(memory, observation, measured)
    if confirmation:
        found, active = confirmation.findings, memory.faults
        believed = (each for each in found if FAULTS[each.fault].debounce == 1 or each.fault in active)
        confirmation = replace(confirmation, findings=tuple(believed))
    prior = monitor.prior(memory, observation, settings, now, confirmation)
    verdict = classify(observation, prior, settings.limits, now)
    memory = replace(memory, confirmed_at=confirmation.at if confirmation else None)
    return SinglePoll(observation, verdict, monitor.single_poll(memory, observation, verdict, settings, now))


def _late_failure(client: Client, failure: Failure) -> Failure:
    """Return what a longer wait for the token shows instead of *failure*, no answer: a late one is no hop limit."""
    try:
        client.patient().session()
    except ImdsError as error:
        return error.failure if error.failure.phase is Phase.TOKEN else failure
    return replace(failure, reason=Reason.SLOW)
