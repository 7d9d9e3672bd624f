"""A world in which the operator can be stopped at any request: everything that it says passes the gate.

Rules:
- The operator is a service account with the rights of `examples/operator.yaml` and no others.
- The authority's tokens live as long as the operator is told: the grace of an uncertain purchase rests on it.
- A killed operator's Lease is freed by hand, so that its successor need not wait for it to run out; what that
  waiting does is shown by the tests of replicas.
"""

import json
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import yaml

from sslorder.cluster.client import Resource
from sslorder.cluster.dossiers import LABEL, LEDGER_ENTRY
from sslorder.service.operator import LEASE_NAME
from tests.api.manifests import Change
from tests.controlplane import Cluster, ControlPlane
from tests.controlplane.kubeconfig import Endpoint, write_kubeconfig
from tests.faults.proxy import Proxies, Proxy
from tests.harness.dns import DnsServer
from tests.harness.kube import SECRETS, Manifest
from tests.harness.operator import ACTING, WATCHING, Operator
from tests.harness.sandbox import Sandbox
from tests.harness.world import NAMESPACES, Client, World, decoded

ROOT: Final = Path(__file__).parents[2]
SYSTEM: Final = "sslorder-system"
IDENTITY_SECONDS: Final = 24 * 3600
TOKEN_SECONDS: Final = 2
TIMING: Final = {"tokenLife": f"{TOKEN_SECONDS}s", "answerWithin": "3s", "statisticsLag": "1s"}
LEASE_SECONDS: Final = 15
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases")


@dataclass(frozen=True)
class Standby:
    """An operator beside the one that acts, and its own way to the API server."""

    operator: Operator
    proxy: Proxy

    def acts(self) -> None:
        """Return when it does."""
        self.operator.wait_for_line(ACTING)

    def has_acted(self) -> bool:
        return ACTING in self.operator.log.read_text()


