"""The workers: they take keys from the queue, have them reconciled, and set the timer for the next time.

Rules:
- No failure of one object stops the loop or delays another: it is logged with the object's name, and the key
  comes back later.
- Work begins after `start`, when every kind has been listed: an order is never judged before its payments and
  suspensions are known.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime

from sslorder.engine.cache import Key
from sslorder.engine.observer import Observer
from sslorder.engine.ports import ClusterError, Stale
from sslorder.engine.queue import Urgency, WorkQueue
from sslorder.engine.reconcile import Reconciler

logger = logging.getLogger(__name__)


class Loop:
    """`workers` coroutines over one queue."""

    def __init__(
        self, queue: WorkQueue[Key], reconciler: Reconciler, workers: int, observer: Observer
    ) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._workers = workers
        self._observer = observer

    async def run(self) -> None:
        """Work until the queue is closed."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"worker-{number}")

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            failed = True
            self._observer.begun(key)
            try:
                failed = not await self._once(key)
            finally:
                self._queue.done(key)
                self._observer.ended(key, failed=failed)

    async def _once(self, key: Key) -> bool:
        """Look at one object. Returns whether nothing went wrong; one that changed meanwhile did not."""
        try:
            when: datetime | None = await self._reconciler.reconcile(key)
        except Stale as error:
            logger.debug("%s: %s", key, error)
            self._queue.retry(key)
            return True
        except ClusterError as error:
            delay = self._queue.retry(key)
            logger.warning("%s: %s. Tried again in %.1f s.", key, error, delay.total_seconds())
        except Exception:
            delay = self._queue.retry(key)
            logger.exception(
                "%s: a defect stopped its reconciliation. Tried again in %.1f s.", key, delay.total_seconds()
            )
        else:
            self._queue.forget(key)
            self._queue.wake_at(key, when)
            return True
        return False

    def enqueue(self, keys: Iterable[Key], urgency: Urgency = Urgency.CHANGE) -> None:
        for key in keys:
            self._queue.add(key, urgency)
