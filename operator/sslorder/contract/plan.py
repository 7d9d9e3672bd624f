"""What to do about an order now, what to say of it, and when to look again. Pure: same snapshot, same plan.

Rules:
- `PRECEDENCE` is the whole order of rank among what may hold at once: the first rule that speaks decides the
  phase, which leaf may be in anyone's hands, and whether another may be bought.
- What is owed in every phase is added by `_duties`: Secrets that nothing allows are withdrawn, before the
  authority is told of a revocation; a purchase of unknown outcome is settled.
- News is written into the ledger before anything is concluded from it, and a plan with effects is followed by
  another plan.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sslorder.api.conditions import Reason
from sslorder.api.order import OrderStatus
from sslorder.api.payment import PaymentState
from sslorder.api.phases import Phase
from sslorder.contract import calendar, news, payments, projection, reminders
from sslorder.contract.acceptance import ARRIVAL, first_obstacle
from sslorder.contract.acquisition import Step, acquire, settle_intent
from sslorder.contract.effects import (
    CheckStatus,
    Effect,
    PrepareIntent,
    Publish,
    ReadClaims,
    RecordLedger,
    Revoke,
    Withdraw,
)
from sslorder.contract.ledger import Leaf, Ledger, MeasureKind
from sslorder.contract.projection import Verdict
from sslorder.contract.reminders import Reminder
from sslorder.contract.resolution import is_behind, is_lost, unknown_serials
from sslorder.contract.secret import is_ours, is_published, not_after_of
from sslorder.contract.snapshot import Snapshot
from sslorder.contract.standing import Standing
from sslorder.contract.transfer import take_over
from sslorder.contract.validity import longest_not_after, outlived_from


@dataclass(frozen=True, slots=True)
class Plan:
    """Effects to carry out in order; the status to write once there are none; the next moment to look."""

    effects: tuple[Effect, ...]
    status: OrderStatus
    wake_at: datetime | None
    reminders: tuple[Reminder, ...] = ()


Rule = Callable[[Standing], Verdict | None]


def _held_by_another_installation(c: Standing) -> Verdict | None:
    if c.s.authority is None or c.s.authority.held_by is None:
        return None
    name = c.s.authority.declared.metadata.name
    return Verdict(
        Phase.RECEIVED,
        Reason.AUTHORITY_UNAVAILABLE,
        f"Another installation of the operator, in {c.s.authority.held_by}, buys through the SSLAuthority"
        f" {name}; this one leaves the order alone. If that installation is gone, remove"
        f" status.installation of {name}: {c.s.provider.contact} can.",
        article="2.1",
        stalled=True,
        holds_contract=False,
        retained=frozenset(secret.name for secret in c.s.secrets),
    )


def _held_by_another_order(c: Standing) -> Verdict | None:
    if c.ledger is None:
        return None
    holder, here = c.ledger.holder, c.s.order.metadata
    if (holder.namespace, holder.name) != (here.namespace, here.name):
        reason = Reason.HOLDER_DIFFERS
        why = f"it is held by the order {holder.namespace}/{holder.name}"
    elif c.s.namespace_uid is not None and holder.namespace_uid != c.s.namespace_uid:
        reason = Reason.NAMESPACE_REPLACED
        why = f"it was bought for an earlier namespace {holder.namespace}, which was deleted"
    else:
        return None
    return Verdict(
        Phase.RECEIVED,
        reason,
        f"The contract of {c.ledger.key} is not this order's: {why}. Ask {c.s.provider.contact} for a"
        " Transfer, or order under another purchase order number.",
        article="2.1",
        stalled=True,
        holds_contract=False,
    )


def _terminated(c: Standing) -> Verdict | None:
    measure = c.measure(MeasureKind.TERMINATION)
    if measure is None:
        return None
    note = f" ({measure.note})" if measure.note else ""
    return Verdict(
        Phase.TERMINATED,
        Reason.TERMINATED,
        f"{c.s.provider.name} terminated the contract on {calendar.local_date(measure.effective_at)} under"
        f" article {measure.article}{note}. Nothing is refunded (9.3). Questions: {c.s.provider.contact}.",
        article=measure.article,
        stalled=True,
    )


def _revocation_under_way(c: Standing) -> Verdict | None:
    leaf = c.last_sound
    if (
        leaf is None
        or leaf.revocation is None
        or leaf.revocation.confirmed_at is not None
        or c.serving is not None
    ):
        return None
    if leaf.not_after <= c.now:
        return None
    waiting = f" {c.waiting.message}" if c.waiting else ""
    return Verdict(
        Phase.REVOKING,
        Reason.REVOKING,
        f"Leaf {leaf.number} is being revoked ({leaf.revocation.circumstance}, article 5.5a). Its Secret is"
        f" withdrawn; the authority's confirmation is awaited.{waiting}",
        article="5.5a",
        wake_at=c.waiting.retry_at if c.waiting else None,
    )


def _suspended(c: Standing) -> Verdict | None:
    measure = c.measure(MeasureKind.SUSPENSION)
    if measure is None:
        return None
    until = f" until {measure.until:%Y-%m-%d %H:%M} UTC" if measure.until else ""
    note = f" ({measure.note})" if measure.note else ""
    return Verdict(
        Phase.SUSPENDED,
        Reason.SUSPENDED,
        f"Suspended{until} under article {measure.article}{note}, by the action {measure.name}. The"
        " certificate is not revoked and returns when the suspension is lifted. Ask"
        f" {c.s.provider.contact}.",
        article=measure.article,
        stalled=True,
    )


def _rejected(c: Standing) -> Verdict | None:
    measure = c.measure(MeasureKind.REJECTION)
    if measure is None or c.serving is not None:
        return None
    note = f" ({measure.note})" if measure.note else ""
    return Verdict(
        Phase.REJECTED,
        Reason.REJECTED,
        f"{c.s.provider.name} rejected the order on {calendar.local_date(measure.effective_at)}{note}. It"
        f" can be reopened: ask {c.s.provider.contact}.",
        article="4.1",
        stalled=True,
    )


def _ended(c: Standing) -> Verdict | None:
    if c.ends_at is not None and c.ends_at <= c.now:
        return Verdict(
            Phase.EXPIRED,
            Reason.EXPIRED,
            f"The contract ended on {calendar.local_date(c.ends_at)}, as notice was given (article 7.4)."
            " Order anew under a new purchase order.",
            article="7.4",
            satisfied=True,
        )
    if c.lapsed_at is not None:
        return Verdict(
            Phase.EXPIRED,
            Reason.EXPIRED,
            f"Period {c.unpaid_period} ended on {calendar.local_date(c.lapsed_at)} and was never paid,"
            " which ended the contract (articles 7.2, 7.4). Order anew under a new purchase order.",
            article="7.2",
            stalled=True,
        )
    return None


def _behind(c: Standing) -> Verdict | None:
    if not (is_lost(c.s) or (c.s.ledger is not None and is_behind(c.s.ledger, c.s))):
        return None
    ends = {secret.name: not_after_of(secret) for secret in c.s.secrets}
    serials = unknown_serials(c.s.ledger, c.s)
    what = f"the certificate {', '.join(serials[:3])}" if serials else "a payment that was applied"
    return Verdict(
        Phase.ISSUING,
        Reason.LEDGER_BEHIND,
        f"The order knows of {what}, and the dossier of its contract does not: it was lost, or restored to"
        " an older state."
        f" Nothing is bought until {c.s.provider.contact} has decided by a Resolve (adopt, buyAgain or"
        " abandon).",
        article="2.1",
        stalled=True,
        keeps_status=True,
        retained=frozenset(name for name, end in ends.items() if end is None or c.now < end),
        wake_at=min((end for end in ends.values() if end is not None and end > c.now), default=None),
    )


def _not_accepted(c: Standing) -> Verdict | None:
    if c.ledger is not None:
        return None
    obstacle = first_obstacle(ARRIVAL, c.s)
    if obstacle is None:
        return None
    return Verdict(
        Phase.RECEIVED, obstacle.reason, obstacle.message, article=obstacle.article or "2.1", stalled=True
    )


def _unpaid(c: Standing) -> Verdict | None:
    if c.ledger is not None and c.now < c.paid_through:
        return None
    due = c.unpaid_period
    begins, ends = (calendar.period_start(c.start, c.terms.term_years, n) for n in (due, due + 1))
    needed = payments.describe(payments.need(c.terms))
    short = [
        verdict.message
        for verdict in payments.judge(c.terms, c.start, c.s.payments, c.ledger.payments if c.ledger else ())
        if verdict.state is PaymentState.DOES_NOT_COVER
    ]
    return Verdict(
        Phase.PENDING_PAYMENT,
        Reason.PAYMENT_DUE,
        f"Period {due} ({calendar.local_date(begins)} to {calendar.local_date(ends)}) is to be paid in"
        f" advance (article 7.2): {needed}, purchase order {c.s.order.spec.purchase_order}. Nothing is"
        f" asked of the authority before (4.2).{''.join(' ' + text for text in short[:1])} Questions:"
        f" {c.s.provider.contact}.",
        article="4.2" if c.ledger is None else "7.2",
    )


def _revoked(c: Standing) -> Verdict | None:
    leaf = c.last_sound
    if (
        leaf is None
        or leaf.revocation is None
        or leaf.revocation.replace
        or c.serving is not None
        or c.reissue_asked
    ):
        return None
    revocation = leaf.revocation
    if revocation.confirmed_at is None and leaf.not_after > c.now:
        return None
    if revocation.circumstance is None:
        who = f"by the authority of its own accord; ask {c.s.provider.contact} why (article 5.5a)"
    elif revocation.by_client:
        who = f"at the client's wish ({revocation.circumstance}, article 5.5a)"
    else:
        who = f"by {c.s.provider.name} ({revocation.source}: {revocation.circumstance}, article 5.5a)"
    return Verdict(
        Phase.REVOKED,
        Reason.REVOKED,
        f"Leaf {leaf.number} was revoked {who}. Its Secret is withdrawn. The contract goes on: set"
        " spec.reissue.requestedAt to now for a new leaf inside paid time.",
        article="5.5a",
        satisfied=revocation.by_client,
        stalled=not revocation.by_client,
    )


def _from_step(step: Step) -> Verdict:
    return Verdict(
        step.phase,
        step.reason,
        step.message,
        article="3.1" if step.phase is Phase.PENDING_VALIDATION else "4.2",
        stalled=step.stalled,
        effects=step.effects,
        wake_at=step.wake_at,
    )


def _without_a_leaf(c: Standing) -> Verdict | None:
    if c.serving is not None:
        return None
    assert c.ledger is not None, "paid time without a ledger"
    wish = c.last_sound is not None and c.last_sound.revocation is not None and c.reissue_asked
    return _from_step(acquire(c, c.ledger, client_asked=wish))


def _successor(c: Standing, leaf: Leaf) -> Step | None:
    """The step towards the next leaf while one is served, or None when none is due or may be."""
    ledger, authority = c.ledger, c.s.authority
    assert ledger is not None
    if c.measure(MeasureKind.REJECTION) is not None:
        return None
    replaced = leaf.revocation is not None
    shrunk = set(leaf.dns_names) != set(c.s.order.spec.dns_names)
    asked = c.reissue_asked or shrunk
    if not (ledger.intent or replaced or asked or c.now >= c.reissue_at(leaf)):
        return None
    gains = (
        authority is None
        or authority.policy is None
        or longest_not_after(c.now, authority.policy, c.paid_through) > leaf.not_after
    )
    if not (ledger.intent or replaced or asked or gains):
        assert authority is not None
        assert authority.policy is not None
        return Step(
            Reason.PUBLISHED,
            "none yet, for it would not outlive this leaf.",
            wake_at=outlived_from(leaf.not_after, c.now, authority.policy),
        )
    return acquire(c, ledger, client_asked=asked and c.now < c.reissue_at(leaf))


def _check_before_return(c: Standing, ledger: Ledger, leaf: Leaf) -> Verdict:
    return Verdict(
        Phase.ISSUING,
        c.waiting.reason if c.waiting else Reason.ISSUING,
        f"The suspension is over. Leaf {leaf.number} returns as soon as the authority has said that it is"
        " not revoked." + (f" {c.waiting.message}" if c.waiting else ""),
        article="5.3b",
        effects=() if c.waiting else (CheckStatus(ledger, leaf.number),),
        wake_at=c.waiting.retry_at if c.waiting else None,
    )


def _served(c: Standing) -> Verdict | None:
    leaf, ledger, order = c.serving, c.ledger, c.s.order
    assert leaf is not None
    assert ledger is not None
    target = order.spec.secret_name
    seen_at = c.s.notes.foreign_seen_at
    recheck_at = seen_at + projection.FOREIGN_SECRET_RECHECK if seen_at else c.now
    if c.s.notes.foreign_secret == target and c.now < recheck_at:
        return Verdict(
            Phase.ISSUING,
            Reason.SECRET_CONFLICT,
            f"The Secret {order.metadata.namespace}/{target} exists and was not made for this order, so it"
            " is left untouched. Delete it, or write another name in spec.secretName.",
            stalled=True,
            article="4.2",
            wake_at=recheck_at,
            retains=leaf,
        )
    if not is_published(c.s, leaf):
        if c.check_owed(leaf):
            return _check_before_return(c, ledger, leaf)
        return Verdict(
            Phase.ACTIVE,
            Reason.PUBLISHED,
            "The Secret is being written.",
            article="4.2",
            publishes=leaf,
            effects=(Publish(ledger, leaf),),
        )
    step = _successor(c, leaf)
    later = f" Its successor: {step.message}" if step else ""
    return Verdict(
        Phase.ACTIVE,
        Reason.PUBLISHED,
        f"Leaf {leaf.number} is served from the Secret {target} until {leaf.not_after:%Y-%m-%d %H:%M:%S}"
        f" UTC.{later}",
        article="4.2",
        publishes=leaf,
        effects=step.effects if step else (),
        wake_at=step.wake_at if step else None,
    )


PRECEDENCE: tuple[Rule, ...] = (
    _held_by_another_installation,
    _held_by_another_order,
    _terminated,
    _revocation_under_way,
    _suspended,
    _ended,
    _rejected,
    _behind,
    _not_accepted,
    _unpaid,
    _revoked,
    _without_a_leaf,
    _served,
)


_OPENING = (PrepareIntent, ReadClaims)
"""Effects that may come before the ledger's first write: the one makes it, the other only reads."""


