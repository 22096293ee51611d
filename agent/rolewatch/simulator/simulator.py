"""The simulator as a running thing: an event loop in a thread, used as a context manager."""

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
from rolewatch.simulator.conditions import Conditions, Harm, Wire
from rolewatch.simulator.control import Control
from rolewatch.simulator.imds import Imds, Now, World, where
from rolewatch.simulator.scenarios import scenario
from rolewatch.simulator.server import Place, Reply, Request, Seen, Server

PATIENCE = 5.0
"""Seconds that starting, switching and stopping may take."""


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


MAX_SPEED = 3600.0
"""A rotation a second: times have no smaller step."""
CUSTOM = "custom"
"""The name of conditions that are no scenario's."""

T = TypeVar("T")


@dataclass(frozen=True)
class Exchange:
    """One request and what became of it, fit to be logged: no header, no query, no body."""

    method: str
    path: str
    outcome: str
    """The status, and the harm where one was done."""


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
        """Prepare; nothing is bound yet. *now* is the local clock (aware, UTC), *port* 0 takes a free one.

        *speed* divides life and period of the credentials. *role* and *instance_profile* rename those of the healthy
        instance, *user_data* is what it was launched with. *on_exchange* is told of each request, in the simulator's
        thread. Raise `UsageError` for an unknown scenario or a speed out of bounds.
        """
        if not 0 < speed <= MAX_SPEED:
            message = f"the speed must be more than 0 and at most {MAX_SPEED:.0f}, and is {speed}."
            raise UsageError(message)
        first = scenario(scenario_name)
        self._scenario = first.name
        self._address = (host, port)
        self._control_address = None if control_port is None else (control_host, control_port)
        self._seen = Seen()
        self._world = World(
            first.conditions,
            now=now,
            seed=seed,
            speed=speed,
            role=role,
            instance_profile=instance_profile,
            user_data=user_data,
        )
        self._imds = Imds(self._world, self._seen, seed=seed)
        self._on_exchange = on_exchange
        self._done: dict[Wire, int] = {}
        self._place: Place | None = None
        self._control_place: Place | None = None
        self._server: Server | None = None
        self._background: Background | None = None
        self._open = ExitStack()

    def __enter__(self) -> Simulator:
        """Bind and serve. Raise `UsageError` where an address is not to be had."""
        with ExitStack() as opening:
            self._place = opening.enter_context(Place(*self._address))
            if self._control_address is not None:
                self._control_place = opening.enter_context(Place(*self._control_address))
            self._background = Background()
            opening.callback(self._background.stop)
            self._server = Server(self._place, self._handle)
            self._serve(opening, self._server, listening=self._world.conditions.listening)
            if self._control_place is not None:
                control = Control(lambda: self._scenario, self._switch, self._world.rotate)
                self._serve(opening, Server(self._control_place, control.handle), listening=True)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Drop every connection, stop, and give the addresses back, within seconds."""
        self._open.close()
        self._background = self._server = self._place = self._control_place = None

    @property
    def endpoint(self) -> str:
        """The URL to ask, as in AWS_EC2_METADATA_SERVICE_ENDPOINT."""
        return self._started(self._place).url

    @property
    def control(self) -> str | None:
        """The URL of the control port; None where there is none."""
        return None if self._control_address is None else self._started(self._control_place).url

    @property
    def scenario(self) -> str:
        """The name of the scenario in force."""
        return self._scenario

    @property
    def requests(self) -> list[Request]:
        """The requests seen, oldest first; the last 10 000."""
        return self._seen.all_requests()

    @property
    def secrets(self) -> frozenset[str]:
        """Every secret that was served: key ids, secret keys, tokens, session tokens; the last 10 000."""
        return self._seen.all_secrets()

    def switch(self, name: str) -> None:
        """Enter the scenario called *name*. Raise `UsageError` where there is none."""
        self._started(self._background).call(self._switch(name))

    def enter(self, conditions: Conditions) -> None:
        """Enter *conditions* that are no scenario's."""
        self._started(self._background).call(self._enter(CUSTOM, conditions))

    def rotate(self) -> None:
        """Renew the credentials now."""
        self._started(self._background).call(self._rotate())

    def _serve(self, opening: ExitStack, server: Server, *, listening: bool) -> None:
        background = self._started(self._background)
        opening.callback(lambda: background.call(server.refuse()))
        if listening:
            background.call(server.listen())

    async def _switch(self, name: str) -> None:
        found = scenario(name)
        await self._enter(found.name, found.conditions)

    async def _enter(self, name: str, conditions: Conditions) -> None:
        self._done.clear()
        self._world.enter(conditions)
        self._scenario = name
        server = self._started(self._server)
        await (server.listen() if conditions.listening else server.refuse())

    async def _rotate(self) -> None:
        self._world.rotate()

    async def _handle(
        self, request: Request | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if request is None:
            request, reply, wires = Request("-", "-"), self._imds.error(HTTPStatus.BAD_REQUEST), []
        else:
            reply, wires = self._imds.answer(request), self._befalling(request)
        done = next((wire for wire in wires if wire.harm is not Harm.LATENCY), None)
        self._tell(request, reply, wires, done)
        await asyncio.sleep(sum(wire.seconds for wire in wires if wire.harm is Harm.LATENCY))
        await network_faults.send(reader, writer, reply, done, head_only=request.method == "HEAD")

    def _befalling(self, request: Request) -> list[Wire]:
        """Return the harms that befall *request*, and count them."""
        kinds = where(request)
        befalling = []
        for wire in self._world.conditions.wire:
            done = self._done.get(wire, 0)
            if wire.where in kinds and (wire.times is None or done < wire.times):
                self._done[wire] = done + 1
                befalling.append(wire)
        return befalling

    def _tell(self, request: Request, reply: Reply, wires: list[Wire], done: Wire | None) -> None:
        if self._on_exchange is not None:
            final_reply = reply if done is None else network_faults.changed(reply, done)
            harms = ", ".join(wire.harm.value for wire in wires)
            outcome = f"{final_reply.status} ({harms})" if harms else str(final_reply.status)
            self._on_exchange(Exchange(request.method, request.path, outcome))

    def _started(self, thing: T | None) -> T:
        if thing is None:
            message = "the simulator does not run: use it in a `with`."
            raise RuntimeError(message)
        return thing
