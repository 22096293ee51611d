"""What is generated stands in the tree as it would be generated now."""

from __future__ import annotations

import re
import stat
import sys
from importlib import import_module
from pathlib import Path

import pytest

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
from rolewatch.config.toml_document import as_toml
from rolewatch.settings import ExpectSettings, ImdsSettings, PollSettings, Settings, StateSettings

ROOT = Path(__file__).parent.parent


def test_the_documentation_has_every_key_and_variable() -> None:
    """Whatever the layout of the tables."""
    tables = render_tables()

    assert all(f"`{key.field}`" in tables and f"`{key.variable}`" in tables for key in KEYS.values())


def test_the_shipped_file_sets_nothing(tmp_path: Path) -> None:
    """Everything in it is commented out: the defaults may change with an upgrade."""
    file = tmp_path / "rolewatch.toml"
    file.write_text(render_file())

    loaded = config.load(file, environ={}, flags={})

    assert set(loaded.origins.values()) == {"default"}


def test_the_shipped_file_uncommented_gives_the_defaults(tmp_path: Path) -> None:
    """Every key is there, in its table, at its default."""
    file = tmp_path / "rolewatch.toml"
    file.write_text(re.sub(r"^#(?=\w+ = )", "", render_file(), flags=re.MULTILINE))

    loaded = config.load(file, environ={}, flags={})

    assert loaded.settings == Settings()
    assert all(origin.startswith(f"{file}:") for origin in loaded.origins.values())


def test_the_shipped_file_is_not_for_everybody_to_write() -> None:
    """Otherwise rolewatch would refuse it."""
    assert not (ROOT / SHIPPED_FILE).stat().st_mode & stat.S_IWOTH


def test_no_line_of_the_shipped_file_is_long() -> None:
    """It is read in a terminal."""
    assert max(map(len, render_file().splitlines())) <= 100


def test_every_setting_and_table_says_what_it_means() -> None:
    """A setting without a docstring would be an empty line in the manual."""
    said = meanings()

    assert set(said) == {*KEYS, *TABLES}
    assert all(said.values())


def test_renewing_keeps_what_people_wrote() -> None:
    """Only what stands between the two marks is generated."""
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
    """`config show --toml` is a file that can be put in place."""
    text = as_toml(settings, dict.fromkeys(KEYS, "somewhere"))
    file = tmp_path / "rolewatch.toml"
    file.write_text(text)

    assert config.load(file, environ={}, flags={}).settings == settings
    assert import_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads(text)
