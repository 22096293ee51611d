"""The mistakes that others made, each tried on the whole agent. The names are those of the traps.

They were found in the sources and issues of other agents, exporters, mocks and SDKs in 2026.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness import InProcessDaemon, Outputs, get, in_process, utc_now
from rolewatch.faults import Fault
from rolewatch.publish.metric_table import FAMILIES
from rolewatch.settings import ImdsSettings, MetricsSettings
from rolewatch.simulator import Simulator
from rolewatch.simulator.conditions import HEALTHY, Effect, NetworkFault, Target
from units import UNITS

ROOT = Path(__file__).resolve().parents[2]
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
EXPOSURE = 1.3
"""Of 10, by systemd-analyze of 252: node_exporter of Debian has 9.2, the SSM agent 9.6 (measured in 2026)."""


def run(directory: Path, scenario: str, polls: int = 4) -> Outputs:
    """Run the daemon in *scenario*."""
    with in_process(directory, scenario) as daemon:
        return daemon.run(polls=polls)


def test_trap_code_success_taken_as_healthy(tmp_path: Path) -> None:
    """A node checker saw `Code: Success` and was content: the profile had no role."""
    assert run(tmp_path, "instance_profile_without_role").status["state"] == "failed"


def test_trap_age_looks_fresh_on_an_error_document(tmp_path: Path) -> None:
    """A host agent exported the age of an error document, which is always young."""
    seen = run(tmp_path, "assume_role_unauthorized")

    assert seen.sample("rolewatch_credentials_last_updated_timestamp_seconds") is None
    assert seen.sample("rolewatch_credentials_usable") == 0.0


def test_trap_role_name_cached_for_ever(tmp_path: Path) -> None:
    """It asked for the old role's credentials until it was restarted."""
    with in_process(tmp_path, "healthy") as daemon:
        seen = daemon.run((2, daemon.switch("role_mismatch")), polls=6)

    assert seen.sample("rolewatch_role_info", role="admin-break-glass", instance_profile="web-server") == 1.0
    assert len(seen.events("role_changed")) == 1


@pytest.mark.parametrize(
    ("scenario", "fault"),
    [
        ("imds_disabled", Fault.IMDS_DISABLED),
        ("imds_hop_limit", Fault.IMDS_HOP_LIMIT),
        ("imds_unreachable", Fault.IMDS_UNREACHABLE),
        ("instance_profile_detached", Fault.INSTANCE_PROFILE_DETACHED),
        ("credentials_missing", Fault.CREDENTIALS_MISSING),
    ],
)
def test_trap_silence_when_token_or_profile_is_missing(scenario: str, fault: Fault, tmp_path: Path) -> None:
    """No metric changed at all, so that no alert could fire."""
    assert run(tmp_path, scenario).sample("rolewatch_fault_active", fault=fault.value) == 1.0


