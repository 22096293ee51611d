"""The files in the packages, and the files beside them."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import lay_out
from packages.built import OLDER, ROOT, Builds, Built, need

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FROM_DEBHELPER = {
    "/usr/share/doc/rolewatch/changelog.gz",
    "/usr/share/doc/rolewatch/copyright",
    "/usr/share/lintian/overrides/rolewatch",
    "/usr/share/python3/runtime.d/rolewatch.rtupdate",
}
"""What every Debian package has, and is in no table of ours."""
FAMILY_S_OWN = {
    "deb": {"/usr/share/zsh/vendor-completions/_rolewatch"},
    "rpm": {
        "/usr/lib/systemd/system-preset/80-rolewatch.preset",
        "/usr/share/licenses/rolewatch/LICENSE",
        "/usr/share/zsh/site-functions/_rolewatch",
    },
}
"""In what the two may differ."""

SOURCES = sorted(
    {row.source for family in ("deb", "rpm") for row in lay_out.rows(family) if row.what != "dir"}
    - {row.source for row in lay_out.rows("deb") if row.source.startswith("build/")}
)


class Entry(NamedTuple):
    """A file or directory of a package."""

    mode: int
    owner: str


def said(*command: object) -> str:
    """Return what *command* says."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True, timeout=120)
    return done.stdout.decode()


def in_deb(deb: Path) -> dict[str, Entry]:
    """Return what is in *deb*; where units lie is debhelper's choice, and /lib is /usr/lib."""
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, check=True, timeout=120).stdout
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        return {
            re.sub("^/lib/", "/usr/lib/", member.name[1:]): Entry(
                member.mode | (stat.S_IFDIR if member.isdir() else stat.S_IFREG), f"{member.uname}:{member.gname}"
            )
            for member in archive
        }


def in_rpm(rpm: Path) -> dict[str, Entry]:
    """Return what is in *rpm*."""
    lines = said("rpm", "-qp", "--qf", "[%{FILENAMES}\\t%{FILEMODES}\\t%{FILEUSERNAME}:%{FILEGROUPNAME}\\n]", rpm)
    rows = (line.split("\t") for line in lines.splitlines())
    return {name: Entry(int(mode) & 0xFFFF, owner) for name, mode, owner in rows}


def files(entries: dict[str, Entry]) -> set[str]:
    """Return the names of the files among *entries*."""
    return {name for name, entry in entries.items() if stat.S_ISREG(entry.mode)}


# The list of files


def found(source: str) -> bool:
    """Return whether there is anything that is called *source*, a pattern, and is no empty directory."""
    return any(path.is_file() or any(path.rglob("*")) for path in ROOT.glob(source))


@pytest.mark.parametrize("source", SOURCES)
def test_every_line_of_the_list_finds_something(source: str) -> None:
    """A directory that was moved or never filled is found here, and not by a user without a manual."""
    assert found(source)


@pytest.mark.parametrize("family", ["deb", "rpm"])
def test_a_package_has_what_the_list_says_and_nothing_else(builds: Builds, family: str) -> None:
    """Every file, with its mode, owned by root; nothing compiled, no link, no surprise."""
    entries = in_deb(builds.today.deb) if family == "deb" else in_rpm(builds.today.rpm)
    listed = json.loads(said(sys.executable, "-c", LISTED, builds.today.tree, family))
    added = FROM_DEBHELPER if family == "deb" else set()

    assert files(entries) - added == set(listed)
    assert {name: oct(entries[name].mode & 0o7777) for name in listed} == {n: oct(mode) for n, mode in listed.items()}
    assert {entry.owner for entry in entries.values()} == {"root:root"}
    assert {oct(entry.mode) for entry in entries.values() if stat.S_ISDIR(entry.mode)} == {oct(stat.S_IFDIR | 0o755)}
    assert {stat.S_IFMT(entry.mode) for entry in entries.values()} == {stat.S_IFDIR, stat.S_IFREG}
    assert [name for name in entries if name.endswith((".pyc", ".so"))] == []
    assert [n for n in entries if n.endswith(".py") and not n.startswith("/usr/lib/rolewatch/")] == []


LISTED = """
import json, os, sys, tempfile
os.chdir(sys.argv[1])
sys.path.insert(0, "packaging")
from pathlib import Path
import lay_out
with tempfile.TemporaryDirectory() as directory:
    listed = {one.target: one.mode for one in lay_out.lay_out(sys.argv[2], Path(directory)) if one.what != "dir"}
for row in lay_out.rows(sys.argv[2]):
    if row.what == "unit" and row.sources():
        listed["/usr/lib/systemd/system/" + row.target] = row.mode
print(json.dumps(listed))
"""
"""Prints the list of files for a family, in another copy of the project."""


def test_both_packages_install_the_same(today: Built) -> None:
    """They differ in what the two families want at different places, and in nothing else."""
    deb, rpm = files(in_deb(today.deb)) - FROM_DEBHELPER, files(in_rpm(today.rpm))

    assert deb - rpm <= FAMILY_S_OWN["deb"]
    assert rpm - deb <= FAMILY_S_OWN["rpm"]


def test_settings_are_all_that_an_upgrade_asks_about(today: Built, tmp_path: Path) -> None:
    """One file is the administrator's. conf.d is there for automation, and empty."""
    said("dpkg-deb", "--control", today.deb, tmp_path / "control")

    assert (tmp_path / "control/conffiles").read_text().split() == ["/etc/rolewatch/rolewatch.toml"]
    assert said("rpm", "-qp", "--configfiles", today.rpm).split() == ["/etc/rolewatch/rolewatch.toml"]
    assert "/etc/rolewatch/conf.d" in in_deb(today.deb)
    assert "/etc/rolewatch/conf.d" in in_rpm(today.rpm)


