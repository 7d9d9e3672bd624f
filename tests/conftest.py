"""What every test may use: one control plane, and one world on it, where operators would meet each other."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.controlplane import Cluster, ControlPlane, External
from tests.harness.world import Client, World

CRDS = Path(__file__).parents[1] / "crds"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="test on this cluster, as its administrator, instead of on a control plane of one's own",
    )


@pytest.fixture(scope="session")
def plane(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A real Kubernetes control plane that serves the five kinds, started once."""
    kubeconfig: Path | None = request.config.getoption("--kubeconfig")
    with External(kubeconfig) if kubeconfig else ControlPlane.start() as plane:
        plane.install(CRDS)
        yield plane


@pytest.fixture(scope="session")
def world(plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Operator, sandbox authority and DNS server, running on `plane`."""
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
