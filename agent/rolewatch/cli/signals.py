"""Signals: the wait for the next poll is the wait for a signal. No handler, no flag, no lock.

A signal that comes during a poll is taken at its end, so the poll's deadline bounds how long a stop takes.
"""

from __future__ import annotations

import signal

from rolewatch.watch import Wake

MEANING = {
    signal.SIGTERM: Wake.STOP,
    signal.SIGINT: Wake.STOP,
    signal.SIGHUP: Wake.RELOAD,
    signal.SIGUSR1: Wake.POLL,
}


STOPS = [number for number, wake in MEANING.items() if wake is Wake.STOP]


def block() -> None:
    """Hold the signals of `MEANING` for `pause`. Call it before any thread starts: threads inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, MEANING)


def pause(seconds: float) -> Wake:
    """Wait for *seconds*, or for a signal; say which it was. A stop goes first; the kernel takes the lowest."""
    received = signal.sigtimedwait(MEANING, max(0.0, seconds))
    if received is None:
        return Wake.TIMER
    return Wake.STOP if signal.sigtimedwait(STOPS, 0) else MEANING[signal.Signals(received.si_signo)]
