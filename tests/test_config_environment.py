"""The environment: our variables, and the SDKs', which are weaker and never silently passed over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rolewatch import config
from rolewatch.config.keys import KEYS
from rolewatch.config.toml_document import value_of
from rolewatch.errors import ConfigError

NOWHERE = Path("/nonexistent/rolewatch/rolewatch.toml")
ENDPOINT, MODE = "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"
TIMEOUT, ATTEMPTS = "AWS_METADATA_SERVICE_TIMEOUT", "AWS_METADATA_SERVICE_NUM_ATTEMPTS"
DISABLED = "AWS_EC2_METADATA_DISABLED"


def load(environ: Mapping[str, str], flags: Mapping[str, object] = {}) -> config.Loaded:
    """Load *environ* and *flags* without any file."""
    return config.load(None, environ=environ, flags=flags, default=NOWHERE)


def problems(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the problems with *environ*."""
    with pytest.raises(ConfigError) as caught:
        load(environ)
    return caught.value.problems


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
    """In the forms that SDKs accept; the origin is the variable."""
    loaded = load(environ)

    key = KEYS[name]
    assert value_of(loaded.settings, key) == value
    assert (loaded.origins[name], loaded.warnings) == (next(iter(environ)), ())


@pytest.mark.parametrize("variable", [ENDPOINT, MODE, TIMEOUT, ATTEMPTS, DISABLED])
def test_an_empty_variable_of_the_sdks_counts_as_unset(variable: str) -> None:
    """As it does for SDKs."""
    assert load({variable: ""}) == load({})


INVALID = [
    (ENDPOINT, "169.254.169.254", "imds.endpoint", 'is "169.254.169.254"; write a URL, as in http://127.0.0.1:1338'),
    (
        ENDPOINT,
        "http://u:hunter2@127.0.0.1",
        "imds.endpoint",
        ("has a user or a password before an @, and is not shown here; write a plain URL, as in http://127.0.0.1:1338"),
    ),
    (MODE, "ipv5", "imds.endpoint_mode", 'is "ipv5"; write ipv4 or ipv6'),
    (TIMEOUT, "30s", "imds.timeout", 'is "30s"; SDKs know a number of seconds, 1 or more'),
    (TIMEOUT, "0", "imds.timeout", 'is "0"; SDKs know a number of seconds, 1 or more'),
    (TIMEOUT, "-1", "imds.timeout", 'is "-1"; SDKs know a number of seconds, 1 or more'),
    (ATTEMPTS, "0", "imds.attempts", 'is "0"; SDKs know a whole number, 1 or more'),
    (ATTEMPTS, "1.5", "imds.attempts", 'is "1.5"; SDKs know a whole number, 1 or more'),
    (ATTEMPTS, "\N{ARABIC-INDIC DIGIT THREE}", "imds.attempts", 'is "٣"; SDKs know a whole number, 1 or more'),
    (DISABLED, "yes", "imds.disabled", 'is "yes"; SDKs know true and false'),
    (DISABLED, "1", "imds.disabled", 'is "1"; SDKs know true and false'),
]
OURS = {
    "imds.endpoint": "http://127.0.0.1",
    "imds.endpoint_mode": "ipv4",
    "imds.timeout": "1",
    "imds.attempts": "1",
    "imds.disabled": "no",
}


@pytest.mark.parametrize(("variable", "text", "name", "complaint"), INVALID)
def test_an_invalid_variable_of_the_sdks_is_a_problem(variable: str, text: str, name: str, complaint: str) -> None:
    """It is never silently ignored: what the SDKs see would not be what we see."""
    assert problems({variable: text}) == (f"{variable}: {name} {complaint}.",)


@pytest.mark.parametrize(("variable", "text", "name", "complaint"), INVALID)
def test_an_invalid_variable_behind_our_own_setting_is_a_warning(
    variable: str, text: str, name: str, complaint: str
) -> None:
    """It changes nothing then, and it may be meant for others; but it is told."""
    ours = KEYS[name].variable

    loaded = load({variable: text, ours: OURS[name]})

    assert loaded.warnings == (f"{variable}: {name} {complaint}. {ours} stands before it, and is used.",)
    assert loaded.origins[name] == ours


