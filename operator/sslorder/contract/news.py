"""Taking note: what payments, actions and the order itself add to the ledger.

Rules:
- Facts are recorded before anything is concluded from them, and each once: an action by its UID, a revocation
  by its leaf.
- What was recorded does not depend on the object any longer. Deleting a payment or an action undoes nothing.
- An order that was never paid has no ledger; measures against it are read from the actions each time
  (`measures`).
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sslorder.api.action import Action, Article, SSLContractAction
from sslorder.api.common import Product
from sslorder.api.order import OrderSpec, Renewal, SSLCertificateOrder
from sslorder.api.revocation import Circumstance
from sslorder.contract import calendar, payments
from sslorder.contract.circumstances import reason
from sslorder.contract.ledger import (
    OWN_ACCORD,
    Carried,
    ContractKey,
    Holder,
    Leaf,
    Ledger,
    Measure,
    MeasureKind,
    Notice,
    PeriodTerms,
    Revocation,
    Terms,
)
from sslorder.contract.resolution import is_behind, reopening, resolve, unknown_serials
from sslorder.contract.snapshot import Snapshot, edition_at

_MEASURES = {
    Action.SUSPEND: MeasureKind.SUSPENSION,
    Action.TERMINATE: MeasureKind.TERMINATION,
    Action.REJECT: MeasureKind.REJECTION,
}

_CIRCUMSTANCES = {
    Article.ABUSE: Circumstance.ABUSE,
    Article.DOMAIN_LOST: Circumstance.DOMAIN_LOST,
    Article.BREACH: Circumstance.BREACH,
    Article.AUTHORITIES: Circumstance.AUTHORITIES_REQUEST,
    Article.CLIENT_REQUEST: Circumstance.CLIENT_ENDS,
    Article.ILLICIT_USE: Circumstance.ILLICIT_USE,
    Article.NON_PAYMENT: Circumstance.NON_PAYMENT,
}


def terms_of(spec: OrderSpec) -> Terms:
    """The contractual fields of an order as it stands."""
    return Terms(
        spec.term_years,
        spec.product,
        spec.dns_names,
        spec.subject,
        spec.accepted_terms.conditions,
        spec.accepted_terms.authority,
    )


def arrival_of(order: SSLCertificateOrder, actions: Iterable[SSLContractAction]) -> datetime:
    """When the contract started (7.1): the order's arrival, or that of the paper order that the provider
    recorded."""
    on_paper = [
        action.spec.received_at
        for action in actions
        if action.spec.action is Action.ARRIVAL and action.spec.received_at is not None
    ]
    return min(on_paper, default=order.metadata.creation_timestamp)


def _with_arrival(ledger: Ledger, s: Snapshot) -> Ledger:
    """An arrival on paper counts only until something was bought: dates that leaves rest on stay as they
    are."""
    on_paper = any(action.spec.action is Action.ARRIVAL for action in s.actions)
    if ledger.leaves or ledger.intent or not on_paper:
        return ledger
    return replace(ledger, arrival=arrival_of(s.order, s.actions))


def _with_period_terms(ledger: Ledger, s: Snapshot) -> Ledger:
    """Record the conditions of each period as it begins: those then in force (7.4); for the first, those
    accepted."""
    recorded = {entry.period for entry in ledger.periods}
    current = calendar.period_at(ledger.arrival, ledger.terms.term_years, s.now)
    fresh = tuple(
        PeriodTerms(number, _conditions_of(ledger, s, number))
        for number in range(1, current + 1)
        if number not in recorded
    )
    return replace(ledger, periods=ledger.periods + fresh) if fresh else ledger


def _conditions_of(ledger: Ledger, s: Snapshot, number: int) -> str:
    if number == 1:
        return ledger.terms.conditions
    begins = calendar.period_start(ledger.arrival, ledger.terms.term_years, number)
    return edition_at(s.provider.conditions, begins).version


def _without_lost_names(ledger: Ledger, s: Snapshot) -> Ledger:
    """A leaf that names what the order has given up is revoked once its successor is recorded (5.5a)."""
    newest = ledger.serving(s.now)
    if newest is None:
        return ledger
    for leaf in ledger.leaves:
        lost = set(leaf.dns_names) - set(s.order.spec.dns_names)
        if lost and leaf.number < newest.number and not set(newest.dns_names) - set(s.order.spec.dns_names):
            wish = _revocation(
                Circumstance.DOMAIN_CHANGED,
                ledger.terms.product,
                s.now,
                source="spec.dnsNames",
                by_client=True,
                allow_privilege_withdrawn=False,
            )
            ledger = _revoke(ledger, leaf, wish, s.now)
    return ledger


def _as_measure(action: SSLContractAction, kind: MeasureKind, now: datetime) -> Measure:
    spec, cause = action.spec, action.spec.cause
    return Measure(
        uid=action.metadata.uid,
        name=action.metadata.name,
        kind=kind,
        article=cause.article if cause else Article.OTHER,
        note=(cause.note if cause else None) or "",
        effective_at=spec.effective_at or min(action.metadata.creation_timestamp, now),
        target=spec.target.kind,
        until=spec.until,
        revoke=bool(spec.revoke_at_authority),
        circumstance=_CIRCUMSTANCES.get(cause.article, Circumstance.CLIENT_ENDS) if cause else None,
    )


def measures(
    known: tuple[Measure, ...], actions: Iterable[SSLContractAction], handled: frozenset[str], now: datetime
) -> tuple[Measure, ...]:
    """The measures after these actions, of which those with a handled UID were taken note of before.

    A Reinstate without names lifts whatever its target is under when it takes effect, a rejection included.
    A termination is final.
    """
    result = {measure.uid: measure for measure in known}
    ranked = sorted(actions, key=lambda action: (action.metadata.creation_timestamp, action.metadata.name))
    for action in ranked:
        spec, uid = action.spec, action.metadata.uid
        if uid in handled or uid in result:
            continue
        if spec.action in _MEASURES:
            result[uid] = _as_measure(action, _MEASURES[spec.action], now)
        elif spec.action is Action.REINSTATE:
            at = spec.effective_at or min(action.metadata.creation_timestamp, now)
            for measure in tuple(result.values()):
                meant = (
                    measure.name in spec.lifts
                    if spec.lifts is not None
                    else measure.target is spec.target.kind and measure.effective_at <= at
                )
                sooner = measure.lifted_at is None or at < measure.lifted_at
                if meant and sooner and measure.kind is not MeasureKind.TERMINATION:
                    result[measure.uid] = replace(measure, lifted_at=at)
    return tuple(result.values())


def _stands(known: Revocation | None, wish: Revocation) -> bool:
    """Whether a revocation stays as it was asked. Only a leaked key outranks it, until it is confirmed."""
    leaked = Circumstance.KEY_COMPROMISED
    return known is not None and (
        known.confirmed_at is not None or leaked is known.circumstance or leaked is not wish.circumstance
    )


def _revoke(ledger: Ledger, leaf: Leaf | None, revocation: Revocation, now: datetime) -> Ledger:
    if (
        leaf is None
        or leaf.fault is not None
        or leaf.not_after <= now
        or _stands(leaf.revocation, revocation)
    ):
        return ledger
    revised = replace(leaf, revocation=revocation)
    return replace(
        ledger, leaves=tuple(revised if entry.number == leaf.number else entry for entry in ledger.leaves)
    )


def _revocation(
    circumstance: Circumstance,
    product: Product,
    now: datetime,
    *,
    source: str,
    by_client: bool,
    allow_privilege_withdrawn: bool,
    replace_first: bool = False,
    compromised_at: datetime | None = None,
) -> Revocation:
    return Revocation(
        circumstance=circumstance,
        reason=reason(
            circumstance,
            product,
            replaced=replace_first,
            privilege_withdrawn_allowed=allow_privilege_withdrawn,
        ),
        by_client=by_client,
        asked_at=now,
        source=source,
        replace=replace_first,
        compromised_at=compromised_at,
    )


def _with_revocations(ledger: Ledger, s: Snapshot) -> Ledger:
    product, handled = ledger.terms.product, {entry.uid for entry in ledger.carried}
    served = ledger.serving(s.now)
    allowed = s.authority is not None and s.authority.declared.spec.global_sign.allow_privilege_withdrawn
    asked = s.order.spec.revocation
    if asked is not None:
        wish = _revocation(
            asked.circumstance,
            product,
            s.now,
            source="spec.revocation",
            by_client=True,
            allow_privilege_withdrawn=allowed,
            replace_first=asked.replace,
            compromised_at=asked.compromised_at,
        )
        ledger = _revoke(ledger, ledger.leaf(asked.leaf), wish, s.now)
    for action in s.actions:
        order = action.spec.revocation
        if order is not None and _is_due(action, s.now) and action.metadata.uid not in handled:
            wish = _revocation(
                order.circumstance,
                product,
                s.now,
                source=action.metadata.name,
                by_client=False,
                allow_privilege_withdrawn=allowed,
                replace_first=order.replace,
                compromised_at=order.compromised_at,
            )
            number = order.leaf or (served and served.number)
            ledger = _revoke(ledger, ledger.leaf(number) if number else None, wish, s.now)
    for measure in ledger.measures:
        if measure.revoke and measure.in_force(s.now):
            wish = _revocation(
                measure.circumstance or Circumstance.CLIENT_ENDS,
                product,
                s.now,
                source=measure.name,
                by_client=False,
                allow_privilege_withdrawn=allowed,
            )
            for leaf in ledger.leaves:
                ledger = _revoke(ledger, leaf, wish, s.now)
    return ledger


def _as_seen_revoked(ledger: Ledger, s: Snapshot) -> Ledger:
    """Leaves that the authority lists as revoked: a confirmation of what was asked, or its own accord."""

    def seen(leaf: Leaf, at: datetime) -> Leaf:
        asked = leaf.revocation or Revocation(None, None, False, at, OWN_ACCORD)
        return leaf if asked.confirmed_at else replace(leaf, revocation=replace(asked, confirmed_at=at))

    listed = s.revoked_by_authority
    leaves = tuple(
        seen(leaf, listed[leaf.serial]) if leaf.serial in listed else leaf for leaf in ledger.leaves
    )
    return ledger if leaves == ledger.leaves else replace(ledger, leaves=leaves)


def _seen_at(s: Snapshot) -> datetime:
    """When an edit of the order counts as seen: now, or, if nobody looked for a while and it came meanwhile,
    when that began.

    Doubt favours the client: the edit may have come right after the last look.
    """
    unseen = s.order.status.observed_generation != s.order.metadata.generation
    return s.absent_since if unseen and s.absent_since is not None else s.now


def _with_notice(ledger: Ledger, s: Snapshot) -> Ledger:
    """Notice through the order can be withdrawn there until the deadline; a letter's cannot (7.4, 9.1)."""
    posted = [
        action.spec.sent_at
        for action in s.actions
        if action.spec.action is Action.NOTICE and action.spec.sent_at
    ]
    notice = ledger.notice
    if posted and (notice is None or not notice.by_letter or min(posted) < notice.at):
        earliest = min(posted) if notice is None else min(*posted, notice.at)
        return replace(ledger, notice=Notice(earliest, by_letter=True))
    if s.order.spec.renewal is Renewal.NONE:
        return replace(ledger, notice=Notice(_seen_at(s), by_letter=False)) if notice is None else ledger
    if notice is not None and not notice.by_letter:
        end = calendar.end_after_notice(ledger.arrival, ledger.terms.term_years, notice.at)
        if s.now < calendar.notice_deadline(end):
            return replace(ledger, notice=None)
    return ledger


