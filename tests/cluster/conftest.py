"""The whole of it running: operator, sandbox authority, DNS server, real API server."""

from collections.abc import Callable, Iterator

import pytest

from tests.controlplane import Cluster
from tests.harness.world import Client, Order, World


@pytest.fixture(scope="session")
def world(plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World.start(plane, tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def client(world: World) -> Iterator[Callable[..., Client]]:
    """Makes clients, as `World.client` does; they leave when the test ends."""
    clients: list[Client] = []

    def make(**how: object) -> Client:
        clients.append(world.client(**how))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    world.sandbox.clear_faults()
    for each in clients:
        each.leaves()


@pytest.fixture
def neighbour(client: Callable[..., Client]) -> Order:
    """A good order of another client, paid at the same time: whatever goes wrong must not disturb it."""
    return client().orders().is_paid()
