"""What the authority does unasked, and who else buys through it: what becomes of the order."""

from dataclasses import replace

import pytest

from sslorder.api.common import ConditionStatus
from sslorder.api.conditions import ConditionType, Reason
from sslorder.api.phases import Phase
from sslorder.api.revocation import Circumstance
from sslorder.contract import news
from sslorder.contract.circumstances import RevocationReason
from sslorder.contract.effects import PrepareIntent, RecordLedger, Withdraw
from sslorder.contract.ledger import OWN_ACCORD, Ledger, Revocation
from sslorder.contract.plan import Plan, plan
from sslorder.contract.snapshot import Snapshot
from tests.contract.build import DAY, NOW, SECOND, a_leaf, a_paid, a_snapshot, an_authority, an_order

SERVED = a_leaf(serial="A1")
LISTED = {"A1": NOW + DAY}
ASKED = Revocation(Circumstance.SUPERSEDED, RevocationReason.SUPERSEDED, True, NOW, "spec.revocation")


def seen_revoked(**changes: object) -> Snapshot:
    s = replace(a_paid(SERVED), now=NOW + DAY, revoked_by_authority=LISTED)
    return replace(s, **changes)  # type: ignore[arg-type]


def noted(s: Snapshot) -> Ledger:
    assert s.ledger is not None
    return news.take_note(s.ledger, s)


def after_recording(s: Snapshot) -> Plan:
    (record,) = plan(s).effects
    assert isinstance(record, RecordLedger)
    return plan(replace(s, ledger=record.ledger))


def test_a_leaf_that_the_authority_revoked_is_recorded_and_its_secret_withdrawn() -> None:
    decided = after_recording(seen_revoked())
    (withdraw,) = decided.effects
    assert isinstance(withdraw, Withdraw)
    assert (decided.status.phase, decided.status.certificate) == (Phase.REVOKED, None)
    told = decided.status.message or ""
    for words in ("by the authority of its own accord", "spec.reissue.requestedAt", "support@synchrone"):
        assert words in told
    stalled = [entry for entry in decided.status.conditions if entry.type == ConditionType.STALLED]
    assert [(entry.status, entry.reason) for entry in stalled] == [(ConditionStatus.TRUE, Reason.REVOKED)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            None, Revocation(None, None, False, NOW + DAY, OWN_ACCORD, confirmed_at=NOW + DAY), id="unasked"
        ),
        pytest.param(
            ASKED, replace(ASKED, confirmed_at=NOW + DAY), id="asked by us: that is its confirmation"
        ),
        pytest.param(
            replace(ASKED, confirmed_at=NOW), replace(ASKED, confirmed_at=NOW), id="confirmed before: no news"
        ),
    ],
)
def test_what_the_list_adds(before: Revocation | None, after: Revocation) -> None:
    ledger = noted(a_paid(replace(SERVED, revocation=before), revoked_by_authority=LISTED))
    assert [leaf.revocation for leaf in ledger.leaves] == [after]


def test_a_list_without_our_leaves_is_no_news() -> None:
    s = a_paid(SERVED, revoked_by_authority={})
    assert noted(s) == s.ledger


def test_it_is_not_replaced_unasked_but_on_request() -> None:
    ledger = noted(seen_revoked())
    later = seen_revoked(ledger=ledger, secrets=(), now=NOW + 2 * DAY)
    assert plan(later).effects == ()
    wish = an_order(reissue={"requestedAt": NOW + DAY + SECOND})
    (prepare,) = plan(replace(later, order=wish)).effects
    assert isinstance(prepare, PrepareIntent)
    assert prepare.leaf == 2


@pytest.mark.parametrize(
    "s", [a_snapshot(), a_paid(), a_paid(SERVED)], ids=["unpaid", "paid", "served from a Secret"]
)
def test_an_order_of_another_installation_is_left_alone(s: Snapshot) -> None:
    decided = plan(replace(s, authority=an_authority(held_by="namespace other")))
    assert decided.effects == ()
    assert decided.status.phase is Phase.RECEIVED
    assert "in namespace other, buys through the SSLAuthority dv" in (decided.status.message or "")
    assert Reason.AUTHORITY_UNAVAILABLE in {entry.reason for entry in decided.status.conditions}
