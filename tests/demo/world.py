"""The world that the story happens in: a control plane, a sandbox authority, and the operator as a service
account with the very rights of `examples/operator.yaml`.

Rules:
- Everything is a process of its own and ends with this one, however that ends.
- Manifests are the files in `examples/`; only the URL of an authority is replaced by the sandbox's.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from sslorder.api.authority import SSLAuthority
from sslorder.api.order import SSLCertificateOrder
from tests.controlplane import ControlPlane
from tests.demo.narration import Narrator, Untrue, awaited
from tests.harness.kube import Kube, Manifest
from tests.harness.operator import Operator
from tests.harness.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SYSTEM = "sslorder-system"
LOG_TAIL = 4_000
TOKEN_SECONDS = 7 * 24 * 3600  # nobody renews it: as long as somebody may leave the world running


@dataclass(frozen=True)
class World:
    """What runs."""

    plane: ControlPlane
    sandbox: Sandbox
    kube: Kube
    directory: Path

    @property
    def log(self) -> Path:
        """The operator's."""
        return self.directory / "operator.log"

    def apply(self, example: str) -> None:
        """`kubectl apply` of a file in `examples/`."""
        objects = list(yaml.safe_load_all((EXAMPLES / example).read_text()))
        for manifest in objects:
            if manifest["kind"] == SSLAuthority.KIND.name:
                manifest["spec"]["globalSign"]["url"] = self.sandbox.api
        self.plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects))

    def open_account(self, name: str, **fields: object) -> None:
        """An account at the sandbox, and the Secret of that name with the credentials for it."""
        credentials = self.directory / name
        credentials.mkdir(mode=0o700)
        for key, value in self.sandbox.create_account(name, **fields).items():
            (credentials / key).write_text(value)
        self.plane.kubectl(
            "create", "secret", "generic", name, f"--namespace={SYSTEM}", f"--from-file={credentials}"
        )

    def order(self, namespace: str, name: str) -> Manifest:
        """:raises Untrue: there is no such order."""
        found = self.kube.get(SSLCertificateOrder, name, namespace)
        if found is None:
            raise Untrue(f"the order {namespace}/{name} exists")
        return found

    def reaches(self, phase: str, namespace: str, name: str) -> Manifest:
        """The order once it is in that phase.

        :raises Untrue: it did not get there.
        """

        def there() -> Manifest | None:
            order = self.order(namespace, name)
            return order if order["status"].get("phase") == phase else None

        return awaited(there, f"the order {namespace}/{name} is {phase}")

    def log_tail(self) -> str:
        """The end of the operator's log."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:] if self.log.exists() else ""


@contextmanager
def running(narrator: Narrator) -> Iterator[World]:
    """A world with an authority and an account, and no order yet."""
    with tempfile.TemporaryDirectory(prefix="sslorder-demo-") as folder:
        directory = Path(folder)
        with ControlPlane.start() as plane, Kube(plane.kubeconfig) as kube:
            narrator.tell(f"a Kubernetes API server, with its etcd and controllers: {plane.server}")
            with Sandbox.start(directory / "sandbox") as sandbox:
                narrator.tell(f"a certification authority that speaks GlobalSign's HVCA: {sandbox.api}")
                world = World(plane, sandbox, kube, directory)
                plane.install(ROOT / "crds")
                world.apply("operator.yaml")
                narrator.tell("kubectl apply -f crds/ -f examples/operator.yaml")
                identity = plane.service_account(SYSTEM, "sslorder", TOKEN_SECONDS)
                with Operator.start(identity, EXAMPLES / "configuration.yaml", world.log):
                    narrator.tell("sslorder run --config examples/configuration.yaml")
                    world.open_account("globalsign-dv", preapproved=["acme.example"])
                    kube.namespace("shop")
                    world.apply("authority.yaml")
                    world.apply("account.yaml")
                    narrator.tell(
                        "kubectl apply -f examples/authority.yaml -f examples/account.yaml"
                        " (the authority's url is the sandbox's)"
                    )
                    yield world
