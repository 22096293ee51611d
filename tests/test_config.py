"""Loading: which source wins, where each value comes from, and everything that is wrong at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rolewatch import config
from rolewatch.config.keys import KEYS
from rolewatch.config.merge import Draft, settle
from rolewatch.config.sources import Gathered, add_document
from rolewatch.config.toml_document import value_of
from rolewatch.errors import ConfigError
from rolewatch.settings import ImdsSettings, Settings

NOTHING: Mapping[str, str] = {}


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a directory that stands for ``/etc/rolewatch``, with an empty ``conf.d``."""
    (tmp_path / "conf.d").mkdir()
    return tmp_path


def load(etc: Path, environ: Mapping[str, str] = NOTHING, flags: Mapping[str, object] = NOTHING) -> config.Loaded:
    """Load what *etc* holds, as if it were ``/etc/rolewatch``."""
    return config.load(None, environ=environ, flags=flags, default=etc / "rolewatch.toml")


def problems(etc: Path, environ: Mapping[str, str] = NOTHING) -> tuple[str, ...]:
    """Return the problems with what *etc* holds, without the directory."""
    with pytest.raises(ConfigError) as caught:
        load(etc, environ)
    return tuple(problem.replace(f"{etc}/", "") for problem in caught.value.problems)


def test_nothing_at_all_gives_the_defaults(etc: Path) -> None:
    """No file, no variable, no flag: the settings work, and every one says that it is a default."""
    loaded = load(etc)

    assert loaded == config.Loaded(Settings(), dict.fromkeys(KEYS, "default"), (), ())


SOURCES: dict[str, tuple[str, float]] = {
    "AWS_METADATA_SERVICE_TIMEOUT": ("AWS_METADATA_SERVICE_TIMEOUT", 1.0),
    "rolewatch.toml": ("rolewatch.toml:2", 3.0),
    "conf.d/10-a.toml": ("conf.d/10-a.toml:2", 4.0),
    "conf.d/20-b.toml": ("conf.d/20-b.toml:2", 5.0),
    "ROLEWATCH_IMDS_TIMEOUT": ("ROLEWATCH_IMDS_TIMEOUT", 6.0),
    "flag": ("flag imds.timeout", 7.0),
}
"""Every source with its origin and the value it gives in the test below, the weakest first."""


@pytest.mark.parametrize("strongest", range(len(SOURCES)), ids=list(SOURCES))
def test_the_stronger_source_wins(etc: Path, strongest: int) -> None:
    """SDK variable, file, conf.d in the order of names, our variable, flag; and the origin says which it was."""
    given_by = dict(list(SOURCES.items())[: strongest + 1])
    environ, flags = {}, {}
    for source, (_, value) in given_by.items():
        if source == "flag":
            flags["imds.timeout"] = value
        elif source.endswith(".toml"):
            (etc / source).write_text(f"[imds]\ntimeout = {value}\n")
        else:
            environ[source] = str(value)

    loaded = load(etc, environ, flags)

    origin, value = list(SOURCES.values())[strongest]
    assert loaded.settings.imds.timeout == value
    assert loaded.origins["imds.timeout"].replace(f"{etc}/", "") == origin


def test_files_add_up_and_lists_are_replaced(etc: Path) -> None:
    """What a later file does not say stays as it was; a list that it says is the whole list."""
    (etc / "rolewatch.toml").write_text('[expect]\nrole = ["a", "b"]\nrole_tag = "Role"\n')
    (etc / "conf.d/50-site.toml").write_text('[expect]\nrole = "c"\n')

    loaded = load(etc)

    assert (loaded.settings.expect.role, loaded.settings.expect.role_tag) == (("c",), "Role")
    assert loaded.files == (str(etc / "rolewatch.toml"), str(etc / "conf.d/50-site.toml"))


