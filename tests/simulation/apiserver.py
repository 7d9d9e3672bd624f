"""An API server in memory: what `kube-apiserver` answers, as far as anyone here asks.

Rules:
- One request is one call of `handle`, and takes effect at once; time, loss and delay are the caller's to add.
- A stored object is never changed in place: whoever holds one holds it as it was.
- `conformance` holds the same calls against a real API server.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, Final

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import API_VERSION, GROUP, KubernetesObject
from sslorder.api.order import CONTRACTUAL_FIELDS, SSLCertificateOrder
from sslorder.api.payment import SSLPayment

Json = dict[str, Any]
Place = tuple[str, str]
Listener = Callable[[str, Json, Json | None], None]
"""Hears of each change: the event's type, the object, and what it was before."""

KINDS: Final[tuple[type[KubernetesObject], ...]] = (
    SSLAccount,
    SSLAuthority,
    SSLPayment,
    SSLContractAction,
    SSLCertificateOrder,
)
COLLECTION_AFTER: Final = 0.5
"""Seconds until the garbage collector and the namespace controller have done their part."""
_BUILT_IN: Final = {
    "namespaces": ("v1", "Namespace"),
    "secrets": ("v1", "Secret"),
    "events": ("v1", "Event"),
    "leases.coordination.k8s.io": ("coordination.k8s.io/v1", "Lease"),
}
_SERVED: Final = _BUILT_IN | {f"{kind.KIND.plural}.{GROUP}": (API_VERSION, kind.KIND.name) for kind in KINDS}
_NEVER_JUDGED: Final[Json] = {"observedGeneration": -1}
"""The default that every one of our kinds states for its status."""
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details or {},
            "code": code,
        }


@dataclass(frozen=True, slots=True)
class Address:
    """What a path means."""

    resource: str
    namespace: str
    name: str | None
    subresource: str | None

    @classmethod
    def parse(cls, path: str) -> "Address":
        parts = path.strip("/").split("/")
        group = parts[1] if parts[0] == "apis" else ""
        rest = parts[3:] if group else parts[2:]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = (*rest, None, None)[:3]
        return cls(f"{plural}.{group}" if group else str(plural), namespace, name, subresource)

    @property
    def details(self) -> Json:
        plural, _, group = self.resource.partition(".")
        named = {"name": self.name} if self.name else {}
        return named | ({"group": group} if group else {}) | {"kind": plural}


