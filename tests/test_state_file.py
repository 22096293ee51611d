"""What survives a restart, and what a file that is none of ours, or half of one, can do: nothing."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import (
    HOUR,
    INSTANCE_ID,
    LIFE,
    PROFILE,
    PROFILE_ID,
    ROLE,
    START,
    UPTIME,
    Lookout,
    Platform,
    answered,
    credentials,
    info,
    memory_with,
    moment,
    simulate,
    unanswered,
)
from forms import examples
from observations import observations
from promises import Area, promise
from rolewatch.errors import StateFileError
from rolewatch.faults import Fault
from rolewatch.monitor.memory import BindingHistory, CredentialSet, FaultState, Memory
from rolewatch.monitor.state_file import KEEP_FRESH, MAX_SIZE, StateFile
from rolewatch.observation import Identity, Observation, RoleBinding
from rolewatch.vocabulary import EventKind, State

BOOT = "11111111-2222-3333-4444-555555555555"
SET = CredentialSet(role=ROLE, fingerprint="0123abcd", last_updated=START - HOUR, expiration=START + LIFE, seen=START)
FULL = memory_with(
    instance_id=INSTANCE_ID,
    boot_id=BOOT,
    faults={
        Fault.ROTATION_OVERDUE: FaultState(
            since=START,
            evidence={"role": ROLE, "age_seconds": 7230, "allowed_age_seconds": 7200.5},
            active=True,
        ),
        Fault.ROLE_MISMATCH: FaultState(
            since=START - HOUR, evidence={"role": ROLE, "expected_role": "app-*"}, active=True
        ),
    },
    last=SET,
    served=True,
    newest=START - HOUR,
    binding=BindingHistory(confirmed=RoleBinding(ROLE, PROFILE, PROFILE_ID)),
    intervals=(3600.0, 3548.0),
    usable_seen=True,
)
"""Everything that survives."""


def saved(directory: Path, memory: Memory = FULL) -> StateFile:
    """Return the state file of *directory* with *memory* in it."""
    state_file = StateFile(directory)
    state_file.save(memory, moment())
    return state_file


def rewrite(state_file: StateFile, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the contents of the file."""
    state = json.loads(state_file.path.read_text())
    change(state)
    state_file.path.write_text(json.dumps(state))


# Round trip


def test_what_must_survive_survives(tmp_path: Path) -> None:
    """Faults with their `since`, the last set, the newest, role and profile, cadence, the end of the boot grace."""
    assert saved(tmp_path).load(boot_id=BOOT) == FULL


def test_without_a_file_the_memory_is_empty(tmp_path: Path) -> None:
    """The first start is no error."""
    assert StateFile(tmp_path).load(boot_id=BOOT) == Memory(boot_id=BOOT)


def test_a_memory_of_nothing_survives_too(tmp_path: Path) -> None:
    """An agent that saw nothing but silence."""
    assert saved(tmp_path, Memory(boot_id=BOOT)).load(boot_id=BOOT) == Memory(boot_id=BOOT)


def test_what_is_not_yet_raised_does_not_survive(tmp_path: Path) -> None:
    """A fault that was seen once is confirmed from the beginning."""
    pending = replace(FULL, faults={Fault.ROLE_MISMATCH: FaultState(since=START, evidence={}, seen=1)})

    assert saved(tmp_path, pending).load(boot_id=BOOT).faults == {}


@given(history=st.lists(observations(), max_size=12))
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_was_remembered_can_be_read_again(history: list[Observation], tmp_path: Path) -> None:
    """After any history: what is written is read, and what is read is what was written, to the second."""
    lookout = Lookout()
    for number, observation in enumerate(history):
        lookout.see(observation, moment(30.0 * number))
    state_file = saved(tmp_path, lookout.memory)
    loaded = state_file.load(boot_id="boot")

    again = saved(tmp_path, loaded)
    assert again.load(boot_id="boot") == loaded
    assert set(loaded.faults) == {fault for fault, each in lookout.memory.faults.items() if each.active}
    assert (loaded.instance.id, loaded.binding.confirmed) == (
        lookout.memory.instance.id,
        lookout.memory.binding.confirmed,
    )
    assert (loaded.credentials.intervals, loaded.credentials.newest is None) == (
        lookout.memory.credentials.intervals,
        lookout.memory.credentials.newest is None,
    )
    current = (
        lookout.memory.credentials.served and lookout.memory.credentials.last is not None
    )  # a set whose dates are not believed is not kept
    assert (loaded.credentials.usable_seen, loaded.credentials.served) == (
        lookout.memory.credentials.usable_seen,
        current,
    )


# Restarts, over simulated time


