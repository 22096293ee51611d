"""An event loop in a thread of its own, with a bound on how long anything asked of it may take."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Coroutine, TypeVar

PATIENCE = 5.0
"""Seconds that starting, switching and stopping may take."""

T = TypeVar("T")


class Background:
    """Runs coroutines for other threads."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="rolewatch-simulator", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do *work* in the loop and return what it gives. Raise `RuntimeError` where that takes too long."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(PATIENCE)
        except FutureTimeoutError:
            future.cancel()
            message = f"the simulator did not react within {PATIENCE:.0f} s"
            raise RuntimeError(message) from None

    def stop(self) -> None:
        """Cancel what still runs, end the loop and its thread."""
        try:
            self.call(_cancel_all())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()


async def _cancel_all() -> None:
    """Cancel every other task, and let closed connections go: their sockets are closed a turn later."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)
