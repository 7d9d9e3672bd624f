"""An authority that cannot be used, answers nonsense, or issues what must not be published."""

from collections.abc import Callable, Mapping

import pytest

from tests.harness.kube import SECRETS
from tests.harness.world import Client, Order, Record

pytestmark = pytest.mark.cluster

NewClient = Callable[..., Client]

ASK = "certificates@provider.example"
NOBODY_LISTENS = "https://127.0.0.1:1/v2"


def looked_at_again(shop: Client) -> Record:
    """Its `SSLAuthority`, edited: for without an edit the operator takes its time."""
    authority = shop.recorded_authority()
    burst = authority.read()["spec"]["limits"]["requestsPerSecond"]
    authority.edit(limits={"requestsPerSecond": burst + 1})
    return authority


# Credentials and address


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        pytest.param(None, "There is no Secret", id="missing"),
        pytest.param({"api-key": None}, "api-key", id="without api-key"),
        pytest.param({"api-secret": "wrong"}, "401", id="with another secret"),
        pytest.param({"tls.crt": "nonsense"}, "tls.crt", id="with a certificate that is none"),
        pytest.param({"tls.key": "nonsense"}, "tls.key", id="with a key that is none"),
    ],
)
def test_an_order_waits_while_the_credentials_are(
    client: NewClient, neighbour: Order, credentials: Mapping[str, str | None] | None, says: str
) -> None:
    shop = client()
    kube, place = shop.world.kube, (shop.name, shop.world.namespace)
    good = kube.get(SECRETS, *place)
    assert good is not None
    kube.delete(SECRETS, *place)
    if credentials is not None:
        given = {
            key: value for key, value in {**shop.credentials, **credentials}.items() if value is not None
        }
        shop.keeps_credentials(given)
    looked_at_again(shop).stands("Ready", "False", "CredentialsInvalid", says)

    order = shop.orders().is_paid().reaches("Issuing", f"The SSLAuthority {shop.name} cannot be used", ASK)
    assert order.kstatus() == "InProgress"
    order.payment.becomes("Applied")
    neighbour.reaches("Active")

    kube.delete(SECRETS, *place)
    shop.keeps_credentials(shop.credentials)
    looked_at_again(shop)
    order.reaches("Active")


def test_an_order_waits_while_nobody_answers(client: NewClient, neighbour: Order) -> None:
    shop = client(authority={"spec.globalSign.url": NOBODY_LISTENS})
    shop.recorded_authority().stands("Ready", "False", "AuthorityUnavailable")
    order = shop.orders().is_paid().reaches("Issuing", "cannot be used", "goes on by itself", ASK)
    assert order.kstatus() == "InProgress"
    neighbour.reaches("Active")
    shop.recorded_authority().edit(globalSign={"url": shop.world.sandbox.api})
    order.reaches("Active")


def test_a_server_that_cannot_prove_who_it_is_is_told_nothing(client: NewClient, neighbour: Order) -> None:
    shop = client()
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    shop.world.kube.patch(SECRETS, shop.name, {"data": {"ca.crt": None}}, shop.world.namespace)
    looked_at_again(shop).stands("Ready", "False", "AuthorityUnavailable", "certificate")
    told = len(shop.requests())
    shop.orders().is_paid().reaches("Issuing", "cannot be used", ASK)
    neighbour.reaches("Active")
    assert len(shop.requests()) == told


# Answers


@pytest.mark.parametrize("operation", ["login", "policy", "quota"])
def test_an_order_waits_while_the_authority_answers_nonsense(
    client: NewClient, neighbour: Order, operation: str
) -> None:
    shop = client()
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    shop.fails({"fault": "garbage", "operation": operation})
    looked_at_again(shop).stands("Ready", "False", "AuthorityUnavailable")
    order = shop.orders().is_paid().reaches("Issuing", "cannot be used", "goes on by itself", ASK)
    neighbour.reaches("Active")
    assert shop.asked_on_its_behalf() == []
    shop.world.sandbox.clear_faults()
    looked_at_again(shop)
    order.reaches("Active")


