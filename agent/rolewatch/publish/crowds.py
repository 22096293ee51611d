"""Things that belong to hosts, so that no host's are many at the price of another's."""

from __future__ import annotations

from collections import OrderedDict
from typing import Dict, Generic, Iterator, Tuple, TypeVar

Crowd = Tuple[str, int]
"""Whose a connection is: the host at its other end, and what that one had done when it was accepted, as poll(2) says:
asked for something (POLLIN), asked and closed its side (and POLLRDHUP), or nothing yet (0). A scraper whose request is
there is so told from those who have its address, and ask and go or only connect."""

T = TypeVar("T")


class Crowds(Generic[T]):
    """Things by the crowds that they belong to, each crowd's in the order in which they came."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._hosts: OrderedDict[str, OrderedDict[int, OrderedDict[T, None]]] = OrderedDict()
        """In the order of their turns, and so are a host's crowds."""
        self._counts: Dict[str, int] = {}
        """Of things, by host: looked through for each connection of a flood."""
        self._crowd_of: Dict[T, Crowd] = {}

    def __len__(self) -> int:
        """Return how many things there are."""
        return len(self._crowd_of)

    def __iter__(self) -> Iterator[T]:
        """Return them, in the order in which they came."""
        return iter(list(self._crowd_of))

    def add(self, thing: T, crowd: Crowd) -> None:
        """Add *thing*, as the last of *crowd*."""
        host, done = crowd
        self._crowd_of[thing] = crowd
        self._hosts.setdefault(host, OrderedDict()).setdefault(done, OrderedDict())[thing] = None
        self._counts[host] = self._counts.get(host, 0) + 1

    def discard(self, thing: T) -> None:
        """Take *thing* out, if it is there."""
        if thing not in self._crowd_of:
            return
        host, done = self._crowd_of.pop(thing)
        of_host = self._hosts[host]
        del of_host[done][thing]
        if not of_host[done]:
            del of_host[done]
        self._counts[host] -= 1
        if not of_host:
            del self._hosts[host], self._counts[host]

    def take_one_of_most(self) -> T:
        """Take out the oldest of the biggest crowd of the host that has most. Raise `ValueError` where nothing is."""
        host = self._hosts[max(self._counts, key=self._counts.__getitem__)]
        biggest = max(host, key=lambda done: len(host[done]))
        thing = next(iter(host[biggest]))
        self.discard(thing)
        return thing

    def take_next(self) -> Tuple[T, Crowd]:
        """Take out, with its crowd, the oldest of the crowd whose turn it is. Raise `StopIteration` where nothing is.

        Hosts take turns, and so do the crowds of one host.
        """
        host = next(iter(self._hosts))
        done = next(iter(self._hosts[host]))
        self._hosts.move_to_end(host)
        self._hosts[host].move_to_end(done)
        thing = next(iter(self._hosts[host][done]))
        self.discard(thing)
        return thing, (host, done)
