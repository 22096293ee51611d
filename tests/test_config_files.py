"""Files: which are read, in which order, and which are refused."""

from __future__ import annotations

import grp
import os
import pwd
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rolewatch.config.sources import Gathered, gather_files, unreadable

NOBODY = 65534


def test_a_path_that_no_file_can_have_is_cut() -> None:
    """The whole path of every other file is in its message."""
    gathered = Gathered()
    gather_files(Path("/" + "x" * 70_000), gathered)

    (problem,) = gathered.problems
    assert len(problem) < 4200
    assert problem.endswith("…: cannot be read: File name too long.")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a directory that stands for ``/etc/rolewatch``, with one file and an empty ``conf.d``."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "rolewatch.toml").write_text("[poll]\ninterval = 10\n")
    return tmp_path


def gather(etc: Path, path: object = None) -> Gathered:
    """Gather from *path*, or from *etc* as if it were ``/etc/rolewatch``."""
    gathered = Gathered()
    gather_files(path if isinstance(path, Path) else None, gathered, default=etc / "rolewatch.toml")
    return gathered


def problem_of(etc: Path, path: object = None) -> str:
    """Return the one problem there is, without the directory."""
    (problem,) = gather(etc, path).problems
    return problem.replace(f"{etc}/", "")


def test_conf_d_is_read_after_the_file_in_the_order_of_names(etc: Path) -> None:
    """The byte order, so that it is the same in every locale."""
    for name in ("b.toml", "10-b.toml", "9-a.toml", "B.toml", "a.toml"):
        (etc / "conf.d" / name).write_text("")

    read = [Path(file).name for file in gather(etc).files]

    assert read == ["rolewatch.toml", "10-b.toml", "9-a.toml", "B.toml", "a.toml", "b.toml"]


def test_conf_d_is_read_without_the_file(etc: Path) -> None:
    """Automation need not care whether the package's file is there."""
    (etc / "rolewatch.toml").unlink()
    (etc / "conf.d/50-site.toml").write_text("[poll]\ninterval = 20\n")

    gathered = gather(etc)

    assert (gathered.problems, [given.value for given in gathered.given]) == ([], [20])


def test_leftovers_in_conf_d_are_not_read(etc: Path) -> None:
    """What package managers and editors leave behind is passed over; what somebody may believe in is warned of."""
    for name in ("a.toml~", "a.toml.rpmnew", "a.toml.dpkg-old", ".a.toml", ".#a.toml", "README", "b.TOML", "c.conf"):
        (etc / "conf.d" / name).write_text("broken")

    gathered = gather(etc)

    assert (len(gathered.files), gathered.problems) == (1, [])
    assert [warning.replace(f"{etc}/", "") for warning in gathered.warnings] == [
        "conf.d/b.TOML: is not read; only names that end in .toml are.",
        "conf.d/c.conf: is not read; only names that end in .toml are.",
    ]


def test_a_file_that_was_asked_for_is_read_alone(etc: Path) -> None:
    """Whoever names a file wants that one, and not what else is set on the machine."""
    (etc / "conf.d/50-site.toml").write_text("[poll]\ninterval = 20\n")
    other = etc / "other.toml"
    other.write_text("[poll]\ninterval = 30\n")

    assert [given.value for given in gather(etc, other).given] == [30]


def test_the_default_file_that_was_asked_for_is_read_with_conf_d(etc: Path) -> None:
    """To name the default changes nothing but that it must exist."""
    (etc / "conf.d/50-site.toml").write_text("[poll]\ninterval = 20\n")

    assert [given.value for given in gather(etc, etc / "rolewatch.toml").given] == [10, 20]


def test_a_file_that_was_asked_for_must_exist(etc: Path) -> None:
    """Otherwise a mistyped name would be taken for no settings."""
    assert problem_of(etc, etc / "missing.toml") == "missing.toml: there is no such file."


