"""The process: watch always, act while the Lease is held, stop in order.

Rules:
- Every kind is listed before the first order is judged: its payments and suspensions must be known.
- A standby keeps its cache warm. Taking over, it reads the dossiers afresh, for another process wrote them,
  and looks at everything.
- On SIGTERM the workers end what they began, the Lease is handed back, and only then do the watches stop.
- A fatal error ends the process: whoever runs it starts it anew, and nothing is lost by that.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf

from sslorder.cluster.client import KubeClient, Resource
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
from sslorder.engine.queue import Urgency, WorkQueue
from sslorder.engine.reconcile import Reconciler
from sslorder.service import watch
from sslorder.service.connector import GlobalSignConnector
from sslorder.service.settings import Settings

logger = logging.getLogger(__name__)

LEASE_NAME = "sslorder"
SWEEP_EVERY = timedelta(minutes=10)
NAMESPACES = Resource("", "v1", "namespaces")
SECRETS = Resource("", "v1", "secrets")


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Operator:
    """Cache, watches and election of one process."""

    def __init__(self, settings: Settings, client: KubeClient) -> None:
        self._settings = settings
        self._client = client
        self._clock = SystemClock()
        self._cache = Cache()
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="keys")
        self._elector = LeaseElector(
            client, settings.namespace, LEASE_NAME, settings.identity, self._clock, timing=settings.lease
        )
        self._queue: WorkQueue[Key] | None = None
        self._working: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # Watching

    async def list_everything(self) -> None:
        """The operator's own first LIST."""
        for kind in watch.KINDS:
            items, _ = await self._client.list(resource(kind))
            for raw in items:
                if (thing := read(kind, raw)) is not None:
                    self._cache.put(thing)
        for raw in (await self._client.list(NAMESPACES))[0]:
            self._cache.put_namespace(raw["metadata"]["name"], raw["metadata"]["uid"])
        for raw in (await self._client.list(SECRETS, label_selector=ORDER_UID))[0]:
            self._cache.put_secret(view(raw))

    async def sweep(self) -> None:
        """Find what a lost DELETED event left in the cache: Kopf does not make one up after a relist."""
        while True:
            await asyncio.sleep(SWEEP_EVERY.total_seconds())
            for kind in watch.KINDS:
                before = set(self._cache.keys(kind))
                items, _ = await self._client.list(resource(kind))
                present = {(raw["metadata"].get("namespace", ""), raw["metadata"]["name"]) for raw in items}
                for key in before:
                    if key[1:] not in present:
                        self.enqueue(self._cache.drop(*key))

    def enqueue(self, keys: Iterable[Key], urgency: Urgency = Urgency.CHANGE) -> None:
        if self._queue is not None:
            for key in keys:
                self._queue.add(key, urgency)

    # Acting

    async def _begin(self) -> None:
        """Become the one that acts."""
        settings, client = self._settings, self._client
        dossiers = DossierSecrets(client, settings.namespace)
        connector = GlobalSignConnector(
            client, settings.namespace, settings.configuration.authority, self._clock
        )
        world = World(
            cache=self._cache,
            book=Book(),
            authorities=Authorities(connector, self._clock),
            cluster=Objects(client, self._clock, settings.identity),
            dossiers=dossiers,
            secrets=TlsSecrets(client),
            lease=self._elector,
            clock=self._clock,
            random=random.SystemRandom(),
            threads=self._threads,
        )
        world.book.load(await dossiers.list())
        queue = WorkQueue[Key](self._clock, random.SystemRandom())
        self._queue = queue
        reconciler = Reconciler(world, settings.configuration.as_provider(), self.enqueue)
        loop = Loop(queue, reconciler, settings.workers)
        for kind in watch.KINDS:
            self.enqueue(self._cache.keys(kind), Urgency.RESYNC)
        self.enqueue(self._cache.orders_with_secrets(), Urgency.RESYNC)
        self._working = asyncio.create_task(loop.run(), name="workers")
        self._working.add_done_callback(self._note_end)
        logger.info("Acting: %d dossiers, %d objects to look at.", len(world.book), len(queue))

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None and not self._failure.done():
            self._failure.set_exception(task.exception() or RuntimeError("the workers ended"))

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

    async def run(self, stop: asyncio.Event) -> None:
        """Watch and act until `stop`."""
        await self.list_everything()
        stop_watching, watching = asyncio.Event(), asyncio.Event()
        kopf_task = asyncio.create_task(
            kopf.operator(
                registry=watch.registry(self._cache, self.enqueue),
                settings=watch.settings(),
                clusterwide=True,
                standalone=True,
                stop_flag=stop_watching,
                ready_flag=watching,
            ),
            name="watches",
        )
        await _first(asyncio.create_task(watching.wait()), kopf_task)
        with _signals(stop):
            tasks = [
                asyncio.create_task(self._elector.run(self._begin, self._end), name="election"),
                asyncio.create_task(self.sweep(), name="sweep"),
            ]
            logger.info("Watching as %s.", self._settings.identity)
            stopping = asyncio.create_task(stop.wait())
            try:
                await _first(stopping, kopf_task, self._failure, *tasks)
            finally:
                for task in (*tasks, stopping):
                    task.cancel()
                await asyncio.gather(*tasks, stopping, return_exceptions=True)
                stop_watching.set()
                await asyncio.gather(kopf_task, return_exceptions=True)
                self._threads.shutdown(wait=False)


async def _first(*awaited: "asyncio.Future[Any]") -> None:
    """Wait for the first to end, and raise what it raised."""
    done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    for ended in done:
        ended.result()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Have SIGTERM and SIGINT ask for an orderly stop. Taken over from Kopf, which would stop watching at
    once."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def run(settings: Settings) -> None:
    """Run the operator until it is told to stop."""
    if settings.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(settings.kubeconfig)  # Kopf's own login reads it there
    async with KubeClient.connect(settings.kubeconfig, settings.context) as client:
        await Operator(settings, client).run(asyncio.Event())
