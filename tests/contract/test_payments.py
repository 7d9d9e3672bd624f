"""What becomes of each payment, and how far a contract is paid (4.2, 7.2)."""

from dataclasses import replace
from datetime import date

import pytest

from sslorder.api.payment import PaymentState, SSLPayment
from sslorder.contract import payments
from sslorder.contract.ledger import AppliedPayment, Terms
from sslorder.contract.news import terms_of
from tests.contract.build import DAY, NOW, SECOND, YEAR_END, a_payment, an_order, covers

WAITING, APPLIED, SHORT, DUPLICATE, REVERSED = PaymentState
TERMS = terms_of(an_order().spec)
WITH_WILDCARD = replace(TERMS, dns_names=(*TERMS.dns_names, "*.example.com"))
LATER = NOW + DAY


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        pytest.param(
            [a_payment()],
            {"first": (APPLIED, 1, "Applied to period 1")},
            id="what covers the order is applied",
        ),
        pytest.param(
            [a_payment(covers=covers(names=5, wildcards=1))],
            {"first": (APPLIED, 1, "")},
            id="more than is needed is applied too",
        ),
        pytest.param(
            [a_payment(covers=covers(names=1))],
            {"first": (SHORT, 1, "1 name not paid for yet")},
            id="too few names are not applied",
        ),
        pytest.param(
            [a_payment(covers=covers(names=1)), a_payment("second", covers=covers(names=1))],
            {"first": (APPLIED, 1, ""), "second": (APPLIED, 1, "")},
            id="the parts of a period add up",
        ),
        pytest.param(
            [a_payment(covers=covers(names=1)), a_payment("second", period=2, covers=covers(names=1))],
            {"first": (SHORT, 1, ""), "second": (SHORT, 2, "")},
            id="parts of two periods do not",
        ),
        pytest.param(
            [a_payment(covers=covers(product="OV"))],
            {"first": (SHORT, None, "Covers OV for 1 year, 2 names, but the order is for DV")},
            id="another product is not what was ordered",
        ),
        pytest.param(
            [a_payment(covers=covers(years=2))],
            {"first": (SHORT, None, "Covers DV for 2 years")},
            id="another term is not what was ordered",
        ),
        pytest.param(
            [a_payment(periodStartsOn=date(2026, 11, 10))],
            {"first": (APPLIED, 1, "")},
            id="a period is known by its first day",
        ),
        pytest.param(
            [a_payment(periodStartsOn=date(2028, 11, 10))],
            {"first": (APPLIED, 3, "")},
            id="a later period too",
        ),
        pytest.param(
            [a_payment(periodStartsOn=date(2026, 11, 11))],
            {
                "first": (
                    SHORT,
                    None,
                    "No period of the contract starts on 2026-11-11; period 1 starts on 2026-11-10",
                )
            },
            id="no period starts the day after",
        ),
        pytest.param(
            [a_payment(), a_payment("second")],
            {"first": (APPLIED, 1, ""), "second": (DUPLICATE, 1, "Period 1 is paid already")},
            id="a period is paid once",
        ),
        pytest.param(
            [a_payment("late", receivedAt=LATER), a_payment("early")],
            {"early": (APPLIED, 1, ""), "late": (DUPLICATE, 1, "")},
            id="the money that came first counts",
        ),
        pytest.param(
            [
                a_payment("one", reference="the same", covers=covers(names=1)),
                a_payment("two", reference="the same", covers=covers(names=1)),
            ],
            {"one": (SHORT, 1, ""), "two": (DUPLICATE, 1, "It is the same as one")},
            id="a payment recorded twice is one payment",
        ),
        pytest.param(
            [a_payment(receivedAt=YEAR_END - SECOND)],
            {"first": (APPLIED, 1, "")},
            id="money may come in the last second of its period",
        ),
        pytest.param(
            [a_payment(receivedAt=YEAR_END)],
            {"first": (SHORT, 1, "Period 1 had ended")},
            id="at its end it comes too late",
        ),
        pytest.param(
            [a_payment(reversedAt=LATER)],
            {"first": (REVERSED, None, "counts for nothing")},
            id="what was reversed counts for nothing",
        ),
        pytest.param(
            [a_payment(reversedAt=LATER), a_payment("second")],
            {"first": (REVERSED, None, ""), "second": (APPLIED, 1, "")},
            id="another may take its place",
        ),
    ],
)
def test_judgement(
    recorded: list[SSLPayment], expected: dict[str, tuple[PaymentState, int | None, str]]
) -> None:
    verdicts = {verdict.payment.metadata.name: verdict for verdict in payments.judge(TERMS, NOW, recorded)}
    assert {name: (verdict.state, verdict.period) for name, verdict in verdicts.items()} == {
        name: (state, period) for name, (state, period, _) in expected.items()
    }
    for name, (_, _, words) in expected.items():
        assert words in verdicts[name].message


