"""The work for every text from outside is linear in its length: found in the source, and measured.

Twice the input costs at most 2.5 times the CPU, at the largest input that each parser accepts. tests/parsers.py has the
inputs, and says how to add one.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import logging
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Union

import pytest

from forms import Form
from parsers import DECODERS, OWN_TEXTS, PARSERS, REFUSALS, Parser, Place, text_of

PACKAGE = Path(__file__).parents[1] / "agent" / "rolewatch"
MATCHING = {"match", "fullmatch", "search", "finditer", "findall", "sub", "subn"}
SPLITTING = {"split", "rsplit", "splitlines", "partition", "rpartition"}
STEEPEST = 2.5
"""How much more twice the input may cost."""
NOTHING = 0.004
"""CPU seconds. A largest input that costs less delays nothing, and is too short to be measured."""
TOO_LONG = 2.0
"""CPU seconds that no input may cost."""
SHIFTS = (9, 7, 5, 3, 2, 1, 0)
"""The sizes that are tried, as shifts of the largest, upwards: what is not linear might never come back from that."""
MEASURED = (3, 2, 1, 0)
"""Those of which the costs are compared: the input doubles three times."""
TRIES = 25
"""Rounds at the most. The first that fits ends them: what is not linear fits in none."""


class Found(NamedTuple):
    """A function that uses a parser's tools."""

    file: str
    line: int
    name: str
    """As `OWN_TEXTS` has it: ``config.document._parse``."""


def found() -> Iterator[Found]:
    """Yield every function of the package that matches, splits or decodes a text."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).replace(".__init__", "")
        yield from _found_in(ast.parse(path.read_text(encoding="utf-8")), str(path), module)


_Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


def _found_in(node: ast.AST, file: str, name: str) -> Iterator[Found]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(map(_parses, _own(node))):
        yield Found(file, min([node.lineno, *(each.lineno for each in node.decorator_list)]), name)
    for child in ast.iter_child_nodes(node):
        inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        yield from _found_in(child, file, f"{name}.{child.name}" if inner else name)  # type: ignore[attr-defined]


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is in *node*, but not what is in functions in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield child
            yield from _own(child)


def _parses(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in DECODERS
    if not isinstance(node.func, ast.Attribute) or isinstance(node.func.value, ast.Constant):
        return False
    return node.func.attr in MATCHING | SPLITTING | DECODERS


def is_of_own_texts(function: Found) -> bool:
    """Return whether `OWN_TEXTS` names *function*, its module or its room."""
    return any(
        function.name.startswith(name) if name.endswith((".", "_route")) else function.name == name
        for name in OWN_TEXTS
    )


@pytest.fixture(name="place", scope="module")
def a_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give the parsers something to read from. What urllib3 logs, which only pytest reads, is not measured."""
    with contextlib.ExitStack() as opened:
        opened.callback(logging.disable, logging.NOTSET)
        logging.disable()
        yield Place(tmp_path_factory.mktemp("parsers"), opened)


def cost(parser: Parser, text: str, place: Place) -> float:
    """Return the CPU seconds that *parser* takes for *text*."""
    began = time.process_time()
    with contextlib.suppress(*REFUSALS):
        parser.run(text, place)
    return time.process_time() - began


def steepness(parser: Parser, frame: str, unit: str, place: Place) -> float:
    """Return how many times more twice the input costs, up to the largest; 0 where that costs next to nothing.

    It is the median of the last three times that the input doubles. The allocator and a processor's caches have a step
    somewhere, which one of the three pays for; what is not linear is steep in all of them. Of several tries the least
    counts: a machine that is busy with other things is not what is measured.
    """
    texts: dict[int, str] = {}
    costs: dict[int, float] = {}
    for shift in SHIFTS:
        texts[shift] = text_of(frame, unit, parser.largest >> shift)
        costs[shift] = cost(parser, texts[shift], place)
        # A stall of the machine's is not twice.
        if costs[shift] > TOO_LONG and cost(parser, texts[shift], place) > TOO_LONG:
            return float("inf")
    if costs[0] < NOTHING:
        return 0.0
    for _ in range(TRIES):
        if _median_step(costs) <= STEEPEST:
            break
        costs = {shift: min(costs[shift], cost(parser, texts[shift], place)) for shift in MEASURED}
    return _median_step(costs)


def _median_step(costs: dict[int, float]) -> float:
    return statistics.median(costs[large] / costs[small] for small, large in zip(MEASURED, MEASURED[1:]))


def test_one_step_of_the_allocator_is_not_steep_and_a_square_is() -> None:
    """CPU seconds of a list whose largest size first needs new memory, and of a function that compares all with all."""
    assert _median_step({3: 0.00059, 2: 0.00119, 1: 0.0025, 0: 0.0132}) < STEEPEST
    assert _median_step({3: 0.0002, 2: 0.0006, 1: 0.002, 0: 0.0072}) > STEEPEST


@pytest.mark.parametrize("name", PARSERS)
def test_twice_the_input_costs_twice_the_work(name: str, place: Place, form: Form) -> None:
    """Whatever is repeated, in any place: no input delays the daemon or a command by more than its length allows."""
    parser = PARSERS[name]
    gc.disable()
    try:
        inputs = list(parser.inputs())[:: form.pick(quick=5, short=1, long=1)]
        steep = {each: steepness(parser, *each, place) for each in inputs}
    finally:
        gc.enable()

    assert {each: times for each, times in steep.items() if times > STEEPEST} == {}


def test_every_parser_of_the_package_is_measured(tmp_path: Path) -> None:
    """Each function that parses is reached by an input of tests/parsers.py, or named there as one of our own texts."""
    reached: set[tuple[str, int]] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:  # noqa: ANN401 - as `sys.setprofile` has it
        if event == "call":
            reached.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    with contextlib.ExitStack() as profiled:
        profiled.callback(sys.setprofile, sys.getprofile())
        profiled.callback(threading.setprofile, None)
        threading.setprofile(note)
        place = Place(tmp_path, profiled)
        sys.setprofile(note)
        for parser in PARSERS.values():
            for frame, unit in parser.inputs():
                with contextlib.suppress(*REFUSALS):
                    parser.run(text_of(frame, unit, 100), place)
    functions = list(found())

    assert functions
    assert [
        f"{each.file}:{each.line}: {each.name} parses, and no input in tests/parsers.py reaches it"
        for each in functions
        if (each.file, each.line) not in reached and not is_of_own_texts(each)
    ] == []


def test_every_reason_is_for_a_function_that_is_there() -> None:
    """What is gone, or no longer parses, needs no exception."""
    names = [each.name for each in found()]

    assert [
        reason
        for reason in OWN_TEXTS
        if not any(name.startswith(reason) if reason.endswith((".", "_route")) else name == reason for name in names)
    ] == []


def test_every_expression_is_compiled_at_the_top_of_its_module() -> None:
    """There `make lint` finds it, and whether it backtracks."""
    wrong: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner = {id(node) for outer in ast.walk(tree) if isinstance(outer, _FUNCTIONS) for node in ast.walk(outer)}
        wrong += [
            f"{path}:{node.lineno}: re.{node.func.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and (node.func.attr in MATCHING | {"split"} or (node.func.attr == "compile" and id(node) in inner))
        ]

    assert wrong == []


_FUNCTIONS: tuple[type[ast.AST], ...] = (ast.FunctionDef, ast.AsyncFunctionDef)
