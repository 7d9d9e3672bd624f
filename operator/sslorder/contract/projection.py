"""The order's status as a projection of ledger, verdict and clock.

Rules:
- Equal facts give an equal status, so that nothing is written without a change: moments come from the facts,
  and a condition keeps its transition time as long as its status does.
- Reconciling and Stalled exclude each other and stand only while they are true, as kstatus reads them. Ready
  is absent where what the client asked for is done.
- History grows with each change of phase and is bounded.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sslorder.api.common import Condition, ConditionStatus, Product
from sslorder.api.conditions import ConditionType, Reason
from sslorder.api.order import (
    CertificateStatus,
    ContractStatus,
    DNSRecord,
    HistoryEntry,
    NameValidation,
    OrderStatus,
    PaymentDue,
    RevokedStatus,
    ValidationState,
)
from sslorder.api.phases import Phase
from sslorder.contract import calendar, payments, reminders
from sslorder.contract.acquisition import awaited_for, domains_to_prove, proved_by, unproved
from sslorder.contract.effects import Effect
from sslorder.contract.ledger import Leaf
from sslorder.contract.lifecycle import transition
from sslorder.contract.secret import is_published
from sslorder.contract.standing import Standing

MAX_HISTORY = 20
MAX_REMINDERS = 8
FOREIGN_SECRET_RECHECK = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_UNDER_WAY = (Phase.PENDING_PAYMENT, Phase.PENDING_VALIDATION, Phase.ISSUING, Phase.REVOKING)
_DEAD = (Phase.REVOKED, Phase.EXPIRED, Phase.TERMINATED, Phase.REJECTED)
_TRUE, _FALSE = ConditionStatus.TRUE, ConditionStatus.FALSE


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule of the plan says of an order.

    `publishes` is the leaf that stands in the Secret; `retains` one that waits for its Secret's name to
    become free. `satisfied` means that what the client asked for is done; `holds_contract` is False for an
    order that is another's namesake.
    """

    phase: Phase
    reason: Reason
    message: str
    article: str
    stalled: bool = False
    satisfied: bool = False
    holds_contract: bool = True
    publishes: Leaf | None = None
    retains: Leaf | None = None
    retained: frozenset[str] = frozenset()
    keeps_status: bool = False
    effects: tuple[Effect, ...] = ()
    wake_at: datetime | None = None


def _condition(
    c: Standing, kind: ConditionType, status: ConditionStatus, reason: Reason, message: str
) -> Condition:
    before = next((known for known in c.s.order.status.conditions if known.type == kind), None)
    since = (
        before.last_transition_time
        if before is not None and before.status == status
        else c.now.replace(microsecond=0)
    )
    return Condition(
        type=kind,
        status=status,
        observed_generation=c.s.order.metadata.generation,
        last_transition_time=since,
        reason=reason,
        message=message,
    )


def _domain_validated(c: Standing) -> tuple[Condition, ...]:
    """Whether every name is proved; what was last said of it, while the claims are not known."""
    kind = ConditionType.DOMAIN_VALIDATED
    if c.s.authority is None or c.s.authority.claims is None:
        return tuple(known for known in c.s.order.status.conditions if known.type == kind)
    lacking = unproved(c)
    if lacking:
        text = f"Not proved yet: {', '.join(lacking[:10])}."
        return (_condition(c, kind, _FALSE, Reason.VALIDATION_PENDING, text),)
    text = "Every name is proved to the authority."
    return (_condition(c, kind, _TRUE, Reason.VALIDATED, text),)


def _conditions(c: Standing, verdict: Verdict) -> tuple[Condition, ...]:
    def condition(kind: ConditionType, holds: bool, reason: Reason, message: str = "") -> Condition:
        return _condition(c, kind, _TRUE if holds else _FALSE, reason, message)

    result = []
    active = verdict.phase is Phase.ACTIVE
    if not verdict.satisfied:
        result.append(condition(ConditionType.READY, active, verdict.reason, verdict.message))
    if verdict.stalled:
        result.append(condition(ConditionType.STALLED, True, verdict.reason, verdict.message))
    elif verdict.phase in _UNDER_WAY:
        result.append(condition(ConditionType.RECONCILING, True, verdict.reason, verdict.message))
    if c.ledger is not None and verdict.holds_contract:
        paid = c.now < c.paid_through
        until = (
            f"Paid through {calendar.local_date(c.paid_through - _SECOND)}."
            if paid
            else f"Period {c.unpaid_period} is not paid."
        )
        result.append(
            condition(ConditionType.PERIOD_PAID, paid, Reason.PAID if paid else Reason.PAYMENT_DUE, until)
        )
        if verdict.phase not in _DEAD:
            result += _domain_validated(c)
        if c.terms.product is not Product.DV and verdict.phase not in _DEAD:
            vetted = verdict.reason is not Reason.SUBJECT_NOT_VETTED
            result.append(
                condition(
                    ConditionType.IDENTITY_VETTED,
                    vetted,
                    Reason.VETTED if vetted else Reason.SUBJECT_NOT_VETTED,
                )
            )
        shown = verdict.publishes is not None and is_published(c.s, verdict.publishes)
        where = f"{c.s.order.metadata.namespace}/{c.s.order.spec.secret_name}"
        text = f"The Secret {where} {'stands' if shown else 'does not stand: nothing may be served now'}."
        reason = Reason.PUBLISHED if shown else verdict.reason
        result.append(condition(ConditionType.SECRET_PUBLISHED, shown, reason, text))
        if c.ledger.notice is not None and c.ends_at is not None:
            how = "by registered letter (9.1)" if c.ledger.notice.by_letter else "through the order (7.4)"
            text = f"Notice was given {how}: the contract ends on {calendar.local_date(c.ends_at)}."
            result.append(condition(ConditionType.NOTICE_GIVEN, True, Reason.NOTICE_RECORDED, text))
        if c.uncertain:
            text = "Whether the authority issued the certificate that was last asked of it is not known yet."
            result.append(condition(ConditionType.ISSUANCE_UNCERTAIN, True, Reason.ISSUANCE_UNCERTAIN, text))
    return tuple(result)


