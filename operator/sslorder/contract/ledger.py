"""The ledger of one contract: what the dossier records, and how entries are added.

Rules:
- A ledger is a value. Each function returns a new one; nothing is ever taken back, only added to or marked
  (a payment is reversed, a suspension lifted, a leaf revoked).
- It holds facts with the moment at which they became known, never conclusions: periods, phases and dues are
  derived (`standing`).
- It names keys and certificates by fingerprint. The keys themselves lie beside it in the dossier.
- An intent stands in the ledger before anything is bought for it, until its outcome is known.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from sslorder.api.action import TargetKind
from sslorder.api.common import Covers, Product, Subject
from sslorder.api.revocation import Circumstance
from sslorder.contract.circumstances import RevocationReason

LEDGER_VERSION = 1

REPLACEMENT_BOUND = timedelta(hours=24)
COMPROMISE_BOUND = timedelta(hours=1)
OWN_ACCORD = "the authority"
"""Source of a revocation that nobody here asked for."""


@dataclass(frozen=True, slots=True, order=True)
class ContractKey:
    """What identifies a contract: a purchase order number is unique within an account (2.1)."""

    account: str
    purchase_order: str

    def __str__(self) -> str:
        return f"purchase order {self.purchase_order} of account {self.account}"

    @property
    def digest(self) -> str:
        """160 bits that name the dossier and mark the Secret. Lengths go in: no two keys run together."""
        parts = (part.encode() for part in (self.account, self.purchase_order))
        return sha256(b"".join(len(part).to_bytes(4) + part for part in parts)).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Holder:
    """The order to which a contract's keys are published; the UID tells it from a later namesake."""

    namespace: str
    namespace_uid: str
    name: str


@dataclass(frozen=True, slots=True)
class Terms:
    """The contractual fields as they stood when the first payment was applied."""

    term_years: int
    product: Product
    dns_names: tuple[str, ...]
    subject: Subject | None
    conditions: str
    authority_terms: str


@dataclass(frozen=True, slots=True)
class AppliedPayment:
    """One `SSLPayment`, as it was when it was applied. Deleting the object changes nothing here."""

    uid: str
    name: str
    period: int
    covers: Covers
    applied_at: datetime
    reversed_at: datetime | None = None


class MeasureKind(StrEnum):
    SUSPENSION = "Suspension"
    TERMINATION = "Termination"
    REJECTION = "Rejection"


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of the provider against the contract, its account or its authority (5.3b, 8.1, 9.2)."""

    uid: str
    name: str
    kind: MeasureKind
    article: str
    note: str
    effective_at: datetime
    target: TargetKind = TargetKind.CONTRACT
    until: datetime | None = None
    revoke: bool = False
    circumstance: Circumstance | None = None
    lifted_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        started = self.effective_at <= now and (self.lifted_at is None or now < self.lifted_at)
        return started and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True)
class Revocation:
    """A leaf's revocation: asked with the circumstance, confirmed by the authority.

    One by the authority of its own accord has neither circumstance nor reason, and is confirmed at once.
    """

    circumstance: Circumstance | None
    reason: RevocationReason | None
    by_client: bool
    asked_at: datetime
    source: str
    replace: bool = False
    compromised_at: datetime | None = None
    confirmed_at: datetime | None = None

    @property
    def serves_until(self) -> datetime:
        """Until when the leaf may be served: not at all, or up to the bound if it is replaced first."""
        if not self.replace or self.confirmed_at is not None:
            return self.asked_at
        bound = COMPROMISE_BOUND if self.circumstance is Circumstance.KEY_COMPROMISED else REPLACEMENT_BOUND
        return self.asked_at + bound


@dataclass(frozen=True, slots=True)
class Intent:
    """A purchase that is about to be made, or whose outcome is not known yet.

    `serial` is set as soon as the authority named it, while the certificate itself is still awaited.
    `attempt` is 2 when the authority was asked once more with the same key; there is no third.
    """

    leaf: int
    attempt: int
    spki_sha256: str
    dns_names: tuple[str, ...]
    not_after: datetime
    recorded_at: datetime
    serial: str | None = None
    client_asked: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The authority's definite no. `basis` digests all that it rested on: the same is not asked again."""

    basis: str
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate of the contract, numbered from 1. `fault` says why it must never be published."""

    number: int
    serial: str
    spki_sha256: str
    dns_names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str
    content_sha256: str
    recorded_at: datetime
    client_asked: bool = False
    fault: str | None = None
    revocation: Revocation | None = None
    checked_at: datetime | None = None

    def serves(self, now: datetime) -> bool:
        """Whether this leaf may be in anyone's hands: sound, not revoked, not run out (5.5a)."""
        revoked = self.revocation is not None and now >= self.revocation.serves_until
        return self.fault is None and not revoked and now < self.not_after


