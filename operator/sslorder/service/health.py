"""Probes and metrics over HTTP, served by a thread with an event loop of its own: it can still say that the
loop which does the work is stuck.

Rules:
- /livez fails where only a new process helps: the loop or a worker is stuck, a watch ended, an error was
  fatal. An API server or an authority that cannot be reached is no such reason.
- /readyz fails until everything was listed once and is being watched. It does not depend on the Lease: a
  standby is ready.
- Both answer with one line for each check, as kube-apiserver does.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple, Self

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

BEAT_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
LONGEST_RECONCILE_SECONDS = 900.0
START_SECONDS = 10.0

Check = Callable[[], str | None]
"""None where all is well, else what is not, in a sentence. Called on another thread than the work's."""

Page = Callable[[], web.Response]


class Address(NamedTuple):
    """Where to listen. Port 0 is any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`host:port`, an IPv6 address in brackets. Raises `ValueError`."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"{text!r} is not an address: write host:port, as in 0.0.0.0:9402")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Unservable(Exception):
    """The address cannot be listened on. The text says which and why."""


class Heart:
    """Beats on the loop that does the work."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last = monotonic()

    async def beat(self) -> None:
        """Beat until cancelled."""
        while True:
            self._last = self._monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def check(self) -> str | None:
        pause = self._monotonic() - self._last
        return f"the loop has not turned for {pause:.0f} s" if pause > LONGEST_PAUSE_SECONDS else None


def workers_check(longest_under_way: Callable[[], float]) -> Check:
    """Whether no object is being looked at for longer than any call to an authority and its turn may take."""

    def check() -> str | None:
        seconds = longest_under_way()
        stuck = seconds > LONGEST_RECONCILE_SECONDS
        return f"one object has been looked at for {seconds:.0f} s" if stuck else None

    return check


def once_passed(check: Check) -> Check:
    """The same check, of which a failure counts only after the first success."""
    passed = False

    def lasting() -> str | None:
        nonlocal passed
        wrong = check()
        passed = passed or wrong is None
        return wrong if passed else None

    return lasting


def probe(checks: Mapping[str, Check]) -> Page:
    """A page with a line for each check: 200 where all is well, else 503."""

    def answer() -> web.Response:
        found = {name: check() for name, check in checks.items()}
        lines = [f"[-]{name}: {wrong}" if wrong else f"[+]{name}" for name, wrong in found.items()]
        return web.Response(text="\n".join(lines) + "\n", status=503 if any(found.values()) else 200)

    return answer


def metrics(exposition: Callable[[], str]) -> Page:
    """A page for Prometheus."""
    return lambda: web.Response(
        body=exposition().encode(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
    )


@contextmanager
def serving(address: Address, pages: Mapping[str, Page]) -> Iterator[Address]:
    """Serve these pages meanwhile; gives the address with the port that was taken. Raises `Unservable`."""
    begun: Future[tuple[Address, Callable[[], object]]] = Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(address, pages, begun)), name="health", daemon=True
    )
    thread.start()
    taken, stop = begun.result(START_SECONDS)
    try:
        yield taken
    finally:
        stop()
        thread.join()


async def _serve(
    address: Address,
    pages: Mapping[str, Page],
    begun: "Future[tuple[Address, Callable[[], object]]]",
) -> None:
    app = web.Application()
    for path, page in pages.items():
        app.router.add_get(path, _handler(page))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, *address).start()
    except OSError as error:
        begun.set_exception(Unservable(f"{address} cannot be listened on: {error.strerror or error}"))
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    taken = Address(*runner.addresses[0][:2])
    begun.set_result((taken, lambda: loop.call_soon_threadsafe(ended.set)))
    await ended.wait()
    await runner.cleanup()


def _handler(page: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    turn = asyncio.Lock()  # many who scrape at once cost no more than one at a time

    async def handle(_: web.Request) -> web.StreamResponse:
        async with turn:
            return await asyncio.to_thread(page)

    return handle
