"""What is measured. Each scenario returns rows: a name, a figure, a unit, and the ratio to its limit where it
has one."""

import asyncio
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from benchmarks.stage import ACCOUNT, SECRETS, Cost, Order, Stage, cost_of
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.cluster.objects import resource
from sslorder.contract.plan import plan
from sslorder.contract.secret import ORDER_UID

ORDERS: Final = resource(SSLCertificateOrder)
PAYMENTS: Final = resource(SSLPayment)
BOUND: Final = 1800.0
QUIET: Final = 5.0
_WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
_OF_THE_LOAD: Final = (
    "POST sslcertificateorders",
    "POST sslpayments",
    "POST namespaces",
    "POST sslcontractactions",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `limit` is what a bare client, or nothing at all, would have reached."""

    scenario: str
    figure: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.limit if self.limit else None


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def _secret(order: Order) -> tuple[str, str]:
    return (order.namespace, f"tls-{order.number}")


def _costs(scenario: str, before: dict[str, Cost], after: dict[str, Cost], count: int) -> list[Row]:
    spent = {name: after[name].cpu - before[name].cpu for name in after if name in before}
    rows = [
        Row(scenario, f"CPU of {name}", 1000 * cpu / count, "s per 1,000")
        for name, cpu in sorted(spent.items())
    ]
    rows.append(Row(scenario, "CPU in all", 1000 * sum(spent.values()) / count, "s per 1,000"))
    if "operator" in after:
        rows.append(Row(scenario, "memory of operator, peak", after["operator"].peak, "MiB"))
    return rows


def _requests(scenario: str, before: Counter[str], after: Counter[str], count: int) -> list[Row]:
    made = {call: number for call, number in (after - before).items() if call.split()[0] in _WRITES}
    ours = {
        call: n
        for call, n in made.items()
        if call not in _OF_THE_LOAD and "leases" not in call and n >= count / 50
    }
    rows = [
        Row(scenario, f"requests: {call}", number / count, "per order")
        for call, number in sorted(ours.items())
    ]
    events = sum(number for call, number in ours.items() if call.endswith("events"))
    rows.append(Row(scenario, "writes, events aside", (sum(ours.values()) - events) / count, "per order"))
    return rows


async def bare_limit(stage: Stage, count: int) -> list[Row]:
    """One Secret and one status for each order, by a bare client with no operator: what no design can
    avoid."""
    orders = await stage.orders(count, 50, "bare")
    await stage.each(orders, lambda order: stage.client.create(ORDERS, order.declared()))
    before, begun = stage.costs(), time.monotonic()

    async def write(order: Order) -> None:
        namespace, name = _secret(order)
        await stage.client.create(
            SECRETS,
            {
                "metadata": {"namespace": namespace, "name": name, "labels": {ORDER_UID: "bare"}},
                "type": "kubernetes.io/tls",
                "stringData": {"tls.crt": "x" * 2400, "tls.key": "x" * 240, "ca.crt": "x" * 800},
            },
        )
        status = {"status": {"phase": "Active", "message": "written by a bare client" * 20}}
        await stage.client.patch(ORDERS, namespace, order.name, status, "status")

    await stage.each(orders, write)
    seconds = time.monotonic() - begun
    rows = [Row("bare client", "orders written", count / seconds, "orders/s")]
    rows += _costs("bare client", before, stage.costs(), count)
    begun = time.monotonic()
    await stage.each(orders[:1000], lambda order: stage.client.delete(SECRETS, *_secret(order)))
    rows.append(
        Row(
            "bare client",
            "1,000 Secrets deleted",
            (time.monotonic() - begun) * 1000 / len(orders[:1000]),
            "s",
        )
    )
    await stage.each(orders, stage.delete)
    return rows


async def throughput(stage: Stage, count: int, namespaces: int, limit: float | None) -> list[Row]:
    """So many orders declared and paid at once, until the last Secret is there."""
    scenario = f"{count:,} orders in {namespaces} namespace{'s' if namespaces > 1 else ''}"
    orders = await stage.orders(count, namespaces, f"t{count}-{namespaces}")
    issued, asked = len(stage.sandbox.issued()), stage.requests()
    before, begun = stage.costs(), time.monotonic()
    paid_at: dict[tuple[str, str], float] = {}

    async def declare_and_pay(order: Order) -> None:
        await stage.client.create(ORDERS, order.declared())
        await stage.client.create(PAYMENTS, order.paid())
        paid_at[_secret(order)] = time.monotonic()

    load = asyncio.create_task(stage.each(orders, declare_and_pay))
    wanted = {_secret(order) for order in orders}

    def there() -> int:
        return len(wanted & stage.watched.came.keys())

    await stage.watched.until(
        lambda: there() == count, scenario, BOUND, lambda: f"{there():,} of {count:,} served"
    )
    await load
    seconds = max(stage.watched.came[place] for place in wanted) - begun
    delays = [stage.watched.came[place] - paid_at[place] for place in wanted]
    await settled(stage)
    after = stage.costs()
    rows = [
        Row(scenario, "throughput", count / seconds, "orders/s", limit),
        Row(scenario, "payment to Secret, p50", percentile(delays, 0.5), "s"),
        Row(scenario, "payment to Secret, p99", percentile(delays, 0.99), "s"),
        Row(scenario, "certificates bought beyond need", len(stage.sandbox.issued()) - issued - count, ""),
    ]
    return rows + _costs(scenario, before, after, count) + _requests(scenario, asked, stage.requests(), count)


async def settled(stage: Stage) -> None:
    """Return when the API server has had no write but the Lease's for some seconds."""
    last, since = stage.requests(), time.monotonic()
    while time.monotonic() - since < QUIET:
        await asyncio.sleep(1)
        now = stage.requests()
        if _our_writes(last, now):
            since = time.monotonic()
        last = now


def _our_writes(before: Counter[str], after: Counter[str]) -> int:
    return sum(
        number
        for call, number in (after - before).items()
        if call.split()[0] in _WRITES and "leases" not in call and "endpoint" not in call
    )


def _came(stage: Stage, place: tuple[str, str]) -> bool:
    return place in stage.watched.came


async def one_alone(stage: Stage, times: int) -> list[Row]:
    """One order on an idle operator, from its payment to its Secret."""
    delays = []
    for order in await stage.orders(times, 1, "alone"):
        await stage.client.create(ORDERS, order.declared())
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        await stage.client.create(PAYMENTS, order.paid())
        place = _secret(order)
        await stage.watched.until(partial(_came, stage, place), "one alone", 30, lambda: "waiting")
        delays.append(stage.watched.came[place] - begun)
    return [
        Row("one order alone", "payment to Secret, p50", percentile(delays, 0.5), "s", 0.08),
        Row("one order alone", "payment to Secret, max", max(delays), "s"),
    ]


async def idle(stage: Stage, seconds: float, count: int) -> list[Row]:
    """Active orders, and nothing to do."""
    scenario = f"idle with {count:,} orders"
    await settled(stage)
    asked, before = stage.requests(), stage.costs()
    await asyncio.sleep(seconds)
    after = stage.costs()
    return [
        Row(scenario, "writes but the Lease", _our_writes(asked, stage.requests()), f"in {seconds:.0f} s"),
        Row(
            scenario,
            "CPU of operator",
            100 * (after["operator"].cpu - before["operator"].cpu) / seconds,
            "% of a core",
        ),
        Row(scenario, "memory of operator", after["operator"].rss, "MiB"),
    ]


async def cold_start(stage: Stage, count: int) -> list[Row]:
    """A new process, with everything active already."""
    scenario = f"cold start with {count:,} orders"
    stage.stop_operator()
    asked = stage.requests()
    begun = time.monotonic()
    ready = stage.start_operator()
    pid = stage.pids()["operator"]
    last, since = cost_of(pid).cpu, time.monotonic()
    while time.monotonic() - since < QUIET:
        await asyncio.sleep(0.5)
        spent = cost_of(pid).cpu
        if spent - last > 0.02:
            since = time.monotonic()
        last = spent
    quiet = since - begun
    cost = cost_of(pid)
    return [
        Row(scenario, "until it acts", ready, "s"),
        Row(scenario, "until it is quiet", quiet, "s"),
        Row(scenario, "writes but the Lease", _our_writes(asked, stage.requests()), ""),
        Row(scenario, "CPU", cost.cpu, "s"),
        Row(scenario, "memory of operator", cost.rss, "MiB"),
        Row(scenario, "memory of operator, peak", cost.peak, "MiB"),
    ]


def _delays(scenario: str, delays: Sequence[float], limit: float | None = None) -> list[Row]:
    return [
        Row(scenario, "until the Secret is gone, p50", percentile(delays, 0.5), "s"),
        Row(scenario, "until the Secret is gone, p99", percentile(delays, 0.99), "s"),
        Row(scenario, "until the Secret is gone, max", max(delays), "s", limit),
    ]


async def _served(stage: Stage, orders: Iterable[Order], **spec: Any) -> set[tuple[str, str]]:
    orders = list(orders)

    async def declare(order: Order) -> None:
        await stage.client.create(PAYMENTS, order.paid())
        await stage.client.create(ORDERS, order.declared(**spec))

    await stage.each(orders, declare)
    wanted = {_secret(order) for order in orders}

    def there() -> int:
        return len(wanted & stage.watched.came.keys())

    await stage.watched.until(lambda: there() == len(wanted), "served", BOUND, lambda: f"{there():,} served")
    return wanted


async def _gone(stage: Stage, wanted: set[tuple[str, str]], what: str) -> None:
    def gone() -> int:
        return len(wanted & stage.watched.went.keys())

    await stage.watched.until(lambda: gone() == len(wanted), what, BOUND, lambda: f"{gone():,} gone")


async def ends(stage: Stage, count: int, limit: float) -> list[Row]:
    """Leaves running out, revocations, and a suspension, of many orders at once."""
    rows: list[Row] = []
    orders = await stage.orders(count, 20, "ends")
    wanted = await _served(stage, orders)
    await settled(stage)

    say(f"an account with {count:,} orders is suspended")
    begun = time.monotonic()
    await stage.act("suspend-all", action="Suspend", target={"account": ACCOUNT}, cause={"article": "5.3b"})
    await _gone(stage, wanted, "suspension")
    delays = [stage.watched.went[place] - begun for place in wanted]
    rows += _delays(f"suspension of {count:,}", delays, limit)
    await settled(stage)
    returned = time.monotonic()
    await stage.act("reinstate-all", action="Reinstate", target={"account": ACCOUNT}, lifts=["suspend-all"])
    await stage.watched.until(
        lambda: not (wanted & stage.watched.went.keys()), "reinstatement", BOUND, lambda: "…"
    )
    rows.append(Row(f"suspension of {count:,}", "until all are back", time.monotonic() - returned, "s"))
    await settled(stage)

    say(f"{count:,} are revoked at once")
    asked: dict[tuple[str, str], float] = {}

    async def revoke(order: Order) -> None:
        body = {"spec": {"revocation": {"leaf": 1, "circumstance": "KeyCompromised"}}}
        asked[_secret(order)] = time.monotonic()
        await stage.client.patch(ORDERS, order.namespace, order.name, body)

    begun = time.monotonic()
    await stage.each(orders, revoke)
    await _gone(stage, wanted, "revocation")
    rows += _delays(
        f"revocation of {count:,}", [stage.watched.went[place] - asked[place] for place in wanted]
    )
    took = max(stage.watched.went[place] for place in wanted) - begun
    rows.append(Row(f"revocation of {count:,}", "until all are gone", took, "s", limit))
    await settled(stage)

    say(f"{count:,} leaves run out within 10 s")
    life = 60 + count // 20
    await stage.authority("short", max_validity_seconds=life)
    await stage.account([], ["bench", "short"])
    short = await stage.orders(count, 20, "short")
    spread = random.Random(8)
    batches = sorted(short, key=lambda _: spread.random())
    begun = time.monotonic()
    wanted = await _served(stage, batches, authorityRef={"name": "short"}, reissueBefore="1s")
    stage.sandbox.set_quota("short", 0)
    due = {}
    for secret in (await stage.client.list(SECRETS, label_selector=ORDER_UID))[0]:
        place = (secret["metadata"]["namespace"], secret["metadata"]["name"])
        if place in wanted:
            due[place] = secret["metadata"]["annotations"]["ssl.synchrone.be/not-after"]
    offset = time.monotonic() - datetime.now(UTC).timestamp()
    await _gone(stage, wanted, "expiry")
    late = [
        stage.watched.went[place] - (datetime.fromisoformat(moment).timestamp() + offset)
        for place, moment in due.items()
    ]
    rows += _delays(f"{count:,} leaves running out", late)
    span = max(datetime.fromisoformat(moment) for moment in due.values()) - min(
        datetime.fromisoformat(moment) for moment in due.values()
    )
    rows.append(Row(f"{count:,} leaves running out", "spread over", span / timedelta(seconds=1), "s"))
    return rows


def planner(rounds: int = 2000) -> list[Row]:
    """The planner alone, on one core: a new order, and an active one."""
    from tests.contract.build import a_leaf, a_paid, a_payment, a_snapshot

    cases = {
        "paid, nothing bought": a_snapshot(payments=(a_payment(),)),
        "active": a_paid(a_leaf()),
    }
    rows = []
    for name, snapshot in cases.items():
        samples = []
        for _ in range(5):
            begun = time.perf_counter()
            for _ in range(rounds):
                plan(snapshot)
            samples.append(rounds / (time.perf_counter() - begun))
        rows.append(Row("planner", name, statistics.median(samples), "plans/s"))
    return rows
