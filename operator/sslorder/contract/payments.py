"""Payment in advance (4.2, 7.2): what a payment is for, what it covers, how far a contract is paid.

Rules:
- A payment says what it covers; the amount is never judged.
- Payments of one period add up. None is applied until together they cover what was ordered.
- Payments are taken in the order in which the money was received; a payment recorded twice counts once.
- What was applied stays applied, whatever becomes of the object; only `reversedAt` undoes it.
- Paid time is unbroken: a period counts only when every period before it is paid.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sslorder.api.common import Covers
from sslorder.api.payment import PaymentState, SSLPayment
from sslorder.contract import calendar
from sslorder.contract.ledger import AppliedPayment, Terms
from sslorder.contract.names import is_wildcard


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of one payment."""

    payment: SSLPayment
    state: PaymentState
    message: str
    period: int | None = None


def need(terms: Terms) -> Covers:
    """What each period of a contract has to be paid for."""
    wildcards = sum(map(is_wildcard, terms.dns_names))
    return Covers(
        product=terms.product,
        term_years=terms.term_years,
        names=len(terms.dns_names) - wildcards,
        wildcards=wildcards,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def describe(covers: Covers) -> str:
    """A covering in words: `DV for 1 year, 3 names, 1 wildcard`."""
    parts = [f"{covers.product} for {_count(covers.term_years, 'year')}", _count(covers.names, "name")]
    if covers.wildcards:
        parts.append(_count(covers.wildcards, "wildcard"))
    return ", ".join(parts)


def _period_of(payment: SSLPayment, start: datetime, term_years: int) -> int | None:
    if payment.spec.period is not None:
        return payment.spec.period
    day = payment.spec.period_starts_on
    if day is None:
        return None
    number = max(1, (day.year - calendar.local_date(start).year) // term_years + 1)
    begins = calendar.local_date(calendar.period_start(start, term_years, number))
    return number if begins == day else None


def _same_record(one: SSLPayment, other: SSLPayment) -> bool:
    def content(payment: SSLPayment) -> tuple[object, ...]:
        spec = payment.spec
        return (
            spec.reference,
            spec.received_at,
            spec.amount,
            spec.currency,
            spec.covers,
            spec.period,
            spec.period_starts_on,
        )

    return content(one) == content(other)


def judge(
    terms: Terms, start: datetime, payments: Iterable[SSLPayment], applied: Sequence[AppliedPayment] = ()
) -> tuple[Judgement, ...]:
    """What becomes of each payment recorded for a contract that started at `start` under these terms."""
    needed = need(terms)
    ranked = sorted(
        payments,
        key=lambda payment: (
            payment.spec.received_at,
            payment.metadata.creation_timestamp,
            payment.metadata.name,
        ),
    )
    verdicts: list[Judgement] = []
    open_parts: dict[int, list[SSLPayment]] = {}
    counted: dict[int, list[SSLPayment]] = {}
    settled = {entry.uid: entry for entry in applied}
    full = set(paid_periods(terms, applied))

    def lacking(period: int) -> tuple[int, int]:
        parts = [part.spec.covers for part in open_parts.get(period, ())]
        parts += [part.covers for part in applied if part.period == period and part.reversed_at is None]
        return (
            needed.names - sum(part.names for part in parts),
            needed.wildcards - sum(part.wildcards for part in parts),
        )

    for payment in ranked:
        entry = settled.get(payment.metadata.uid)
        if payment.spec.reversed_at is not None:
            text = "The payment was reversed and counts for nothing."
            verdicts.append(Judgement(payment, PaymentState.REVERSED, text, entry.period if entry else None))
            continue
        if entry is not None and entry.reversed_at is None:
            counted.setdefault(entry.period, []).append(payment)
            text = f"Applied to period {entry.period}."
            verdicts.append(Judgement(payment, PaymentState.APPLIED, text, entry.period))
            continue
        covered = payment.spec.covers
        if (covered.product, covered.term_years) != (needed.product, needed.term_years):
            text = (
                f"Covers {describe(covered)}, but the order is for {describe(needed)}. Record a payment that"
                " covers it."
            )
            verdicts.append(Judgement(payment, PaymentState.DOES_NOT_COVER, text))
            continue
        period = _period_of(payment, start, terms.term_years)
        if period is None:
            first = calendar.local_date(start)
            text = (
                f"No period of the contract starts on {payment.spec.period_starts_on}; period 1 starts on"
                f" {first}."
            )
            verdicts.append(Judgement(payment, PaymentState.DOES_NOT_COVER, text))
            continue
        if calendar.period_end(start, terms.term_years, period) <= payment.spec.received_at:
            text = (
                f"Period {period} had ended when the payment was received, and the contract with it. Nothing"
                " can be applied."
            )
            verdicts.append(Judgement(payment, PaymentState.DOES_NOT_COVER, text, period))
            continue
        others = (*counted.get(period, ()), *open_parts.get(period, ()))
        twin = next((other for other in others if _same_record(payment, other)), None)
        if twin is not None or period in full:
            why = (
                f"It is the same as {twin.metadata.name}"
                if twin is not None
                else f"Period {period} is paid already"
            )
            text = (
                f"{why}, so this payment counts for nothing. If money was received twice, record the period"
                " that it is for."
            )
            verdicts.append(Judgement(payment, PaymentState.DUPLICATE, text, period))
            continue
        open_parts.setdefault(period, []).append(payment)
        if max(lacking(period)) <= 0:
            full.add(period)
            verdicts += [
                Judgement(part, PaymentState.APPLIED, f"Applied to period {period}.", period)
                for part in open_parts.pop(period)
            ]

    for period, parts_open in open_parts.items():
        missing = zip(lacking(period), ("name", "wildcard"), strict=True)
        short = " and ".join(_count(number, noun) for number, noun in missing if number > 0)
        text = (
            f"Period {period} needs {describe(needed)}; {short} not paid for yet. Nothing is"
            " bought until all is covered."
        )
        verdicts += [Judgement(part, PaymentState.DOES_NOT_COVER, text, period) for part in parts_open]
    return tuple(verdicts)


def apply(
    terms: Terms,
    start: datetime,
    payments: Sequence[SSLPayment],
    applied: tuple[AppliedPayment, ...],
    now: datetime,
) -> tuple[AppliedPayment, ...]:
    """The applied payments after these records: reversals marked, newly covering payments added."""
    by_uid = {payment.metadata.uid: payment for payment in payments}
    known = tuple(
        replace(entry, reversed_at=by_uid[entry.uid].spec.reversed_at)
        if entry.reversed_at is None
        and entry.uid in by_uid
        and by_uid[entry.uid].spec.reversed_at is not None
        else entry
        for entry in applied
    )
    recorded = {entry.uid for entry in known}
    return known + tuple(
        AppliedPayment(j.payment.metadata.uid, j.payment.metadata.name, j.period, j.payment.spec.covers, now)
        for j in judge(terms, start, payments, known)
        if j.state is PaymentState.APPLIED and j.period is not None and j.payment.metadata.uid not in recorded
    )


def paid_periods(terms: Terms, applied: Iterable[AppliedPayment]) -> frozenset[int]:
    """The periods whose applied payments, reversals aside, cover what the contract is for."""
    needed = need(terms)
    sums: dict[int, tuple[int, int]] = {}
    for entry in applied:
        if entry.reversed_at is None:
            names, wildcards = sums.get(entry.period, (0, 0))
            sums[entry.period] = (names + entry.covers.names, wildcards + entry.covers.wildcards)
    return frozenset(
        period
        for period, (names, wildcards) in sums.items()
        if names >= needed.names and wildcards >= needed.wildcards
    )


def paid_through(terms: Terms, start: datetime, applied: Iterable[AppliedPayment]) -> datetime:
    """End of unbroken paid time from the first period on; the contract's start where nothing is paid."""
    paid = paid_periods(terms, applied)
    number = 0
    while number + 1 in paid:
        number += 1
    return calendar.period_end(start, terms.term_years, number)
