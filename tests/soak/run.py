"""A soak by hand: ``make soak``. Exit status 1 where a bound is exceeded.

The daemon runs as packaged, on the system's Python; everything is on loopback.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from rolewatch.cli.options import seconds
from soak.engine import Plan, Soak
from soak.figures import NAMES, Figures

LAUNCHER = Path(__file__).resolve().parents[2] / "build/private/bin/rolewatch"
FASTEST = 5.0
"""Seconds between two polls, which is as often as the settings allow."""


def main() -> int:
    """Watch for as long as is asked for, print the figures on the way and in the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="duration", type=seconds, default=3600.0, metavar="DURATION")
    parser.add_argument("--skip", action="store_true", help="skip the time between the polls: a month in minutes")
    parser.add_argument("--interval", type=float, metavar="SECONDS", help="between two polls (default: 5, or 30)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="order of scenarios")
    arguments = parser.parse_args()
    if arguments.skip:
        plan = Plan(arguments.seed, interval=arguments.interval or 30.0, launcher=str(LAUNCHER), rest=54)
    else:
        plan = Plan(
            arguments.seed,
            visit=3,
            rest=2,
            lives=(5, 5),
            warm=100,
            reload_every=17,
            interval=arguments.interval or FASTEST,
            scrape_every=1.0,
            launcher=str(LAUNCHER),
        )
    print(f"seed {plan.seed}; {arguments.duration:g} s, a poll every {plan.interval:g} s", flush=True)
    print(f"{'passed':>10}" + "".join(f"{title:>18}" for title, _ in NAMES.values()), flush=True)
    with tempfile.TemporaryDirectory() as directory:
        outcome = Soak(Path(directory), plan, accelerated=arguments.skip).run(arguments.duration, show=show)
    print("\n".join(outcome.table()))
    broken = outcome.broken()
    print("\n".join(broken) or "Every figure is within its bound.")
    return 1 if broken else 0


def show(passed: float, figures: Figures) -> None:
    """Print one sample."""
    print(f"{passed:>8.0f} s" + "".join(f"{getattr(figures, name):>18.5g}" for name in NAMES), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
