"""The whole of it running: operator, sandbox authority, DNS server, real API server."""

from collections.abc import Callable

import pytest

from tests.harness.world import Client, Order


@pytest.fixture
def neighbour(client: Callable[..., Client]) -> Order:
    """A good order of another client, paid at the same time: whatever goes wrong must not disturb it."""
    return client().orders().is_paid()
