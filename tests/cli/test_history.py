"""``rolewatch history``: read back from journal files that systemd's own tool has made."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

import pytest

from rolewatch.cli import EX_UNAVAILABLE, EX_USAGE, main
from rolewatch.cli.history import since
from rolewatch.cli.timeline import Episode, PastEvent, episodes, fault_table, table
from rolewatch.model import EVENT_FIELDS

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
GOLDEN = Path(__file__).parents[1] / "golden" / "history.txt"
"""What the story looks like. Read a difference before you take it over."""
NOT_FOUND = "instance_profile_not_found"

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
    """Yield what a journal holds of two days: a fault that came and went, one that stands, and what is not ours."""
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


def history(capsys: pytest.CaptureFixture[str], *words: str) -> Tuple[int, List[str], str]:
    """Run the command; return the exit status, the lines on standard output, and standard error."""
    status = main(["history", *words])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err


def test_it_is_a_time_line_with_the_faults_below(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every event on a line of its own, oldest first; each fault from when to when, and what stands."""
    status, lines, err = history(capsys, "--file", str(journal))

    assert (status, err) == (0, "")
    assert lines == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_json_has_the_daemons_own_keys(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object on a line, as the daemon writes them where there is no journal; numbers are numbers."""
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
    """A support case comes as whatever was sent."""
    other = journal_file(tmp_path / "other.journal", exported(NOON + HOUR, "stopping", "It stops."))
    _, of_files, _ = history(capsys, "--file", str(journal), "--file", str(other), "--json")
    _, of_directory, _ = history(capsys, "--directory", str(tmp_path), "--json")

    assert len(of_files) == 7
    assert of_directory == of_files


def test_since_leaves_out_what_is_older(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the clock of now, and the rest stays."""
    now = datetime.now(timezone.utc)
    ages = {"old": 8 * 24 * HOUR, "middle": 5 * HOUR, "new": HOUR}
    path = journal_file(tmp_path / "x.journal", *(exported(now - age, "started", name) for name, age in ages.items()))

    def told(*words: str) -> List[str]:
        return [json.loads(line)["message"] for line in history(capsys, "--json", "--file", str(path), *words)[1]]

    assert told() == ["old", "middle", "new"]
    assert told("--since", "7d") == ["middle", "new"]
    assert told("--since", "2h30m") == ["new"]
    assert told("--since", "1m") == []


def test_what_a_terminal_would_obey_is_shown_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Anybody on the host may write to the journal, and under our name, too."""
    hostile = "\x1b]0;owned\x07\nforged"
    path = journal_file(tmp_path / "x.journal", exported(NOON, "started", hostile, role=hostile, fault=hostile))
    _, lines, _ = history(capsys, "--file", str(path))

    assert all(line.isprintable() for line in lines)
    assert "\\x1b]0;owned\\x07\\nforged" in lines[1]


def test_a_field_may_be_there_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The journal keeps both, in an order of its own; one is told. Bytes that are no text cannot hide."""
    twice = exported(NOON, "started", "first").rstrip(b"\n") + b"\nMESSAGE=second\nROLEWATCH_ROLE=\xff\n\n"
    path = journal_file(tmp_path / "x.journal", twice)
    (line,) = history(capsys, "--json", "--file", str(path))[1]

    assert json.loads(line)["message"] in {"first", "second"}
    assert json.loads(line)["role"] == "\N{REPLACEMENT CHARACTER}"


def test_where_nothing_was_told_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That is an answer: status 0, and nothing where a program reads."""
    path = journal_file(tmp_path / "x.journal", exported(NOON, "started", "x", SYSLOG_IDENTIFIER="other"))
    status, lines, err = history(capsys, "--json", "--file", str(path))

    assert (status, lines) == (0, [])
    assert err == "rolewatch: no entry of rolewatch in these journal files.\n"


@pytest.mark.parametrize("kind", ["--file", "--directory"])
def test_what_is_not_there_is_a_mistake_of_the_caller(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the path in the sentence."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    status, _, err = history(capsys, kind, str(tmp_path / "nowhere"))

    assert status == EX_USAGE
    assert f"{tmp_path / 'nowhere'}: No such file or directory" in err


@pytest.mark.parametrize("content", [b"", b"no journal at all"], ids=["empty", "text"])
def test_what_is_no_journal_is_said(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, whatever somebody sends as a journal."""
    pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    path = tmp_path / "x.journal"
    path.write_bytes(content)
    status, _, err = history(capsys, "--file", str(path))

    assert status == EX_UNAVAILABLE
    assert f"{path} cannot be read as a journal" in err


def test_a_damaged_entry_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What else can be read is told, above all what came after."""
    entries = [exported(NOON + each * HOUR, "started", f"event {each}", file=f"unique {each}") for each in range(5)]
    path = journal_file(tmp_path / "x.journal", *entries)
    whole = path.read_bytes()
    name = whole.index(b"ROLEWATCH_FILE=unique 2")
    path.write_bytes(whole[:name] + b"\xff" + whole[name + 1 :])
    status, lines, err = history(capsys, "--file", str(path), "--json")

    assert status == 0
    assert [json.loads(line)["message"] for line in lines] == ["event 0", "event 1", "event 3", "event 4"]
    assert err == "rolewatch: the journal is damaged; entries that are left out: 1\n"


def test_a_journal_that_is_all_damage_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reader does not go on for ever."""
    path = journal_file(tmp_path / "x.journal", *(exported(NOON, "started", "x") for _ in range(1500)))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"ROLEWATCH_EVENT=", b"\xff" * 15 + b"="))
    status, lines, err = history(capsys, "--file", str(path))

    assert (status, lines) == (0, [])
    assert "entries that are left out: 1000" in err


