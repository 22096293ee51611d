"""The page in a real browser, served by a real daemon that watches a simulated IMDS: each state, light and dark."""

from __future__ import annotations

import importlib.resources
import importlib.util
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest

from harness import POLLS, in_process
from page.browser import Browser
from rolewatch.settings import ExpectSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WIDTHS = (1000, 360, 320)
"""CSS pixels: a desktop, a telephone, and the narrowest width at which WCAG 2.2 (1.4.10) requires reflow."""

TAB = 9


class Scene(NamedTuple):
    """One state of the page, and its cause."""

    state: str
    scenario: str
    expect: ExpectSettings = ExpectSettings()


SCENES = (
    Scene("OK", "healthy"),
    Scene("Degraded", "healthy", ExpectSettings(role=("some-other-role",))),
    Scene("Degraded", "rotation_overdue"),
    Scene("Failed", "assume_role_unauthorized"),
    Scene("Failed", "instance_profile_detached"),
    Scene("Failed", "credentials_expired"),
    Scene("Unknown", "imds_unreachable"),
)
BY_STATE = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.state}-{scene.scenario}".lower())


def visit(directory: Path, scene: Scene, inspect: Callable[[str], None]) -> None:
    """Run a daemon until its state is decided, and call *inspect* with the address of its page."""
    addresses: list[str] = []
    with in_process(directory, scene.scenario, expect=scene.expect) as daemon:
        daemon.run((POLLS - 1, lambda: inspect(f"http://{addresses[0]}/")), polls=POLLS, ready=addresses.append)


def complaints(browser: Browser) -> list[dict[str, Any]]:
    """Return the browser's errors, warnings and policy violations."""
    return [
        *browser.seen("Log.entryAdded"),
        *browser.seen("Runtime.consoleAPICalled"),
        *browser.seen("Runtime.exceptionThrown"),
        *browser.seen("Audits.issueAdded"),
    ]