@pytest.mark.parametrize("scenario", ["imds_malformed", "imds_truncated", "not_http"])
def test_trap_raw_body_logged_on_a_parse_error(
    scenario: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An agent logged the whole body when it could not parse it, with the keys."""
    with in_process(tmp_path, scenario) as daemon:
        seen = daemon.run()
        assert daemon.simulator is not None
        secrets = daemon.simulator.secrets
    out = seen.everything() + "".join(capfd.readouterr())

    assert secrets
    assert not [secret for secret in secrets if secret in out]


@pytest.mark.parametrize("scenario", ["imdsv1_answered", "imds_hop_limit", "imds_disabled"])
def test_trap_fallback_to_imdsv1(scenario: str, tmp_path: Path) -> None:
    """Where no token came, they asked without one; that is counted against the account, and will be refused."""
    with in_process(tmp_path, scenario) as daemon:
        daemon.run()
        assert daemon.simulator is not None
        asked = daemon.simulator.requests

    assert asked
    for request in asked:
        headers = {name.lower() for name in request.headers}
        assert request.method == "PUT" or "x-aws-ec2-metadata-token" in headers


def test_trap_fifty_milliseconds_for_a_token(tmp_path: Path) -> None:
    """A watchdog gave IMDS 50 ms, and called a slow token none. By our defaults half a second is no fault."""
    with in_process(tmp_path, "slow") as daemon:
        daemon.timeouts = ImdsSettings()
        seen = daemon.run(polls=1)

    assert seen.status["state"] == "ok"


def test_trap_panic_after_repeated_errors(tmp_path: Path) -> None:
    """Three equal errors in a row ended the process. A hundred polls of 503 are reported, and the next one is good."""
    with in_process(tmp_path, "imds_unavailable") as daemon:
        seen = daemon.run((100, daemon.switch("healthy")), polls=103)

    assert seen.sample("rolewatch_poll_failures_total", reason="throttled") == 100.0
    assert seen.status["state"] == "ok"


def test_trap_unbounded_labels(tmp_path: Path) -> None:
    """A label for each node and event grew until the process was killed. Thirty roles leave as many series as one."""
    with Simulator(now=utc_now) as imds:
        daemon = InProcessDaemon(tmp_path, imds.endpoint, simulator=imds)
        steps = [(poll, lambda poll=poll: imds.enter(replace(HEALTHY, role=f"role-{poll}"))) for poll in range(1, 31)]
        many = daemon.run(*steps, polls=32)
    one = run(tmp_path, "healthy")

    assert series(many) <= series(one) + 1  # a fault that came with the swaps may say since when


def series(seen: Outputs) -> int:
    """Return how many series are on the page."""
    return sum(not line.startswith("#") for line in seen.metrics.splitlines())


def test_trap_liveness_always_ok(tmp_path: Path) -> None:
    """`/healthz` said yes while the loop hung. Before the first poll has ended we are not ready, either."""
    answers = []
    with in_process(tmp_path, "healthy") as daemon:
        settings = daemon.settings()
        assert settings.metrics.listen == ("127.0.0.1:0",)
        seen = daemon.run(polls=1, ready=lambda address: answers.append(get(f"http://{address}/-/ready")[0]))

    assert answers == [503]
    assert (seen.ready, seen.healthy) == (200, 200)


def test_trap_all_interfaces_by_default() -> None:
    """Metrics were on every interface, beside the credentials. The default is loopback."""
    assert MetricsSettings().listen == ("127.0.0.1:10169",)


def test_trap_unreachable_taken_for_not_on_ec2(tmp_path: Path) -> None:
    """A security check took a flicker of IMDS for "not on EC2", and failed open. To us it is not known."""
    seen = run(tmp_path, "imds_unreachable")

    assert seen.status["state"] == "unknown"
    assert [fault["fault"] for fault in seen.status["faults"]] == ["imds_unreachable"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_trap_unordered_unit_or_an_ordering_cycle(tmp_path: Path) -> None:
    """A unit with a cycle was shipped. systemd finds nothing to say of ours but that the binary is not here."""
    for unit in UNITS:
        shutil.copy(unit, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "/usr/bin/rolewatch is not executable" not in line]

    assert said == []


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_trap_root_without_a_sandbox(service: Path) -> None:
    """Three agents of AWS's score 9.6, which systemd calls UNSAFE."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", str(service)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_trap_mock_that_serves_expired_credentials() -> None:
    """A mock's credentials had expired before they were made. The simulator's live by the clock of the one who asks."""
    with Simulator(now=utc_now) as imds:
        seen = InProcessDaemon(Path("/nonexistent"), imds.endpoint).check()

    assert seen.credentials.expiration is not None
    assert seen.credentials.last_updated is not None
    assert seen.credentials.last_updated <= utc_now() < seen.credentials.expiration


def test_trap_stale_values_kept_on_the_page(tmp_path: Path) -> None:
    """An exporter went on counting down what was gone. Withdrawn credentials take their series along."""
    with in_process(tmp_path, "healthy") as daemon:
        seen = daemon.run((2, daemon.switch("instance_profile_detached")), polls=6)

    assert seen.sample("rolewatch_credentials_expiration_timestamp_seconds") is None


def test_trap_metrics_documented_without_meaning() -> None:
    """Names alone made users ask what they mean. Each of ours has its sentence on the page."""
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")

    assert [family.name for family in FAMILIES if family.help not in page] == []


@pytest.mark.parametrize(("scenario", "state"), [("container_roles", "ok"), ("container_roles_only", "failed")])
def test_trap_container_and_host_management_roles_taken_for_the_instances(
    scenario: str, state: str, tmp_path: Path
) -> None:
    """`iam-ecs-*` and `identity-credentials` are there beside the role, or without one: neither is the role."""
    assert run(tmp_path, scenario).status["state"] == state


def test_trap_one_bad_answer_taken_for_an_outage(tmp_path: Path) -> None:
    """One 503 left a client without credentials for five minutes. One bad poll changes nothing but a counter."""
    with in_process(tmp_path, "healthy") as daemon:
        assert daemon.simulator is not None
        once = replace(HEALTHY, network_faults=(NetworkFault(Effect.STATUS, Target.ANY, status=503, times=1),))
        imds = daemon.simulator
        seen = daemon.run((2, lambda: imds.enter(once)), polls=4)

    assert seen.events("fault_raised") == []
    assert seen.status["state"] == "ok"
