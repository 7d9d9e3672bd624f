"""One operator: its memory, what it hears of the cluster, and its work while the Lease is held.

Rules:
- Every kind is listed before the first order is judged: its payments and suspensions must be known.
- A standby keeps its cache warm. Taking over, it reads the dossiers afresh, for another process wrote them,
  and looks at everything.
- Where events come from, what time it is and what chance says come in from outside: the simulation gives its
  own.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import KubernetesObject, Scope
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.cluster.client import Json, KubeClient, KubeError, Resource
from sslorder.cluster.dossiers import DossierSecrets
from sslorder.cluster.lease import LeaseElector
from sslorder.cluster.objects import Objects, read, resource
from sslorder.cluster.secrets import TlsSecrets, view
from sslorder.contract.secret import ORDER_UID
from sslorder.engine.act import World
from sslorder.engine.authorities import Authorities
from sslorder.engine.cache import Cache, Key
from sslorder.engine.gather import Book
from sslorder.engine.loop import Loop
from sslorder.engine.observer import Observer
from sslorder.engine.ports import Clock, Connector
from sslorder.engine.queue import Urgency, WorkQueue
from sslorder.engine.reconcile import Reconciler
from sslorder.service.settings import Settings

logger = logging.getLogger(__name__)

LEASE_NAME = "sslorder"
SWEEP_EVERY = timedelta(minutes=10)
NAMESPACES = Resource("", "v1", "namespaces")
SECRETS = Resource("", "v1", "secrets")
KINDS: tuple[type[KubernetesObject], ...] = (
    SSLAccount,
    SSLAuthority,
    SSLPayment,
    SSLContractAction,
    SSLCertificateOrder,
)

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an operator is given rather than takes: time, chance, threads, and who keeps its figures."""

    clock: Clock
    random: Random
    threads: Executor
    monotonic: Callable[[], float] = time.monotonic
    observer: Observer = field(default_factory=Observer)


