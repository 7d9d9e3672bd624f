"""The elector on a real API server; how long is measured on a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sslorder.cluster.client import Forbidden, KubeClient
from sslorder.cluster.lease import LEASES, LeaseElector, LeaseTiming
from tests.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

NAMESPACE = "default"
TIMING = LeaseTiming(duration=15, renew_deadline=10.0, retry_period=0.01)
BOUND = 60.0


class Moment:
    """Both clocks of an elector, which move when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


class Candidate:
    """An elector that runs, and what it told its process."""

    def __init__(self, elector: LeaseElector, holder: Callable[[], Awaitable[str]]) -> None:
        self.told: list[str] = []
        self._elector = elector
        self._holder = holder
        self._running = asyncio.create_task(self._elector.run(self._acquired, self._lost))

    async def _acquired(self) -> None:
        assert self.is_valid()
        self.told.append("acquired")

    async def _lost(self) -> None:
        self.told.append(f"lost, the lease says {await self._holder()}")

    def is_valid(self) -> bool:
        return self._elector.is_valid()

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])


class Stage:
    """One Lease and who stands for it."""

    def __init__(self, client: KubeClient, lease: str) -> None:
        self.client = client
        self.moment = Moment()
        self.candidates: list[Candidate] = []
        self._lease = lease

    def stands(self, identity: str, through: KubeClient | None = None) -> Candidate:
        elector = LeaseElector(
            through or self.client,
            NAMESPACE,
            self._lease,
            identity,
            self.moment,
            timing=TIMING,
            monotonic=self.moment,
        )
        self.candidates.append(Candidate(elector, self.holder))
        return self.candidates[-1]

    async def spec(self) -> dict[str, Any]:
        found = await self.client.get(LEASES, NAMESPACE, self._lease)
        assert found is not None
        spec: dict[str, Any] = found["spec"]
        return spec

    async def holder(self) -> str:
        return str((await self.spec())["holderIdentity"])

    async def renewed_now(self) -> bool:
        return datetime.fromisoformat((await self.spec())["renewTime"]) == self.moment.now()


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(BOUND):
            while True:
                met = condition()
                if await met if isinstance(met, Awaitable) else met:
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited {BOUND:.0f} s in vain for {what}") from None


Story = Callable[[Stage], Awaitable[None]]


def play(plane: ControlPlane, lease: str, story: Story) -> None:
    """Runs a story; its candidates are stopped at its end, however it ends."""

    async def staged() -> None:
        async with KubeClient.connect(plane.kubeconfig) as client:
            stage = Stage(client, lease)
            try:
                await story(stage)
            finally:
                await asyncio.gather(*(candidate.stop() for candidate in stage.candidates))

    asyncio.run(staged())


def test_of_several_candidates_one_acts(plane: ControlPlane) -> None:
    async def story(stage: Stage) -> None:
        candidates = [stage.stands(f"pod-{number}") for number in range(5)]
        await until(lambda: any(candidate.is_valid() for candidate in candidates), "a holder")
        for _ in range(10):
            stage.moment.seconds += 4.0
            await until(stage.renewed_now, "a renewal")
        assert [candidate.told for candidate in candidates if candidate.told] == [["acquired"]]
        assert (await stage.spec())["leaseTransitions"] == 0

    play(plane, "one-acts", story)


def test_the_lease_is_handed_back_once_its_holder_has_stopped(plane: ControlPlane) -> None:
    async def story(stage: Stage) -> None:
        first = stage.stands("first")
        await until(first.is_valid, "the first to hold the lease")
        await first.stop()
        assert first.told == ["acquired", "lost, the lease says first"]
        assert not first.is_valid()
        assert await stage.holder() == ""

        second = stage.stands("second")
        await until(second.is_valid, "the second to hold it at the same moment")
        assert (await stage.spec())["leaseTransitions"] == 1

    play(plane, "handed-back", story)


def test_a_holder_that_cannot_renew_gives_up_before_another_takes_over(plane: ControlPlane) -> None:
    binding = ("clusterrolebinding", "holder-renews")
    plane.kubectl("create", *binding, "--clusterrole=cluster-admin", "--user=holder")

    async def story(stage: Stage) -> None:
        async with KubeClient.connect(plane.user("holder")) as client:

            async def refused() -> bool:
                try:
                    await client.get(LEASES, NAMESPACE, "any")
                except Forbidden:
                    return True
                return False

            holder = stage.stands("holder", client)
            await until(holder.is_valid, "the holder")
            await asyncio.to_thread(plane.kubectl, "delete", *binding)
            await until(refused, "the API server to refuse the holder")
            standby = stage.stands("standby")
            cut_off = stage.moment.seconds

            def taken_over() -> bool:
                if not standby.told:
                    stage.moment.seconds += 0.5
                    alone = stage.moment.seconds - cut_off
                    assert holder.is_valid() == (alone < TIMING.renew_deadline)
                return bool(standby.told)

            await until(taken_over, "the standby to take over")
            assert stage.moment.seconds - cut_off > TIMING.duration
            await until(lambda: len(holder.told) == 2, "the holder to know")
            await holder.stop()

    play(plane, "gives-up", story)


def test_a_lease_that_someone_else_took_is_lost_at_once(plane: ControlPlane) -> None:
    async def story(stage: Stage) -> None:
        robbed = stage.stands("robbed")
        await until(robbed.is_valid, "the holder")
        await stage.client.patch(LEASES, NAMESPACE, "taken", {"spec": {"holderIdentity": "thief"}})
        await until(lambda: robbed.told[1:] == ["lost, the lease says thief"], "the holder to know")
        assert not robbed.is_valid()

    play(plane, "taken", story)