def _withdrawals(c: Standing, verdict: Verdict) -> tuple[Effect, ...]:
    """Our Secrets that nothing allows: all, or, once the wanted one stands, those of another name."""
    keep = c.s.order.spec.secret_name if verdict.publishes else None
    if verdict.retains is not None or any(isinstance(effect, Publish) for effect in verdict.effects):
        return ()
    return tuple(
        Withdraw(secret.namespace, secret.name, secret.uid, secret.resource_version)
        for secret in c.s.secrets
        if is_ours(c.s, secret) and secret.name != keep and secret.name not in verdict.retained
    )


def _revocations(c: Standing, verdict: Verdict) -> tuple[Effect, ...]:
    """Revocations owed to the authority now; where a successor comes first, not before it is served."""
    if c.ledger is None or c.waiting or any(isinstance(effect, Publish) for effect in verdict.effects):
        return ()
    served = verdict.publishes or verdict.retains
    return tuple(
        Revoke(c.ledger, leaf.number, leaf.revocation.reason, leaf.revocation.compromised_at)
        for leaf in c.ledger.leaves
        if leaf.revocation is not None
        and leaf.revocation.confirmed_at is None
        and leaf.revocation.reason is not None
        and leaf.not_after > c.now
        and (served is None or leaf.number != served.number)
    )


