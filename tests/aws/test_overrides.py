"""What overrides the role: found with its place, and without its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from aws.test_diagnosis import context, faults, local, outcome
from rolewatch.aws.diagnose import diagnose
from rolewatch.aws.diagnose.overrides import Overrides, View, find_overrides
from rolewatch.faults import Fault

ENDPOINT = "http://169.254.169.254"
CANARY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYCANARY"


def overrides(tmp_path: Path, environ: dict[str, str], files: dict[str, str]) -> Overrides:
    """Return what is found on a host with *files*."""
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return find_overrides(environ, Path("/home"), ENDPOINT, view=View(tmp_path))


def test_a_clean_host_has_none(tmp_path: Path) -> None:
    """Files without credentials shadow nothing."""
    files = {"home/.aws/config": "[default]\nregion = eu-west-1\noutput=json\n# aws_access_key_id = x\n"}

    assert overrides(tmp_path, {}, files) == Overrides()


@pytest.mark.parametrize(
    "name",
    ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"],
)
def test_a_variable_is_named(tmp_path: Path, name: str) -> None:
    """By its name, never its value."""
    found = overrides(tmp_path, {name: CANARY}, {})

    assert [each.where for each in found.environment] == [name]
    assert "CANARY" not in repr(found)


@pytest.mark.parametrize(
    "name",
    ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"],
)
def test_a_containers_variable_is_named(tmp_path: Path, name: str) -> None:
    """ECS, EKS and web identities."""
    found = overrides(tmp_path, {name: CANARY}, {})

    assert [each.where for each in found.container] == [name]
    assert "CANARY" not in repr(found)


def test_a_profile_that_gives_nothing_overrides_nothing(tmp_path: Path) -> None:
    """SDKs go on to IMDS with it."""
    files = {"home/.aws/config": "[profile work]\nregion = eu-west-1\n"}

    assert overrides(tmp_path, {"AWS_PROFILE": "work"}, files) == Overrides()


def test_another_address_for_the_sdks_is_named(tmp_path: Path) -> None:
    """The address of IMDS itself is no override."""
    name = "AWS_EC2_METADATA_SERVICE_ENDPOINT"

    assert overrides(tmp_path, {name: f"{ENDPOINT}/"}, {}) == Overrides()
    assert [each.where for each in overrides(tmp_path, {name: "http://10.9.9.9"}, {}).environment] == [name]


def test_a_temporary_key_is_said_to_expire(tmp_path: Path) -> None:
    """The agent of Systems Manager leaves such keys, and does not renew them in a program."""
    found = overrides(tmp_path, {}, {"home/.aws/credentials": "[default]\naws_access_key_id = ASIACANARY\n"})

    assert "expires" in found.files[0].what
    assert "CANARY" not in repr(found)


@pytest.mark.parametrize(("value", "count"), [("true", 1), ("TRUE", 1), ("false", 0), ("", 0)])
def test_imds_switched_off_for_sdks_is_named(tmp_path: Path, value: str, count: int) -> None:
    """SDKs do not ask IMDS then, and say only that there are no credentials."""
    assert len(overrides(tmp_path, {"AWS_EC2_METADATA_DISABLED": value}, {}).environment) == count


def test_a_key_in_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    """File, line, key and profile; not the key id, not the secret."""
    text = f"# mine\n[default]\naws_access_key_id = AKIACANARY\naws_secret_access_key={CANARY}\n[other]\nx = 1\n"
    found = overrides(tmp_path, {}, {"home/.aws/credentials": text})

    assert [each.where for each in found.files] == ["/home/.aws/credentials:3"]
    assert "aws_access_key_id" in found.files[0].what
    assert "CANARY" not in repr(found)


@pytest.mark.parametrize(("environ", "count"), [({}, 0), ({"AWS_PROFILE": "work"}, 1), ({"AWS_PROFILE": "default"}, 0)])
def test_only_the_profile_in_force_counts(tmp_path: Path, environ: dict[str, str], count: int) -> None:
    """A profile that nobody selects shadows nothing."""
    files = {"home/.aws/config": "[profile work]\nsso_session = corp\nsso_region = x\n"}

    assert len(overrides(tmp_path, environ, files).files) == count


@pytest.mark.parametrize("key", ["credential_process", "role_arn", "web_identity_token_file", "login_session"])
def test_every_way_to_get_credentials_counts(tmp_path: Path, key: str) -> None:
    """Not only keys: processes, assumed roles, SSO, web identities."""
    found = overrides(tmp_path, {}, {"home/.aws/config": f"[default]\n{key} = /usr/bin/canary\n"})

    assert len(found.files) == 1
    assert "canary" not in repr(found.files)


def test_another_file_by_variable_counts(tmp_path: Path) -> None:
    """AWS_SHARED_CREDENTIALS_FILE moves it."""
    found = overrides(
        tmp_path, {"AWS_SHARED_CREDENTIALS_FILE": "/elsewhere"}, {"elsewhere": "[default]\naws_access_key_id = x\n"}
    )

    assert [each.where for each in found.files] == ["/elsewhere:2"]


def test_botos_old_files_count(tmp_path: Path) -> None:
    """Botocore still reads them, last before IMDS."""
    found = overrides(tmp_path, {}, {"etc/boto.cfg": "[Credentials]\naws_access_key_id = x\n"})

    assert len(found.files) == 1


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A directory in its place, or no permission: unknown, not clean."""
    target = tmp_path / "home" / ".aws"
    target.mkdir(parents=True)
    (target / "credentials").symlink_to("/proc/self/mem")
    found = find_overrides({}, Path("/home"), ENDPOINT, view=View(tmp_path))

    assert found.unreadable == ("/home/.aws/credentials",)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """A user may have put it there, and root may run the command."""
    path = tmp_path / "home" / ".aws" / "config"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1 << 34)

    assert find_overrides({}, Path("/home"), ENDPOINT, view=View(tmp_path)).unreadable == ("/home/.aws/config",)


