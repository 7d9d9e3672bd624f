"""Where requests are numbered, and where one of them can be stopped.

Rules:
- A boundary is named by what is asked of whom and how often that was asked before: it means the same in every
  run of a scenario, however the requests of one run interleave.
- Watches, Leases and events are no boundaries.
- One request is stopped at a time. Who stopped it lets it go on, or drops it as a broken connection would.
"""

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

QUIET_SECONDS: Final = 0.3
_KUBERNETES: Final = re.compile(
    r"/apis?/(?:[^/]+/)?v\d\w*(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+))?)?$"
)
_DOSSIER: Final = re.compile(r"sslorder-[0-9a-f]{32,}")
_VERBS: Final = {"POST": "create", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}
_NO_BOUNDARIES: Final = {"leases", "events"}
_IDENTIFIERS: Final = re.compile(r"(?<=/certificates/)[^/]+|(?<=/claims/domains/)[^/]+")

Answer = TypeVar("Answer")


class Moment(StrEnum):
    """When a request is stopped."""

    BEFORE = "before sending"
    SENT = "after sending"
    ANSWERED = "after the answer"


@dataclass(frozen=True, order=True)
class Boundary:
    """The `occurrence`-th (from 1) request of a kind in a scenario."""

    request: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.request} #{self.occurrence}"


class Dropped(Exception):
    """The stopped request is not passed on."""


def of_kubernetes(method: str, path: str, system: str) -> str | None:
    """What a request asks of the API server; None where that is no boundary. `system` is the operator's
    namespace, where Secrets are dossiers or credentials."""
    found = _KUBERNETES.match(path)
    if found is None or found["plural"] in _NO_BOUNDARIES:
        return None
    verb = _VERBS.get(method, "get" if found["name"] else "list")
    what = found["plural"]
    if what == "secrets" and found["namespace"] == system:
        is_dossier = verb in ("create", "list") or _DOSSIER.fullmatch(found["name"] or "")
        what = "dossier" if is_dossier else "credentials"
    return f"{verb} {what}" + (f"/{found['subresource']}" if found["subresource"] else "")


def of_authority(method: str, path: str) -> str:
    """What a request asks of the authority."""
    return f"HVCA {method} {_IDENTIFIERS.sub('…', path).removeprefix('/v2')}"


class Gate:
    """What all proxies of a stage share. Its coroutines run on the proxies' loop, all else anywhere."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._stop: tuple[Boundary | int, Moment] | None = None
        self._going_on: asyncio.Future[bool] | None = None
        self._sending: set[asyncio.Task[Any]] = set()
        self._last_seen = 0.0
        self.seen: list[Boundary] = []
        self.reached = threading.Event()

    def arm(self, where: Boundary | int | None = None, moment: Moment = Moment.BEFORE) -> None:
        """Count anew from here, and stop the request at that boundary, or the one of that number."""
        with self._lock:
            self._counts.clear()
            self.seen = []
            self.reached.clear()
            self._stop = None if where is None else (where, moment)

    def disarm(self) -> None:
        """Stop nothing any more."""
        self.arm()
        self.release()

    def release(self) -> None:
        """Let the stopped request go on."""
        self._end_stop(goes_on=True)

    def drop(self) -> None:
        """Break the connection of the stopped request. What was sent already arrives."""
        self._end_stop(goes_on=False)

    def is_quiet(self) -> bool:
        """Whether nothing is being asked, nor was lately."""
        return not self._sending and time.monotonic() - self._last_seen > QUIET_SECONDS

    def _end_stop(self, *, goes_on: bool) -> None:
        def end() -> None:
            if self._going_on is not None and not self._going_on.done():
                self._going_on.set_result(goes_on)

        self._loop.call_soon_threadsafe(end)

    async def through(self, request: str, send: Callable[[], Coroutine[None, None, Answer]]) -> Answer:
        """Pass a request on by `send`, unless it is stopped. What has been sent arrives, whoever goes away.

        :raises Dropped: it was stopped, and is not to be answered.
        """
        moment = self._arrives(request)
        if moment is Moment.BEFORE:
            await self._stopped()
        sending = self._loop.create_task(send())
        self._sending.add(sending)
        sending.add_done_callback(self._arrived)
        if moment is Moment.SENT:
            await asyncio.sleep(0)  # the request begins to leave
            await self._stopped()
        answer = await asyncio.shield(sending)
        if moment is Moment.ANSWERED:
            await self._stopped()
        return answer

    def _arrived(self, sending: "asyncio.Task[Any]") -> None:
        self._sending.discard(sending)
        self._last_seen = time.monotonic()
        if not sending.cancelled():
            sending.exception()  # seen, even when nobody waits any more

    def _arrives(self, request: str) -> Moment | None:
        with self._lock:
            self._counts[request] += 1
            self._last_seen = time.monotonic()
            here = Boundary(request, self._counts[request])
            self.seen.append(here)
            if self._stop is None or self._stop[0] not in (here, len(self.seen)):
                return None
            moment = self._stop[1]
            self._stop = None
            return moment

    async def _stopped(self) -> None:
        self._going_on = self._loop.create_future()
        self.reached.set()
        if not await self._going_on:
            raise Dropped
