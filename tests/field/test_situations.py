"""The field table: what rolewatch says in each situation that people have reported, tried in network namespaces."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from builders import START, memory_with, moment
from field.bed import Bed, Namespace, bed, rolewatch
from field.situations import DIAGNOSE, SITUATIONS, Situation
from rolewatch.faults import Fault
from rolewatch.monitor.memory import FaultState
from rolewatch.monitor.state_file import StateFile
from skips import cannot

PROGRAMS = ("unshare", "nsenter", "ip", "nft")


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Make the bed. Skip, and say why, where that is impossible."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        cannot(f"no {' and no '.join(missing)} here")
    try:
        with Namespace():
            pass
    except OSError as error:
        cannot(f"no network namespace can be made here: {error}")
    with bed(tmp_path_factory.mktemp("bed")) as made:
        yield made


def rows() -> list[ParameterSet]:
    """Return each situation as a parameter. One that rolewatch does not get right yet must fail.

    The quick form runs one of those that have the same faults for the same reason.
    """
    parameters, kinds = [], set()
    for name, situation in SITUATIONS.items():
        kind = (situation.faults, situation.evidence.get("reason"), situation.evidence.get("responder"))
        marks = [pytest.mark.thorough] if kind in kinds else []
        kinds.add(kind)
        if situation.not_yet:
            marks.append(pytest.mark.xfail(reason="not yet", raises=AssertionError, strict=True))
        parameters.append(pytest.param(situation, id=name, marks=marks))
    return parameters


@pytest.mark.parametrize("situation", rows())
def test_rolewatch_names_what_people_reported(laid: Bed, situation: Situation, tmp_path: Path) -> None:
    """State, faults and evidence are those of the table; the output has the words that help, and none that mislead."""
    if situation.image_of:
        save_state_of(situation.image_of, tmp_path)
    environ = {"STATE_DIRECTORY": str(tmp_path), "HOME": str(tmp_path), "ROLEWATCH_IMDS_TIMEOUT": situation.timeout}
    first = situation.sandbox + ("\nimport sys; sys.modules['boto3'] = None" if "diagnose" in situation.words else "")

    with laid.instance(situation, tmp_path) as where:
        done = rolewatch(where, situation.words, {**environ, **situation.settings}, first)

    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    faults = {each["fault"]: each["evidence"] for each in said["faults"]}
    assert (said["state"], list(faults)) == (situation.state.value, list(situation.faults)), faults
    evidence = faults[situation.faults[0]] if situation.faults else {}
    assert {key: evidence.get(key) for key in situation.evidence} == dict(situation.evidence), evidence
    assert [words for words in situation.says if words not in done.stdout] == []
    assert [words for words in situation.never if words in done.stdout] == []


def save_state_of(instance_id: str, directory: Path) -> None:
    """Save the state of a daemon on the instance *instance_id*, with an active fault, as an image of it has it."""
    found = FaultState(since=START, evidence={"instance_profile": "of-the-image"}, active=True)
    memory = memory_with(
        instance_id=instance_id, boot_id="of the image", faults={Fault.INSTANCE_PROFILE_NOT_FOUND: found}
    )
    StateFile(directory, "http://169.254.169.254").save(memory, moment())


@pytest.mark.parametrize(
    "name",
    [
        "bridge-on-the-link-local-network",
        "policy-routing",
        pytest.param("gateway-of-another-subnet", marks=pytest.mark.thorough),
        pytest.param("full-tunnel", marks=pytest.mark.thorough),
    ],
)
def test_the_steps_for_a_wrong_route_correct_it(laid: Bed, name: str, tmp_path: Path) -> None:
    """Whatever the prefix and the table of the route: the steps are run in their order, as they are printed."""
    environ = {"HOME": str(tmp_path), "ROLEWATCH_IMDS_TIMEOUT": "1s"}
    (tmp_path / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    with laid.instance(SITUATIONS[name], tmp_path) as where:
        (fault,) = json.loads(rolewatch(where, ("check", "--json"), environ).stdout)["faults"]
        for step in fault["fix"]:
            where.run("sh", "-c", step["command"], environ={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
        after = json.loads(rolewatch(where, ("check", "--json"), environ).stdout)

    assert fault["evidence"]["reason"] == "wrong_route"
    assert fault["fix"][0]["command"].startswith("ip route get 169.254.169.254 uid ")
    assert after["state"] == "ok"


@pytest.mark.slow
def test_diagnose_ends_within_20_s_where_the_name_servers_are_silent(laid: Bed, tmp_path: Path) -> None:
    """The calls to AWS share one bound, and each says that it was that which ended it."""
    silent = """
nft add table s
nft add chain s i '{ type filter hook input priority 0; }'
nft add rule s i udp dport 53 drop"""
    with laid.instance(replace(SITUATIONS["healthy"], build=silent), tmp_path) as where:
        begun = time.monotonic()
        done = rolewatch(where, DIAGNOSE, {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"})
        took = time.monotonic() - begun

    checks = {each["id"]: each for each in json.loads(done.stdout)["checks"]}
    assert took < 20
    for name in ("sts.proof", "ec2.metadata_options", "iam.profile"):
        assert checks[name]["status"] == "unknown"
        assert "no answer within" in checks[name]["note"]
        assert "name servers" in checks[name]["note"]
