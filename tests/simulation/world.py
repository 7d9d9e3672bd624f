"""The simulated world: time, API server, authority, the operator's processes, and what befalls them.

Rules:
- Everything that is drawn comes from the seed, and everything that happens is a line of the chronicle: the
  same seed gives the same lines.
- The loop's time passes second by second while anything is under way. Over a stretch in which nobody has
  anything to do before a known moment, the wall clock alone leaps, and lands a little before it.
"""

import asyncio
import hashlib
import heapq
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Final

from sslorder.api.authority import SSLAuthority
from sslorder.cluster.lease import LeaseTiming
from tests.harness.time import SkippingLoop, WallClock
from tests.simulation.apiserver import Json, MemoryApiServer
from tests.simulation.authority import MemoryAuthority
from tests.simulation.judge import SETTLED, Judge, Violation
from tests.simulation.oracle import Oracle
from tests.simulation.process import OPERATOR_NAMESPACE, Process
from tests.simulation.weather import Weather

LANDS_BEFORE: Final = 3.0
SETTLES_WITHIN: Final = 3 * 3600.0
"""Seconds of the loop after which a world in calm weather must have come to rest."""
NOTHING_BEFORE: Final = timedelta(seconds=0.5)
POLLS: Final = 130.0
"""A deadline nearer than that is waited for, not leapt to: so often are uncertain purchases searched for."""
PATIENCE: Final = 1800.0
"""Seconds of the loop after which what is looked at again and again keeps the world from leaping no more."""
LEASES: Final = (LeaseTiming(), *[LeaseTiming(duration=60, renew_deadline=40.0, retry_period=10.0)] * 4)
"""Mostly slow ones, for to renew them is most of what there is to simulate."""
REMEMBERED: Final = 60


