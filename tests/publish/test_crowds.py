"""Crowds, against a list of who came when."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolewatch.http.fair_queue import Crowd, Crowds

CROWDS = st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 2))
ADD, DISCARD, MOST, NEXT = "add", "discard", "most", "next"
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just(ADD), CROWDS),
        st.tuples(st.just(DISCARD), st.integers(0, 30)),
        st.tuples(st.sampled_from([MOST, NEXT]), st.none()),
    ),
    max_size=60,
)


@given(STEPS)
def test_each_is_taken_out_once_the_oldest_of_its_crowd_first(steps: list[tuple[str, object]]) -> None:
    """Whatever is done, in whichever order."""
    crowds: Crowds[int] = Crowds()
    there: list[tuple[int, Crowd]] = []
    numbers = itertools.count()
    for step, value in steps:
        if step == ADD:
            assert isinstance(value, tuple)
            there.append((next(numbers), value))
            crowds.add(*there[-1])
        elif step == DISCARD:
            assert isinstance(value, int)
            crowds.discard(value)
            there = [each for each in there if each[0] != value]
        elif there and step == MOST:
            taken = crowds.take_one_of_most()
            of_host = Counter(host for _, (host, _) in there)
            crowd = dict(there)[taken]
            of_crowd = Counter(each for _, each in there if each[0] == crowd[0])
            assert of_host[crowd[0]] == max(of_host.values())
            assert of_crowd[crowd] == max(of_crowd.values())
            assert taken == min(thing for thing, each in there if each == crowd)
            there.remove((taken, crowd))
        elif there:
            first = crowds.take_next()
            assert first[0] == min(thing for thing, each in there if each == first[1])
            there.remove(first)
        assert list(crowds) == [thing for thing, _ in there]
        assert len(crowds) == len(there)


@given(st.lists(CROWDS, min_size=1, max_size=60))
def test_hosts_take_turns_and_so_do_the_crowds_of_each(came: list[Crowd]) -> None:
    """Nobody has two turns while somebody else who is there has none."""
    crowds: Crowds[int] = Crowds()
    for number, crowd in enumerate(came):
        crowds.add(number, crowd)
    left, turns = Counter(came), [crowds.take_next()[1] for _ in came]
    for one, other in zip(turns, turns[1:]):
        left[one] -= 1
        others = {host for (host, _), number in left.items() if number and host != one[0]}
        assert other[0] != one[0] or not others
        same = [each for each, number in left.items() if number and each[0] == one[0] and each != one]
        assert other != one or not same


def test_of_none_nothing_is_taken() -> None:
    """Who takes has to look first."""
    crowds: Crowds[int] = Crowds()

    assert not crowds
    with pytest.raises(ValueError, match="empty"):
        crowds.take_one_of_most()
    with pytest.raises(StopIteration):
        crowds.take_next()
