"""Run histories: one by its seed, or fresh ones for as long as one likes."""

import argparse
import os
import secrets
import sys
import time
from collections import Counter

from tests.simulation.history import Plot
from tests.simulation.run import describe, play

PROGRESS_EVERY = 5.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this history, and no other")
    parser.add_argument("--minutes", type=float, default=1.0, help="play fresh histories for so long")
    parser.add_argument("--contracts", type=int, default=Plot.contracts)
    parser.add_argument("--years", type=float, default=Plot.years)
    parser.add_argument("--replicas", type=int, default=Plot.replicas)
    parser.add_argument("--days-between-acts", type=float, default=Plot.days_between_acts)
    parser.add_argument("--calm", action="store_true", help="nothing fails")
    parser.add_argument("--tell", action="store_true", help="print what happens")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    plot = Plot(
        arguments.contracts,
        arguments.years,
        arguments.replicas,
        arguments.days_between_acts,
        faults=not arguments.calm,
    )
    if arguments.seed is not None:
        outcome = play(arguments.seed, plot, print if arguments.tell else None)
        print(describe(outcome))
        return int(outcome.failure is not None)
    return _endlessly(plot, arguments.minutes)


def _endlessly(plot: Plot, minutes: float) -> int:
    began = told = time.monotonic()
    faults: Counter[str] = Counter()
    years, seeds = 0.0, 0
    while (spent := time.monotonic() - began) < minutes * 60:
        outcome = play(secrets.randbits(32), plot)
        if outcome.failure is not None:
            print(describe(outcome))
            return 1
        seeds, years = seeds + 1, years + outcome.contract_years
        faults += outcome.faults
        if time.monotonic() - told > PROGRESS_EVERY:
            told, spent = time.monotonic(), time.monotonic() - began
            print(
                f"{spent:6.0f} s  {seeds} seeds  {years:.0f} contract-years"
                f" ({years / spent * 60:.0f} a minute)  {faults.total()} faults",
                flush=True,
            )
    print(f"{seeds} seeds, {years:.0f} contract-years, no violation. Faults:")
    for fault, number in sorted(faults.items()):
        print(f"  {number:7d}  {fault}")
    return 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets belongs to a history
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
