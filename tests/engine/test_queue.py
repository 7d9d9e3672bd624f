"""The work queue, on a loop whose time passes only when nothing is left to do."""

import asyncio
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from sslorder.engine.queue import LONGEST_NAP, Backoff, Urgency, WorkQueue
from tests.harness.time import START, SkippingLoop, WallClock

T = TypeVar("T")

REMOVAL, CHANGE, RESYNC = Urgency
BACKOFF = Backoff(first=timedelta(seconds=1), longest=timedelta(minutes=5))


class TopOfTheRange(Random):
    """Draws the largest number each time, so that a model can tell delays."""

    def random(self) -> float:
        return 1.0


class Bench:
    """A queue, its loop and its clock. Every step runs inside the loop."""

    def __init__(self, random: Random | None = None) -> None:
        self.loop = SkippingLoop()
        self.clock = WallClock(self.loop)
        self.queue = self.run(self._make(random or TopOfTheRange()))

    async def _make(self, random: Random) -> WorkQueue[str]:
        return WorkQueue(self.clock, random, BACKOFF)

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    def call(self, step: Callable[..., T], *arguments: Any) -> T:
        async def inside() -> T:
            return step(*arguments)

        return self.run(inside())

    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def take(self) -> str:
        key = self.run(self.queue.get())
        assert key is not None
        return key

    def take_all(self) -> list[str]:
        """Every waiting key, each taken and done, in the order in which workers get them."""
        taken = []
        while self.queue:
            taken.append(self.take())
            self.queue.done(taken[-1])
        return taken

    def at(self, seconds: float) -> datetime:
        return self.clock.now() + timedelta(seconds=seconds)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.loop.close()


@pytest.mark.parametrize(
    ("added", "taken"),
    [
        pytest.param([("a", CHANGE), ("b", CHANGE)], ["a", "b"], id="first come, first served"),
        pytest.param([("a", CHANGE), ("a", CHANGE)], ["a"], id="a key waits once, however often it is added"),
        pytest.param([("a", RESYNC), ("b", CHANGE), ("c", REMOVAL)], ["c", "b", "a"], id="removals go first"),
        pytest.param(
            [("a", RESYNC), ("b", RESYNC), ("b", REMOVAL)],
            ["b", "a"],
            id="a key is lifted to a higher urgency",
        ),
        pytest.param(
            [("a", REMOVAL), ("b", CHANGE), ("a", RESYNC)], ["a", "b"], id="a key is never lowered again"
        ),
        pytest.param(
            [("a", CHANGE), ("b", CHANGE), ("a", CHANGE)],
            ["a", "b"],
            id="adding again does not cost the place",
        ),
    ],
)
def test_keys_are_taken_in_order(bench: Bench, added: list[tuple[str, Urgency]], taken: list[str]) -> None:
    for key, urgency in added:
        bench.queue.add(key, urgency)
    assert bench.take_all() == taken


def test_a_key_added_while_it_is_worked_on_runs_again_once_and_only_afterwards(bench: Bench) -> None:
    bench.queue.add("a", CHANGE)
    bench.take()
    bench.queue.add("a", RESYNC)
    bench.queue.add("a", REMOVAL)
    bench.queue.add("b", CHANGE)
    assert bench.queue.depth() == {REMOVAL: 1, CHANGE: 1, RESYNC: 0}
    assert bench.take() == "b"

    bench.queue.done("a")

    assert bench.take_all() == ["a"]


def test_every_idle_worker_is_woken_by_a_key_and_by_the_end(bench: Bench) -> None:
    async def worker(name: str) -> list[str]:
        seen = []
        while (key := await bench.queue.get()) is not None:
            seen.append(key)
            await asyncio.sleep(1)
            bench.queue.done(key)
        return seen

    async def day() -> list[list[str]]:
        workers = [asyncio.create_task(worker(name)) for name in ("first", "second", "third")]
        await asyncio.sleep(1)
        bench.queue.add("a", CHANGE)
        bench.queue.add("b", CHANGE)
        await asyncio.sleep(5)
        bench.queue.wake_at("late", bench.at(10))
        bench.queue.close()
        bench.queue.add("c", CHANGE)
        return await asyncio.gather(*workers)

    assert bench.run(day()) == [["a"], ["b"], []]
    bench.pass_time(60)
    assert bench.queue.depth()[REMOVAL] == 0, "a closed queue has no timer"


def test_a_worker_that_is_cancelled_takes_no_key_with_it(bench: Bench) -> None:
    async def cancelled_when_the_key_comes() -> None:
        worker = asyncio.create_task(bench.queue.get())
        await asyncio.sleep(1)
        bench.queue.add("a", CHANGE)
        worker.cancel()
        await asyncio.wait([worker])

    bench.run(cancelled_when_the_key_comes())
    assert bench.take() == "a"


