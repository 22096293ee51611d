"""The settings files: which are read and refused, the line of each value, and the generated reference."""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.settings import (
    BEGIN,
    END,
    SHIPPED_FILE,
    meanings,
    render_file,
    render_tables,
    renew,
)
from rolewatch import config
from rolewatch.config.keys import KEYS, TABLES
from rolewatch.config.sources import Sources
from rolewatch.config.toml_files import KeyPath, TooDeepError, locate, read_files
from rolewatch.settings import ExpectSettings, ImdsSettings, PollSettings, Settings, StateSettings

NOBODY = 65534


def test_a_path_that_no_file_can_have_is_cut() -> None:
    """The message of every other file has its whole path."""
    sources = Sources()
    read_files(Path("/" + "x" * 70_000), sources)

    (problem,) = sources.problems
    assert len(problem) < 4200
    assert problem.endswith("…: cannot be read: File name too long.")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a directory in the place of ``/etc/rolewatch``, with one file and an empty ``conf.d``."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "rolewatch.toml").write_text("[poll]\ninterval = 10\n")
    return tmp_path


def read(etc: Path, path: object = None) -> Sources:
    """Gather from *path*, or from *etc* as if it were ``/etc/rolewatch``."""
    sources = Sources()
    read_files(path if isinstance(path, Path) else None, sources, default=etc / "rolewatch.toml")
    return sources


def problem_of(etc: Path, path: object = None) -> str:
    """Return the one problem there is, without the directory."""
    (problem,) = read(etc, path).problems
    return problem.replace(f"{etc}/", "")


def test_conf_d_is_read_after_the_file_in_the_order_of_names(etc: Path) -> None:
    """In byte order, which is the same in every locale."""
    for name in ("b.toml", "10-b.toml", "9-a.toml", "B.toml", "a.toml"):
        (etc / "conf.d" / name).write_text("")

    names = [Path(file).name for file in read(etc).files]

    assert names == ["rolewatch.toml", "10-b.toml", "9-a.toml", "B.toml", "a.toml", "b.toml"]


def test_conf_d_is_read_without_the_file(etc: Path) -> None:
    """Automation does not depend on the file of the package."""
    (etc / "rolewatch.toml").unlink()
    (etc / "conf.d/50-site.toml").write_text("[poll]\ninterval = 20\n")

    sources = read(etc)

    assert (sources.problems, [one.value for one in sources.candidates]) == ([], [20])


def test_leftovers_in_conf_d_are_not_read(etc: Path) -> None:
    """Files of package managers and editors are skipped. A name that resembles a settings file causes a warning."""
    for name in ("a.toml~", "a.toml.rpmnew", "a.toml.dpkg-old", ".a.toml", ".#a.toml", "README", "b.TOML", "c.conf"):
        (etc / "conf.d" / name).write_text("broken")

    sources = read(etc)

    assert (len(sources.files), sources.problems) == (1, [])
    assert [warning.replace(f"{etc}/", "") for warning in sources.warnings] == [
        "conf.d/b.TOML: is not read; only names that end in .toml are.",
        "conf.d/c.conf: is not read; only names that end in .toml are.",
    ]


def test_a_named_file_is_read_alone(etc: Path) -> None:
    """The other settings of the machine do not count then."""
    (etc / "conf.d/50-site.toml").write_text("[poll]\ninterval = 20\n")
    other = etc / "other.toml"
    other.write_text("[poll]\ninterval = 30\n")

    assert [one.value for one in read(etc, other).candidates] == [30]


def test_the_default_file_when_named_is_read_with_conf_d(etc: Path) -> None:
    """The only difference is that it must exist."""
    (etc / "conf.d/50-site.toml").write_text("[poll]\ninterval = 20\n")

    assert [one.value for one in read(etc, etc / "rolewatch.toml").candidates] == [10, 20]


def test_a_named_file_must_exist(etc: Path) -> None:
    """A mistyped name must not mean "no settings"."""
    assert problem_of(etc, etc / "missing.toml") == "missing.toml: there is no such file."


def test_a_dangling_link_in_conf_d_is_a_problem(etc: Path) -> None:
    """It was meant to be read."""
    (etc / "conf.d/a.toml").symlink_to("/nonexistent/a.toml")

    assert problem_of(etc) == "conf.d/a.toml: there is no such file."


