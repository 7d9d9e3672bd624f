"""The chart as somebody installs it: by helm, on a control plane of its own that keeps an audit log."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sslorder.api.schema import format_moment
from tests.chart.helm import CHART, LEAST, ROOT, helm
from tests.controlplane import ControlPlane
from tests.harness.dns import DnsServer
from tests.harness.operator import Operator
from tests.harness.sandbox import Sandbox
from tests.harness.world import LEASE_SECONDS, Client, World

RELEASE = "sslorder"
SYSTEM = "sslorder-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:{RELEASE}"
AUDIT_OPERATOR = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [OPERATOR]}, {"level": "None"}],
}


class Installed(World):
    """A world whose operator has the chart's rights and no others."""

    plane: ControlPlane

    def __init__(
        self, plane: ControlPlane, sandbox: Sandbox, dns: DnsServer, directory: Path, *flags: str
    ) -> None:
        self._identity = plane.service_account(SYSTEM, RELEASE)
        self._flags = flags
        super().__init__(plane, sandbox, dns, directory, namespace=SYSTEM)

    @property
    def clients(self) -> list[Client]:
        return self._clients

    def start_operator(self) -> None:
        self.operator = Operator.start(
            self._identity,
            self.configuration,
            self.log,
            f"--namespace={self.namespace}",
            f"--lease-seconds={LEASE_SECONDS}",
            *self._flags,
        )


def install(plane: ControlPlane, home: Path, values: Mapping[str, Any] | None = None) -> None:
    """`helm install`, and wait until the kinds are served."""
    given = home / "values.json"
    given.write_text(json.dumps(values or {}))
    helm(
        *("install", RELEASE, CHART, f"--namespace={SYSTEM}", "--create-namespace"),
        *(f"--values={LEAST}", f"--values={given}"),
        home=home,
        kubeconfig=plane.kubeconfig,
    )
    plane.install(ROOT / "crds")


@contextmanager
def installed_world(
    directory: Path, values: Mapping[str, Any] | None = None, *flags: str, namespaces: tuple[str, ...] = ()
) -> Iterator[Installed]:
    """A control plane with those namespaces, the chart on it, and an operator with its rights."""
    with ControlPlane.start(directory / "plane", audit_policy=AUDIT_OPERATOR) as plane:
        for namespace in namespaces:
            plane.kubectl("create", "namespace", namespace)
        install(plane, directory, values)
        with (
            DnsServer() as dns,
            Sandbox.start(directory / "sandbox", resolver=dns.address) as sandbox,
            Installed(plane, sandbox, dns, directory, *flags) as world,
        ):
            yield world


def soon() -> str:
    """A moment after all that has happened, to the second, that comes within a second."""
    return format_moment(datetime.now(UTC) + timedelta(seconds=1))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where helm keeps its own files."""
    return tmp_path_factory.mktemp("helm")


@pytest.fixture(scope="package")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The chart with its own values, which serve every namespace."""
    with installed_world(tmp_path_factory.mktemp("installed")) as world:
        yield world
