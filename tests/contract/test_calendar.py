"""The calendar: Belgian dates, anchored on the first start, clamped (7.1, 7.3, 7.4, 9.1)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslorder.contract import calendar

BRUSSELS = ZoneInfo("Europe/Brussels")
TICK = timedelta(microseconds=1)


def local(text: str) -> datetime:
    """A moment by the clocks of Belgium."""
    return datetime.fromisoformat(text).replace(tzinfo=BRUSSELS).astimezone(UTC)


@pytest.mark.parametrize(
    ("start", "years", "number", "begins"),
    [
        pytest.param("2026-11-10 12:00", 1, 1, "2026-11-10 12:00", id="the first period starts on arrival"),
        pytest.param("2026-11-10 12:00", 1, 2, "2027-11-10 12:00", id="the second one a year later"),
        pytest.param("2026-11-10 12:00", 3, 3, "2032-11-10 12:00", id="periods of three years"),
        pytest.param(
            "2024-02-29 08:00", 1, 2, "2025-02-28 08:00", id="29 February is clamped in common years"
        ),
        pytest.param("2024-02-29 08:00", 1, 5, "2028-02-29 08:00", id="and is itself again in leap years"),
        pytest.param("2096-02-29 08:00", 2, 3, "2100-02-28 08:00", id="2100 is a common year"),
        pytest.param("2026-03-28 02:30", 1, 2, "2027-03-28 03:30", id="an hour that clocks skip: the next"),
        pytest.param("2025-10-25 02:30", 1, 2, "2026-10-25 02:30", id="an hour that comes twice: the first"),
        pytest.param("2026-03-29 12:00", 1, 2, "2027-03-29 12:00", id="summer time begins on another day"),
        pytest.param("2026-12-31 23:59", 1, 2, "2027-12-31 23:59", id="the last minute of the year"),
    ],
)
def test_a_period_starts_on_the_anniversary_of_the_first_start(
    start: str, years: int, number: int, begins: str
) -> None:
    assert calendar.period_start(local(start), years, number) == local(begins)


@pytest.mark.parametrize(
    ("start", "years", "length"),
    [
        pytest.param(
            "2026-03-28 12:00", 1, timedelta(days=365, hours=-1), id="winter to summer: an hour less"
        ),
        pytest.param(
            "2025-03-30 12:00", 1, timedelta(days=364 + 1), id="summer to summer: no hour more or less"
        ),
        pytest.param("2027-03-28 12:00", 1, timedelta(days=366), id="summer to summer over a leap day"),
        pytest.param("2026-10-25 12:00", 1, timedelta(days=365, hours=-1), id="winter to summer in October"),
        pytest.param(
            "2025-10-25 12:00", 1, timedelta(days=365, hours=1), id="summer to winter: an hour more"
        ),
    ],
)
def test_a_period_keeps_its_local_time_across_the_change_of_clocks(
    start: str, years: int, length: timedelta
) -> None:
    begins = local(start)
    ends = calendar.period_end(begins, years, 1)
    assert ends.astimezone(BRUSSELS).time() == begins.astimezone(BRUSSELS).time()
    assert ends - begins == length


@pytest.mark.parametrize(
    ("end", "first_too_late"),
    [
        pytest.param("2027-11-10 12:00", "2027-10-11 00:00", id="the whole day a month before counts"),
        pytest.param("2027-03-31 09:00", "2027-03-01 00:00", id="31 March: the whole of 28 February"),
        pytest.param(
            "2028-03-31 09:00", "2028-03-01 00:00", id="31 March in a leap year: the whole of 29 February"
        ),
        pytest.param("2027-01-15 09:00", "2026-12-16 00:00", id="January: December of the year before"),
        pytest.param("2026-11-25 09:00", "2026-10-26 00:00", id="the day that has 25 hours counts wholly"),
        pytest.param("2026-04-29 09:00", "2026-03-30 00:00", id="the day that has 23 hours counts wholly"),
        pytest.param("2027-11-10 00:30", "2027-10-11 00:00", id="an end that is still the day before in UTC"),
    ],
)
def test_notice_is_in_time_through_the_local_day_one_month_before(end: str, first_too_late: str) -> None:
    assert calendar.notice_deadline(local(end)) == local(first_too_late)


@pytest.mark.parametrize(
    ("notice", "ends"),
    [
        pytest.param("2026-11-10 12:00", "2027-11-10 12:00", id="at arrival: with the first period"),
        pytest.param(
            "2027-10-10 23:59", "2027-11-10 12:00", id="in the last minute in time: with its period"
        ),
        pytest.param(
            "2027-10-11 00:00", "2028-11-10 12:00", id="at the first moment too late: with the next"
        ),
        pytest.param(
            "2027-11-10 11:59", "2028-11-10 12:00", id="in the last minute of the period: with the next"
        ),
        pytest.param(
            "2027-11-10 12:00", "2028-11-10 12:00", id="at the start of the second: with the second"
        ),
        pytest.param("2026-01-01 00:00", "2027-11-10 12:00", id="before arrival: with the first period"),
    ],
)
def test_a_contract_ends_after_notice(notice: str, ends: str) -> None:
    assert calendar.end_after_notice(local("2026-11-10 12:00"), 1, local(notice)) == local(ends)


STARTS = st.timedeltas(timedelta(), timedelta(days=6000)).map(datetime(2024, 1, 1, tzinfo=UTC).__add__)


@settings(deadline=None, derandomize=True)
@given(start=STARTS, years=st.integers(1, 3), number=st.integers(1, 40))
def test_the_period_of_a_period_s_start_is_that_period(start: datetime, years: int, number: int) -> None:
    begins = calendar.period_start(start, years, number)
    assert calendar.period_at(start, years, begins) == number
    assert calendar.period_at(start, years, begins - TICK) == max(1, number - 1)


@settings(deadline=None, derandomize=True)
@given(start=STARTS, years=st.integers(1, 3), later=st.timedeltas(timedelta(), timedelta(days=15_000)))
def test_a_moment_lies_inside_its_period(start: datetime, years: int, later: timedelta) -> None:
    number = calendar.period_at(start, years, start + later)
    begins, ends = (calendar.period_start(start, years, n) for n in (number, number + 1))
    assert begins <= start + later < ends
    assert begins < calendar.notice_deadline(ends) < ends
