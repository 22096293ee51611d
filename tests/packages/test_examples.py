"""The files to begin with: Terraform, Packer, Ansible and nftables take them as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rolewatch import config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "packaging/examples"
TERRAFORM, PACKER = EXAMPLES / "terraform/main.tf", EXAMPLES / "packer/rolewatch.pkr.hcl"
ANSIBLE, NFTABLES = EXAMPLES / "ansible/rolewatch.yml", EXAMPLES / "nftables"
PLUGINS = os.environ.get("TERRAFORM_PLUGINS", "")
"""A directory with the provider hashicorp/aws, as `terraform providers mirror` makes it."""
KNOWN_TO_EVERY_HOST = ("daemon", "nobody")


def needs(tool: str) -> pytest.MarkDecorator:
    """Skip where *tool* is not installed."""
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


def run(*command: str, where: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run *command* in *where* with *text* on its standard input."""
    environ = {**os.environ, "NO_COLOR": "1", "HOME": str(where), "CHECKPOINT_DISABLE": "1"}
    return subprocess.run(
        list(command), capture_output=True, text=True, check=False, cwd=where, input=text, env=environ
    )


# Terraform


@needs("terraform")
@pytest.mark.parametrize("path", [TERRAFORM, PACKER], ids=lambda path: path.name)
def test_hcl_is_set_as_terraform_sets_it(path: Path, tmp_path: Path) -> None:
    """`packer fmt` sets the same language in the same way."""
    text = path.read_text(encoding="utf-8")

    assert run("terraform", "fmt", "-", where=tmp_path, text=text).stdout == text


