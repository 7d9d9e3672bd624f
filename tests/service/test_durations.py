"""From when to when is measured what is promised."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from sslorder.api.order import SSLCertificateOrder
from sslorder.api.revocation import Circumstance
from sslorder.contract import news
from sslorder.contract.circumstances import RevocationReason
from sslorder.contract.ledger import Leaf, Ledger, Revocation
from sslorder.contract.plan import plan
from sslorder.contract.snapshot import Snapshot
from sslorder.service.durations import payment_seen, removal_due
from tests.contract.build import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    YEAR_END,
    a_leaf,
    a_ledger,
    a_paid,
    a_secret,
    a_snapshot,
    an_action,
    an_order,
)

LEAF = a_leaf(issued=NOW + HOUR)
SUSPEND, REINSTATE = an_action("Suspend"), an_action("Reinstate", created=NOW + 5 * HOUR)


def told(s: Snapshot, order: SSLCertificateOrder) -> SSLCertificateOrder:
    """The order after its plan was carried out: with the status that it gives."""
    return order.model_copy(update={"status": plan(replace(s, order=order)).status})


def lived(*situations: Snapshot) -> tuple[SSLCertificateOrder, SSLCertificateOrder]:
    """An order before and after the last of these situations, having gone through the others."""
    after = situations[0].order
    for situation in situations:
        before, after = after, told(situation, after)
    return before, after


def noted(s: Snapshot) -> Snapshot:
    assert s.ledger is not None
    return replace(s, ledger=news.take_note(s.ledger, s))


UNPAID = a_snapshot()
PAID = a_paid(now=NOW + MINUTE)
SERVED = a_paid(LEAF, now=NOW + HOUR)
SUSPENDED = noted(a_paid(LEAF, actions=(SUSPEND,), now=NOW + 2 * HOUR, secrets=()))
CHECKED = a_leaf(issued=NOW + HOUR, checked_at=NOW + 6 * HOUR)
LIFTED = noted(a_paid(CHECKED, actions=(SUSPEND, REINSTATE), now=NOW + 6 * HOUR))
LAPSED = a_paid(LEAF, now=LEAF.not_after, secrets=())
REPLACED = a_paid(LEAF, a_leaf(2, issued=LEAF.not_after + HOUR), now=LEAF.not_after + HOUR)
DECLARED_AGAIN = a_paid(LEAF, order=an_order(uid="uid-again", created=NOW + 9 * HOUR), now=NOW + 9 * HOUR)


@pytest.mark.parametrize(
    ("situations", "phase", "seen"),
    [
        pytest.param([UNPAID, PAID, SERVED], "Active", NOW, id="unpaid, paid, served"),
        pytest.param([UNPAID, SERVED], "Active", NOW, id="unpaid, served"),
        pytest.param([SERVED], "Active", NOW, id="served at once, for the payment was there first"),
        pytest.param([UNPAID], "PendingPayment", None, id="unpaid"),
        pytest.param([UNPAID, SERVED, SUSPENDED], "Suspended", None, id="suspended"),
        pytest.param([UNPAID, SERVED, SUSPENDED, LIFTED], "Active", None, id="a suspension was lifted"),
        pytest.param([UNPAID, SERVED, LAPSED, REPLACED], "Active", None, id="its next leaf came late"),
        pytest.param([DECLARED_AGAIN], "Active", None, id="declared again"),
    ],
)
def test_issuance_begins_with_the_payment(
    situations: list[Snapshot], phase: str, seen: datetime | None
) -> None:
    before, after = lived(*situations)
    assert after.status.phase == phase
    assert payment_seen(before, after.status, situations[-1].ledger) == seen


def revoked(after: timedelta, *, replaced: bool = False) -> Leaf:
    asked = Revocation(
        circumstance=Circumstance.SUPERSEDED,
        reason=RevocationReason.SUPERSEDED,
        by_client=True,
        asked_at=LEAF.not_before + after,
        source="spec",
        replace=replaced,
    )
    return replace(LEAF, revocation=asked)


def paid_and_reversed(at: datetime) -> Ledger:
    ledger = a_ledger(LEAF)
    return replace(ledger, payments=tuple(replace(paid, reversed_at=at) for paid in ledger.payments))


LATER = NOW + 3 * DAY
LONG_LEAF = a_leaf(issued=NOW, life=YEAR_END - NOW)


@pytest.mark.parametrize(
    ("s", "due"),
    [
        pytest.param(a_paid(LEAF, now=LEAF.not_after + SECOND), LEAF.not_after, id="the leaf's end"),
        pytest.param(a_paid(LONG_LEAF, now=YEAR_END + HOUR), YEAR_END, id="the end of paid time"),
        pytest.param(a_paid(revoked(DAY), now=LATER), LEAF.not_before + DAY, id="its revocation"),
        pytest.param(
            a_paid(revoked(DAY, replaced=True), now=LATER),
            LEAF.not_before + 2 * DAY,
            id="the bound until which a leaf to be replaced may be served",
        ),
        pytest.param(
            noted(a_paid(LEAF, actions=(an_action("Suspend", effectiveAt=NOW + DAY),), now=LATER)),
            NOW + DAY,
            id="a suspension's effect",
        ),
        pytest.param(
            noted(
                a_paid(
                    LEAF, actions=(an_action("Terminate", created=LATER, effectiveAt=NOW - DAY),), now=LATER
                )
            ),
            LATER,
            id="the recording of a termination that took effect before",
        ),
        pytest.param(
            a_paid(LEAF, ledger=paid_and_reversed(NOW + DAY), now=LATER),
            NOW + DAY,
            id="the payment's reversal",
        ),
        pytest.param(a_paid(LEAF, now=LATER), None, id="none: the Secret has another name now"),
        pytest.param(
            a_snapshot(secrets=(a_secret(an_order(), LEAF),)), None, id="none: nothing is known of a contract"
        ),
    ],
)
def test_a_secret_is_due_to_go_from(s: Snapshot, due: datetime | None) -> None:
    assert removal_due(s) == due
