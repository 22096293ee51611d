"""Signals: the wait for the next poll is the wait for a signal. No handler, no flag, no lock.

A signal that arrives during a poll is handled at its end, so the poll's deadline bounds the time to a stop.

The time-out of the wait is a signal too, SIGALRM from the process's real-time timer. `signal.sigtimedwait` has a
time-out of its own, which is unsafe here: when a stop (SIGSTOP), a debugger or the freezer of control groups interrupts
the call after its time-out, CPython (tested: 3.9 to 3.13) returns an uninitialised siginfo with a random signal number.
`signal.sigwaitinfo` is called again after an interruption. With a time-out of 0, `sigtimedwait` does not sleep, and
cannot be interrupted.
"""

from __future__ import annotations

import signal

from rolewatch.monitor.loop import Wake

MEANING = {
    signal.SIGTERM: Wake.STOP,
    signal.SIGINT: Wake.STOP,
    signal.SIGHUP: Wake.RELOAD,
    signal.SIGUSR1: Wake.POLL,
}
"""What each signal from an operator means."""

STOPS = [number for number, wake in MEANING.items() if wake is Wake.STOP]

ALARM = signal.SIGALRM
"""The signal that ends a wait when its time is over."""
_SHORTEST = 0.000_001
"""Seconds; the resolution of the timer. 0 would disarm it."""


def block() -> None:
    """Block the signals of `MEANING` and `ALARM`, for `pause`. Call it before any thread starts: threads inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*MEANING, ALARM})


def pause(seconds: float) -> Wake:
    """Wait for *seconds* or for a signal; return what ended the wait. Call `block` first.

    A stop comes before any other pending signal: the kernel would deliver the lowest number first.
    """
    received = _wait(seconds) if seconds > 0 else _pending()
    return Wake.STOP if signal.sigtimedwait(STOPS, 0) else MEANING.get(received, Wake.TIMER)


def _wait(seconds: float) -> signal.Signals:
    """Return the signal that came within *seconds*, or `ALARM`. Leave no timer and no `ALARM` behind."""
    signal.setitimer(signal.ITIMER_REAL, max(seconds, _SHORTEST))
    received = signal.sigwaitinfo({*MEANING, ALARM}).si_signo
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.sigtimedwait({ALARM}, 0)
    return signal.Signals(received)


def _pending() -> signal.Signals:
    """Return a pending signal, or `ALARM`."""
    received = signal.sigtimedwait(MEANING, 0)
    return ALARM if received is None else signal.Signals(received.si_signo)
