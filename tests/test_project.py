"""The frame around the code: the guard of the tests, the locks, the Makefile, the launcher."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests
from hatchling.builders.wheel import WheelBuilder

import rolewatch
from guard import RealImdsError
from skips import cannot

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "packaging" / "python"
LAUNCHER = ROOT / "packaging" / "launcher" / "rolewatch"
SYSTEM_PYTHON = Path("/usr/bin/python3")
LIBRARIES = Path(requests.__file__).parents[1]
"""Where this Python has requests, and what requests needs."""
PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[a-z0-9, -]+\])?==\S+.*\n\s+--hash=sha256:[0-9a-f]{64}")
WITH_EXTRAS = re.compile(r"^[a-z0-9-]+\[[a-z0-9, -]+\]", re.MULTILINE)


def pyproject() -> Any:  # noqa: ANN401 - a document
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run *command* in the root of the project and return what it said."""
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=50,
    )


def normal(name: str) -> str:
    """Return *name* as indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names(path: Path) -> Iterator[str]:
    """Yield the name of every requirement of the .in or .txt file *path*."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line):
            yield normal(found.group())


# The guard


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.170.2", "0xa9fea9fe", "2852039166", "fd00:ec2::254", "::ffff:169.254.169.254"],
)
def test_no_test_can_reach_a_real_imds(address: str) -> None:
    """Whatever the spelling, a connection is refused before it begins. A datagram socket connects without a packet."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with socket.socket(family, socket.SOCK_DGRAM) as sock, pytest.raises(RealImdsError, match="loopback endpoint"):
        sock.connect((address, 80))


@pytest.mark.parametrize("event", ["socket.sendto", "socket.sendmsg"])
def test_no_datagram_leaves_for_a_real_imds(event: str) -> None:
    """Sending without a connection is refused, too: asked through the audit event itself, so that nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(RealImdsError):
        sys.audit(event, sock, ("169.254.169.254", 80))


def test_loopback_is_open() -> None:
    """The guard lets the simulator through."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_nothing_of_the_caller_s_environment_gets_in() -> None:
    """A child process finds IMDS switched off, no proxy, no profile, and nobody to notify."""
    found = {name for name in os.environ if name.startswith(("AWS_", "ROLEWATCH_")) or name.lower().endswith("_proxy")}

    # The AWS CLI sets AWS_DATA_PATH where it is imported: tests/test_commands.py runs it in this process.
    assert found - {"AWS_DATA_PATH"} == {"AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
    assert "NOTIFY_SOCKET" not in os.environ


# The locks


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.txt")), ids=lambda path: path.name)
def test_a_lock_names_no_host_and_no_place(lock: Path) -> None:
    """It works with every index and on every machine: no URL, no index, no directory but the project's own."""
    text = lock.read_text(encoding="utf-8")

    assert re.findall(r"\S*://\S*|.*index-url.*|.*find-links.*|.*trusted-host.*|.*\s/\S+|.* @ .*", text) == []


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.txt")), ids=lambda path: path.name)
def test_a_lock_has_a_version_and_a_hash_for_all_that_was_asked_for(lock: Path) -> None:
    """Every line is one exact version with its SHA-256, and nothing of the .in file is left out: run `make lock`."""
    requirements = re.split(r"\n(?=[A-Za-z0-9])", "\n" + lock.read_text(encoding="utf-8"))[1:]

    assert [line for line in requirements if not PINNED.match(line)] == []
    assert set(names(lock.with_suffix(".in"))) <= set(names(lock))


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.txt")), ids=lambda path: path.name)
def test_a_lock_keeps_the_extras_that_are_asked_for(lock: Path) -> None:
    """Else pip 23 searches for the ``coverage[toml]`` of pytest-cov by itself, and has no hash for what it finds."""
    text = lock.read_text(encoding="utf-8")
    extras = set(WITH_EXTRAS.findall(text))
    wanted = lock.with_suffix(".in").read_text(encoding="utf-8").replace(",", ", ")

    assert set(WITH_EXTRAS.findall(wanted)) <= extras
    assert ("coverage[toml]" in extras) is ("pytest-cov==" in text)


