"""Loading the settings: which source wins, the origin of each value, every problem at once, rules between settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rolewatch import config
from rolewatch.config.keys import KEYS
from rolewatch.errors import ConfigError
from rolewatch.settings import ImdsSettings, Settings

NOTHING: Mapping[str, str] = {}


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a directory in the place of ``/etc/rolewatch``, with an empty ``conf.d``."""
    (tmp_path / "conf.d").mkdir()
    return tmp_path


def load(etc: Path, environ: Mapping[str, str] = NOTHING, flags: Mapping[str, object] = NOTHING) -> config.Loaded:
    """Load the settings in *etc* as if it were ``/etc/rolewatch``."""
    return config.load(None, environ=environ, flags=flags, default=etc / "rolewatch.toml")


def problems(etc: Path, environ: Mapping[str, str] = NOTHING) -> tuple[str, ...]:
    """Return the problems with the settings in *etc*, without the directory."""
    with pytest.raises(ConfigError) as caught:
        load(etc, environ)
    return tuple(problem.replace(f"{etc}/", "") for problem in caught.value.problems)


def test_without_any_source_all_settings_are_defaults(etc: Path) -> None:
    """No file, no variable, no flag: every origin is ``default``."""
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
    """SDK variable, file, conf.d in the order of names, our variable, flag. The origin names the source."""
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


def test_a_later_file_overrides_single_settings_and_replaces_lists(etc: Path) -> None:
    """A setting that a later file does not contain keeps its value."""
    (etc / "rolewatch.toml").write_text('[expect]\nrole = ["a", "b"]\nrole_tag = "Role"\n')
    (etc / "conf.d/50-site.toml").write_text('[expect]\nrole = "c"\n')

    loaded = load(etc)

    assert (loaded.settings.expect.role, loaded.settings.expect.role_tag) == (("c",), "Role")
    assert loaded.files == (str(etc / "rolewatch.toml"), str(etc / "conf.d/50-site.toml"))


def test_every_problem_of_every_source_is_reported_at_once(etc: Path) -> None:
    """With file and line: unknown keys and tables, wrong types, wrong values, wrong combinations."""
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
            "rolewatch.toml:19: imds.endpoint is http://10.0.0.1, which is neither link-local nor loopback; rolewatch "
            "would read the role's credentials there, which are secret; to accept this endpoint, set "
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
                "endpoint_mode, timeout, attempts, deadline, allow_any_endpoint, accept_responder, disabled."
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
    """In tables, dotted keys, inline tables and items of lists, with the most similar name."""
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
def test_invalid_toml_is_reported_with_line_and_column(etc: Path, text: str, start: str) -> None:
    """In the words of the parser, after the name of the file."""
    (etc / "rolewatch.toml").write_text(text)

    (problem,) = problems(etc)

    assert problem.startswith(f"rolewatch.toml{start}")


def test_dots_in_texts_and_comments_are_no_depth(etc: Path) -> None:
    """A list of many names on one line, and a comment of dots."""
    names = ", ".join(f"\"app.{number}\", 'it.{number}'" for number in range(150))
    (etc / "rolewatch.toml").write_text(f"# {'.' * 300}\n[expect]\nrole = [{names}]  # don't. \"{'.' * 300}\n")

    assert len(load(etc).settings.expect.role) == 300


def test_a_key_with_escapes_is_reported_without_a_line(etc: Path) -> None:
    """Such a key is valid TOML, and `locate` does not decode it."""
    (etc / "rolewatch.toml").write_text('"p\\u006fll".interval = 1\n')

    assert problems(etc) == ("rolewatch.toml: poll.interval is 1s; it must be 5s to 4m.",)


def test_a_password_in_a_url_is_shown_nowhere(etc: Path) -> None:
    """Whichever setting it was written for."""
    url = "http://user:hunter2@127.0.0.1:80"
    (etc / "rolewatch.toml").write_text(
        "".join(f'{key.name} = "{url}"\n' for key in KEYS.values()) + f'poll.x = "{url}"\n"{url}" = 1\n'
    )

    found = problems(etc, {key.variable: url for key in KEYS.values()})

    assert len(found) == 2 * len(KEYS) + 2
    assert "hunter2" not in "".join(found)


