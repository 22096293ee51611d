"""The signed repository, read by real clients: apt, dnf and rpmkeys."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from packages.built import EPOCH, OLDER, ROOT, Builds, need, need_root
from packages.test_contents import pyproject_version

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEY = "rolewatch tests <tests@rolewatch.example>"
TOOLS = {"gpg": "gnupg", "apt-ftparchive": "apt-utils", "createrepo_c": "createrepo-c", "rpmsign": "rpm"}


@dataclass(frozen=True)
class Signer:
    """A GnuPG of its own, with a throw-away key."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What GnuPG reads."""
        return {**os.environ, "GNUPGHOME": str(self.home), "SOURCE_DATE_EPOCH": str(EPOCH)}

    def publish(self, packages: Path, repository: Path, key: str = KEY) -> subprocess.CompletedProcess[str]:
        """Put *packages* into *repository*."""
        return subprocess.run(
            [ROOT / "packaging/make-repository", packages, repository, key],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=self.environment,
            timeout=120,
        )


@pytest.fixture(scope="module", name="signer")
def the_signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    """Yield a GnuPG with one key, made before the commit."""
    need(TOOLS)
    signer = Signer(tmp_path_factory.mktemp("gpg"))
    signer.home.chmod(0o700)
    make = ["gpg", "--batch", "--passphrase", "", "--faked-system-time", f"{EPOCH - 86400}!", "--quick-generate-key"]
    subprocess.run([*make, KEY, "rsa3072", "sign", "never"], check=True, env=signer.environment, capture_output=True)
    yield signer
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=True, env=signer.environment)


