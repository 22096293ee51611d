"""A client of IMDS without a socket, whose responses come from a list: fast enough to fuzz."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Union

from rolewatch.errors import ImdsError
from rolewatch.imds.client import TOKEN_HEADER, Answer, Client
from rolewatch.imds.transport import MAX_BODY
from rolewatch.observation import Failure
from rolewatch.settings import ImdsSettings

_PATH = re.compile(r"(api/token|[a-z-]+(/[a-z-]+)*(/[A-Za-z0-9_.~%-]{0,400})?)")
"""Valid paths of requests: fixed words, and one quoted segment at the end."""
_TOKEN = re.compile(r"[!-~]{1,1024}")


Answers = Iterator[Union[Answer, Failure]]


class Scripted(Client):
    """A client that gets its responses from a list, in order, and 404 after its end."""

    def __init__(self) -> None:
        """Begin with an empty list."""
        super().__init__("http://127.0.0.1", ImdsSettings(), monotonic=lambda: 0.0)
        self.answers: Answers = iter(())
        self.asked: list[str] = []

    def send(self, method: str, path: str, headers: Mapping[str, str], shown_path: str) -> Answer:
        """Return the next response. Fail if the request contains what only a response can have put there."""
        assert _PATH.fullmatch(path), path
        assert not path.endswith(("/.", "/.."))
        assert _PATH.fullmatch(shown_path.replace("<role>", "")), shown_path
        assert (method, path) == ("PUT", "api/token") or (method == "GET" and _TOKEN.fullmatch(headers[TOKEN_HEADER]))
        self.asked.append(path)
        answer = next(self.answers, None) or Answer(HTTPStatus.NOT_FOUND, "", bytearray())
        if isinstance(answer, Failure):
            raise ImdsError(answer)
        return Answer(answer.status, answer.date, answer.body[:MAX_BODY])
