"""What must always hold, held against the world's own books.

1. Nothing is asked of the authority for an order before a payment, and nothing bought for unpaid time.
2. For each key at most one certificate, and no certificate without a cause.
3. The Secret stands if and only if the contract allows it.
4. No leaf outlives paid time, the BR's cap or the policy when it is bought.
5. What is terminated stays so; a suspension never revokes; a revoked key is never published again; nobody is
   given another's key.
6. What must go goes within `REMOVED_WITHIN` while the operator is up, and within `RECOVERED_WITHIN` of a
   disturbance.
7. A quiet world gets no writes.
"""

from base64 import b64decode
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509

from sslorder.engine.certificates import read_key, spki_sha256
from sslorder.engine.ports import IssuanceRequest
from tests.simulation.apiserver import Json
from tests.simulation.oracle import DAY, Facts, longest_life

if TYPE_CHECKING:
    from tests.simulation.authority import Issued
    from tests.simulation.process import Process
    from tests.simulation.world import World

REMOVED_WITHIN: Final = timedelta(seconds=1)
RECOVERED_WITHIN: Final = 320.0
"""Seconds of the loop after a disturbance: the longest back-off of a key, and a change of leader."""
SETTLED: Final = 5.0
"""Seconds of the loop after a disturbance from which on rest means that nothing is left to do."""
RACE: Final = timedelta(seconds=60)
"""What was forbidden for less than that when a purchase left may have been allowed at its fresh look."""
DOSSIER: Final = "ssl.synchrone.be/dossier"
MARK: Final = "ssl.synchrone.be/order-uid"
ORDER_NAME: Final = "ssl.synchrone.be/order-name"


class Violation(AssertionError):
    """Something that must never be, was."""


@dataclass(slots=True)
class Published:
    """What stands in a Secret."""

    serial: int
    spki: str
    key_fits: bool
    not_after: datetime


@dataclass(slots=True)
class Case:
    """One contract before the judge."""

    account: str
    purchase_order: str
    namespace: str
    name: str
    domain: str
    facts: Facts
    dossier: str
    may_buy: bool = True
    """Whether account and authority let it."""
    dormant: bool = False
    """Its leaf was revoked without a replacement, and none was asked for since."""
    wants_leaf_since: datetime | None = None
    """A reissue was asked for, names were given up, or a key's kind changed."""
    kept_key: bool = False
    """At some time its reissues were to keep the key."""
    certificates: list[int] = field(default_factory=list)
    ambiguous: str | None = None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name} ({self.account} {self.purchase_order})"


