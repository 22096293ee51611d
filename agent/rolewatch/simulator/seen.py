"""What the simulator has seen and served, for tests. Bounded; safe to read from another thread."""

from __future__ import annotations

import threading
from collections import deque
from typing import Deque, Dict, FrozenSet, Iterable, List

from rolewatch.simulator.messages import Request

MAX_REQUESTS = 10_000
MAX_SECRETS = 10_000
"""A simulator that runs for weeks must not grow: beyond these the oldest are forgotten."""


class Seen:
    """The last requests, and the last secrets."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._requests: Deque[Request] = deque(maxlen=MAX_REQUESTS)
        self._secrets: Dict[str, None] = {}

    def request(self, request: Request) -> None:
        """Note *request*."""
        with self._lock:
            self._requests.append(request)

    def secrets(self, secrets: Iterable[str]) -> None:
        """Note *secrets*."""
        with self._lock:
            self._secrets.update(dict.fromkeys(secrets))
            while len(self._secrets) > MAX_SECRETS:
                del self._secrets[next(iter(self._secrets))]

    def all_requests(self) -> List[Request]:
        """Return the requests noted, oldest first."""
        with self._lock:
            return list(self._requests)

    def all_secrets(self) -> FrozenSet[str]:
        """Return the secrets noted."""
        with self._lock:
            return frozenset(self._secrets)