def test_a_link_to_a_file_is_followed(etc: Path) -> None:
    """Configuration management creates such links."""
    (etc / "target").write_text("[poll]\ninterval = 20\n")
    (etc / "conf.d/a.toml").symlink_to(etc / "target")

    assert [one.value for one in read(etc).candidates] == [10, 20]


def test_what_is_no_regular_file_is_refused_and_not_waited_for(etc: Path) -> None:
    """A FIFO without a writer would block the daemon."""
    os.mkfifo(etc / "pipe")
    (etc / "conf.d/a.toml").mkdir()

    assert problem_of(etc) == "conf.d/a.toml: cannot be read: it is a directory, not a regular file."
    assert problem_of(etc, etc / "pipe") == "pipe: cannot be read: it is a FIFO, not a regular file."


def test_a_loop_of_links_is_a_problem(etc: Path) -> None:
    """With the reason of the kernel."""
    (etc / "loop").symlink_to(etc / "loop")

    assert problem_of(etc, etc / "loop") == "loop: cannot be read: Too many levels of symbolic links."


def test_an_impossible_name_is_a_problem(etc: Path) -> None:
    """And no crash."""
    assert problem_of(etc, etc / "a\0b") == "a\\x00b: cannot be read: its name is impossible."


def test_a_conf_d_that_is_a_file_is_a_problem(etc: Path) -> None:
    """It was meant to be read."""
    (etc / "conf.d").rmdir()
    (etc / "conf.d").write_text("")

    assert problem_of(etc) == "conf.d: cannot be read: Not a directory."


@pytest.mark.parametrize(
    ("mode", "refused"), [(0o600, False), (0o640, False), (0o664, False), (0o666, True), (0o602, True)]
)
def test_a_world_writable_file_is_refused(etc: Path, mode: int, refused: bool) -> None:  # noqa: FBT001 - a table
    """Any local user could point rolewatch to another IMDS."""
    file = etc / "rolewatch.toml"
    file.chmod(mode)

    expected = ["rolewatch.toml: every user may write to it, and settings from there are refused; chmod o-w "]
    assert [problem.replace(f"{etc}/", "")[: len(expected[0])] for problem in read(etc).problems] == expected * refused


def test_a_world_writable_conf_d_is_refused(etc: Path) -> None:
    """Any local user could create a file there; the sticky bit does not prevent that."""
    (etc / "conf.d").chmod(0o1777)
    (etc / "conf.d/a.toml").write_text("[poll]\ninterval = 20\n")

    sources = read(etc)

    assert sources.problems == [
        f"{etc}/conf.d: every user may write to it, and settings from there are refused; chmod o-w {etc}/conf.d."
    ]
    assert [one.value for one in sources.candidates] == [10]


@pytest.mark.parametrize(("mode", "refused"), [(0o1777, False), (0o777, True), (0o755, False)])
def test_a_file_in_a_world_writable_directory_is_refused(
    etc: Path,
    mode: int,
    refused: bool,  # noqa: FBT001 - a table
) -> None:
    """Any local user could replace it, unless the directory is sticky, as /tmp is."""
    etc.chmod(mode)

    assert bool(read(etc).problems) is refused


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[poll]\n# caf\xe9\n", "rolewatch.toml:2: is not UTF-8; save the file as UTF-8."),
        (b"#" * (64 * 1024 + 1), "rolewatch.toml: cannot be read: it is larger than 64 KiB."),
        (b"\0", "rolewatch.toml:1:1: is not valid TOML: Invalid statement."),
    ],
)
def test_a_file_that_is_no_text_is_refused(etc: Path, data: bytes, problem: str) -> None:
    """With the line, if there is one."""
    (etc / "rolewatch.toml").write_bytes(data)

    assert problem_of(etc) == problem


def test_a_byte_order_mark_and_dos_line_ends_are_accepted(etc: Path) -> None:
    """The lines in messages are still right."""
    (etc / "rolewatch.toml").write_bytes(b"\xef\xbb\xbf[poll]\r\n\r\ninterval = 20\r\n")

    (one,) = read(etc).candidates

    assert (one.value, one.origin) == (20, f"{etc}/rolewatch.toml:3")