def validated(directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Let Terraform judge *text* with the provider's own schema."""
    (directory / "main.tf").write_text(text, encoding="utf-8")
    made = run("terraform", "init", "-no-color", "-backend=false", f"-plugin-dir={PLUGINS}", where=directory)
    assert made.returncode == 0, made.stdout + made.stderr
    return run("terraform", "validate", "-no-color", where=directory)


needs_provider = pytest.mark.skipif(
    not PLUGINS, reason="TERRAFORM_PLUGINS names no directory with the provider (terraform providers mirror)"
)


@needs("terraform")
@needs_provider
@pytest.mark.slow
def test_terraform_takes_the_example(tmp_path: Path) -> None:
    """Every resource and argument exists, and nothing in it is deprecated."""
    done = validated(tmp_path, TERRAFORM.read_text(encoding="utf-8"))

    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stdout


@needs("terraform")
@needs_provider
@pytest.mark.slow
def test_terraform_refuses_an_argument_that_does_not_exist(tmp_path: Path) -> None:
    """So the test above does not pass because it checks nothing."""
    text = TERRAFORM.read_text(encoding="utf-8").replace("http_put_response_hop_limit", "http_hop_limit")

    assert "http_hop_limit" in validated(tmp_path, text).stderr


def test_the_role_that_terraform_fills_in_is_the_one_of_the_cloud_init_files() -> None:
    """It replaces the name in the example."""
    replaced = re.search(r'replace\(file\(var\.cloud_init\), "([^"]+)"', TERRAFORM.read_text(encoding="utf-8"))

    assert replaced is not None
    for path in (ROOT / "packaging/cloud-init").glob("*.yaml"):
        assert f'role = "{replaced[1]}"' in path.read_text(encoding="utf-8")


# Packer


@needs("packer")
def test_packer_takes_the_example(tmp_path: Path) -> None:
    """Debian's Packer, 1.6, has the plugin for Amazon built in, and does not know the block that fetches it."""
    text = PACKER.read_text(encoding="utf-8")
    if " v1.6." in run("packer", "version", where=tmp_path).stdout:
        text = re.sub(r"^packer \{\n.*?^\}\n", "", text, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "rolewatch.pkr.hcl").write_text(text, encoding="utf-8")
    done = run("packer", "validate", "-syntax-only", "rolewatch.pkr.hcl", where=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


@needs("packer")
def test_packer_refuses_a_block_that_does_not_exist(tmp_path: Path) -> None:
    """So the test above does not pass because it checks nothing."""
    (tmp_path / "wrong.pkr.hcl").write_text("bild {\n}\n", encoding="utf-8")

    assert run("packer", "validate", "-syntax-only", "wrong.pkr.hcl", where=tmp_path).returncode != 0


def inline() -> list[str]:
    """Return the commands that make the image."""
    block = PACKER.read_text(encoding="utf-8").partition("inline = [")[2].partition("\n    ]")[0]
    return [json.loads(line) for line in re.findall(r'^ +(".*"),$', block, re.MULTILINE)]


def test_the_commands_that_make_the_image_are_clean(tmp_path: Path) -> None:
    """By shellcheck, which finds what a shell would stumble over at the first build."""
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = run(shellcheck, "-", where=tmp_path, text="#!/bin/sh -eu\n" + "\n".join(inline()) + "\n")

    assert len(inline()) >= 5
    assert done.stdout == ""


def test_the_settings_in_the_image_can_be_used(tmp_path: Path) -> None:
    """What the command writes is run, and read by rolewatch."""
    (write,) = [line.partition(" >")[0] for line in inline() if line.startswith("printf ")]
    (tmp_path / "10-image.toml").write_text(run("sh", "-c", write, where=tmp_path).stdout, encoding="utf-8")
    loaded = config.load(tmp_path / "10-image.toml", environ={}, flags={})

    assert loaded.settings.expect.role_tag == "expected-role"
    assert "expected-role = aws_iam_role.app.name" in TERRAFORM.read_text(encoding="utf-8")


# Ansible


@needs("ansible-playbook")
@pytest.mark.slow
def test_ansible_takes_the_example(tmp_path: Path) -> None:
    """Every module and keyword exists."""
    done = run("ansible-playbook", "--syntax-check", str(ANSIBLE), where=tmp_path)

    assert done.returncode == 0, done.stderr


@needs("ansible-playbook")
@pytest.mark.slow
def test_ansible_refuses_a_keyword_that_does_not_exist(tmp_path: Path) -> None:
    """So the test above does not pass because it checks nothing."""
    text = ANSIBLE.read_text(encoding="utf-8").replace("notify: ", "notifies: ")
    (tmp_path / "wrong.yml").write_text(text, encoding="utf-8")

    assert run("ansible-playbook", "--syntax-check", "wrong.yml", where=tmp_path).returncode != 0


@needs("ansible-lint")
@pytest.mark.slow
def test_ansible_lint_has_nothing_to_say(tmp_path: Path) -> None:
    """By its strictest profile, that of production."""
    shutil.copy(ANSIBLE, tmp_path)
    done = run(
        "ansible-lint", "--offline", "--nocolor", "--strict", "--profile=production", ANSIBLE.name, where=tmp_path
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_ansible_adds_the_repositories_that_cloud_init_adds() -> None:
    """Every place names the same repository."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not among these libraries")
    (play,) = yaml.safe_load(ANSIBLE.read_text(encoding="utf-8"))
    cloud_init = (ROOT / "packaging/cloud-init/debian.yaml").read_text(encoding="utf-8")
    apt = next(task["ansible.builtin.apt_repository"] for task in play["tasks"] if "apt repo" in task["name"])
    key = "/etc/apt/keyrings/rolewatch.asc"
    line = apt["repo"].replace("{{ rolewatch_repository }}", play["vars"]["rolewatch_repository"])

    assert line.replace("{{ rolewatch_key }}", key) in cloud_init
    assert key in play["vars"]["rolewatch_key"]


# nftables


@needs("nft")
@pytest.mark.skipif(os.geteuid() != 0, reason="nft asks the kernel, which takes root")
@pytest.mark.parametrize("name", ["imds-by-user.nft", "no-way-out.nft"])
def test_nft_takes_the_rules(name: str, tmp_path: Path) -> None:
    """In a network namespace of its own, with users that every host has in the place of ours."""
    text = (NFTABLES / name).read_text(encoding="utf-8")
    for ours, there in zip(("rolewatch-confirm", "rolewatch"), KNOWN_TO_EVERY_HOST):
        text = re.sub(rf"(skuid .*){ours}(?=[ ,])", rf"\g<1>{there}", text)
    assert "skuid rolewatch" not in text
    done = run("unshare", "--net", "nft", "--check", "--file", "-", where=tmp_path, text=text)
    wrong = run("unshare", "--net", "nft", "--check", "--file", "-", where=tmp_path, text=text.replace("skuid", "skid"))

    assert (done.returncode, done.stderr) == (0, "")
    assert wrong.returncode != 0