def restart(lookout: Lookout, state_file: StateFile, *, boot_id: str = "boot") -> Lookout:
    """Return the lookout of a daemon that was ended and started again."""
    return Lookout(lookout.settings, memory=state_file.load(boot_id=boot_id), now=lookout.now)


def test_the_learned_cadence_survives_a_restart_every_hour(tmp_path: Path) -> None:
    """A daemon that is restarted between any two rotations still learns, and reports a stuck one within two hours."""
    platform = Platform(stuck=((6 * 3600, 24 * 3600),))
    lookout, state_file = Lookout(), StateFile(tmp_path)
    for begin in range(1800, 6 * 3600, 3600):
        simulate(lookout, platform.at, begin, begin + 3600)
        state_file.save(lookout.memory, lookout.now)
        lookout, state_file = restart(lookout, state_file), StateFile(tmp_path)
    simulate(lookout, platform.at, 6.5 * 3600, 9 * 3600)

    assert lookout.snapshot().credentials.rotation_interval == 3600.0
    (raised,) = lookout.times(EventKind.FAULT_RAISED, Fault.ROTATION_OVERDUE)
    assert 2 * 3600 < raised - UPTIME - 5 * 3600 <= 2 * 3600 + 60


def test_a_daemon_that_was_down_over_several_rotations_does_not_take_them_for_one(tmp_path: Path) -> None:
    """The set that it saw last was last seen hours before the new one came."""
    lookout, state_file = Lookout(), StateFile(tmp_path)
    simulate(lookout, Platform().at, 0, 3.5 * 3600)
    state_file.save(lookout.memory, lookout.now)
    lookout = restart(lookout, state_file)
    simulate(lookout, Platform().at, 9.5 * 3600, 10 * 3600)

    assert set(lookout.memory.credentials.intervals) == {3600.0}


def test_the_set_that_was_seen_last_is_fresh_enough_in_the_file(tmp_path: Path) -> None:
    """Killed without a warning just before a rotation: the file is young enough for the interval to count."""
    lookout, state_file = Lookout(), StateFile(tmp_path)
    for step in range(0, 3590, 30):
        simulate(lookout, Platform().at, step, step + 30)
        state_file.save(lookout.memory, lookout.now)
    lookout = restart(lookout, state_file)
    simulate(lookout, Platform().at, 3600, 3700)

    assert lookout.memory.credentials.intervals == (3600.0,)


def test_an_active_fault_keeps_its_since_and_is_not_raised_again(tmp_path: Path) -> None:
    """A fault from before the restart stays active without an answer of IMDS; it is reported as lasting."""
    lookout = Lookout()
    lookout.see_all(*[answered(credentials=credentials(code="Failed"))] * 2)
    since = lookout.snapshot().faults[0].since
    lookout = restart(lookout, saved(tmp_path, lookout.memory))
    snapshot = lookout.see(unanswered())

    assert [(active.fault, active.since) for active in snapshot.faults] == [(Fault.CREDENTIALS_ERROR, since)]
    assert [event.kind for _, event in lookout.published if event.fault] == [EventKind.FAULT_PERSISTS]


def test_another_boot_keeps_what_it_learned_and_forgets_what_stood(tmp_path: Path) -> None:
    """A stop and start renews the credentials: faults go and the boot grace comes back; cadence and role stay."""
    loaded = saved(tmp_path).load(boot_id="another")

    assert loaded == memory_with(FULL, boot_id="another", faults={}, usable_seen=False, served=False)


def test_the_state_of_another_instance_is_refused_where_the_firmware_names_this_one(tmp_path: Path) -> None:
    """An image made of a running instance, on Nitro: its state is known to be another's before IMDS answers."""
    state_file = saved(tmp_path)

    with pytest.raises(StateFileError, match=f"belongs to another instance \\({INSTANCE_ID}\\)"):
        state_file.load(boot_id=BOOT, instance_id="i-0bbbbbbbbbbbbbbbb")
    assert state_file.load(boot_id=BOOT, instance_id=INSTANCE_ID) == FULL


def test_nothing_of_another_endpoint_is_published_while_imds_is_silent(tmp_path: Path) -> None:
    """Whose faults they are is not known before its identity document is read: only `imds_unreachable` is."""
    saved(tmp_path)
    lookout = Lookout(memory=StateFile(tmp_path, "http://127.0.0.1:28381").load(boot_id=BOOT))
    snapshot = lookout.see_all(*[unanswered()] * 3)

    assert lookout.active() == (Fault.IMDS_UNREACHABLE,)
    assert (snapshot.credentials.expiration, snapshot.binding.role) == (None, None)


