"""The table of phases as a whole; that plans keep to it is shown by the properties."""

from itertools import pairwise

import pytest

from sslorder.api.action import Article
from sslorder.api.phases import Phase
from sslorder.contract.lifecycle import TRANSITIONS, transition


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_can_be_reached(phase: Phase) -> None:
    assert phase is Phase.RECEIVED or any(row.after is phase for row in TRANSITIONS)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.TERMINATED])
def test_every_phase_but_terminated_can_be_left(phase: Phase) -> None:
    assert any(row.before is phase for row in TRANSITIONS)
    assert transition(phase, Phase.TERMINATED) is not None


def test_terminated_is_final() -> None:
    assert not any(row.before is Phase.TERMINATED for row in TRANSITIONS)


def test_no_way_is_listed_twice_and_none_leads_nowhere() -> None:
    ways = sorted((row.before, row.after) for row in TRANSITIONS)
    assert not any(one == other for one, other in pairwise(ways))
    assert all(before is not after for before, after in ways)


def test_every_way_says_why() -> None:
    articles = {"2.1", "3.1", "4.1", "4.2", "5.5a", "7.2", "7.4", "9.2", *Article}
    assert all(row.trigger and row.article in articles for row in TRANSITIONS)
