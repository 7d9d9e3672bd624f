"""Two operators: one acts, the other takes over, and neither buys what the other has bought."""

from typing import Final

import pytest

from tests.faults import table
from tests.faults.kills import Outcome
from tests.faults.stage import Stage
from tests.faults.takeover import ENDS, SHORT_LEASE_SECONDS, pause, sample, take_over

pytestmark = [pytest.mark.cluster, pytest.mark.deep]

PAUSES: Final = 4
SLACK_SECONDS: Final = 5.0
"""What the shipped bound of 20 s leaves beyond the Lease's 15 s."""


@pytest.mark.parametrize("how", ENDS)
def test_another_takes_over(stage_of_replicas: Stage, how: str) -> None:
    bound = ENDS[how][1] if how == "SIGTERM" else SHORT_LEASE_SECONDS + SLACK_SECONDS
    assert take_over(stage_of_replicas, how) < bound


def test_a_leader_that_was_paused_across_its_lease_does_no_harm(stage_of_replicas: Stage) -> None:
    cuts = sample(stage_of_replicas, ["issuance", "reissue"], PAUSES, seed=SHORT_LEASE_SECONDS)
    outcomes: list[Outcome] = [pause(stage_of_replicas, cut) for cut in cuts]
    assert [table.line(outcome, "pauses") for outcome in outcomes if outcome.faults] == []
    assert any(outcome.kills for outcome in outcomes)
