"""`python -m tests.faults` kills the operator at every request boundary; exit status 0 if all ended right.

Boundaries are recorded from a run of each scenario, and each is tried at every moment: before the request is
sent, after, and after the answer. `--again` adds runs with a second kill while the order recovers.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.faults import table
from tests.faults.kills import Cut, Outcome, again, carry_out, cuts_of, record
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import Stage


def main() -> int:
    """Runs the command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, metavar="N", help="a sample of so many; default: all of them")
    parser.add_argument("--again", type=int, default=0, metavar="N", help="so many runs with two kills")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS, help="only this one; repeatable")
    parser.add_argument("--seed", type=int, default=1, help="of the sample and of second kills; default 1")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table there, as Markdown")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill is a Ctrl-C
    outcomes: list[Outcome] = []
    begun, random = time.monotonic(), Random(options.seed)
    try:
        with Stage.set_up() as stage:
            cuts = plan(stage, options.scenario or list(SCENARIOS), options.kills, options.again, random)
            for number, cut in enumerate(cuts, 1):
                outcomes.append(carry_out(stage, cut))
                print(f"{number}/{len(cuts)} {table.line(outcomes[-1])}", flush=True)
    except KeyboardInterrupt:
        print("\nStopped.")
    if not outcomes:
        return 130
    minutes = (time.monotonic() - begun) / 60
    told = f"{table.summary(outcomes)} {minutes:.0f} minutes.\n\n{table.markdown(outcomes)}\n"
    print("\n" + told)
    if options.table:
        options.table.write_text(told)
    return int(any(outcome.faults for outcome in outcomes))


def plan(stage: Stage, scenarios: Sequence[str], kills: int | None, twice: int, random: Random) -> list[Cut]:
    """The runs to be made, of boundaries recorded now."""
    recorded = {name: record(stage, SCENARIOS[name]) for name in scenarios}
    cuts = cuts_of(recorded)
    print(f"{sum(map(len, recorded.values()))} boundaries in {len(recorded)} scenarios", flush=True)
    once = cuts if kills is None else random.sample(cuts, min(kills, len(cuts)))
    return once + again(cuts, twice, random)


if __name__ == "__main__":
    sys.exit(main())