@given(st.dictionaries(st.sampled_from(sorted(KEYS)) | st.text(max_size=5), st.text(max_size=8), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_environment_is_loaded_or_refused(etc: Path, given_by: dict[str, str]) -> None:
    """`ConfigError` is the only exception, and each problem is on one line."""
    environ = {KEYS[name].variable if name in KEYS else f"ROLEWATCH_{name}": text for name, text in given_by.items()}
    try:
        loaded = load(etc, environ)
    except ConfigError as error:
        messages = error.problems
    else:
        messages = loaded.warnings

    assert all(problem.isprintable() for problem in messages)


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
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_document_is_loaded_or_refused(etc: Path, text: str) -> None:
    """Any text gives settings of the right types, or problems on one line each."""
    (etc / "rolewatch.toml").write_bytes(text.encode())
    try:
        loaded = load(etc)
    except ConfigError as error:
        checks = [
            (problem.startswith(str(etc)), problem[-1] in ".?", problem.isprintable()) for problem in error.problems
        ]
    else:
        checks = [(True, True, type(key.value_in(loaded.settings)) is type(key.default)) for key in KEYS.values()]

    assert set(checks) == {(True, True, True)}


def test_every_setting_can_be_set_in_a_file_and_in_the_environment(etc: Path) -> None:
    """With the same outcome. That no role is expected is set by itself: it contradicts an expected name."""
    other = {
        "imds.endpoint": ("http://127.0.0.1:1338",) * 2,
        "imds.timeout": ("1.5s", "1500ms"),
        "imds.attempts": (2, "2"),
        "imds.deadline": (20, "20"),
        "imds.allow_any_endpoint": (True, "yes"),
        "imds.accept_responder": (["not_ec2", "local_address"], "not_ec2 local_address"),
        "imds.disabled": (True, "TRUE"),
        "poll.interval": ("1m", "60"),
        "poll.confirm_interval": (5.5, "5.5"),
        "poll.max_interval": ("5m", "5m"),
        "expect.role": (["app-*", "batch"], "app-*, batch"),
        "expect.instance_profile": (["p"], "p"),
        "expect.none": (True, "on"),
        "expect.role_tag": ("Role",) * 2,
        "expect.instance_profile_tag": ("Profile",) * 2,
        "expect.containers": (True, "yes"),
        "expect.container_hop_limit": (3, "3"),
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
    for names in (set(other) - {"expect.none"}, {"expect.none"}):
        (etc / "rolewatch.toml").write_text(
            "".join(
                f"{name} = {other[name][0]!r}\n".replace("True", "true").replace("False", "false") for name in names
            )
        )

        of_file = load(etc)
        of_environment = config.load(
            None,
            environ={KEYS[name].variable: other[name][1] for name in names},
            flags={},
            default=etc / "missing" / "rolewatch.toml",
        )

        assert of_file.settings == of_environment.settings
        for name in names:
            assert KEYS[name].value_in(of_file.settings) != KEYS[name].default, name
            assert of_environment.origins[name] == KEYS[name].variable


@pytest.mark.parametrize("name", ["role", "instance_profile"])
def test_no_role_and_an_expected_name_are_refused(etc: Path, name: str) -> None:
    """Both origins are named, and what to do."""
    (etc / "rolewatch.toml").write_text(f'expect.none = true\nexpect.{name} = "app"\n')

    with pytest.raises(ConfigError) as refused:
        load(etc)

    (problem,) = refused.value.problems
    assert f"expect.none says that no role is expected, and expect.{name} names one" in problem
    assert problem.count("rolewatch.toml") == 2


def test_flags_are_named_as_they_are_typed(etc: Path) -> None:
    """None is a flag that was not used. A list is one flag for each item, and is not split."""
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
    """The endpoint overrides the mode."""
    assert config.resolve_endpoint(imds) == url


def test_every_table_has_its_own_class_when_loaded(etc: Path) -> None:
    """A mistake in the assembly of the tables shows here."""
    assert dataclasses.asdict(load(etc).settings) == dataclasses.asdict(Settings())


# The environment: our variables, and the weaker ones of the SDKs.
NOWHERE = Path("/nonexistent/rolewatch/rolewatch.toml")


def load_environment(environ: Mapping[str, str], flags: Mapping[str, object] = NOTHING) -> config.Loaded:
    """Load *environ* and *flags* without any file."""
    return config.load(None, environ=environ, flags=flags, default=NOWHERE)


def problems_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the problems with *environ*."""
    with pytest.raises(ConfigError) as caught:
        load_environment(environ)
    return caught.value.problems


ENDPOINT, MODE = "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"
TIMEOUT, ATTEMPTS = "AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS"
DISABLED = "AWS_EC2_METADATA_DISABLED"


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        ({ENDPOINT: "http://127.0.0.1:1338/"}, "imds.endpoint", "http://127.0.0.1:1338"),
        ({ENDPOINT: " http://localhost "}, "imds.endpoint", "http://localhost"),
        ({MODE: "IPv6"}, "imds.endpoint_mode", "ipv6"),
        ({MODE: "ipv4"}, "imds.endpoint_mode", "ipv4"),
        ({MODE: "IPV6"}, "imds.endpoint_mode", "ipv6"),
        ({TIMEOUT: "1"}, "imds.timeout", 1.0),
        ({TIMEOUT: "2.5"}, "imds.timeout", 2.5),
        ({ATTEMPTS: "3"}, "imds.attempts", 3),
        ({DISABLED: "true"}, "imds.disabled", True),
        ({DISABLED: "True"}, "imds.disabled", True),
        ({DISABLED: "FALSE"}, "imds.disabled", False),
    ],
)
def test_a_variable_of_the_sdks_is_a_default(environ: dict[str, str], name: str, value: object) -> None:
    """In the forms that SDKs accept. The origin is the variable."""
    loaded = load_environment(environ)

    key = KEYS[name]
    assert key.value_in(loaded.settings) == value
    assert (loaded.origins[name], loaded.warnings) == (next(iter(environ)), ())


@pytest.mark.parametrize("variable", [ENDPOINT, MODE, TIMEOUT, ATTEMPTS, DISABLED])
def test_an_empty_variable_of_the_sdks_counts_as_unset(variable: str) -> None:
    """As it does for SDKs."""
    assert load_environment({variable: ""}) == load_environment({})


INVALID = [
    (ENDPOINT, "169.254.169.254", "imds.endpoint", 'is "169.254.169.254"; write a URL, as in http://127.0.0.1:1338'),
    (
        ENDPOINT,
        "http://u:hunter2@127.0.0.1",
        "imds.endpoint",
        ("has a user or a password before an @, and is not shown; write a plain URL, as in http://127.0.0.1:1338"),
    ),
    (MODE, "ipv5", "imds.endpoint_mode", 'is "ipv5"; write auto, ipv4 or ipv6'),
    (TIMEOUT, "30s", "imds.timeout", 'is "30s"; SDKs accept a number of seconds, 1 or more'),
    (TIMEOUT, "0", "imds.timeout", 'is "0"; SDKs accept a number of seconds, 1 or more'),
    (TIMEOUT, "-1", "imds.timeout", 'is "-1"; SDKs accept a number of seconds, 1 or more'),
    (ATTEMPTS, "0", "imds.attempts", 'is "0"; SDKs accept a whole number, 1 or more'),
    (ATTEMPTS, "1.5", "imds.attempts", 'is "1.5"; SDKs accept a whole number, 1 or more'),
    (ATTEMPTS, "\N{ARABIC-INDIC DIGIT THREE}", "imds.attempts", 'is "٣"; SDKs accept a whole number, 1 or more'),
    (DISABLED, "yes", "imds.disabled", 'is "yes"; SDKs accept true and false'),
    (DISABLED, "1", "imds.disabled", 'is "1"; SDKs accept true and false'),
]
OURS = {
    "imds.endpoint": "http://127.0.0.1",
    "imds.endpoint_mode": "auto",
    "imds.timeout": "1",
    "imds.attempts": "1",
    "imds.disabled": "no",
}


@pytest.mark.parametrize(("variable", "text", "name", "complaint"), INVALID)
def test_an_invalid_variable_of_the_sdks_is_a_problem(variable: str, text: str, name: str, complaint: str) -> None:
    """To ignore it would mean that the SDKs and rolewatch use different values."""
    assert problems_of({variable: text}) == (f"{variable}: {name} {complaint}.",)


@pytest.mark.parametrize(("variable", "text", "name", "complaint"), INVALID)
def test_an_invalid_variable_of_the_sdks_that_is_overridden_is_a_warning(
    variable: str, text: str, name: str, complaint: str
) -> None:
    """It has no effect, and it may be for other programs."""
    ours = KEYS[name].variable

    loaded = load_environment({variable: text, ours: OURS[name]})

    assert loaded.warnings == (f"{variable}: {name} {complaint}. {ours} overrides it.",)
    assert loaded.origins[name] == ours


@pytest.mark.parametrize(
    ("variable", "text", "used", "warning"),
    [
        (ATTEMPTS, "40", (10, 2.0), "imds.attempts is at most 10 here, and at least 1; 10 is used."),
        (TIMEOUT, "0.01", (1, 0.1), "imds.timeout is at most 60 here, and at least 0.1; 0.1 is used."),
        (TIMEOUT, "30", (1, 10.0), "imds.timeout is at most imds.deadline here; 10s is used."),
    ],
)
def test_a_number_beyond_our_bounds_that_sdks_accept_is_cut_with_a_warning(
    variable: str, text: str, used: tuple[int, float], warning: str
) -> None:
    """A large time-out for the SDKs must not keep rolewatch from starting."""
    loaded = load_environment({variable: text})

    assert (loaded.settings.imds.attempts, loaded.settings.imds.timeout) == used
    assert loaded.warnings == (f"{variable}: {warning}",)


def test_an_endpoint_of_the_sdks_must_be_trusted_as_well() -> None:
    """Rolewatch would read the same secret there."""
    (problem,) = problems_of({ENDPOINT: "http://10.0.0.1"})

    assert problem.startswith(f"{ENDPOINT}: imds.endpoint is http://10.0.0.1, which is neither link-local nor loopback")
    allowed = load_environment({ENDPOINT: "http://10.0.0.1", "ROLEWATCH_IMDS_ALLOW_ANY_ENDPOINT": "true"})
    assert allowed.settings.imds.endpoint == "http://10.0.0.1"


def test_a_mistyped_setting_of_a_table_in_a_table_is_refused() -> None:
    """The name of the variable does not show where the table ends; the most similar setting is found."""
    assert problems_of({"ROLEWATCH_METRICS_TLS_CERTFILE": "x"}) == (
        "ROLEWATCH_METRICS_TLS_CERTFILE: there is no such setting; did you mean ROLEWATCH_METRICS_TLS_CERT_FILE?",
    )


def test_a_mistyped_setting_in_the_environment_is_refused() -> None:
    """A variable that begins with the name of a table is meant for rolewatch."""
    assert problems_of({"ROLEWATCH_EXPECT_ROL": "app"}) == (
        "ROLEWATCH_EXPECT_ROL: there is no such setting; did you mean ROLEWATCH_EXPECT_ROLE?",
    )


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("ROLEWATCH_EXPCET_ROLE", "; did you mean ROLEWATCH_EXPECT_ROLE?"),
        ("ROLEWATCH_PORT_10169_TCP_ADDR", "."),
        ("ROLEWATCH_", "."),
    ],
)
def test_another_unknown_variable_is_a_warning(variable: str, hint: str) -> None:
    """A container engine sets such variables for a linked service; they must not stop the daemon."""
    assert load_environment({variable: "x"}).warnings == (
        f"{variable}: there is no such setting, and it is ignored{hint}",
    )


def test_no_message_repeats_a_long_name_or_value() -> None:
    """A variable of 70 kB is named by its first characters."""
    long = "X" * 70_000
    (unknown,) = load_environment({f"ROLEWATCH_{long}": "x"}).warnings
    (misnamed,) = problems_of({f"ROLEWATCH_POLL_{long}": "x"})
    (untrusted,) = problems_of({"ROLEWATCH_IMDS_ENDPOINT": f"http://{long}"})
    (zone,) = problems_of({"ROLEWATCH_METRICS_LISTEN": f"[fe80::1%{long}]:80"})

    assert max(map(len, (unknown, misnamed, untrusted, zone))) < 500
    assert unknown.startswith("ROLEWATCH_XXX")


def test_an_empty_variable_of_ours_is_an_empty_text_or_list() -> None:
    """It can switch off what a file sets. If the setting cannot be empty, it is a problem."""
    loaded = load_environment({"ROLEWATCH_METRICS_LISTEN": "", "ROLEWATCH_EXPECT_ROLE_TAG": ""})

    assert (loaded.settings.metrics.listen, loaded.settings.expect.role_tag) == ((), "")
    assert problems_of({"ROLEWATCH_POLL_INTERVAL": ""})[0].startswith(
        'ROLEWATCH_POLL_INTERVAL: poll.interval is ""; write'
    )


def test_other_variables_are_ignored() -> None:
    """Variables with similar names, too."""
    assert load_environment(
        {"PATH": "/bin", "rolewatch_poll_interval": "1", "AWS_PROFILE": "x", "NOT_ROLEWATCH_X": "y"}
    ) == load_environment({})


# Rules between several settings.

LOCAL = "http://127.0.0.1:1338"


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"ROLEWATCH_POLL_INTERVAL": "3m"},
            (
                "ROLEWATCH_POLL_INTERVAL: poll.interval is 3m, longer than poll.max_interval, which is 2m (default); "
                "change one of the two."
            ),
        ),
        (
            {"ROLEWATCH_POLL_MAX_INTERVAL": "20"},
            (
                "ROLEWATCH_POLL_MAX_INTERVAL: poll.max_interval is 20s, shorter than poll.interval, which is 30s "
                "(default); change one of the two."
            ),
        ),
        (
            {"ROLEWATCH_IMDS_TIMEOUT": "11"},
            (
                "ROLEWATCH_IMDS_TIMEOUT: imds.timeout is 11s, longer than imds.deadline, which is 10s (default); "
                "change one of the two."
            ),
        ),
        (
            {"ROLEWATCH_IMDS_DEADLINE": "1"},
            (
                "ROLEWATCH_IMDS_DEADLINE: imds.deadline is 1s, shorter than imds.timeout, which is 2s (default); "
                "change one of the two."
            ),
        ),
    ],
)
def test_a_duration_longer_than_its_limit_is_refused(environ: dict[str, str], problem: str) -> None:
    """The problem is about the setting that was set, and names the other one with its origin."""
    assert problems_of(environ) == (problem,)


CERT, TLS_KEY, CA = (f"ROLEWATCH_METRICS_TLS_{name}_FILE" for name in ("CERT", "KEY", "CLIENT_CA"))


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {CERT: "/a", CA: "/c"},
            (
                f"{CERT}: metrics.tls.cert_file is set, and metrics.tls.key_file is not; TLS needs both: set key_file "
                "in [metrics.tls], too."
            ),
        ),
        (
            {TLS_KEY: "/b"},
            (
                f"{TLS_KEY}: metrics.tls.key_file is set, and metrics.tls.cert_file is not; TLS needs both: set "
                "cert_file in [metrics.tls], too."
            ),
        ),
        (
            {CA: "/c"},
            (
                f"{CA}: metrics.tls.client_ca_file is set, and metrics.tls.cert_file is not: without TLS nobody can "
                "show a certificate; set cert_file and key_file in [metrics.tls], too."
            ),
        ),
    ],
)
def test_incomplete_tls_is_refused(environ: dict[str, str], problem: str) -> None:
    """Otherwise the endpoint would serve plain HTTP, and nobody would notice."""
    assert problems_of(environ) == (problem,)


def test_equal_durations_are_accepted() -> None:
    """A time-out may equal the deadline, and the interval the longest interval."""
    environ = {"ROLEWATCH_IMDS_TIMEOUT": "10", "ROLEWATCH_POLL_INTERVAL": "2m"}

    assert load_environment(environ).warnings == ()


def test_an_unusable_value_is_one_problem() -> None:
    """The rules between settings do not report it again."""
    assert len(problems_of({"ROLEWATCH_POLL_INTERVAL": "3m", "ROLEWATCH_POLL_MAX_INTERVAL": "long"})) == 1
    assert (
        len(problems_of({"ROLEWATCH_IMDS_ENDPOINT": "http://10.0.0.1", "ROLEWATCH_IMDS_ALLOW_ANY_ENDPOINT": "ja"})) == 1
    )


def test_a_confirm_interval_longer_than_the_interval_is_a_warning() -> None:
    """The default one is no warning: nobody set it."""
    warned = load_environment({"ROLEWATCH_POLL_INTERVAL": "5", "ROLEWATCH_POLL_CONFIRM_INTERVAL": "6"})

    assert warned.warnings == (
        "ROLEWATCH_POLL_CONFIRM_INTERVAL: poll.confirm_interval is longer than poll.interval, and has no effect.",
    )
    assert load_environment({"ROLEWATCH_POLL_INTERVAL": "5"}).warnings == ()


@pytest.mark.parametrize(
    ("flags", "environ", "url", "warnings"),
    [
        pytest.param(
            {},
            {ENDPOINT: LOCAL, MODE: "IPv6"},
            LOCAL,
            [f"{MODE}: imds.endpoint_mode has no effect, because {ENDPOINT} sets imds.endpoint."],
            id="sdk-endpoint-and-sdk-mode",
        ),
        pytest.param(
            {},
            {ENDPOINT: LOCAL, "ROLEWATCH_IMDS_ENDPOINT_MODE": "ipv6"},
            "http://[fd00:ec2::254]",
            [f"{ENDPOINT}: is not used, because ROLEWATCH_IMDS_ENDPOINT_MODE sets imds.endpoint_mode."],
            id="sdk-endpoint-and-our-mode",
        ),
        pytest.param(
            {},
            {"ROLEWATCH_IMDS_ENDPOINT": LOCAL, MODE: "IPv6"},
            LOCAL,
            [f"{MODE}: imds.endpoint_mode has no effect, because ROLEWATCH_IMDS_ENDPOINT sets imds.endpoint."],
            id="our-endpoint-and-sdk-mode",
        ),
        pytest.param(
            {"imds.endpoint": LOCAL},
            {"ROLEWATCH_IMDS_ENDPOINT_MODE": "ipv6"},
            LOCAL,
            [],
            id="flag-and-our-mode",
        ),
        pytest.param({}, {MODE: "IPv6"}, "http://[fd00:ec2::254]", [], id="sdk-mode"),
        pytest.param(
            {},
            {ENDPOINT: "http://10.0.0.1", "ROLEWATCH_IMDS_ENDPOINT_MODE": "ipv4"},
            "http://169.254.169.254",
            [f"{ENDPOINT}: is not used, because ROLEWATCH_IMDS_ENDPOINT_MODE sets imds.endpoint_mode."],
            id="untrusted-sdk-endpoint-and-our-mode",
        ),
    ],
)
def test_the_endpoint_overrides_the_mode_unless_only_the_mode_is_ours(
    flags: dict[str, object], environ: dict[str, str], url: str, warnings: tuple[str, ...]
) -> None:
    """A setting without effect is a warning."""
    loaded = load_environment(flags=flags, environ=environ)

    assert config.resolve_endpoint(loaded.settings.imds) == url
    assert list(loaded.warnings) == list(warnings)


def test_an_endpoint_of_our_own_settings_is_polled_although_sdks_disable_imds() -> None:
    """With a warning."""
    environ = {"AWS_EC2_METADATA_DISABLED": "true"}

    loaded = load_environment(flags={"imds.endpoint": LOCAL}, environ=environ)

    assert not loaded.settings.imds.disabled
    assert loaded.warnings == (
        (
            "AWS_EC2_METADATA_DISABLED: is ignored, because --endpoint names an IMDS to poll; applications that see "
            "the variable do not use IMDS."
        ),
    )
    assert load_environment(
        flags={"imds.endpoint": LOCAL, "imds.disabled": True}, environ=environ
    ).settings.imds.disabled
    assert load_environment(environ).settings.imds.disabled
    assert load_environment(environ).warnings == ()
