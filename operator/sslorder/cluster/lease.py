"""One acts, the others watch: election through a Lease (coordination.k8s.io/v1).

Rules:
- Time is measured on this machine's monotonic clock alone; the times in the Lease are for people to read.
  Another's lease has run out when it was seen unchanged here for its whole duration.
- Every write carries the resourceVersion that was read, so that of two who try, one wins.
- `is_valid` ends `renew_deadline` after the last successful renewal *began*: earlier, by a margin, than
  anyone else may take over. It is asked before every irreversible call.
- The Lease is handed back when its holder stops, so that the next need not wait.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sslorder.cluster.client import Json, KubeClient, KubeError, Resource
from sslorder.engine.ports import Clock

LEASES = Resource("coordination.k8s.io", "v1", "leases")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """Seconds, by default those of controller-runtime: duration > renew_deadline > retry_period."""

    duration: int = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    @property
    def look_period(self) -> float:
        """How often one who waits looks: it only reads, and a Lease handed back is to be taken up at once."""
        return self.retry_period / 4


class LeaseElector:
    """A candidate for one Lease. `identity` must be of this process alone (a restarted one is another).

    `former_renewal` is when the holder before this one last renewed, by its own clock.
    """

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        name: str,
        identity: str,
        clock: Clock,
        *,
        timing: LeaseTiming | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._lease = f"{namespace}/{name}"
        self._identity = identity
        self._clock = clock
        self._timing = timing or LeaseTiming()
        self._monotonic = monotonic
        self._written: Json | None = None  # as last written by us and not contradicted since
        self._seen: tuple[str, float] = ("", 0.0)  # another's resourceVersion, and when it was first seen
        self._renewed_at = -math.inf
        self.former_renewal: datetime | None = None

    def is_valid(self) -> bool:
        """Whether the Lease is ours, and nobody can have taken it over."""
        return self._remaining() > 0

    async def run(
        self, on_acquired: Callable[[], Awaitable[None]], on_lost: Callable[[], Awaitable[None]]
    ) -> None:
        """Stand for the Lease, hold it, lose it, stand again, until cancelled; then hand it back.

        `on_acquired` returns soon, for renewal waits for it. `on_lost` follows every `on_acquired`, however
        that ended, and has ended before the Lease is handed back.
        """
        try:
            while True:
                if await self._renew():
                    _log.info("%s holds the lease %s", self._identity, self._lease)
                    try:
                        await on_acquired()
                        await self._hold()
                    finally:
                        await on_lost()
                await asyncio.sleep(self._timing.look_period)
        finally:
            await self._hand_back()

    async def _hold(self) -> None:
        while self.is_valid():
            await asyncio.sleep(min(self._timing.retry_period, self._remaining()))
            await self._renew()
        _log.error("%s lost the lease %s", self._identity, self._lease)

    def _remaining(self) -> float:
        return self._renewed_at + self._timing.renew_deadline - self._monotonic()

    async def _renew(self) -> bool:
        """Acquire or renew, in one attempt. False when another holds the Lease or the attempt failed."""
        began = self._monotonic()
        try:
            async with asyncio.timeout(self._remaining() if self.is_valid() else self._timing.renew_deadline):
                lease = self._written or await self._client.get(LEASES, self._namespace, self._name)
                if lease is not None and not self._may_take(lease):
                    self._renewed_at = -math.inf
                    return False
                self._written = await self._write(lease)
        except (KubeError, TimeoutError) as error:
            self._written = None
            _log.warning("lease %s not renewed: %s", self._lease, str(error) or "no answer in time")
            return False
        self._renewed_at = began
        return True

    def _may_take(self, lease: Json) -> bool:
        """Whether it is ours or free, or unchanged for as long as its holder promised to renew it in."""
        spec, version = lease["spec"], lease["metadata"]["resourceVersion"]
        if spec.get("holderIdentity") in (None, "", self._identity):
            return True
        if self._seen[0] != version:
            self._seen = (version, self._monotonic())
        promised: int = spec.get("leaseDurationSeconds", self._timing.duration)
        return self._monotonic() - self._seen[1] > promised

    async def _write(self, lease: Json | None) -> Json:
        now = self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._timing.duration,
            "renewTime": now,
        }
        if lease is None:
            metadata = {"namespace": self._namespace, "name": self._name}
            spec |= {"acquireTime": now, "leaseTransitions": 0}
            return await self._client.create(LEASES, {"metadata": metadata, "spec": spec})
        former = lease["spec"]
        if former.get("holderIdentity") != self._identity:
            renewed = former.get("renewTime")
            self.former_renewal = datetime.fromisoformat(renewed) if renewed else None
            spec |= {"acquireTime": now, "leaseTransitions": former.get("leaseTransitions", 0) + 1}
        return await self._client.replace(LEASES, lease | {"spec": former | spec})

    async def _hand_back(self) -> None:
        self._renewed_at = -math.inf
        try:
            async with asyncio.timeout(self._timing.renew_deadline):
                lease = await self._client.get(LEASES, self._namespace, self._name)
                if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                    free = lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._client.replace(LEASES, lease | {"spec": free})
        except (KubeError, TimeoutError) as error:
            _log.warning("lease %s not handed back: %s", self._lease, str(error) or "no answer in time")
