"""Killing the operator at a request, starting it anew, and seeing what became of the order."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.faults import audit
from tests.faults.gate import Boundary, Moment
from tests.faults.scenarios import SCENARIOS, End, Scenario
from tests.faults.stage import Stage
from tests.harness.world import Order

BOUND: Final = 90.0
POLL: Final = 0.05
FURTHEST_AGAIN: Final = 12
"""A second kill comes at one of so many requests of the recovery."""


@dataclass(frozen=True)
class Cut:
    """Where and when the operator is killed; `again` is the number of the request of the recovery at which it
    is killed once more."""

    scenario: str
    boundary: Boundary
    moment: Moment
    again: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one cut. `kills` is 0 where the run did not come by the boundary."""

    cut: Cut
    kills: int
    bought: int
    needed: int
    seconds: float
    faults: tuple[str, ...]


@contextmanager
def told(stage: Stage, scenario: Scenario) -> Iterator[Order]:
    """An order of that scenario, where nothing more happens."""
    client = stage.client(**scenario.client)  # type: ignore[arg-type]
    try:
        order = scenario.begin(client)
        wait_until_quiet(stage)
        yield order
    finally:
        stage.forgets(client)


def wait_until_quiet(stage: Stage) -> None:
    stage.wait(stage.gate.is_quiet, "the operator to be at rest", stage.lately)


def settle(stage: Stage, order: Order, end: End) -> None:
    """Wait until the end has come and nothing more is asked. What is not so is the audit's to say."""
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        if stage.gate.is_quiet() and audit.has_come(order, end) and not audit.faults(stage, order, end):
            return
        time.sleep(POLL)


def record(stage: Stage, scenario: Scenario) -> list[Boundary]:
    """The boundaries of a scenario, in the order in which one run came by them.

    :raises AssertionError: it does not end as it should even when nobody kills the operator.
    """
    with told(stage, scenario) as order:
        stage.gate.arm()
        order = scenario.happens(order)
        settle(stage, order, scenario.end)
        boundaries = list(stage.gate.seen)
        found = audit.faults(stage, order, scenario.end)
        assert not found, f"{scenario.name}, nobody killed: {'; '.join(found)}"
        return boundaries


def carry_out(stage: Stage, cut: Cut) -> Outcome:
    """Kill the operator there, start it anew, and judge. A run that breaks off has ended wrong."""
    begun = time.monotonic()
    try:
        return _carry_out(stage, cut, begun)
    except AssertionError as error:
        stage.gate.disarm()
        if stage.operator.process.poll() is not None:
            stage.resume()
        needed = len(SCENARIOS[cut.scenario].end.revoked)
        return Outcome(cut, 0, 0, needed, time.monotonic() - begun, (f"it broke off: {error}",))


def _carry_out(stage: Stage, cut: Cut, begun: float) -> Outcome:
    scenario, kills = SCENARIOS[cut.scenario], 0
    with told(stage, scenario) as order:
        stage.gate.arm(cut.boundary, cut.moment)
        order = scenario.happens(order)
        while comes_by(stage, order, scenario.end):
            stage.kill_operator()
            kills += 1
            stage.resume()
            stage.gate.arm(cut.again if kills == 1 else None, cut.moment)
        stage.gate.disarm()
        settle(stage, order, scenario.end)
        found = audit.faults(stage, order, scenario.end)
        bought = len(order.client.certificates())
    needed = len(scenario.end.revoked)
    return Outcome(cut, kills, bought, needed, time.monotonic() - begun, tuple(found))


def comes_by(stage: Stage, order: Order, end: End) -> bool:
    """Whether a request is stopped before the scenario ends."""
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        if stage.gate.reached.wait(POLL):
            return True
        if stage.gate.is_quiet():
            if audit.has_come(order, end):
                return stage.gate.reached.is_set()
            _decide(order, end)
    return False


def _decide(order: Order, end: End) -> None:
    """What the provider does of an order that two kills left uncertain: nothing was issued, buy again."""
    uncertain = order.conditions().get("IssuanceUncertain", {})
    if uncertain.get("status") == "True" and order.kstatus() == "Failed":
        assert len(order.client.certificates()) < len(end.revoked), "what was issued is found"
        order.suffers("Resolve", resolve={"buyAgain": True}).becomes("CarriedOut")


def cuts_of(recorded: Mapping[str, Sequence[Boundary]]) -> list[Cut]:
    """Every boundary, at every moment."""
    return [
        Cut(scenario, boundary, moment)
        for scenario, boundaries in recorded.items()
        for boundary in boundaries
        for moment in Moment
    ]


def again(cuts: Sequence[Cut], count: int, random: Random) -> list[Cut]:
    """So many of these cuts, each with a second kill while the order recovers from the first."""
    return [
        Cut(cut.scenario, cut.boundary, cut.moment, random.randint(1, FURTHEST_AGAIN))
        for cut in random.choices(cuts, k=count)
    ]
