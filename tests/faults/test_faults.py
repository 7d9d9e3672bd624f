"""What goes wrong between operator and authority, and what the operator makes of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from sslorder.api.schema import format_moment
from tests.faults import audit
from tests.faults.gate import Boundary, Moment
from tests.faults.kills import wait_until_quiet
from tests.faults.scenarios import SERVED, SUCCEEDED, End
from tests.faults.stage import SYSTEM, TOKEN_SECONDS, Stage
from tests.harness.kube import SECRETS, Manifest
from tests.harness.world import Client, Order

pytestmark = [pytest.mark.cluster, pytest.mark.deep]

BUYING: Final = "HVCA POST /certificates"
ENDLESS: Final = 3_600
ORDERS: Final = 8
NewClient = Callable[..., Client]


@pytest.fixture
def client(stage: Stage) -> Iterator[NewClient]:
    """Makes clients, of whom nothing is left when the test ends."""
    clients: list[Client] = []

    def make(**how: Any) -> Client:
        clients.append(stage.client(**how))
        return clients[-1]

    yield make
    stage.sandbox.clear_faults()
    stage.gate.disarm()
    for each in clients:
        stage.forgets(each)


def ends(stage: Stage, order: Order, end: End) -> None:
    """The order comes to that end, and nothing that should not be is left."""
    order.world.wait(lambda: audit.has_come(order, end), f"the end {end}", order.read)
    wait_until_quiet(stage)
    assert audit.faults(stage, order, end) == []


# Answers that do not come


@pytest.mark.parametrize(
    ("faults", "asked"),
    [
        ([{"fault": "lose-answer", "times": 1}], 1),
        ([{"fault": "commit-late", "seconds": 2.0, "times": 1}], 1),
        (
            [
                {"fault": "lose-answer", "times": 1},
                {"fault": "lagging-statistics", "operation": "stats-issued", "seconds": 3},
            ],
            1,
        ),
        ([{"fault": "garbage", "times": 1}], 1),
        ([{"fault": "refuse", "status": 500, "times": 1}], 2),
        ([{"fault": "refuse", "status": 503, "times": 1}], 2),
    ],
    ids=[
        "the answer is lost after issuing",
        "the authority issues after the connection broke",
        "the answer is lost, and the statistics lag",
        "the answer makes no sense",
        "500, and nothing was issued",
        "503, and nothing was issued",
    ],
)
def test_an_unknown_outcome_is_found_out(
    stage: Stage, client: NewClient, faults: list[dict[str, Any]], asked: int
) -> None:
    shop = client()
    shop.fails(*({"operation": "request", **fault} for fault in faults))
    ends(stage, shop.orders().is_paid(), SERVED)
    assert shop.operations().count("request") == asked


def test_an_answer_slower_than_the_time_out_is_not_waited_for(stage: Stage, client: NewClient) -> None:
    shop = client()
    order = shop.orders().reaches("PendingPayment")
    stage.gate.arm(Boundary(BUYING, 1), Moment.ANSWERED)
    order.is_paid()
    ends(stage, order, SERVED)
    assert stage.gate.reached.is_set()
    stage.gate.release()
    assert shop.operations().count("request") == 1


@pytest.mark.parametrize(("moment", "asked"), [(Moment.BEFORE, 1), (Moment.SENT, 1)])
def test_a_connection_that_breaks_half_way(
    stage: Stage, client: NewClient, moment: Moment, asked: int
) -> None:
    shop = client()
    order = shop.orders().reaches("PendingPayment")
    stage.gate.arm(Boundary(BUYING, 1), moment)
    order.is_paid()
    stage.comes_by()
    stage.gate.drop()
    ends(stage, order, SERVED)
    assert shop.operations().count("request") == asked


def test_a_token_that_runs_out_on_the_way_starts_the_purchase_over(stage: Stage, client: NewClient) -> None:
    shop = client()
    order = shop.orders().reaches("PendingPayment")
    stage.gate.arm(Boundary(BUYING, 1), Moment.BEFORE)
    order.is_paid()
    stage.comes_by()
    stopped_at = datetime.now(UTC)
    stage.wait(
        lambda: datetime.now(UTC) - stopped_at > timedelta(seconds=TOKEN_SECONDS + 0.2),
        "the token to run out",
        order.read,
    )
    stage.gate.release()
    ends(stage, order, SERVED)
    statuses = [entry["status"] for entry in shop.requests() if entry["operation"] == "request"]
    assert statuses == [401, 201]
    looks = [boundary for boundary in stage.gate.seen if boundary.request == "list sslpayments"]
    assert len(looks) == 2, "the second purchase rests on a look of its own"


# What only a person can decide


def twice_uncertain(stage: Stage, shop: Client, second: Moment) -> Order:
    """An order whose purchase was uncertain twice. The first never arrived."""
    order = shop.orders().reaches("PendingPayment")
    stage.gate.arm(Boundary(BUYING, 1), Moment.BEFORE)
    order.is_paid()
    stage.comes_by()
    stage.gate.drop()
    stage.gate.arm(Boundary(BUYING, 1), second)
    stage.comes_by()
    stage.gate.drop()
    order.stalls("Issuing", "IssuanceUncertain", "Twice", "Resolve", "certificates@provider.example")
    return order


def test_after_a_second_uncertainty_a_person_lets_it_buy_again(stage: Stage, client: NewClient) -> None:
    shop = client()
    order = twice_uncertain(stage, shop, Moment.BEFORE)
    assert shop.certificates() == []
    order.suffers("Resolve", resolve={"buyAgain": True}).becomes("CarriedOut")
    ends(stage, order, SERVED)


def test_after_a_second_uncertainty_a_person_gives_it_up(stage: Stage, client: NewClient) -> None:
    shop = client()
    order = twice_uncertain(stage, shop, Moment.BEFORE)
    order.suffers("Resolve", resolve={"abandon": True}).becomes("CarriedOut")
    order.stalls("Issuing", "Abandoned", "nothing more is bought")
    wait_until_quiet(stage)
    assert shop.certificates() == []
    assert order.secret() is None


def test_after_a_second_uncertainty_a_person_finds_the_certificate(stage: Stage, client: NewClient) -> None:
    shop = client()
    shop.fails({"fault": "lagging-statistics", "operation": "stats-issued", "seconds": ENDLESS})
    order = twice_uncertain(stage, shop, Moment.SENT)
    (issued,) = shop.certificates()
    order.suffers("Resolve", resolve={"adopt": issued["serial"]}).becomes("CarriedOut")
    ends(stage, order, SERVED)


# A dossier that knows less than the world


def reissued(order: Order) -> Order:
    order.edit(reissue={"requestedAt": format_moment(datetime.now(UTC) + timedelta(seconds=1))})
    return order.waits(lambda status: status["certificate"]["leaf"] == 2, "to be served leaf 2")


def stands_behind(stage: Stage, order: Order, bought: int) -> None:
    order.stalls("Issuing", "LedgerBehind", "Resolve", "certificates@provider.example")
    wait_until_quiet(stage)
    assert len(order.client.certificates()) == bought
    assert order.secret() is not None, "what was bought is still served"


def test_a_dossier_restored_to_an_older_state_buys_nothing(stage: Stage, client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    ((name, earlier),) = stage.dossiers(shop).items()
    ends(stage, reissued(order), SUCCEEDED)
    stage.kill_operator()
    stage.kube.delete(SECRETS, name, stage.namespace)
    stage.kube.create(SECRETS, without_identity(earlier))
    stage.resume()
    stands_behind(stage, order, bought=2)
    order.suffers("Resolve", resolve={"buyAgain": True}).becomes("CarriedOut")
    order.reaches("Active").has_secret()
    wait_until_quiet(stage)
    assert len(shop.certificates()) == 3


def test_a_dossier_that_was_lost_buys_nothing(stage: Stage, client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    (name,) = stage.dossiers(shop)
    stage.kill_operator()
    stage.kube.delete(SECRETS, name, stage.namespace)
    stage.resume()
    stands_behind(stage, order, bought=1)
    order.suffers("Resolve", resolve={"buyAgain": True}).becomes("CarriedOut")
    order.reaches("Active").has_secret()
    wait_until_quiet(stage)
    assert len(shop.certificates()) == 2


# Others who would buy


def test_a_second_installation_buys_nothing(stage: Stage, client: NewClient) -> None:
    shop, elsewhere = client(), f"{SYSTEM}-other"
    shop.orders().is_paid().reaches("Active")
    other = stage.another_installation(elsewhere)
    credentials = stage.kube.get(SECRETS, shop.name, SYSTEM)
    assert credentials is not None
    stage.kube.create(SECRETS, {**credentials, "metadata": {"name": shop.name, "namespace": elsewhere}})
    with other.operator:
        stage.kill_operator()
        order = shop.orders().is_paid()
        order.stalls("Received", "AuthorityUnavailable", "Another installation", SYSTEM)
        wait_until_quiet(stage)
        assert len(shop.certificates()) == 1
        stage.resume()
        order.reaches("Active").has_secret()
        wait_until_quiet(stage)
        assert len(shop.certificates()) == 2


def test_two_replicas_buy_for_many_orders_once_each(stage: Stage, client: NewClient) -> None:
    shop = client()
    orders = [shop.orders().reaches("PendingPayment") for _ in range(ORDERS)]
    successor = stage.standby()
    stage.gate.arm(Boundary(BUYING, ORDERS // 2), Moment.SENT)
    for order in orders:
        order.is_paid()
    stage.comes_by()
    stage.kill_operator()
    successor.acts()
    for order in orders:
        order.reaches("Active").has_secret()
    stage.succeeds(successor)
    wait_until_quiet(stage)
    assert len(shop.certificates()) == ORDERS


def without_identity(secret: Manifest) -> Manifest:
    """What a backup tool applies: the object without what the API server gave it."""
    kept = {key: secret["metadata"][key] for key in ("name", "namespace", "labels")}
    return {"metadata": kept, "type": secret["type"], "data": secret["data"]}
