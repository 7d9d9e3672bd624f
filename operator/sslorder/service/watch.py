"""Kopf as the watch front-end: it lists, watches, reconnects and authenticates; it decides nothing and writes
nothing.

Rules:
- Only `on.event` handlers, which write neither finalizers nor annotations into anybody's object. Each
  refreshes the cache and names
  the keys to look at; none waits for anything.
- Secrets are filtered by the server through our label: the others never reach this process.
- Dossiers are not watched: the operator is their only writer.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import kopf

from sslorder.api.common import GROUP, VERSION, KubernetesObject, Scope
from sslorder.contract.secret import ORDER_UID
from sslorder.service.operator import KINDS, Operator


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


def _name(kind: type[KubernetesObject]) -> str:
    return f"{kind.KIND.plural}.{VERSION}.{GROUP}"


EVERYWHERE = ("namespaces.v1", *(_name(kind) for kind in KINDS if kind.KIND.scope is Scope.CLUSTER))
IN_NAMESPACES = ("secrets.v1", *(_name(kind) for kind in KINDS if kind.KIND.scope is Scope.NAMESPACED))


def watched(namespaces: Sequence[str]) -> list[str]:
    """What must be watched, as Kopf calls it."""
    places = namespaces or (None,)
    return [f"{resource}@None" for resource in EVERYWHERE] + [
        f"{resource}@{place}" for resource in IN_NAMESPACES for place in places
    ]


def check(loop: asyncio.AbstractEventLoop, namespaces: Sequence[str]) -> str | None:
    """Whether Kopf watches everything: a watch that the API server refuses ends with no more than a line in
    the log. May be asked from any thread."""
    watchers = {task.get_name().removeprefix("watcher for ") for task in asyncio.all_tasks(loop)}
    missing = [what.removesuffix("@None") for what in watched(namespaces) if what not in watchers]
    return f"nobody watches {', '.join(missing)}" if missing else None


def registry(operator: Operator) -> kopf.OperatorRegistry:
    """The handlers, bound to the operator that hears of what they see."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    def watch(kind: type[KubernetesObject]) -> None:
        @kopf.on.event(GROUP, VERSION, kind.KIND.plural, registry=handlers, id=f"watch-{kind.KIND.plural}")
        async def changed(event: kopf.RawEvent, **_: Any) -> None:
            operator.hear(kind, event["type"], event["object"])

    for kind in KINDS:
        watch(kind)

    @kopf.on.event("", "v1", "namespaces", registry=handlers)
    async def namespace_changed(event: kopf.RawEvent, **_: Any) -> None:
        operator.hear_namespace(event["type"], event["object"])

    @kopf.on.event("", "v1", "secrets", registry=handlers)
    async def secret_changed(event: kopf.RawEvent, **_: Any) -> None:
        operator.hear_secret(event["type"], event["object"])

    return handlers