def axe(browser: Browser) -> list[str]:
    """Return the rules of axe-core that the page violates, and where. Skip if axe-core is not installed."""
    if importlib.util.find_spec("axe_core_python") is None:
        pytest.skip("axe-core-python is not installed: it needs Python 3.10")
    source = (importlib.resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    broken = "violations => violations.map(each => each.id + ': ' + each.nodes.map(node => node.target).join(', '))"
    found: list[str] = browser.evaluate(f"{source}\naxe.run(document).then(result => ({broken})(result.violations))")
    return found


@BY_STATE
def test_the_page_loads_nothing_and_obeys_its_policy(chromium: Browser, tmp_path: Path, scene: Scene) -> None:
    """The browser fetches only the page, applies its style, and reports no problem."""
    seen: dict[str, Any] = {}

    def inspect(url: str) -> None:
        chromium.show()
        chromium.open(url)
        seen["url"] = url
        seen["asked"] = [each["request"]["url"] for each in chromium.seen("Network.requestWillBeSent")]
        seen["state"] = chromium.evaluate("document.querySelector('h1').textContent.trim()")
        seen["margin"] = chromium.evaluate("getComputedStyle(document.body).margin")
        seen["complaints"] = complaints(chromium)

    visit(tmp_path, scene, inspect)

    assert seen["state"] == scene.state
    assert {url for url in seen["asked"] if not url.startswith("data:")} == {seen["url"]}
    assert seen["complaints"] == []
    assert seen["margin"] == "0px"


@BY_STATE
def test_the_page_fits_every_screen(chromium: Browser, tmp_path: Path, scene: Scene) -> None:
    """At every width all text is within the window."""
    overflow: dict[int, list[str]] = {}

    def inspect(url: str) -> None:
        for width in WIDTHS:
            chromium.show(width=width)
            chromium.open(url)
            overflow[width] = chromium.evaluate(
                "[...document.querySelectorAll('body *')].filter(each =>"
                " each.getBoundingClientRect().right > innerWidth"
                " || each.scrollWidth > each.clientWidth && !each.closest('svg, a, code, span, time'))"
                ".map(each => each.outerHTML.slice(0, 80))"
            )

    visit(tmp_path, scene, inspect)

    assert overflow == {width: [] for width in WIDTHS}


@BY_STATE
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation(chromium: Browser, tmp_path: Path, scene: Scene, dark: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """All rules of axe-core, such as contrast, names, landmarks and headings, at both widths."""
    found: list[str] = []

    def inspect(url: str) -> None:
        for width in (1000, 360):
            chromium.show(width=width, dark=dark)
            chromium.open(url)
            found.extend(axe(chromium))

    visit(tmp_path, scene, inspect)

    assert found == []


def test_the_reader_gets_light_or_dark_as_preferred(chromium: Browser, tmp_path: Path) -> None:
    """The banner has the colour of the state in both."""
    colours: dict[bool, list[str]] = {}

    def inspect(url: str) -> None:
        for dark in (False, True):
            chromium.show(dark=dark)
            chromium.open(url)
            colours[dark] = chromium.evaluate(
                "['body', 'header'].map(each => getComputedStyle(document.querySelector(each)).backgroundColor)"
            )

    visit(tmp_path, SCENES[0], inspect)

    assert colours == {
        False: ["rgb(255, 255, 255)", "rgb(23, 106, 52)"],
        True: ["rgb(16, 20, 24)", "rgb(23, 106, 52)"],
    }


def test_the_keyboard_reaches_every_link_in_order(chromium: Browser, tmp_path: Path) -> None:
    """With the tab key. The focus is visible."""
    seen: dict[str, Any] = {}

    def inspect(url: str) -> None:
        chromium.show()
        chromium.open(url)
        seen["links"] = chromium.evaluate("[...document.links].map(each => each.getAttribute('href'))")
        seen["reached"], seen["outlines"] = [], set()
        for _ in seen["links"]:
            chromium.press("Tab", TAB)
            seen["reached"].append(chromium.evaluate("document.activeElement.getAttribute('href')"))
            seen["outlines"].add(chromium.evaluate("getComputedStyle(document.activeElement).outlineStyle"))

    visit(tmp_path, SCENES[3], inspect)

    assert seen["links"][:2] == ["/?refresh=off", "#assume_role_unauthorized"]
    assert seen["reached"] == seen["links"]
    assert seen["outlines"] == {"solid"}


def test_a_screen_reader_gets_names_and_landmarks(chromium: Browser, tmp_path: Path) -> None:
    """Landmarks with names, headings, and the bar as an image with a description."""
    roles: dict[str, list[str]] = {}

    def inspect(url: str) -> None:
        chromium.open(url)
        for node in chromium.call("Accessibility.getFullAXTree")["nodes"]:
            if not node.get("ignored"):
                roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))

    visit(tmp_path, SCENES[1], inspect)

    assert [len(roles[each]) for each in ("banner", "main", "contentinfo")] == [1, 1, 1]
    assert roles["region"] == [
        "Credentials",
        "What is wrong, and what to do",
        "This instance",
        "What happened",
        "See also",
    ]
    assert roles["heading"][0] == "Degraded"
    assert roles["article"] == ["The role or the instance profile is not the expected one"]
    assert any(name.endswith(" per cent of the life of the credentials has passed.") for name in roles["image"])


def test_the_page_refreshes_without_a_script(chromium: Browser, tmp_path: Path) -> None:
    """Opened before the first poll has ended, it shows the state two seconds later."""
    states: list[str] = []

    def first(address: str) -> None:
        chromium.show()
        chromium.open(f"http://{address}/")
        states.append(chromium.evaluate("document.querySelector('h1').textContent.trim()"))

    def later() -> None:
        for _ in range(2):  # a load that had begun before the verdict still says that it starts
            chromium.events.clear()
            chromium.wait("Page.loadEventFired")
            states[1:] = [chromium.evaluate("document.querySelector('h1').textContent.trim()")]
            if states[1:] != states[:1]:
                break

    with in_process(tmp_path, "healthy") as daemon:
        daemon.run((2, later), polls=3, ready=first)

    assert states == ["Starting", "OK"]


def test_a_command_is_selected_as_a_whole(chromium: Browser, tmp_path: Path) -> None:
    """A click selects it with its line breaks, to copy it into a shell."""
    seen: dict[str, str] = {}

    def inspect(url: str) -> None:
        chromium.show()
        chromium.open(url)
        place = chromium.evaluate(
            "(() => { const code = document.querySelector('pre code'); code.scrollIntoView({block: 'center'});"
            " const box = code.getClientRects()[0]; return [box.x + 30, box.y + 5, code.textContent] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            chromium.call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1, buttons=1
            )
        seen["selected"], seen["command"] = chromium.evaluate("getSelection().toString()"), place[2]

    visit(tmp_path, SCENES[3], inspect)

    assert seen["selected"].strip() == seen["command"]
    assert seen["command"].startswith("aws iam get-role --role-name=")
