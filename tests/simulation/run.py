"""One history from beginning to end, and what is to be told of it."""

import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.history import History, Plot


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a history. `digest` tells it from every other."""

    seed: int
    plot: Plot
    failure: BaseException | None
    digest: str
    contract_years: float
    faults: Counter[str]
    certificates: int
    bounds: int
    quiescences: int
    demands: int
    excuses: Counter[str]
    tail: tuple[str, ...]


def play(seed: int, plot: Plot, tell: Callable[[str], object] | None = None) -> Outcome:
    """Let the history of that seed happen. `tell` is given each line of it."""
    history = History(seed, plot, tell)
    failure: BaseException | None = None
    try:
        history.run()
    except Exception as error:
        failure = error
    world = history.world
    return Outcome(
        seed=seed,
        plot=plot,
        failure=failure,
        digest=world.digest,
        contract_years=plot.contracts * plot.years,
        faults=world.weather.drawn,
        certificates=len(world.authority.issued),
        bounds=world.judge.checks,
        quiescences=world.judge.quiescent,
        demands=world.judge.demanded,
        excuses=world.judge.excused,
        tail=tuple(world.recent),
    )


def describe(outcome: Outcome) -> str:
    """In words; for a failure its last events, and how to see it again."""
    if outcome.failure is None:
        return (
            f"seed {outcome.seed}: {outcome.contract_years:.0f} contract-years, {outcome.certificates}"
            f" certificates, {outcome.faults.total()} faults; {outcome.bounds} times nothing stood that had"
            f" to go, {outcome.quiescences} times at rest, {outcome.demands} times served as paid"
            f" (excused: {dict(outcome.excuses) or 'never'}). History {outcome.digest[:16]}."
        )
    failure, plot = outcome.failure, outcome.plot
    expected = isinstance(failure, AssertionError)
    told = str(failure) if expected else "".join(traceback.format_exception(failure))
    again = (
        f"python -m tests.simulation --seed {outcome.seed} --contracts {plot.contracts} --years {plot.years}"
        f" --replicas {plot.replicas} --days-between-acts {plot.days_between_acts}"
        f"{'' if plot.faults else ' --calm'} --tell"
    )
    return "\n".join((*outcome.tail, f"{type(failure).__name__}: {told}", f"Seen again by: {again}"))
