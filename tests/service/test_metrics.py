"""What a scrape shows, and what it no longer shows."""

import asyncio
import re
import subprocess
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sslorder.api.account import SSLAccount
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import KubernetesObject
from sslorder.api.order import SSLCertificateOrder
from sslorder.contract.plan import plan
from sslorder.contract.secret import ORDER_NAME
from sslorder.contract.snapshot import Snapshot
from sslorder.engine.cache import Cache, Key
from sslorder.engine.ports import (
    Authority,
    Connection,
    OutcomeUnknown,
    Refused,
    TryAgain,
    Unauthorised,
)
from sslorder.engine.queue import Urgency
from sslorder.service import inventory
from sslorder.service.metrics import Figures
from sslorder.service.observed import ObservedConnector
from tests.contract.build import (
    DAY,
    HOUR,
    NOW,
    YEAR_END,
    a_leaf,
    a_paid,
    a_payment,
    a_secret,
    a_snapshot,
    an_account,
    an_authority,
    an_order,
)
from tests.service.promtool import promtool

LEAF = a_leaf()
NOTHING_WAITS = dict.fromkeys(Urgency, 0)
KEY = Key(SSLAccount, "", "acme")


def samples(text: str) -> dict[str, float]:
    """Every sample of a page, its labels in the order of their names."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def numbered(thing: KubernetesObject) -> KubernetesObject:
    metadata = thing.metadata.model_copy(update={"resource_version": "1"})
    return thing.model_copy(update={"metadata": metadata})


def gauges(
    *things: KubernetesObject,
    secrets: tuple[Snapshot, ...] = (),
    waiting: Mapping[Urgency, int] = NOTHING_WAITS,
    lease_held: bool = False,
) -> dict[str, float]:
    cache = Cache()
    for thing in things:
        cache.put(numbered(thing))
    for s in secrets:
        for secret in s.secrets:
            cache.put_secret(secret)
    return samples(inventory.exposition(cache, waiting, lease_held=lease_held))


def told(s: Snapshot) -> SSLCertificateOrder:
    return s.order.model_copy(update={"status": plan(s).status})


def seconds(moment: datetime) -> float:
    return moment.timestamp()


SHOP = " name=shop namespace=shop"
SERVED = a_paid(LEAF)
UNTOLD = an_order()


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        pytest.param(UNTOLD, {}, id="nothing is said of an order before it was looked at"),
        pytest.param(
            told(a_snapshot()),
            {
                f"sslorder_order_phase{SHOP} phase=PendingPayment": 1,
                f"sslorder_order_ready_status condition=False{SHOP}": 1,
                f"sslorder_order_payment_due_timestamp_seconds{SHOP}": seconds(NOW),
                f"sslorder_contract_end_timestamp_seconds{SHOP}": seconds(YEAR_END),
            },
            id="an order that awaits its payment",
        ),
        pytest.param(
            told(SERVED),
            {
                f"sslorder_order_phase{SHOP} phase=Active": 1,
                f"sslorder_order_ready_status condition=True{SHOP}": 1,
                f"sslorder_contract_end_timestamp_seconds{SHOP}": seconds(YEAR_END),
                f"sslorder_contract_paid_through_timestamp_seconds{SHOP}": seconds(YEAR_END),
                f"sslorder_certificate_not_before_timestamp_seconds{SHOP}": seconds(LEAF.not_before),
                f"sslorder_certificate_not_after_timestamp_seconds{SHOP}": seconds(LEAF.not_after),
            },
            id="an order that is served",
        ),
        pytest.param(
            told(a_paid(LEAF, now=YEAR_END - 30 * DAY)),
            {f"sslorder_order_payment_due_timestamp_seconds{SHOP}": seconds(YEAR_END)},
            id="an order whose next period is to be paid",
        ),
    ],
)
def test_of_an_order_is_shown(order: SSLCertificateOrder, shown: dict[str, float]) -> None:
    page = gauges(order)
    assert shown.items() <= page.items()
    if not shown:
        assert not [name for name in page if SHOP in name]


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        pytest.param(
            gauges(told(SERVED), an_order(name="other", uid="uid-other")),
            {"sslorder_orders phase=Active": 1, "sslorder_orders phase=Expired": 0},
            id="how many orders are in each phase",
        ),
        pytest.param(gauges(), {"sslorder_orders phase=Active": 0}, id="no orders"),
        pytest.param(
            gauges(
                a_payment().model_copy(
                    update={"status": a_payment().status.model_copy(update={"state": "Applied"})}
                )
            ),
            {"sslorder_payments state=Applied": 1, "sslorder_payments state=Waiting": 0},
            id="what became of the payments",
        ),
        pytest.param(
            gauges(secrets=(SERVED,)),
            {f"sslorder_secret_not_after_timestamp_seconds{SHOP} secret=shop-tls": seconds(LEAF.not_after)},
            id="which Secrets there are, whatever became of their orders",
        ),
        pytest.param(
            gauges(waiting={Urgency.REMOVAL: 1, Urgency.CHANGE: 2, Urgency.RESYNC: 3}, lease_held=True),
            {
                "sslorder_queue_depth urgency=removal": 1,
                "sslorder_queue_depth urgency=change": 2,
                "sslorder_queue_depth urgency=resync": 3,
                "sslorder_lease_held": 1,
            },
            id="what waits, and who acts",
        ),
    ],
)
def test_of_everything_together_is_shown(page: dict[str, float], shown: dict[str, float]) -> None:
    assert shown.items() <= page.items()


def test_an_order_that_is_deleted_vanishes() -> None:
    cache, order = Cache(), numbered(told(SERVED))
    cache.put(order)
    before = inventory.exposition(cache, NOTHING_WAITS, lease_held=True)
    cache.drop(SSLCertificateOrder, "shop", "shop")
    after = inventory.exposition(cache, NOTHING_WAITS, lease_held=True)
    assert 'name="shop"' in before
    assert 'name="shop"' not in after


def test_ten_thousand_orders_take_less_than_half_a_second() -> None:
    """In processor time, which does not depend on what else the machine does."""
    cache, served = Cache(), numbered(told(SERVED))
    for number in range(10_000):
        metadata = served.metadata.model_copy(update={"name": f"order-{number}"})
        cache.put(served.model_copy(update={"metadata": metadata}))
    began = time.thread_time()
    page = inventory.exposition(cache, NOTHING_WAITS, lease_held=True)
    assert time.thread_time() - began < 0.5
    assert page.count('namespace="shop"') == 8 * 10_000


def test_a_forged_annotation_adds_no_figure() -> None:
    forged = 'x"} 1\nsslorder_lease_held 1\n\\'
    cache = Cache()
    secret = a_secret(an_order(), LEAF)
    annotations = {**secret.annotations, ORDER_NAME: forged}
    cache.put_secret(a_secret(an_order(), LEAF, annotations=annotations))
    page = samples(inventory.exposition(cache, NOTHING_WAITS, lease_held=False))
    assert page["sslorder_lease_held"] == 0
    assert f"sslorder_secret_not_after_timestamp_seconds name={forged} namespace=shop secret=shop-tls" in page


# What the process counts


class Watch:
    """A stop-watch that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_reconciliations_are_counted_and_timed() -> None:
    watch = Watch()
    figures = Figures((SSLAccount,), watch)
    figures.begun(KEY)
    watch.seconds += 3
    assert samples(figures.exposition(()))["sslorder_longest_reconcile_seconds"] == 3
    figures.ended(KEY, failed=False)
    figures.begun(KEY)
    figures.ended(KEY, failed=True)
    page = samples(figures.exposition(()))
    assert page["sslorder_reconciles_total kind=SSLAccount"] == 2
    assert page["sslorder_reconcile_errors_total kind=SSLAccount"] == 1
    assert page["sslorder_reconcile_duration_seconds_sum kind=SSLAccount"] == 3
    assert page["sslorder_longest_reconcile_seconds"] == 0


