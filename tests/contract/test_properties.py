"""What holds whatever happens, and in whatever order: random lives of one order."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sslorder.api.conditions import ConditionType, Reason
from sslorder.api.order import OrderStatus
from sslorder.api.phases import Phase
from sslorder.contract import effects as e
from sslorder.contract import payments
from sslorder.contract.ledger import MeasureKind
from sslorder.contract.lifecycle import transition
from sslorder.contract.plan import Plan, plan
from sslorder.contract.snapshot import Snapshot
from tests.contract.build import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    a_payment,
    a_snapshot,
    an_account,
    an_action,
)
from tests.contract.model import BUYING, Answer, World

Happening = Callable[[World], None]


def order_says(world: World, **spec: object) -> None:
    """The client edits its order."""
    order = world.s.order
    before = order.spec.model_dump(by_alias=True, exclude_none=True)
    after = type(order.spec).model_validate({**before, **spec})
    world.change(order=order.model_copy(update={"spec": after}))


def pay(world: World, *, ago: timedelta = timedelta()) -> None:
    number = f"{len(world.s.payments)}-{world.s.now.timestamp()}"
    taken = {payment.spec.period for payment in world.s.payments if payment.spec.reversed_at is None}
    period = next(period for period in range(1, 100) if period not in taken)
    paid = a_payment(f"payment-{number}", period=period, receivedAt=max(NOW, world.s.now - ago))
    world.change(payments=(*world.s.payments, paid))


def reverse(world: World) -> None:
    """The newest payment is reversed."""
    *kept, last = world.s.payments or (None,)
    if last is not None and last.spec.reversed_at is None:
        spec = last.spec.model_copy(update={"reversed_at": world.s.now})
        world.change(payments=(*kept, last.model_copy(update={"spec": spec})))


def prune(world: World) -> None:
    """Somebody deletes the provider's records. Before a payment they are all that there is."""
    if world.s.ledger is not None:
        world.change(payments=(), actions=())


def act(kind: str, **spec: object) -> Happening:
    def happen(world: World) -> None:
        name = f"{kind.lower()}-{len(world.told)}-{len(world.s.actions)}-{world.s.now.timestamp()}"
        action = an_action(kind, name, created=world.s.now, **spec)
        world.change(actions=(*world.s.actions, action))

    return happen


def suspend_for_a_week(world: World) -> None:
    act("Suspend", effectiveAt=world.s.now + DAY, until=world.s.now + 8 * DAY)(world)


def ask_revocation(circumstance: str, replace_first: bool) -> Happening:
    def happen(world: World) -> None:
        leaves = world.s.ledger.leaves if world.s.ledger else ()
        number = max((leaf.number for leaf in leaves), default=0)
        asked = world.s.order.spec.revocation
        if number > (asked.leaf if asked else 0):
            wish = {"leaf": number, "circumstance": circumstance, "replace": replace_first}
            order_says(world, revocation=wish)

    return happen


def ask_reissue(world: World) -> None:
    order_says(world, reissue={"requestedAt": world.s.now})


def say(**spec: object) -> Happening:
    return lambda world: order_says(world, **spec)


def answer(given: Answer) -> Happening:
    return lambda world: setattr(world, "answer", given)


def occupy(world: World) -> None:
    """A Secret that is not ours stands at the name, once ours is gone."""
    world.foreign = {"taken"}


def declare_again(world: World) -> None:
    """The order is deleted, its Secret with it, and applied again."""
    metadata = world.s.order.metadata.model_copy(
        update={"uid": f"uid-{world.s.now.timestamp()}", "creation_timestamp": world.s.now}
    )
    if world.s.ledger is not None:
        again = world.s.order.model_copy(update={"metadata": metadata, "status": OrderStatus()})
        world.change(order=again, secrets=())


def edit_the_secret(world: World) -> None:
    world.change(secrets=tuple(replace(secret, content_sha256="edited") for secret in world.s.secrets))


HAPPENINGS: dict[str, Happening] = {
    "a period is paid": pay,
    "another period is paid": pay,
    "money that came long ago is recorded": lambda world: pay(world, ago=800 * DAY),
    "the last payment is reversed": reverse,
    "records are pruned": prune,
    "the provider suspends": act("Suspend"),
    "the provider announces a suspension": suspend_for_a_week,
    "the provider reinstates": act("Reinstate"),
    "the provider terminates": act("Terminate"),
    "the provider terminates and revokes": act("Terminate", revokeAtAuthority=True),
    "the provider rejects": act("Reject"),
    "the provider rejects and revokes": act("Reject", revokeAtAuthority=True),
    "the provider revokes": act("Revoke", revocation={"circumstance": "Breach"}),
    "the provider replaces": act("Revoke", revocation={"circumstance": "DomainLost", "replace": True}),
    "the client revokes": ask_revocation("SiteClosed", False),
    "the client's key leaked, and it wants another leaf": ask_revocation("KeyCompromised", True),
    "the client asks for a reissue": ask_reissue,
    "the client gives notice": say(renewal="None"),
    "the client withdraws its notice": say(renewal="Tacit"),
    "a name is given up": say(dnsNames=("shop.example.com",)),
    "the names change places": say(dnsNames=("www.example.com", "shop.example.com")),
    "the Secret gets another name": say(secretName="other-tls"),
    "the Secret gets its name back": say(secretName="shop-tls"),
    "the Secret gets a name that is taken": say(secretName="taken"),
    "somebody takes a Secret's name": occupy,
    "the name is free again": lambda world: world.foreign.clear(),
    "leaves keep their key": say(privateKey={"rotationPolicy": "Never"}),
    "reissues are to come early": say(reissueBefore="4000h"),
    "the Secret is deleted by hand": lambda world: world.change(secrets=()),
    "the Secret is edited by hand": edit_the_secret,
    "the process dies": World.forget,
    "the order is declared again": declare_again,
    "the domain is taken from the account": lambda world: world.change(accounts=(an_account(domains=()),)),
    "the domain is given back": lambda world: world.change(accounts=(an_account(),)),
    "proofs are no longer set": lambda world: setattr(world, "proofs_are_set", False),
    "proofs are set": lambda world: setattr(world, "proofs_are_set", True),
    **{f"a request is {given}": answer(given) for given in Answer},
}