def test_without_the_module_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how to do without."""
    monkeypatch.setitem(sys.modules, "systemd", None)
    monkeypatch.setitem(sys.modules, "systemd.journal", None)
    status, _, err = history(capsys)

    assert status == EX_UNAVAILABLE
    assert "python3-systemd" in err
    assert "journalctl -t rolewatch" in err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", 5400),
        ("7d", 604800),
        ("2h30m", 9000),
        ("1d12h", 129600),
        ("1.5d", 129600),
        ("1d 6h", 108000),
        ("30s", 30),
        (" 1d ", 86400),
    ],
)
def test_a_duration_may_have_days(text: str, seconds: float) -> None:
    """The same words as in the settings, and days before them."""
    assert since(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "7", "1w", "-1d", "7d ago", "1h2d", "yesterday", "9" * 100 + "d"])
def test_what_is_no_duration_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to write instead."""
    with pytest.raises(SystemExit) as ended:
        main(["history", f"--since={text}"])

    assert ended.value.code == EX_USAGE
    assert "write 90m, 2h30m or 7d" in capsys.readouterr().err


def test_a_long_way_back_is_the_beginning(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the epoch there was no journal."""
    assert len(history(capsys, "--json", "--file", str(journal), "--since", "9999999d")[1]) == 6


# The table, without a journal


def past(hours: float, event: str, fault: str = "", message: str = "It is so.", **facts: str) -> PastEvent:
    """Return an event so many hours after noon."""
    return PastEvent(NOON + hours * HOUR, "notice", event, message, fault, facts)


def at(hours: float) -> datetime:
    """Return so many hours after noon."""
    return NOON + hours * HOUR


SEEN = "2026-03-01T11:30:00Z"
BEFORE = at(-0.5)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([], []),
        ([past(0, "fault_raised", "f")], [Episode("f", at(0))]),
        ([past(0, "fault_raised", "f", since=SEEN)], [Episode("f", BEFORE)]),
        ([past(0, "fault_raised", "f"), past(1, "fault_cleared", "f")], [Episode("f", at(0), at(1))]),
        ([past(1, "fault_cleared", "f", since=SEEN)], [Episode("f", BEFORE, at(1))]),
        ([past(1, "fault_persists", "f", since=SEEN)], [Episode("f", BEFORE)]),
        (
            [past(0, "fault_raised", "f", since=SEEN), past(1, "fault_persists", "f", since=SEEN)],
            [Episode("f", BEFORE)],
        ),
        (
            [past(0, "fault_raised", "f"), past(1, "fault_cleared", "f"), past(2, "fault_raised", "f")],
            [Episode("f", at(0), at(1)), Episode("f", at(2))],
        ),
        (
            [past(0, "fault_raised", "f"), past(1, "fault_raised", "f"), past(2, "fault_cleared", "f")],
            [Episode("f", at(0), stands=False), Episode("f", at(1), at(2), stands=True)],
        ),
        ([past(0, "fault_raised", "f"), past(1, "stopping")], [Episode("f", at(0), stands=False)]),
        (
            [past(0, "fault_raised", "f", since=SEEN), past(1, "stopping"), past(2, "fault_persists", "f", since=SEEN)],
            [Episode("f", BEFORE)],
        ),
        (
            [past(0, "fault_raised", "f"), past(1, "state_changed", state="ok"), past(1, "fault_cleared", "f")],
            [Episode("f", at(0), at(1), stands=False)],
        ),
        (
            [past(0, "fault_raised", "f"), past(1, "state_changed", state="ok")],
            [Episode("f", at(0), stands=False)],
        ),
        (
            [past(0, "fault_raised", "f"), past(1, "state_changed", state="failed")],
            [Episode("f", at(0))],
        ),
        (
            [past(0, "fault_raised", "g"), past(1, "fault_raised", "f"), past(2, "fault_cleared", "g")],
            [Episode("g", at(0), at(2)), Episode("f", at(1))],
        ),
    ],
    ids=[
        "nothing",
        "raised",
        "seen before it was raised",
        "cleared",
        "raised before the time asked for",
        "persisting since before the time asked for",
        "raised and persisting",
        "twice",
        "raised anew after a restart that forgot it",
        "stopped",
        "stopped, and still there afterwards",
        "cleared after the state was told",
        "the state is ok, and the end was not told",
        "another state",
        "two at once",
    ],
)
def test_each_fault_has_its_episodes(events: List[PastEvent], told: List[Episode]) -> None:
    """From its first sight to its end; where the end was not told, no end is invented."""
    assert episodes(events) == told


def test_an_episode_whose_end_was_not_told_is_not_said_to_stand() -> None:
    """Nor has it a length."""
    lines = list(fault_table([Episode("f", at(0), stands=False)], at(5)))

    assert lines[1] == "f      2026-03-01 12:00:00  end not told"


def test_without_a_fault_there_is_no_table_of_faults() -> None:
    """Not even its head."""
    assert list(fault_table([], NOON)) == []


@pytest.mark.parametrize("width", [40, 120])
def test_on_a_terminal_the_sentence_is_wrapped_below(width: int) -> None:
    """The row stays a row, and the words can be read."""
    message = "words and more of them " * 10
    head, row, *below = table([past(0, "started", message=message)], width)

    assert "message" not in head
    assert row == "2026-03-01 12:00:00  started"
    assert " ".join(" ".join(below).split()) == message.strip()
    assert all(len(line) <= width and line.startswith("    ") for line in below)


@pytest.mark.parametrize("name", [*EVENT_FIELDS, None])
def test_every_field_of_an_event_is_read_back(
    name: Optional[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing that is none, though the entry may have it."""
    fields: Dict[str, str] = {"SOMEBODYS_FIELD": "x", "token": "x", **({name: "7"} if name else {})}
    path = journal_file(tmp_path / "x.journal", exported(NOON, "started", "x", **fields))
    (line,) = history(capsys, "--json", "--file", str(path))[1]

    assert set(json.loads(line)) == {"time", "level", "event", "message"} | ({name} if name else set())