def test_the_largest_file_is_read_in_bounded_time(etc: Path) -> None:
    """Whatever it contains: the size is the bound."""
    begun = time.process_time()
    for text in (
        "a." * 30_000 + "a = 1",
        "a = " + "[" * 30_000,
        "\n" * 65_536,
        "[[a]]\n" * 10_000,
        "x=[" + "1," * 30_000 + "]",
    ):
        (etc / "rolewatch.toml").write_text(text)

        sources = read(etc)

        assert len(sources.problems) <= 1
    assert time.process_time() - begun < 3


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run as the user nobody for a while, if the test runs as root."""
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


def test_a_file_without_permission_is_reported_with_a_remedy() -> None:
    """``namei -l`` shows the permissions of every directory of the path. The same for ``conf.d``."""
    with tempfile.TemporaryDirectory() as name:
        etc = Path(name)
        (etc / "rolewatch.toml").write_text("[poll]\n")
        etc.chmod(0o600 if os.geteuid() else 0o700)
        with unprivileged():
            problems = read(etc).problems
        etc.chmod(0o755)

    assert problems == [
        f"{path}: this user may not read it; run rolewatch with sudo. Who may read it: namei -l {path}."
        for path in (etc / "rolewatch.toml", etc / "conf.d")
    ]


def test_a_read_error_is_a_problem(etc: Path) -> None:
    """The first page of a process's memory is a regular file that cannot be read."""
    assert problem_of(etc, Path("/proc/self/mem")) == "/proc/self/mem: cannot be read: Input/output error."


def test_no_descriptor_is_left_open(etc: Path) -> None:
    """The daemon reads its settings at every reload."""
    os.mkfifo(etc / "pipe")
    (etc / "conf.d/a.toml").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))

    for path in (None, etc / "pipe", etc / "missing", etc):
        read(etc, path)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


# The line of every table, key and item.