def test_the_development_set_has_the_dependencies_of_the_product() -> None:
    """What pyproject.toml asks for is what the tests run with."""
    project = pyproject()["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["aws"], *extras["cli"]]

    assert {normal(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in wanted} <= set(names(LOCKS / "dev.txt"))


def test_the_version_is_in_one_place() -> None:
    """`rolewatch.__version__` is looked up, and finds what pyproject.toml says."""
    if rolewatch.__version__ == "0+unknown":
        pytest.skip("rolewatch is not installed in this environment; `make test` installs it")

    assert rolewatch.__version__ == pyproject()["project"]["version"]


def test_the_addresses_of_the_project_are_in_one_place() -> None:
    """They are looked up, too; a label that nobody gave an address has none."""
    if rolewatch.__version__ == "0+unknown":
        pytest.skip("rolewatch is not installed in this environment; `make test` installs it")

    for label, url in pyproject()["project"]["urls"].items():
        assert rolewatch.project_url(label) == url
    assert rolewatch.project_url("Nowhere") == ""


# The commands


@pytest.mark.parametrize("page", ["README.md", "docs/developing.md", "CHANGELOG.md", ".ci/run"])
def test_every_make_command_that_is_written_down_exists(page: str) -> None:
    """A page that says `make something` does not lie."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    text = (ROOT / page).read_text(encoding="utf-8")
    written = set(re.findall(r"(?:`|^ *|time )make ([a-z0-9-]+)", text, flags=re.MULTILINE))

    assert written - targets == set()


def test_every_file_that_the_page_for_developers_names_exists() -> None:
    """From the root of the project, or from that of the package."""
    text = re.sub(r"```.*?```", "", (ROOT / "docs/developing.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|rst|toml|txt|service))`", text)) - {
        "docs/runbooks/FAULT.md"
    }

    assert len(named) > 10
    assert {
        name for name in named if not ((ROOT / name).exists() or (ROOT / "agent/rolewatch" / name).exists())
    } == set()


def test_make_without_python_says_what_to_install() -> None:
    """The set-up fails with the remedy, not with a trace."""
    said = run(LOCKS / "make-venv", "no-such-python", "build/never", LOCKS / "dev.txt")

    assert (said.returncode, said.stdout) == (1, "")
    assert "there is no no-such-python. Install Python 3.9 or newer" in said.stderr


@pytest.mark.parametrize(
    ("refuses", "remedy"),
    [
        pytest.param("version_info", "is Python 3.8.18, and rolewatch needs 3.9 or newer", id="too-old"),
        pytest.param("ensurepip", "apt-get install python3-venv", id="debian-without-venv"),
    ],
)
def test_a_python_that_will_not_do_is_refused_with_the_remedy(tmp_path: Path, refuses: str, remedy: str) -> None:
    """An old Python, and Debian's without its venv package, are found out before anything is made."""
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo Python 3.8.18\ncase "$2" in *{refuses}*) exit 1;; esac\n')
    python.chmod(0o755)

    said = run(LOCKS / "make-venv", python, tmp_path / "venv", LOCKS / "dev.txt")

    assert said.returncode == 1
    assert remedy in said.stderr
    assert not (tmp_path / "venv").exists()


def test_other_pythons_are_what_they_are_said_to_be() -> None:
    """Each line is arguments for make; 3.9 goes with the floors, and the Python at hand is not named again."""
    said = run(LOCKS / "other-pythons", sys.executable)
    lines = [dict(word.split("=", 1) for word in line.split()) for line in said.stdout.splitlines()]
    versions = [run(line["PYTHON"], "-c", "import sys; print(*sys.version_info[:2])").stdout.split() for line in lines]

    assert said.returncode == 0
    assert [line["LOCK"] for line in lines] == ["floors" if version == ["3", "9"] else "dev" for version in versions]
    assert [str(part) for part in sys.version_info[:2]] not in [v for v in versions if v != ["3", "9"]]


def test_the_wheel_ships_the_files_of_the_page() -> None:
    """They are no Python. The packages install what is in the wheel."""
    shipped = {each.distribution_path for each in WheelBuilder(str(ROOT)).recurse_included_files()}

    assert {"rolewatch/http/page.html", "rolewatch/http/page.css", "rolewatch/http/page.py"} <= shipped


# The launcher


@pytest.fixture(name="linked")
def linked_tree(tmp_path: Path) -> Path:
    """Return a private directory as the packages install it, linked together from what is at hand."""
    for directory, modules in {
        "vendor": ["prometheus_client", "structlog", "typing_extensions"],
        "vendor-cli": ["rich"],
        ".": ["rolewatch"],
    }.items():
        (tmp_path / directory).mkdir(exist_ok=True)
        for module in modules:
            spec = find_spec(module)
            if spec is None or spec.origin is None:
                pytest.skip(f"{module} is not installed")
            origin = Path(spec.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (tmp_path / directory / source.name).symlink_to(source)
    (tmp_path / "bin").mkdir()
    shutil.copy(LAUNCHER, tmp_path / "bin")
    return tmp_path


@pytest.fixture(name="private")
def private_tree(linked: Path) -> Path:
    """Return the private directory where the system's Python can take it."""
    if not SYSTEM_PYTHON.exists():
        pytest.skip(f"there is no {SYSTEM_PYTHON}")
    asked = "import sys, requests; print(*sys.version_info[:2], sep='.')"
    said = subprocess.run([SYSTEM_PYTHON, "-I", "-c", asked], capture_output=True, text=True, check=False)
    if said.returncode != 0:
        pytest.skip("python3-requests is not installed")
    if said.stdout.strip() != f"{sys.version_info[0]}.{sys.version_info[1]}":
        pytest.skip("the libraries at hand are those of another Python than the system's")
    return linked


def under_the_launcher(
    private: Path, command: str, code: str, *, python: str = str(SYSTEM_PYTHON), libraries: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run *code* in an interpreter whose paths the launcher has set for *command*.

    *libraries* is where requests lies, if not where *python*'s distribution has it.
    """
    launcher = private / "bin" / "rolewatch"
    there = f"house['DISTRIBUTION'][:] = [{str(libraries)!r}]; " if libraries else ""
    start = (
        f"import runpy; from pathlib import Path; house = runpy.run_path({str(launcher)!r}); {there}"
        f"house['set_paths'](Path({str(launcher)!r}), {command!r}); "
    )
    return run(python, "-ISB", "-c", start + code)


def test_the_launcher_starts_rolewatch(private: Path) -> None:
    """`rolewatch --version` works from the private directory, on the system's Python."""
    said = run(private / "bin" / "rolewatch", "--version")

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("rolewatch ")


def test_the_daemon_finds_its_libraries_and_no_others(private: Path) -> None:
    """The distribution's requests and our own libraries are there, in silence; rich and a second detector are not."""
    code = (
        "import requests, structlog, prometheus_client; "
        "print(structlog.dev.rich, prometheus_client.Counter.__name__, requests.__file__)"
    )
    said = under_the_launcher(private, "run", code)

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("None Counter /usr/lib")


@pytest.mark.parametrize(
    "heavy",
    [
        "structlog.dev",
        "prometheus_client.metrics",
        "idna.core",
        "argparse",
        "chardet.universaldetector",
        "charset_normalizer.api",
    ],
)
def test_the_daemon_loads_nothing_heavy_that_it_does_not_use(linked: Path, heavy: str) -> None:
    """Whatever version of requests is at hand: it asks a detector's version, and never for a detection."""
    code = f"import sys, rolewatch.cli.run, rolewatch.cli.daemon; print({heavy!r} in sys.modules)"
    said = under_the_launcher(linked, "run", code, python=sys.executable, libraries=LIBRARIES)

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.strip() == "False"


def test_a_package_that_another_program_uses_is_complete(linked: Path) -> None:
    """Encodings are guessed, hosts are encoded, and events are logged as ever, where something does ask."""
    code = (
        "import requests, idna, structlog; answer = requests.Response(); answer._content = 'schön'.encode() * 20; "
        "structlog.configure(processors=[structlog.processors.JSONRenderer()]); structlog.get_logger().info('told'); "
        "print(len(answer.apparent_encoding) > 2, idna.encode('schön.example').decode())"
    )
    said = under_the_launcher(linked, "run", code, python=sys.executable, libraries=LIBRARIES)

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.splitlines() == ['{"event": "told"}', "True xn--schn-7qa.example"]


def test_a_command_for_people_finds_rich(private: Path) -> None:
    """Tables and colour are there for every command but the daemon."""
    said = under_the_launcher(private, "history", "import sys; print(any(p.endswith('vendor-cli') for p in sys.path))")

    assert (said.returncode, said.stdout.strip()) == (0, "True")


def test_the_environment_cannot_lead_the_launcher_astray(private: Path, tmp_path: Path) -> None:
    """PYTHONPATH, PYTHONSTARTUP and a module in the working directory are not read."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "rolewatch.py").write_text("raise SystemExit('astray')")

    said = run(private / "bin" / "rolewatch", "--version", PYTHONPATH=str(tmp_path / "elsewhere"))

    assert (said.returncode, said.stderr) == (0, "")


PLANTED = """\
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) {{
    int file = creat("{marker}", 0600);
    if (file >= 0) close(file);
}}
"""
OPENSSL_CONF = """\
openssl_conf = all
[all]
providers = providers
engines = engines
[providers]
planted = provider
[provider]
module = {library}
activate = 1
[engines]
planted = engine
[engine]
dynamic_path = {library}
init = 1
"""


@pytest.fixture(name="planted")
def planted_library(tmp_path: Path) -> Path:
    """Return an `OPENSSL_CONF` that names a library; where that is loaded it leaves `loaded` beside the file."""
    compiler = shutil.which("cc")
    if compiler is None:
        cannot("there is no C compiler")
    directory = tmp_path / "planted"
    directory.mkdir()
    source, library, conf = directory / "planted.c", directory / "planted.so", directory / "openssl.cnf"
    source.write_text(PLANTED.format(marker=directory / "loaded"), encoding="utf-8")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    conf.write_text(OPENSSL_CONF.format(library=library), encoding="utf-8")
    return conf


def test_an_openssl_conf_is_loaded_without_the_launcher(planted: Path) -> None:
    """The library that the next test looks for does leave its mark: OpenSSL reads the variable when it is loaded."""
    said = run(sys.executable, "-ISB", "-c", "import ssl", OPENSSL_CONF=str(planted))

    assert (said.returncode, said.stderr) == (0, "")
    assert planted.with_name("loaded").exists()


def test_an_openssl_conf_of_the_environment_is_not_loaded(private: Path, planted: Path) -> None:
    """`rolewatch check` uses requests, and OpenSSL with it. A child process does not get the variable either."""
    said = run(
        private / "bin" / "rolewatch",
        *("check", "--endpoint", "http://127.0.0.1:9"),
        OPENSSL_CONF=str(planted),
        OPENSSL_MODULES=str(planted.parent),
        OPENSSL_ENGINES=str(planted.parent),
    )

    assert said.returncode == 3, said.stderr
    assert not planted.with_name("loaded").exists()


@pytest.mark.parametrize("name", ["OPENSSL_CONF", "OPENSSL_ia32cap", "SSLKEYLOGFILE"])
def test_the_launcher_removes_a_variable_of_the_tls_library(private: Path, name: str) -> None:
    """From `os.environ` and from the environment that C code reads, before a module of rolewatch is imported."""
    (private / "rolewatch").unlink()
    (private / "rolewatch").mkdir()
    (private / "rolewatch" / "__init__.py").touch()
    (private / "rolewatch" / "cli.py").write_text(
        "import os, subprocess\n"
        f"found = {name!r} in os.environ\n"
        f"status = subprocess.run(['/usr/bin/printenv', {name!r}]).returncode\n"
        "def main():\n"
        "    print(found, status)\n",
        encoding="utf-8",
    )

    said = run(private / "bin" / "rolewatch", **{name: "x"})

    assert (said.stderr, said.stdout) == ("", "False 1\n")


def test_a_launcher_without_its_tree_says_what_to_do(private: Path) -> None:
    """Half a package gives one sentence instead of a trace."""
    if Path("/usr/lib/rolewatch").exists():
        pytest.skip("rolewatch is installed on this machine")
    (private / "rolewatch").unlink()

    said = run(private / "bin" / "rolewatch", "check")

    assert said.returncode == 1
    assert said.stderr == "rolewatch: /usr/lib/rolewatch/rolewatch is missing. Install the package rolewatch again.\n"
