"""How long a leaf may live, and when its successor is sought (CA/Browser Forum BR 6.3.2, ballot SC-081v3).

Rules:
- The row is chosen by the date of issue, in UTC.
- A day is 86,400 s and both ends count: notAfter = notBefore + N * 86,400 s - 1 s.
- The operator asks for one day less than the BR allow, so that no clock's disagreement breaks a rule.
- A leaf never outlives paid time (contract, 7.2).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sslorder.contract.authority import Policy

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Allowance:
    """One row of the schedule, in force for leaves issued from `issued_from` on."""

    issued_from: datetime
    leaf: timedelta
    domain_reuse: timedelta
    identity_reuse: timedelta


def _row(issued_from: datetime, *, leaf: int, domain: int, identity: int) -> Allowance:
    return Allowance(issued_from, timedelta(days=leaf), timedelta(days=domain), timedelta(days=identity))


SCHEDULE = (
    _row(datetime(1, 1, 1, tzinfo=UTC), leaf=397, domain=398, identity=825),
    _row(datetime(2026, 3, 15, tzinfo=UTC), leaf=199, domain=200, identity=398),
    _row(datetime(2027, 3, 15, tzinfo=UTC), leaf=99, domain=100, identity=398),
    _row(datetime(2029, 3, 15, tzinfo=UTC), leaf=46, domain=10, identity=398),
)

LONGEST_LEAD = timedelta(days=30)


def allowance(issued: datetime) -> Allowance:
    """The row that holds for a leaf issued at that moment."""
    return next(row for row in reversed(SCHEDULE) if row.issued_from <= issued)


def longest_not_after(now: datetime, policy: Policy, paid_through: datetime) -> datetime:
    """The latest notAfter of a leaf issued now, in whole seconds: least of BR, policy and paid time."""
    start = now.replace(microsecond=0)
    return min(
        start + allowance(now).leaf - _SECOND,
        start + policy.longest_validity - _SECOND,
        paid_through.replace(microsecond=0) - _SECOND,
    )


def outlived_from(not_after: datetime, now: datetime, policy: Policy) -> datetime:
    """From when on a leaf that is issued by today's rules would outlive one that ends at `not_after`."""
    return not_after - min(allowance(now).leaf, policy.longest_validity) + 2 * _SECOND


def reissue_at(not_before: datetime, not_after: datetime, asked: timedelta | None) -> datetime:
    """When a leaf's successor is sought: 30 days before its end, or a third of its life if that is less.

    `asked` is the client's own wish; more than half of the leaf's life is cut to half, or each leaf would
    call for the next at once.
    """
    life = not_after - not_before
    lead = min(asked, life / 2) if asked is not None else min(LONGEST_LEAD, life / 3)
    return not_after - lead
