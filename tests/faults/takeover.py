"""Two replicas, and the one that acts goes, or is paused and comes back: who acts when, and what is bought.

`python -m tests.faults.takeover` measures the one with the Lease as it is shipped, and counts the other;
exit status 0 if every order ended right and every bound was kept.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

from tests.faults import audit, table
from tests.faults.kills import Cut, Outcome, comes_by, cuts_of, record, settle, told, wait_until_quiet
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import Stage

SHORT_LEASE_SECONDS: Final = 4
PAUSED: Final = ("issuance", "reissue", "revocation with replacement", "suspension", "reinstatement")
TIMES: Final = 3


def _kill(stage: Stage) -> None:
    stage.operator.kill()


def _stop(stage: Stage) -> None:
    stage.operator.process.terminate()


def _cut_off(stage: Stage) -> None:
    stage.proxy.cut_off()


ENDS: Final[dict[str, tuple[Callable[[Stage], None], float]]] = {
    "SIGKILL": (_kill, 20.0),
    "SIGTERM": (_stop, 2.0),
    "partition from the API server": (_cut_off, 20.0),
}
"""How a leader goes, and within how many seconds its successor must act (with a Lease of 15 s)."""


def take_over(stage: Stage, how: str) -> float:
    """Seconds from the leader's end until its successor acts. An order that is paid at that moment is served.

    :raises AssertionError: it is not served, or more was bought than needed.
    """
    scenario, leader, way = SCENARIOS["issuance"], stage.operator, stage.proxy
    with told(stage, scenario) as order:
        successor = stage.standby()
        begins = leader.log.stat().st_size
        ended_at = time.monotonic()
        ENDS[how][0](stage)
        order.is_paid()
        successor.acts()
        seconds = time.monotonic() - ended_at
        way.reconnect()
        if leader.process.poll() is None and how != "SIGTERM":
            leader.wait_for_line("No longer acting", begins)
        settle(stage, order, scenario.end)
        found = audit.faults(stage, order, scenario.end)
        leader.kill()
        stage.succeeds(successor)
    assert not found, f"{how}: {'; '.join(found)}"
    return seconds


def pause(stage: Stage, cut: Cut) -> Outcome:
    """Pause the leader (SIGSTOP) at a boundary until its successor has done everything; then let both the
    process and the request go on."""
    scenario, begun, pauses = SCENARIOS[cut.scenario], time.monotonic(), 0
    leader = stage.operator
    with told(stage, scenario) as order:
        successor = stage.standby()
        stage.gate.arm(cut.boundary, cut.moment)
        order = scenario.happens(order)
        if comes_by(stage, order, scenario.end) and not successor.has_acted():
            begins = leader.log.stat().st_size
            leader.process.send_signal(signal.SIGSTOP)
            pauses = 1
            successor.acts()
            settle(stage, order, scenario.end)
            stage.gate.release()
            leader.process.send_signal(signal.SIGCONT)
            leader.wait_for_line("No longer acting", begins)
        stage.gate.disarm()
        wait_until_quiet(stage)
        settle(stage, order, scenario.end)
        found = audit.faults(stage, order, scenario.end)
        bought, needed = len(order.client.certificates()), len(scenario.end.revoked)
        leader.kill()
        stage.succeeds(successor)
    return Outcome(cut, pauses, bought, needed, time.monotonic() - begun, tuple(found))


def sample(stage: Stage, scenarios: Sequence[str], count: int | None, seed: int) -> list[Cut]:
    """So many of the boundaries of these scenarios, recorded now; without a count all of them."""
    cuts = cuts_of({name: record(stage, SCENARIOS[name]) for name in scenarios})
    return cuts if count is None else Random(seed).sample(cuts, min(count, len(cuts)))


def main() -> int:
    """Runs the command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.takeover", description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES, help=f"take-overs of each kind; default {TIMES}")
    parser.add_argument("--pauses", type=int, metavar="N", help="how many; default: each boundary thrice")
    parser.add_argument("--seed", type=int, default=1, help="of the sample of pauses; default 1")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the figures there, as Markdown")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill is a Ctrl-C
    with Stage.set_up() as stage:
        seconds = {how: [_shown(stage, how) for _ in range(options.times)] for how in ENDS}
    with Stage.set_up(SHORT_LEASE_SECONDS) as stage:
        cuts = sample(stage, PAUSED, options.pauses, options.seed)
        pauses = []
        for number, cut in enumerate(cuts, 1):
            pauses.append(pause(stage, cut))
            print(f"{number}/{len(cuts)} {table.line(pauses[-1], 'pauses')}", flush=True)
    told = f"{figures(seconds)}\n\n{table.summary(pauses, 'pauses')}\n\n{table.markdown(pauses, 'pauses')}\n"
    print("\n" + told)
    if options.table:
        options.table.write_text(told)
    late = any(max(measured) > ENDS[how][1] for how, measured in seconds.items())
    return int(late or any(outcome.faults for outcome in pauses))


def _shown(stage: Stage, how: str) -> float:
    seconds = take_over(stage, how)
    print(f"{how}: {seconds:.1f} s", flush=True)
    return seconds


def figures(seconds: dict[str, list[float]]) -> str:
    """The table of take-over times."""
    head = ("the leader's end", "take-overs", "shortest", "longest", "must be under")
    lines = [head, tuple("---" for _ in head)]
    for how, measured in seconds.items():
        bounds = (min(measured), max(measured), ENDS[how][1])
        lines.append((how, str(len(measured)), *(f"{bound:.1f} s" for bound in bounds)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
