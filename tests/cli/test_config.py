"""``rolewatch config``: check and show."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rolewatch import config
from rolewatch.cli import main
from rolewatch.config.keys import KEYS


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a settings file, in an environment without variables of the SDKs."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    path = tmp_path / "site.toml"
    path.write_text('[expect]\nrole = ["app-*"]\n\n[poll]\ninterval = 20\n')
    return path


def test_check_prints_ok_and_the_counts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for a person, exit status 0 for a script."""
    assert main(["config", "check", "--config", str(file)]) == 0

    assert capsys.readouterr() == (f"ok: 1 file, 2 settings given, {len(KEYS) - 2} at their defaults\n", "")


def test_check_prints_every_problem_and_ends_with_78(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """EX_CONFIG, as for `run`."""
    file.write_text("[poll]\ninterval = 1\nmax = 2\n")

    assert main(["config", "check", "--config", str(file)]) == 78

    assert capsys.readouterr() == (
        "",
        (
            f"rolewatch: {file}:3: there is no setting poll.max; [poll] has interval, confirm_interval, max_interval.\n"
            f"rolewatch: {file}:2: poll.interval is 1s; it must be 5s to 4m.\n"
        ),
    )


def test_check_prints_warnings(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status stays 0."""
    monkeypatch.setenv("ROLEWATCH_PRT", "1")

    assert main(["config", "check", "--config", str(file)]) == 0

    out, err = capsys.readouterr()
    assert out.startswith("ok: ")
    assert err == "rolewatch: ROLEWATCH_PRT: there is no such setting, and it is ignored.\n"


def test_a_missing_file_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was named on the command line."""
    missing = tmp_path / "missing.toml"

    assert main(["config", "show", "--config", str(missing)]) == 78

    assert capsys.readouterr().err == f"rolewatch: {missing}: there is no such file.\n"


def test_show_is_an_aligned_table_of_every_setting(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the value in TOML, and its origin."""
    monkeypatch.setenv("ROLEWATCH_LOG_LEVEL", "debug")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338")

    assert main(["config", "show", "--config", str(file)]) == 0

    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[1:] if line[:1].islower()}
    starts = {line.index(line.split(maxsplit=2)[2]) for line in rows.values()}
    assert list(rows) == list(KEYS)
    assert len(starts) == 1
    assert rows["poll.interval"].split() == ["poll.interval", '"20s"', f"{file}:5"]
    assert rows["log.level"].split() == ["log.level", '"debug"', "ROLEWATCH_LOG_LEVEL"]
    assert rows["imds.endpoint"].split()[1:] == ['"http://127.0.0.1:1338"', "AWS_EC2_METADATA_SERVICE_ENDPOINT"]
    assert rows["limits.reminder"].split() == ["limits.reminder", '"1h"', "default"]
    assert lines[-1] == "IMDS address: http://127.0.0.1:1338"


def test_show_json_is_for_scripts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Typed values, durations in seconds, and the number of the schema."""
    assert main(["config", "show", "--json", "--config", str(file)]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == ["schema", "settings", "endpoint", "files", "warnings"]
    assert (shown["schema"], shown["endpoint"], shown["warnings"]) == (1, "http://169.254.169.254", [])
    assert shown["files"] == [str(file)]
    assert shown["settings"]["expect"]["role"] == {"value": ["app-*"], "origin": f"{file}:2"}
    assert shown["settings"]["poll"]["interval"] == {"value": 20.0, "origin": f"{file}:5"}
    assert [f"{table}.{key}" for table in shown["settings"] for key in shown["settings"][table]] == list(KEYS)


def test_show_toml_is_a_file_with_the_same_settings(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the origin of each in a comment."""
    assert main(["config", "show", "--toml", "--config", str(file)]) == 0

    text = capsys.readouterr().out
    before = config.load(file, environ={}, flags={}).settings
    file.write_text(text)
    assert config.load(file, environ={}, flags={}).settings == before
    assert f'interval = "20s"  # {file}:5' in text


def test_an_action_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage ends with 64, as for every command."""
    with pytest.raises(SystemExit) as caught:
        main(["config"])

    assert caught.value.code == 64
    assert "ACTION" in capsys.readouterr().err


def test_the_settings_load_nothing_heavy(file: Path) -> None:
    """The daemon loads them, too. What only error messages or the manual need is not imported."""
    code = (
        "import sys, pathlib, dataclasses, typing, importlib; before = set(sys.modules); from rolewatch import config\n"
        f"config.load(pathlib.Path({str(file)!r}), environ={{}}, flags={{}})\n"
        "print(*sorted(name for name in set(sys.modules) - before if not set('._') & set(name)))"
    )
    environ = {"PYTHONPATH": os.pathsep.join([str(Path(config.__file__).parents[2]), *sys.path])}

    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) <= {
        "math",
        "rolewatch",
        "stat",
        "tomllib",
        "tomli",
        "string",
        "datetime",
    }
