"""The simulated API server answers as the real one does."""

import time
from datetime import UTC, datetime
from random import Random
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.conftest import CRDS
from tests.controlplane import ControlPlane
from tests.harness.kube import Kube
from tests.simulation.apiserver import Json, MemoryApiServer
from tests.simulation.conformance import converse, differences


class Real:
    """A real API server, as its administrator."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
        response = self._kube.call(method, path, body, **headers)
        try:
            return response.status_code, response.json()
        except ValueError:  # for a path that it does not know, plain text
            return response.status_code, {"kind": "Status", "status": "Failure", "reason": "NotFound"}

    def pass_time(self) -> None:
        time.sleep(0.1)


class Memory:
    """The simulated one, whose collectors work when time passes."""

    def __init__(self) -> None:
        self._due: list[object] = []
        self._server = MemoryApiServer(lambda: datetime.now(UTC), self._later, Random(1))

    def _later(self, _: float, act: object) -> None:
        self._due.append(act)

    def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        parts = urlsplit(path)
        return self._server.handle(method, parts.path, dict(parse_qsl(parts.query)), body)

    def pass_time(self) -> None:
        due, self._due = self._due, []
        for act in due:
            assert callable(act)
            act()


@pytest.mark.cluster
def test_one_conversation_goes_the_same_way_with_both() -> None:
    """On a control plane of its own: an operator would take part in the conversation."""
    with ControlPlane.start() as plane:
        plane.install(CRDS)
        with Kube(plane.kubeconfig) as kube:
            real = converse(Real(kube))
    apart = "\n".join(sorted(differences(converse(Memory()), real)))
    assert not apart, apart