class Stage(World):
    """A world whose operator is watched by proxies. It begins with one operator that acts."""

    def __init__(
        self,
        plane: ControlPlane,
        sandbox: Sandbox,
        dns: DnsServer,
        directory: Path,
        proxies: Proxies,
        lease_seconds: int,
    ) -> None:
        self.proxies, self.gate, self.lease_seconds = proxies, proxies.gate, lease_seconds
        self._directory, self._identity = (
            directory,
            plane.service_account(SYSTEM, "sslorder", IDENTITY_SECONDS),
        )
        self.proxy = self._before(plane)
        super().__init__(plane, sandbox, dns, directory, namespace=SYSTEM, timing=TIMING)

    @classmethod
    @contextmanager
    def set_up(cls, lease_seconds: int = LEASE_SECONDS) -> Iterator["Stage"]:
        """A stage with a control plane of its own, for on a common one other worlds' operators act too."""
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sslorder-faults-")))
            plane = stack.enter_context(ControlPlane.start())
            plane.install(ROOT / "crds")
            plane.kubectl("apply", "--filename", ROOT / "examples" / "operator.yaml")
            dns = stack.enter_context(DnsServer())
            sandbox = stack.enter_context(
                Sandbox.start(directory / "sandbox", resolver=dns.address, token_life=TOKEN_SECONDS)
            )
            proxies = stack.enter_context(Proxies())
            yield stack.enter_context(cls(plane, sandbox, dns, directory, proxies, lease_seconds))

    def _before(self, plane: Cluster) -> Proxy:
        return self.proxies.before_kubernetes(plane.server, plane.ca, SYSTEM)

    def start_operator(self) -> None:
        self.operator = self._run(self.proxy, self.log, ACTING)

    def standby(self) -> "Standby":
        """One more operator, with a way to the API server and a log of its own, that watches."""
        proxy = self._before(self.plane)
        log = self._directory / f"operator-{urlsplit(proxy.url).port}.log"
        return Standby(self._run(proxy, log, WATCHING), proxy)

    def another_installation(self, namespace: str) -> Standby:
        """A second installation of the operator in this cluster, with a Lease of its own, that acts."""
        manifests = (ROOT / "examples" / "operator.yaml").read_text()
        binding = f"sslorder-{namespace}"  # the names of a cluster's own objects are taken
        objects = list(yaml.safe_load_all(manifests.replace(SYSTEM, namespace)))
        for manifest in objects:
            if manifest["kind"] == "ClusterRoleBinding":
                manifest["metadata"]["name"] = binding
        self.plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects))
        proxy = self._before(self.plane)
        identity = self.plane.service_account(namespace, "sslorder", IDENTITY_SECONDS)
        log = self._directory / f"{namespace}.log"
        return Standby(self._run(proxy, log, ACTING, identity, namespace), proxy)

    def _run(
        self, proxy: Proxy, log: Path, until: str, identity: Path | None = None, namespace: str = SYSTEM
    ) -> Operator:
        user = yaml.safe_load((identity or self._identity).read_text())["users"][0]["user"]
        kubeconfig = self._directory / f"operator-{urlsplit(proxy.url).port}.kubeconfig"
        write_kubeconfig(kubeconfig, Endpoint(proxy.url, self.proxies.ca), "sslorder", user)
        flags = {"--namespace": namespace, "--lease-seconds": self.lease_seconds, "--log-level": "debug"}
        words = [str(word) for flag in flags.items() for word in flag]
        return Operator.start(kubeconfig, self.configuration, log, *words, until=until)

    def way_to_authority(self, credentials: Mapping[str, str]) -> Change:
        api, domain = urlsplit(self.sandbox.api), self._clients[-1].domain

        def set_record(path: str, answer: bytes) -> None:
            """A client who sets the DNS record as soon as the authority has made the token."""
            if "/claims/domains/" in path and answer.startswith(b"{") and b'"token"' in answer:
                self.dns.set_txt(domain, json.loads(answer)["token"])

        proxy = self.proxies.before_authority(f"https://{api.netloc}", credentials, set_record)
        return {
            "spec.globalSign.url": proxy.url + api.path,
            "spec.globalSign.caBundle": b64encode(self.proxies.ca.encode()).decode(),
        }

    def dossiers(self, client: Client) -> dict[str, Manifest]:
        """The dossiers of a client's contracts: the Secrets, by name."""
        found = self.kube.list(SECRETS, SYSTEM, labelSelector=f"{LABEL}=true")
        return {
            secret["metadata"]["name"]: secret
            for secret in found
            if json.loads(decoded(secret, LEDGER_ENTRY))["key"]["account"] == client.name
        }

    def succeeds(self, standby: "Standby") -> None:
        """That replica is the operator from now on."""
        self.operator, self.proxy, self.log = standby.operator, standby.proxy, standby.operator.log

    # Stopping and killing

    def comes_by(self) -> None:
        """Return when a request is stopped."""
        self.wait(self.gate.reached.is_set, "a request to be stopped", self.lately)

    def lately(self) -> dict[str, list[str]]:
        """The last requests, for whom it concerns that no more come, or too many."""
        return {"asked lately": [str(boundary) for boundary in self.gate.seen[-5:]]}

    def kill_operator(self) -> None:
        """SIGKILL; the request that is stopped breaks off."""
        self.operator.kill()
        self.gate.drop()

    def resume(self) -> None:
        """Start the operator anew, without the wait for the Lease of the killed one."""
        self.kube.patch(LEASES, LEASE_NAME, {"spec": {"holderIdentity": ""}}, SYSTEM)
        self.start_operator()

    def forgets(self, client: Client) -> None:
        """Take a client away with all that was kept for it, so that the next one finds things alike."""
        client.leaves()
        for name in (client.name, *self.dossiers(client)):
            self.kube.delete(SECRETS, name, SYSTEM)
        for namespace in client.namespaces:
            self.kube.delete(NAMESPACES, namespace)
        self._clients.remove(client)
