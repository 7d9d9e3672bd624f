"""What every test may use."""

from collections.abc import Iterator

import pytest

from tests.controlplane import ControlPlane


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A real Kubernetes control plane, started once."""
    with ControlPlane.start() as plane:
        yield plane
