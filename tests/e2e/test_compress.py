"""Time is compressed by changing durations, and nothing else."""

from __future__ import annotations

import pytest

from e2e.compress import compressed, seconds

RULE = {
    "alert": "RolewatchPollErrors",
    "expr": "rate(rolewatch_polls_total[30m]) > 0.2 and rolewatch_fault_active[1h30m] == 1",
    "for": "15m",
    "labels": {"severity": "warning"},
    "annotations": {"summary": "It fails for 15m.", "runbook_url": "https://example.invalid/1h"},
}


@pytest.mark.parametrize(("text", "expected"), [("5m", 300.0), ("1h30m", 5400.0), ("250ms", 0.25), ("1d", 86400.0)])
def test_a_duration_is_read_as_prometheus_reads_it(text: str, expected: float) -> None:
    """A duration may have several units, one after the other."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5 m", "m5", "5y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """It would pass for nothing."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        seconds(text)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (
            "expiration - time() < 900 and time() - updated > 7200",
            "expiration - time() < 15 and time() - updated > 120",
        ),
        ("time() - last > clamp_min(5 * interval, 300)", "time() - last > clamp_min(5 * interval, 5)"),
        (
            'time() - x{port="9100", le="7200"} > 0.5 * life_3600',
            'time() - x{port="9100", le="7200"} > 0.5 * life_3600',
        ),
        ("abs(offset) > 60", "abs(offset) > 60"),
        ("time() - x[5m] > 90", "time() - x[5000ms] > 1.5"),
    ],
)
def test_ages_are_divided_where_there_is_a_clock(expr: str, expected: str) -> None:
    """What is compared with `time()` is an age; factors, names, labels and other limits are none."""
    assert compressed({"expr": expr}, 60.0) == {"expr": expected}


def test_durations_and_windows_are_divided_and_all_else_stays() -> None:
    """Numbers, names, texts and labels are not touched."""
    small = compressed({"groups": [{"name": "1h", "rules": [RULE]}]}, 60.0)

    assert small == {
        "groups": [
            {
                "name": "1h",
                "rules": [
                    {
                        **RULE,
                        "for": "15000ms",
                        "expr": "rate(rolewatch_polls_total[30000ms]) > 0.2 and rolewatch_fault_active[90000ms] == 1",
                    }
                ],
            }
        ]
    }