@pytest.mark.parametrize(
    ("script", "entered_at"),
    [
        pytest.param(lambda b: b.queue.wake_at("a", b.at(90)), 90.0, id="at its deadline, to the moment"),
        pytest.param(lambda b: b.queue.wake_at("a", b.at(0.25)), 0.25, id="within a second too"),
        pytest.param(lambda b: b.queue.wake_at("a", b.at(86_400)), 86_400.0, id="a day away"),
        pytest.param(
            lambda b: b.queue.wake_at("a", b.at(-5)), 0.0, id="at once when the deadline has passed"
        ),
        pytest.param(
            lambda b: (b.queue.wake_at("a", b.at(50)), b.queue.wake_at("a", b.at(10))),
            10.0,
            id="moved forward",
        ),
        pytest.param(
            lambda b: (b.queue.wake_at("a", b.at(10)), b.queue.wake_at("a", b.at(50))), 50.0, id="moved back"
        ),
        pytest.param(
            lambda b: (
                b.queue.wake_at("b", b.at(5)),
                b.queue.wake_at("a", b.at(7)),
                b.queue.wake_at("b", None),
            ),
            7.0,
            id="another key's deadline withdrawn",
        ),
        pytest.param(
            lambda b: (b.queue.wake_at("a", b.at(3600)), b.clock.jump(timedelta(hours=2))),
            LONGEST_NAP.total_seconds(),
            id="a nap late at most when the clock jumps past it",
        ),
        pytest.param(
            lambda b: (b.queue.wake_at("a", b.at(30)), b.clock.jump(timedelta(minutes=-10))),
            630.0,
            id="not early when the clock jumps back",
        ),
        pytest.param(lambda b: b.queue.retry("a"), 1.0, id="a first failure: the first back-off"),
        pytest.param(lambda b: [b.queue.retry("a") for _ in range(4)], 8.0, id="doubled by each failure"),
        pytest.param(
            lambda b: [b.queue.retry("a") for _ in range(99)], 300.0, id="at most the longest back-off"
        ),
        pytest.param(
            lambda b: ([b.queue.retry("a") for _ in range(9)], b.queue.forget("a"), b.queue.retry("a")),
            1.0,
            id="back-off starts over once a run went well",
        ),
        pytest.param(
            lambda b: b.queue.retry("a", after=timedelta(seconds=40)), 44.0, id="the other side said when"
        ),
        pytest.param(
            lambda b: (b.queue.retry("a", after=timedelta(seconds=40)), b.queue.retry("a")),
            1.0,
            id="being told when counts as no failure",
        ),
        pytest.param(
            lambda b: (b.queue.retry("a"), b.clock.jump(timedelta(hours=-1))),
            1.0,
            id="a retry does not mind the wall clock",
        ),
        pytest.param(
            lambda b: (b.queue.wake_at("a", b.at(5)), [b.queue.retry("a") for _ in range(6)]),
            5.0,
            id="a failure does not put off a deadline",
        ),
    ],
)
def test_a_key_enters_by_itself(bench: Bench, script: Callable[[Bench], object], entered_at: float) -> None:
    bench.call(script, bench)
    assert bench.take() == "a"
    assert bench.loop.time() == pytest.approx(entered_at, abs=1e-6)


@pytest.mark.parametrize(
    ("script", "urgency"),
    [
        pytest.param(
            lambda b: b.queue.wake_at("a", b.at(1)), REMOVAL, id="a deadline is as urgent as a removal"
        ),
        pytest.param(lambda b: b.queue.retry("a"), CHANGE, id="a retry from outside a run is a change"),
    ],
)
def test_a_key_that_enters_by_itself_has_an_urgency(
    bench: Bench, script: Callable[[Bench], object], urgency: Urgency
) -> None:
    bench.call(script, bench)
    bench.pass_time(2)
    assert [found for found, keys in bench.queue.depth().items() if keys] == [urgency]


@pytest.mark.parametrize("urgency", list(Urgency))
def test_a_retry_is_as_urgent_as_the_run_that_failed(bench: Bench, urgency: Urgency) -> None:
    bench.queue.add("a", urgency)
    bench.take()
    bench.call(bench.queue.retry, "a")
    bench.queue.done("a")
    bench.pass_time(2)
    assert bench.queue.depth()[urgency] == 1


def test_forget_drops_the_retry_and_keeps_the_deadline(bench: Bench) -> None:
    bench.call(bench.queue.retry, "a")
    bench.call(bench.queue.wake_at, "a", bench.at(100))
    bench.queue.forget("a")
    bench.pass_time(99)
    assert len(bench.queue) == 0
    bench.pass_time(1)
    assert bench.take_all() == ["a"]


