"""python -m tests.fuzz --inputs 1000000

Feeds every target in turn with inputs drawn from one seed, and prints a table of what was fed. An input that
a target does not stand up to is printed as the command that feeds it again; the exit status is then 1.
"""

import argparse
import logging
import sys
import time
import traceback
from random import Random

from tests.fuzz.targets import TARGETS

BATCH = 1000


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Feed odd input to every parser."
    )
    parser.add_argument("--inputs", type=int, default=100_000, help="how many, all targets together")
    parser.add_argument("--seed", type=int, default=1, help="what chance begins with")
    parser.add_argument("--target", choices=TARGETS, help="this one alone")
    parser.add_argument("--number", type=int, help="this one input alone")
    asked = parser.parse_args()
    logging.disable(logging.ERROR)
    names = [asked.target] if asked.target else list(TARGETS)
    numbers = [asked.number] if asked.number is not None else range(-(-asked.inputs // len(names)))
    failed, began, fed = 0, time.monotonic(), 0
    print("| target | inputs | seconds | not stood up to |\n|---|---|---|---|")
    for name in names:
        started, broken = time.monotonic(), 0
        for number in numbers:
            try:
                TARGETS[name](Random(f"{asked.seed}/{name}/{number}"))
            except Exception:
                broken += 1
                if broken == 1:
                    again = f'--seed {asked.seed} --target "{name}" --number {number}'
                    print(f"python -m tests.fuzz {again}\n{traceback.format_exc()}", file=sys.stderr)
            fed += 1
            if fed % BATCH == 0 and sys.stderr.isatty():
                print(f"\r{fed} of {len(numbers) * len(names)}", end="\r", file=sys.stderr)
        failed += broken
        print(f"| {name} | {len(numbers)} | {time.monotonic() - started:.0f} | {broken} |", flush=True)
    print(f"| all | {fed} | {time.monotonic() - began:.0f} | {failed} |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
