"""An IMDS with every fault: for tests, the demo, and operators who test their alerts.

`Simulator` runs it: an event loop in a thread, used as a context manager.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Callable, TypeVar, final

from rolewatch.errors import UsageError
from rolewatch.simulator import network_faults
from rolewatch.simulator.conditions import Conditions, Effect, NetworkFault, Target
from rolewatch.simulator.imds import Imds, targets
from rolewatch.simulator.instance import Instance, Now
from rolewatch.simulator.scenarios import scenario
from rolewatch.simulator.server import Control, Recorder, Request, ReservedAddress, Server

TIMEOUT = 5.0
"""Seconds that starting, switching and stopping may take."""


class LoopThread:
    """An event loop in a thread, which runs coroutines for other threads."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="rolewatch-simulator", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* in the loop and return its result. Raise `RuntimeError` if it takes more than `TIMEOUT`."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(TIMEOUT)
        except FutureTimeoutError:
            future.cancel()
            message = f"the simulator did not react within {TIMEOUT:.0f} s"
            raise RuntimeError(message) from None

    def stop(self) -> None:
        """Cancel all tasks, end the loop and its thread."""
        try:
            self.call(_cancel_all())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(TIMEOUT)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()


async def _cancel_all() -> None:
    """Cancel every other task, and let transports close their sockets, which they do a turn later."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)


MAX_SPEED = 3600.0
"""One rotation per second: times in the documents are whole seconds."""
CUSTOM = "custom"
"""Name of conditions that belong to no scenario."""

T = TypeVar("T")


@dataclass(frozen=True)
class Exchange:
    """One request and its outcome, safe to log: no header, no query, no body."""

    method: str
    path: str
    outcome: str
    """The status, and the network faults in parentheses."""


@dataclass(frozen=True)
class _Running:
    """The parts of a simulator that exist while it runs."""

    loop: LoopThread
    server: Server
    endpoint: str
    control: str | None


@final
class Simulator:
    """An IMDS on loopback, with its control port; runs from ``__enter__`` to ``__exit__``.

    All methods may be called from any thread.
    """

    def __init__(  # noqa: PLR0913 - keyword-only; all are independent
        self,
        *,
        now: Now,
        scenario_name: str = "healthy",
        host: str = "127.0.0.1",
        port: int = 0,
        control_host: str = "127.0.0.1",
        control_port: int | None = None,
        speed: float = 1.0,
        role: str = "",
        instance_profile: str = "",
        user_data: bytes = b"",
        seed: str = "rolewatch",
        on_exchange: Callable[[Exchange], None] | None = None,
    ) -> None:
        """Prepare; nothing is bound yet. *now* is the local clock (aware, UTC), *port* 0 takes a free port.

        *speed* divides lifetime and period of the credentials. *role* and *instance_profile* rename those of the
        healthy instance, *user_data* is its user-data. *on_exchange* is called for each request, in the simulator's
        thread. Raise `UsageError` for an unknown scenario or a speed out of bounds.
        """
        if not 0 < speed <= MAX_SPEED:
            message = f"the speed must be more than 0 and at most {MAX_SPEED:.0f}, and is {speed}."
            raise UsageError(message)
        first = scenario(scenario_name)
        self._scenario = first.name
        self._address = (host, port)
        self._control_address = None if control_port is None else (control_host, control_port)
        self._recorder = Recorder()
        self._instance = Instance(
            first.conditions,
            now=now,
            seed=seed,
            speed=speed,
            role=role,
            instance_profile=instance_profile,
            user_data=user_data,
        )
        self._imds = Imds(self._instance, self._recorder, seed=seed)
        self._on_exchange = on_exchange
        self._counts: dict[NetworkFault, int] = {}
        self._running: _Running | None = None
        self._open = ExitStack()

    def __enter__(self) -> Simulator:
        """Bind and serve. Raise `UnavailableError` if an address cannot be bound, `UsageError` if it is none."""
        with ExitStack() as opening:
            address = opening.enter_context(ReservedAddress(*self._address))
            control = None
            if self._control_address is not None:
                control = opening.enter_context(ReservedAddress(*self._control_address))
            loop = LoopThread()
            opening.callback(loop.stop)

            def serve(server: Server, *, listening: bool) -> Server:
                opening.callback(lambda: loop.call(server.refuse()))
                if listening:
                    loop.call(server.listen())
                return server

            server = serve(Server(address, self._handle), listening=self._instance.conditions.listening)
            if control is not None:
                handle = Control(lambda: self._scenario, self._switch, self._instance.rotate).handle
                serve(Server(control, handle), listening=True)
            self._running = _Running(loop, server, address.url, control.url if control else None)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection, stop, and release the addresses, within seconds."""
        self._open.close()
        self._running = None

    @property
    def endpoint(self) -> str:
        """The URL of the IMDS, as in AWS_EC2_METADATA_SERVICE_ENDPOINT."""
        return self._started.endpoint

    @property
    def control(self) -> str | None:
        """The URL of the control port; None if there is none."""
        return self._started.control

    @property
    def scenario(self) -> str:
        """The name of the current scenario."""
        return self._scenario

    @property
    def requests(self) -> list[Request]:
        """The last 10,000 requests, oldest first."""
        return self._recorder.requests

    @property
    def secrets(self) -> frozenset[str]:
        """The last 10,000 secrets that were served: key ids, secret keys, tokens, session tokens."""
        return self._recorder.secrets

    def switch(self, name: str) -> None:
        """Enter the scenario called *name*. Raise `UsageError` if there is none."""
        self._started.loop.call(self._switch(name))

    def enter(self, conditions: Conditions) -> None:
        """Enter *conditions* that belong to no scenario."""
        self._started.loop.call(self._enter(CUSTOM, conditions))

    def rotate(self) -> None:
        """Rotate the credentials now."""

        async def rotate() -> None:
            self._instance.rotate()

        self._started.loop.call(rotate())

    @property
    def _started(self) -> _Running:
        if self._running is None:
            message = "the simulator does not run: use it in a `with`."
            raise RuntimeError(message)
        return self._running

    async def _switch(self, name: str) -> None:
        found = scenario(name)
        await self._enter(found.name, found.conditions)

    async def _enter(self, name: str, conditions: Conditions) -> None:
        self._counts.clear()
        self._instance.enter(conditions)
        self._scenario = name
        server = self._started.server
        await (server.listen() if conditions.listening else server.refuse())

    async def _handle(
        self, request: Request | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if request is None:
            request, response, faults = Request("-", "-"), self._imds.error(HTTPStatus.BAD_REQUEST), []
        else:
            response, faults = self._imds.respond(request), self._pick_faults(request)
        fault = next((each for each in faults if each.effect is not Effect.LATENCY), None)
        if self._on_exchange is not None:
            status = response.status if fault is None else network_faults.changed(response, fault).status
            effects = ", ".join(each.effect.value for each in faults)
            outcome = f"{status} ({effects})" if effects else str(status)
            self._on_exchange(Exchange(request.method, request.path, outcome))
        hop_limit = self._instance.conditions.hop_limit
        if hop_limit is not None and Target.TOKEN in targets(request):
            network_faults.limit_hops(writer, hop_limit)
        await asyncio.sleep(sum(each.seconds for each in faults if each.effect is Effect.LATENCY))
        await network_faults.send(reader, writer, response, fault, head_only=request.method == "HEAD")

    def _pick_faults(self, request: Request) -> list[NetworkFault]:
        """Return the network faults that affect *request*, and count them."""
        matched = targets(request)
        picked = []
        for fault in self._instance.conditions.network_faults:
            count = self._counts.get(fault, 0)
            if fault.target in matched and (fault.times is None or count < fault.times):
                self._counts[fault] = count + 1
                picked.append(fault)
        return picked