def test_a_dangling_link_in_conf_d_is_a_problem(etc: Path) -> None:
    """Somebody meant something by it."""
    (etc / "conf.d/a.toml").symlink_to("/nonexistent/a.toml")

    assert problem_of(etc) == "conf.d/a.toml: there is no such file."


def test_a_link_to_a_file_is_followed(etc: Path) -> None:
    """As configuration management likes them."""
    (etc / "target").write_text("[poll]\ninterval = 20\n")
    (etc / "conf.d/a.toml").symlink_to(etc / "target")

    assert [given.value for given in gather(etc).given] == [10, 20]


def test_what_is_no_regular_file_is_refused_and_not_waited_for(etc: Path) -> None:
    """A pipe without a writer would hold the daemon for ever."""
    os.mkfifo(etc / "pipe")
    (etc / "conf.d/a.toml").mkdir()

    assert problem_of(etc) == "conf.d/a.toml: is a directory; name a file."
    assert problem_of(etc, etc / "pipe") == "pipe: is no regular file; name a file."


def test_a_loop_of_links_is_told(etc: Path) -> None:
    """As anything else that the kernel says."""
    (etc / "loop").symlink_to(etc / "loop")

    assert problem_of(etc, etc / "loop") == "loop: cannot be read: Too many levels of symbolic links."


def test_an_impossible_name_is_told(etc: Path) -> None:
    """And is no crash."""
    assert problem_of(etc, etc / "a\0b") == "a\\x00b: cannot be read: its name is impossible."


def test_a_conf_d_that_is_a_file_is_told(etc: Path) -> None:
    """It was meant to be read."""
    (etc / "conf.d").rmdir()
    (etc / "conf.d").write_text("")

    assert problem_of(etc) == "conf.d: cannot be read: Not a directory."


@pytest.mark.parametrize(
    ("mode", "refused"), [(0o600, False), (0o640, False), (0o664, False), (0o666, True), (0o602, True)]
)
def test_a_file_that_everybody_may_write_is_refused(etc: Path, mode: int, refused: bool) -> None:  # noqa: FBT001 - a table
    """Whoever writes the settings says which address is believed to be IMDS."""
    file = etc / "rolewatch.toml"
    file.chmod(mode)

    expected = ["rolewatch.toml: everybody may write to it, and settings from there are refused; chmod o-w "]
    assert [
        problem.replace(f"{etc}/", "")[: len(expected[0])] for problem in gather(etc).problems
    ] == expected * refused


def test_a_conf_d_that_everybody_may_write_is_refused(etc: Path) -> None:
    """Anybody could put a file there; the sticky bit does not keep them from it."""
    (etc / "conf.d").chmod(0o1777)
    (etc / "conf.d/a.toml").write_text("[poll]\ninterval = 20\n")

    gathered = gather(etc)

    assert gathered.problems == [
        f"{etc}/conf.d: everybody may write to it, and settings from there are refused; chmod o-w {etc}/conf.d."
    ]
    assert [given.value for given in gathered.given] == [10]


@pytest.mark.parametrize(("mode", "refused"), [(0o1777, False), (0o777, True), (0o755, False)])
def test_a_file_in_a_directory_that_everybody_may_write_is_refused(
    etc: Path,
    mode: int,
    refused: bool,  # noqa: FBT001 - a table
) -> None:
    """It could be replaced by anybody, unless the directory is sticky, as /tmp is."""
    etc.chmod(mode)

    assert bool(gather(etc).problems) is refused


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[poll]\n# caf\xe9\n", "rolewatch.toml:2: is not UTF-8; save the file as UTF-8."),
        (b"#" * (64 * 1024 + 1), "rolewatch.toml: is larger than 64 KiB, which no settings file is; it is not read."),
        (b"\0", "rolewatch.toml:1:1: is not valid TOML: Invalid statement."),
    ],
)
def test_what_is_no_text_is_refused(etc: Path, data: bytes, problem: str) -> None:
    """With the line, where there is one."""
    (etc / "rolewatch.toml").write_bytes(data)

    assert problem_of(etc) == problem