def applied_of(*recorded: SSLPayment, terms: Terms = TERMS) -> tuple[AppliedPayment, ...]:
    return payments.apply(terms, NOW, recorded, (), NOW)


@pytest.mark.parametrize(
    ("paid_for", "state"),
    [
        pytest.param(covers(2, 0), SHORT, id="names pay for no wildcard"),
        pytest.param(covers(3, 0), SHORT, id="however many"),
        pytest.param(covers(1, 1), SHORT, id="a wildcard pays for no name"),
        pytest.param(covers(2, 1), APPLIED, id="each kind is paid for"),
    ],
)
def test_names_and_wildcards_are_counted_apart(paid_for: dict[str, object], state: PaymentState) -> None:
    (verdict,) = payments.judge(WITH_WILDCARD, NOW, [a_payment(covers=paid_for)])
    assert verdict.state is state


@pytest.mark.parametrize(
    ("recorded", "through"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([a_payment()], 1, id="the first period"),
        pytest.param([a_payment(), a_payment("second", period=2)], 2, id="two periods"),
        pytest.param(
            [a_payment(), a_payment("third", period=3)], 1, id="the third does not count without the second"
        ),
        pytest.param([a_payment("second", period=2)], 0, id="nor the second without the first"),
    ],
)
def test_paid_time_is_unbroken(recorded: list[SSLPayment], through: int) -> None:
    end = YEAR_END.replace(year=NOW.year + through)
    assert payments.paid_through(TERMS, NOW, applied_of(*recorded)) == end


def test_a_payment_that_was_applied_counts_without_its_record() -> None:
    applied = applied_of(a_payment())
    assert payments.apply(TERMS, NOW, (), applied, LATER) == applied


def test_a_payment_recorded_twice_does_not_stand_in_for_another_that_is_reversed() -> None:
    one = covers(names=1)
    part = a_payment("part", covers=one)
    rest = a_payment("rest", covers=one, reference="the rest")
    again = a_payment("rest-again", covers=one, reference="the rest")
    applied = applied_of(part, rest, again)
    part = a_payment("part", covers=one, reversedAt=LATER)
    applied = payments.apply(TERMS, NOW, (part, rest, again), applied, LATER)
    assert payments.paid_through(TERMS, NOW, applied) == NOW
    verdicts = payments.judge(TERMS, NOW, (part, rest, again), applied)
    assert [verdict.state for verdict in verdicts] == [REVERSED, APPLIED, DUPLICATE]


def test_nothing_is_applied_twice() -> None:
    applied = applied_of(a_payment())
    assert payments.apply(TERMS, NOW, (a_payment(),), applied, LATER) == applied


def test_a_reversal_undoes_what_was_applied() -> None:
    (entry,) = payments.apply(TERMS, NOW, (a_payment(reversedAt=LATER),), applied_of(a_payment()), LATER)
    assert entry.reversed_at == LATER
    assert payments.paid_periods(TERMS, [entry]) == frozenset()


def test_the_reversed_part_of_a_period_can_be_paid_again() -> None:
    one, two, again = (a_payment(name, covers=covers(names=1)) for name in ("one", "two", "again"))
    reversed_one = a_payment("one", covers=covers(names=1), reversedAt=LATER)
    applied = payments.apply(TERMS, NOW, (reversed_one, two, again), applied_of(one, two), LATER)
    assert [(entry.name, entry.reversed_at) for entry in applied] == [
        ("one", LATER),
        ("two", None),
        ("again", None),
    ]
    assert payments.paid_periods(TERMS, applied) == {1}