def test_the_shipped_settings_change_nothing(today: Built, tmp_path: Path) -> None:
    """Every key is there as a comment, at its default."""
    said("dpkg-deb", "--extract", today.deb, tmp_path)
    text = (tmp_path / "etc/rolewatch/rolewatch.toml").read_text(encoding="utf-8")

    assert {key for table in tomllib.loads(text).values() for key, value in table.items() if value != {}} == set()
    assert len(re.findall("^#[a-z_]+ = ", text, flags=re.MULTILINE)) > 20


# The version and the bytes


def test_the_version_comes_from_one_place(builds: Builds) -> None:
    """pyproject.toml names it; packages, files and SBOM follow."""
    for built, version in ((builds.older, OLDER), (builds.today, pyproject_version())):
        assert built.deb.name == f"rolewatch_{version}_all.deb"
        assert built.rpm.name == f"rolewatch-{version}-1.noarch.rpm"
        assert said("dpkg-deb", "--field", built.deb, "Version").strip() == version
        assert built.only("*.cdx.json").name == f"rolewatch-{version}.cdx.json"


def pyproject_version() -> str:
    """Return the version in pyproject.toml."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


@pytest.mark.parametrize(
    ("python", "package"), [("1.2.0", "1.2.0"), ("1.2.0rc1", "1.2.0~rc1"), ("1.2.0.dev3", "1.2.0~dev3")]
)
def test_a_version_before_the_release_sorts_before_it(python: str, package: str) -> None:
    """An upgrade from a candidate to the release is an upgrade for dpkg and rpm, too."""
    assert lay_out.package_version(python) == package


def test_two_builds_are_one_and_the_same(builds: Builds) -> None:
    """Every build of a commit gives the published bytes: in any place, with any umask, locale and time zone."""
    first, second = builds.today.tree / "dist/SHA256SUMS", builds.again.tree / "dist/SHA256SUMS"

    assert first.read_text() == second.read_text()


def test_the_sums_are_those_of_all_that_is_published(today: Built) -> None:
    """`sha256sum --check` finds every file good."""
    directory = today.tree / "dist"
    lines = [line.split("  ") for line in (directory / "SHA256SUMS").read_text().splitlines()]

    assert {name for _, name in lines} == {path.name for path in directory.iterdir()} - {"SHA256SUMS"}
    assert [
        name for digest, name in lines if hashlib.sha256((directory / name).read_bytes()).hexdigest() != digest
    ] == []


# The bill of materials


def test_the_sbom_is_valid_cyclonedx(today: Built) -> None:
    """By CycloneDX's own schema, strictly."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)

    assert validator.validate_str(today.only("*.cdx.json").read_text(encoding="utf-8")) is None


def test_the_sbom_names_every_library_that_the_packages_bring(today: Built) -> None:
    """With the version and the hash that the lock has, and a licence that SPDX knows."""
    document = json.loads(today.only("*.cdx.json").read_text(encoding="utf-8"))
    listed = {one["name"]: one for one in document["components"]}
    lock = "".join(
        (ROOT / f"packaging/python/{name}.txt").read_text() for name in ("vendor", "vendor-cli", "vendor-aws")
    )
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, flags=re.MULTILINE))

    assert {name.replace("_", "-"): one["version"] for name, one in listed.items()} == locked
    assert [name for name, one in listed.items() if one["hashes"][0]["content"] not in lock] == []
    assert [one["licenses"] for one in listed.values() if "name" in one["licenses"][0].get("license", {})] == []


def test_every_library_is_declared_where_distributions_look(today: Built) -> None:
    """The rpm provides it as bundled, and the deb's copyright has a paragraph for it."""
    names = [one["name"] for one in json.loads(today.only("*.cdx.json").read_text(encoding="utf-8"))["components"]]
    provided = said("rpm", "-qp", "--provides", today.rpm)
    paragraphs = (ROOT / "packaging/deb/copyright").read_text(encoding="utf-8")

    assert [name for name in names if f"bundled(python3dist({name.lower()}))" not in provided] == []
    assert [
        name for name in names if not re.search(rf"^Files: .*/{name.replace('-', '_')}\*", paragraphs, re.MULTILINE)
    ] == []


# The judges


def test_lintian_finds_nothing(today: Built) -> None:
    """At its most pedantic; the overrides have their reasons beside them."""
    need({"lintian": "lintian"})
    options = ["--allow-root", "--pedantic", "--display-info", "--display-experimental", "--tag-display-limit", "0"]
    done = subprocess.run(["lintian", *options, today.deb], capture_output=True, text=True, check=False, timeout=200)

    assert done.stdout == ""


def test_rpmlint_finds_nothing(today: Built) -> None:
    """The filters have their reasons beside them."""
    need({"rpmlint": "rpmlint"})
    filters = ROOT / "packaging/rpm/rolewatch.rpmlintrc"
    done = subprocess.run(
        ["rpmlint", "-r", filters, today.rpm], capture_output=True, text=True, check=False, timeout=200
    )

    assert re.findall(r"^rolewatch\S*: [EW]: .*", done.stdout, flags=re.MULTILINE) == []
    assert "0 errors, 0 warnings" in done.stdout


@pytest.mark.parametrize("page", ["packaging/deb/rolewatch.lintian-overrides", "packaging/rpm/rolewatch.rpmlintrc"])
def test_an_override_has_its_reason_above_it(page: str) -> None:
    """Nothing is silenced without a sentence."""
    lines: list[str] = (ROOT / page).read_text(encoding="utf-8").splitlines()
    alone = [line for before, line in zip(["", *lines], lines) if not line.startswith("#") and before == ""]

    assert alone == []