def test_a_byte_order_mark_and_dos_line_ends_do_no_harm(etc: Path) -> None:
    """Files come from all kinds of editors; the lines are still right."""
    (etc / "rolewatch.toml").write_bytes(b"\xef\xbb\xbf[poll]\r\n\r\ninterval = 20\r\n")

    (given,) = gather(etc).given

    assert (given.value, given.origin) == (20, f"{etc}/rolewatch.toml:3")


def test_the_largest_file_is_read_in_no_time(etc: Path) -> None:
    """Whatever it holds: the size is the bound."""
    begun = time.process_time()
    for text in (
        "a." * 30_000 + "a = 1",
        "a = " + "[" * 30_000,
        "\n" * 65_536,
        "[[a]]\n" * 10_000,
        "x=[" + "1," * 30_000 + "]",
    ):
        (etc / "rolewatch.toml").write_text(text)

        gathered = gather(etc)

        assert len(gathered.problems) <= 1
    assert time.process_time() - begun < 3


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while, where the test is root."""
    if os.geteuid():
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def open_etc() -> Iterator[tuple[Path, str, str]]:
    """Yield a directory whose parents everybody may enter, and the names of its owner and group."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "rolewatch.toml").write_text("[poll]\n")
        status = directory.stat()
        yield directory, pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name


def test_a_file_that_may_not_be_read_says_who_may(open_etc: tuple[Path, str, str]) -> None:
    """So that the reader knows whom to be."""
    etc, owner, group = open_etc
    (etc / "rolewatch.toml").chmod(0o040 if os.geteuid() else 0o640)

    with unprivileged():
        problem = problem_of(etc)

    assert problem.startswith("rolewatch.toml: may not be read by this user; rolewatch.toml is open to ")
    assert f"{owner} and the group {group} alone (mode 0" in problem
    assert problem.endswith(f"run this as {owner}, as with sudo.")


def test_a_directory_that_may_not_be_entered_says_who_may(open_etc: tuple[Path, str, str]) -> None:
    """The file itself cannot be asked then. The same holds for ``conf.d``."""
    etc, owner, _ = open_etc
    etc.chmod(0o600 if os.geteuid() else 0o700)

    with unprivileged():
        problems = gather(etc).problems
    etc.chmod(0o755)

    assert [problem.partition(":")[0] for problem in problems] == [str(etc / "rolewatch.toml"), str(etc / "conf.d")]
    assert all(f"{etc} is open to {owner} alone (mode 0" in problem for problem in problems)


def test_an_owner_without_a_name_is_told_by_number(etc: Path) -> None:
    """As files that came out of an archive or a container often have."""
    if os.geteuid():
        pytest.skip("only root can give a file away")
    file = etc / "rolewatch.toml"
    os.chown(file, 54321, 54322)
    file.chmod(0o640)

    told = str(unreadable(file, PermissionError()))

    assert "is open to 54321 and the group 54322 alone (mode 0640): run this as 54321" in told


def test_a_mode_that_allows_it_is_not_blamed(etc: Path) -> None:
    """Then it is not the mode that keeps this user out."""
    (etc / "rolewatch.toml").chmod(0o644)

    told = str(unreadable(etc / "rolewatch.toml", PermissionError()))

    assert told.endswith(
        f"although the mode of {etc}/rolewatch.toml allows it; a sandbox, SELinux or AppArmor does not."
    )


def test_a_disk_that_does_not_read_is_told(etc: Path) -> None:
    """The first page of a process's memory is a regular file that cannot be read."""
    assert problem_of(etc, Path("/proc/self/mem")) == "/proc/self/mem: cannot be read: Input/output error."


def test_no_descriptor_is_left_open(etc: Path) -> None:
    """A daemon reads its settings at every reload."""
    os.mkfifo(etc / "pipe")
    (etc / "conf.d/a.toml").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))

    for path in (None, etc / "pipe", etc / "missing", etc):
        gather(etc, path)

    assert len(list(Path("/proc/self/fd").iterdir())) == before
