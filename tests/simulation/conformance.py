"""One conversation with an API server, held with the simulated one and with a real one, and compared.

Rules:
- Each call has a sentence, and an outcome in which nothing is left that differs between two servers: no UIDs,
  versions or times, but whether they are there and whether they changed.
- What collectors do takes time: `eventually` asks until the answer is the one awaited.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

Json = dict[str, Any]
GROUP: Final = "/apis/ssl.synchrone.be/v1"
NAMESPACE: Final = "conformance"
ORDERS: Final = f"{GROUP}/namespaces/{NAMESPACE}/sslcertificateorders"
SECRETS: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets"
LEASES: Final = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
ORDER: Final[Json] = {
    "purchaseOrder": "BC-1",
    "termYears": 1,
    "product": "DV",
    "dnsNames": ["a.example.com", "b.example.com"],
    "acceptedTerms": {"conditions": "1", "authority": "1"},
    "secretName": "tls",
}
_TOLD: Final = ("labels", "annotations", "generation", "ownerReferences", "deletionTimestamp", "finalizers")


class Server(Protocol):
    """What is spoken with."""

    def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """Status and body of the answer. PATCH is a merge patch."""
        ...

    def pass_time(self) -> None:
        """Let a moment go by."""
        ...


@dataclass(slots=True)
class Conversation:
    """Calls, and what came of them, by their sentences."""

    server: Server
    outcomes: dict[str, Json] = field(default_factory=dict)
    _versions: dict[str, str] = field(default_factory=dict)

    def say(self, sentence: str, method: str, path: str, body: Json | None = None) -> Json:
        code, answer = self.server.call(method, path, body)
        self.outcomes[sentence] = {"code": code, **self._told(answer)}
        return answer

    def eventually(self, sentence: str, path: str, code: int) -> None:
        for _ in range(600):
            found, answer = self.server.call("GET", path, None)
            if found == code:
                self.outcomes[sentence] = {"code": code, **self._told(answer)}
                return
            self.server.pass_time()
        raise AssertionError(f"{sentence}: GET {path} never answered {code}")

    def _told(self, answer: Json) -> Json:
        if answer["kind"] == "Status":
            details = answer.get("details") or {}
            return {
                "reason": answer.get("reason"),
                "status": answer["status"],
                "name": details.get("name"),
            }
        if "items" in answer:
            return {
                "kind": answer["kind"],
                "versioned": bool(answer["metadata"]["resourceVersion"]),
                "items": [self._told({**item, "kind": "item"}) for item in answer["items"]],
            }
        metadata = answer["metadata"]
        version, uid = metadata["resourceVersion"], metadata["uid"]
        changed = self._versions.get(uid) != version
        self._versions[uid] = version
        told = {key: value for key, value in metadata.items() if key in _TOLD}
        for owner in told.get("ownerReferences", ()):
            owner["uid"] = "a UID"
        if "deletionTimestamp" in told:
            told["deletionTimestamp"] = "a moment"
        if "labels" in told and answer["kind"] == "Namespace":
            told.pop("labels")
        return {
            "kind": answer["kind"],
            "name": metadata["name"],
            "changed": changed,
            **told,
            **{key: answer[key] for key in ("data", "type", "status") if answer.get(key)},
            "secretName": (answer.get("spec") or {}).get("secretName"),
        }


def _named(name: str, **more: Any) -> Json:
    return {"metadata": {"name": name, **more}}


def _secret(name: str, owner: Json | None = None, **metadata: Any) -> Json:
    if owner is not None:
        reference = {key: owner[key] for key in ("apiVersion", "kind")}
        reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
        metadata["ownerReferences"] = [reference]
    return {**_named(name, **metadata), "data": {"key": b64encode(b"1").decode()}, "type": "example.com/test"}


def _versioned(thing: Json, *fields: str) -> Json:
    return {"metadata": {key: thing["metadata"][key] for key in fields}}


def _of_secrets(talk: Conversation) -> None:
    say = talk.say
    first = say("a Secret is made", "POST", SECRETS, _secret("one", labels={"team": "a"}))
    say("a second one of that name is not", "POST", SECRETS, _secret("one"))
    say(
        "nor one in a namespace that is not there",
        "POST",
        "/api/v1/namespaces/nowhere/secrets",
        _secret("one"),
    )
    say("it is read", "GET", f"{SECRETS}/one")
    say("another is not found", "GET", f"{SECRETS}/two")
    say("a label selects it", "GET", f"{SECRETS}?labelSelector=team")
    say("a label and its value select it", "GET", f"{SECRETS}?labelSelector=team%3Da")
    say("another value does not", "GET", f"{SECRETS}?labelSelector=team%3Db")
    changed = {
        **_versioned(first, "resourceVersion"),
        "data": {"key": None, "other": b64encode(b"2").decode()},
    }
    second = say("a merge patch takes an entry out and puts one in", "PATCH", f"{SECRETS}/one", changed)
    say("the same patch again rests on an old version", "PATCH", f"{SECRETS}/one", changed)
    say("a patch that changes nothing makes no version", "PATCH", f"{SECRETS}/one", {"data": {"gone": None}})
    say("a patch of what is not there finds nothing", "PATCH", f"{SECRETS}/two", {"data": {}})
    stale = {
        **second,
        "metadata": {**second["metadata"], "resourceVersion": first["metadata"]["resourceVersion"]},
    }
    say("an old version is not replaced", "PUT", f"{SECRETS}/one", stale)
    foreign = {**second, "metadata": {**second["metadata"], "uid": "another"}}
    say("nor one of another UID", "PUT", f"{SECRETS}/one", foreign)
    third = say("the present one is", "PUT", f"{SECRETS}/one", {**second, "data": {}})
    say("a Secret keeps its type", "PUT", f"{SECRETS}/one", {**third, "type": "Opaque"})
    say("nothing is replaced where nothing is", "PUT", f"{SECRETS}/two", _secret("two"))
    for sentence, conditions in (
        ("a deletion asks for a UID", {"uid": "another"}),
        ("and for a version", {"resourceVersion": "1"}),
        ("and takes place when both are right", _versioned(third, "uid", "resourceVersion")["metadata"]),
    ):
        say(sentence, "DELETE", f"{SECRETS}/one", _options(preconditions=conditions))
    say("what is gone cannot be deleted", "DELETE", f"{SECRETS}/one", _options())


def _options(policy: str = "Background", **more: Any) -> Json:
    return {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy, **more}


def _of_orders(talk: Conversation) -> None:
    say, path = talk.say, f"{ORDERS}/shop"
    made = say("an order is made without a status", "POST", ORDERS, {
        "apiVersion": "ssl.synchrone.be/v1", "kind": "SSLCertificateOrder",
        **_named("shop"), "spec": ORDER, "status": {"phase": "Active"},
    })  # fmt: skip
    body = {**_versioned(made, "resourceVersion", "uid"), "status": {"phase": "Received", "message": "a"}}
    said = say("its status is written apart", "PATCH", f"{path}/status", body)
    say("but not on an old version", "PATCH", f"{path}/status", body)
    again = {**_versioned(said, "resourceVersion", "uid"), "status": {"message": "a"}}
    say("the same status makes no version", "PATCH", f"{path}/status", again)
    say("a status leaves the spec alone", "PATCH", f"{path}/status", {
        "spec": {"secretName": "other"}, "status": {"message": None},
    })  # fmt: skip
    say("a spec leaves the status alone", "PATCH", path, {
        "spec": {"secretName": "other"}, "status": {"phase": "Active"},
    })  # fmt: skip
    say("but not one of another UID", "PATCH", path, {"metadata": {"uid": "another"}, "spec": {}})
    say("an annotation is no new generation", "PATCH", path, {"metadata": {"annotations": {"a": "b"}}})
    dates = {"start": 2026, "end": 2027, "noticeDeadline": 2027, "paidThrough": 2027}
    paid = {"contract": {"period": 1} | {key: f"{year}-01-01T00:00:00Z" for key, year in dates.items()}}
    say("it is paid", "PATCH", f"{path}/status", {"status": paid})
    say("then its term is fixed", "PATCH", path, {"spec": {"termYears": 2}})
    say(
        "its names may not become more",
        "PATCH",
        path,
        {"spec": {"dnsNames": [*ORDER["dnsNames"], "c.example.com"]}},
    )
    order = say("but fewer", "PATCH", path, {"spec": {"dnsNames": ORDER["dnsNames"][:1]}})
    talk.server.call("POST", SECRETS, _secret("owned", order))
    say("a kind that is not served is not found", "GET", f"{GROUP}/sslnothings")
    say("an order goes at once", "DELETE", path, _options(preconditions=_versioned(order, "uid")["metadata"]))
    talk.eventually("and what it owned follows", f"{SECRETS}/owned", 404)
    order = say("it comes again", "POST", ORDERS, {
        "apiVersion": "ssl.synchrone.be/v1", "kind": "SSLCertificateOrder", **_named("shop"), "spec": ORDER,
    })  # fmt: skip
    talk.server.call("POST", SECRETS, _secret("kept", order))
    talk.server.call("DELETE", path, _options("Orphan"))
    talk.eventually("an orphaning deletion ends", path, 404)
    say("and leaves what it owned, without an owner", "GET", f"{SECRETS}/kept")


def _of_leases(talk: Conversation) -> None:
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **_named("leader"), "spec": spec}
    made = talk.say("a Lease is made", "POST", LEASES, lease)
    newer = {**made, "spec": {**spec, "holderIdentity": "b"}}
    talk.say("and taken over once", "PUT", f"{LEASES}/leader", newer)
    talk.say("but by one alone", "PUT", f"{LEASES}/leader", newer)


def _of_namespaces(talk: Conversation) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}"
    talk.server.call("DELETE", path, _options())
    talk.eventually("a namespace goes", path, 404)
    talk.say("with all that is in it", "GET", f"{SECRETS}/kept")


def converse(server: Server) -> Mapping[str, Json]:
    """Hold the whole conversation in a namespace of its own."""
    talk = Conversation(server)
    server.call("POST", "/api/v1/namespaces", _named(NAMESPACE))
    for part in PARTS:
        part(talk)
    return talk.outcomes


PARTS: Final[tuple[Callable[[Conversation], None], ...]] = (
    _of_secrets,
    _of_orders,
    _of_leases,
    _of_namespaces,
)


def differences(one: Mapping[str, Json], other: Mapping[str, Json]) -> Iterator[str]:
    """Sentence by sentence, where two conversations went apart."""
    for sentence in one.keys() | other.keys():
        if one.get(sentence) != other.get(sentence):
            yield f"{sentence}: {one.get(sentence)} and {other.get(sentence)}"
