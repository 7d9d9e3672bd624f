"""A running operator, as a kubelet and Prometheus see it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from sslorder.cluster.client import Resource
from tests.conftest import CRDS
from tests.controlplane import ControlPlane
from tests.harness.world import Client, Order, World

pytestmark = pytest.mark.cluster

DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")

NewClient = Callable[..., Client]
Labels = dict[str, str]


Ask = Callable[[str], requests.Response]


@contextmanager
def asking(world: World) -> Iterator[Ask]:
    """Asks for pages of the operator that runs now."""
    address = re.findall(r"Health and metrics at (http://\S+)\.", world.log.read_text())[-1]
    with requests.Session() as session:
        session.trust_env = False
        yield lambda path: session.get(address + path, timeout=10)


@pytest.fixture
def ask(world: World) -> Iterator[Ask]:
    with asking(world) as ask:
        yield ask


def scraped(page: requests.Response) -> dict[str, list[tuple[Labels, float]]]:
    """Every sample of a page by its name."""
    assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(page.text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def of(order: Order, samples: dict[str, list[tuple[Labels, float]]]) -> dict[str, tuple[Labels, float]]:
    """What is said of one order, by name, and the labels besides its place."""
    place = {"namespace": order.client.namespace, "name": order.name}
    return {
        name: ({key: labels[key] for key in labels.keys() - place.keys()}, value)
        for name, found in samples.items()
        for labels, value in found
        if place.items() <= labels.items()
    }


def test_it_is_alive_and_ready(ask: Ask) -> None:
    alive, ready = ask("/livez"), ask("/readyz")
    assert (alive.status_code, alive.text) == (200, "[+]loop\n[+]workers\n[+]errors\n[+]watches\n")
    assert (ready.status_code, ready.text) == (200, "[+]lists\n[+]watches\n")


def test_an_order_is_seen_while_it_is_there(client: NewClient, ask: Ask) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    leaf = order.certificate()
    samples = scraped(ask("/metrics"))
    seen = of(order, samples)
    assert seen["sslorder_order_phase"] == ({"phase": "Active"}, 1)
    assert seen["sslorder_order_ready_status"] == ({"condition": "True"}, 1)
    ends = leaf.not_valid_after_utc.timestamp()
    assert seen["sslorder_certificate_not_after_timestamp_seconds"] == ({}, ends)
    assert seen["sslorder_secret_not_after_timestamp_seconds"] == ({"secret": order.secret_name}, ends)
    asked = {"authority": shop.name, "operation": "request", "outcome": "ok"}
    assert (asked, 1) in samples["sslorder_authority_requests_total"]
    assert ({"authority": shop.name, "condition": "True"}, 1) in samples["sslorder_authority_ready_status"]
    assert samples["sslorder_lease_held"] == [({}, 1)]
    assert samples["sslorder_issuance_duration_seconds_count"][0][1] >= 1

    order.edit(revocation={"leaf": 1, "circumstance": "Superseded"})
    order.reaches("Revoked").has_no_secret()
    samples = scraped(ask("/metrics"))
    assert of(order, samples)["sslorder_order_phase"] == ({"phase": "Revoked"}, 1)
    assert "sslorder_secret_not_after_timestamp_seconds" not in of(order, samples)
    assert samples["sslorder_secret_removal_delay_seconds_count"][0][1] >= 1


def test_what_is_deleted_vanishes(client: NewClient, ask: Ask) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    assert of(order, scraped(ask("/metrics")))
    shop.leaves()

    def is_forgotten() -> bool:
        return shop.name not in ask("/metrics").text

    shop.world.wait(is_forgotten, "every trace of the client to be gone", lambda: ask("/metrics").text)


@pytest.mark.deep
def test_a_kind_that_is_no_longer_served_is_told(tmp_path: Path) -> None:
    """Kopf gives a watch up that the API server refuses for good: only a new process watches again."""
    with ControlPlane.start() as plane:
        plane.install(CRDS)
        with World.start(plane, tmp_path) as world, asking(world) as ask:
            world.kube.delete(DEFINITIONS, "sslpayments.ssl.synchrone.be")
            said = "[-]watches: nobody watches sslpayments.v1.ssl.synchrone.be\n"
            world.wait(lambda: said in ask("/livez").text, "the probe to fail", lambda: ask("/livez").text)
            assert ask("/livez").status_code == ask("/readyz").status_code == 503
            assert said in ask("/readyz").text