def test_everything_that_is_wrong_is_told_at_once(etc: Path) -> None:
    """In all sources, with file and line: unknown keys and tables, wrong types, wrong values, wrong relations."""
    (etc / "rolewatch.toml").write_text(
        'verbose = true\n\n[poll]\nintervall = 30\ninterval = "3m"\nmax_interval = 60\n\n[expct]\nrole = "app"\n\n'
        '[expect]\nrole = [\n  "app-*",\n  "team/app",\n]\n\n[imds]\nattempts = "3"\nendpoint = "http://10.0.0.1"\n'
    )
    (etc / "conf.d/10-broken.toml").write_text("[imds]\n\ntimeout = \n")
    (etc / "conf.d/20-fine.toml").write_text("[imds]\nattempts = 3\n")

    assert problems(etc, {"ROLEWATCH_LOG_LEVEL": "loud", "ROLEWATCH_LOG_LEVLE": "debug"}) == (
        "rolewatch.toml:1: there is no setting verbose outside the tables; `rolewatch config show` lists all settings.",
        "rolewatch.toml:4: there is no setting poll.intervall; did you mean interval in [poll]?",
        "rolewatch.toml:8: there is no table expct; did you mean [expect]?",
        "conf.d/10-broken.toml:3:11: is not valid TOML: Invalid value.",
        "ROLEWATCH_LOG_LEVLE: there is no such setting; did you mean ROLEWATCH_LOG_LEVEL?",
        'rolewatch.toml:14: expect.role has "team/app"; write the name alone, without its path, or the whole ARN.',
        'rolewatch.toml:18: imds.attempts is "3"; write a whole number without quotes: 3.',
        'ROLEWATCH_LOG_LEVEL: log.level is "loud"; write error, warning, notice, info or debug.',
        (
            "rolewatch.toml:19: imds.endpoint is http://10.0.0.1, which is neither link-local nor loopback, and what "
            "is read there is a secret: the role's credentials; if it is meant, set "
            "allow_any_endpoint = true in [imds]."
        ),
        (
            "rolewatch.toml:5: poll.interval is 3m, longer than poll.max_interval, which is 1m (rolewatch.toml:6); "
            "change one of the two."
        ),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[pol]\n", "1: there is no table pol; did you mean [poll]?"),
        (
            "[zzz]\n",
            (
                "1: there is no table zzz; the tables are [imds], [poll], [expect], [limits], [metrics], "
                "[metrics.tls], [textfile], [log], [state], [confirm]."
            ),
        ),
        ("[metrics.tsl]\n", "1: there is no table metrics.tsl; did you mean [metrics.tls]?"),
        ('["metrics.tls"]\n', '1: there is no table "metrics.tls"; did you mean [metrics.tls]?'),
        (
            '[metrics]\n\n"tls.cert_file" = "/srv/a"\n',
            '3: there is no setting metrics."tls.cert_file"; did you mean cert_file in [metrics.tls]?',
        ),
        (
            '[metrics]\n\n[metrics.tls]\nclient_ca = "/srv/a"\n',
            "4: there is no setting metrics.tls.client_ca; did you mean client_ca_file in [metrics.tls]?",
        ),
        (
            '[metrics.tls]\nmin_version = "TLS11"\n',
            '2: metrics.tls.min_version is "TLS11"; write tls12 or tls13.',
        ),
        (
            '[metrics]\ntls.key_file = "tls.key"\n',
            '2: metrics.tls.key_file is "tls.key"; write an absolute path, as in /var/lib/rolewatch.',
        ),
        ("[[metrics.tls]]\n", "1: metrics.tls is a table, [metrics.tls]; write it with single brackets."),
        ("[metrics]\ntls = true\n", "2: metrics.tls is a table, [metrics.tls]; its settings are written below it."),
        ("\ninterval = 30\n", "2: there is no setting interval outside the tables; did you mean interval in [poll]?"),
        (
            'expected_role = "app"\n',
            ("1: there is no setting expected_role outside the tables; did you mean role in [expect]?"),
        ),
        ("poll.intervall = 30\n", "1: there is no setting poll.intervall; did you mean interval in [poll]?"),
        ("[imds]\ninterval = 30\n", "2: there is no setting imds.interval; did you mean interval in [poll]?"),
        (
            '[imds]\n"a b" = 30\n',
            (
                '2: there is no setting imds."a b"; [imds] has endpoint, '
                "endpoint_mode, timeout, attempts, deadline, allow_any_endpoint, disabled."
            ),
        ),
        ("[imds]\ntimout = 30\n", "2: there is no setting imds.timout; did you mean timeout in [imds]?"),
        ("[logs]\nlevel = 30\n", "1: there is no table logs; did you mean [log]?"),
        ("poll = 5\n", "1: poll is a table, [poll]; its settings are written below it."),
        ("\n[[poll]]\n", "2: poll is a table, [poll]; write it with single brackets."),
        (
            "[poll.interval]\nx = 1\n",
            ('1: poll.interval is a table; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms".'),
        ),
        ("poll = { interval = 1 }\n", "1: poll.interval is 1s; it must be 5s to 4m."),
        ("poll.interval = 1\n", "1: poll.interval is 1s; it must be 5s to 4m."),
        (
            "[metrics]\nlisten = [\n\n '*:1', '1' ]\n",
            ('4: metrics.listen has "1"; write the host, too: 127.0.0.1:1, or *:1 for every address.'),
        ),
        (
            "[poll]\ninterval = 2026-11-23\n",
            ('2: poll.interval is a date or time; write a duration, as in 30 (seconds), "30s", "1h30m" or "250ms".'),
        ),
    ],
)
def test_a_problem_has_its_line_and_says_what_to_write(etc: Path, text: str, problem: str) -> None:
    """For tables, dotted keys, inline tables and items of lists, and with the nearest name that is known."""
    (etc / "rolewatch.toml").write_text(text)

    assert problems(etc) == (f"rolewatch.toml:{problem}",)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[poll\n", ":1:6: is not valid TOML: "),
        ("[poll]\ninterval = 5\ninterval = 6\n", ":3:13: is not valid TOML: Cannot overwrite a value"),
        ('[poll]\ninterval = "5', ":2: is not valid TOML: "),
        ("a = " + "1" * 5000, ": is not valid TOML: a number is impossible."),
        ("a = " + "[" * 30_000, ": is nested too deeply"),
        ("a" + ".a" * 200 + " = 1", ": is nested too deeply"),
        ('"a"' + '."a"' * 200 + " = 1", ": is nested too deeply"),
        ('a = { b = """\n""""", ' + "a." * 200 + "a = 1 }", ": is nested too deeply"),
        ("a = { b = '''\n''''', " + "a." * 200 + "a = 1 }", ": is nested too deeply"),
        ("[log]\nlevel = 2026-02-31\n", ":2:9: is not valid TOML: Invalid date or datetime"),
    ],
    ids=[
        "header",
        "twice",
        "unclosed",
        "digits",
        "deep",
        "dotted",
        "quoted",
        "behind texts",
        "behind literals",
        "date",
    ],
)
def test_what_is_no_toml_is_told_with_line_and_column(etc: Path, text: str, start: str) -> None:
    """The parser's own words, behind the file."""
    (etc / "rolewatch.toml").write_text(text)

    (problem,) = problems(etc)

    assert problem.startswith(f"rolewatch.toml{start}")


