"""How long a leaf may live (BR 6.3.2), and when its successor is sought."""

from datetime import UTC, datetime, timedelta

import pytest

from sslorder.contract.authority import Policy
from sslorder.contract.validity import allowance, longest_not_after, reissue_at
from tests.contract.build import DAY, HOUR, MINUTE, NOW, SECOND

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


def policy(longest: timedelta) -> Policy:
    return Policy(shortest_validity=SECOND, longest_validity=longest, most_names=100)


@pytest.mark.parametrize(
    ("issued", "leaf", "domain", "identity"),
    [
        pytest.param("2026-03-14T23:59:59Z", 397, 398, 825, id="the last second of 398 days"),
        pytest.param("2026-03-15T00:00:00Z", 199, 200, 398, id="the first second of 200 days"),
        pytest.param("2027-03-14T23:59:59Z", 199, 200, 398, id="the last second of 200 days"),
        pytest.param("2027-03-15T00:00:00Z", 99, 100, 398, id="the first second of 100 days"),
        pytest.param("2029-03-14T23:59:59Z", 99, 100, 398, id="the last second of 100 days"),
        pytest.param("2029-03-15T00:00:00Z", 46, 10, 398, id="the first second of 47 days"),
    ],
)
def test_the_rules_of_the_date_of_issue_hold(issued: str, leaf: int, domain: int, identity: int) -> None:
    row = allowance(datetime.fromisoformat(issued))
    assert (row.leaf, row.domain_reuse, row.identity_reuse) == (leaf * DAY, domain * DAY, identity * DAY)


@pytest.mark.parametrize(
    ("longest", "paid", "not_after"),
    [
        pytest.param(
            397 * DAY, FOREVER, NOW + 199 * DAY - SECOND, id="the BR bound it, a day below their limit"
        ),
        pytest.param(90 * DAY, FOREVER, NOW + 90 * DAY - SECOND, id="the authority's policy bounds it"),
        pytest.param(397 * DAY, NOW + 9 * DAY, NOW + 9 * DAY - SECOND, id="paid time bounds it"),
        pytest.param(
            397 * DAY, NOW + HOUR + SECOND / 2, NOW + HOUR - SECOND, id="fractions of paid time are not used"
        ),
    ],
)
def test_the_least_bound_is_the_leaf_s_end(longest: timedelta, paid: datetime, not_after: datetime) -> None:
    assert longest_not_after(NOW + SECOND / 3, policy(longest), paid) == not_after


@pytest.mark.parametrize(
    ("life", "asked", "lead"),
    [
        pytest.param(199 * DAY, None, 30 * DAY, id="a long leaf: 30 days before its end"),
        pytest.param(90 * DAY, None, 30 * DAY, id="30 days are a third of 90"),
        pytest.param(46 * DAY, None, 46 * DAY / 3, id="a short leaf: a third of its life before"),
        pytest.param(3 * MINUTE, None, MINUTE, id="a leaf of minutes too"),
        pytest.param(90 * DAY, 40 * DAY, 40 * DAY, id="as the client wishes"),
        pytest.param(90 * DAY, 45 * DAY, 45 * DAY, id="up to half of its life"),
        pytest.param(90 * DAY, 46 * DAY, 45 * DAY, id="more is cut to half of its life"),
        pytest.param(90 * DAY, timedelta(), timedelta(), id="no lead, if the client wants none"),
    ],
)
def test_the_successor_is_sought(life: timedelta, asked: timedelta | None, lead: timedelta) -> None:
    assert reissue_at(NOW, NOW + life, asked) == NOW + life - lead