DOCUMENT = '''\
# [no table]
top = 1
[poll]   # [no] = table
interval = "30s"
"confirm_interval" = 5 # a = 1
a . b.'c d' = """x
[fake]
y = 1 \\"""
" = # still text"""
expect = { role = ["a", { q = 1 }, "b"], n = [] }
listen = [
  "one", # ] , [
  'two#]',
  [3,
   4],

]
f = 1.5
e = []
[[t]]
x = 1
[[t]]
x = 2
[t.sub]
k = 3
[ "q.r" . s ]
z = 1979-05-27 07:32:00
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("poll",), 3),
        (("poll", "interval"), 4),
        (("poll", "confirm_interval"), 5),
        (("poll", "a"), 6),
        (("poll", "a", "b"), 6),
        (("poll", "a", "b", "c d"), 6),
        (("poll", "expect"), 10),
        (("poll", "listen"), 11),
        (("poll", "listen", 0), 12),
        (("poll", "listen", 1), 13),
        (("poll", "listen", 2), 14),
        (("poll", "f"), 18),
        (("poll", "e"), 19),
        (("t",), 20),
        (("t", "x"), 21),
        (("t", "sub", "k"), 25),
        (("q.r", "s"), 26),
        (("q.r", "s", "z"), 27),
    ],
)
def test_the_line_of_a_key_is_found(path: KeyPath, line: int) -> None:
    """In tables, dotted and quoted keys, lists over several lines; after strings and comments that look like keys."""
    assert locate(DOCUMENT)[path] == line


def test_what_only_looks_like_a_key_has_no_line() -> None:
    """Text in a comment or a string is no key."""
    found = {key for path in locate(DOCUMENT) for key in path}

    assert not found & {"no table", "no", "fake", "y", "still"}


@pytest.mark.parametrize(
    "text",
    [
        "\"'poll'\" = 1",
        "'\"poll\"' = 1",
        '"p\\u006fll" = 1',
        '"""poll""" = 1',
        "x = { poll = 1 }",
        "x = [\n{ poll = 1 }]",
    ],
)
def test_no_line_is_better_than_a_wrong_one(text: str) -> None:
    """Other keys that look like `poll`, also in invalid TOML, do not get the line of `poll`."""
    assert locate(f"{text}\n[poll]\n")[("poll",)] > text.count("\n") + 1


def test_deep_nesting_takes_no_stack_and_no_time() -> None:
    """The locator does not recurse, and refuses what would take tomllib too long."""
    depth = 30_000

    assert len(locate("a = " + "[" * depth + "]" * depth)) == 2
    with pytest.raises(TooDeepError):
        locate("a." * depth + "a = 1")


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of everything in the parsed document *value*."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


KEY = st.text(alphabet="abc_-1", min_size=1, max_size=4)
SCALAR = st.sampled_from(
    [
        "1",
        "1.5",
        "true",
        '"a#]"',
        "'{b'",
        '"""x\n[y]\nz = 1"""',
        "'''\n'a'\n'''",
        "1979-05-27 07:32:00",
        '"\\"="',
        '""""a"""',
    ]
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # [\n".join(items) + "\n]")
        | st.dictionaries(KEY, inner, max_size=3).map(
            lambda table: "{ " + ", ".join(f"{key} = {value}" for key, value in table.items()) + " }"
        )
    ),
    max_leaves=6,
)
TABLE = st.dictionaries(KEY, VALUE, max_size=4).map(lambda table: "".join(f"{k} = {v} # c\n" for k, v in table.items()))
TOML = st.dictionaries(KEY, TABLE, max_size=4).map(lambda tables: "\n".join(f"[{k}]\n{v}" for k, v in tables.items()))


@given(TOML)
def test_everything_in_a_valid_document_has_a_line(text: str) -> None:
    """Every key of a table and every item of its lists has a line that names the key; nothing else has one."""
    parsed: dict[str, Any] = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads(text)
    found, lines = locate(text), text.split("\n")
    every = set(paths(parsed))

    assert set(found) == {path for path in every if all(isinstance(part, str) for part in path) and len(path) <= 2} | {
        path for path in every if len(path) == 3 and isinstance(path[2], int)
    }
    assert all(path[-1] in lines[line - 1] for path, line in found.items() if isinstance(path[-1], str))


@given(st.text(alphabet="[]{}=.,\"'#\\\n ab1"))
def test_any_text_is_scanned(text: str) -> None:
    """Text that is no TOML does not stop the locator."""
    assert all(1 <= line <= text.count("\n") + 1 for line in locate(text).values())


# The generated reference.

ROOT = Path(__file__).parent.parent


def test_the_documentation_has_every_key_and_variable() -> None:
    """In any layout of the tables."""
    tables = render_tables()

    assert all(f"`{key.field}`" in tables and f"`{key.variable}`" in tables for key in KEYS.values())


def test_the_shipped_file_sets_nothing(tmp_path: Path) -> None:
    """Every setting in it is a comment: the defaults may change with an upgrade."""
    file = tmp_path / "rolewatch.toml"
    file.write_text(render_file())

    loaded = config.load(file, environ={}, flags={})

    assert set(loaded.origins.values()) == {"default"}


def test_the_shipped_file_uncommented_gives_the_defaults(tmp_path: Path) -> None:
    """Every key is in its table, with its default."""
    file = tmp_path / "rolewatch.toml"
    file.write_text(re.sub(r"^#(?=\w+ = )", "", render_file(), flags=re.MULTILINE))

    loaded = config.load(file, environ={}, flags={})

    assert loaded.settings == Settings()
    assert all(origin.startswith(f"{file}:") for origin in loaded.origins.values())


def test_the_shipped_file_is_not_world_writable() -> None:
    """Rolewatch would refuse it."""
    assert not (ROOT / SHIPPED_FILE).stat().st_mode & stat.S_IWOTH


def test_no_line_of_the_shipped_file_is_long() -> None:
    """It is read in a terminal."""
    assert max(map(len, render_file().splitlines())) <= 100


def test_every_setting_and_table_is_documented() -> None:
    """A setting without a docstring would be an empty line in the manual."""
    documented = meanings()

    assert set(documented) == {*KEYS, *TABLES}
    assert all(documented.values())


def test_generating_keeps_the_text_around_the_tables() -> None:
    """Only the text between the two marks is generated."""
    assert renew(f"before\n{BEGIN}\nold\n{END}\nafter\n") == f"before\n{BEGIN}\n\n{render_tables()}\n{END}\nafter\n"


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(
            imds=ImdsSettings(endpoint="http://[::1]:80", timeout=0.25, attempts=3, disabled=True),
            poll=PollSettings(interval=7.5),
            expect=ExpectSettings(role=("app-[!a-c]*", "b")),
            state=StateSettings(directory='/var/lib/a "b" \\c'),
        ),
    ],
)
def test_settings_written_as_toml_are_read_back(settings: Settings, tmp_path: Path) -> None:
    """`config show --toml` prints a valid settings file."""
    text = "".join(f"{name} = {key.to_toml(key.value_in(settings))}\n" for name, key in KEYS.items())
    file = tmp_path / "rolewatch.toml"
    file.write_text(text)

    assert config.load(file, environ={}, flags={}).settings == settings
    assert import_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads(text)