def _payment_due(c: Standing) -> PaymentDue | None:
    if not c.payment_awaited or len(c.s.accounts) != 1:
        return None
    number = c.unpaid_period
    begins, ends = (calendar.period_start(c.start, c.terms.term_years, n) for n in (number, number + 1))
    return PaymentDue(
        account=c.s.accounts[0].metadata.name,
        purchase_order=c.s.order.spec.purchase_order,
        period=number,
        starts_on=calendar.local_date(begins),
        ends_on=calendar.local_date(ends - _SECOND),
        covers=payments.need(c.terms),
    )


def _contract(c: Standing) -> ContractStatus:
    end = c.period_end(c.period)
    return ContractStatus(
        start=c.start,
        end=end,
        notice_deadline=calendar.notice_deadline(end) - _SECOND,
        period=c.period,
        paid_through=c.paid_through if c.ledger else None,
        hash=c.s.contract_hash if c.ledger else None,
    )


def _certificate(c: Standing, leaf: Leaf) -> CertificateStatus:
    return CertificateStatus(
        leaf=leaf.number,
        serial_number=leaf.serial,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        fingerprint=leaf.fingerprint,
        reissue_at=c.reissue_at(leaf).replace(microsecond=0),
    )


def _revoked(c: Standing) -> RevokedStatus | None:
    leaves = c.ledger.leaves if c.ledger else ()
    confirmed = [
        leaf for leaf in leaves if leaf.revocation and leaf.revocation.confirmed_at and leaf.fault is None
    ]
    if not confirmed:
        return None
    leaf = max(confirmed, key=lambda entry: entry.number)
    assert leaf.revocation is not None
    assert leaf.revocation.confirmed_at is not None
    return RevokedStatus(
        leaf=leaf.number,
        serial_number=leaf.serial,
        revoked_at=leaf.revocation.confirmed_at,
        circumstance=leaf.revocation.circumstance,
    )


def _validation(c: Standing) -> tuple[NameValidation, ...]:
    authority = c.s.authority
    if authority is None or authority.claims is None:
        return c.s.order.status.validation
    if c.ledger is None:
        return ()
    proofs = {
        claim.domain: claim
        for name in c.terms.dns_names
        if (claim := proved_by(name, authority.claims, c.now))
    }
    verified = [
        NameValidation(
            name=claim.domain, method="DNS", state=ValidationState.VERIFIED, expires_at=claim.expires_at
        )
        for claim in proofs.values()
    ]
    awaited = [
        NameValidation(
            name=domain,
            method="DNS",
            state=ValidationState.PENDING,
            record=DNSRecord(name=domain, type="TXT", value=claim.token or ""),
            expires_at=claim.assert_by,
            message="Set this record; it may stand beside others of the same name.",
        )
        for domain in domains_to_prove(c)
        if domain not in proofs and (claim := awaited_for(domain, authority.claims, c.now)) is not None
    ]
    return tuple(sorted((*verified, *awaited), key=lambda entry: entry.name))


def _history(c: Standing, verdict: Verdict) -> tuple[HistoryEntry, ...]:
    before, known = c.s.order.status.phase, c.s.order.status.history
    if before is verdict.phase:
        return known
    way = transition(before, verdict.phase) if before is not None else None
    entry = HistoryEntry(
        time=c.now.replace(microsecond=0),
        from_=before,
        to=verdict.phase,
        article=verdict.article,
        cause=verdict.reason,
        message=way.trigger if way else "the order arrived",
    )
    return (*known, entry)[-MAX_HISTORY:]


def _reminders(c: Standing, verdict: Verdict) -> tuple[str, ...]:
    """Keys of the reminders that were told, the oldest first, and of those that are due now."""
    told = c.s.order.status.reminders
    if verdict.phase in _DEAD or not verdict.holds_contract:
        return told
    fresh = tuple(reminder.key for reminder in reminders.due(c) if reminder.key not in told)
    return (*told, *fresh)[-MAX_REMINDERS:]


def project(c: Standing, verdict: Verdict) -> OrderStatus:
    """The status that says this verdict."""
    common = OrderStatus(
        observed_generation=c.s.order.metadata.generation,
        phase=verdict.phase,
        message=verdict.message,
        conditions=_conditions(c, verdict),
        authority=c.s.authority.declared.metadata.name if c.s.authority else None,
        history=_history(c, verdict),
        reminders=_reminders(c, verdict),
    )
    if verdict.keeps_status:
        kept = c.s.order.status
        return common.model_copy(
            update={"contract": kept.contract, "certificate": kept.certificate, "revoked": kept.revoked}
        )
    if not verdict.holds_contract or (verdict.phase is Phase.RECEIVED and c.ledger is None):
        return common
    leaf = None if verdict.phase in _DEAD or verdict.phase is Phase.REVOKING else c.serving
    return common.model_copy(
        update={
            "payment_due": None if verdict.phase in _DEAD else _payment_due(c),
            "contract": _contract(c),
            "certificate": _certificate(c, leaf) if leaf else None,
            "revoked": _revoked(c),
            "validation": _validation(c) if verdict.phase not in _DEAD else (),
        }
    )
