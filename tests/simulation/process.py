"""One operator process: the operator itself, its line to the API server, its watches, its end.

Rules:
- The process is the real `Operator` over the real `KubeClient`; what is simulated begins where bytes would
  leave the machine.
- A killed process does nothing more: no `finally` of it reaches anybody. What it had sent may take effect.
- Events of one kind reach it in order; kinds overtake each other. A relist tells what is there, and of what
  went meanwhile nothing.
"""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson

from sslorder.api.common import KubernetesObject
from sslorder.cluster.client import Credentials, KubeClient, KubeError, Unavailable, _Request
from sslorder.contract.secret import ORDER_UID
from sslorder.engine.cache import Key
from sslorder.engine.queue import Urgency
from sslorder.service.operator import KINDS, SWEEP_EVERY, Operator, Surroundings
from sslorder.service.settings import Configuration, Settings
from tests.simulation.apiserver import Json, resource_of, selects

if TYPE_CHECKING:
    from tests.simulation.world import World

GIVES_UP_AFTER: Final = 30.0
OPERATOR_NAMESPACE: Final = "sslorder-system"
CONFIGURATION: Final = Configuration.model_validate(
    {
        "provider": {
            "name": "Synchrone",
            "contact": "support@synchrone.example",
            "conditions": [{"version": "1", "validFrom": "2000-01-01", "url": "https://synchrone.example/1"}],
            "authorityTerms": [
                {"version": "1", "validFrom": "2000-01-01", "url": "https://authority.example/1"}
            ],
        }
    }
)


class InlineThreads(Executor):
    """Runs at once, in the one thread that there is."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _SortingOperator(Operator):
    """The operator, but that sets of keys enter the queue in the same order in every run."""

    def _enqueue(self, keys: Iterable[Key], urgency: Urgency = Urgency.CHANGE) -> None:
        super()._enqueue(sorted(keys, key=str), urgency)


class _Line(KubeClient):
    """The client, with a line in place of its session."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._credentials = None  # type: ignore[assignment]

    async def _send(self, request: _Request, _: Credentials) -> tuple[int, Mapping[str, str], bytes]:
        return await self._process.carry(request)


