"""Every command that the documents tell is run, in the order in which a reader meets it.

Rules:
- A block marked `sh` is run; one marked `text` needs what is not here: Docker, a registry, paid credentials.
- No pods run here. Where a document says `<!-- here: … -->` the test does what would happen meanwhile.
- Only the address of the sandbox is replaced, for the same reason.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sslorder.api.order import SSLCertificateOrder
from tests.chart.conftest import RELEASE, SYSTEM
from tests.chart.helm import ROOT, program
from tests.controlplane import ControlPlane, wait_until
from tests.harness.kube import SECRETS, Kube
from tests.harness.operator import Operator
from tests.harness.sandbox import Sandbox

pytestmark = [pytest.mark.cluster, pytest.mark.deep]

STEP = re.compile(r"^<!-- here: (?P<event>.+?) -->$|^```sh\n(?P<script>.*?)^```$", re.MULTILINE | re.DOTALL)
TOLD_URL = "https://sslorder-sandbox.sslorder-system.svc:8443/v2"
BOUND_SECONDS = 200.0


class Reader:
    """Does what the documents say on a control plane of its own."""

    def __init__(self, plane: ControlPlane, sandbox: Sandbox, directory: Path) -> None:
        self.plane, self.sandbox = plane, sandbox
        self.directory = directory / "checkout"
        self.directory.mkdir()
        for folder in ("charts", "crds", "examples"):
            (self.directory / folder).symlink_to(ROOT / folder)
        self.kube = Kube(plane.kubeconfig)
        self.dev, self.billing = plane.user("dev"), plane.user("clerk", ["billing"])
        self._operator: Operator | None = None

    def follows(self, document: Path, kubeconfig: Path) -> None:
        for step in STEP.finditer(document.read_text()):
            if step["event"]:
                self.happens(step["event"])
            else:
                self.runs(step["script"].replace(TOLD_URL, self.sandbox.api), kubeconfig)

    def runs(self, script: str, kubeconfig: Path) -> None:
        folders = {f"HELM_{name}_HOME": str(self.directory / name) for name in ("CACHE", "CONFIG", "DATA")}
        path = f"{program().parent}:{self.plane.kubectl_path.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            # kubectl here is a wrapper that knows one identity: its flag names another
            [
                "bash",
                "-euo",
                "pipefail",
                "-c",
                f'kubectl() {{ command kubectl --kubeconfig={kubeconfig} "$@"; }}\n{script}',
            ],
            cwd=self.directory,
            env=os.environ | folders | {"PATH": path, "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
            timeout=BOUND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}\n{self._log()}"

    def happens(self, event: str) -> None:
        match event:
            case "the pods start":
                self.kube.patch(
                    SECRETS, f"{RELEASE}-sandbox", {"stringData": self.sandbox.default_account()}, SYSTEM
                )
                self._start_operator()
            case "the provider records the payment":
                self.runs("kubectl apply -f examples/payment.yaml", self.billing)
            case "some time passes":
                begun = int(time.time())  # moments are written to the second
                wait_until(lambda: time.time() > begun + 1, "the next second")
            case "everything is lost":
                self.stops()
                self.kube.delete(SSLCertificateOrder, "shop", "shop")
                for dossier in self.kube.list(SECRETS, SYSTEM, labelSelector="ssl.synchrone.be/dossier=true"):
                    self.kube.delete(SECRETS, dossier["metadata"]["name"], SYSTEM)
                self.kube.delete(SECRETS, "shop-tls", "shop")
                wait_until(
                    lambda: self.kube.get(SSLCertificateOrder, "shop", "shop") is None, "the order to be gone"
                )
            case _:
                raise AssertionError(f"nobody knows what happens when {event}")

    def stops(self) -> None:
        if self._operator is not None:
            self._operator.stop()
            self._operator = None

    def _start_operator(self) -> None:
        identity = self.plane.service_account(SYSTEM, RELEASE)
        path = self.directory / "configuration.yaml"
        template = "--output=jsonpath={.data.configuration\\.yaml}"
        path.write_text(self.plane.kubectl("get", "configmap", RELEASE, f"--namespace={SYSTEM}", template))
        self._operator = Operator.start(identity, path, self.directory / "operator.log")

    def _log(self) -> str:
        log = self.directory / "operator.log"
        return log.read_text()[-4000:] if log.exists() else ""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with ExitStack() as ends:
        plane = ends.enter_context(ControlPlane.start(tmp_path / "plane"))
        sandbox = ends.enter_context(Sandbox.start(tmp_path / "sandbox", preapproved="acme.example"))
        reader = Reader(plane, sandbox, tmp_path)
        ends.callback(reader.kube.close)
        ends.callback(reader.stops)
        yield reader


def test_the_documents_lead_where_they_say(reader: Reader) -> None:
    for name, identity in (
        ("install", reader.plane.kubeconfig),
        ("client", reader.dev),
        ("provider", reader.plane.kubeconfig),
        ("upgrade-backup", reader.plane.kubeconfig),
    ):
        reader.follows(ROOT / "docs" / f"{name}.md", identity)
    assert len(reader.sandbox.issued()) == 2  # the first leaf, and the reissue that was asked for