def test_dots_in_texts_and_comments_are_no_depth(etc: Path) -> None:
    """A list of many names on one line, and a line drawn with dots."""
    names = ", ".join(f"\"app.{number}\", 'it.{number}'" for number in range(150))
    (etc / "rolewatch.toml").write_text(f"# {'.' * 300}\n[expect]\nrole = [{names}]  # don't. \"{'.' * 300}\n")

    assert len(load(etc).settings.expect.role) == 300


def test_a_key_that_is_written_with_escapes_is_told_without_a_line(etc: Path) -> None:
    """Nobody writes them; the file alone is told then."""
    (etc / "rolewatch.toml").write_text('"p\\u006fll".interval = 1\n')

    assert problems(etc) == ("rolewatch.toml: poll.interval is 1s; it must be 5s to 4m.",)


def test_a_password_in_a_url_is_shown_nowhere(etc: Path) -> None:
    """Whatever setting it was written for, by mistake or not."""
    url = "http://user:hunter2@127.0.0.1:80"
    (etc / "rolewatch.toml").write_text(
        "".join(f'{key.name} = "{url}"\n' for key in KEYS.values()) + f'poll.x = "{url}"\n"{url}" = 1\n'
    )

    told = problems(etc, {key.variable: url for key in KEYS.values()})

    assert len(told) == 2 * len(KEYS) + 2
    assert "hunter2" not in "".join(told)


