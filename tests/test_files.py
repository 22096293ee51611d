"""Files that somebody else may have put there: nothing blocks, no link leads elsewhere, no size fills the memory."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon_process import LIMIT, environment
from rolewatch import files
from special_files import SPECIAL_FILES, link_target_unchanged

KINDS = [kind for kind in SPECIAL_FILES if kind != "huge file"]
NAME = "state.json"
TEMPORARY = f".{NAME}.0123456789abcdef.new"
HOUR = 3600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path in an empty directory."""
    return tmp_path / NAME


def temporaries(path: Path) -> list[str]:
    """Return the names of what lies beside *path*."""
    return sorted(each.name for each in path.parent.iterdir() if each != path)


def aged(path: Path, seconds: float, *, make: bool = False) -> Path:
    """Let *path* be *seconds* old; create it with *make*."""
    if make:
        path.touch()
    now = path.lstat().st_mtime
    os.utime(path, (now - seconds, now - seconds), follow_symlinks=False)
    return path


# Reading


def test_a_descriptor_that_is_no_file_is_refused() -> None:
    """/proc shows an epoll instance as a link to something that has no type of file."""
    with select.epoll() as epoll, pytest.raises(files.NotRegularError, match="an object of the kernel"):
        files.read(Path(f"/proc/self/fd/{epoll.fileno()}"), limit=1, follow_links=True)


@pytest.mark.parametrize("follow_links", [True, False])
def test_a_regular_file_is_read_with_its_status(path: Path, follow_links: bool) -> None:  # noqa: FBT001 - a parameter
    """Up to the limit, and not a byte more."""
    path.write_bytes(b"12345")
    path.chmod(0o604)
    content = files.read(path, limit=5, follow_links=follow_links)

    assert (content.data, stat.S_IMODE(content.status.st_mode)) == (b"12345", 0o604)
    with pytest.raises(files.TooLargeError):
        files.read(path, limit=4, follow_links=follow_links)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_not_read(path: Path, kind: str) -> None:
    """With an error that names it: opening a FIFO would wait for a writer."""
    SPECIAL_FILES[kind](path)

    with pytest.raises(files.NotRegularError, match=f"it is a {kind}, not a regular file"):
        files.read(path, limit=100, follow_links=False)


def test_a_huge_file_is_not_read_to_its_end(path: Path) -> None:
    """It would not fit."""
    SPECIAL_FILES["huge file"](path)

    with pytest.raises(files.TooLargeError, match="larger than 64 KiB"):
        files.read(path, limit=64 * 1024, follow_links=False)


def test_a_file_whose_size_says_nothing_is_read_up_to_the_limit(path: Path) -> None:
    """Files of the kernel have no size, and may have megabytes."""
    path.symlink_to("/proc/kallsyms")

    with pytest.raises(files.TooLargeError):
        files.read(path, limit=1024, follow_links=True)


def test_a_link_is_followed_only_where_that_is_asked_for(path: Path) -> None:
    """To a file, and from link to link; a link to a FIFO is a FIFO."""
    real = path.with_name("real")
    real.write_bytes(b"settings")
    path.symlink_to("middle")
    path.with_name("middle").symlink_to("real")

    assert files.read(path, limit=100, follow_links=True).data == b"settings"
    with pytest.raises(files.NotRegularError, match="symbolic link"):
        files.read(path, limit=100, follow_links=False)
    real.unlink()
    os.mkfifo(real)
    with pytest.raises(files.NotRegularError, match="FIFO"):
        files.read(path, limit=100, follow_links=True)


def test_a_file_that_is_swapped_for_something_else_all_the_time_blocks_nobody(path: Path) -> None:
    """What was asked about before it is opened may be something else when it is opened."""
    real, fifo, link = path.with_name("real"), path.with_name("fifo"), path.with_name("link")
    real.write_bytes(b"ours")
    os.mkfifo(fifo)
    link.symlink_to("fifo")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for each in (real, fifo, link):
                new = path.with_name("new")
                os.link(each, new, follow_symlinks=False)
                new.replace(path)
                new.unlink(missing_ok=True)  # two names of one file: rename does nothing

    path.write_bytes(b"ours")
    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        for _ in range(5000):
            try:
                seen.add(files.read(path, limit=100, follow_links=False).data)
            except OSError as error:
                seen.add(str(error.strerror).encode())
    finally:
        done.set()
        swapper.join(LIMIT)

    assert b"ours" in seen
    assert b"it is a FIFO, not a regular file" in seen


# Replacing


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it(path: Path, umask: int) -> None:
    """Whatever the umask."""
    before = os.umask(umask)
    try:
        files.replace(path, b"1", mode=0o644)
        files.replace(path, b"22", mode=0o640, sync=True)
    finally:
        os.umask(before)

    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"22", 0o640)
    assert temporaries(path) == []


