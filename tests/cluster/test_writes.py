"""What an order costs the API server, counted by the API server itself."""

import re
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.harness.world import BOUND, Client, World

pytestmark = pytest.mark.cluster

OURS = (
    "events",
    "secrets",
    "sslaccounts",
    "sslauthorities",
    "sslcertificateorders",
    "sslcontractactions",
    "sslpayments",
)
QUIET_SECONDS = 2.0
SAMPLE = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<count>\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def writes(world: World) -> Counter[str]:
    """Every write so far that was not refused, by verb and resource; Leases aside."""
    counted: Counter[str] = Counter()
    for sample in SAMPLE.finditer(world.kube.call("GET", "/metrics").text):
        labels = dict(LABEL.findall(sample["labels"]))
        if labels["verb"] in ("GET", "LIST", "WATCH") or labels["resource"] not in OURS:
            continue
        what = "/".join(filter(None, (labels["resource"], labels["subresource"])))
        counted[f"{labels['verb']} {what}"] += int(float(sample["count"]))
    return counted


def quiet(world: World) -> Counter[str]:
    """The count once nothing has been written for a while."""
    counted, since = writes(world), time.monotonic()
    deadline = since + BOUND
    while time.monotonic() - since < QUIET_SECONDS:
        time.sleep(0.1)
        if (now := writes(world)) != counted:
            assert time.monotonic() < deadline, f"writes never end: {now - counted}"
            counted, since = now, time.monotonic()
    return counted


def test_from_declaration_to_active_takes_six_writes_and_two_events(
    world: World, client: Callable[..., Client]
) -> None:
    shop = client()
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    before = quiet(world)
    order = shop.orders("www", "api").reaches("PendingPayment").is_paid().reaches("Active")
    order.payment.becomes("Applied")
    after = quiet(world)  # an idle order costs nothing, or this would not end
    by_us = {"POST sslcertificateorders": 1, "POST sslpayments": 1}
    assert after - before - Counter(by_us) == {
        "PATCH sslcertificateorders/status": 2,  # PendingPayment, Active
        "POST secrets": 2,  # the dossier with the intent; the published Secret
        "PATCH secrets": 1,  # the dossier with the certificate
        "PATCH sslpayments/status": 1,  # Applied
        "POST events": 2,  # PendingPayment, Active
    }


def test_with_the_payment_there_already_it_takes_five(world: World, client: Callable[..., Client]) -> None:
    shop = client()
    payment = shop.pays("BC-1").becomes("Waiting")
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    before = quiet(world)
    shop.orders(purchaseOrder="BC-1").reaches("Active")
    payment.becomes("Applied")
    assert quiet(world) - before - Counter({"POST sslcertificateorders": 1}) == {
        "PATCH sslcertificateorders/status": 1,
        "POST secrets": 2,
        "PATCH secrets": 1,
        "PATCH sslpayments/status": 1,
        "POST events": 1,
    }