def test_keys_that_failed_together_do_not_return_together() -> None:
    random = Random(5)
    delays = [BACKOFF.delay(3, random) for _ in range(200)]
    assert all(timedelta(seconds=2) <= delay <= timedelta(seconds=4) for delay in delays)
    assert len(set(delays)) == 200


def test_ten_thousand_sleeping_keys_take_less_than_5_mb_also_after_their_deadlines_moved_twice(
    bench: Bench,
) -> None:
    keys = [f"order-{number}" for number in range(10_000)]

    def set_and_move_deadlines() -> None:
        for moved in range(3):
            for number, key in enumerate(keys):
                bench.queue.wake_at(key, START + timedelta(days=90 - moved, seconds=number))

    tracemalloc.start()
    bench.call(set_and_move_deadlines)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 5_000_000


class QueueAgainstModel(RuleBasedStateMachine):
    """Any sequence of calls and of passing time, against lists and dicts that need no cleverness."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.waiting: list[tuple[Urgency, str]] = []
        self.processing: dict[str, Urgency] = {}
        self.again: dict[str, Urgency] = {}
        self.deadlines: dict[str, float] = {}
        self.retries: dict[str, tuple[float, Urgency]] = {}
        self.failures: dict[str, int] = {}

    def teardown(self) -> None:
        self.bench.loop.close()

    def _add(self, key: str, urgency: Urgency) -> None:
        if key in self.processing:
            self.again[key] = min(urgency, self.again.get(key, urgency))
            return
        for place, (waiting, other) in enumerate(self.waiting):
            if other == key:
                if waiting <= urgency:
                    return
                del self.waiting[place]
                break
        self.waiting.append((urgency, key))

    @rule(target=keys, key=st.sampled_from("abcde"))
    def key(self, key: str) -> str:
        return key

    @rule(key=keys, urgency=st.sampled_from(Urgency))
    def add(self, key: str, urgency: Urgency) -> None:
        self.bench.queue.add(key, urgency)
        self._add(key, urgency)

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self) -> None:
        urgency, key = min(self.waiting, key=lambda entry: entry[0])
        self.waiting.remove((urgency, key))
        self.processing[key] = urgency
        assert self.bench.take() == key

    @precondition(lambda self: self.processing)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.processing)))
        self.bench.queue.done(key)
        del self.processing[key]
        if key in self.again:
            self._add(key, self.again.pop(key))

    @rule(key=keys, seconds=st.one_of(st.none(), st.integers(1, 7200)))
    def wake_at(self, key: str, seconds: int | None) -> None:
        self.deadlines.pop(key, None)
        if seconds is None:
            self.bench.call(self.bench.queue.wake_at, key, None)
        else:
            self.deadlines[key] = self.bench.loop.time() + seconds
            self.bench.call(self.bench.queue.wake_at, key, self.bench.at(seconds))

    @rule(key=keys, tens=st.one_of(st.none(), st.integers(1, 100)))
    def retry(self, key: str, tens: int | None) -> None:
        if tens is None:
            self.failures[key] = self.failures.get(key, 0) + 1
            delay = min(2.0 ** (self.failures[key] - 1), 300.0)
            told = self.bench.call(self.bench.queue.retry, key)
        else:
            delay = 11.0 * tens
            told = self.bench.call(self.bench.queue.retry, key, timedelta(seconds=10 * tens))
        assert told == timedelta(seconds=delay)
        self.retries.pop(key, None)
        self.retries[key] = (self.bench.loop.time() + delay, self.processing.get(key, CHANGE))

    @rule(key=keys)
    def forget(self, key: str) -> None:
        self.bench.queue.forget(key)
        self.failures.pop(key, None)
        self.retries.pop(key, None)

    @rule(seconds=st.integers(1, 4000))
    def pass_time(self, seconds: int) -> None:
        self.bench.pass_time(seconds)
        now = self.bench.loop.time()
        due = [(at, REMOVAL, key) for key, at in self.deadlines.items() if at <= now]
        due += [(at, urgency, key) for key, (at, urgency) in self.retries.items() if at <= now]
        for at, urgency, key in sorted(due, key=lambda alarm: alarm[0]):
            self._add(key, urgency)
            if self.deadlines.get(key) == at and urgency is REMOVAL:
                del self.deadlines[key]
            else:
                del self.retries[key]

    @invariant()
    def as_many_wait_as_in_the_model(self) -> None:
        urgencies = [urgency for urgency, _ in self.waiting] + list(self.again.values())
        assert self.bench.queue.depth() == {urgency: urgencies.count(urgency) for urgency in Urgency}
        assert len(self.bench.queue) == len(urgencies)


TestQueueAgainstModel = QueueAgainstModel.TestCase