@dataclass(frozen=True, slots=True)
class Notice:
    """The client's wish that no further period follows: by its order (7.4) or by registered letter (9.1).

    `at` is when the order was first seen to say so, or when the letter was posted.
    """

    at: datetime
    by_letter: bool


@dataclass(frozen=True, slots=True)
class PeriodTerms:
    """The version of the provider's conditions that governs a period: the one in force when it began
    (7.4)."""

    period: int
    conditions: str


@dataclass(frozen=True, slots=True)
class Carried:
    """An `SSLContractAction` that was carried out on this contract, so that it is not carried out twice."""

    uid: str
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that is known of one contract since its first payment.

    `acknowledged` are serial numbers about which a person decided (Resolve): faulty ones, and ones that the
    dossier lost. `abandoned_by` names the Resolve by which nothing more is bought.
    """

    key: ContractKey
    holder: Holder
    authority: str
    arrival: datetime
    terms: Terms
    payments: tuple[AppliedPayment, ...]
    version: int = LEDGER_VERSION
    notice: Notice | None = None
    measures: tuple[Measure, ...] = ()
    intent: Intent | None = None
    refusal: Refusal | None = None
    leaves: tuple[Leaf, ...] = ()
    carried: tuple[Carried, ...] = ()
    periods: tuple[PeriodTerms, ...] = ()
    acknowledged: tuple[str, ...] = ()
    abandoned_by: str | None = None

    @property
    def next_leaf(self) -> int:
        """Number of the leaf to be bought next."""
        return max((leaf.number for leaf in self.leaves), default=0) + 1

    def leaf(self, number: int) -> Leaf | None:
        return next((leaf for leaf in self.leaves if leaf.number == number), None)

    def newest(self) -> Leaf | None:
        return max(self.leaves, key=lambda leaf: leaf.number, default=None)

    def newest_sound(self) -> Leaf | None:
        """The newest leaf that was fit to be published when it came."""
        sound = (leaf for leaf in self.leaves if leaf.fault is None)
        return max(sound, key=lambda leaf: leaf.number, default=None)

    def serving(self, now: datetime) -> Leaf | None:
        """The leaf to publish: the newest sound one, while it serves. Its predecessors' keys are gone."""
        leaf = self.newest_sound()
        return leaf if leaf is not None and leaf.serves(now) else None

    def keys_needed(self, now: datetime) -> frozenset[int]:
        """Numbers of the leaves whose keys are still of use; all others are destroyed at the next write."""
        serving = self.serving(now)
        return frozenset(
            entry for entry in (serving and serving.number, self.intent and self.intent.leaf) if entry
        )

    def with_intent(self, intent: Intent | None) -> "Ledger":
        return replace(self, intent=intent)

    def with_leaf(self, leaf: Leaf) -> "Ledger":
        """Record a leaf (in place of an entry of the same number) and close the intent that it answers."""
        others = tuple(known for known in self.leaves if known.number != leaf.number)
        intent = None if self.intent and self.intent.leaf == leaf.number else self.intent
        return replace(self, leaves=(*others, leaf), intent=intent, refusal=None)