@pytest.mark.parametrize(
    ("header", "count"),
    [
        ("[default]", 1),
        ("[ default ]", 1),
        ('["default"]', 1),
        ("[profile default]", 1),
        ('[ profile  "default" ] # mine', 1),
        ("[default", 0),
        ("[]", 0),
        ('["default]', 0),
        ("[profile]", 0),
        (f"[{' ' * 5000}default{' ' * 5000}]", 1),
        (f"[{' ' * 100_000}", 0),
        (f"[{'x' * 200}]", 0),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_header_is_read_as_the_sdks_read_it(tmp_path: Path, header: str, count: int) -> None:
    """With or without `profile`, blanks and quotes; the keys below what is no header belong to no profile."""
    files = {"home/.aws/config": f"{header}\nrole_arn = x\n"}

    assert len(overrides(tmp_path, {}, files).files) == count


def test_without_a_home_the_rest_is_read(tmp_path: Path) -> None:
    """A service may have none."""
    assert find_overrides({"AWS_ACCESS_KEY_ID": "x"}, None, ENDPOINT, view=View(tmp_path)).environment


@pytest.mark.parametrize("link", ["home", "home/.aws", "home/.aws/config"])
def test_a_link_below_another_root_is_not_followed(tmp_path: Path, link: str) -> None:
    """It would lead to a file of this host: a container could point anywhere."""
    root, host = tmp_path / "root", tmp_path / "host"
    target = host / link
    for place in (target.parent, (root / link).parent, host / "home/.aws"):
        place.mkdir(parents=True, exist_ok=True)
    (host / "home/.aws/config").write_text("[default]\nrole_arn = x\n")
    (root / link).symlink_to(target)
    found = find_overrides({}, Path("/home"), ENDPOINT, view=View(root))

    assert found.files == ()
    assert "/home/.aws/config" in found.unreadable


def test_a_path_does_not_climb_out_of_another_root(tmp_path: Path) -> None:
    """Nor by two dots."""
    (tmp_path / "host").write_text("[default]\nrole_arn = x\n")
    (tmp_path / "root").mkdir()
    found = find_overrides({"AWS_CONFIG_FILE": "/../host"}, None, ENDPOINT, view=View(tmp_path / "root"))

    assert (found.files, found.unreadable) == ((), ("/../host",))


def test_a_link_on_this_host_is_followed(tmp_path: Path) -> None:
    """Configuration management puts links there."""
    (tmp_path / "real").write_text("[default]\nrole_arn = x\n")
    (tmp_path / "config").symlink_to(tmp_path / "real")

    assert find_overrides({"AWS_CONFIG_FILE": str(tmp_path / "config")}, None, ENDPOINT).files


@pytest.mark.parametrize("root", ["/", "root"])
def test_a_relative_path_is_below_the_program_s_directory(tmp_path: Path, root: str) -> None:
    """Not below that of this command."""
    (tmp_path / "root").mkdir()
    (tmp_path / "mine").write_text("[default]\nrole_arn = x\n")
    found = find_overrides({"AWS_CONFIG_FILE": "mine"}, None, ENDPOINT, view=View(tmp_path / root, tmp_path))

    assert [each.where for each in found.files] == ["mine:2"]


@pytest.mark.parametrize(
    ("source", "count"), [("Ec2InstanceMetadata", 1), ("Ec2InstanceMetadataX", 0), ("EcsContainer", 0)]
)
@pytest.mark.parametrize("file", ["config", "credentials"])
def test_a_role_that_is_assumed_with_the_instance_s_role_is_no_override(
    tmp_path: Path, source: str, count: int, file: str
) -> None:
    """It needs the role. SDKs read both files as one profile."""
    files = {"home/.aws/config": "[default]\nrole_arn = arn:aws:iam::111122223333:role/x\n"}
    setting = f"credential_source = {source} \n"
    if file == "config":
        files["home/.aws/config"] += setting
    else:
        files["home/.aws/credentials"] = f"[default]\n{setting}"
    found = overrides(tmp_path, {}, files)
    judged = diagnose(context(local=local(overrides=found)))

    assert [each.where for each in found.built_on_role] == ["/home/.aws/config:2"] * count
    assert faults(judged) == ([] if count else [Fault.CREDENTIALS_OVERRIDDEN])
    assert "/home/.aws/config:2 (role_arn in the profile default)" in outcome(judged, "shadow.files").note


def test_a_key_beside_the_instance_s_role_still_overrides_it(tmp_path: Path) -> None:
    """The key is used."""
    text = "[default]\ncredential_source=Ec2InstanceMetadata\naws_access_key_id = x\nrole_arn = y\n"
    found = overrides(tmp_path, {}, {"home/.aws/config": text})

    assert [each.where for each in found.files] == ["/home/.aws/config:3"]
