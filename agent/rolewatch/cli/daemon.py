"""Build the daemon from its settings and run it: `run` on an instance, `demo` beside a simulator."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import rolewatch
from rolewatch import config
from rolewatch.cli import poll_once
from rolewatch.errors import ConfigError, RolewatchError, StateFileError
from rolewatch.http import Endpoint, tls
from rolewatch.imds.client import Client
from rolewatch.monitor.confirmation import ConfirmationFile
from rolewatch.monitor.loop import MIN_GAP, Clock, Loop, Pause, Reload, Setup, clock
from rolewatch.monitor.memory import Memory
from rolewatch.monitor.state_file import StateFile
from rolewatch.publish import AgentStatus, Event, Publisher
from rolewatch.publish.journal import Journal
from rolewatch.publish.journald import JOURNAL_SOCKET
from rolewatch.publish.metrics import Metrics, Textfile
from rolewatch.publish.systemd import Systemd
from rolewatch.settings import Settings, TlsSettings
from rolewatch.vocabulary import EventKind, Level

if TYPE_CHECKING:
    from datetime import datetime

Load = Callable[[], tuple[Settings, Sequence[str]]]
"""Return the settings, and the warnings about them. Raises `ConfigError` if they cannot be used, and
`UnusableFileError` if a file that they name cannot be used."""
AT_START = ("metrics", "textfile", "log", "state")
"""The tables that are read when the daemon starts, and not again; except `[metrics.tls]`, which a renewed certificate
needs, and `allowed_hosts` in `[metrics]`."""
HEARTBEAT = 5.0
"""Seconds between two heartbeats at most: how long an entry may wait for a journal that was stuck."""


@dataclass
class Health:
    """The status of the daemon itself, for the metrics."""

    journal: Journal
    loaded: datetime
    config_ok: bool = True
    publisher_failures: dict[str, int] = field(default_factory=dict)

    def __call__(self) -> AgentStatus:
        """Return the current figures."""
        return AgentStatus(
            config_ok=self.config_ok,
            config_loaded=self.loaded,
            log_messages=self.journal.counts,
            log_dropped=self.journal.dropped,
            publisher_failures=dict(self.publisher_failures),
        )


@dataclass
class Daemon:
    """The daemon, built and not yet running. `load` reads the settings again at a reload."""

    settings: Settings
    load: Load
    environ: Mapping[str, str]
    clock: Clock = clock
    journal_socket: str = JOURNAL_SOCKET
    extra_publishers: Sequence[Publisher] = ()
    min_gap: float = MIN_GAP
    warnings: Sequence[str] = ()
    """About `settings`. `run` publishes each as an event, and never waits for standard error."""

    def run(self, pause: Pause, *, ready: Callable[[Endpoint], None] | None = None) -> None:
        """Run until *pause* returns `Wake.STOP`. *ready* is called when the endpoint answers, before the first poll.

        Raise `RolewatchError` if the daemon cannot start: an address that cannot be bound, a certificate that
        cannot be used, no systemd module.
        """
        settings, version = self.settings, rolewatch.__version__
        journal = Journal(
            settings.log,
            version=version,
            environ=self.environ,
            now=lambda: self.clock().utc,
            socket_path=self.journal_socket,
        )
        for warning in self.warnings:  # first, because a warning may explain a failure below
            journal.log(_warning(warning))
        systemd = Systemd(self.environ)
        health = Health(journal, loaded=self.clock().utc)
        metrics = Metrics(version=version, health=health, role_info=settings.metrics.role_info)
        endpoint = Endpoint(
            metrics,
            version=version,
            addresses=settings.metrics.listen,
            sockets=systemd.sockets(),
            tls=tls.make_context(settings.metrics.tls),
            allowed_hosts=settings.metrics.allowed_hosts,
            uptime=lambda: self.clock().uptime,
            runbooks=rolewatch.project_url("Runbooks"),
            homepage=rolewatch.project_url("Homepage"),
        )
        path = settings.textfile.path
        textfile = Textfile(Path(path), metrics.text) if path else None

        def heartbeat() -> None:
            journal.flush()
            systemd.alive()

        state_file = poll_once.state_file(settings, self.environ)
        memory, problems = _load_memory(state_file, config.resolve_endpoint(settings.imds))
        loop = Loop(
            setup=self._setup(settings),
            memory=memory,
            publishers=(
                metrics,
                endpoint,
                journal,
                systemd,
                *((textfile,) if textfile else ()),
                *self.extra_publishers,
            ),
            save=state_file.save if state_file else None,
            clock=self.clock,
            heartbeat=heartbeat,
            heartbeat_interval=min(HEARTBEAT, systemd.watchdog_interval() or HEARTBEAT),
            publisher_failures=health.publisher_failures,
            min_gap=self.min_gap,
        )
        try:
            endpoint.start()
            for event in (self._started(endpoint, version), *problems):
                loop.queue(event)
            systemd.ready()
            if ready:
                ready(endpoint)
            loop.run(pause, self._reload(health, systemd, endpoint))
            systemd.stopping()
            loop.queue(
                Event(
                    EventKind.STOPPING,
                    Level.NOTICE,
                    "rolewatch stops on request (SIGTERM or SIGINT).",
                    fields={"version": version},
                )
            )
        finally:
            for event in loop.drain_events():
                journal.log(event)
            endpoint.stop()
            if textfile:
                textfile.stop()
            journal.close()

    def _setup(self, settings: Settings) -> Setup:
        client = Client(config.resolve_endpoint(settings.imds), settings.imds, monotonic=time.monotonic)
        confirmation = ConfirmationFile(Path(settings.confirm.file)) if settings.confirm.file else None
        return Setup(settings, client, confirmation, poll_once.confirmation_request(settings, self.environ))

    def _started(self, endpoint: Endpoint, version: str) -> Event:
        listen = ", ".join(endpoint.addresses) or "nowhere"
        path = self.settings.textfile.path
        metrics = ", ".join((*endpoint.urls, *((path,) if path else ()))) or "nowhere"
        imds = config.resolve_endpoint(self.settings.imds)
        return Event(
            EventKind.STARTED,
            Level.NOTICE,
            f"rolewatch {version} polls {imds} every {self.settings.poll.interval:g} s; metrics on {metrics}.",
            fields={"version": version, "listen": listen, "endpoint": imds},
        )

    def _reload(self, health: Health, systemd: Systemd, endpoint: Endpoint) -> Reload:
        """Return the function that SIGHUP calls.

        If the settings or the certificate cannot be used, the old ones all stay, and the failure is logged and counted.
        """

        def reload() -> tuple[Setup | None, Event]:
            systemd.reloading(time.monotonic())
            try:
                settings, warnings = self.load()
                endpoint.secure(tls.make_context(settings.metrics.tls))
                endpoint.allow(settings.metrics.allowed_hosts)
            except (ConfigError, tls.UnusableFileError) as error:
                health.config_ok = False
                return None, _rejected(error)
            finally:
                systemd.ready()
            health.config_ok, health.loaded = True, self.clock().utc
            return self._setup(settings), _reloaded(self.settings, settings, warnings)

        return reload


def _warning(warning: str) -> Event:
    return Event(EventKind.CONFIG_WARNING, Level.WARNING, warning, fields={"problem": warning})


def _rejected(error: RolewatchError) -> Event:
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    return Event(
        EventKind.CONFIG_REJECTED,
        Level.ERROR,
        f"The new settings cannot be used. The old ones stay in force. {problems[0]}",
        fields={"problem": "; ".join(problems)},
    )


def _reloaded(old: Settings, new: Settings, warnings: Sequence[str]) -> Event:
    """Return the event of a reload. Settings in `AT_START` that have changed need a restart."""
    before, after = _at_start(old), _at_start(new)
    later = [f"[{table}]" for table in AT_START if getattr(before, table) != getattr(after, table)]
    problems = [*warnings, *(f"{table} needs a restart" for table in later)]
    but = f", but for {' and '.join(later)}: that needs a restart" if later else ""
    warned = f" {len(warnings)}: {warnings[0]}" if warnings else ""
    return Event(
        EventKind.CONFIG_RELOADED,
        Level.WARNING if problems else Level.INFO,
        f"The settings were read again and are in force{but}.{warned}",
        fields={"problem": "; ".join(problems)} if problems else {},
    )


def _at_start(settings: Settings) -> Settings:
    return replace(settings, metrics=replace(settings.metrics, tls=TlsSettings(), allowed_hosts=()))


def _load_memory(state_file: StateFile | None, endpoint: str) -> tuple[Memory, Sequence[Event]]:
    """Return the saved memory, or an empty one with the event of a state file that cannot be used."""
    boot_id = poll_once.boot_id()
    if state_file is None:
        return Memory(boot_id=boot_id), ()
    try:
        return poll_once.load_state(state_file, endpoint), ()
    except StateFileError as error:
        message = f"The state file is ignored and will be replaced: {error}."
        fields = {"file": str(state_file.path), "problem": str(error)}
        return Memory(boot_id=boot_id), [Event(EventKind.STATE_FILE_IGNORED, Level.WARNING, message, fields=fields)]
