"""What the process serves over HTTP: two probes and the metrics of one operator."""

import asyncio
from collections.abc import Sequence

from sslorder.api.authority import SSLAuthority
from sslorder.service import inventory, watch
from sslorder.service.health import Check, Heart, Page, metrics, once_passed, probe, workers_check
from sslorder.service.metrics import Figures
from sslorder.service.operator import Operator


def of(operator: Operator, figures: Figures, heart: Heart, namespaces: Sequence[str]) -> dict[str, Page]:
    """The pages by their paths. Called on the loop that does the work."""
    loop = asyncio.get_running_loop()

    def no_error() -> str | None:
        failed = operator.failed
        return f"{failed.exception()!r}" if failed.done() and not failed.cancelled() else None

    def lists() -> str | None:
        return None if operator.has_listed else "not every kind has been listed yet"

    def watches() -> str | None:
        return watch.check(loop, namespaces)

    def exposition() -> str:
        authorities = (authority.metadata.name for authority in operator.cache.every(SSLAuthority))
        return figures.exposition(authorities) + inventory.exposition(
            operator.cache, operator.waiting(), lease_held=operator.elector.is_valid()
        )

    live: dict[str, Check] = {
        "loop": heart.check,
        "workers": workers_check(figures.longest_under_way),
        "errors": no_error,
        "watches": once_passed(watches),
    }
    return {
        "/livez": probe(live),
        "/readyz": probe({"lists": lists, "watches": watches}),
        "/metrics": metrics(exposition),
    }
