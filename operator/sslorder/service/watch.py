"""Kopf as the watch front-end: it lists, watches, reconnects and authenticates; it decides nothing and writes
nothing.

Rules:
- Only `on.event` handlers, which write neither finalizers nor annotations into anybody's object. Each
  refreshes the cache and names
  the keys to look at; none waits for anything.
- Secrets are filtered by the server through our label: the others never reach this process.
- Dossiers are not watched: the operator is their only writer.
"""

from collections.abc import Callable
from typing import Any

import kopf

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import GROUP, VERSION, KubernetesObject
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.cluster import objects, secrets
from sslorder.contract.secret import ORDER_UID
from sslorder.engine.cache import Cache, Key
from sslorder.engine.queue import Urgency

KINDS: tuple[type[KubernetesObject], ...] = (
    SSLAccount,
    SSLAuthority,
    SSLPayment,
    SSLContractAction,
    SSLCertificateOrder,
)

Enqueue = Callable[[set[Key], Urgency], None]


def settings() -> kopf.OperatorSettings:
    """Kopf's settings for a process that watches only."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.scanning.disabled = True
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.chunk_size = 500
    chosen.watching.label_selectors["v1", "secrets"] = ORDER_UID
    chosen.networking.request_timeout = 60
    chosen.networking.connect_timeout = 10
    chosen.queueing.idle_timeout = 0.5
    return chosen


def registry(cache: Cache, enqueue: Enqueue) -> kopf.OperatorRegistry:
    """The handlers, bound to a cache. `enqueue` is told of the work that each event calls for."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    def watch(kind: type[KubernetesObject]) -> None:
        @kopf.on.event(GROUP, VERSION, kind.KIND.plural, registry=handlers, id=f"watch-{kind.KIND.plural}")
        async def changed(event: kopf.RawEvent, **_: Any) -> None:
            raw = event["object"]
            metadata = raw["metadata"]
            if event["type"] == "DELETED":
                work = cache.drop(kind, metadata.get("namespace", ""), metadata["name"], metadata["uid"])
            else:
                thing = objects.read(kind, raw)
                work = cache.put(thing) if thing is not None else set()
            enqueue(work, Urgency.RESYNC if event["type"] is None else Urgency.CHANGE)

    for kind in KINDS:
        watch(kind)

    @kopf.on.event("", "v1", "namespaces", registry=handlers)
    async def namespace_changed(event: kopf.RawEvent, **_: Any) -> None:
        metadata = event["object"]["metadata"]
        if event["type"] == "DELETED":
            enqueue(cache.drop_namespace(metadata["name"]), Urgency.CHANGE)
        else:
            enqueue(cache.put_namespace(metadata["name"], metadata["uid"]), Urgency.CHANGE)

    @kopf.on.event("", "v1", "secrets", registry=handlers)
    async def secret_changed(event: kopf.RawEvent, **_: Any) -> None:
        raw = event["object"]
        metadata = raw["metadata"]
        if event["type"] == "DELETED":
            enqueue(
                cache.drop_secret(metadata["namespace"], metadata["name"], metadata["uid"]), Urgency.CHANGE
            )
        else:
            enqueue(cache.put_secret(secrets.view(raw)), Urgency.CHANGE)

    return handlers
