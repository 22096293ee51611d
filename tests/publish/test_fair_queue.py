"""The fair queue, compared with a plain list of its items."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.http.listener import Client, FairQueue

CLIENTS = st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 2))
ADD, DISCARD, EVICT, POP = "add", "discard", "evict", "pop"
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just(ADD), CLIENTS),
        st.tuples(st.just(DISCARD), st.integers(0, 30)),
        st.tuples(st.sampled_from([EVICT, POP]), st.none()),
    ),
    max_size=60,
)


@given(STEPS)
def test_each_item_is_removed_once_and_the_oldest_of_its_client_first(steps: list[tuple[str, object]]) -> None:
    """In any order of operations. The evicted item is of the largest client of the largest host."""
    queue: FairQueue[int] = FairQueue()
    expected: list[tuple[int, Client]] = []
    numbers = itertools.count()
    for step, value in steps:
        if step == ADD:
            assert isinstance(value, tuple)
            expected.append((next(numbers), value))
            queue.add(*expected[-1])
        elif step == DISCARD:
            assert isinstance(value, int)
            queue.discard(value)
            expected = [each for each in expected if each[0] != value]
        elif expected and step == EVICT:
            item = queue.evict()
            of_host = Counter(host for _, (host, _) in expected)
            client = dict(expected)[item]
            of_client = Counter(each for _, each in expected if each[0] == client[0])
            assert of_host[client[0]] == max(of_host.values())
            assert of_client[client] == max(of_client.values())
            assert item == min(number for number, each in expected if each == client)
            expected.remove((item, client))
        elif expected:
            first = queue.pop()
            assert first[0] == min(number for number, each in expected if each == first[1])
            expected.remove(first)
        assert list(queue) == [number for number, _ in expected]
        assert len(queue) == len(expected)


@given(st.lists(CLIENTS, min_size=1, max_size=60))
def test_hosts_take_turns_and_so_do_the_clients_of_each(added: list[Client]) -> None:
    """Nobody has two turns in a row while another one waits."""
    queue: FairQueue[int] = FairQueue()
    for number, client in enumerate(added):
        queue.add(number, client)
    left, turns = Counter(added), [queue.pop()[1] for _ in added]
    for one, other in zip(turns, turns[1:]):
        left[one] -= 1
        others = {host for (host, _), number in left.items() if number and host != one[0]}
        assert other[0] != one[0] or not others
        same = [each for each, number in left.items() if number and each[0] == one[0] and each != one]
        assert other != one or not same


def test_an_empty_queue_has_nothing_to_evict_and_nothing_to_pop() -> None:
    """Callers check its length first."""
    queue: FairQueue[int] = FairQueue()

    assert not queue
    with pytest.raises(ValueError, match="empty"):
        queue.evict()
    with pytest.raises(StopIteration):
        queue.pop()
