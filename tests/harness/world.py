"""A provider with its operator and authority, and clients who order from it: what a test tells a story in.

    shop = world.client()
    order = shop.orders("www").reaches("PendingPayment")
    order.is_paid().reaches("Active")

Rules:
- Each client has a namespace, an account, an authority account and an `SSLAuthority` of its own, so that no
  test sees another's.
- Every wait is for a condition, with a bound; what did not come true shows the object and the operator's log.
"""

import base64
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml
from cryptography import x509

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import KubernetesObject
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.api.schema import format_moment
from sslorder.cluster.client import Resource
from sslorder.cluster.objects import difference
from sslorder.contract.ledger import ContractKey
from tests.api.manifests import (
    ACCOUNT,
    AUTHORITY,
    CAUSE,
    DV_ORDER,
    PAYMENT,
    Change,
    Manifest,
    changed,
)
from tests.controlplane import Cluster
from tests.harness.dns import DnsServer
from tests.harness.kube import SECRETS, Kube
from tests.harness.operator import Operator
from tests.harness.sandbox import Issued, Sandbox

BOUND: Final = 60.0
POLL: Final = 0.02
NAMESPACES: Final = Resource("", "v1", "namespaces")
LOOKING_AFTER_THE_AUTHORITY: Final = {
    "login",
    "policy",
    "quota",
    "stats-issued",
    "stats-revoked",
    "counters",
}
CONFIGURATION: Final = {
    "provider": {
        "name": "Provider SPRL",
        "contact": "certificates@provider.example",
        "conditions": [
            {"version": "2026-01", "validFrom": "2026-01-01", "url": "https://provider.example/terms"}
        ],
        "authorityTerms": [
            {"version": "5.9", "validFrom": "2026-01-01", "url": "https://authority.example/terms"}
        ],
    },
    "authority": {"tokenLife": "2s", "answerWithin": "5s", "statisticsLag": "1s"},
}
LEASE_SECONDS: Final = 5


def kstatus(manifest: Manifest) -> str:
    """What kstatus, and so Argo CD and Flux, make of an object (sigs.k8s.io/cli-utils, pkg/kstatus)."""
    status = manifest.get("status", {})
    if status.get("observedGeneration") != manifest["metadata"]["generation"]:
        return "InProgress"
    conditions = {entry["type"]: entry["status"] for entry in status.get("conditions", ())}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


