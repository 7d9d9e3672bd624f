"""What every test may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane import Cluster, ControlPlane, External

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
