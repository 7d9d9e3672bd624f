"""The table of kills, as Markdown."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.faults.kills import Outcome


@dataclass(frozen=True)
class Row:
    """All outcomes of one boundary."""

    scenario: str
    boundary: str
    outcomes: Sequence[Outcome]

    def cells(self) -> tuple[str, ...]:
        kills = sum(outcome.kills for outcome in self.outcomes)
        bought = sum(outcome.bought for outcome in self.outcomes)
        needed = sum(outcome.needed for outcome in self.outcomes)
        longest = max(outcome.seconds for outcome in self.outcomes)
        wrong = sum(bool(outcome.faults) for outcome in self.outcomes)
        return (
            self.scenario,
            f"`{self.boundary}`",
            str(kills),
            f"{bought} / {needed}",
            f"{longest:.1f}",
            str(wrong),
        )


def rows(outcomes: Iterable[Outcome]) -> list[Row]:
    """One row a boundary, in the order in which they came."""
    found: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.cut.scenario, str(outcome.cut.boundary)].append(outcome)
    return [Row(scenario, boundary, tuple(each)) for (scenario, boundary), each in found.items()]


def markdown(outcomes: Sequence[Outcome], means: str = "kills") -> str:
    """The whole table. Seconds are those of the slowest run: order, kill, start, recovery and audit."""
    head = ("scenario", "boundary", means, "bought / needed", "seconds at most", "ended wrong")
    lines = [head, tuple("---" for _ in head), *(row.cells() for row in rows(outcomes))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary(outcomes: Sequence[Outcome], means: str = "kills") -> str:
    """One sentence of figures."""
    kills = sum(outcome.kills for outcome in outcomes)
    bought = sum(outcome.bought for outcome in outcomes)
    needed = sum(outcome.needed for outcome in outcomes)
    missed = sum(outcome.kills == 0 for outcome in outcomes)
    wrong = sum(bool(outcome.faults) for outcome in outcomes)
    return (
        f"{kills} {means} in {len(outcomes)} runs at {len(rows(outcomes))} boundaries; {bought} certificates"
        f" bought and {needed} needed; {wrong} runs ended wrong, {missed} did not come by their boundary."
    )


def line(outcome: Outcome, means: str = "kills") -> str:
    """One outcome, as it is told while the run goes on."""
    cut = outcome.cut
    twice = f", again at request {cut.again}" if cut.again else ""
    state = "; ".join(outcome.faults) or ("right" if outcome.kills else "right, but did not come by")
    return (
        f"{cut.scenario}: {cut.boundary} {cut.moment}{twice}: {outcome.kills} {means},"
        f" bought {outcome.bought}/{outcome.needed}, {outcome.seconds:.1f} s: {state}"
    )