class World:
    """One control plane, one sandbox, one operator, any number of clients."""

    def __init__(
        self,
        plane: Cluster,
        sandbox: Sandbox,
        dns: DnsServer,
        directory: Path,
        *,
        namespace: str | None = None,
        timing: Mapping[str, str] | None = None,
    ) -> None:
        """`timing` is what the operator is told of the authority's."""
        self.plane, self.sandbox, self.dns = plane, sandbox, dns
        self.kube = Kube(plane.kubeconfig)
        self.namespace = namespace or f"sslorder-{uuid.uuid4().hex[:6]}"
        self.log = directory / "operator.log"
        self.configuration = directory / "configuration.yaml"
        self.configuration.write_text(
            yaml.safe_dump(CONFIGURATION | ({"authority": timing} if timing else {}))
        )
        self._numbers = itertools.count(1)
        self._clients: list[Client] = []
        self.kube.namespace(self.namespace)
        self.start_operator()

    @classmethod
    @contextmanager
    def start(cls, plane: Cluster, directory: Path) -> Iterator[Self]:
        with DnsServer() as dns, Sandbox.start(directory / "sandbox", resolver=dns.address) as sandbox:
            world = cls(plane, sandbox, dns, directory)
            try:
                yield world
            finally:
                world.stop()

    def stop(self) -> None:
        if self.operator.process.poll() is None:
            self.operator.stop()
        for namespace in [self.namespace, *(name for client in self._clients for name in client.namespaces)]:
            self.kube.delete(NAMESPACES, namespace)
        self.kube.close()

    def start_operator(self) -> None:
        flags = {"--namespace": self.namespace, "--lease-seconds": LEASE_SECONDS, "--log-level": "debug"}
        words = [str(word) for flag in flags.items() for word in flag]
        self.operator = Operator.start(self.plane.kubeconfig, self.configuration, self.log, *words)

    def way_to_authority(self, credentials: Mapping[str, str]) -> Change:  # noqa: ARG002 - proxies need them
        """What an `SSLAuthority` says of the way to the authority, for a client with those credentials."""
        return {"spec.globalSign.url": self.sandbox.api}

    def restart_operator(self) -> None:
        """As a rollout does: it ends in order, and hands its Lease over."""
        assert self.operator.stop() == 0
        self.start_operator()

    def client(
        self,
        *,
        proved: bool = True,
        account: Change | None = None,
        authority: Change | None = None,
        **sandbox: object,
    ) -> "Client":
        """A client who may order below a domain that is assigned to it and, where `proved`, approved by the
        authority. `account` and `authority` change its manifests, `sandbox` its account at the authority."""
        client = Client(self, f"{self.namespace}-{next(self._numbers)}", proved, sandbox)
        self._clients.append(client)
        client.begin(account or {}, authority or {})
        return client

    def wait(self, met: Callable[[], bool], what: str, shown: Callable[[], object]) -> None:
        """Return once `met`; otherwise fail, showing an object and the end of the operator's log."""
        deadline = time.monotonic() + BOUND
        while not met():
            if time.monotonic() > deadline:
                state = yaml.safe_dump(_without_bookkeeping(shown()), sort_keys=False)
                log = "".join(self.log.read_text().splitlines(keepends=True)[-60:])
                raise AssertionError(f"waited {BOUND:.0f} s in vain for {what}\n{state}\noperator:\n{log}")
            time.sleep(POLL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Client:
    """One client of the provider, and what the provider keeps for it."""

    def __init__(self, world: World, name: str, proved: bool, sandbox: Mapping[str, object]) -> None:
        self.world, self.name = world, name
        self.domain = f"{name}.example"
        self.namespaces = [name]
        self._recorded: list[tuple[type[KubernetesObject], str, str | None]] = []
        self._numbers = itertools.count(1)
        self.credentials = world.sandbox.create_account(
            name, preapproved=[self.domain] if proved else [], **sandbox
        )

    @property
    def namespace(self) -> str:
        return self.namespaces[0]

    def begin(self, account: Change, authority: Change) -> None:
        self.world.kube.namespace(self.namespace)
        self.keeps_credentials(self.credentials)
        self.records(
            SSLAuthority,
            changed(
                AUTHORITY,
                {
                    "metadata.name": self.name,
                    "spec.globalSign.credentialsSecretRef.name": self.name,
                    **self.world.way_to_authority(self.credentials),
                    **authority,
                },
            ),
        )
        self.records(SSLAccount, changed(self.account(), account))

    def account(self) -> Manifest:
        """Its account as it is unless a test changes it."""
        return changed(
            ACCOUNT,
            {
                "metadata.name": self.name,
                "spec.namespaces": self.namespaces,
                "spec.domains": [self.domain],
                "spec.authorities": [self.name],
            },
        )

    def leaves(self) -> None:
        """Take away everything that was declared and recorded for it, the youngest first."""
        for kind, name, namespace in reversed(self._recorded):
            self.world.kube.delete(kind, name, namespace)
        self._recorded.clear()

    def keeps_credentials(self, credentials: Mapping[str, str]) -> None:
        """The Secret in the operator's namespace that the `SSLAuthority` refers to."""
        metadata = {"name": self.name, "namespace": self.world.namespace}
        self.world.kube.create(SECRETS, {"metadata": metadata, "stringData": dict(credentials)})

    def records(self, kind: type[KubernetesObject], manifest: Manifest) -> Manifest:
        """Create an object of any kind on this client's behalf."""
        created = self.world.kube.create(kind, manifest)
        metadata = created["metadata"]
        self._recorded.append((kind, metadata["name"], metadata.get("namespace")))
        return created

    def order(self, *hosts: str, **spec: Any) -> Manifest:
        """A DV order over one year for these hosts of its domain, changed by `spec`: not declared yet."""
        number = next(self._numbers)
        return changed(
            DV_ORDER,
            {
                "metadata": {"name": f"order-{number}", "namespace": self.namespace},
                "spec.purchaseOrder": f"BC-{number}",
                "spec.dnsNames": [f"{host}.{self.domain}" for host in hosts or ("www",)],
                "spec.authorityRef": {"name": self.name},
                "spec.secretName": f"tls-{number}",
                **{f"spec.{field}": value for field, value in spec.items()},
            },
        )

    def orders(self, *hosts: str, **spec: Any) -> "Order":
        """Declare such an order."""
        return self.declares(self.order(*hosts, **spec))

    def declares(self, manifest: Manifest) -> "Order":
        """An order exactly as it is written."""
        self.records(SSLCertificateOrder, manifest)
        return Order(self, manifest)

    def pays(self, purchase_order: str, names: int = 1, **spec: Any) -> "Payment":
        """The provider records a payment of period 1 for this many names."""
        name = f"{self.name}-{next(self._numbers)}"
        manifest = changed(
            PAYMENT,
            {
                "metadata.name": name,
                "spec.account": self.name,
                "spec.purchaseOrder": purchase_order,
                "spec.covers.names": names,
                "spec.reference": name,
                "spec.receivedAt": format_moment(datetime.now(UTC)),
                **{f"spec.{field}": value for field, value in spec.items()},
            },
        )
        self.records(SSLPayment, manifest)
        return Payment(self, SSLPayment, name)

    def suffers(self, action: str, purchase_order: str, **spec: Any) -> "Record":
        """The provider takes a measure on one of its contracts."""
        name = f"{self.name}-{next(self._numbers)}"
        cause = {"cause": CAUSE} if action in ("Suspend", "Terminate", "Reject") else {}
        target = {"account": self.name, "purchaseOrder": purchase_order}
        manifest = {
            **PAYMENT,
            "kind": "SSLContractAction",
            "metadata": {"name": name},
            "spec": {"action": action, "target": target, **cause, **spec},
        }
        self.records(SSLContractAction, manifest)
        return Record(self, SSLContractAction, name)

    def recorded_account(self) -> "Record":
        return Record(self, SSLAccount, self.name)

    def recorded_authority(self) -> "Record":
        return Record(self, SSLAuthority, self.name)

    # What the authority knows of it

    def requests(self) -> list[dict[str, Any]]:
        """What the authority was asked with its credentials, oldest first."""
        return [entry for entry in self.world.sandbox.requests() if entry["account"] == self.name]

    def operations(self) -> list[str]:
        return [entry["operation"] for entry in self.requests()]

    def asked_on_its_behalf(self) -> list[str]:
        """The requests that are more than looking after the authority itself."""
        return [name for name in self.operations() if name not in LOOKING_AFTER_THE_AUTHORITY]

    def certificates(self) -> list[Issued]:
        return [entry for entry in self.world.sandbox.issued() if entry["account"] == self.name]

    def has_revoked(self, *expected: bool) -> None:
        """Wait until the authority holds just these certificates of it, revoked or not, the oldest first."""

        def met() -> bool:
            return [entry["revoked"] for entry in self.certificates()] == list(expected)

        self.world.wait(met, f"the authority to have revoked {expected}", self.certificates)

    def waits_until_asked(self, operation: str) -> dict[str, Any]:
        """The request of that kind that the authority has before it now."""
        found: list[dict[str, Any]] = []

        def under_way() -> bool:
            found[:] = [
                entry
                for entry in self.requests()
                if entry["operation"] == operation and entry["status"] is None
            ]
            return bool(found)

        self.world.wait(under_way, f"the authority to be asked: {operation}", self.operations)
        return found[0]

    def delays(self, operation: str, seconds: float) -> None:
        """Have the authority take its time over the next request of that kind."""
        self.fails({"fault": "delay", "operation": operation, "seconds": seconds, "times": 1})

    def fails(self, *faults: dict[str, object]) -> None:
        """Have the authority do these things wrong, for this client alone."""
        self.world.sandbox.set_faults(*({**fault, "account": self.name} for fault in faults))

    def ledger(self, purchase_order: str) -> dict[str, Any] | None:
        """What the dossier of a contract records."""
        dossier = self.dossier(purchase_order)
        ledger: dict[str, Any] | None = json.loads(dossier["contract.json"]) if dossier else None
        return ledger

    def dossier(self, purchase_order: str) -> dict[str, bytes] | None:
        digest = ContractKey(self.name, purchase_order).digest
        return self.world.kube.secret(self.world.namespace, f"sslorder-{digest}")


class Record:
    """An object that the provider wrote, and what the operator says of it."""

    def __init__(
        self, client: Client, kind: type[KubernetesObject], name: str, namespace: str | None = None
    ) -> None:
        self.client, self.world = client, client.world
        self.kind, self.name, self.namespace = kind, name, namespace

    def read(self) -> Manifest:
        found = self.world.kube.get(self.kind, self.name, self.namespace)
        assert found is not None, f"{self.kind.__name__} {self.name} is gone"
        return found

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.read().get("status", {})
        return status

    def patch(self, body: Mapping[str, Any]) -> None:
        self.world.kube.patch(self.kind, self.name, body, self.namespace)

    def edit(self, **spec: Any) -> None:
        """Set fields of the spec; None takes one out."""
        self.patch({"spec": spec})

    def becomes_like(self, manifest: Manifest) -> None:
        """Edit the spec to that of a manifest."""
        self.edit(**difference(self.read()["spec"], manifest["spec"]))

    def waits(self, met: Callable[[dict[str, Any]], bool], what: str) -> Self:
        """Return once the status of the present generation is as it should be."""

        def judged() -> bool:
            manifest = self.read()
            status = manifest.get("status", {})
            return status.get("observedGeneration") == manifest["metadata"]["generation"] and met(status)

        self.world.wait(judged, f"{self.kind.__name__} {self.name} {what}", self.read)
        return self

    def conditions(self) -> dict[str, dict[str, Any]]:
        return {entry["type"]: entry for entry in self.status.get("conditions", ())}

    def becomes(self, state: str, *words: str) -> Self:
        """Wait for a state, and for words of its message."""
        return self.waits(
            lambda status: status.get("state") == state and _says(status, words),
            f"to become {state}, saying {words}",
        )

    def stands(self, condition: str, status: str, reason: str, *words: str) -> Self:
        """Wait for a condition with that status and reason, and for words of its message."""

        def met(said: dict[str, Any]) -> bool:
            return any(
                (entry["type"], entry["status"], entry["reason"]) == (condition, status, reason)
                and _says(entry, words)
                for entry in said.get("conditions", ())
            )

        return self.waits(met, f"to have {condition}={status} by {reason}, saying {words}")


class Payment(Record):
    """A payment that was recorded."""

    def is_reversed(self) -> None:
        self.edit(reversedAt=format_moment(datetime.now(UTC)))


class Order(Record):
    """An order as its client sees it."""

    def __init__(self, client: Client, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        super().__init__(client, SSLCertificateOrder, metadata["name"], metadata["namespace"])
        self.manifest = manifest
        self.purchase_order: str = manifest["spec"]["purchaseOrder"]
        self.secret_name: str = manifest["spec"]["secretName"]

    def is_paid(self, **spec: Any) -> Self:
        """The provider records the payment that the order asks for."""
        names = self.manifest["spec"]["dnsNames"]
        wildcards = sum(name.startswith("*.") for name in names)
        product, years = (self.manifest["spec"][field] for field in ("product", "termYears"))
        covers = {
            "product": product,
            "termYears": years,
            "names": len(names) - wildcards,
            "wildcards": wildcards,
        }
        self.payment = self.client.pays(self.purchase_order, **{"covers": covers, **spec})
        return self

    def suffers(self, action: str, **spec: Any) -> Record:
        return self.client.suffers(action, self.purchase_order, **spec)

    def is_deleted(self, propagation: str = "Background") -> None:
        self.world.kube.delete(self.kind, self.name, self.namespace, propagation)

    def is_declared_again(self) -> Self:
        self.client.records(self.kind, self.manifest)
        return self

    def reaches(self, phase: str, *words: str) -> Self:
        """Wait for a phase of the present generation, and for words of its message."""
        return self.waits(
            lambda status: status.get("phase") == phase and _says(status, words),
            f"to reach {phase}, saying {words}",
        )

    def stalls(self, phase: str, reason: str, *words: str) -> Self:
        """Wait until it stands still in a phase, for a reason that is told; tools take that for a failure."""
        self.stands("Stalled", "True", reason, *words)
        manifest = self.read()
        assert manifest["status"]["phase"] == phase
        assert manifest["status"]["message"] == self.conditions()["Stalled"]["message"]
        assert kstatus(manifest) == "Failed"
        assert "Reconciling" not in self.conditions()
        assert self.conditions()["Ready"]["status"] == "False"
        return self

    def kstatus(self) -> str:
        return kstatus(self.read())

    # The published Secret

    def secret(self) -> dict[str, bytes] | None:
        return self.world.kube.secret(self.client.namespace, self.secret_name)

    def secret_object(self) -> Manifest | None:
        return self.world.kube.get(SECRETS, self.secret_name, self.namespace)

    def edit_secret(self, body: Mapping[str, Any]) -> None:
        self.world.kube.patch(SECRETS, self.secret_name, body, self.namespace)

    def delete_secret(self) -> None:
        self.world.kube.delete(SECRETS, self.secret_name, self.namespace)

    def certificate(self) -> x509.Certificate:
        """The leaf in its Secret."""
        secret = self.secret()
        assert secret is not None, f"the Secret {self.secret_name} is gone"
        return x509.load_pem_x509_certificate(secret["tls.crt"])

    def waits_for_secret(self, met: Callable[[Manifest | None], bool], what: str) -> Self:
        self.world.wait(lambda: met(self.secret_object()), f"the Secret {self.secret_name} {what}", self.read)
        return self

    def has_secret(self) -> Self:
        return self.waits_for_secret(lambda secret: secret is not None, "to be there")

    def has_no_secret(self) -> Self:
        return self.waits_for_secret(lambda secret: secret is None, "to be gone")

    @contextmanager
    def watches_secret(self) -> Iterator[list[tuple[str, Manifest]]]:
        """What happens to the Secret meanwhile: filled in when the block ends, as the API server saw it."""
        namespace = self.client.namespace
        begun = self.world.kube.call("GET", SECRETS.path(namespace) + "?limit=1").json()
        version, events = begun["metadata"]["resourceVersion"], list[tuple[str, Manifest]]()
        yield events
        ended = self.world.kube.create(
            SECRETS, {"metadata": {"namespace": namespace, "generateName": "end-of-watch-"}}
        )
        query = f"?watch=true&resourceVersion={version}&timeoutSeconds={int(BOUND)}"
        for event in self.world.kube.stream(SECRETS.path(namespace) + query):
            name = event["object"]["metadata"]["name"]
            if name == ended["metadata"]["name"]:
                break
            if name == self.secret_name:
                events.append((event["type"], event["object"]))
        self.world.kube.delete(SECRETS, ended["metadata"]["name"], namespace)


def _without_bookkeeping(shown: object) -> object:
    if isinstance(shown, dict) and "metadata" in shown:
        metadata = {key: value for key, value in shown["metadata"].items() if key != "managedFields"}
        return {**shown, "metadata": metadata}
    return shown


def _says(entry: Mapping[str, Any], words: Sequence[str]) -> bool:
    return all(word in (entry.get("message") or "") for word in words)


def decoded(secret: Manifest, part: str) -> bytes:
    """One part of a Secret as the API server gives it."""
    return base64.b64decode(secret["data"][part])
