"""Relations: what only several settings together can be wrong about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rolewatch import config
from rolewatch.errors import ConfigError

NOWHERE = Path("/nonexistent/rolewatch/rolewatch.toml")
SDK_ENDPOINT, SDK_MODE = "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"
LOCAL = "http://127.0.0.1:1338"


def load(flags: Mapping[str, object], environ: Mapping[str, str]) -> config.Loaded:
    """Load *flags* and *environ* without any file."""
    return config.load(None, environ=environ, flags=flags, default=NOWHERE)


def problems(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the problems with *environ*."""
    with pytest.raises(ConfigError) as caught:
        load({}, environ)
    return caught.value.problems


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
def test_what_must_not_be_longer_is_refused(environ: dict[str, str], problem: str) -> None:
    """The one that was set is blamed, and the other one named with its origin."""
    assert problems(environ) == (problem,)


CERT, KEY, CA = (f"ROLEWATCH_METRICS_TLS_{name}_FILE" for name in ("CERT", "KEY", "CLIENT_CA"))


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
            {KEY: "/b"},
            (
                f"{KEY}: metrics.tls.key_file is set, and metrics.tls.cert_file is not; TLS needs both: set cert_file "
                "in [metrics.tls], too."
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
def test_half_of_tls_is_refused(environ: dict[str, str], problem: str) -> None:
    """Whoever asks for certificates and gets plain HTTP would not see it until somebody else reads the page."""
    assert problems(environ) == (problem,)


def test_equal_is_long_enough() -> None:
    """A poll may take as long as one wait, and the interval may be the longest there is."""
    environ = {"ROLEWATCH_IMDS_TIMEOUT": "10", "ROLEWATCH_POLL_INTERVAL": "2m"}

    assert load({}, environ).warnings == ()


def test_nothing_is_derived_from_a_value_that_cannot_be_used() -> None:
    """One mistake is one problem."""
    assert len(problems({"ROLEWATCH_POLL_INTERVAL": "3m", "ROLEWATCH_POLL_MAX_INTERVAL": "long"})) == 1
    assert len(problems({"ROLEWATCH_IMDS_ENDPOINT": "http://10.0.0.1", "ROLEWATCH_IMDS_ALLOW_ANY_ENDPOINT": "ja"})) == 1


def test_a_useless_confirm_interval_is_warned_of() -> None:
    """It does no harm, and was not meant; the default one is nobody's mistake."""
    warned = load({}, {"ROLEWATCH_POLL_INTERVAL": "5", "ROLEWATCH_POLL_CONFIRM_INTERVAL": "6"})

    assert warned.warnings == (
        "ROLEWATCH_POLL_CONFIRM_INTERVAL: poll.confirm_interval is longer than poll.interval, and has no effect.",
    )
    assert load({}, {"ROLEWATCH_POLL_INTERVAL": "5"}).warnings == ()


@pytest.mark.parametrize(
    ("flags", "environ", "url", "warnings"),
    [
        pytest.param(
            {},
            {SDK_ENDPOINT: LOCAL, SDK_MODE: "IPv6"},
            LOCAL,
            [f"{SDK_MODE}: imds.endpoint_mode has no effect, because {SDK_ENDPOINT} sets imds.endpoint."],
            id="sdk-endpoint-and-sdk-mode",
        ),
        pytest.param(
            {},
            {SDK_ENDPOINT: LOCAL, "ROLEWATCH_IMDS_ENDPOINT_MODE": "ipv6"},
            "http://[fd00:ec2::254]",
            [f"{SDK_ENDPOINT}: is not used, because ROLEWATCH_IMDS_ENDPOINT_MODE sets imds.endpoint_mode."],
            id="sdk-endpoint-and-our-mode",
        ),
        pytest.param(
            {},
            {"ROLEWATCH_IMDS_ENDPOINT": LOCAL, SDK_MODE: "IPv6"},
            LOCAL,
            [f"{SDK_MODE}: imds.endpoint_mode has no effect, because ROLEWATCH_IMDS_ENDPOINT sets imds.endpoint."],
            id="our-endpoint-and-sdk-mode",
        ),
        pytest.param(
            {"imds.endpoint": LOCAL},
            {"ROLEWATCH_IMDS_ENDPOINT_MODE": "ipv6"},
            LOCAL,
            [],
            id="flag-and-our-mode",
        ),
        pytest.param({}, {SDK_MODE: "IPv6"}, "http://[fd00:ec2::254]", [], id="sdk-mode"),
        pytest.param(
            {},
            {SDK_ENDPOINT: "http://10.0.0.1", "ROLEWATCH_IMDS_ENDPOINT_MODE": "ipv4"},
            "http://169.254.169.254",
            [f"{SDK_ENDPOINT}: is not used, because ROLEWATCH_IMDS_ENDPOINT_MODE sets imds.endpoint_mode."],
            id="untrusted-sdk-endpoint-and-our-mode",
        ),
    ],
)
def test_the_endpoint_stands_before_the_mode_unless_only_the_mode_is_ours(
    flags: dict[str, object], environ: dict[str, str], url: str, warnings: tuple[str, ...]
) -> None:
    """Endpoint beats mode for SDKs, and our own settings stand before theirs; what has no effect is told."""
    loaded = load(flags, environ)

    assert config.resolve_endpoint(loaded.settings.imds) == url
    assert list(loaded.warnings) == list(warnings)


def test_an_endpoint_that_was_named_to_us_is_asked() -> None:
    """An SDK's variable that switches IMDS off is weaker than an endpoint of our own settings, and that is told."""
    environ = {"AWS_EC2_METADATA_DISABLED": "true"}

    loaded = load({"imds.endpoint": LOCAL}, environ)

    assert not loaded.settings.imds.disabled
    assert loaded.warnings == (
        (
            "AWS_EC2_METADATA_DISABLED: is not followed, because --endpoint names an IMDS to ask; applications that "
            "see the variable do not ask."
        ),
    )
    assert load({"imds.endpoint": LOCAL, "imds.disabled": True}, environ).settings.imds.disabled
    assert load({}, environ).settings.imds.disabled
    assert load({}, environ).warnings == ()