@given(st.dictionaries(st.sampled_from(sorted(KEYS)) | st.text(max_size=5), st.text(max_size=8), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_environment_is_loaded_or_refused(etc: Path, given_by: dict[str, str]) -> None:
    """`ConfigError` and nothing else, with problems on one line each."""
    environ = {KEYS[name].variable if name in KEYS else f"ROLEWATCH_{name}": text for name, text in given_by.items()}
    try:
        loaded = load(etc, environ)
    except ConfigError as error:
        told = error.problems
    else:
        told = loaded.warnings

    assert all(problem.isprintable() for problem in told)


NAME = st.sampled_from([*KEYS, "poll", "imds", "expect", "x", "poll.x", '"é\\n"'])
SCALAR = st.sampled_from(
    [
        "1",
        "-1",
        "5",
        "1e400",
        "nan",
        "true",
        '"30s"',
        '""',
        "'app-*'",
        "2026-11-23",
        "0x" + "f" * 5000,
        '"[z-a]"',
        "60.5",
    ]
) | st.text(max_size=8).map(lambda text: repr(text).replace("\\x", "\\u00"))
VALUE = SCALAR | st.lists(SCALAR, max_size=3).map(lambda items: f"[{', '.join(items)}]") | st.just("{ a = 1 }")
LINE = st.builds("{} = {}".format, NAME, VALUE) | st.sampled_from(["[poll]", "[imds]", "[[expect]]", "[x.y]", "# [a]"])


@given(st.lists(LINE, max_size=6).map("\n".join) | st.text())
def test_any_document_is_loaded_or_refused(text: str) -> None:
    """No TOML, and nothing that is none, raises anything or breaks a line; what is accepted is of the right types."""
    gathered, draft = Gathered(), Draft()

    add_document("file", text, gathered)
    draft.take(gathered)
    settle(draft, gathered)

    assert all(problem.startswith("file") and problem[-1] in ".?" for problem in gathered.problems)
    assert all(type(draft.values[name]) is type(key.default) for name, key in KEYS.items())


def test_every_setting_can_be_set_in_every_way(etc: Path) -> None:
    """In a file and in the environment, with the same outcome."""
    other = {
        "imds.endpoint": ("http://127.0.0.1:1338",) * 2,
        "imds.timeout": ("1.5s", "1500ms"),
        "imds.attempts": (2, "2"),
        "imds.deadline": (20, "20"),
        "imds.allow_any_endpoint": (True, "yes"),
        "imds.disabled": (True, "TRUE"),
        "poll.interval": ("1m", "60"),
        "poll.confirm_interval": (5.5, "5.5"),
        "poll.max_interval": ("5m", "5m"),
        "expect.role": (["app-*", "batch"], "app-*, batch"),
        "expect.instance_profile": (["p"], "p"),
        "expect.role_tag": ("Role",) * 2,
        "expect.instance_profile_tag": ("Profile",) * 2,
        "limits.boot_grace": ("10m", "600"),
        "limits.clock_skew": (30, "30"),
        "limits.reminder": ("6h", "6h"),
        "metrics.listen": (["*:1", "[::1]:2"], "*:1 [::1]:2"),
        "metrics.allowed_hosts": (["app-1.example.com", "*.EC2.Internal."], "app-1.example.com *.ec2.internal"),
        "metrics.role_info": (False, "off"),
        "metrics.tls.cert_file": ("/srv/tls.crt",) * 2,
        "metrics.tls.key_file": ("/srv/tls.key",) * 2,
        "metrics.tls.client_ca_file": ("/srv/ca.crt",) * 2,
        "metrics.tls.min_version": ("TLS13", "tls13"),
        "textfile.path": ("/srv/rolewatch.prom",) * 2,
        "log.format": ("json", "JSON"),
        "log.level": ("debug", "Debug"),
        "state.directory": ("/srv/state",) * 2,
        "confirm.file": ("/srv/evidence.json",) * 2,
        "confirm.request": ("/srv/request",) * 2,
        "confirm.interval": (7200.0, "2h"),
        "confirm.spread": (60.0, "1m"),
        "imds.endpoint_mode": ("ipv6", "IPv6"),
    }
    assert set(other) == set(KEYS)
    (etc / "rolewatch.toml").write_text(
        "".join(
            f"{name} = {toml!r}\n".replace("True", "true").replace("False", "false")
            for name, (toml, _) in other.items()
        )
    )

    of_file = load(etc)
    of_environment = config.load(
        None,
        environ={KEYS[name].variable: text for name, (_, text) in other.items()},
        flags={},
        default=etc / "missing" / "rolewatch.toml",
    )

    assert of_file.settings == of_environment.settings
    for name, key in KEYS.items():
        assert value_of(of_file.settings, key) != key.default, name
        assert of_environment.origins[name] == key.variable


def test_flags_are_named_as_they_are_typed(etc: Path) -> None:
    """None is a flag that was not used; a list is one flag for each item, and is not split."""
    loaded = load(etc, flags={"imds.endpoint": None, "expect.role": ("a,b",), "metrics.listen": ("*:1", "*:2")})

    assert (loaded.settings.expect.role, loaded.settings.metrics.listen) == (("a,b",), ("*:1", "*:2"))
    assert [loaded.origins[name] for name in ("imds.endpoint", "expect.role", "metrics.listen")] == [
        "default",
        "--expect-role",
        "--listen",
    ]


@pytest.mark.parametrize(
    ("imds", "url"),
    [
        (ImdsSettings(), "http://169.254.169.254"),
        (ImdsSettings(endpoint_mode="ipv6"), "http://[fd00:ec2::254]"),
        (ImdsSettings(endpoint="http://127.0.0.1:1338"), "http://127.0.0.1:1338"),
        (ImdsSettings(endpoint="http://127.0.0.1:1338", endpoint_mode="ipv6"), "http://127.0.0.1:1338"),
    ],
)
def test_the_endpoint_in_force_follows_from_endpoint_and_mode(imds: ImdsSettings, url: str) -> None:
    """The endpoint stands before the mode."""
    assert config.resolve_endpoint(imds) == url


def test_loaded_settings_are_those_of_every_table(etc: Path) -> None:
    """Every table is of its own class, so that mistakes of the assembly show."""
    assert dataclasses.asdict(load(etc).settings) == dataclasses.asdict(Settings())
