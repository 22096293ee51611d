"""One look at IMDS, judged as the daemon judges: for `check` and `diagnose`."""

from __future__ import annotations

from dataclasses import dataclass

from rolewatch import track
from rolewatch.classify import classify
from rolewatch.cli import state
from rolewatch.imds import Client
from rolewatch.model import Observation, Snapshot, Verdict
from rolewatch.observe import Questions, observe
from rolewatch.settings import Settings
from rolewatch.watch import clock


@dataclass(frozen=True)
class Once:
    """What one look saw, what that means, and what may be told of it."""

    seen: Observation
    verdict: Verdict
    snapshot: Snapshot


def look(client: Client, settings: Settings) -> Once:
    """Ask *client* once. A look cannot debounce; what the daemon has learned of this instance counts."""
    memory = state.learned(settings)
    tags = bool(settings.expect.role_tag or settings.expect.instance_profile_tag)
    seen = observe(client, settings.expect, Questions(identity=True, tags=tags))
    now = clock()
    memory, _ = track.recognise(memory, seen, now)
    verdict = classify(seen, track.known(memory, seen, settings, now), settings.limits, now)
    return Once(seen, verdict, track.look(memory, seen, verdict, settings, now))
