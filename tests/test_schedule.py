"""When the next poll is: spread over a fleet, sooner while a fault is confirmed, never too often."""

from __future__ import annotations

import subprocess
import sys
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import START, memory_with
from rolewatch.faults import Fault
from rolewatch.monitor.loop import MAX_CREDIT, Schedule, confirming, next_poll
from rolewatch.monitor.memory import FaultState, Memory
from rolewatch.settings import PollSettings

POLL = PollSettings()
CALM = Memory()
PENDING = Memory(faults={Fault.ROLE_MISMATCH: FaultState(since=START, evidence={}, seen=1)})
CLEARING = Memory(faults={Fault.ROLE_MISMATCH: FaultState(since=START, evidence={}, active=True, seen=2, unseen=1)})
ACTIVE = Memory(faults={Fault.ROLE_MISMATCH: FaultState(since=START, evidence={}, active=True, seen=9)})
THROTTLED = memory_with(throttled=1)


def times(
    seed: str, memory: Callable[[int], Memory], until: float, *, begin: float = 1000.0, poll: PollSettings = POLL
) -> list[float]:
    """Return when polls happen from *begin* on, in seconds after it; *memory* is what each leaves behind."""
    schedule, uptime, seen = Schedule(seed), begin, []
    while uptime - begin < until:
        seen.append(uptime - begin)
        schedule, wait = next_poll(schedule, memory(len(seen)), poll, uptime)
        uptime += wait
    return seen


def gaps(seen: list[float]) -> list[float]:
    """Return the waits between the polls."""
    return [after - before for before, after in zip(seen, seen[1:])]


def test_a_place_on_the_grid_is_kept() -> None:
    """After the first wait, a calm instance polls every 30 s, always at the same place of the half minute."""
    seen = times("i-0123456789abcdef0", lambda _: CALM, 3600)

    assert gaps(seen)[1:] == [pytest.approx(30.0)] * (len(seen) - 2)


@given(seed=st.text(), begin=st.floats(0, 1e8))
def test_the_first_wait_is_between_half_and_one_and_a_half_intervals(seed: str, begin: float) -> None:
    """The grid is reached soon, and never in a rush."""
    (_, wait) = next_poll(Schedule(seed), CALM, POLL, begin)

    assert 15 <= wait <= 45


def test_the_place_is_the_same_in_every_process() -> None:
    """A restart keeps the place, whatever PYTHONHASHSEED is."""
    program = (
        "from rolewatch.monitor.loop import Schedule, next_poll; from rolewatch.monitor.memory import Memory;"
        "from rolewatch.settings import PollSettings;"
        "print(next_poll(Schedule('i-0123456789abcdef0'), Memory(), PollSettings(), 0.0)[1])"
    )
    path = next(each for each in sys.path if each.endswith("agent"))
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": path, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(printed) == 1


def test_a_thousand_instances_spread_evenly() -> None:
    """A fleet that was started together does not poll together: every tenth of the interval has its share."""
    counts = [0] * 10
    for number in range(1000):
        _, wait = next_poll(Schedule(f"i-{number:017x}"), CALM, POLL, 0.0)
        counts[int(wait % 30 // 3)] += 1

    assert all(70 <= each <= 130 for each in counts)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [(CALM, False), (PENDING, True), (CLEARING, True), (ACTIVE, False)],
    ids=["calm", "pending", "clearing", "active"],
)
def test_a_fault_is_being_confirmed_while_it_is_half_seen(memory: Memory, expected: bool) -> None:  # noqa: FBT001
    """One that was seen and is not raised, or not seen and not cleared."""
    assert confirming(memory) is expected


@pytest.mark.parametrize("memory", [PENDING, CLEARING])
def test_it_polls_again_in_ten_seconds_while_a_fault_is_confirmed(memory: Memory) -> None:
    """Raising takes three polls at most and clearing two: there is credit for both."""
    seen = times("i-0123456789abcdef0", lambda polls: memory if polls < 4 else ACTIVE, 120)

    assert gaps(seen)[:3] == [10.0, 10.0, 10.0]
    assert gaps(seen)[3] >= 15


def test_the_credit_of_haste_comes_back() -> None:
    """After a calm hour a fault is confirmed in haste again."""
    seen = times("i-0123456789abcdef0", lambda polls: CALM if 60 < polls <= 180 else PENDING, 7200)

    assert gaps(seen)[180:183] == [10.0] * 3


@pytest.mark.parametrize(
    "memory",
    [
        lambda _: PENDING,
        lambda polls: PENDING if polls % 2 else CALM,
        lambda polls: CLEARING if polls % 3 else ACTIVE,
    ],
    ids=["always", "every other", "two of three"],
)
def test_an_imds_that_flickers_for_ever_is_asked_at_most_ten_times_a_minute(
    memory: Callable[[int], Memory],
) -> None:
    """Four requests a poll, and some for identity and tags: at most a hundred in any ten minutes."""
    for number in range(40):
        seen = times(f"i-{number:017x}", memory, 3600, begin=1000.0 + 1.3 * number)
        worst = max(sum(1 for other in seen if begin <= other < begin + 600) for begin in seen)

        assert worst <= 24, number


def test_throttled_it_backs_off_to_two_minutes_and_not_beyond() -> None:
    """60 s, then 120 s, and that for ever."""
    seen = times("i-0123456789abcdef0", lambda polls: memory_with(CALM, throttled=polls), 24 * 3600)

    assert gaps(seen)[:4] == [60.0, 120.0, 120.0, 120.0]
    assert max(gaps(seen)) == 120.0


def test_throttled_it_is_in_no_haste() -> None:
    """A fault that waits for confirmation is no reason to press an IMDS that throttles."""
    _, wait = next_poll(Schedule("seed"), memory_with(PENDING, throttled=1), POLL, 0.0)

    assert wait == 60.0


def test_a_longer_interval_of_the_operator_is_kept_when_throttled() -> None:
    """Who asks for five minutes does not get two because IMDS throttles."""
    poll = PollSettings(interval=300.0)

    assert next_poll(Schedule("seed"), THROTTLED, poll, 0.0)[1] == 300.0


def test_confirming_is_never_slower_than_polling() -> None:
    """With an interval of 5 s, ten seconds would be no haste."""
    poll = PollSettings(interval=5.0)

    assert next_poll(Schedule("seed"), PENDING, poll, 0.0)[1] == 5.0


@given(
    polls=st.lists(st.sampled_from([CALM, PENDING, CLEARING, ACTIVE, THROTTLED, memory_with(PENDING, throttled=9)])),
    interval=st.floats(1, 3600),
    begin=st.floats(0, 1e8),
)
def test_no_wait_is_beyond_its_bounds(polls: list[Memory], interval: float, begin: float) -> None:
    """Never sooner than in haste, never later than the longest, and the credit stays in its bounds."""
    poll = PollSettings(interval=interval)
    schedule, uptime = Schedule("seed"), begin
    for memory in polls:
        schedule, wait = next_poll(schedule, memory, poll, uptime)
        uptime += wait

        assert min(10.0, interval / 2) <= wait <= max(120.0, 1.5 * interval)
        assert 0 <= schedule.credit <= MAX_CREDIT