def _duties(c: Standing, verdict: Verdict, settling: Step | None) -> tuple[Effect, ...]:
    owed = (*_withdrawals(c, verdict), *_revocations(c, verdict)) or verdict.effects
    return owed or (settling.effects if settling else ())


def plan(s: Snapshot) -> Plan:
    """Decide about one order."""
    taken = take_over(s.ledger, s) if s.ledger is not None else None
    ledger = taken or (news.take_note(s.ledger, s) if s.ledger is not None else None)
    if ledger is None and not is_lost(s) and first_obstacle(ARRIVAL, s) is None:
        ledger = news.open_ledger(s.order, s)
    c = Standing(s, ledger)
    verdict = next(verdict for rule in PRECEDENCE if (verdict := rule(c)) is not None)
    settling = settle_intent(c) if verdict.holds_contract else None
    if not verdict.holds_contract:
        effects = _withdrawals(c, verdict)
    elif (
        ledger is not None
        and ledger != s.ledger
        and not any(isinstance(e, _OPENING) for e in verdict.effects)
    ):
        effects = (RecordLedger(ledger),)
    else:
        effects = _duties(c, verdict, settling)
    moments = (*c.moments(), *reminders.moments(c), verdict.wake_at, settling.wake_at if settling else None)
    to_come = [moment for moment in moments if moment is not None and moment > s.now]
    status, told = projection.project(c, verdict), s.order.status.reminders
    fresh = tuple(r for r in reminders.due(c) if r.key in status.reminders and r.key not in told)
    return Plan(effects, status, min(to_come, default=None), fresh)
