"""Histories with fixed seeds: quick ones in every test run, hundreds of contract-years in the deep ones."""

import pytest

from tests.simulation.history import Plot
from tests.simulation.run import describe, play

QUICK = Plot(contracts=2, years=0.8)
DEEP = Plot(contracts=5, years=4.0, days_between_acts=30.0)


@pytest.mark.parametrize("seed", range(15))
def test_what_must_never_be_never_is(seed: int) -> None:
    outcome = play(seed, QUICK)
    assert outcome.failure is None, describe(outcome)
    assert outcome.quiescences


def test_the_same_seed_is_the_same_history() -> None:
    short = Plot(contracts=1, years=0.5)
    assert play(1, short).digest == play(1, short).digest != play(2, short).digest


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_what_must_never_be_never_is_in_hundreds_of_contract_years(seed: int) -> None:
    outcome = play(seed, DEEP)
    assert outcome.failure is None, describe(outcome)
    assert outcome.faults
