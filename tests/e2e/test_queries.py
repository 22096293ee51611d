"""Every published query has a result in a real Prometheus, with a fleet in trouble."""

from __future__ import annotations

import pytest

from e2e.questions import NOTHING_WRONG, Question, questions
from e2e.story import Story

QUESTIONS = list(questions())


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.where)
def test_a_query_has_an_answer(story: Story, question: Question) -> None:
    """One that finds nothing when everything is wrong finds nothing, ever."""
    answer = story.answers[question.expr]

    assert bool(answer) is not question.empty, question.expr


def test_what_may_be_empty_is_still_asked() -> None:
    """A panel or question that was renamed would otherwise have its excuse for ever."""
    assert {question.where for question in QUESTIONS if question.empty} == set(NOTHING_WRONG)