class Judge:
    """Sees all books, and remembers what was done for whom."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.cases: dict[str, Case] = {}
        self._by_domain: dict[str, Case] = {}
        self._by_dossier: dict[str, Case] = {}
        self._by_place: dict[tuple[str, str], Case] = {}
        self._published: dict[tuple[str, str], Published] = {}
        self.checks = 0
        self.quiescent = 0
        self.demanded = 0
        self.excused: Counter[str] = Counter()

    def add(self, case: Case) -> None:
        self.cases[case.purchase_order] = case
        self._by_domain[case.domain] = case
        self._by_dossier[case.dossier] = case
        self._by_place[case.namespace, case.name] = case

    def moments(self) -> list[datetime]:
        return [at for case in self.cases.values() for at in case.facts.moments()] + [
            published.not_after for published in self._published.values()
        ]

    def _fail(self, case: Case | None, what: str) -> None:
        self._world.broken(f"{case}: {what}" if case else what)

    # What the authority sees

    def acts_for_somebody(self, what: str) -> None:
        if not any(case.facts.payments for case in self.cases.values()):
            self._fail(None, f"the operator {what} although nobody ever paid (4.2)")

    def acts_for(self, domain: str, what: str) -> None:
        case = self._by_domain[domain]
        if not case.facts.payments:
            self._fail(case, f"the operator {what} before any payment (4.2)")

    def _case_of(self, names: tuple[str, ...]) -> Case:
        return next(case for domain, case in self._by_domain.items() if names[0].endswith(domain))

    def purchase(self, process: "Process", request: IssuanceRequest, at: datetime) -> None:
        """A request to buy leaves a process."""
        case = self._case_of(request.dns_names)
        facts = case.facts
        if not process.alive:
            return
        if any(not name.endswith(case.domain) for name in request.dns_names):
            self._fail(case, f"a purchase mixes names of others: {request.dns_names}")
        if facts.opened_at is None:
            self._fail(case, "a purchase without a dossier")
            return
        # what changed since the fresh look cannot have been seen by it
        whys = {facts.forbids(moment) for moment in (at, at - RACE)}
        if None not in whys and facts.opened_at < at - RACE:
            self._fail(case, f"a purchase although {' / '.join(sorted(map(str, whys)))}")
        through = max(facts.paid_through(at), facts.paid_through(at - RACE))
        slack = timedelta(seconds=1) + abs(process.skew)
        if request.not_after >= through:
            self._fail(case, f"a leaf until {request.not_after} is asked for, paid is until {through} (7.2)")
        if request.not_after - at > longest_life(at) + slack:
            self._fail(case, f"a leaf until {request.not_after} lives longer than the BR allow")
        if request.not_after - at > self._world.authority.policy.longest_validity + slack:
            self._fail(case, f"a leaf until {request.not_after} lives longer than the policy allows")

    def issued(self, entry: "Issued") -> None:
        """The authority has made a certificate."""
        world, case = self._world, self._case_of(entry.names)
        world.note(f"authority issues {len(case.certificates) + 1} of {case.purchase_order}")
        others = [other for other in world.authority.issued.values() if other.spki == entry.spki]
        if len(others) > 1 and not case.kept_key:
            self._fail(case, f"{len(others)} certificates were bought for one key")
        if case.certificates:
            before = world.authority.issued[case.certificates[-1]]
            life = before.not_after - before.at
            spare = before.not_after - entry.at
            due = spare <= min(30 * DAY, life / 2) + DAY / 24
            asked = case.wants_leaf_since is not None
            revoked = before.revoked_at is not None or before.serial in case.facts.revoked
            if not (due or asked or revoked):
                self._fail(case, f"a certificate without a cause: the last one has {spare} left of {life}")
        case.wants_leaf_since = None
        case.certificates.append(entry.serial)

    def revoked(self, entry: "Issued") -> None:
        case = self._case_of(entry.names)
        self._world.note(f"authority revokes one of {case.purchase_order}: {entry.reason}")
        ended = any(measure.revokes for measure in case.facts.measures)
        order = self._world.api.get("sslcertificateorders.ssl.synchrone.be", case.name, case.namespace)
        given_up = order is not None and not set(entry.names) <= set(order["spec"]["dnsNames"])
        if entry.serial not in case.facts.revoked and not ended and not given_up:
            self._fail(case, f"{entry.serial:X} was revoked, and nobody had asked for it")

    # What the API server sees

    def changed(self, event: str, thing: Json, before: Json | None) -> None:
        if thing["kind"] != "Secret":
            return
        labels, metadata = thing["metadata"].get("labels") or {}, thing["metadata"]
        if DOSSIER in labels:
            self._dossier_changed(event, metadata["name"])
        place = (metadata["namespace"], metadata["name"])
        ours = MARK in (metadata.get("annotations") or {})
        if event == "DELETED" or not ours:
            self._published.pop(place, None)
            return
        try:
            found = _content(thing)
        except ValueError:
            return  # edited by hand; whether it is put right is asked at quiescence
        self._published[place] = found
        if before is None or before.get("data") != thing.get("data"):
            self._appeared(thing, found)

    def _dossier_changed(self, event: str, name: str) -> None:
        case = self._by_dossier[name]
        if event == "ADDED":
            facts = case.facts
            facts.opened_at = self._world.now()
            order = self._world.api.get("sslcertificateorders.ssl.synchrone.be", case.name, case.namespace)
            if order is None:
                self._fail(case, "a dossier was opened for an order that is gone")
                return
            facts.arrival = datetime.fromisoformat(order["metadata"]["creationTimestamp"])
            facts.names = len(order["spec"]["dnsNames"])
        elif event == "DELETED":
            self._fail(case, "its dossier was deleted")

    def _case_of_secret(self, thing: Json) -> Case | None:
        annotations = thing["metadata"].get("annotations") or {}
        return self._by_place.get((thing["metadata"]["namespace"], annotations.get(ORDER_NAME, "")))

    def _appeared(self, thing: Json, found: Published) -> None:
        """A Secret was just written."""
        world, case = self._world, self._case_of_secret(thing)
        if case is None:
            self._fail(None, f"a Secret of nobody's: {thing['metadata']}")
            return
        entry = world.authority.issued.get(found.serial)
        if entry is None:
            return  # by hand
        if entry.serial not in case.certificates:
            self._fail(case, f"was given the certificate {entry.serial:X} of {self._case_of(entry.names)}")
        if not found.key_fits:
            self._fail(case, "its certificate was published with another key")
        dead = [
            other.revoked_at
            for other in world.authority.issued.values()
            if other.revoked_at is not None
            and (other is entry or (other.spki == entry.spki and other.reason == "keyCompromise"))
        ]
        if dead and min(dead) < world.now() - RACE:
            self._fail(case, f"the revoked certificate or key of {entry.serial:X} was published")

    # Bounds

    def check_bounds(self) -> None:
        """What must go is gone, if it had the time to go."""
        world = self._world
        if world.calm_for() < (SETTLED if world.at_rest() else RECOVERED_WITHIN):
            return
        self.checks += 1
        now = world.now()
        for (namespace, name), found in tuple(self._published.items()):
            thing = world.api.get("secrets", name, namespace)
            case = self._case_of_secret(thing) if thing else None
            if case is None or case.ambiguous:
                continue
            why = self._forbidden(case, found, now)
            if why and self._forbidden(case, found, now - REMOVED_WITHIN):
                self._fail(case, f"the Secret {namespace}/{name} still stands, although {why}")

    def _forbidden(self, case: Case, found: Published, at: datetime) -> str | None:
        return case.facts.forbids(at) or case.facts.forbids_leaf(found.serial, found.not_after, at)

    # Quiescence

    def check_quiescence(self) -> None:
        """At rest in calm weather: everything is as it should be."""
        world = self._world
        if world.calm_for() < SETTLED:
            return
        self.quiescent += 1
        for case in self.cases.values():
            if not case.ambiguous:
                self._check_case(case)

    def _check_case(self, case: Case) -> None:
        world, facts, now = self._world, case.facts, self._world.now()
        order = world.api.get("sslcertificateorders.ssl.synchrone.be", case.name, case.namespace)
        if order is None:
            return
        status = order.get("status") or {}
        phase, spec = status.get("phase"), order["spec"]
        terminated = facts.opened_at is not None and facts.in_force("Terminate", now)
        if terminated and phase != "Terminated":
            self._fail(case, f"is terminated, and its status says {phase}")
        if facts.forbids(now) or case.dormant or facts.in_force("Reject", now):
            if phase == "Active" and not facts.in_force("Reject", now):
                self._fail(case, f"is Active, although {facts.forbids(now) or 'its leaf was revoked'}")
            return
        through = min(facts.paid_through(now), facts.ends_at(now))
        if through - now < timedelta(hours=2):
            return
        self.demanded += 1
        excuse = self._excuse(case, status)
        secret = world.api.get("secrets", spec["secretName"], case.namespace)
        found = self._published.get((case.namespace, spec["secretName"])) if secret else None
        if found is None or phase != "Active":
            if excuse is None:
                self._fail(
                    case,
                    f"is paid until {through} and {'not Active' if found else 'not served'}: {_said(status)}",
                )
            return
        entry = world.authority.issued[found.serial]
        if self._forbidden(case, found, now):
            self._fail(case, f"is served what must not be: {self._forbidden(case, found, now)}")
        if excuse is None:
            if set(entry.names) != set(spec["dnsNames"]):
                self._fail(case, f"is served {entry.names}, and ordered {spec['dnsNames']}: {_said(status)}")
            late = found.not_after - now < _lead(spec, entry.not_after - entry.at) - DAY
            if late and through - found.not_after > DAY and case.may_buy:
                self._fail(case, f"has a leaf until {found.not_after} and no successor: {_said(status)}")

    def _excuse(self, case: Case, status: Json) -> str | None:
        """Why an order that is entitled to a leaf may be without one."""
        said = {condition["reason"] for condition in status.get("conditions", ())}
        books = self._world.authority
        for reason, holds in (
            ("RefusedByAuthority", bool(books.refused)),
            ("IssuanceUncertain", True),
            ("QuotaExhausted", True),
            ("DomainNotAssigned", not case.may_buy),
            ("ProductNotAllowed", not case.may_buy),
        ):
            if reason in said | _words(status) and holds:
                self.excused[reason] += 1
                return reason
        return None if case.may_buy else "may not buy"


def _lead(spec: Json, life: timedelta) -> timedelta:
    """How long before its end a leaf's successor is sought: as the client says, or 30 days, or a third."""
    asked = spec.get("reissueBefore")
    return min(timedelta(hours=int(asked[:-1])), life / 2) if asked else min(30 * DAY, life / 3)


def _words(status: Json) -> set[str]:
    """Obstacles of a successor show in the message alone."""
    message = status.get("message", "")
    return {
        reason
        for reason, words in (
            ("RefusedByAuthority", "refused the request"),
            ("IssuanceUncertain", "A person must look"),
            ("QuotaExhausted", "reissues of 30 days"),
        )
        if words in message
    }


def _said(status: Json) -> str:
    return f"{status.get('phase')}: {status.get('message')}"


def _content(thing: Json) -> Published:
    data = thing.get("data") or {}
    certificate = x509.load_pem_x509_certificate(b64decode(data.get("tls.crt", "")))
    key = read_key(b64decode(data.get("tls.key", "")))
    spki = spki_sha256(certificate.public_key())
    return Published(
        serial=certificate.serial_number,
        spki=spki,
        key_fits=spki_sha256(key.public_key()) == spki,
        not_after=certificate.not_valid_after_utc,
    )