class Operator:
    """Cache, election and workers of one process."""

    def __init__(
        self, settings: Settings, client: KubeClient, connector: Connector, surroundings: Surroundings
    ) -> None:
        self._settings = settings
        self._client = client
        self._connector = connector
        self._around = surroundings
        self.cache = Cache()
        self.has_listed = False
        self._queue: WorkQueue[Key] | None = None
        self._working: asyncio.Task[None] | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.elector = LeaseElector(
            client,
            settings.namespace,
            LEASE_NAME,
            settings.identity,
            surroundings.clock,
            timing=settings.lease,
            monotonic=surroundings.monotonic,
        )

    # Hearing

    async def list_everything(self) -> None:
        """The operator's own first LIST."""
        for kind in KINDS:
            for raw in await self._list(resource(kind), kind.KIND.scope):
                self.hear(kind, None, raw)
        for raw in await self._list(NAMESPACES, Scope.CLUSTER):
            self.hear_namespace(None, raw)
        for raw in await self._list(SECRETS, Scope.NAMESPACED, ORDER_UID):
            self.hear_secret(None, raw)
        self.has_listed = True

    async def _list(self, which: Resource, scope: Scope, label_selector: str | None = None) -> list[Json]:
        """Every object, of a namespaced kind those in the namespaces that are looked after."""
        chosen = self._settings.watch_namespaces if scope is Scope.NAMESPACED else ()
        lists = [await self._client.list(which, place, label_selector) for place in chosen or (None,)]
        return [raw for items, _ in lists for raw in items]

    def hear(self, kind: type[KubernetesObject], event: str | None, raw: Raw) -> None:
        """Take note of a watch event about one of our kinds. `event` is None for what a LIST found."""
        metadata = raw["metadata"]
        if event == "DELETED":
            work = self.cache.drop(kind, metadata.get("namespace", ""), metadata["name"], metadata["uid"])
        else:
            thing = read(kind, raw)
            work = self.cache.put(thing) if thing is not None else set()
            if event is not None and thing is not None and _may_take_away(thing):
                self._enqueue(work, Urgency.REMOVAL)
                return
        self._enqueue(work, Urgency.RESYNC if event is None else Urgency.CHANGE)

    def hear_namespace(self, event: str | None, raw: Raw) -> None:
        metadata = raw["metadata"]
        if event == "DELETED":
            self._enqueue(self.cache.drop_namespace(metadata["name"]))
        else:
            self._enqueue(self.cache.put_namespace(metadata["name"], metadata["uid"]))

    def hear_secret(self, event: str | None, raw: Raw) -> None:
        metadata = raw["metadata"]
        if event == "DELETED":
            self._enqueue(self.cache.drop_secret(metadata["namespace"], metadata["name"], metadata["uid"]))
        else:
            self._enqueue(self.cache.put_secret(view(raw)))

    async def sweep(self) -> None:
        """Find what a lost DELETED event left in the cache: Kopf does not make one up after a relist."""
        while True:
            await asyncio.sleep(SWEEP_EVERY.total_seconds())
            try:
                await self._sweep_once()
            except KubeError as error:
                logger.warning("The sweep for deleted objects failed: %s", error)

    async def _sweep_once(self) -> None:
        for kind in KINDS:
            known = self.cache.incarnations(kind)
            items = await self._list(resource(kind), kind.KIND.scope)
            present = {(raw["metadata"].get("namespace", ""), raw["metadata"]["name"]) for raw in items}
            for key, uid in known.items():
                if key[1:] not in present:
                    self._enqueue(self.cache.drop(*key, uid))
        known_secrets = self.cache.secret_places()
        items = await self._list(SECRETS, Scope.NAMESPACED, ORDER_UID)
        present = {(raw["metadata"]["namespace"], raw["metadata"]["name"]) for raw in items}
        for place in known_secrets - present:
            self._enqueue(self.cache.drop_secret(*place))

    def waiting(self) -> Mapping[Urgency, int]:
        """How many objects wait to be looked at. None do while another holds the Lease."""
        queue = self._queue
        return queue.depth() if queue is not None else dict.fromkeys(Urgency, 0)

    def _enqueue(self, keys: Iterable[Key], urgency: Urgency = Urgency.CHANGE) -> None:
        if self._queue is not None:
            for key in keys:
                self._queue.add(key, urgency)

    # Acting

    async def stand_for_election(self) -> None:
        """Act whenever the Lease is held, until cancelled."""
        await self.elector.run(self._begin, self._end)

    async def _begin(self) -> None:
        settings, client, around = self._settings, self._client, self._around
        dossiers = DossierSecrets(client, settings.namespace)
        world = World(
            cache=self.cache,
            book=Book(),
            authorities=Authorities(
                self._connector,
                around.clock,
                self.cache.namespace_uid(settings.namespace) or settings.namespace,
                lambda name: self._enqueue({Key(SSLAuthority, "", name)}),
                settings.configuration.authority.refresh_every,
            ),
            cluster=Objects(client, around.clock, settings.identity),
            dossiers=dossiers,
            secrets=TlsSecrets(client),
            lease=self.elector,
            clock=around.clock,
            random=around.random,
            threads=around.threads,
            observer=around.observer,
            absent_since=self.elector.former_renewal,
            unseen=set(self.cache.keys(SSLCertificateOrder)),
        )
        world.book.load(await dossiers.list())
        queue = self._queue = WorkQueue[Key](around.clock, around.random)
        reconciler = Reconciler(world, settings.configuration.as_provider(), self._enqueue)
        loop = Loop(queue, reconciler, settings.workers, around.observer)
        for kind in KINDS:
            self._enqueue(self.cache.keys(kind), Urgency.RESYNC)
        self._enqueue(self.cache.orders_with_secrets(), Urgency.RESYNC)
        self._working = asyncio.create_task(loop.run(), name="workers")
        self._working.add_done_callback(self._note_end)
        logger.info("Acting: %d dossiers, %d objects to look at.", len(world.book), len(queue))

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.failed.done():
            self.failed.set_exception(error)

    async def _end(self) -> None:
        """Stop acting. What was begun is ended, within the time that the Lease leaves."""
        queue, working = self._queue, self._working
        self._queue = self._working = None
        if queue is None or working is None:
            return
        queue.close()
        done, _ = await asyncio.wait([working], timeout=self._settings.lease.renew_deadline / 2)
        if not done:
            working.cancel()
            await asyncio.wait([working])
        logger.info("No longer acting.")


def _may_take_away(thing: KubernetesObject) -> bool:
    """Whether an object may call for the removal of a Secret: that goes before all other work."""
    match thing:
        case SSLContractAction():
            return True
        case SSLCertificateOrder(spec=spec):
            return spec.revocation is not None
        case SSLPayment(spec=spec):
            return spec.reversed_at is not None
    return False