def test_without_the_id_of_the_boot_no_fault_is_taken_over(tmp_path: Path) -> None:
    """Two boots without an id are not one boot."""
    state_file = saved(tmp_path, memory_with(FULL, boot_id=""))

    assert state_file.load(boot_id="").faults == {}


def test_a_memory_of_another_instance_is_dropped_when_that_is_known(tmp_path: Path) -> None:
    """An image with a state file in it: an event, and nothing of it stays but the boot."""
    lookout = Lookout(memory=saved(tmp_path).load(boot_id=BOOT))
    lookout.see_all(*[answered(identity=Identity("i-0fedcba9876543210"), info=info(name="app"))] * 2)

    assert len(lookout.events(EventKind.STATE_FILE_IGNORED)) == 1
    assert (lookout.memory.credentials.intervals, lookout.active()) == ((), ())
    assert lookout.snapshot().state is State.OK


# Files that are none of ours


@promise(
    Area.SURROUNDINGS,
    "The state file was cut off, at any byte",
    "It is ignored with a warning that says why, and written anew",
)
def test_cut_off_at_any_byte_it_is_refused(tmp_path: Path) -> None:
    """A full disk, a power cut: half a file is no file, and never another exception."""
    state_file = saved(tmp_path)
    whole = state_file.path.read_bytes()
    for length in range(len(whole.rstrip())):
        state_file.path.write_bytes(whole[:length])
        with pytest.raises(StateFileError):
            state_file.load(boot_id=BOOT)


@promise(
    Area.SURROUNDINGS,
    "The state file is corrupt, at any byte",
    "It is loaded where it still makes sense, or ignored with a warning and written anew; nothing else comes of it",
)
@pytest.mark.parametrize("flip", [0x01, 0x04, 0x10, 0x80, 0xFF])
def test_with_any_byte_changed_it_loads_or_is_refused(flip: int, tmp_path: Path) -> None:
    """A bad disk: a memory or a `StateFileError`, never another exception; and a memory that can be worked with."""
    state_file = saved(tmp_path)
    whole = state_file.path.read_bytes()
    for index in range(len(whole)):
        state_file.path.write_bytes(whole[:index] + bytes([whole[index] ^ flip]) + whole[index + 1 :])
        try:
            loaded = state_file.load(boot_id=BOOT)
        except StateFileError:
            continue
        Lookout(memory=loaded).see_all(unanswered(), answered(), answered())


VALUES: list[Any] = [None, True, 0, -1, 1e999, float("nan"), 10**400, "", "x", "\ud800", "a\nb", [], [[]], {}, {"x": 1}]


@pytest.mark.parametrize("value", VALUES, ids=[ascii(value)[:12] for value in VALUES])
def test_with_any_value_replaced_it_loads_or_is_refused(value: object, tmp_path: Path) -> None:
    """With any value in any place: a memory that can be worked with, or a `StateFileError`."""
    state_file = saved(tmp_path)
    whole = json.loads(state_file.path.read_text())
    for path in paths_of(whole):
        state_file.path.write_text(json.dumps(with_value(whole, path, value)))
        try:
            loaded = state_file.load(boot_id=BOOT)
        except StateFileError:
            continue
        lookout = Lookout(memory=loaded)
        lookout.see_all(unanswered(), answered(), answered())
        state_file.save(lookout.memory, lookout.now)
        assert all(event.message.isprintable() for _, event in lookout.published)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - any JSON
    """Return the way to every value inside *value*, itself included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in paths_of(each, (*path, key)))]


def with_value(value: Any, path: tuple[Any, ...], new: object) -> Any:  # noqa: ANN401 - any JSON
    """Return *value* with *new* at *path*."""
    if not path:
        return new
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = with_value(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"null", b"[]", b'"x"', b"7", b"{}", b"\xff\xfe", b"[" * 30000, b'{"version": 1}', b"1" * 60000],
    ids=lambda content: repr(content[:8]),
)
def test_what_is_no_state_file_is_refused_with_its_path(content: bytes, tmp_path: Path) -> None:
    """The warning says which file."""
    (tmp_path / "state.json").write_bytes(content)

    with pytest.raises(StateFileError, match=r"state\.json"):
        StateFile(tmp_path).load(boot_id=BOOT)


@pytest.mark.parametrize("text", ["web\nserver", "\ud800", "web\x1b[2Jserver"], ids=["line break", "half", "escape"])
def test_a_name_that_cannot_be_shown_is_refused(text: str, tmp_path: Path) -> None:
    """No name of AWS's has one; in a journal line or a metric it would do harm."""
    state_file = saved(tmp_path)
    rewrite(state_file, lambda state: state["settled"].update(role=text))

    with pytest.raises(StateFileError):
        state_file.load(boot_id=BOOT)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    """After a downgrade the newer file means nothing to us."""
    state_file = saved(tmp_path)
    rewrite(state_file, lambda state: state.update(version=2))

    with pytest.raises(StateFileError, match="version 1"):
        state_file.load(boot_id=BOOT)


