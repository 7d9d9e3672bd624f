"""What is done about an order, in which order, and what is said of it then.

A case is one change to a world in order; what follows is the effects that were carried out until nothing was
left to do, the phase with its reason, and which of the conditions that kstatus reads is true.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from typing import Any

import pytest

from sslorder.api.conditions import ConditionType, Reason
from sslorder.api.order import OrderStatus
from sslorder.api.phases import Phase
from sslorder.contract.authority import Claim, ClaimState
from sslorder.contract.circumstances import RevocationReason
from sslorder.contract.effects import PrepareIntent, RequestCertificate, Revoke
from sslorder.contract.ledger import Holder
from sslorder.contract.plan import Plan, plan
from sslorder.contract.snapshot import Notes
from tests.contract.build import (
    DAY,
    GRACE,
    HOUR,
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
    an_authority,
    an_order,
    covers,
)
from tests.contract.model import Answer, World

Change = Callable[[World], None]

LEAF = a_leaf()
BUY = ("PrepareIntent", "RequestCertificate")
READY, RECONCILING, STALLED = ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED
REVERSED = a_payment(reversedAt=NOW)


def trace(world: World) -> tuple[str, ...]:
    return tuple(type(effect).__name__ for effect in world.done)


def outlook(settled: Plan) -> ConditionType | None:
    """Which of the conditions that kstatus reads is true."""
    true = [
        condition.type
        for condition in settled.status.conditions
        if condition.status == "True" and condition.type in (READY, RECONCILING, STALLED)
    ]
    assert len(true) <= 1
    return ConditionType(true[0]) if true else None


def said(settled: Plan) -> tuple[Phase | None, Reason | None, ConditionType | None]:
    kinds = (READY, STALLED, RECONCILING)
    reason = next((Reason(c.reason) for c in settled.status.conditions if c.type in kinds), None)
    return settled.status.phase, reason, outlook(settled)


def facts(**changes: Any) -> Change:
    return lambda world: world.change(**changes)


def orders(**spec: Any) -> Change:
    return facts(order=an_order(**spec))


def acts(*kinds: str, **spec: Any) -> Change:
    return facts(actions=tuple(an_action(kind, **spec) for kind in kinds))


def authority(**view: Any) -> Change:
    return facts(authority=an_authority(**view))


def answers(answer: Answer, then: Change) -> Change:
    def change(world: World) -> None:
        world.answer = answer
        then(world)

    return change


def both(*changes: Change) -> Change:
    def change(world: World) -> None:
        for one in changes:
            one(world)

    return change


def proofs_are_missing(world: World) -> None:
    world.proofs_are_set = False
    world.change(authority=an_authority(claims=()))


def name_is_taken(world: World) -> None:
    world.foreign.add("taken")
    world.change(order=an_order(secretName="taken"))


PAYS = facts(payments=(a_payment(),))
REVOKES = {"leaf": 1, "circumstance": "SiteClosed"}
CLAIM = Claim("claim-2", "example.com", ClaimState.PENDING, "token", assert_by=NOW + DAY)

UNPAID = [
    pytest.param(
        facts(), (), (Phase.PENDING_PAYMENT, Reason.PAYMENT_DUE, RECONCILING), id="it waits for its payment"
    ),
    pytest.param(
        facts(payments=(a_payment(covers=covers(names=1)),)),
        (),
        (Phase.PENDING_PAYMENT, Reason.PAYMENT_DUE, RECONCILING),
        id="a payment for less buys nothing",
    ),
    pytest.param(
        facts(accounts=()), (), (Phase.RECEIVED, Reason.NO_ACCOUNT, STALLED), id="not accepted: it says why"
    ),
    pytest.param(
        facts(accounts=(), payments=(a_payment(),)),
        (),
        (Phase.RECEIVED, Reason.NO_ACCOUNT, STALLED),
        id="not accepted, though paid: nothing is taken up",
    ),
    pytest.param(
        acts("Suspend"), (), (Phase.SUSPENDED, Reason.SUSPENDED, STALLED), id="suspended before it was paid"
    ),
    pytest.param(
        acts("Reject"), (), (Phase.REJECTED, Reason.REJECTED, STALLED), id="rejected before it was paid"
    ),
    pytest.param(
        acts("Terminate"),
        (),
        (Phase.TERMINATED, Reason.TERMINATED, STALLED),
        id="terminated before it was paid",
    ),
    pytest.param(
        both(PAYS, acts("Suspend")),
        ("RecordLedger",),
        (Phase.SUSPENDED, Reason.SUSPENDED, STALLED),
        id="paid while suspended: the payment is recorded, nothing is bought",
    ),
    pytest.param(
        facts(now=YEAR_END),
        (),
        (Phase.EXPIRED, Reason.EXPIRED, STALLED),
        id="a period that is never paid ends it",
    ),
    pytest.param(
        facts(now=YEAR_END - SECOND),
        (),
        (Phase.PENDING_PAYMENT, Reason.PAYMENT_DUE, RECONCILING),
        id="not a second before",
    ),
    pytest.param(
        PAYS, (*BUY, "Publish"), (Phase.ACTIVE, Reason.PUBLISHED, READY), id="paid: intent, request, Secret"
    ),
    pytest.param(
        both(PAYS, authority(claims=None)),
        ("ReadClaims", *BUY, "Publish"),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="the claims are read after the payment",
    ),
    pytest.param(
        both(PAYS, authority(claims=())),
        ("RecordLedger", "SubmitClaim", "AssertClaim", *BUY, "Publish"),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="names are proved before the purchase",
    ),
    pytest.param(
        both(PAYS, proofs_are_missing),
        ("RecordLedger", "SubmitClaim", "AssertClaim"),
        (Phase.PENDING_VALIDATION, Reason.VALIDATION_PENDING, RECONCILING),
        id="nothing is bought while they are not",
    ),
    pytest.param(
        both(PAYS, authority(policy=None, claims=None)),
        ("RecordLedger",),
        (Phase.ISSUING, Reason.AUTHORITY_UNAVAILABLE, RECONCILING),
        id="an authority that never answered is waited for",
    ),
    pytest.param(
        answers(Answer.NUMBERED, PAYS),
        (*BUY, "CollectCertificate", "Publish"),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="a certificate that comes later is collected",
    ),
    pytest.param(
        answers(Answer.REFUSED, PAYS),
        BUY,
        (Phase.ISSUING, Reason.REFUSED_BY_AUTHORITY, STALLED),
        id="a refusal stands",
    ),
    pytest.param(
        answers(Answer.FAULTY, PAYS),
        BUY,
        (Phase.ISSUING, Reason.CERTIFICATE_UNUSABLE, STALLED),
        id="a faulty certificate is not published, and no other is bought",
    ),
    pytest.param(
        answers(Answer.BUSY, PAYS),
        BUY,
        (Phase.ISSUING, Reason.AUTHORITY_UNAVAILABLE, RECONCILING),
        id="what certainly bought nothing is tried again later",
    ),
    pytest.param(
        answers(Answer.LOST, PAYS),
        (*BUY, "SearchIssued"),
        (Phase.ISSUING, Reason.ISSUANCE_UNCERTAIN, RECONCILING),
        id="a lost answer is searched for",
    ),
    pytest.param(
        answers(Answer.LOST_BUT_ISSUED, PAYS),
        (*BUY, "SearchIssued", "CollectCertificate", "Publish"),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="and taken up if it is found",
    ),
    pytest.param(
        facts(payments=(a_payment(receivedAt=NOW),), now=YEAR_END - HOUR),
        ("RecordLedger",),
        (Phase.PENDING_PAYMENT, Reason.PAID_TIME_TOO_SHORT, RECONCILING),
        id="too little paid time is left to buy anything",
    ),
]

SERVED = [
    pytest.param(facts(), (), (Phase.ACTIVE, Reason.PUBLISHED, READY), id="nothing is left to do"),
    pytest.param(
        facts(payments=()), (), (Phase.ACTIVE, Reason.PUBLISHED, READY), id="a deleted payment undoes nothing"
    ),
    pytest.param(
        facts(accounts=()),
        (),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="an edited account withdraws nothing",
    ),
    pytest.param(
        acts("Reject"),
        ("RecordLedger",),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="a sold leaf is not rejected",
    ),
    pytest.param(
        facts(secrets=()),
        ("Publish",),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="a lost Secret is repaired",
    ),
    pytest.param(
        facts(secrets=(a_secret(an_order(), LEAF, content_sha256="edited"),)),
        ("Publish",),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="so is an edited one",
    ),
    pytest.param(
        orders(secretName="other-tls"),
        ("Publish", "Withdraw"),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="under a new name it is published before the old one goes",
    ),
    pytest.param(
        name_is_taken,
        ("Publish",),
        (Phase.ISSUING, Reason.SECRET_CONFLICT, STALLED),
        id="another's Secret is left untouched, and ours stays until its successor stands",
    ),
    pytest.param(
        facts(order=an_order(uid="uid-again", created=NOW + DAY), now=NOW + DAY),
        ("Publish",),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="declared again, it takes up what was bought",
    ),
    pytest.param(
        orders(dnsNames=("www.example.com", "shop.example.com")),
        (),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="names in another order are the same names",
    ),
    pytest.param(
        orders(dnsNames=("shop.example.com", "www.example.com", "new.example.com")),
        (),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="names that were not paid for are not bought",
    ),
    pytest.param(
        orders(reissue={"requestedAt": NOW + SECOND}),
        (),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="a reissue is not made before it is asked for",
    ),
    pytest.param(
        both(orders(reissue={"requestedAt": NOW + SECOND}), facts(now=NOW + SECOND)),
        (*BUY, "Publish"),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="a reissue that is asked for is made",
    ),
    pytest.param(
        both(orders(reissue={"requestedAt": NOW + SECOND}), authority(limit=0), facts(now=NOW + SECOND)),
        (),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="but not beyond the limit of the month",
    ),
    pytest.param(
        facts(now=LEAF.not_after - 30 * DAY - SECOND),
        (),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="no successor is sought before its time",
    ),
    pytest.param(
        facts(now=LEAF.not_after - 30 * DAY),
        (*BUY, "Publish"),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="it is sought in time, and replaces the leaf in one write",
    ),
    pytest.param(
        answers(Answer.REFUSED, facts(now=LEAF.not_after - 30 * DAY)),
        BUY,
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="a successor that is refused leaves the leaf where it is",
    ),
    pytest.param(
        answers(Answer.FAULTY, facts(now=LEAF.not_after - 30 * DAY)),
        BUY,
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="so does one that is faulty",
    ),
    pytest.param(
        answers(Answer.REFUSED, facts(now=LEAF.not_after)),
        ("Withdraw", *BUY),
        (Phase.ISSUING, Reason.REFUSED_BY_AUTHORITY, STALLED),
        id="at its end the Secret goes, before a successor is sought",
    ),
    pytest.param(
        facts(payments=(REVERSED,)),
        ("RecordLedger", "Withdraw"),
        (Phase.PENDING_PAYMENT, Reason.PAYMENT_DUE, RECONCILING),
        id="a reversed payment takes the Secret away",
    ),
    pytest.param(
        acts("Suspend"),
        ("RecordLedger", "Withdraw"),
        (Phase.SUSPENDED, Reason.SUSPENDED, STALLED),
        id="a suspension takes the Secret away and revokes nothing",
    ),
    pytest.param(
        acts("Terminate"),
        ("RecordLedger", "Withdraw"),
        (Phase.TERMINATED, Reason.TERMINATED, STALLED),
        id="so does a termination",
    ),
    pytest.param(
        acts("Terminate", revokeAtAuthority=True),
        ("RecordLedger", "Withdraw", "Revoke"),
        (Phase.TERMINATED, Reason.TERMINATED, STALLED),
        id="unless it asks for it",
    ),
    pytest.param(
        orders(revocation=REVOKES),
        ("RecordLedger", "Withdraw", "Revoke"),
        (Phase.REVOKED, None, None),
        id="the client revokes: the Secret goes first, and what was asked is done",
    ),
    pytest.param(
        acts("Revoke", revocation={"circumstance": "Breach"}),
        ("RecordLedger", "Withdraw", "Revoke"),
        (Phase.REVOKED, Reason.REVOKED, STALLED),
        id="the provider revokes: the client has to act",
    ),
    pytest.param(
        answers(Answer.BUSY, orders(revocation=REVOKES)),
        ("RecordLedger", "Withdraw", "Revoke"),
        (Phase.REVOKING, Reason.REVOKING, RECONCILING),
        id="the authority's confirmation is awaited without the Secret",
    ),
    pytest.param(
        orders(revocation={**REVOKES, "replace": True}),
        (*BUY, "Publish", "Revoke"),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="with replace the successor is served before the leaf is revoked",
    ),
    pytest.param(
        answers(Answer.REFUSED, orders(revocation={**REVOKES, "replace": True})),
        BUY,
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="without a successor the leaf serves within its bound",
    ),
    pytest.param(
        both(orders(renewal="None"), facts(now=NOW + DAY)),
        ("RecordLedger",),
        (Phase.ACTIVE, Reason.PUBLISHED, READY),
        id="notice is recorded, and the leaf serves on",
    ),
]


@pytest.mark.parametrize(("change", "effects", "expected"), UNPAID)
def test_an_order_that_was_not_paid(
    change: Change, effects: tuple[str, ...], expected: tuple[Phase, Reason, ConditionType]
) -> None:
    world = World(a_snapshot())
    change(world)
    settled = world.settle()
    assert trace(world) == effects
    assert said(settled) == expected
    assert world.s.secrets == () or settled.status.phase is Phase.ACTIVE


@pytest.mark.parametrize(("change", "effects", "expected"), SERVED)
def test_an_order_that_is_served(
    change: Change, effects: tuple[str, ...], expected: tuple[Phase, Reason | None, ConditionType | None]
) -> None:
    world = World(a_paid(LEAF))
    world.settle()
    change(world)
    settled = world.settle()
    assert trace(world) == effects
    assert said(settled) == expected
    assert bool(world.s.secrets) == (expected[0] is Phase.ACTIVE or expected[1] is Reason.SECRET_CONFLICT)


@pytest.mark.parametrize("change", [pytest.param(case.values[0], id=case.id) for case in UNPAID])
def test_before_a_payment_the_authority_hears_nothing(change: Change) -> None:
    world = World(a_snapshot())
    change(world)
    world.change(payments=(), authority=an_authority(claims=None))
    world.settle()
    assert world.done == []


LAPSED = YEAR_END.replace(year=2028)
"""End of the second period, which is not paid."""
STANDING: dict[str, tuple[Phase, dict[str, Any], dict[str, Any]]] = {
    "termination": (Phase.TERMINATED, {"actions": (an_action("Terminate"),)}, {}),
    "revocation": (Phase.REVOKING, {}, {"revocation": REVOKES}),
    "suspension": (Phase.SUSPENDED, {"actions": (an_action("Suspend"),)}, {}),
    "expiry": (Phase.EXPIRED, {"now": LAPSED}, {}),
    "payment": (Phase.PENDING_PAYMENT, {"payments": (REVERSED,)}, {}),
}


def standing(*causes: str) -> Phase | None:
    """The phase of an order under all of these, with a leaf of three years; nothing is confirmed."""
    merged: dict[str, Any] = {}
    spec: dict[str, Any] = {}
    for cause in causes:
        _, changes, wishes = STANDING[cause]
        merged |= changes | {"actions": (*merged.get("actions", ()), *changes.get("actions", ()))}
        spec |= wishes
    paid = a_paid(a_leaf(life=1100 * DAY), order=an_order(**spec), **merged)
    return World(paid, answer=Answer.BUSY).settle().status.phase


@pytest.mark.parametrize("cause", STANDING)
def test_what_holds_alone_decides(cause: str) -> None:
    assert standing(cause) is STANDING[cause][0]


@pytest.mark.parametrize(
    ("higher", "lower"), [pytest.param(a, b, id=f"{a} before {b}") for a, b in combinations(STANDING, 2)]
)
def test_of_two_that_hold_at_once_the_higher_decides(higher: str, lower: str) -> None:
    assert standing(higher, lower) is STANDING[higher][0]


def test_a_leaked_key_is_revoked_whatever_else_holds() -> None:
    order = an_order(revocation={"leaf": 1, "circumstance": "KeyCompromised"})
    world = World(a_paid(LEAF, order=order, actions=(an_action("Suspend"), an_action("Terminate"))))
    assert world.settle().status.phase is Phase.TERMINATED
    (revoke,) = (effect for effect in world.told if isinstance(effect, Revoke))
    assert revoke.reason is RevocationReason.KEY_COMPROMISE


@pytest.mark.parametrize(
    ("circumstance", "bound"),
    [("KeyCompromised", HOUR), ("SiteClosed", 24 * HOUR)],
    ids=["leaked key", "else"],
)
def test_a_leaf_without_successor_is_revoked_at_its_bound(circumstance: str, bound: timedelta) -> None:
    wish = {"leaf": 1, "circumstance": circumstance, "replace": True}
    world = World(a_paid(LEAF, order=an_order(revocation=wish)), answer=Answer.REFUSED)
    assert world.settle().wake_at == NOW + bound
    world.settle(NOW + bound - SECOND)
    assert world.s.secrets != ()
    assert said(world.settle(NOW + bound)) == (Phase.ISSUING, Reason.REFUSED_BY_AUTHORITY, STALLED)
    assert trace(world)[-2:] == ("Withdraw", "Revoke")


def test_a_leaf_that_waits_for_its_successor_is_not_revoked_while_another_s_secret_is_in_the_way() -> None:
    world = World(a_paid(LEAF))
    name_is_taken(world)
    wish = an_order(secretName="taken", revocation={**REVOKES, "replace": True})
    world.change(order=wish)
    world.live_through(NOW + 2 * MINUTE)
    world.settle(NOW + 24 * HOUR - SECOND)
    assert "Revoke" not in trace(world)
    world.settle(NOW + 24 * HOUR)
    assert [name for name in trace(world) if name in ("Withdraw", "Revoke")] == ["Withdraw", "Revoke"]


def test_after_a_revocation_a_reissue_brings_another_leaf_with_another_key() -> None:
    world = World(a_paid(LEAF, order=an_order(revocation=REVOKES, privateKey={"rotationPolicy": "Never"})))
    world.settle()
    order = world.s.order
    again = order.spec.model_copy(
        update={"reissue": an_order(reissue={"requestedAt": NOW + DAY}).spec.reissue}
    )
    world.change(order=order.model_copy(update={"spec": again}))
    assert world.settle(NOW + DAY).status.phase is Phase.ACTIVE
    first, second = world.ledger.leaves
    assert first.spki_sha256 != second.spki_sha256


@pytest.mark.parametrize(("policy", "same"), [("Never", True), ("Always", False)])
def test_a_reissue_keeps_the_key_where_the_order_says_so(policy: str, same: bool) -> None:
    world = World(a_paid(LEAF, order=an_order(privateKey={"rotationPolicy": policy})))
    world.settle(LEAF.not_after - 30 * DAY)
    first, second = world.ledger.leaves
    assert (first.spki_sha256 == second.spki_sha256) is same


def test_reissues_beyond_the_limit_wait_for_the_oldest_to_be_a_month_past() -> None:
    """One counts that is a month old less a second; one that is older does not."""
    leaves = (
        a_leaf(1, issued=NOW - 40 * DAY, client_asked=True),
        a_leaf(2, issued=NOW - 30 * DAY + SECOND, client_asked=True),
    )
    order = an_order(reissue={"requestedAt": NOW})
    world = World(a_paid(*leaves, order=order, authority=an_authority(limit=1)))
    assert world.settle().wake_at == NOW + SECOND
    assert world.bought == 0
    world.settle(NOW + SECOND)
    assert world.bought == 1


def test_a_leaf_in_place_of_a_revoked_one_has_a_key_of_its_own() -> None:
    order = an_order(privateKey={"rotationPolicy": "Never"}, revocation={**REVOKES, "replace": True})
    world = World(a_paid(LEAF, order=order))
    world.settle()
    first, second = world.ledger.leaves
    assert first.spki_sha256 != second.spki_sha256


@pytest.mark.parametrize(
    ("at", "order", "period"),
    [
        pytest.param(YEAR_END - 60 * DAY - SECOND, an_order(), None, id="not yet"),
        pytest.param(YEAR_END - 60 * DAY, an_order(), 2, id="60 days before it begins"),
        pytest.param(YEAR_END + 30 * DAY, an_order(), 2, id="while it runs"),
        pytest.param(YEAR_END - 60 * DAY, an_order(renewal="None"), None, id="not after notice"),
    ],
)
def test_billing_is_told_of_the_next_period(at: Any, order: Any, period: int | None) -> None:
    world = World(a_snapshot(order=order, payments=(a_payment(),)))
    due = world.live_through(at).status.payment_due
    assert (due and due.period) == period


def test_a_suspension_gives_back_the_same_leaf() -> None:
    world = World(a_paid(LEAF, actions=(an_action("Suspend", until=NOW + DAY),)))
    assert world.settle().wake_at == NOW + DAY
    assert world.settle(NOW + DAY - SECOND).status.phase is Phase.SUSPENDED
    assert world.settle(NOW + DAY).status.phase is Phase.ACTIVE
    assert trace(world) == ("RecordLedger", "Withdraw", "CheckStatus", "Publish")


def test_what_was_reversed_and_paid_again_gives_back_the_same_leaf() -> None:
    world = World(a_paid(LEAF, payments=(REVERSED,)))
    world.settle()
    world.change(payments=(REVERSED, a_payment("second")))
    assert world.settle().status.phase is Phase.ACTIVE
    assert (world.bought, world.ledger.leaves) == (0, (LEAF,))


def test_a_reversed_future_period_ends_publication_where_paid_time_ends() -> None:
    second = a_payment("second", period=2)
    world = World(a_paid(payments=(a_payment(), second), ledger=a_ledger(payments=(a_payment(), second))))
    world.settle(YEAR_END - 60 * DAY)
    assert world.ledger.leaves[0].not_after > YEAR_END
    world.change(payments=(a_payment(), a_payment("second", period=2, reversedAt=NOW)))
    assert world.settle(YEAR_END - SECOND).status.phase is Phase.ACTIVE
    assert world.settle(YEAR_END).status.phase is Phase.PENDING_PAYMENT
    assert world.s.secrets == ()


@pytest.mark.parametrize(
    ("at", "phase"),
    [
        pytest.param(LEAF.not_after - SECOND, Phase.ACTIVE, id="in its last second a leaf is served"),
        pytest.param(LEAF.not_after, Phase.ISSUING, id="at its end it is not"),
    ],
)
def test_both_sides_of_not_after(at: Any, phase: Phase) -> None:
    world = World(a_paid(LEAF), answer=Answer.REFUSED)
    assert world.settle(at).status.phase is phase
    assert bool(world.s.secrets) is (phase is Phase.ACTIVE)


def test_a_contract_of_one_year_that_is_not_paid_again() -> None:
    world = World(a_snapshot(payments=(a_payment(),)))
    settled = world.live_through(YEAR_END + 400 * DAY)
    assert [entry.to for entry in settled.status.history] == [
        Phase.ACTIVE,
        Phase.PENDING_PAYMENT,
        Phase.EXPIRED,
    ]
    assert [leaf.not_after for leaf in world.ledger.leaves][-1] == YEAR_END - SECOND
    assert said(settled) == (Phase.EXPIRED, Reason.EXPIRED, STALLED)


def test_a_contract_that_ends_by_notice_is_done() -> None:
    world = World(
        a_snapshot(order=an_order(renewal="None"), payments=(a_payment(), a_payment("second", period=2)))
    )
    settled = world.live_through(YEAR_END)
    assert said(settled) == (Phase.EXPIRED, None, None)
    assert all(leaf.not_after < YEAR_END for leaf in world.ledger.leaves)


class TestAPurchaseOfUnknownOutcome:
    """Asked once more with the same key after a grace, and never a third time."""

    @staticmethod
    def lost() -> World:
        world = World(a_snapshot(payments=(a_payment(),)), answer=Answer.LOST)
        world.settle()
        return world

    def test_nothing_is_asked_again_within_the_grace(self) -> None:
        world = self.lost()
        world.live_through(NOW + GRACE - SECOND)
        assert world.bought == 1
        assert "AskAgain" not in trace(world)

    def test_after_the_grace_it_is_asked_once_more_with_the_same_key(self) -> None:
        world = self.lost()
        world.answer = Answer.ISSUED
        assert world.live_through(NOW + GRACE).status.phase is Phase.ACTIVE
        first, second = (effect.intent for effect in world.told if isinstance(effect, RequestCertificate))
        assert (first.spki_sha256, first.attempt, second.attempt) == (second.spki_sha256, 1, 2)

    def test_lost_twice_it_waits_for_a_person(self) -> None:
        world = self.lost()
        settled = world.live_through(NOW + 30 * DAY)
        assert said(settled) == (Phase.ISSUING, Reason.ISSUANCE_UNCERTAIN, STALLED)
        assert world.bought == 2
        assert "Resolve" in (settled.status.message or "")

    def test_a_process_that_dies_before_the_request_searches_first(self) -> None:
        world = World(a_snapshot(payments=(a_payment(),)))
        world.carry_out(plan(world.s).effects[0])
        world.forget()
        world.settle()
        assert world.bought == 0
        assert trace(world)[-1] == "SearchIssued"

    def test_it_is_searched_for_while_suspended_and_not_asked_again(self) -> None:
        world = self.lost()
        world.change(actions=(an_action("Suspend"),))
        assert world.settle().wake_at is not None
        world.live_through(NOW + DAY)
        assert world.bought == 1
        assert trace(world).count("SearchIssued") > 2


@pytest.mark.parametrize(
    ("change", "asked_again"),
    [
        pytest.param(facts(now=NOW + 30 * DAY), False, id="not because time passes"),
        pytest.param(facts(notes=Notes()), False, id="nor because another process looks"),
        pytest.param(orders(secretName="other-tls"), False, id="nor because something else changes"),
        pytest.param(orders(dnsNames=("shop.example.com",)), True, id="when the names change"),
        pytest.param(
            orders(privateKey={"algorithm": "RSA", "size": 2048}), True, id="when the key's type changes"
        ),
        pytest.param(
            authority(policy=replace(an_authority().policy, longest_validity=30 * DAY)),  # type: ignore[type-var]
            True,
            id="when the policy changes",
        ),
        pytest.param(
            authority(claims=(Claim("claim-9", "example.com", ClaimState.VERIFIED),)),
            True,
            id="when the claims change",
        ),
    ],
)
def test_what_was_refused_is_asked_again(change: Change, asked_again: bool) -> None:
    world = World(a_snapshot(payments=(a_payment(),)), answer=Answer.REFUSED)
    world.settle()
    change(world)
    world.settle()
    assert world.bought == 1 + asked_again


@pytest.mark.parametrize(
    ("changed", "effects"),
    [
        pytest.param({}, ("RequestCertificate",), id="one in hand is sent"),
        pytest.param({"now": NOW + HOUR}, ("RequestCertificate",), id="for an hour"),
        pytest.param({"now": NOW + HOUR + SECOND}, ("DropIntent",), id="and then made anew"),
        pytest.param(
            {"order": an_order(dnsNames=("shop.example.com",))},
            ("DropIntent",),
            id="so it is for other names",
        ),
        pytest.param(
            {"actions": (an_action("Suspend"),)}, ("RecordLedger",), id="it is not sent when suspended"
        ),
        pytest.param({"payments": (REVERSED,)}, ("RecordLedger",), id="nor when the payment was reversed"),
    ],
)
def test_an_intent(changed: dict[str, Any], effects: tuple[str, ...]) -> None:
    world = World(a_snapshot(payments=(a_payment(),)))
    world.carry_out(plan(world.s).effects[0])
    world.change(**changed)
    assert tuple(type(effect).__name__ for effect in plan(world.s).effects) == effects


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param(Holder("shop", "uid-shop-namespace", "older"), id="in the same namespace"),
        pytest.param(Holder("elsewhere", "uid-elsewhere", "shop"), id="of the same name elsewhere"),
    ],
)
def test_an_order_that_is_not_the_holder_gets_nothing_and_touches_nothing(holder: Holder) -> None:
    theirs = a_secret(an_order(uid="uid-older"), LEAF)
    wish = an_order(revocation=REVOKES, renewal="None")
    world = World(a_paid(LEAF, order=wish, ledger=a_ledger(LEAF, holder=holder), secrets=(theirs,)))
    assert said(world.settle()) == (Phase.RECEIVED, Reason.HOLDER_DIFFERS, STALLED)
    assert (world.done, world.s.secrets) == ([], (theirs,))


def test_a_namespace_made_anew_under_its_old_name_gets_nothing() -> None:
    world = World(a_paid(LEAF, namespace_uid="another", pinned_uid="another", secrets=()))
    assert said(world.settle()) == (Phase.RECEIVED, Reason.NAMESPACE_REPLACED, STALLED)
    assert world.done == []


def test_names_that_were_given_up_are_reissued_without_and_the_old_leaf_is_revoked() -> None:
    world = World(a_paid(LEAF, order=an_order(dnsNames=("shop.example.com",))))
    assert world.settle().status.phase is Phase.ACTIVE
    assert trace(world) == (*BUY, "RecordLedger", "Publish", "Revoke")
    assert world.ledger.leaves[1].dns_names == ("shop.example.com",)


def test_a_name_that_is_taken_is_looked_at_again() -> None:
    world = World(a_paid(LEAF))
    name_is_taken(world)
    assert world.settle().wake_at == NOW + MINUTE
    world.foreign.clear()
    assert world.settle(NOW + MINUTE).status.phase is Phase.ACTIVE
    assert [secret.name for secret in world.s.secrets] == ["taken"]


def test_the_leaf_before_the_newest_never_comes_back() -> None:
    second = a_leaf(2, issued=NOW + 60 * DAY)
    world = World(a_paid(LEAF, second, now=NOW + 61 * DAY, order=an_order(revocation={**REVOKES, "leaf": 2})))
    assert world.settle().status.phase is Phase.REVOKED
    assert world.s.secrets == ()


def test_proofs_are_looked_for_twice_a_minute() -> None:
    world = World(
        a_snapshot(payments=(a_payment(),), authority=an_authority(claims=(CLAIM,))), proofs_are_set=False
    )
    assert world.settle().wake_at == NOW + 30 * SECOND
    assert "example.com TXT token" in (world.settle().status.message or "")
    world.settle(NOW + 30 * SECOND)
    assert trace(world).count("AssertClaim") == 2


def test_a_claim_that_ran_out_is_made_anew() -> None:
    world = World(
        a_snapshot(payments=(a_payment(),), authority=an_authority(claims=(CLAIM,))), proofs_are_set=False
    )
    world.settle()
    world.settle(NOW + DAY)
    assert trace(world)[-2:] == ("SubmitClaim", "AssertClaim")


def test_an_intent_asks_for_what_was_ordered_as_long_as_rules_and_payment_allow() -> None:
    (prepare,) = plan(a_snapshot(payments=(a_payment(),))).effects
    assert isinstance(prepare, PrepareIntent)
    assert (prepare.leaf, prepare.dns_names) == (1, ("shop.example.com", "www.example.com"))
    assert prepare.not_after == NOW + 199 * DAY - SECOND


def test_a_status_does_not_change_by_being_written() -> None:
    world = World(a_snapshot(payments=(a_payment(),)))
    settled = world.settle()
    assert settled.status != OrderStatus()
    assert world.settle(NOW + DAY) == settled