_RECORDED = (
    Action.SUSPEND,
    Action.TERMINATE,
    Action.REJECT,
    Action.REINSTATE,
    Action.REVOKE,
    Action.NOTICE,
    Action.ARRIVAL,
)


def _is_due(action: SSLContractAction, now: datetime) -> bool:
    """Whether an action is taken note of now: a measure ahead of its time, a revocation at its time."""
    waits = action.spec.effective_at if action.spec.action is Action.REVOKE else None
    return action.spec.action in _RECORDED and (waits is None or waits <= now)


def take_note(ledger: Ledger, s: Snapshot) -> Ledger:
    """The ledger with everything that the snapshot adds to it: an equal one when there is no news."""
    handled = frozenset(entry.uid for entry in ledger.carried)
    ledger = _with_arrival(ledger, s)
    applied = payments.apply(ledger.terms, ledger.arrival, s.payments, ledger.payments, s.now)
    ledger = replace(ledger, payments=applied, measures=measures(ledger.measures, s.actions, handled, s.now))
    ledger = _with_notice(_with_period_terms(ledger, s), s)
    ledger = _without_lost_names(_with_revocations(_as_seen_revoked(ledger, s), s), s)
    ledger = resolve(ledger, s)
    handled = frozenset(entry.uid for entry in ledger.carried)
    fresh = tuple(
        Carried(action.metadata.uid, action.metadata.name, s.now)
        for action in s.actions
        if action.metadata.uid not in handled and _is_due(action, s.now)
    )
    return replace(ledger, carried=ledger.carried + fresh) if fresh else ledger


def open_ledger(order: SSLCertificateOrder, s: Snapshot) -> Ledger | None:
    """The ledger that the first covering payment opens (4.2), or None while none covers the order."""
    assert s.authority is not None
    assert s.namespace_uid is not None
    terms, arrival = terms_of(order.spec), arrival_of(order, s.actions)
    applied = payments.apply(terms, arrival, s.payments, (), s.now)
    if 1 not in payments.paid_periods(terms, applied):
        return None
    ledger = Ledger(
        key=ContractKey(s.accounts[0].metadata.name, order.spec.purchase_order),
        holder=Holder(order.metadata.namespace, s.namespace_uid, order.metadata.name),
        authority=s.authority.declared.metadata.name,
        arrival=arrival,
        terms=terms,
        payments=applied,
    )
    reopened = reopening(s) if is_behind(None, s) else None
    if reopened is not None:
        carried = Carried(reopened.metadata.uid, reopened.metadata.name, s.now)
        abandons = reopened.spec.resolve is not None and bool(reopened.spec.resolve.abandon)
        ledger = replace(
            ledger,
            carried=(carried,),
            acknowledged=unknown_serials(None, s),
            abandoned_by=reopened.metadata.name if abandons else None,
        )
    return take_note(ledger, s)