def merged(target: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7396."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def selects(selector: str | None, thing: Json) -> bool:
    """Whether a label selector of the two forms used here, `key` and `key=value`, fits."""
    if selector is None:
        return True
    key, equals, value = selector.partition("=")
    labels = thing["metadata"].get("labels") or {}
    return labels.get(key) == value if equals else key in labels


class MemoryApiServer:
    """Objects, and those who are told of their changes."""

    def __init__(
        self,
        now: Callable[[], datetime],
        later: Callable[[float, Callable[[], None]], object],
        random: Random,
    ) -> None:
        self._now = now
        self._later = later
        self._random = random
        self._version = 0
        self._objects: dict[str, dict[Place, Json]] = {resource: {} for resource in _SERVED}
        self._dependents: dict[str, set[tuple[str, Place]]] = {}
        self._live: set[str] = set()
        self.listeners: list[Listener] = []

    # Asking without a request, for those who judge

    def get(self, resource: str, name: str, namespace: str = "") -> Json | None:
        return self._objects[resource].get((namespace, name))

    def all(self, resource: str) -> list[Json]:
        return [thing for _, thing in sorted(self._objects[resource].items())]

    # Requests

    def handle(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Json | None = None
    ) -> tuple[int, Json]:
        """Status and body of the answer."""
        at = Address.parse(path)
        try:
            if at.resource not in _SERVED:
                raise Refusal(404, "NotFound", "the server could not find the requested resource")
            match method:
                case "GET" if at.name is None:
                    return 200, self._list(at, query or {})
                case "GET":
                    return 200, self._found(at)
                case "POST":
                    assert body is not None
                    return 201, self._create(at, body)
                case "PUT":
                    assert body is not None
                    return 200, self._update(at, body, body["metadata"])
                case "PATCH":
                    assert body is not None
                    return 200, self._update(at, merged(self._found(at), body), body.get("metadata") or {})
                case "DELETE":
                    return 200, self._delete(at, body or {})
                case _:
                    raise Refusal(405, "MethodNotAllowed", method)
        except Refusal as refusal:
            return refusal.code, refusal.body

    def _found(self, at: Address) -> Json:
        assert at.name is not None
        found = self._objects[at.resource].get((at.namespace, at.name))
        if found is None:
            raise Refusal(404, "NotFound", f'{at.resource} "{at.name}" not found', at.details)
        return found

    def _list(self, at: Address, query: Mapping[str, str]) -> Json:
        version, kind = _SERVED[at.resource]
        items = [
            thing
            for (namespace, _), thing in sorted(self._objects[at.resource].items())
            if at.namespace in ("", namespace) and selects(query.get("labelSelector"), thing)
        ]
        return {
            "apiVersion": version,
            "kind": f"{kind}List",
            "metadata": {"resourceVersion": str(self._version)},
            "items": items,
        }

    def _create(self, at: Address, body: Json) -> Json:
        thing = copy.deepcopy(body)
        metadata = thing["metadata"]
        if "name" not in metadata:
            metadata["name"] = metadata["generateName"] + "".join(self._random.choices(_ALPHABET, k=5))
        at = Address(at.resource, at.namespace, metadata["name"], None)
        if at.namespace:
            namespace = self._found(Address("namespaces", "", at.namespace, None))
            if "deletionTimestamp" in namespace["metadata"]:
                text = f"namespace {at.namespace} is being terminated"
                raise Refusal(403, "Forbidden", text, at.details)
        if (at.namespace, metadata["name"]) in self._objects[at.resource]:
            text = f'{at.resource} "{at.name}" already exists'
            raise Refusal(409, "AlreadyExists", text, at.details)
        version, kind = _SERVED[at.resource]
        thing |= {"apiVersion": version, "kind": kind}
        metadata["uid"] = str(self._uid())
        metadata["creationTimestamp"] = self._moment()
        if at.namespace:
            metadata["namespace"] = at.namespace
        if at.resource not in _BUILT_IN:
            metadata["generation"] = 1
            thing["status"] = dict(_NEVER_JUDGED)
        if at.resource == "namespaces":
            metadata["labels"] = {"kubernetes.io/metadata.name": at.name} | metadata.get("labels", {})
        return self._store(at, thing, None)

    def _update(self, at: Address, wanted: Json, asked: Json) -> Json:
        before = self._found(at)
        known, custom = before["metadata"], at.resource not in _BUILT_IN
        # the status of a custom kind is written whatever UID is said
        for field in ("resourceVersion",) if at.subresource else ("resourceVersion", "uid"):
            if asked.get(field) not in (None, known[field]):
                text = f'Operation cannot be fulfilled on {at.resource} "{at.name}": {field} differs'
                if custom and field == "uid":
                    raise Refusal(422, "Invalid", text, at.details)
                raise Refusal(409, "Conflict", text, at.details)
        if at.subresource == "status":
            after = {**before, "status": _NEVER_JUDGED | (wanted.get("status") or {})}
        else:
            own = {
                key: known[key]
                for key in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "namespace")
                if key in known
            }
            after = {**wanted, "metadata": {**wanted["metadata"], **own}}
            after |= {"apiVersion": before["apiVersion"], "kind": before["kind"]}
            after.pop("status", None)
            if "status" in before:
                after["status"] = before["status"]
            self._admit(at, before, after)
            if custom and after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] = known["generation"] + 1
        after["metadata"] = {**after["metadata"], "resourceVersion": known["resourceVersion"]}
        return before if after == before else self._store(at, copy.deepcopy(after), before)

    def _admit(self, at: Address, before: Json, after: Json) -> None:
        """Of the rules of admission, those that depend on what was there before."""
        if at.resource == "secrets" and after.get("type") != before.get("type"):
            raise Refusal(422, "Invalid", "type: field is immutable", at.details)
        paid = before.get("status", {}).get("contract", {}).get("paidThrough")
        if at.resource.startswith(SSLCertificateOrder.KIND.plural) and paid:
            old, new = before["spec"], after["spec"]
            fixed = all(old.get(field) == new.get(field) for field in CONTRACTUAL_FIELDS)
            if not fixed or not set(new["dnsNames"]) <= set(old["dnsNames"]):
                raise Refusal(422, "Invalid", "spec: cannot change once a payment was applied", at.details)

    def _delete(self, at: Address, options: Json) -> Json:
        before = self._found(at)
        for field, wanted in (options.get("preconditions") or {}).items():
            if wanted != before["metadata"][field]:
                text = f"Precondition failed: {field} in precondition: {wanted}"
                raise Refusal(409, "Conflict", text, at.details)
        uid = before["metadata"]["uid"]
        if at.resource == "namespaces":
            return self._mark_deleted(at, before, lambda: self._empty(at))
        if options.get("propagationPolicy") == "Orphan":
            return self._mark_deleted(at, before, lambda: self._orphan(at, uid))
        self._remove(at, before)
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": at.details | {"uid": uid},
        }

    # What controllers do

    def _mark_deleted(self, at: Address, before: Json, finish: Callable[[], None]) -> Json:
        if "deletionTimestamp" in before["metadata"]:
            return before
        after = {**before, "metadata": {**before["metadata"], "deletionTimestamp": self._moment()}}
        self._later(COLLECTION_AFTER, finish)
        return self._store(at, after, before)

    def _empty(self, at: Address) -> None:
        for resource, things in self._objects.items():
            for (namespace, name), thing in sorted(things.items()):
                if namespace == at.name:
                    self._remove(Address(resource, namespace, name, None), thing)
        self._remove(at, self._found(at))

    def _orphan(self, at: Address, uid: str) -> None:
        for resource, (namespace, name) in sorted(self._dependents.get(uid, ())):
            before = self._objects[resource][namespace, name]
            owners = [owner for owner in before["metadata"]["ownerReferences"] if owner["uid"] != uid]
            after = {**before, "metadata": {**before["metadata"], "ownerReferences": owners}}
            if not owners:
                del after["metadata"]["ownerReferences"]
            self._store(Address(resource, namespace, name, None), after, before)
        self._remove(at, self._found(at))

    def _collect(self, uid: str) -> None:
        """Delete what only the object of that UID owned."""
        for resource, (namespace, name) in sorted(self._dependents.get(uid, ())):
            thing = self._objects[resource][namespace, name]
            if all(owner["uid"] == uid for owner in thing["metadata"]["ownerReferences"]):
                self._remove(Address(resource, namespace, name, None), thing)

    # Storage

    def _uid(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _moment(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _store(self, at: Address, thing: Json, before: Json | None) -> Json:
        assert at.name is not None
        self._version += 1
        thing["metadata"]["resourceVersion"] = str(self._version)
        if at.resource == "events":  # nobody here reads them again
            return thing
        self._own(at, before, thing)
        self._objects[at.resource][at.namespace, at.name] = thing
        self._live.add(thing["metadata"]["uid"])
        self._tell("ADDED" if before is None else "MODIFIED", thing, before)
        if before is None:
            self._collect_if_orphaned(thing)
        return thing

    def _remove(self, at: Address, before: Json) -> None:
        assert at.name is not None
        self._version += 1
        self._own(at, before, None)
        del self._objects[at.resource][at.namespace, at.name]
        uid = before["metadata"]["uid"]
        self._live.discard(uid)
        gone = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self._version)}}
        self._tell("DELETED", gone, before)
        if uid in self._dependents:
            self._later(COLLECTION_AFTER, partial(self._collect, uid))

    def _collect_if_orphaned(self, thing: Json) -> None:
        """An owner may be gone before what it owns is made."""
        for owner in thing["metadata"].get("ownerReferences") or ():
            if owner["uid"] not in self._live:
                self._later(COLLECTION_AFTER, partial(self._collect, owner["uid"]))

    def _own(self, at: Address, before: Json | None, after: Json | None) -> None:
        assert at.name is not None
        entry = (at.resource, (at.namespace, at.name))
        for owner in (before or {}).get("metadata", {}).get("ownerReferences") or ():
            self._dependents[owner["uid"]].discard(entry)
            if not self._dependents[owner["uid"]]:
                del self._dependents[owner["uid"]]
        for owner in (after or {}).get("metadata", {}).get("ownerReferences") or ():
            self._dependents.setdefault(owner["uid"], set()).add(entry)

    def _tell(self, event: str, thing: Json, before: Json | None) -> None:
        for listener in tuple(self.listeners):
            listener(event, thing, before)


def resource_of(thing: Json) -> str:
    """The key under which an object is stored, from its own apiVersion and kind."""
    return _RESOURCES[thing["apiVersion"], thing["kind"]]


_RESOURCES: Final = {served: resource for resource, served in _SERVED.items()}