@pytest.fixture(scope="module", name="published")
def the_published(builds: Builds, signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository in which an older version was published, and then today's."""
    directory = tmp_path_factory.mktemp("repository")
    for built in (builds.older, builds.today):
        done = signer.publish(built.tree / "dist", directory)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return directory


@pytest.fixture(name="repository")
def a_repository(published: Path, tmp_path: Path) -> Path:
    """Return a copy of the repository, to tamper with."""
    return Path(shutil.copytree(published, tmp_path / "repository"))


# apt


def apt(repository: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run apt in a root of its own that knows *repository* and its key, and nothing else."""
    need_root()
    root = repository.parent / "apt"
    for directory in ("etc/apt", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/apt/none.conf").touch()
    (root / "etc/apt/sources.list.d").mkdir(exist_ok=True)
    key = (repository / "rolewatch.asc").read_text().replace("\n\n", "\n.\n").replace("\n", "\n ")
    (root / "etc/apt/sources.list.d/rolewatch.sources").write_text(
        f"Types: deb\nURIs: file:{repository}/apt\nSuites: stable\nComponents: main\nSigned-By:\n {key}\n"
    )
    options = [f"-oDir={root}", f"-oDir::State::status={root}/var/lib/dpkg/status", "-oAPT::Sandbox::User=root"]
    return subprocess.run(
        [command[0], *options, "-oAPT::Architecture=amd64", "-oAPT::Update::Error-Mode=any", *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        cwd=repository.parent,
        env={**os.environ, "LC_ALL": "C.UTF-8", "APT_CONFIG": str(root / "etc/apt/none.conf")},
        timeout=60,
    )


def test_apt_reads_the_repository_and_believes_it(repository: Path, builds: Builds) -> None:
    """`apt-get update` is silent, the newest version is the candidate, the older one can be had, the bytes are ours."""
    update = apt(repository, "apt-get", "update")
    policy = apt(repository, "apt-cache", "policy", "rolewatch")
    apt(repository, "apt-get", "download", "rolewatch")

    assert (update.returncode, update.stderr) == (0, "")
    assert f"Candidate: {pyproject_version()}" in policy.stdout
    assert OLDER in policy.stdout
    assert (repository.parent / builds.today.deb.name).read_bytes() == builds.today.deb.read_bytes()


@pytest.mark.parametrize(
    ("tampered", "reason"),
    [
        pytest.param("apt/dists/stable/InRelease", "signatures were invalid: BADSIG", id="release"),
        pytest.param("apt/dists/stable/main/binary-amd64/Packages", "Hash Sum mismatch|unexpected size", id="index"),
    ],
)
def test_apt_refuses_a_tampered_index(repository: Path, tampered: str, reason: str) -> None:
    """Nothing of it is believed."""
    path = repository / tampered
    path.write_bytes(path.read_bytes().replace(b"rolewatch", b"evilwatch"))
    path.with_name("Packages.gz").unlink(missing_ok=True)

    update = apt(repository, "apt-get", "update")

    assert update.returncode != 0
    assert any(each in update.stderr for each in reason.split("|")), update.stderr


def test_apt_refuses_a_tampered_package(repository: Path) -> None:
    """The index is good, and the package is another."""
    apt(repository, "apt-get", "update")
    (deb,) = (repository / "apt/pool").rglob(f"*_{pyproject_version()}_*.deb")
    deb.write_bytes(deb.read_bytes()[:-1] + b"!")

    assert apt(repository, "apt-get", "download", "rolewatch").returncode != 0


def test_apt_refuses_another_key(repository: Path, tmp_path: Path) -> None:
    """A repository that somebody else signed is not ours."""
    other = Signer(tmp_path / "other")
    other.home.mkdir(mode=0o700)
    make = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", KEY, "rsa3072", "sign", "never"]
    subprocess.run(make, check=True, env=other.environment, capture_output=True)
    armored = subprocess.run(["gpg", "--armor", "--export"], check=True, env=other.environment, capture_output=True)
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=True, env=other.environment)
    (repository / "rolewatch.asc").write_bytes(armored.stdout)

    update = apt(repository, "apt-get", "update")

    assert update.returncode != 0
    assert "NO_PUBKEY" in update.stderr


# rpm and dnf


def keys(repository: Path, rpm: Path) -> subprocess.CompletedProcess[str]:
    """Let rpmkeys check *rpm* with the key of *repository* and no other."""
    database = f"--dbpath={repository.parent / 'keys'}"
    subprocess.run(["rpmkeys", database, "--import", repository / "rolewatch.asc"], check=True, capture_output=True)
    return subprocess.run(["rpmkeys", database, "-Kv", rpm], capture_output=True, text=True, check=False)


def test_rpmkeys_finds_the_signature_good(repository: Path) -> None:
    """RSA with SHA-512: RHEL 9 believes nothing weaker than SHA-256."""
    (rpm,) = (repository / "rpm").glob(f"*-{pyproject_version()}-*.rpm")
    done = keys(repository, rpm)

    assert done.returncode == 0
    assert "RSA/SHA512 Signature" in done.stdout
    assert "BAD" not in done.stdout


def test_rpmkeys_finds_a_tampered_package(repository: Path) -> None:
    """One byte is enough."""
    (rpm,) = (repository / "rpm").glob(f"*-{pyproject_version()}-*.rpm")
    data = bytearray(rpm.read_bytes())
    data[-100] ^= 1
    rpm.write_bytes(data)

    assert keys(repository, rpm).returncode != 0


def dnf(repository: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run dnf in a root of its own that knows *repository* and its key, and nothing else."""
    need({"dnf": "dnf"})
    need_root()
    root = repository.parent / "dnf"
    (root / "repos").mkdir(parents=True, exist_ok=True)
    (root / "repos/rolewatch.repo").write_text(
        f"[rolewatch]\nname=rolewatch\nbaseurl=file://{repository}/rpm\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n"
        f"gpgkey=file://{repository}/rolewatch.asc\n"
    )
    (root / "dnf.conf").write_text(f"[main]\nreposdir={root}/repos\ncachedir={root}/cache\nlogdir={root}/log\n")
    options = [
        f"--config={root}/dnf.conf",
        f"--installroot={root}/root",
        "--releasever=9",
        "--assumeyes",
        "--noplugins",
    ]
    return subprocess.run(
        ["dnf", *options, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(root)},
        timeout=100,
    )


def test_dnf_reads_the_repository_and_believes_it(repository: Path) -> None:
    """With repo_gpgcheck: both versions are offered."""
    done = dnf(repository, "list", "--showduplicates", "rolewatch")

    assert done.returncode == 0, done.stderr
    assert f"{pyproject_version()}-1" in done.stdout
    assert f"{OLDER}-1" in done.stdout


def test_dnf_refuses_a_tampered_index(repository: Path) -> None:
    """The signature is not that of these bytes."""
    path = repository / "rpm/repodata/repomd.xml"
    path.write_bytes(path.read_bytes().replace(b"<revision>", b"<revision>1"))
    done = dnf(repository, "list", "--showduplicates", "rolewatch")

    assert done.returncode != 0
    assert "GPG" in done.stderr


# The command


def test_a_repository_is_the_same_again(builds: Builds, signer: Signer, published: Path, tmp_path: Path) -> None:
    """The same packages and key give the same bytes, signatures included."""
    for built in (builds.older, builds.today):
        signer.publish(built.tree / "dist", tmp_path)

    def content(directory: Path) -> dict[str, bytes]:
        return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}

    assert content(tmp_path) == content(published)


def test_an_unknown_key_is_refused_with_what_to_do(builds: Builds, signer: Signer, tmp_path: Path) -> None:
    """And nothing is made."""
    done = signer.publish(builds.today.tree / "dist", tmp_path / "repository", "nobody@rolewatch.example")

    assert done.returncode == 1
    assert done.stderr == (
        "make-repository: GnuPG has no secret key nobody@rolewatch.example. To list its keys: gpg --list-secret-keys\n"
    )
    assert not (tmp_path / "repository").exists()


def test_without_packages_there_is_no_repository(signer: Signer, tmp_path: Path) -> None:
    """It says what comes first."""
    done = signer.publish(tmp_path, tmp_path / "repository")

    assert done.stderr == f"make-repository: there are no packages in {tmp_path}. First: make deb rpm\n"
