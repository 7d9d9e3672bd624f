"""No input, however odd, makes a parser do anything but take it or refuse it in its own words."""

import logging
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS


def _feed(name: str, inputs: int) -> None:
    logging.disable(logging.ERROR)  # what is refused is logged, thousands of times

    @settings(max_examples=inputs, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**64 - 1))
    def takes_or_refuses(number: int) -> None:
        TARGETS[name](Random(number))

    try:
        takes_or_refuses()
    finally:
        logging.disable(logging.NOTSET)


pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")


@pytest.mark.parametrize("name", TARGETS)
def test_odd_input_is_taken_or_refused(name: str) -> None:
    _feed(name, 150)


@pytest.mark.deep
@pytest.mark.parametrize("name", TARGETS)
def test_much_odd_input_is_taken_or_refused(name: str) -> None:
    _feed(name, 4_000)
