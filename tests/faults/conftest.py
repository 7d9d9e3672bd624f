"""One stage for all faults, one with a short Lease for replicas."""

from collections.abc import Iterator

import pytest

from tests.faults.stage import Stage
from tests.faults.takeover import SHORT_LEASE_SECONDS


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage.set_up() as stage:
        yield stage


@pytest.fixture(scope="module")
def stage_of_replicas() -> Iterator[Stage]:
    with Stage.set_up(SHORT_LEASE_SECONDS) as stage:
        yield stage