@pytest.mark.parametrize("operation", ["claims-list", "request", "collect", "trustchain"])
def test_nonsense_makes_nothing_be_bought_twice(client: NewClient, neighbour: Order, operation: str) -> None:
    shop = client()
    shop.fails({"fault": "garbage", "operation": operation, "times": 1})
    order = shop.orders().is_paid()
    neighbour.reaches("Active")
    order.reaches("Active")
    assert len(shop.certificates()) == 1
    assert shop.operations().count("request") == 1


def test_nonsense_in_answer_to_a_revocation_is_asked_again(client: NewClient, neighbour: Order) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    shop.fails({"fault": "garbage", "operation": "revoke", "times": 1})
    order.edit(revocation={"leaf": 1, "circumstance": "SiteClosed"})
    order.has_no_secret()
    neighbour.reaches("Active")
    order.reaches("Revoked")
    assert shop.certificates()[0]["revoked"]


def test_a_refusal_is_told_and_not_repeated_until_something_changed(
    client: NewClient, neighbour: Order
) -> None:
    shop = client()
    shop.fails({"fault": "refuse", "operation": "request", "status": 422, "times": 1})
    order = shop.orders("www", "api").is_paid()
    order.stalls("Issuing", "RefusedByAuthority", "a fault that was asked for", "Correct the order", ASK)
    neighbour.reaches("Active")
    assert shop.operations().count("request") == 1
    order.edit(dnsNames=[f"www.{shop.domain}"])
    order.reaches("Active")


def test_a_quota_that_is_used_up_is_told(client: NewClient, neighbour: Order) -> None:
    shop = client(quota=0)
    order = shop.orders().is_paid().reaches("Issuing", "quota is exhausted", "tried again by itself", ASK)
    assert order.kstatus() == "InProgress"
    neighbour.reaches("Active")
    assert "request" not in shop.operations()
    shop.world.sandbox.set_quota(shop.name, 1)
    order.reaches("Active")


# Certificates


@pytest.mark.parametrize(
    ("fault", "says", "revoked"),
    [
        pytest.param("wrong-key", "its key is not the one that was sent", False, id="for another key"),
        pytest.param("wrong-names", "its names are wrong.example", True, id="for other names"),
        pytest.param("expired", "it had run out", True, id="that has run out"),
        pytest.param("not-yet-valid", "it is valid only from", True, id="that is not valid yet"),
        pytest.param("wrong-chain", "did not sign", True, id="under a chain that did not sign it"),
    ],
)
def test_a_certificate_is_not_published_nor_bought_again(
    client: NewClient, neighbour: Order, fault: str, says: str, revoked: bool
) -> None:
    shop = client()
    shop.fails({"fault": fault})
    order = shop.orders().is_paid()
    order.stalls("Issuing", "CertificateUnusable", says, "not published, and no other is bought", ASK)
    neighbour.reaches("Active")
    shop.has_revoked(revoked)
    assert order.secret() is None
    shop.world.sandbox.clear_faults()
    order.edit(reissueBefore="24h")
    order.stalls("Issuing", "CertificateUnusable")
    order.stands("SecretPublished", "False", "CertificateUnusable")
    assert shop.operations().count("request") == 1


def test_an_unusable_successor_leaves_the_certificate_that_is_served(
    client: NewClient, neighbour: Order
) -> None:
    shop = client()
    order = shop.orders("www", "api").is_paid().reaches("Active")
    served = order.secret()
    shop.fails({"fault": "wrong-key"})
    order.edit(dnsNames=[f"www.{shop.domain}"])
    order.reaches("Active", "Its successor", "must not be used", ASK)
    neighbour.reaches("Active")
    assert order.secret() == served
    assert len(shop.certificates()) == 2
