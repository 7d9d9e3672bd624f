"""The stage of every measurement: control plane, sandbox and operator as processes of their own, and what
they cost.

Rules:
- The load speaks to the API server as users do; it reads nothing of the operator.
- CPU and memory are the kernel's figures of each process; API requests are the API server's own count.
"""

import asyncio
import base64
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import API_VERSION, KubernetesObject
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.cluster.client import Json, KubeClient, NotFound, Resource
from sslorder.cluster.objects import resource
from sslorder.contract.secret import ORDER_UID
from tests.controlplane import ControlPlane
from tests.harness.operator import Operator
from tests.harness.sandbox import Sandbox

CONNECTIONS: Final = 32
HOME: Final = "sslorder-system"
SECRETS: Final = Resource("", "v1", "secrets")
NAMESPACES: Final = Resource("", "v1", "namespaces")
ACCOUNT: Final = "bench"
DOMAIN: Final = "bench.example"
CONFIGURATION: Final = Path(__file__).parent.parent / "examples" / "configuration.yaml"
_TICK: Final = os.sysconf("SC_CLK_TCK")


def manifest(kind: type[KubernetesObject], name: str, spec: Json, namespace: str | None = None) -> Json:
    metadata: Json = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": API_VERSION, "kind": kind.KIND.name, "metadata": metadata, "spec": spec}


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the load. `number` makes its names, its purchase order and its payment unique."""

    number: int
    namespace: str

    @property
    def name(self) -> str:
        return f"order-{self.number}"

    def declared(self, **spec: Any) -> Json:
        wanted = {
            "purchaseOrder": f"BC-{self.number}",
            "termYears": 1,
            "product": "DV",
            "dnsNames": [f"n{self.number}.{DOMAIN}"],
            "acceptedTerms": {"conditions": "2026-01", "authority": "5.9"},
            "secretName": f"tls-{self.number}",
            **spec,
        }
        return manifest(SSLCertificateOrder, self.name, wanted, self.namespace)

    def paid(self) -> Json:
        spec = {
            "account": ACCOUNT,
            "purchaseOrder": f"BC-{self.number}",
            "period": 1,
            "covers": {"product": "DV", "termYears": 1, "names": 1, "wildcards": 0},
            "amount": "49.00",
            "currency": "EUR",
            "reference": f"order {self.number}",
            "receivedAt": "2026-01-01T00:00:00Z",
        }
        return manifest(SSLPayment, f"payment-{self.number}", spec)


@dataclass(slots=True)
class Cost:
    """CPU seconds and resident MiB of one process."""

    cpu: float
    rss: float
    peak: float


def cost_of(pid: int) -> Cost:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )

    def mebibytes(name: str) -> float:
        return int(status[name].split()[0]) / 1024

    return Cost((int(fields[11]) + int(fields[12])) / _TICK, mebibytes("VmRSS"), mebibytes("VmHWM"))


_REQUESTS = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(slots=True)
class Watched:
    """When Secrets came and went, by namespace and name, on this process' monotonic clock."""

    came: dict[tuple[str, str], float] = field(default_factory=dict)
    went: dict[tuple[str, str], float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, met: Callable[[], bool], what: str, bound: float, tell: Callable[[], str]) -> None:
        """Wait for a condition on what was seen, telling of the progress each two seconds."""
        begun = told = time.monotonic()
        while not met():
            self.changed.clear()
            try:
                async with asyncio.timeout(0.5):
                    await self.changed.wait()
            except TimeoutError:
                pass
            now = time.monotonic()
            if now - told > 2:
                told = now
                print(f"    {now - begun:6.0f} s  {tell()}", file=sys.stderr, flush=True)
            if now - begun > bound:
                raise TimeoutError(f"{what}: not within {bound:.0f} s ({tell()})")


