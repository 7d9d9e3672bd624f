"""Obtaining a leaf: what stands in the way, in order, and the next step where nothing does.

Rules:
- Called only inside paid time, and only for a contract that may buy: `plan` decides that, before and after a
  fresh look.
- An intent comes first. One in hand is sent or dropped; one that may have been sent is searched for, never
  sent blindly again.
- The same request is not made twice to an authority that refused it, until policy, claims or order change.
- Each step returns at most the effects of one step; the loop comes back with the facts that they made.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from sslorder.api.conditions import Reason
from sslorder.api.order import RotationPolicy
from sslorder.api.phases import Phase
from sslorder.contract.acceptance import PURCHASE, first_obstacle
from sslorder.contract.authority import Claim, ClaimState
from sslorder.contract.effects import (
    AskAgain,
    AssertClaim,
    CollectCertificate,
    DropIntent,
    Effect,
    PrepareIntent,
    ReadClaims,
    RequestCertificate,
    SearchIssued,
    SubmitClaim,
)
from sslorder.contract.ledger import Intent, Ledger
from sslorder.contract.names import closest, lies_under
from sslorder.contract.news import terms_of
from sslorder.contract.standing import Standing
from sslorder.contract.validity import longest_not_after

ASSERT_EVERY = timedelta(seconds=30)
STALE_INTENT = timedelta(hours=1)
CLIENT_REISSUE_WINDOW = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Step:
    """The next step towards a leaf: effects to carry out, or what is waited for."""

    reason: Reason
    message: str
    effects: tuple[Effect, ...] = ()
    phase: Phase = Phase.ISSUING
    stalled: bool = False
    wake_at: datetime | None = None


def search_every(grace: timedelta) -> timedelta:
    """How often an uncertain purchase is searched for."""
    return max(timedelta(seconds=1), min(timedelta(minutes=1), grace / 10))


def proved_by(name: str, claims: tuple[Claim, ...], now: datetime) -> Claim | None:
    """The verified claim that covers a name: of its own domain or of one above it."""
    return next(
        (
            claim
            for claim in claims
            if claim.state is ClaimState.VERIFIED
            and lies_under(name, claim.domain)
            and (claim.expires_at is None or claim.expires_at > now)
        ),
        None,
    )


def awaited_for(domain: str, claims: tuple[Claim, ...], now: datetime) -> Claim | None:
    """The claim on a domain whose proof can still be given."""
    return next(
        (
            claim
            for claim in claims
            if claim.domain == domain
            and claim.state is ClaimState.PENDING
            and claim.token
            and (claim.assert_by is None or claim.assert_by > now)
        ),
        None,
    )


def unproved(c: Standing) -> tuple[str, ...]:
    """Names of the order that no verified claim covers. Empty, too, while the claims have not been read."""
    claims = c.s.authority.claims if c.s.authority else None
    if claims is None:
        return ()
    return tuple(name for name in c.s.order.spec.dns_names if proved_by(name, claims, c.now) is None)


def domains_to_prove(c: Standing) -> tuple[str, ...]:
    """The assigned domains that the unproved names lie under, each once."""
    domains = c.s.accounts[0].spec.domains if c.s.accounts else ()
    return tuple(sorted({domain for name in unproved(c) if (domain := closest(name, domains)) is not None}))


def basis_of(c: Standing) -> str:
    """A digest of everything that a request rests on: equal as long as a refusal would be repeated."""
    authority = c.s.authority
    claims = sorted(
        claim.id
        for claim in (authority.claims if authority else None) or ()
        if claim.state is ClaimState.VERIFIED
    )
    spec = c.s.order.spec
    parts = (
        c.s.order.metadata.uid,
        sorted(spec.dns_names),
        spec.subject,
        spec.private_key,
        authority and authority.policy,
        claims,
    )
    return sha256(repr(parts).encode()).hexdigest()[:32]


def settle_intent(c: Standing) -> Step | None:
    """Find out what became of a purchase whose outcome is not known; None when there is nothing to settle.

    Allowed in every phase, for an unknown certificate could not be revoked.
    """
    ledger, notes = c.ledger, c.s.notes
    intent = ledger.intent if ledger else None
    if ledger is None or intent is None:
        return None
    if intent.serial is not None:
        if c.waiting:
            return Step(
                c.waiting.reason, c.waiting.message, stalled=c.waiting.stalled, wake_at=c.waiting.retry_at
            )
        return Step(
            Reason.ISSUING, "The authority has issued the certificate.", (CollectCertificate(ledger, intent),)
        )
    if not c.uncertain:
        return None
    if c.waiting:
        return Step(Reason.ISSUANCE_UNCERTAIN, c.waiting.message, wake_at=c.waiting.retry_at)
    grace = c.s.authority.grace if c.s.authority else timedelta(minutes=15)
    if notes.uncertain_since is None or notes.searched_at is None:
        return Step(
            Reason.ISSUANCE_UNCERTAIN,
            "Looking for what became of the request.",
            (SearchIssued(ledger, intent),),
        )
    certain_at = notes.uncertain_since + grace
    if notes.searched_at < certain_at:
        again_at = min(notes.searched_at + search_every(grace), certain_at)
        if c.now >= again_at:
            return Step(
                Reason.ISSUANCE_UNCERTAIN,
                "Looking for what became of the request.",
                (SearchIssued(ledger, intent),),
            )
        return Step(
            Reason.ISSUANCE_UNCERTAIN,
            f"The authority's answer to the request for leaf {intent.leaf} was lost. It is looked for among"
            f" what the authority issued until {certain_at:%Y-%m-%d %H:%M:%S} UTC; nothing is asked again"
            " before.",
            wake_at=again_at,
        )
    if intent.attempt > 1:
        return Step(
            Reason.ISSUANCE_UNCERTAIN,
            f"Twice the answer to the request for leaf {intent.leaf} was lost, and the authority lists no"
            f" certificate with its key (SHA-256 of the SPKI: {intent.spki_sha256}). A person must look"
            f" there: ask {c.s.provider.contact} for a Resolve.",
            stalled=True,
        )
    return None


def _send_or_drop(c: Standing, ledger: Ledger, intent: Intent, not_after: datetime) -> Step:
    assert c.s.authority is not None
    assert c.s.authority.policy is not None
    changed = set(intent.dns_names) != set(c.s.order.spec.dns_names) or intent.not_after > not_after
    stale = (
        c.now - intent.recorded_at > STALE_INTENT
        or intent.not_after - c.now < c.s.authority.policy.shortest_validity
    )
    if changed or stale:
        return Step(Reason.ISSUING, "The request is made anew.", (DropIntent(ledger),))
    return Step(Reason.ISSUING, "The certificate is being requested.", (RequestCertificate(ledger, intent),))


def _prove(c: Standing, claims: tuple[Claim, ...]) -> Step:
    waiting_for: list[str] = []
    effects: list[Effect] = []
    next_look: datetime | None = None
    for domain in domains_to_prove(c):
        pending = awaited_for(domain, claims, c.now)
        if pending is None:
            effects.append(SubmitClaim(domain))
            continue
        waiting_for.append(f"{domain} TXT {pending.token}")
        due = c.s.notes.asserted.get(pending.id, datetime.min.replace(tzinfo=c.now.tzinfo)) + ASSERT_EVERY
        if due <= c.now:
            effects.append(AssertClaim(pending.id, domain))
        next_look = min(due, next_look or due)
    return Step(
        Reason.VALIDATION_PENDING,
        "Prove the control of your names (article 3.1): set the DNS"
        f" record{'s' if len(waiting_for) > 1 else ''} {'; '.join(waiting_for)}. The authority looks for"
        " them twice a minute.",
        tuple(effects),
        Phase.PENDING_VALIDATION,
        wake_at=None if effects else next_look,
    )


def _beyond_contract(c: Standing, ledger: Ledger) -> Step | None:
    """An order that asks for more than was paid is told so and gets nothing; admission cannot see it all."""
    asked, sold = terms_of(c.s.order.spec), ledger.terms
    more = sorted(set(asked.dns_names) - set(sold.dns_names))
    differing = [
        f"{field} was {before} and is {now}"
        for field, before, now in (
            ("product", sold.product, asked.product),
            ("termYears", sold.term_years, asked.term_years),
        )
        if before != now
    ]
    if more:
        differing.append(
            f"dnsNames has {', '.join(more[:5])}{' and others' if len(more) > 5 else ''} in addition"
        )
    if not differing:
        return None
    return Step(
        Reason.PAYMENT_DUE,
        f"The order asks for something else than was paid: {'; '.join(differing)}. Nothing is bought for it."
        " Put it back, or order the rest under a new purchase order (4.2). Questions:"
        f" {c.s.provider.contact}.",
        stalled=True,
    )


def _recent_reissues(c: Standing, ledger: Ledger) -> list[datetime]:
    """When the client's reissues of the last 30 days were made, the oldest first."""
    since = c.now - CLIENT_REISSUE_WINDOW
    return sorted(
        leaf.recorded_at for leaf in ledger.leaves if leaf.client_asked and leaf.recorded_at > since
    )