@pytest.mark.parametrize("kind", [kind for kind in SPECIAL_FILES if kind not in {"directory", "device"}])
def test_what_lies_at_the_path_is_replaced_and_not_opened(path: Path, kind: str) -> None:
    """A FIFO without a reader would block the writer, and a link would lead it elsewhere."""
    SPECIAL_FILES[kind](path)
    files.replace(path, b"ours", mode=0o600)

    assert stat.S_ISREG(path.lstat().st_mode)
    assert path.read_bytes() == b"ours"
    assert link_target_unchanged(path)


@pytest.mark.parametrize(("kind", "message"), [("directory", "directory"), ("device", "it is a device")])
def test_no_directory_and_no_device_is_replaced(path: Path, kind: str, message: str) -> None:
    """Root would break the host with a file in the place of /dev/null. The temporary does not stay."""
    SPECIAL_FILES[kind](path)
    before = path.lstat()
    with pytest.raises(OSError, match=message):
        files.replace(path, b"ours", mode=0o600)

    assert path.lstat().st_ino == before.st_ino
    assert temporaries(path) == []


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_nothing_at_the_name_of_a_temporary_is_in_the_way(path: Path, kind: str) -> None:
    """Each temporary has a name that nobody can foresee. What is no file of ours stays, however old."""
    SPECIAL_FILES[kind](path.with_name(TEMPORARY))
    aged(path.with_name(TEMPORARY), HOUR)
    files.replace(path, b"ours", mode=0o600)

    assert path.read_bytes() == b"ours"
    assert path.with_name(TEMPORARY).exists() is (kind != "huge file")  # a regular file: left by a crash
    assert link_target_unchanged(path.with_name(TEMPORARY))


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "x" * 199 + "é" * 20])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path, name: str) -> None:
    """The temporary is no longer, and is removed like any other when a killed process left it."""
    path = tmp_path / name
    files.replace(path, b"1", mode=0o600)
    prefix = os.fsencode(f".{name}")[:201].decode(errors="ignore")
    leftover = aged(path.with_name(f"{prefix}.0123456789abcdef.new"), HOUR, make=True)
    files.replace(path, b"2", mode=0o600)

    assert path.read_bytes() == b"2"
    assert not leftover.exists()


def test_two_that_replace_the_same_file_do_not_meet(path: Path) -> None:
    """A timer's `diagnose --output` and one by hand: each file is whole, and neither fails."""
    pages = [digit * 100_000 for digit in (b"1", b"2")]
    files.replace(path, pages[0], mode=0o600)

    def write(page: bytes) -> int:
        for _ in range(300):
            files.replace(path, page, mode=0o600)
        return 300

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, page) for page in pages]
        while not all(writer.done() for writer in writers):
            assert path.read_bytes() in pages

    assert [writer.result() for writer in writers] == [300, 300]
    assert temporaries(path) == []


@pytest.fixture
def killed(path: Path) -> Path:
    """Return the temporary of a process that was killed while it replaced *path*."""
    code = (
        "import os, sys; from pathlib import Path; from rolewatch import files; path = Path(sys.argv[1])\n"
        "sys.addaudithook(lambda event, _: event == 'os.rename' and os.kill(os.getpid(), 9))\n"
        "files.replace(path, b'half', mode=0o600)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment(), check=False)
    assert done.returncode == -signal.SIGKILL
    (name,) = temporaries(path)
    return path.with_name(name)


def test_what_a_killed_process_left_is_removed(path: Path, killed: Path) -> None:
    """Not at once: another process may be about to put its file into place."""
    files.replace(path, b"1", mode=0o600)
    assert killed.exists()

    aged(killed, 2 * files.LEFTOVER_AGE)
    files.replace(path, b"2", mode=0o600)
    assert temporaries(path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_files_of_others_and_of_other_names_stay(path: Path) -> None:
    """A directory may belong to somebody else, as node_exporter's does."""
    stranger = path.with_name(TEMPORARY)
    others = [stranger, *(path.with_name(name) for name in (f"{TEMPORARY}.x", f"x{TEMPORARY}", ".other.json.new"))]
    for each in others:
        each.touch()
        aged(each, HOUR)
    os.chown(stranger, 65534, 65534)
    files.replace(path, b"1", mode=0o600)

    assert temporaries(path) == sorted(each.name for each in others)


def test_an_error_is_the_systems(path: Path) -> None:
    """The callers say what to do."""
    with pytest.raises(FileNotFoundError):
        files.replace(path / "below" / "nothing", b"", mode=0o600)
    with pytest.raises(FileNotFoundError):
        files.read(path, limit=1, follow_links=False)


# What a person names


@pytest.mark.parametrize("kind", KINDS)
def test_a_person_may_only_name_a_regular_file_to_be_replaced(path: Path, kind: str) -> None:
    """Or one that is not there yet. /dev/stdout is a link."""
    files.refuse_unless_replaceable(path)
    SPECIAL_FILES[kind](path)

    with pytest.raises(files.NotRegularError):
        files.refuse_unless_replaceable(path)
