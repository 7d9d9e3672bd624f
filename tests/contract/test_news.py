"""What is taken note of: notice, measures and revocations, each once and for good."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sslorder.api.action import SSLContractAction
from sslorder.api.revocation import Circumstance
from sslorder.contract import calendar, news
from sslorder.contract.circumstances import RevocationReason
from sslorder.contract.ledger import Ledger, MeasureKind, Notice, Revocation
from sslorder.contract.snapshot import Snapshot
from tests.contract.build import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    YEAR_END,
    Spec,
    a_leaf,
    a_ledger,
    a_paid,
    an_action,
    an_order,
)

DEADLINE = calendar.notice_deadline(YEAR_END)
NEXT_DEADLINE = calendar.notice_deadline(YEAR_END.replace(year=2028))


def noted(s: Snapshot) -> Ledger:
    assert s.ledger is not None
    return news.take_note(s.ledger, s)


def letter(sent: datetime) -> SSLContractAction:
    return an_action("Notice", sentAt=sent)


IN_TIME = Notice(DEADLINE - DAY, by_letter=False)
TOO_LATE = Notice(DEADLINE, by_letter=False)
POSTED = Notice(DEADLINE - DAY, by_letter=True)


@pytest.mark.parametrize(
    ("known", "renewal", "letters", "now", "after"),
    [
        pytest.param(None, "Tacit", [], NOW, None, id="none, while the order goes on tacitly"),
        pytest.param(
            None, "None", [], NOW, Notice(NOW, by_letter=False), id="through the order, when first seen"
        ),
        pytest.param(IN_TIME, "None", [], DEADLINE, IN_TIME, id="it stays as it was first seen"),
        pytest.param(
            IN_TIME, "Tacit", [], DEADLINE - SECOND, None, id="withdrawn in the last second in time"
        ),
        pytest.param(IN_TIME, "Tacit", [], DEADLINE, IN_TIME, id="not at the deadline"),
        pytest.param(
            TOO_LATE,
            "Tacit",
            [],
            DEADLINE + DAY,
            None,
            id="late notice is withdrawn before the next deadline",
        ),
        pytest.param(TOO_LATE, "Tacit", [], NEXT_DEADLINE, TOO_LATE, id="and no more at that one"),
        pytest.param(
            None,
            "Tacit",
            [letter(DEADLINE - DAY)],
            DEADLINE + DAY,
            POSTED,
            id="a letter counts from its posting",
        ),
        pytest.param(
            TOO_LATE,
            "None",
            [letter(DEADLINE - DAY)],
            YEAR_END,
            POSTED,
            id="a letter that was earlier counts",
        ),
        pytest.param(
            IN_TIME,
            "None",
            [letter(DEADLINE)],
            YEAR_END,
            replace(IN_TIME, by_letter=True),
            id="a later one confirms",
        ),
        pytest.param(POSTED, "Tacit", [], DEADLINE - SECOND, POSTED, id="the order cannot withdraw a letter"),
    ],
)
def test_notice(
    known: Notice | None, renewal: str, letters: list[SSLContractAction], now: datetime, after: Notice | None
) -> None:
    s = a_paid(
        now=now, order=an_order(renewal=renewal), ledger=a_ledger(notice=known), actions=tuple(letters)
    )
    assert noted(s).notice == after


SUSPENDED = an_action("Suspend", "abuse")
ACCOUNT: Spec = {"target": {"account": "acme"}}


@pytest.mark.parametrize(
    ("actions", "in_force"),
    [
        pytest.param([SUSPENDED], {"abuse"}, id="a suspension holds at once"),
        pytest.param(
            [an_action("Suspend", "abuse", effectiveAt=NOW + HOUR)], {"abuse"}, id="from the moment it names"
        ),
        pytest.param(
            [an_action("Suspend", "abuse", effectiveAt=NOW + HOUR + SECOND)], set(), id="not a second before"
        ),
        pytest.param(
            [an_action("Suspend", "abuse", until=NOW + HOUR + SECOND)], {"abuse"}, id="until its end"
        ),
        pytest.param([an_action("Suspend", "abuse", until=NOW + HOUR)], set(), id="and no longer"),
        pytest.param(
            [SUSPENDED, an_action("Reinstate", created=NOW + MINUTE)], set(), id="or until it is lifted"
        ),
        pytest.param(
            [an_action("Reinstate"), an_action("Suspend", "abuse", created=NOW + MINUTE)],
            {"abuse"},
            id="what comes after a Reinstate is not lifted by it",
        ),
        pytest.param(
            [
                SUSPENDED,
                an_action("Suspend", "debt"),
                an_action("Reinstate", created=NOW + MINUTE, lifts=["debt"]),
            ],
            {"abuse"},
            id="only what is named is lifted",
        ),
        pytest.param(
            [
                an_action("Suspend", "abuse", effectiveAt=NOW + HOUR),
                an_action("Reinstate", created=NOW + MINUTE, lifts=["abuse"]),
            ],
            set(),
            id="an announced suspension is lifted by its name before it begins",
        ),
        pytest.param(
            [
                SUSPENDED,
                an_action("Reinstate", "later", created=NOW + MINUTE, effectiveAt=NOW + DAY),
                an_action("Reinstate", "sooner", created=NOW + 2 * MINUTE),
            ],
            set(),
            id="a Reinstate may come before one that was announced",
        ),
        pytest.param(
            [an_action("Suspend", "abuse", **ACCOUNT), an_action("Reinstate", created=NOW + MINUTE)],
            {"abuse"},
            id="a contract's Reinstate does not lift the suspension of its account",
        ),
        pytest.param(
            [an_action("Terminate", "end"), an_action("Reinstate", created=NOW + MINUTE, lifts=["end"])],
            {"end"},
            id="a termination is final",
        ),
        pytest.param(
            [an_action("Reject", "no"), an_action("Reinstate", created=NOW + MINUTE)],
            set(),
            id="a rejection is not",
        ),
    ],
)
def test_measures_in_force_an_hour_later(actions: list[SSLContractAction], in_force: set[str]) -> None:
    ledger = noted(a_paid(now=NOW + HOUR, actions=tuple(actions)))
    assert {measure.name for measure in ledger.measures if measure.in_force(NOW + HOUR)} == in_force


def test_what_was_noted_holds_when_its_record_is_gone() -> None:
    ledger = noted(a_paid(actions=(SUSPENDED, an_action("Notice", sentAt=NOW))))
    assert noted(a_paid(ledger=ledger)) == ledger


def test_nothing_is_noted_twice() -> None:
    s = a_paid(a_leaf(), actions=(SUSPENDED, an_action("Revoke", revocation={"circumstance": "Breach"})))
    ledger = noted(s)
    assert noted(replace(s, ledger=ledger, now=NOW + DAY)) == ledger


LEAKED, CLOSED, LOST = Circumstance.KEY_COMPROMISED, Circumstance.SITE_CLOSED, Circumstance.DOMAIN_LOST


def asked(circumstance: Circumstance, **spec: object) -> Spec:
    return {"revocation": {"circumstance": circumstance, **spec}}


UNCONFIRMED = Revocation(
    CLOSED, RevocationReason.CESSATION_OF_OPERATION, True, NOW, "spec.revocation", replace=True
)


@pytest.mark.parametrize(
    ("client", "provider", "already", "circumstance"),
    [
        pytest.param(None, [], None, None, id="nobody asked"),
        pytest.param(CLOSED, [], None, CLOSED, id="the client asked"),
        pytest.param(None, [LOST], None, LOST, id="the provider asked"),
        pytest.param(CLOSED, [LOST], None, CLOSED, id="of two the first counts"),
        pytest.param(CLOSED, [LEAKED], None, LEAKED, id="a leaked key outranks all else in one pass"),
        pytest.param(None, [LOST, LEAKED], None, LEAKED, id="among the provider's own words too"),
        pytest.param(
            None, [LEAKED], UNCONFIRMED, LEAKED, id="and what was asked before and not confirmed yet"
        ),
        pytest.param(
            None, [LEAKED], replace(UNCONFIRMED, confirmed_at=NOW), CLOSED, id="what was confirmed stands"
        ),
        pytest.param(None, [LOST], UNCONFIRMED, CLOSED, id="anything else changes nothing that was asked"),
    ],
)
def test_revocations(
    client: Circumstance | None,
    provider: list[Circumstance],
    already: Revocation | None,
    circumstance: Circumstance | None,
) -> None:
    actions = tuple(an_action("Revoke", f"revoke-{what}".lower(), **asked(what, leaf=1)) for what in provider)
    order = an_order(**asked(client, leaf=1) if client else {})
    ledger = noted(a_paid(a_leaf(revocation=already), order=order, actions=actions))
    revocation = ledger.leaves[0].revocation
    assert (revocation and revocation.circumstance) == circumstance


@pytest.mark.parametrize(
    ("leaf", "wish"),
    [
        pytest.param(a_leaf(fault="it bears other names."), {"leaf": 1}, id="a leaf that was never used"),
        pytest.param(a_leaf(issued=NOW - 90 * DAY), {"leaf": 1}, id="a leaf that has run out"),
        pytest.param(a_leaf(), {"leaf": 2}, id="a leaf that does not exist"),
    ],
)
def test_nothing_is_there_to_revoke(leaf: object, wish: Spec) -> None:
    s = a_paid(leaf, order=an_order(**asked(CLOSED, **wish)))  # type: ignore[arg-type]
    assert noted(s).leaves == (leaf,)


def test_a_revocation_is_done_at_its_time_and_not_before() -> None:
    revoke = an_action("Revoke", effectiveAt=NOW + HOUR, **asked(LOST))
    before = noted(a_paid(a_leaf(), actions=(revoke,), now=NOW + HOUR - SECOND))
    assert (before.leaves[0].revocation, before.carried) == (None, ())
    after = noted(a_paid(a_leaf(), actions=(revoke,), now=NOW + HOUR, ledger=before))
    assert after.leaves[0].revocation is not None


def test_a_suspension_asks_for_no_revocation() -> None:
    ledger = noted(a_paid(a_leaf(), actions=(SUSPENDED,)))
    assert [measure.kind for measure in ledger.measures] == [MeasureKind.SUSPENSION]
    assert ledger.leaves[0].revocation is None


@pytest.mark.parametrize(
    ("circumstance", "bound"),
    [
        pytest.param(LEAKED, HOUR, id="an hour for a leaked key"),
        pytest.param(CLOSED, 24 * HOUR, id="a day for anything else"),
    ],
)
def test_a_leaf_that_is_to_be_replaced_serves_within_the_bound(
    circumstance: Circumstance, bound: timedelta
) -> None:
    wish = replace(UNCONFIRMED, circumstance=circumstance)
    leaf = a_leaf(revocation=wish)
    assert leaf.serves(NOW + bound - SECOND)
    assert not leaf.serves(NOW + bound)
    assert not replace(leaf, revocation=replace(wish, replace=False)).serves(NOW)
    assert not replace(leaf, revocation=replace(wish, confirmed_at=NOW)).serves(NOW)
