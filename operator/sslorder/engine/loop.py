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
from sslorder.engine.ports import ClusterError, Stale
from sslorder.engine.queue import Urgency, WorkQueue
from sslorder.engine.reconcile import Reconciler

logger = logging.getLogger(__name__)


class Loop:
    """`workers` coroutines over one queue."""

    def __init__(self, queue: WorkQueue[Key], reconciler: Reconciler, workers: int = 32) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._workers = workers
        self.reconciled = 0
        self.failed = 0

    async def run(self) -> None:
        """Work until the queue is closed."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"worker-{number}")

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            try:
                await self._once(key)
            finally:
                self._queue.done(key)

    async def _once(self, key: Key) -> None:
        self.reconciled += 1
        try:
            when: datetime | None = await self._reconciler.reconcile(key)
        except Stale as error:
            logger.debug("%s: %s", key, error)
            self._queue.retry(key)
        except ClusterError as error:
            self.failed += 1
            delay = self._queue.retry(key)
            logger.warning("%s: %s. Tried again in %.1f s.", key, error, delay.total_seconds())
        except Exception:
            self.failed += 1
            delay = self._queue.retry(key)
            logger.exception(
                "%s: a defect stopped its reconciliation. Tried again in %.1f s.", key, delay.total_seconds()
            )
        else:
            self._queue.forget(key)
            self._queue.wake_at(key, when)

    def enqueue(self, keys: Iterable[Key], urgency: Urgency = Urgency.CHANGE) -> None:
        for key in keys:
            self._queue.add(key, urgency)