def acquire(c: Standing, ledger: Ledger, *, client_asked: bool = False) -> Step:
    """The next step towards a new leaf for a contract that may have one."""
    settling = settle_intent(c)
    if settling is not None:
        return settling
    beyond = _beyond_contract(c, ledger)
    if beyond is not None:
        return beyond
    obstacle = first_obstacle(PURCHASE, c.s)
    if obstacle is not None:
        return Step(obstacle.reason, obstacle.message, stalled=True)
    authority = c.s.authority
    assert authority is not None
    if ledger.abandoned_by is not None:
        return Step(
            Reason.ABANDONED,
            f"{c.s.provider.name} decided that nothing more is bought for this contract"
            f" ({ledger.abandoned_by}). Ask"
            f" {c.s.provider.contact}: another Resolve (buyAgain) goes on.",
            stalled=True,
        )
    faulty = ledger.newest()
    if faulty is not None and faulty.fault is not None and faulty.serial not in ledger.acknowledged:
        return Step(
            Reason.CERTIFICATE_UNUSABLE,
            f"The authority issued certificate {faulty.serial} for leaf {faulty.number}, but it must not be"
            f" used: {faulty.fault} It is not published, and no other is bought. Ask"
            f" {c.s.provider.contact}.",
            stalled=True,
        )
    if authority.policy is None:
        why = authority.unavailable or "it has not answered yet."
        return Step(
            Reason.AUTHORITY_UNAVAILABLE,
            f"The SSLAuthority {authority.declared.metadata.name} cannot be used: {why} The order goes on"
            f" by itself as soon as it can; {c.s.provider.contact} looks after it.",
        )
    if c.waiting:
        return Step(
            c.waiting.reason, c.waiting.message, stalled=c.waiting.stalled, wake_at=c.waiting.retry_at
        )
    if ledger.refusal is not None and ledger.refusal.basis == basis_of(c):
        return Step(
            Reason.REFUSED_BY_AUTHORITY,
            f"The authority refused the request: {ledger.refusal.detail} It is asked again when the order's"
            " names, the authority's policy or its claims change. Correct the order, or ask"
            f" {c.s.provider.contact}, who can reject it (article 4.1).",
            stalled=True,
        )
    not_after = longest_not_after(c.now, authority.policy, c.paid_through)
    if not_after - c.now < authority.policy.shortest_validity:
        return Step(
            Reason.PAID_TIME_TOO_SHORT,
            f"Paid time ends {c.paid_through:%Y-%m-%d %H:%M} UTC, and the authority issues nothing that"
            f" short. {'Pay the next period to go on.' if c.ends_at is None else 'So does the contract.'}",
            phase=Phase.PENDING_PAYMENT,
        )
    if authority.claims is None:
        return Step(
            Reason.VALIDATION_PENDING, "Reading the domain claims.", (ReadClaims(),), Phase.PENDING_VALIDATION
        )
    if unproved(c):
        return _prove(c, authority.claims)
    intent = ledger.intent
    if intent is not None and not c.uncertain:
        return _send_or_drop(c, ledger, intent, not_after)
    if intent is not None:
        return Step(
            Reason.ISSUING,
            "The first request bought nothing; it is made once more with the same key.",
            (AskAgain(ledger, replace(intent, attempt=intent.attempt + 1)),),
        )
    limit, recent = authority.declared.spec.limits.client_reissues_per_month, _recent_reissues(c, ledger)
    if client_asked and len(recent) >= limit:
        return Step(
            Reason.QUOTA_EXHAUSTED,
            f"This contract has had its {limit} reissues of 30 days. The next is made when the oldest is 30"
            f" days past, or sooner if {c.s.provider.contact} raises the limit.",
            stalled=True,
            wake_at=recent[0] + CLIENT_REISSUE_WINDOW if recent else None,
        )
    previous = c.last_sound
    keeps_key = (
        c.s.order.spec.private_key.rotation_policy is RotationPolicy.NEVER
        and previous is not None
        and previous.serves(c.now)
        and previous.revocation is None
    )
    return Step(
        Reason.ISSUING,
        "The request is being prepared.",
        (
            PrepareIntent(
                ledger,
                ledger.next_leaf,
                c.s.order.spec.dns_names,
                not_after,
                client_asked,
                previous.number if keeps_key and previous else None,
            ),
        ),
    )
