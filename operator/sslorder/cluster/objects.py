"""The declared kinds over the raw client: read, list, status, events.

Rules:
- An object that this version cannot understand is reported once for each version of it, and left alone: it
  disturbs no other.
- A status is written as the difference from the one that is known, under its resourceVersion.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from sslorder.api.common import API_VERSION, GROUP, VERSION, KubernetesObject, Scope
from sslorder.api.schema import Projection, format_moment
from sslorder.cluster.client import KubeClient, KubeError, Resource
from sslorder.engine.ports import Clock, Kind

logger = logging.getLogger(__name__)

EVENTS = Resource("", "v1", "events")
LONGEST_NOTE = 1000


def resource(kind: type[KubernetesObject]) -> Resource:
    return Resource(GROUP, VERSION, kind.KIND.plural)


def read(kind: type[Kind], raw: Mapping[str, Any]) -> Kind | None:
    """Parse what the API server gave. None, and a line in the log, where it cannot be understood."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        metadata = raw.get("metadata", {})
        place = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
        what = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)[:3]
        )
        logger.error("%s %s cannot be understood and is left alone: %s", kind.KIND.name, place, what)
        return None


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7396) that leads from one object to the other."""
    patch: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        known = before.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            if inner := difference(known, value):
                patch[key] = inner
        elif value != known:
            patch[key] = value
    return patch


def _dump(status: Projection) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


class Objects:
    """`engine.ports.Cluster` on the real API server. `instance` names this process in events."""

    def __init__(self, client: KubeClient, clock: Clock, instance: str) -> None:
        self._client = client
        self._clock = clock
        self._instance = instance

    async def read(self, kind: type[Kind], namespace: str, name: str) -> Kind | None:
        raw = await self._client.get(resource(kind), namespace or None, name)
        return read(kind, raw) if raw is not None else None

    async def list(self, kind: type[Kind], fields: Mapping[str, str] | None = None) -> Sequence[Kind]:
        chosen = ",".join(f"{path}={value}" for path, value in fields.items()) if fields else None
        items, _ = await self._client.list(resource(kind), field_selector=chosen)
        return [thing for raw in items if (thing := read(kind, raw)) is not None]

    async def write_status(self, current: Kind, status: Projection) -> Kind:
        metadata = current.metadata
        before: Projection = current.status  # type: ignore[attr-defined]
        body = {
            "metadata": {"resourceVersion": metadata.resource_version, "uid": metadata.uid},
            "status": difference(_dump(before), _dump(status)),
        }
        kind = type(current)
        raw = await self._client.patch(
            resource(kind), metadata.namespace or None, metadata.name, body, "status"
        )
        return kind.model_validate(raw)

    async def announce(self, about: KubernetesObject, reason: str, message: str, *, warning: bool) -> None:
        metadata, kind = about.metadata, type(about).KIND
        namespace = metadata.namespace if kind.scope is Scope.NAMESPACED else "default"
        moment = format_moment(self._clock.now())
        event = {
            "metadata": {"generateName": f"{metadata.name[:200]}.", "namespace": namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": kind.name,
                "namespace": metadata.namespace or None,
                "name": metadata.name,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
            "reason": reason,
            "message": message[:LONGEST_NOTE],
            "type": "Warning" if warning else "Normal",
            "source": {"component": "sslorder"},
            "reportingComponent": f"{GROUP}/operator",
            "reportingInstance": self._instance,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        try:
            await self._client.create(EVENTS, event)
        except KubeError as error:
            logger.info("An event about %s %s was not recorded: %s", kind.name, metadata.name, error)
