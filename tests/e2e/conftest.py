"""The story is played once for all tests of this directory; at the end a table shows how long everything took."""

from __future__ import annotations

import pytest

from e2e.latency import table
from e2e.questions import questions
from e2e.shipped import CONFIG, EXPECTED, HELD_BACK, RULES
from e2e.story import Story, play

STORY = pytest.StashKey[Story]()


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Story:
    """Return what came of it. Where it came to no end there is nothing to test, and one failure says so."""
    try:
        story = play(
            tmp_path_factory.mktemp("e2e"),
            rules=RULES,
            config=CONFIG,
            expected=EXPECTED,
            held=HELD_BACK,
            queries=[question.expr for question in questions()],
        )
    except BaseException:
        request.session.shouldstop = "the story came to no end"
        raise
    request.config.stash[STORY] = story
    return story


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the latencies, with any options of pytest."""
    story = config.stash.get(STORY, None)
    if story is not None:
        for line in table(story):
            terminalreporter.write_line(line)