class World:
    """One history. `run` lets it happen."""

    def __init__(
        self, seed: int, begins: datetime, replicas: int, tell: Callable[[str], object] | None = None
    ) -> None:
        self._tell_line = tell
        self.seed = seed
        self.loop = SkippingLoop()
        self.clock = WallClock(self.loop, begins)
        self.random = Random(f"{seed}/world")
        self.lease = self.random.choice(LEASES)
        self.weather = Weather(Random(f"{seed}/weather"))
        self.oracle = Oracle()
        self.api = MemoryApiServer(self.now, self.later, Random(f"{seed}/api"))
        self.judge = Judge(self)
        self.authority = MemoryAuthority(self, Random(f"{seed}/authority"))
        self.replicas = replicas
        self.processes: list[Process] = []
        self.disturbed_at = 0.0
        self.down = 0
        self.writes = 0
        self.recent: deque[str] = deque(maxlen=REMEMBERED)
        self._digest = hashlib.sha256()
        self._agenda: list[tuple[datetime, int, str, Callable[[], None]]] = []
        self._serial = count()
        self._numbers = count(1)
        self._failure: BaseException | None = None
        self.api.listeners.append(self._tell)
        self.api.listeners.append(self.judge.changed)

    # Time

    def now(self) -> datetime:
        return self.clock.now()

    def later(self, seconds: float, act: Callable[[], object]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, self._guarded, act)

    def at(self, when: datetime, what: str, act: Callable[[], None]) -> None:
        """Put something on the agenda, at a moment of the wall clock."""
        heapq.heappush(self._agenda, (when, next(self._serial), what, act))

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BaseException as error:
            self.fail(error)

    # Chronicle

    def note(self, line: str) -> None:
        text = f"{self.now():%Y-%m-%d %H:%M:%S.%f} {line}"
        self._digest.update(text.encode())
        self.recent.append(text)
        if self._tell_line is not None:
            self._tell_line(text)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def broken(self, what: str) -> None:
        self.fail(Violation(what))

    def fail(self, error: BaseException) -> None:
        """End the run; the first reason counts."""
        self._failure = self._failure or error

    # The API server

    def request(
        self, who: Process, method: str, path: str, query: Mapping[str, str] | None, body: Json | None
    ) -> tuple[int, Json]:
        """A request by an operator, as it arrives."""
        code, answer = self.api.handle(method, path, query, body)
        if method != "GET" and "/leases" not in path:
            self.note(f"{who.name} {method} {path} {code}")
            self.writes += "sslauthorities" not in path  # its quota is told when it is looked after
        return code, answer

    def do(self, method: str, path: str, body: Json | None = None) -> Json:
        """A request by a person, whom no fault befalls."""
        code, answer = self.api.handle(method, path, None, body)
        assert code < 300, f"{method} {path} {body}: {answer}"
        return answer

    def _tell(self, event: str, thing: Json, before: Json | None) -> None:
        for process in self.processes:
            process.told(event, thing, before)

    # Processes

    def start_process(self) -> Process:
        process = Process(self, f"operator-{next(self._numbers)}")
        self.note(f"{process.name} starts")
        self.processes.append(process)
        return process

    def crash(self, process: Process, restart_after: float | None = None) -> None:
        if not process.alive:
            return
        self.note(f"{process.name} is killed")
        self.weather.note("operator: killed")
        self._remove(process, restart_after)

    def died(self, process: Process, why: str) -> None:
        self.note(f"{process.name} ends: {why}")
        self._remove(process, 5.0)

    def _remove(self, process: Process, restart_after: float | None) -> None:
        self.processes.remove(process)
        process.kill()
        self.disturb()
        wait = self.random.choice((0.5, 3.0, 20.0, 120.0)) if restart_after is None else restart_after
        self.down += 1
        self.later(wait, self._replace)

    def _replace(self) -> None:
        self.down -= 1
        self.start_process()
        self.disturb()

    # Calm

    def disturb(self) -> None:
        """Something happened after which bounds hold only once it is over."""
        self.disturbed_at = self.loop.time()

    def calm_for(self) -> float:
        """Seconds of the loop since the last disturbance; 0 while one lasts."""
        time = self.loop.time()
        wrong = any(process.skew or process.stale_until > time for process in self.processes)
        if not self.weather.calm or self.down or wrong or not any(p.leads for p in self.processes):
            self.disturb()
        return self.loop.time() - self.disturbed_at

    def at_rest(self) -> bool:
        return not self.down and all(process.at_rest() for process in self.processes)

    # Running

    def run(self, until: datetime) -> None:
        """Let history happen.

        :raises Violation: something that must never be, was.
        """
        handler = _Defects(self)
        logger = logging.getLogger("sslorder")
        level = logger.level
        logger.setLevel(logging.ERROR)
        logger.addHandler(handler)
        propagate, logger.propagate = logger.propagate, False
        self.loop.set_exception_handler(self._exception)
        try:
            self.loop.run_until_complete(self._live(until))
        finally:
            self._close()
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate

    def _exception(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "never retrieved" not in context["message"] and "destroyed" not in context["message"]:
            self.fail(context.get("exception") or Violation(context["message"]))

    def _close(self) -> None:
        for process in self.processes:
            process.kill()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    async def _live(self, until: datetime) -> None:
        for _ in range(self.replicas):
            self.start_process()
        while self.now() < until:
            await self._settle()
            target = min(self._next_moment(), until)
            near = self._nearest_deadline() - self.now().timestamp()
            held = self.calm_for() > self.lease.duration  # or a storm may yet cost the leader its Lease
            quiet = held and self.at_rest() and near > POLLS and not self.authority.refused
            writes = self.writes
            self._leap(target)
            await self._pass_until(target - NOTHING_BEFORE)
            if quiet and self.writes != writes:
                self.broken("nothing was due, and something was written")
            await self._pass_until(target)
            while self._agenda and self._agenda[0][0] <= self.now():
                _, _, what, act = heapq.heappop(self._agenda)
                self.note(what)
                act()
            await self._sleep(1.5)
            self.judge.check_bounds()

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._failure is not None:
            raise self._failure

    async def _pass_until(self, target: datetime) -> None:
        while (left := (target - self.now()).total_seconds()) > 0:
            await self._sleep(min(left + 0.001, 5.0))
            self.judge.check_bounds()

    async def _settle(self) -> None:
        """Let what is under way come to its end, as long as the agenda leaves time for it."""
        began = self.loop.time()
        while True:
            if self._agenda and self._agenda[0][0] <= self.now():
                return
            resting = self.at_rest() and self.calm_for() > SETTLED
            near = self._nearest_deadline() - self.now().timestamp()
            if resting and (near > POLLS or self.loop.time() - began > PATIENCE):
                self.judge.check_quiescence()
                return
            if self.loop.time() - max(began, self.disturbed_at) > SETTLES_WITHIN:
                raise Violation("nothing disturbs the operator, and it does not come to rest")
            await self._sleep(min(5.0, max(0.5, near)) if resting else 2.0)
            self.judge.check_bounds()

    def _nearest_deadline(self) -> float:
        return min(
            (at for process in self.processes for at, _ in process.deadlines()),
            default=datetime.max.replace(tzinfo=UTC).timestamp(),
        )

    def _next_moment(self) -> datetime:
        soonest = self.now() + timedelta(seconds=POLLS)
        moments = [at for at in self.judge.moments() if at > self.now()]
        moments += [
            datetime.fromtimestamp(at, UTC)
            for process in self.processes
            for at, key in process.deadlines()
            if key.kind is not SSLAuthority and at > soonest.timestamp()
        ]
        if self._agenda:
            moments.append(self._agenda[0][0])
        return min(moments)

    def _leap(self, target: datetime) -> None:
        if not (self.at_rest() or not self.processes):
            return
        seconds = (target - self.now()).total_seconds() - LANDS_BEFORE
        if seconds > 0:
            self.clock.jump(timedelta(seconds=seconds))
            for process in self.processes:
                process.read_the_clock()


class _Defects(logging.Handler):
    """An exception that the operator could not explain is a violation."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.note(f"log: {record.getMessage()[:300]}")
        if record.exc_info and record.exc_info[1] is not None:
            self._world.fail(record.exc_info[1])


__all__ = ["OPERATOR_NAMESPACE", "World"]