PAUSES = st.sampled_from(
    [timedelta(), SECOND, MINUTE, HOUR, DAY, 20 * DAY, 45 * DAY, 100 * DAY, 200 * DAY, 370 * DAY]
)
LIVES = st.lists(st.tuples(st.sampled_from(sorted(HAPPENINGS)), PAUSES), max_size=14)


MOST_LOOKS = 25
"""Wakings in one pause; then the operator does not run until the pause is over."""


def may_buy(s: Snapshot, ledger_paid_through: datetime) -> bool:
    ledger = s.ledger
    kinds = {measure.kind for measure in (ledger.measures if ledger else ()) if measure.in_force(s.now)}
    forbidden = {MeasureKind.SUSPENSION, MeasureKind.TERMINATION, MeasureKind.REJECTION}
    return s.now < ledger_paid_through and not kinds & forbidden


def watch(s: Snapshot, current: Plan) -> None:
    """What holds of every plan."""
    assert plan(s) == current, "planning is not a function of the snapshot"
    assert current.wake_at is None or current.wake_at > s.now
    for effect in current.effects:
        if isinstance(effect, BUYING):
            known = replace(s, ledger=effect.ledger)
            ledger = effect.ledger
            through = payments.paid_through(ledger.terms, ledger.arrival, ledger.payments)
            assert may_buy(known, through), f"{effect} is not paid for, or forbidden"
            names = effect.dns_names if isinstance(effect, e.PrepareIntent) else effect.intent.dns_names
            assert set(names) <= set(ledger.terms.dns_names)
            until = effect.not_after if isinstance(effect, e.PrepareIntent) else effect.intent.not_after
            assert until < through, "the leaf would outlive paid time"


def check(world: World, before: Phase | None, settled: Plan) -> None:
    """What holds of an order that is at rest."""
    s, status = world.s, settled.status
    phase = status.phase
    assert phase is not None
    assert before in (None, phase) or transition(before, phase), f"{before} -> {phase} is not in the table"
    again = plan(s)
    assert again == replace(settled, reminders=()), (
        "the status changes by being written, or a reminder is told twice"
    )
    conditions = {condition.type: condition for condition in status.conditions}
    assert not {ConditionType.RECONCILING, ConditionType.STALLED} <= conditions.keys()
    ready = conditions.get(ConditionType.READY)
    assert (ready is not None and ready.status == "True") == (phase is Phase.ACTIVE)
    conflict = ready is not None and ready.reason == Reason.SECRET_CONFLICT
    assert conflict or bool(s.secrets) == (phase is Phase.ACTIVE)
    for secret in s.secrets:
        leaf = world.ledger.serving(s.now)
        assert leaf is not None
        assert conflict or (secret.name, secret.content_sha256) == (
            s.order.spec.secret_name,
            leaf.content_sha256,
        )
    soon = settled.wake_at - SECOND / 10 if settled.wake_at else s.now + 5000 * DAY
    if soon > s.now:
        idle = plan(replace(s, now=soon))
        assert (idle.effects, idle.status) == ((), status), (
            "something changed by time alone, and nobody was woken"
        )


@settings(deadline=None, derandomize=True, max_examples=150)
@given(life=LIVES)
def test_whatever_happens(life: list[tuple[str, timedelta]]) -> None:
    world = World(a_snapshot(), watch=watch)

    def rest(now: datetime) -> Plan:
        before = world.s.order.status.phase
        settled = world.settle(now)
        check(world, before, settled)
        return settled

    settled = rest(NOW)
    for happening, pause in life:
        HAPPENINGS[happening](world)
        settled = rest(world.s.now)
        until = world.s.now + pause
        for _ in range(MOST_LOOKS):
            if settled.wake_at is None or settled.wake_at > until:
                break
            settled = rest(settled.wake_at)
        settled = rest(until)
    requests = [effect.intent for effect in world.told if isinstance(effect, e.RequestCertificate)]
    assert all(intent.attempt <= 2 for intent in requests)
