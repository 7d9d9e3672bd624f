"""What is to be looked at next: a work queue of keys, and the moments at which keys enter it by themselves.

Rules (those of client-go's workqueue, for one event loop):
- A key is never worked on twice at once. Added while it is worked on, it runs once more afterwards.
- A key waits once, at the highest urgency that it was added with; then first come, first served.
- A key has at most one deadline (wall clock) and one retry (the loop's own time). Neither replaces the other.
- One loop timer serves every key. It sleeps at most `LONGEST_NAP`, then reads the clock again: a wall clock
  that jumps delays nothing by more than that.

Nothing here is persistent: after a restart, deadlines come from the objects again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from heapq import heapify, heappop, heappush
from itertools import count
from random import Random
from typing import Generic, TypeVar

from sslorder.engine.ports import Clock

LONGEST_NAP = timedelta(minutes=1)

K = TypeVar("K", bound=Hashable)


class Urgency(IntEnum):
    """Which keys go first. A smaller number is more urgent."""

    REMOVAL = 0
    CHANGE = 1
    RESYNC = 2


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a key waits after its nth failure in a row: `first` × 2ⁿ⁻¹, at most `longest`, less up to half
    at random, so that keys that failed together do not return together."""

    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=5)

    def delay(self, failures: int, random: Random) -> timedelta:
        doubled = self.first * (1 << min(failures - 1, 32))
        return min(doubled, self.longest) * random.uniform(0.5, 1.0)


class _Alarms(Generic[K]):
    """One moment per key, in seconds of some clock, as a heap. Replaced entries stay in it until they surface
    or outnumber the live ones."""

    def __init__(self) -> None:
        self._live: dict[K, tuple[float, int, K, Urgency]] = {}
        self._heap: list[tuple[float, int, K, Urgency]] = []
        self._serial = count()

    def set(self, key: K, at: float, urgency: Urgency) -> None:
        self._live[key] = entry = (at, next(self._serial), key, urgency)
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._live) + 64:
            self._heap = list(self._live.values())
            heapify(self._heap)

    def discard(self, key: K) -> None:
        self._live.pop(key, None)

    def earliest(self) -> float | None:
        while self._heap and self._live.get(self._heap[0][2]) is not self._heap[0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Iterator[tuple[K, Urgency]]:
        while (at := self.earliest()) is not None and at <= now:
            _, _, key, urgency = heappop(self._heap)
            del self._live[key]
            yield key, urgency


class WorkQueue(Generic[K]):
    """Keys waiting for a worker. Belongs to one running event loop; no method but `get` waits."""

    def __init__(self, clock: Clock, random: Random, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._random = random
        self._backoff = backoff or Backoff()
        self._lanes: dict[Urgency, OrderedDict[K, None]] = {urgency: OrderedDict() for urgency in Urgency}
        self._available = asyncio.Semaphore(0)  # as many permits as keys in the lanes
        self._processing: dict[K, Urgency] = {}
        self._again: dict[K, Urgency] = {}
        self._failures: dict[K, int] = {}
        self._deadlines = _Alarms[K]()
        self._retries = _Alarms[K]()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """Keys that wait, those that wait for their own run to end included."""
        return sum(self.depth().values())

    def depth(self) -> dict[Urgency, int]:
        """Waiting keys by urgency."""
        again = list(self._again.values())
        return {urgency: len(lane) + again.count(urgency) for urgency, lane in self._lanes.items()}

    def add(self, key: K, urgency: Urgency) -> None:
        """Have `key` looked at. Waiting already, it is at most lifted to the higher urgency."""
        if key in self._processing:
            self._again[key] = min(urgency, self._again.get(key, urgency))
            return
        for waiting, lane in self._lanes.items():
            if key in lane:
                if urgency < waiting:
                    del lane[key]
                    self._lanes[urgency][key] = None
                return
        self._lanes[urgency][key] = None
        self._available.release()

    async def get(self) -> K | None:
        """The most urgent key, for which the caller owes a `done`; None once the queue is closed."""
        await self._available.acquire()
        if self._closed:
            self._available.release()  # for the next that waits
            return None
        urgency, lane = next((urgency, lane) for urgency, lane in self._lanes.items() if lane)
        key, _ = lane.popitem(last=False)
        self._processing[key] = urgency
        return key

    def done(self, key: K) -> None:
        """The run of `key` ended, well or badly. Added meanwhile, it waits again."""
        del self._processing[key]
        if (urgency := self._again.pop(key, None)) is not None:
            self.add(key, urgency)

    def wake_at(self, key: K, when: datetime | None) -> None:
        """Add `key` at `when`, as urgently as a removal. Replaces the former deadline; None removes it."""
        if when is None:
            self._deadlines.discard(key)
            return
        self._deadlines.set(key, when.timestamp(), Urgency.REMOVAL)
        self._arm()

    def retry(self, key: K, after: timedelta | None = None) -> timedelta:
        """Add `key` later, as urgently as the run that failed; returns how much later.

        `after` is the time that the other side asked for: up to a tenth is added at random, and it counts
        as no failure.
        """
        if after is None:
            self._failures[key] = failures = self._failures.get(key, 0) + 1
            delay = self._backoff.delay(failures, self._random)
        else:
            delay = after * self._random.uniform(1.0, 1.1)
        at = asyncio.get_running_loop().time() + delay.total_seconds()
        self._retries.set(key, at, self._processing.get(key, Urgency.CHANGE))
        self._arm()
        return delay

    def forget(self, key: K) -> None:
        """`key` went well: its failures no longer count, and a retry not yet due is dropped."""
        self._failures.pop(key, None)
        self._retries.discard(key)

    def close(self) -> None:
        """Hand out no more keys; whoever waits for one gets None."""
        self._closed = True
        self._available.release()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        """Have the timer fire no later than the next alarm. Firing earlier than needed does no harm."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        nap = LONGEST_NAP.total_seconds()
        deadline, retry = self._deadlines.earliest(), self._retries.earliest()
        if deadline is not None:
            nap = min(nap, deadline - self._clock.now().timestamp())
        if retry is not None:
            nap = min(nap, retry - loop.time())
        at = loop.time() + max(nap, 0.0)
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        for key, urgency in self._deadlines.pop_due(self._clock.now().timestamp()):
            self.add(key, urgency)
        for key, urgency in self._retries.pop_due(asyncio.get_running_loop().time()):
            self.add(key, urgency)
        if self._deadlines.earliest() is not None or self._retries.earliest() is not None:
            self._arm()
