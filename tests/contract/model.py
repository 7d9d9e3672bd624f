"""Carries a plan's effects out, as the engine would, on a world that is one snapshot.

Rules:
- The first effect of a plan is carried out, then everything is looked at anew.
- The authority does what `answer` says. What was carried out is in `done`, what of it reached the authority
  in `told`.
- `settle` ends when nothing is left to do, and writes the status; more than `MOST_STEPS` are a livelock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import singledispatchmethod

from sslorder.api.conditions import Reason
from sslorder.contract import effects as e
from sslorder.contract.acquisition import basis_of
from sslorder.contract.authority import Claim, ClaimState
from sslorder.contract.ledger import Intent, Leaf, Ledger, Refusal
from sslorder.contract.plan import Plan, plan
from sslorder.contract.snapshot import Notes, Snapshot, Trouble
from sslorder.contract.standing import Standing
from tests.contract.build import DAY, MINUTE, PROVED, a_leaf, a_secret

MOST_STEPS = 20
BUYING = (e.PrepareIntent, e.RequestCertificate, e.AskAgain)
CALLS = (
    e.RequestCertificate,
    e.SearchIssued,
    e.CollectCertificate,
    e.ReadClaims,
    e.SubmitClaim,
    e.AssertClaim,
    e.CheckStatus,
    e.Revoke,
)
"""Effects that the authority learns of."""


class Answer(StrEnum):
    """What the authority makes of a request."""

    ISSUED = "issued at once"
    NUMBERED = "a serial now, the certificate at the next look"
    FAULTY = "a certificate that must not be used"
    REFUSED = "refused for good"
    BUSY = "asked to come back later, for nothing was bought"
    LOST = "lost on the way, nothing issued"
    LOST_BUT_ISSUED = "issued, but the answer was lost"


@dataclass
class World:
    """One order and what surrounds it."""

    s: Snapshot
    answer: Answer = Answer.ISSUED
    proofs_are_set: bool = True
    claims: tuple[Claim, ...] = (PROVED,)
    done: list[e.Effect] = field(default_factory=list)
    issued: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    watch: Callable[[Snapshot, Plan], None] | None = None

    @property
    def ledger(self) -> Ledger:
        assert self.s.ledger is not None
        return self.s.ledger

    @property
    def told(self) -> list[e.Effect]:
        return [effect for effect in self.done if isinstance(effect, CALLS)]

    @property
    def bought(self) -> int:
        """How many requests the authority has received."""
        return sum(isinstance(effect, e.RequestCertificate) for effect in self.told)

    def change(self, **changes: object) -> None:
        self.s = replace(self.s, **changes)  # type: ignore[arg-type]

    def forget(self) -> None:
        """The process dies, and another takes over."""
        assert self.s.authority is not None
        self.claims = self.s.authority.claims or self.claims
        self.change(notes=Notes(), authority=replace(self.s.authority, claims=None))

    def settle(self, now: datetime | None = None) -> Plan:
        """Plan and act until nothing is left to do, then write the status."""
        self.change(now=now or self.s.now)
        for _ in range(MOST_STEPS):
            current = plan(self.s)
            if self.watch:
                self.watch(self.s, current)
            if not current.effects:
                self.change(order=self.s.order.model_copy(update={"status": current.status}))
                return current
            effect = current.effects[0]
            self.done.append(effect)
            self.carry_out(effect)
        raise AssertionError(f"no end after {MOST_STEPS} steps: {current.effects}")

    def live_through(self, until: datetime) -> Plan:
        """Settle now and at each moment that a plan asks to be woken at."""
        current = self.settle()
        while current.wake_at is not None and current.wake_at <= until:
            current = self.settle(current.wake_at)
        return self.settle(until)

    def _note(self, **changes: object) -> None:
        self.change(notes=replace(self.s.notes, **changes))  # type: ignore[arg-type]

    def _busy(self) -> Trouble:
        return Trouble(Reason.AUTHORITY_UNAVAILABLE, "It is busy.", self.s.now + 5 * MINUTE)

    def _claims(self, change: Callable[[tuple[Claim, ...]], tuple[Claim, ...]]) -> None:
        assert self.s.authority is not None
        self.change(authority=replace(self.s.authority, claims=change(self.s.authority.claims or ())))

    def _leaf(self, intent: Intent, fault: str | None = None) -> Leaf:
        return a_leaf(
            intent.leaf,
            issued=self.s.now,
            not_after=intent.not_after,
            spki_sha256=intent.spki_sha256,
            dns_names=intent.dns_names,
            client_asked=intent.client_asked,
            fault=fault,
        )

    @singledispatchmethod
    def carry_out(self, effect: e.Effect) -> None:
        raise NotImplementedError(effect)

    @carry_out.register
    def _(self, effect: e.RecordLedger) -> None:
        self.change(ledger=effect.ledger)

    @carry_out.register
    def _(self, effect: e.PrepareIntent) -> None:
        kept = effect.ledger.leaf(effect.key_of) if effect.key_of else None
        key = kept.spki_sha256 if kept else f"key-{effect.leaf}-{self.s.now.timestamp()}"
        intent = Intent(
            effect.leaf,
            1,
            key,
            effect.dns_names,
            effect.not_after,
            self.s.now,
            client_asked=effect.client_asked,
        )
        self.change(ledger=effect.ledger.with_intent(intent))
        self._note(in_hand=key)

    @carry_out.register
    def _(self, effect: e.DropIntent) -> None:
        self.change(ledger=effect.ledger.with_intent(None))
        self._note(in_hand=None)

    @carry_out.register
    def _(self, effect: e.RequestCertificate) -> None:
        ledger, intent = effect.ledger, effect.intent
        self._note(in_hand=None)
        if self.answer in (Answer.LOST, Answer.LOST_BUT_ISSUED):
            if self.answer is Answer.LOST_BUT_ISSUED:
                self.issued.add(intent.spki_sha256)
        elif self.answer is Answer.BUSY:
            self._note(in_hand=intent.spki_sha256, trouble=self._busy())
        elif self.answer is Answer.REFUSED:
            refusal = Refusal(basis_of(Standing(self.s, ledger)), "the policy forbids it.", self.s.now)
            self.change(ledger=replace(ledger.with_intent(None), refusal=refusal))
        elif self.answer is Answer.NUMBERED:
            self.change(ledger=ledger.with_intent(replace(intent, serial="0A")))
        else:
            fault = "it bears other names." if self.answer is Answer.FAULTY else None
            self.change(ledger=ledger.with_leaf(self._leaf(intent, fault)))

    @carry_out.register
    def _(self, effect: e.AskAgain) -> None:
        self.change(ledger=effect.ledger.with_intent(effect.intent))
        self._note(in_hand=effect.intent.spki_sha256, uncertain_since=None, searched_at=None)

    @carry_out.register
    def _(self, effect: e.SearchIssued) -> None:
        if effect.intent.spki_sha256 in self.issued:
            self.change(ledger=effect.ledger.with_intent(replace(effect.intent, serial="0A")))
            self._note(uncertain_since=None, searched_at=None)
        else:
            self._note(uncertain_since=self.s.notes.uncertain_since or self.s.now, searched_at=self.s.now)

    @carry_out.register
    def _(self, effect: e.CollectCertificate) -> None:
        self.change(ledger=effect.ledger.with_leaf(self._leaf(effect.intent)))

    @carry_out.register
    def _(self, _effect: e.ReadClaims) -> None:
        self._claims(lambda _unknown: self.claims)

    @carry_out.register
    def _(self, effect: e.SubmitClaim) -> None:
        made = Claim(
            f"claim-{len(self.told)}",
            effect.domain,
            ClaimState.PENDING,
            "token",
            self.s.now + 30 * DAY,
        )
        self._claims(lambda known: (*(k for k in known if k.domain != effect.domain), made))

    @carry_out.register
    def _(self, effect: e.AssertClaim) -> None:
        self._note(asserted={**self.s.notes.asserted, effect.claim_id: self.s.now})
        if self.proofs_are_set:
            expiry = self.s.now + 200 * DAY
            self._claims(
                lambda known: tuple(
                    replace(k, state=ClaimState.VERIFIED, expires_at=expiry) if k.id == effect.claim_id else k
                    for k in known
                )
            )

    @carry_out.register
    def _(self, effect: e.Publish) -> None:
        secret = a_secret(self.s.order, effect.leaf)
        if secret.name in self.foreign:
            self._note(foreign_secret=secret.name, foreign_seen_at=self.s.now)
            return
        self._note(foreign_secret=None, foreign_seen_at=None)
        self.change(secrets=(*(other for other in self.s.secrets if other.name != secret.name), secret))

    @carry_out.register
    def _(self, effect: e.CheckStatus) -> None:
        leaf = effect.ledger.leaf(effect.leaf)
        assert leaf is not None
        checked = replace(leaf, checked_at=self.s.now)
        leaves = tuple(checked if known.number == leaf.number else known for known in effect.ledger.leaves)
        self.change(ledger=replace(effect.ledger, leaves=leaves))

    @carry_out.register
    def _(self, effect: e.Withdraw) -> None:
        self.change(secrets=tuple(secret for secret in self.s.secrets if secret.uid != effect.uid))

    @carry_out.register
    def _(self, effect: e.Revoke) -> None:
        if self.answer is Answer.BUSY:
            self._note(trouble=self._busy())
            return

        def confirmed(leaf: Leaf) -> Leaf:
            if leaf.number != effect.leaf or leaf.revocation is None:
                return leaf
            return replace(leaf, revocation=replace(leaf.revocation, confirmed_at=self.s.now))

        self.change(ledger=replace(effect.ledger, leaves=tuple(map(confirmed, effect.ledger.leaves))))
