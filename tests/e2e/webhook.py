"""A webhook in the place of a pager: it keeps every notification of Alertmanager, and when it came."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable

Labels = dict[str, str]


@dataclass(frozen=True)
class Notification:
    """One message: a group of alerts, as Alertmanager's webhook has it (version 4)."""

    at: float
    """Unix time."""
    payload: dict[str, Any]

    @property
    def group(self) -> Labels:
        """The labels by which the alerts of it are grouped."""
        return dict(self.payload["groupLabels"])

    @property
    def receiver(self) -> str:
        """The name of the receiver that the route chose."""
        return str(self.payload["receiver"])

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Each alert of it, with labels and annotations."""
        return list(self.payload["alerts"])


@dataclass(frozen=True)
class Arrival:
    """One alert in one notification."""

    at: float
    status: str
    labels: Labels
    annotations: Labels
    notification: Notification


@dataclass
class Webhook:
    """A server on loopback; every path is a receiver's."""

    _notifications: list[Notification] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Webhook:
        """Listen."""
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                at = time.time()
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.take(Notification(at, payload))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where to post to."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, notification: Notification) -> None:
        """Keep *notification*."""
        with self._news:
            self._notifications.append(notification)
            self._news.notify_all()

    @property
    def notifications(self) -> list[Notification]:
        """What has come so far."""
        with self._news:
            return list(self._notifications)

    def arrivals(self, status: str = "") -> Iterator[Arrival]:
        """Yield every alert of every notification, the oldest first; of one *status* where that is given."""
        for notification in self.notifications:
            for alert in notification.alerts:
                if not status or alert["status"] == status:
                    yield Arrival(notification.at, alert["status"], alert["labels"], alert["annotations"], notification)

    def wait(self, enough: Callable[[], bool], patience: float) -> bool:
        """Wait until *enough* is true, looking at every notification; return whether it is."""
        with self._news:
            return self._news.wait_for(enough, patience)
