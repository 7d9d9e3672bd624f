"""The contract's calendar (articles 7.1, 7.3, 7.4, 9.1).

Rules:
- A moment is an aware datetime in UTC; only the reckoning is done in the calendar of Europe/Brussels.
- Every period is anchored on the first start, not chained to its predecessor: a contract begun on 29 February
  starts its periods on 28 February in common years and on 29 February again in leap years.
- A period holds its start and not its end: the end is the start of the next one.
"""

import calendar
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

BRUSSELS = ZoneInfo("Europe/Brussels")


def _clamped(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))


def local_date(moment: datetime) -> date:
    """The date on which a moment falls in Belgium: what billing and letters speak of."""
    return moment.astimezone(BRUSSELS).date()


def period_start(contract_start: datetime, term_years: int, number: int) -> datetime:
    """Start of period `number` (from 1): the anniversary of the first start, same local time (7.1, 7.3)."""
    local = contract_start.astimezone(BRUSSELS)
    day = _clamped(local.year + (number - 1) * term_years, local.month, local.day)
    return datetime.combine(day, local.timetz()).astimezone(UTC)


def period_end(contract_start: datetime, term_years: int, number: int) -> datetime:
    """End of period `number`, which is the start of the next."""
    return period_start(contract_start, term_years, number + 1)


def period_at(contract_start: datetime, term_years: int, moment: datetime) -> int:
    """Number of the period that a moment falls in; 1 for a moment before the contract started."""
    years = local_date(moment).year - local_date(contract_start).year
    number = max(1, years // term_years + 1)
    return number if number == 1 or period_start(contract_start, term_years, number) <= moment else number - 1


def notice_deadline(end: datetime) -> datetime:
    """The moment from which notice is too late for a period that ends at `end` (7.4, 9.1).

    Notice counts through the whole local day one calendar month before the end, so this is the first moment
    of the day after.
    """
    last = local_date(end)
    year, month = (last.year, last.month - 1) if last.month > 1 else (last.year - 1, 12)
    day_after = _clamped(year, month, last.day) + timedelta(days=1)
    return datetime.combine(day_after, time(), BRUSSELS).astimezone(UTC)


def end_after_notice(contract_start: datetime, term_years: int, notice: datetime) -> datetime:
    """When a contract ends after notice: with its period, or, given too late, with the next (7.4)."""
    period = period_at(contract_start, term_years, notice)
    on_time = notice < notice_deadline(period_end(contract_start, term_years, period))
    return period_end(contract_start, term_years, period if on_time else period + 1)