class Stage:
    """Everything that runs. `start` makes it, and ends it whatever happens."""

    def __init__(self, plane: ControlPlane, sandbox: Sandbox, client: KubeClient, directory: Path) -> None:
        self.plane = plane
        self.sandbox = sandbox
        self.client = client
        self.directory = directory
        self.watched = Watched()
        self._operator: Operator | None = None
        self._numbers = iter(range(1, 1_000_000))

    @classmethod
    @asynccontextmanager
    async def start(cls, directory: Path) -> AsyncIterator["Stage"]:
        with ControlPlane.start() as plane, Sandbox.start(directory / "sandbox") as sandbox:
            plane.install(Path("crds"))
            async with KubeClient.connect(plane.kubeconfig, connections=CONNECTIONS) as client:
                stage = cls(plane, sandbox, client, directory)
                await stage._furnish()
                watching = asyncio.create_task(stage._watch())
                try:
                    yield stage
                finally:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)
                    stage.stop_operator()

    async def _furnish(self) -> None:
        await self.namespace(HOME)
        await self.authority("bench", default=True)

    async def authority(self, name: str, *, default: bool = False, **account: object) -> None:
        """An `SSLAuthority` on a sandbox account of its own, without narrow limits."""
        credentials = self.sandbox.create_account(name, preapproved=[DOMAIN], quota=1_000_000, **account)
        data = {key: base64.b64encode(value.encode()).decode() for key, value in credentials.items()}
        await self.client.create(SECRETS, {"metadata": {"name": name, "namespace": HOME}, "data": data})
        spec = {
            "product": "DV",
            "globalSign": {"url": self.sandbox.api, "credentialsSecretRef": {"name": name}},
            "limits": {"requestsPerSecond": 1000, "concurrency": 16},
        }
        body = manifest(SSLAuthority, name, spec)
        if default:
            body["metadata"]["annotations"] = {"ssl.synchrone.be/is-default-authority": "true"}
        await self.client.create(resource(SSLAuthority), body)

    async def namespace(self, name: str) -> None:
        await self.client.create(NAMESPACES, {"metadata": {"name": name}})

    async def account(self, namespaces: Sequence[str], authorities: Sequence[str] = ()) -> None:
        contact = {"name": "Bench", "email": "bench@bench.example"}
        spec = {
            "namespaces": [*namespaces],
            "domains": [DOMAIN],
            "contact": contact,
            "authorities": [*authorities],
        }
        known = await self.client.get(resource(SSLAccount), None, ACCOUNT)
        if known is None:
            await self.client.create(resource(SSLAccount), manifest(SSLAccount, ACCOUNT, spec))
        else:
            spec["namespaces"] = sorted({*known["spec"]["namespaces"], *namespaces})
            spec["authorities"] = sorted({*known["spec"].get("authorities", ()), *authorities})
            await self.client.patch(resource(SSLAccount), None, ACCOUNT, {"spec": spec})

    async def orders(self, count: int, namespaces: int, prefix: str) -> list[Order]:
        """Fresh orders, not declared yet, spread over fresh namespaces of the account."""
        names = [f"{prefix}-{number}" for number in range(namespaces)]
        for name in names:
            await self.namespace(name)
        await self.account(names)
        return [Order(next(self._numbers), names[number % namespaces]) for number in range(count)]

    # Processes

    def start_operator(self) -> float:
        """Start it; returns the seconds until it acts."""
        begun = time.monotonic()
        log = self.directory / "operator.log"
        self._operator = Operator.start(self.plane.kubeconfig, CONFIGURATION, log)
        return time.monotonic() - begun

    def stop_operator(self) -> None:
        if self._operator is not None:
            self._operator.stop()
            self._operator = None

    def pids(self) -> dict[str, int]:
        found = {component.name: component.pid for component in self.plane.components}
        found["sandbox"] = self.sandbox.pid
        if self._operator is not None:
            found["operator"] = self._operator.process.pid
        return found

    def costs(self) -> dict[str, Cost]:
        return {name: cost_of(pid) for name, pid in self.pids().items()}

    def requests(self) -> Counter[str]:
        """Requests that the API server has answered, by verb and resource."""
        counted: Counter[str] = Counter()
        for labels, value in _REQUESTS.findall(self.plane.metrics()):
            label = dict(_LABEL.findall(labels))
            place = "/".join(filter(None, (label["resource"], label["subresource"])))
            counted[f"{label['verb']} {place}"] += int(float(value))
        return counted

    # Load

    async def each(self, things: Iterable[Any], do: Callable[[Any], Awaitable[object]]) -> None:
        """Do something for each thing, with as many at one time as there are connections."""
        todo = iter(things)

        async def worker() -> None:
            for thing in todo:
                await do(thing)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(worker())

    async def act(self, name: str, **spec: Any) -> None:
        await self.client.create(resource(SSLContractAction), manifest(SSLContractAction, name, spec))

    async def delete(self, order: Order) -> None:
        for kind, namespace, name in (
            (SSLCertificateOrder, order.namespace, order.name),
            (SSLPayment, None, f"payment-{order.number}"),
        ):
            try:
                await self.client.delete(resource(kind), namespace, name)
            except NotFound:
                continue

    async def _watch(self) -> None:
        """Follow every Secret that bears the operator's mark, or the bare client's."""
        credentials = self.client.credentials
        path = f"{credentials.configuration.host}/api/v1/secrets?watch=1&labelSelector={ORDER_UID}"
        async with (
            aiohttp.ClientSession(trust_env=False, read_bufsize=1 << 24) as session,
            session.get(path, ssl=credentials.tls, timeout=aiohttp.ClientTimeout(total=None)) as stream,
        ):
            async for line in stream.content:
                event = json.loads(line)
                metadata = event["object"]["metadata"]
                place = (metadata["namespace"], metadata["name"])
                if event["type"] == "DELETED":
                    self.watched.went[place] = time.monotonic()
                else:
                    self.watched.came.setdefault(place, time.monotonic())
                    self.watched.went.pop(place, None)
                self.watched.changed.set()