def test_a_file_that_is_too_large_is_not_even_read(tmp_path: Path) -> None:
    """Ours has a kilobyte."""
    (tmp_path / "state.json").write_bytes(b" " * (MAX_SIZE + 1))

    with pytest.raises(StateFileError, match="larger"):
        StateFile(tmp_path).load(boot_id=BOOT)


def test_a_directory_in_its_place_is_refused(tmp_path: Path) -> None:
    """Said as the system says it."""
    (tmp_path / "state.json").mkdir()

    with pytest.raises(StateFileError, match="cannot be read"):
        StateFile(tmp_path).load(boot_id=BOOT)


def test_a_pipe_in_its_place_does_not_hang_the_start(tmp_path: Path) -> None:
    """Opening a pipe without a writer waits for ever."""
    os.mkfifo(tmp_path / "state.json")

    with pytest.raises(StateFileError):
        StateFile(tmp_path).load(boot_id=BOOT)


# Writing


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """Mode 0600, though it contains no secret."""
    assert stat.S_IMODE(saved(tmp_path).path.stat().st_mode) == 0o600


def test_a_missing_directory_is_an_os_error(tmp_path: Path) -> None:
    """`watch` counts it and goes on."""
    with pytest.raises(OSError, match="No such file"):
        StateFile(tmp_path / "missing").save(FULL, moment())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_an_os_error(tmp_path: Path) -> None:
    """Likewise."""
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="denied"):
        StateFile(tmp_path).save(FULL, moment())


def test_a_save_that_failed_is_tried_again(tmp_path: Path) -> None:
    """A directory that appears later gets its file at the next poll, though nothing changed."""
    state_file = StateFile(tmp_path / "later")
    with pytest.raises(OSError, match="No such file"):
        state_file.save(FULL, moment())
    (tmp_path / "later").mkdir()
    state_file.save(FULL, moment(30))

    assert state_file.load(boot_id=BOOT) == FULL


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """The new one takes the old one's name when it is whole: who has the old one open reads it to its end."""
    state_file = saved(tmp_path)
    with state_file.path.open() as reader:
        state_file.save(memory_with(FULL, intervals=()), moment(30))
        assert json.load(reader)["intervals"] == [3600.0, 3548.0]

    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]
    assert state_file.load(boot_id=BOOT).credentials.intervals == ()


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """Half of a new one never takes its place, and the half is not left behind."""
    state_file = saved(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            state_file.save(memory_with(FULL, intervals=()), moment(30))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)

    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]
    assert state_file.load(boot_id=BOOT) == FULL


def test_it_is_written_when_something_changed_and_else_seldom(tmp_path: Path) -> None:
    """Not at every poll: the disk of a small instance is slow, and nothing happened."""
    state_file = saved(tmp_path)
    first = state_file.path.stat().st_ino
    later = memory_with(FULL, last=replace(SET, seen=START + timedelta(seconds=30)))
    state_file.save(later, moment(30))
    assert state_file.path.stat().st_ino == first
    state_file.save(later, moment(KEEP_FRESH))
    second = state_file.path.stat().st_ino
    state_file.save(memory_with(later, usable_seen=False), moment(KEEP_FRESH + 1))

    assert len({first, second, state_file.path.stat().st_ino}) >= 2
    assert state_file.load(boot_id=BOOT).credentials.usable_seen is False


def test_an_unusual_time_zone_of_imds_is_written_as_utc(tmp_path: Path) -> None:
    """A `Date` may carry any zone."""
    zone = timezone(timedelta(hours=-5))
    last = replace(SET, seen=datetime(2026, 11, 23, 7, 0, tzinfo=zone))

    assert saved(tmp_path, memory_with(FULL, last=last)).load(boot_id=BOOT) == FULL


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    """Only what `Memory` names, and of a set of credentials no more than eight digits of a hash."""
    state = json.loads(saved(tmp_path).path.read_text())

    assert set(state) == {
        "version", "instance_id", "boot_id", "endpoint", "faults", "served", "current", "newest", "settled",
        "intervals", "credentials_seen",
    }  # fmt: skip
    assert set(state["served"]) == {"role", "fingerprint", "last_updated", "expiration", "seen"}
    assert state["served"]["fingerprint"] == "0123abcd"
