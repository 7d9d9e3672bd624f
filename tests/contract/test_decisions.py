"""What the provider decides besides measures: arrival on paper, transfer, resolve; and what is said ahead of
time."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from sslorder.api.conditions import Reason
from sslorder.api.order import OrderStatus
from sslorder.api.payment import PaymentStatus
from sslorder.api.phases import Phase
from sslorder.contract import effects as e
from sslorder.contract.ledger import Holder, Intent, Ledger, PeriodTerms
from sslorder.contract.plan import plan
from sslorder.contract.snapshot import Notes, Snapshot
from tests.contract.build import (
    DAY,
    GRACE,
    HOUR,
    KEY,
    MINUTE,
    NOW,
    SECOND,
    YEAR_END,
    a_leaf,
    a_ledger,
    a_paid,
    a_payment,
    a_secret,
    a_snapshot,
    an_action,
    an_order,
)
from tests.contract.model import BUYING, Answer, World


def reason_of(world: World) -> str:
    conditions = {condition.type: condition for condition in world.s.order.status.conditions}
    return conditions["Ready"].reason


# Arrival (7.1)


def test_a_paper_order_starts_the_contract_before_its_order_was_declared() -> None:
    signed = NOW - 20 * DAY
    paper = an_action("Arrival", receivedAt=signed)
    world = World(a_snapshot(payments=(a_payment(),), actions=(paper,)))
    world.settle()
    assert world.ledger.arrival == signed
    assert world.ledger.carried[0].name == "arrival"


def test_an_arrival_counts_until_something_was_bought() -> None:
    paper = an_action("Arrival", receivedAt=NOW - 20 * DAY)
    waiting = World(a_paid(actions=(paper,)))
    assert waiting.settle().status.phase is Phase.ACTIVE
    assert waiting.ledger.arrival == NOW - 20 * DAY
    bought = World(a_paid(a_leaf(), actions=(paper,)))
    bought.settle()
    assert bought.ledger.arrival == NOW


def test_dates_of_an_unpaid_order_follow_the_paper() -> None:
    paper = an_action("Arrival", receivedAt=datetime(2026, 10, 1, 12, tzinfo=UTC))
    world = World(a_snapshot(actions=(paper,)))
    due = world.settle().status.payment_due
    assert due is not None
    assert (str(due.starts_on), str(due.ends_on)) == ("2026-10-01", "2027-10-01")


# Transfer (reading 9)


def moved(**transfer: Any) -> World:
    """An order of another name in the namespace new-shop, declared under a contract that shop/shop holds."""
    order = an_order(name="moved", uid="uid-moved")
    order = order.model_copy(update={"metadata": order.metadata.model_copy(update={"namespace": "new-shop"})})
    action = (an_action("Transfer", **transfer),) if transfer else ()
    snapshot = a_paid(a_leaf(), order=order, secrets=(), actions=action, namespace_uid="uid-new-shop")
    return World(snapshot)


def test_a_purchase_order_number_is_no_password() -> None:
    world = moved()
    assert world.settle().status.phase is Phase.RECEIVED
    assert reason_of(world) == Reason.HOLDER_DIFFERS
    assert not world.s.secrets


def test_a_transfer_makes_the_order_it_names_the_holder_and_buys_nothing() -> None:
    world = moved(transferTo={"namespace": "new-shop", "name": "moved"})
    assert world.settle().status.phase is Phase.ACTIVE
    assert world.ledger.holder == Holder("new-shop", "uid-new-shop", "moved")
    assert world.s.secrets[0].content_sha256 == a_leaf().content_sha256
    assert not world.bought


@pytest.mark.parametrize(
    "transfer",
    [
        pytest.param(
            {"transferTo": {"namespace": "new-shop", "name": "other"}}, id="to an order of another name"
        ),
        pytest.param({"transferTo": {"namespace": "elsewhere", "name": "moved"}}, id="to another namespace"),
        pytest.param({"transferTo": {"namespace": "new-shop"}}, id="to an order of the holder's name"),
    ],
)
def test_a_transfer_to_another_gives_this_order_nothing(transfer: dict[str, Any]) -> None:
    world = moved(**transfer)
    assert world.settle().status.phase is Phase.RECEIVED
    assert world.ledger.holder.name == "shop"


def test_what_the_former_holder_published_is_withdrawn() -> None:
    former = a_paid(a_leaf())
    assert former.ledger is not None
    world = World(replace(former, ledger=replace(former.ledger, holder=Holder("new-shop", "u", "moved"))))
    assert world.settle().status.phase is Phase.RECEIVED
    assert not world.s.secrets


def test_a_namespace_made_anew_gets_its_contracts_by_a_transfer_onto_itself() -> None:
    action = an_action(
        "Transfer",
        target={"account": KEY.account},
        fromNamespace="shop",
        transferTo={"namespace": "shop"},
    )
    anew = a_paid(a_leaf(), secrets=(), namespace_uid="uid-of-the-new-one", pinned_uid="uid-of-the-new-one")
    assert World(anew).settle().status.phase is Phase.RECEIVED
    world = World(replace(anew, actions=(action,)))
    assert world.settle().status.phase is Phase.ACTIVE
    assert world.ledger.holder.namespace_uid == "uid-of-the-new-one"


# Uncertainty and faults (design: Resolve)

INTENT = Intent(1, 2, "lost-key", ("shop.example.com", "www.example.com"), NOW + 90 * DAY, NOW - HOUR)
SEARCHED = Notes(uncertain_since=NOW - 2 * GRACE, searched_at=NOW - SECOND)


def uncertain(*actions: object) -> World:
    """Asked twice, both answers lost, and searched for in vain beyond the grace."""
    snapshot = a_paid(ledger=a_ledger(intent=INTENT), notes=SEARCHED, actions=actions)
    return World(snapshot)


def test_a_second_uncertainty_waits_for_a_person() -> None:
    world = uncertain()
    settled = world.settle()
    assert (settled.status.phase, reason_of(world)) == (Phase.ISSUING, Reason.ISSUANCE_UNCERTAIN)
    assert "Resolve" in (settled.status.message or "")
    assert not world.bought


def test_resolve_adopt_collects_the_certificate_that_was_found_by_hand() -> None:
    world = uncertain(an_action("Resolve", resolve={"adopt": "01AB"}))
    assert world.settle().status.phase is Phase.ACTIVE
    assert not world.bought
    assert any(isinstance(effect, e.CollectCertificate) for effect in world.told)


def test_resolve_buy_again_buys_with_a_new_key() -> None:
    world = uncertain(an_action("Resolve", resolve={"buyAgain": True}))
    assert world.settle().status.phase is Phase.ACTIVE
    assert world.bought == 1
    assert world.ledger.leaves[0].spki_sha256 != INTENT.spki_sha256


def test_resolve_abandon_buys_nothing_more_until_told_otherwise() -> None:
    abandon = an_action("Resolve", "abandon", resolve={"abandon": True})
    world = uncertain(abandon)
    assert world.settle().status.phase is Phase.ISSUING
    assert (reason_of(world), world.bought) == (Reason.ABANDONED, 0)
    world.change(actions=(abandon, an_action("Resolve", "again", resolve={"buyAgain": True})))
    assert world.settle().status.phase is Phase.ACTIVE
    assert world.bought == 1


def test_a_resolve_where_nothing_is_unresolved_is_kept() -> None:
    world = World(a_paid(a_leaf(), actions=(an_action("Resolve", resolve={"buyAgain": True}),)))
    world.settle()
    assert world.ledger.carried == ()
    assert not world.bought


def test_a_faulty_certificate_is_not_bought_again_unless_a_person_says_so() -> None:
    world = World(a_paid(), answer=Answer.FAULTY)
    world.settle()
    assert reason_of(world) == Reason.CERTIFICATE_UNUSABLE
    assert world.bought == 1
    world.answer = Answer.ISSUED
    world.change(actions=(an_action("Resolve", resolve={"buyAgain": True}),))
    assert world.settle().status.phase is Phase.ACTIVE
    assert world.bought == 2


# A dossier that fell behind (LedgerBehind)


def knowing(ledger: Ledger | None, *, secret: bool = True, actions: tuple[object, ...] = ()) -> World:
    """An order whose status tells of leaf 1, served, with a dossier as given."""
    served = World(a_paid(a_leaf()))
    served.settle()
    secrets = served.s.secrets if secret else ()
    return World(replace(served.s, ledger=ledger, secrets=secrets, actions=actions))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(knowing(None), id="the dossier is lost, status and Secret know of a certificate"),
        pytest.param(knowing(None, secret=False), id="the dossier is lost, the status knows of one"),
        pytest.param(knowing(a_ledger()), id="the dossier was restored to before the purchase"),
        pytest.param(
            World(a_snapshot(payments=(a_payment(),), secrets=(a_secret(an_order(), a_leaf()),))),
            id="the dossier and the status are lost, the Secret knows of a certificate",
        ),
        pytest.param(
            World(
                a_snapshot(
                    payments=(
                        a_payment().model_copy(
                            update={
                                "status": PaymentStatus.model_validate(
                                    {"appliedTo": {"namespace": "shop", "name": "shop", "period": 1}}
                                )
                            }
                        ),
                    )
                )
            ),
            id="all is lost but the payment, which was applied",
        ),
    ],
)
def test_nothing_is_bought_behind_a_lost_or_older_dossier(world: World) -> None:
    told, secrets = world.s.order.status, world.s.secrets
    settled = world.settle()
    assert (settled.status.phase, reason_of(world)) == (Phase.ISSUING, Reason.LEDGER_BEHIND)
    assert not world.bought
    assert world.s.secrets == secrets, "what is served stays until a person has decided"
    assert (settled.status.contract, settled.status.certificate) == (told.contract, told.certificate)
    assert world.settle(NOW + DAY).status == settled.status, (
        "the evidence must not be lost by writing the status"
    )


def test_a_secret_that_nobody_can_vouch_for_goes_when_its_certificate_runs_out() -> None:
    world = knowing(None)
    settled = world.settle()
    assert settled.wake_at == a_leaf().not_after
    world.settle(a_leaf().not_after)
    assert not world.s.secrets


@pytest.mark.parametrize("ledger", [None, a_ledger()], ids=["lost", "older"])
def test_resolve_buy_again_gives_up_what_was_lost(ledger: Ledger | None) -> None:
    world = knowing(ledger, actions=(an_action("Resolve", resolve={"buyAgain": True}),))
    assert world.settle().status.phase is Phase.ACTIVE
    assert world.bought == 1
    assert a_leaf().serial in world.ledger.acknowledged


def test_resolve_abandon_keeps_a_lost_contract_from_buying() -> None:
    world = knowing(None, actions=(an_action("Resolve", resolve={"abandon": True}),))
    world.settle()
    assert reason_of(world) == Reason.ABANDONED
    assert not world.bought


# A suspended certificate returns (5.3b)


def test_the_authority_is_asked_before_a_suspended_certificate_returns() -> None:
    suspended = World(a_paid(a_leaf(), actions=(an_action("Suspend"),)))
    assert suspended.settle(NOW + HOUR).status.phase is Phase.SUSPENDED
    assert not suspended.s.secrets
    lifted = (an_action("Suspend"), an_action("Reinstate", created=NOW + 2 * HOUR))
    suspended.change(actions=lifted)
    assert suspended.settle(NOW + 2 * HOUR + MINUTE).status.phase is Phase.ACTIVE
    assert [type(effect) for effect in suspended.told] == [e.CheckStatus]
    assert suspended.s.secrets[0].content_sha256 == a_leaf().content_sha256
    suspended.change(secrets=())
    suspended.settle(NOW + 3 * HOUR)
    assert len(suspended.told) == 1, "asked once a suspension, not once a repair"


# Notice, if nobody looked (reading 6)

DEADLINE = datetime(2027, 10, 10, 22, tzinfo=UTC)


def noticed(absent_since: datetime | None, *, seen: int) -> Snapshot:
    order = an_order(renewal="None")
    status = OrderStatus(observed_generation=seen)
    return a_paid(
        a_leaf(life=400 * DAY),
        order=order.model_copy(update={"status": status}),
        now=DEADLINE + DAY,
        absent_since=absent_since,
    )


@pytest.mark.parametrize(
    ("absent_since", "seen", "ends"),
    [
        pytest.param(
            None, 0, 2, id="seen a day late, by an operator that was there: the next period ends it"
        ),
        pytest.param(DEADLINE - DAY, 0, 1, id="nobody looked across the deadline: doubt favours the client"),
        pytest.param(DEADLINE + HOUR, 0, 2, id="somebody still looked after the deadline: too late"),
        pytest.param(DEADLINE - DAY, 1, 2, id="the edit had been seen before, and said nothing of notice"),
    ],
)
def test_notice_that_arrived_while_nobody_looked(absent_since: datetime | None, seen: int, ends: int) -> None:
    world = World(noticed(absent_since, seen=seen))
    world.settle()
    conditions = {condition.type: condition for condition in world.s.order.status.conditions}
    assert conditions["NoticeGiven"].message.endswith(f"{2026 + ends}-11-10.")


# Conditions of each period (7.4), reminders


def test_each_period_records_the_conditions_in_force_when_it_began() -> None:
    second = a_payment("second", period=2)
    world = World(a_paid(a_leaf(life=700 * DAY), payments=(a_payment(), second)))
    world.settle()
    first = PeriodTerms(1, "2026-01")
    assert list(world.ledger.periods) == [first]
    world.settle(YEAR_END + DAY)
    assert list(world.ledger.periods) == [first, PeriodTerms(2, "2027-01")]


def test_reminders_are_given_once_each_and_ahead_of_time() -> None:
    world = World(a_paid(a_leaf(life=365 * DAY - HOUR)))
    given: list[tuple[int, str]] = []
    now = NOW
    while now < YEAR_END:
        world.settle(now)
        before = world.s.order.status
        world.change(order=world.s.order.model_copy(update={"status": before}))
        now += DAY
        fresh = plan(replace(world.s, now=now)).reminders
        given += [((YEAR_END - now).days, reminder.key) for reminder in fresh]
    assert given == [
        (60, "NoticeDeadline30/1"),
        (37, "NoticeDeadline7/1"),
        (30, "PaymentDue/2"),
        (30, "LastLeaf/1"),
    ]


def test_nobody_who_gave_notice_is_reminded_of_it() -> None:
    world = World(a_paid(a_leaf(life=365 * DAY), order=an_order(renewal="None")))
    world.settle(YEAR_END - 40 * DAY)
    assert not any(key.startswith("Notice") for key in world.s.order.status.reminders)


def test_buying_effects_are_never_planned_while_a_person_must_decide() -> None:
    for world in (uncertain(), knowing(None), knowing(a_ledger())):
        assert not any(isinstance(effect, BUYING) for effect in plan(world.s).effects)