class Process:
    """A process of its own identity; `World` starts it and may kill it at any moment."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.ready = False
        self.skew = timedelta()
        self.dies_at_call: int | None = None
        self.stale_until = 0.0
        self.in_flight = 0
        self._random = Random(f"{world.seed}/{name}")
        self._streams: dict[str, _Stream] = {}
        self._parts: list[asyncio.Task[None]] = []
        settings = Settings(
            configuration=CONFIGURATION, namespace=OPERATOR_NAMESPACE, identity=name, workers=8
        )
        around = Surroundings(self, self._random, InlineThreads(), world.loop.time)
        self.operator = _SortingOperator(settings, _Line(self), world.authority.connector(self), around)
        self._main = world.loop.create_task(self._run(), name=name)
        self._main.add_done_callback(self._ended)

    def now(self) -> datetime:
        """The clock of the machine that it runs on."""
        return self.world.now() + self.skew

    # Life

    async def _run(self) -> None:
        try:
            await self.operator.list_everything()
        except KubeError:
            self.world.died(self, "could not list")
            return
        self._streams = {r: _Stream(self, r) for r in ("namespaces", "secrets", *map(_resource, KINDS))}
        for stream in self._streams.values():
            stream.list_all()
        await asyncio.gather(*(stream.caught_up() for stream in self._streams.values()))
        loop = self.world.loop
        self._parts = [
            loop.create_task(self.operator.stand_for_election()),
            loop.create_task(self.operator.sweep()),
        ]
        self.ready = True
        ended, _ = await asyncio.wait(
            [self.operator.failed, *self._parts], return_when=asyncio.FIRST_COMPLETED
        )
        if self.alive:
            error = next(iter(ended)).exception()
            if isinstance(error, KubeError):
                self.world.died(self, str(error))
            else:
                self.world.fail(error or AssertionError(f"{self.name} ended by itself"))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self.alive:
            self.world.fail(error)

    def kill(self) -> None:
        """SIGKILL."""
        self.alive = False
        for task in (self._main, *self._parts, self.operator._working):
            if task is not None:
                task.cancel()
        if self.operator._queue is not None:
            self.operator._queue.close()
            self.operator._queue = None

    async def stop(self) -> None:
        """SIGTERM: the election ends and hands the Lease back."""
        self._main.cancel()
        for task in self._parts:
            task.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        self.kill()

    @property
    def leads(self) -> bool:
        return self.alive and self.operator._queue is not None

    def at_rest(self) -> bool:
        """Whether nothing is under way but what a timer will begin."""
        queue = self.operator._queue
        busy = queue is not None and (
            len(queue) or queue._processing or queue._retries.earliest() is not None
        )
        return self.ready and not busy and not self.in_flight and all(s.idle for s in self._streams.values())

    def deadlines(self) -> Iterable[tuple[float, Key]]:
        """Moments (POSIX time) at which the operator means to look at something by itself."""
        queue = self.operator._queue
        return () if queue is None else [(at, key) for at, _, key, _ in queue._deadlines._live.values()]

    def read_the_clock(self) -> None:
        """What the queue's timer does once a minute: there were many in the time that was leapt over."""
        if self.operator._queue is not None:
            self.operator._queue._arm()

    async def step(self) -> None:
        """A call leaves the process, or comes back: it may die here."""
        if self.dies_at_call is not None:
            self.dies_at_call -= 1
            if self.dies_at_call < 0:
                self.dies_at_call = None
                self.world.crash(self)
        if not self.alive:
            raise asyncio.CancelledError

    # The API server

    async def carry(self, request: _Request) -> tuple[int, Mapping[str, str], bytes]:
        """Take a request to the API server and bring back the answer, as far as the weather lets it."""
        if not self.alive:
            raise Unavailable(request.call, "the process is dead")
        counts = "leases" not in request.path
        self.in_flight += counts
        try:
            return await self._carried(request)
        finally:
            self.in_flight -= counts

    async def _carried(self, request: _Request) -> tuple[int, Mapping[str, str], bytes]:
        world, weather = self.world, self.world.weather
        fault = weather.api_fault()
        await self.step()
        await asyncio.sleep(weather.latency())
        match fault:
            case "no connection":
                raise Unavailable(request.call, "no connection (simulated)")
            case "429":
                return 429, {"Retry-After": "1"}, _status("TooManyRequests")
            case "500 before":
                return 500, {}, _status("InternalError")
            case "409" if request.writes:
                return 409, {}, _status("Conflict")
            case "answer lost before":
                await asyncio.sleep(GIVES_UP_AFTER)
                raise Unavailable(request.call, "no answer (simulated)", outcome_unknown=request.writes)
        body = None if request.data is None else orjson.loads(request.data)
        code, answer = world.request(self, request.method, request.path, request.query, body)
        await self.step()
        match fault:
            case "500 after":
                return 500, {}, _status("InternalError")
            case "answer lost after":
                await asyncio.sleep(GIVES_UP_AFTER)
                raise Unavailable(request.call, "no answer (simulated)", outcome_unknown=request.writes)
        content = orjson.dumps(answer)
        await asyncio.sleep(weather.latency())
        return code, {}, content

    # Watches

    def told(self, event: str, thing: Json, before: Json | None) -> None:
        """What the API server tells its watchers."""
        stream = self._streams.get(resource_of(thing))
        if stream is not None:
            stream.told(event, thing, before)

    def lose_watches(self, seconds: float) -> None:
        """The watches break. What is made or changed for so long is learnt from the LIST by which they begin
        again, what is deleted from the sweep."""
        for stream in self._streams.values():
            stream.blind_for(seconds)
        self.stale_until = self.world.loop.time() + seconds + SWEEP_EVERY.total_seconds() + 10.0

    def hear(self, resource: str, event: str | None, thing: Json) -> None:
        if not self.alive:
            return
        match resource:
            case "namespaces":
                self.operator.hear_namespace(event, thing)
            case "secrets":
                self.operator.hear_secret(event, thing)
            case _:
                self.operator.hear(_BY_RESOURCE[resource], event, thing)


class _Stream:
    """One kind's events on their way to one process."""

    def __init__(self, process: Process, resource: str) -> None:
        self._process = process
        self._resource = resource
        self._selector = ORDER_UID if resource == "secrets" else None
        self._last = 0.0
        self._coming = 0
        self._blind = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def idle(self) -> bool:
        return not self._coming and not self._blind

    async def caught_up(self) -> None:
        await self._idle.wait()

    def list_all(self) -> None:
        for thing in self._process.world.api.all(self._resource):
            if selects(self._selector, thing):
                self._send(None, thing)

    def told(self, event: str, thing: Json, before: Json | None) -> None:
        if self._blind:
            return
        was = before is not None and selects(self._selector, before)
        if event == "DELETED" or not selects(self._selector, thing):
            if was:
                self._send("DELETED", thing)
            return
        self._send("MODIFIED" if was else "ADDED", thing)
        if self._process.world.weather.duplicates():
            self._send("MODIFIED" if was else "ADDED", thing)

    def blind_for(self, seconds: float) -> None:
        if not self._blind:
            self._blind = True
            self._process.world.loop.call_later(seconds, self._see_again)

    def _see_again(self) -> None:
        self._blind = False
        if self._process.alive:
            self.list_all()

    def _send(self, event: str | None, thing: Json) -> None:
        loop = self._process.world.loop
        # strictly later than the one before, or the loop might swap them
        self._last = max(self._last + 1e-6, loop.time() + self._process.world.weather.latency())
        self._coming += 1
        self._idle.clear()
        loop.call_at(self._last, self._arrive, event, thing)

    def _arrive(self, event: str | None, thing: Json) -> None:
        self._coming -= 1
        if not self._coming:
            self._idle.set()
        self._process.hear(self._resource, event, thing)


def _resource(kind: type[KubernetesObject]) -> str:
    return f"{kind.KIND.plural}.ssl.synchrone.be"


_BY_RESOURCE: Final = {_resource(kind): kind for kind in KINDS}


def _status(reason: str) -> bytes:
    return orjson.dumps({"kind": "Status", "status": "Failure", "reason": reason, "message": "simulated"})
