"""The process: watch always, act while the Lease is held, stop in order.

Rules:
- On SIGTERM the workers end what they began, the Lease is handed back, and only then do the watches stop.
- A fatal error ends the process: whoever runs it starts it anew, and nothing is lost by that.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import kopf

from sslorder.cluster.client import KubeClient
from sslorder.service import pages, watch
from sslorder.service.connector import GlobalSignConnector
from sslorder.service.health import Heart, serving
from sslorder.service.metrics import Figures
from sslorder.service.observed import ObservedConnector
from sslorder.service.operator import KINDS, Operator, Surroundings
from sslorder.service.settings import Settings

logger = logging.getLogger(__name__)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


async def run(settings: Settings) -> None:
    """Run the operator until it is told to stop."""
    if settings.kubeconfig is not None:
        os.environ["KUBECONFIG"] = str(settings.kubeconfig)  # Kopf's own login reads it there
    clock = SystemClock()
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="keys") as threads:
        async with KubeClient.connect(settings.kubeconfig, settings.context) as client:
            connector = GlobalSignConnector(
                client, settings.namespace, settings.configuration.authority, clock
            )
            figures = Figures(KINDS)
            surroundings = Surroundings(clock, random.SystemRandom(), threads, observer=figures)
            operator = Operator(settings, client, ObservedConnector(connector, figures.asked), surroundings)
            heart = Heart()
            with serving(
                settings.health, pages.of(operator, figures, heart, settings.watch_namespaces)
            ) as address:
                logger.info("Health and metrics at http://%s.", address)
                beating = asyncio.create_task(heart.beat(), name="heartbeat")
                try:
                    await _watch_and_act(operator, settings.identity, settings.watch_namespaces)
                finally:
                    beating.cancel()


async def _watch_and_act(operator: Operator, identity: str, namespaces: Sequence[str]) -> None:
    await operator.list_everything()
    stop, stop_watching, watching = asyncio.Event(), asyncio.Event(), asyncio.Event()
    watches = asyncio.create_task(
        kopf.operator(
            registry=watch.registry(operator),
            settings=watch.settings(),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
            stop_flag=stop_watching,
            ready_flag=watching,
        ),
        name="watches",
    )
    started = asyncio.create_task(watching.wait(), name="first watch")
    await _first(started, watches)
    with _signals(stop):
        tasks = [
            asyncio.create_task(operator.stand_for_election(), name="election"),
            asyncio.create_task(operator.sweep(), name="sweep"),
            asyncio.create_task(stop.wait(), name="stop"),
        ]
        logger.info("Watching as %s.", identity)
        try:
            await _first(watches, operator.failed, *tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            stop_watching.set()
            await asyncio.gather(watches, return_exceptions=True)


async def _first(*awaited: "asyncio.Future[Any]") -> None:
    """Wait for the first to end, and raise what it raised."""
    done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    for ended in done:
        ended.result()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Have SIGTERM and SIGINT ask for an orderly stop. Taken over from Kopf, which would stop watching at
    once."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
