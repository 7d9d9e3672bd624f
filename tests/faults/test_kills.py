"""A share of what `python -m tests.faults` does, within a few minutes."""

import time
from random import Random
from typing import Final

import pytest

from tests.faults import table
from tests.faults.kills import Outcome, again, carry_out, cuts_of, record
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.deep]

SECONDS: Final = 180.0
SEED: Final = 2
SCENARIOS_TRIED: Final = 4
SECOND_KILLS: Final = 2


def test_wherever_the_operator_is_killed_it_buys_what_is_needed(stage: Stage) -> None:
    random = Random(SEED)
    names = random.sample(sorted(SCENARIOS), SCENARIOS_TRIED)
    cuts = cuts_of({name: record(stage, SCENARIOS[name]) for name in names})
    random.shuffle(cuts)
    until, outcomes = time.monotonic() + SECONDS, list[Outcome]()
    for cut in (*again(cuts, SECOND_KILLS, random), *cuts):
        if time.monotonic() > until:
            break
        outcomes.append(carry_out(stage, cut))
    print(table.summary(outcomes))
    assert [table.line(outcome) for outcome in outcomes if outcome.faults] == []
    assert sum(outcome.kills for outcome in outcomes) > len(outcomes) / 2