def test_promises_are_timed() -> None:
    figures = Figures(())
    figures.moved(SERVED.order, told(SERVED).status, SERVED.ledger, NOW + HOUR)
    ended = a_paid(LEAF, now=LEAF.not_after)
    figures.withdrew(ended, LEAF.not_after + timedelta(seconds=0.4))
    page = samples(figures.exposition(()))
    assert page["sslorder_issuance_duration_seconds_sum"] == 3600
    assert page["sslorder_secret_removal_delay_seconds_bucket le=0.25"] == 0
    assert page["sslorder_secret_removal_delay_seconds_bucket le=0.5"] == 1


class Failing:
    """An authority whose quota takes two seconds to ask for and may fail."""

    def __init__(self, watch: Watch, error: Exception | None) -> None:
        self._watch, self._error = watch, error
        self.closed = False

    async def quota(self) -> int:
        self._watch.seconds += 2
        if self._error is not None:
            raise self._error
        return 7

    def close(self) -> None:
        self.closed = True


class Connected:
    """A connector that has one connection."""

    def __init__(self, authority: object) -> None:
        self._made = Connection(cast("Authority", authority), "1", HOUR)

    async def connect(self, _: SSLAuthority, known: Connection | None) -> Connection:
        return known or self._made


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (Refused("GET /quotas", "no"), "refused"),
        (Unauthorised("GET /quotas", "who?"), "unauthorised"),
        (TryAgain("GET /quotas", "later"), "try_again"),
        (OutcomeUnknown("GET /quotas", "lost"), "outcome_unknown"),
        (KeyError("quota"), "defect"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_calls_to_an_authority_are_counted_by_outcome(error: Exception | None, outcome: str) -> None:
    watch, figures = Watch(), Figures(())
    authority = Failing(watch, error)

    async def call() -> None:
        connector = ObservedConnector(Connected(authority), figures.asked, watch)
        connection = await connector.connect(an_authority().declared, None)
        assert await connector.connect(an_authority().declared, connection) is connection
        if error is None:
            assert await connection.authority.quota() == 7
        else:
            with pytest.raises(type(error)):
                await connection.authority.quota()
        connection.authority.close()

    asyncio.run(call())
    page = samples(figures.exposition(["dv"]))
    assert page[f"sslorder_authority_requests_total authority=dv operation=quota outcome={outcome}"] == 1
    assert page["sslorder_authority_request_duration_seconds_sum authority=dv operation=quota"] == 2
    assert authority.closed


def test_what_was_counted_of_an_authority_goes_with_it() -> None:
    figures = Figures(())
    figures.asked("dv", "quota", "ok", 0.1)
    figures.asked("ov", "quota", "ok", 0.1)
    assert "ov" in figures.exposition(["dv", "ov"])
    left = figures.exposition(["dv"])
    assert re.findall(r'authority="(\w+)"', left)
    assert 'authority="ov"' not in left


def test_promtool_finds_nothing_to_say_of_the_names() -> None:
    figures = Figures((SSLAccount,))
    figures.asked("dv", "quota", "ok", 0.1)
    cache = Cache()
    for thing in (told(SERVED), an_account(), an_authority().declared):
        cache.put(numbered(thing))
    page = figures.exposition(["dv"]) + inventory.exposition(cache, NOTHING_WAITS, lease_held=True)
    own = "".join(line for line in page.splitlines(keepends=True) if "sslorder_" in line)
    said = subprocess.run(
        [promtool(), "check", "metrics"], input=own, capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout + said.stderr) == (0, "")
