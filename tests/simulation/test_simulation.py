"""Histories with fixed seeds: quick ones in every test run, thousands of contract-years in the deep ones."""

import pytest

from tests.simulation.history import Plot
from tests.simulation.run import describe, play

QUICK = Plot(contracts=3, years=1.5)
DEEP = Plot(contracts=10, years=4.0)


@pytest.mark.parametrize("seed", range(15))
def test_what_must_never_be_never_is(seed: int) -> None:
    outcome = play(seed, QUICK)
    assert outcome.failure is None, describe(outcome)
    assert outcome.quiescences


def test_the_same_seed_is_the_same_history() -> None:
    first, second = play(1, QUICK), play(1, QUICK)
    assert first.digest == second.digest
    assert first.digest != play(2, QUICK).digest


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(1000, 1050))
def test_what_must_never_be_never_is_in_two_thousand_contract_years(seed: int) -> None:
    outcome = play(seed, DEEP)
    assert outcome.failure is None, describe(outcome)
    assert outcome.faults
