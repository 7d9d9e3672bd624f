"""Warnings ahead of time: once each, as events (7.2, 7.4).

Rules:
- A reminder is told by a key that names its occasion; the status keeps the keys that were told, so that none
  is told twice.
- Only what the reader can still do something about is worth a reminder.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sslorder.contract import calendar, payments
from sslorder.contract.standing import Standing

NOTICE_DAYS = (30, 7)
LAST_LEAF = timedelta(days=30)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Reminder:
    """Something that falls due. `since` is when it is told."""

    key: str
    since: datetime
    until: datetime
    message: str


def _all(c: Standing) -> Iterator[Reminder]:
    if c.ledger is None:
        return
    contact, number = c.s.provider.contact, c.s.order.spec.purchase_order
    deadline = calendar.notice_deadline(c.period_end(c.period))
    if c.ledger.notice is None:
        for days in NOTICE_DAYS:
            yield Reminder(
                f"NoticeDeadline{days}/{c.period}",
                deadline - timedelta(days=days),
                deadline,
                f"Unless notice is given by the end of {calendar.local_date(deadline - _SECOND)}, another"
                " period of"
                f" {c.terms.term_years} year(s) follows (article 7.4). Set spec.renewal to None to give"
                " notice.",
            )
    if c.payment_awaited and c.unpaid_period > 1:
        begins = calendar.period_start(c.start, c.terms.term_years, c.unpaid_period)
        yield Reminder(
            f"PaymentDue/{c.unpaid_period}",
            begins - timedelta(days=30),
            c.period_end(c.unpaid_period),
            f"Period {c.unpaid_period} begins on {calendar.local_date(begins)} and is to be paid in advance"
            " (article 7.2):"
            f" {payments.describe(payments.need(c.terms))}, purchase order {number}. Questions: {contact}.",
        )
    leaf = c.serving
    if leaf is not None and leaf.not_after >= c.paid_through - timedelta(days=1):
        yield Reminder(
            f"LastLeaf/{leaf.number}",
            leaf.not_after - LAST_LEAF,
            leaf.not_after,
            f"Leaf {leaf.number} is the last inside paid time: its Secret is withdrawn on"
            f" {leaf.not_after:%Y-%m-%d %H:%M} UTC."
            + (" The next period, paid in advance, goes on without a gap." if c.ends_at is None else ""),
        )


def due(c: Standing) -> tuple[Reminder, ...]:
    """The reminders that hold now."""
    return tuple(reminder for reminder in _all(c) if reminder.since <= c.now < reminder.until)


def moments(c: Standing) -> tuple[datetime, ...]:
    """When reminders begin to hold."""
    return tuple(reminder.since for reminder in _all(c))
