"""What the contract allows, told once more and differently: from the records, without the operator's code.

Rules:
- Facts carry the moment at which the cluster knew them; every question is asked for a moment and sees only
  what was known by then.
- Written from the contract's articles and the CA/B Forum's table. Nothing of `sslorder.contract` is used.
"""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

BRUSSELS: Final = ZoneInfo("Europe/Brussels")
DAY: Final = timedelta(days=1)
NEVER: Final = datetime.max.replace(tzinfo=UTC)

Level = Literal["contract", "account", "authority"]
Kind = Literal["Suspend", "Terminate", "Reject"]


def years_after(moment: datetime, years: int) -> datetime:
    """The anniversary at the same local time; 29 February becomes 28 in common years (7.3)."""
    local = moment.astimezone(BRUSSELS)
    try:
        return local.replace(year=local.year + years).astimezone(UTC)
    except ValueError:
        return local.replace(year=local.year + years, day=28).astimezone(UTC)


def last_day_of_notice(end: datetime) -> datetime:
    """The first moment that is too late for notice: midnight after the day a calendar month before (7.4)."""
    local = end.astimezone(BRUSSELS)
    year, month = divmod(local.year * 12 + local.month - 2, 12)
    day = min(local.day, monthrange(year, month + 1)[1])
    midnight = datetime(year, month + 1, day, tzinfo=BRUSSELS)
    return (midnight + DAY).replace(hour=0).astimezone(UTC)


def longest_life(issued: datetime) -> timedelta:
    """BR 6.3.2 by the date of issue."""
    table = ((2029, 47), (2027, 100), (2026, 200))
    days = next((days for year, days in table if issued >= datetime(year, 3, 15, tzinfo=UTC)), 398)
    return days * DAY


@dataclass(slots=True)
class Paid:
    """A payment as it was recorded."""

    name: str
    period: int
    names: int
    right: bool
    received_at: datetime
    known_at: datetime
    twin_of: str | None = None
    reversed_known_at: datetime = NEVER


@dataclass(slots=True)
class Measure:
    """Suspend, Terminate or Reject."""

    name: str
    kind: Kind
    level: Level
    known_at: datetime
    effective_at: datetime
    until: datetime = NEVER
    revokes: bool = False


@dataclass(slots=True)
class Reinstated:
    """Reinstate: of measures by name, or of all on the same level."""

    names: tuple[str, ...]
    level: Level
    known_at: datetime
    effective_at: datetime

    def lifts(self, measure: Measure) -> bool:
        if self.names:
            return measure.name in self.names
        return measure.level == self.level and measure.effective_at <= self.effective_at


@dataclass(slots=True)
class Revoked:
    """A revocation that somebody asked for."""

    known_at: datetime
    replace: bool
    bound: timedelta

    @property
    def serves_until(self) -> datetime:
        return self.known_at + (self.bound if self.replace else timedelta(0))


@dataclass(slots=True)
class Wish:
    """What the client's order said of renewal, from a moment on; or a registered letter."""

    known_at: datetime
    ends: bool
    posted_at: datetime | None = None


@dataclass(slots=True)
class Facts:
    """All records about one contract. `arrival` and `opened_at` are set when the first payment is applied."""

    years: int
    names: int
    arrival: datetime | None = None
    opened_at: datetime | None = None
    payments: list[Paid] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    reinstated: list[Reinstated] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    revoked: dict[int, Revoked] = field(default_factory=dict)
    declared_at: datetime = NEVER
    deleted_at: datetime = NEVER

    def live(self, at: datetime) -> bool:
        return self.declared_at <= at < self.deleted_at

    def end(self, period: int) -> datetime:
        assert self.arrival is not None
        return years_after(self.arrival, self.years * period)

    def period(self, at: datetime) -> int:
        number = 1
        while self.end(number) <= at:
            number += 1
        return number

    def is_paid(self, period: int, at: datetime) -> bool:
        counted = {
            payment.twin_of or payment.name: payment.names
            for payment in self.payments
            if payment.period == period
            and payment.right
            and payment.known_at <= at < payment.reversed_known_at
            and payment.received_at < self.end(period)
        }
        return sum(counted.values()) >= self.names

    def paid_through(self, at: datetime) -> datetime:
        """End of the unbroken paid time, the contract's end aside."""
        assert self.arrival is not None
        number = 0
        while self.is_paid(number + 1, at):
            number += 1
        return self.end(number) if number else self.arrival

    def in_force(self, kind: str, at: datetime) -> list[Measure]:
        return [
            measure
            for measure in self.measures
            if measure.kind == kind
            and measure.known_at <= at
            and measure.effective_at <= at < measure.until
            and (kind == "Terminate" or not self._lifted(measure, at))
        ]

    def _lifted(self, measure: Measure, at: datetime) -> bool:
        return any(
            lift.lifts(measure) and measure.known_at < lift.known_at <= at and lift.effective_at <= at
            for lift in self.reinstated
        )

    def ends_at(self, at: datetime) -> datetime:
        """When the contract ends by notice, as far as is known."""
        if self.opened_at is None:
            return NEVER
        given: tuple[datetime, bool] | None = None
        for wish in self.wishes:
            known = max(wish.known_at, self.opened_at)
            if known > at:
                break
            if wish.posted_at is not None:
                if given is None or not given[1] or wish.posted_at < given[0]:
                    given = (min(wish.posted_at, given[0]) if given else wish.posted_at, True)
            elif wish.ends:
                given = given or (known, False)
            elif given and not given[1] and known < last_day_of_notice(self._end_after(given[0])):
                given = None
        return self._end_after(given[0]) if given else NEVER

    def _end_after(self, notice: datetime) -> datetime:
        period = self.period(notice)
        return self.end(period if notice < last_day_of_notice(self.end(period)) else period + 1)

    def forbids(self, at: datetime) -> str | None:
        """Why no Secret of this contract may stand, whatever certificate is in it. None where one may."""
        if not self.live(at):
            return "there is no order"
        if self.opened_at is None or at >= self.paid_through(at):
            return "the time is not paid (7.2)"
        if self.in_force("Terminate", at):
            return "the contract is terminated (9.2)"
        if self.in_force("Suspend", at):
            return "the contract is suspended (5.3b, 8.1)"
        if at >= self.ends_at(at):
            return "the contract has ended by notice (7.4)"
        return None

    def forbids_leaf(self, serial: int, not_after: datetime, at: datetime) -> str | None:
        """Why a certificate may be in nobody's hands."""
        if at >= not_after:
            return "it has run out (5.5a)"
        revoked = self.revoked.get(serial)
        if revoked is not None and at >= revoked.serves_until:
            return "its revocation was asked for (5.5a)"
        return None

    def moments(self) -> list[datetime]:
        """The moments at which an answer may change by time alone."""
        found = [m.effective_at for m in self.measures] + [m.until for m in self.measures]
        found += [lift.effective_at for lift in self.reinstated]
        found += [revoked.serves_until for revoked in self.revoked.values()]
        if self.arrival is not None:
            found += [self.end(number) for number in range(1, 5)]
        return found


class Oracle:
    """The schedules, for those who are not about one contract."""

    @staticmethod
    def domain_reuse(now: datetime) -> timedelta:
        """For how long a domain's proof serves (BR 4.2.1)."""
        return 10 * DAY if now >= datetime(2029, 3, 15, tzinfo=UTC) else longest_life(now)