@pytest.mark.parametrize(
    ("variable", "text", "used", "warning"),
    [
        (ATTEMPTS, "40", (10, 2.0), "imds.attempts is at most 10 here, and at least 1; 10 is used."),
        (TIMEOUT, "0.01", (1, 0.1), "imds.timeout is at most 60 here, and at least 0.1; 0.1 is used."),
        (TIMEOUT, "30", (1, 10.0), "imds.timeout is at most imds.deadline here; 10s is used."),
    ],
)
def test_what_sdks_accept_and_we_do_not_is_cut_with_a_warning(
    variable: str, text: str, used: tuple[int, float], warning: str
) -> None:
    """A machine on which the SDKs are told to be patient must not be one on which rolewatch does not start."""
    loaded = load({variable: text})

    assert (loaded.settings.imds.attempts, loaded.settings.imds.timeout) == used
    assert loaded.warnings == (f"{variable}: {warning}",)


def test_an_endpoint_of_the_sdks_must_be_trusted_as_well() -> None:
    """What is read there is the same secret."""
    (problem,) = problems({ENDPOINT: "http://10.0.0.1"})

    assert problem.startswith(f"{ENDPOINT}: imds.endpoint is http://10.0.0.1, which is neither link-local nor loopback")
    allowed = load({ENDPOINT: "http://10.0.0.1", "ROLEWATCH_IMDS_ALLOW_ANY_ENDPOINT": "true"})
    assert allowed.settings.imds.endpoint == "http://10.0.0.1"


def test_a_mistyped_setting_of_a_table_in_a_table_is_refused() -> None:
    """The variable's name does not tell where the tables end; the nearest is found all the same."""
    assert problems({"ROLEWATCH_METRICS_TLS_CERTFILE": "x"}) == (
        "ROLEWATCH_METRICS_TLS_CERTFILE: there is no such setting; did you mean ROLEWATCH_METRICS_TLS_CERT_FILE?",
    )


def test_a_mistyped_setting_in_the_environment_is_refused() -> None:
    """It begins with the name of a table, so it was meant for us."""
    assert problems({"ROLEWATCH_EXPECT_ROL": "app"}) == (
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
def test_another_unknown_variable_is_warned_of(variable: str, hint: str) -> None:
    """A container engine sets such ones for a linked service; they must not stop the daemon."""
    assert load({variable: "x"}).warnings == (f"{variable}: there is no such setting, and it is ignored{hint}",)


def test_no_message_is_longer_than_what_it_is_about() -> None:
    """A variable of 70 kB is named by its beginning."""
    long = "X" * 70_000
    (unknown,) = load({f"ROLEWATCH_{long}": "x"}).warnings
    (misnamed,) = problems({f"ROLEWATCH_POLL_{long}": "x"})
    (untrusted,) = problems({"ROLEWATCH_IMDS_ENDPOINT": f"http://{long}"})
    (zone,) = problems({"ROLEWATCH_METRICS_LISTEN": f"[fe80::1%{long}]:80"})

    assert max(map(len, (unknown, misnamed, untrusted, zone))) < 500
    assert unknown.startswith("ROLEWATCH_XXX")


def test_an_empty_variable_of_ours_is_an_empty_text_or_list() -> None:
    """So that what a file sets can be switched off; where nothing can be empty it is a problem."""
    loaded = load({"ROLEWATCH_METRICS_LISTEN": "", "ROLEWATCH_EXPECT_ROLE_TAG": ""})

    assert (loaded.settings.metrics.listen, loaded.settings.expect.role_tag) == ((), "")
    assert problems({"ROLEWATCH_POLL_INTERVAL": ""})[0].startswith(
        'ROLEWATCH_POLL_INTERVAL: poll.interval is ""; write'
    )


def test_other_variables_are_nobody_s_business() -> None:
    """Not even those that look alike."""
    assert load({"PATH": "/bin", "rolewatch_poll_interval": "1", "AWS_PROFILE": "x", "NOT_ROLEWATCH_X": "y"}) == load(
        {}
    )
