"""What an authority does unasked, refuses, delays or forgets: what the order says, and what is bought."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from sslorder.api.authority import SSLAuthority
from sslorder.api.schema import format_moment
from tests.harness.kube import SECRETS
from tests.harness.world import Client, Order, Record
from tests.sandbox.client import Client as PlainClient

pytestmark = pytest.mark.cluster

NewClient = Callable[..., Client]

ASK = "certificates@provider.example"
GRACE = timedelta(seconds=8)
"""The life of a token, the time-out of a call and the lag of statistics, as the operator is told here."""


def looked_at_again(shop: Client) -> Record:
    """Its `SSLAuthority`, edited, and judged since: for without an edit the operator takes its time."""
    authority = shop.recorded_authority()
    burst = authority.read()["spec"]["limits"]["requestsPerSecond"]
    authority.edit(limits={"requestsPerSecond": burst + 1})
    return authority.waits(lambda _: True, "to be looked at again")


# Unasked


def test_a_certificate_that_the_authority_revokes_is_withdrawn_and_replaced_on_request(
    client: NewClient, neighbour: Order
) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    shop.world.sandbox.revoke(order.status["certificate"]["serialNumber"])
    looked_at_again(shop)
    order.has_no_secret()
    order.stalls("Revoked", "Revoked", "by the authority of its own accord", "spec.reissue.requestedAt", ASK)
    neighbour.reaches("Active")
    assert len(shop.certificates()) == 1, "never replaced unasked"

    order.edit(reissue={"requestedAt": format_moment(datetime.now(UTC) + timedelta(seconds=1))})
    order.reaches("Active")
    assert [entry["revoked"] for entry in shop.certificates()] == [True, False]


def test_a_certificate_that_no_dossier_knows_is_named_until_it_is_revoked(
    client: NewClient, tmp_path: Path
) -> None:
    shop = client()
    shop.orders().is_paid().reaches("Active")
    stranger = PlainClient(shop.world.sandbox.api, shop.name, shop.credentials, tmp_path / "stranger")
    stranger.log_in()
    serial = stranger.buy(f"www.{shop.domain}")
    stranger.close()
    authority = looked_at_again(shop)
    seen = time.monotonic()
    assert "UnknownCertificates" not in authority.conditions()

    shop.world.wait(
        lambda: time.monotonic() > seen + GRACE.total_seconds(), "the grace to pass", authority.read
    )
    looked_at_again(shop).stands("UnknownCertificates", "True", "NotInDossiers", serial, "1 certificates")
    shop.world.sandbox.revoke(serial)
    looked_at_again(shop).waits(
        lambda status: all(entry["type"] != "UnknownCertificates" for entry in status["conditions"]),
        "to know nothing unknown",
    )


def test_what_is_known_of_the_authority_is_told(client: NewClient) -> None:
    shop = client(quota=7)
    shop.orders().is_paid().reaches("Active")
    told = looked_at_again(shop).waits(lambda said: said["counters"]["issued"] == 1, "to count it").status
    assert told["quota"]["remaining"] == 6
    assert told["counters"] == {"issued": 1, "revoked": 0}
    namespace = shop.world.kube.call("GET", f"/api/v1/namespaces/{shop.world.namespace}").json()
    assert told["installation"] == namespace["metadata"]["uid"]
    assert told["installedAt"] <= told["lastContact"]


# Another installation


def test_an_order_of_an_authority_that_another_installation_has_is_refused(client: NewClient) -> None:
    shop = client()
    authority = shop.recorded_authority().stands("Ready", "True", "AuthorityReady")

    def has(uid: str | None) -> None:
        body = {"status": {"installation": uid}}
        shop.world.kube.patch(SSLAuthority, shop.name, body, subresource="status")

    served = shop.orders("old").is_paid().reaches("Active")
    has("another")
    order = shop.orders("new").is_paid()
    order.stalls("Received", "AuthorityUnavailable", "Another installation", "status.installation", ASK)
    served.reaches("Active").has_secret()
    assert len(shop.certificates()) == 1
    has(None)
    order.reaches("Active")
    authority.waits(lambda said: said["installation"] != "another", "to name its installation")


# Silence and refusals


def test_all_orders_wait_together_for_an_authority_that_is_silent(
    client: NewClient, neighbour: Order
) -> None:
    shop = client()
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    shop.fails({"fault": "refuse", "status": 503, "operation": "claims-list"})
    orders = [shop.orders(f"host-{number}").is_paid() for number in range(5)]
    shop.recorded_authority().stands("Ready", "False", "AuthorityUnavailable", "calls in a row")
    neighbour.reaches("Active")
    shop.world.sandbox.clear_faults()
    looked_at_again(shop)
    for order in orders:
        order.reaches("Active")
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    assert len(shop.certificates()) == len(orders)


def test_an_authority_that_asks_for_patience_is_given_it(client: NewClient) -> None:
    shop = client()
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    shop.fails({"fault": "too-many-requests", "seconds": 2, "operation": "claims-list", "times": 1})
    shop.orders().is_paid().reaches("Active")
    first, second, *_ = [entry["time"] for entry in shop.requests() if entry["operation"] == "claims-list"]
    assert second - first >= 2


def test_changed_credentials_are_noticed_without_a_restart_or_an_edit(client: NewClient) -> None:
    shop = client()
    kube, place = shop.world.kube, (shop.name, shop.world.namespace)
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    good = kube.get(SECRETS, *place)
    assert good is not None
    kube.patch(SECRETS, shop.name, {"stringData": {"api-secret": "wrong"}}, shop.world.namespace)
    looked_at_again(shop).stands("Ready", "False", "CredentialsInvalid", "401")
    order = shop.orders().is_paid().reaches("Issuing", "cannot be used", "401")
    kube.patch(SECRETS, shop.name, {"data": good["data"]}, shop.world.namespace)
    order.reaches("Active")


def test_a_field_that_the_policy_demands_and_the_order_lacks_is_named(
    client: NewClient, neighbour: Order
) -> None:
    shop = client(demanded=["email"])
    order = shop.orders().is_paid()
    order.stalls("Issuing", "RefusedByAuthority", "subject_dn.email", "the policy requires it", ASK)
    neighbour.reaches("Active")
    assert "request" not in shop.operations()


def test_a_common_name_that_the_policy_demands_is_one_of_the_names(client: NewClient) -> None:
    shop = client(demanded=["common_name"])
    order = shop.orders("www", "api").is_paid().reaches("Active")
    (name,) = order.certificate().subject
    assert name.value == f"www.{shop.domain}"


def test_a_policy_that_is_refused_is_the_administrators_matter(client: NewClient, neighbour: Order) -> None:
    shop = client()
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    shop.fails({"fault": "refuse", "status": 422, "operation": "policy"})
    looked_at_again(shop).stands("Ready", "False", "AuthorityUnavailable", "GET /validationpolicy", "422")
    order = shop.orders().is_paid().reaches("Issuing", "cannot be used", "GET /validationpolicy", ASK)
    neighbour.reaches("Active")
    shop.world.sandbox.clear_faults()
    looked_at_again(shop)
    order.reaches("Active")


# Late, lost and changed


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([{"fault": "commit-late", "seconds": 3, "times": 1}], id="committed late"),
        pytest.param(
            [
                {"fault": "lose-answer", "operation": "request", "times": 1},
                {"fault": "lagging-statistics", "seconds": 3},
            ],
            id="lost, and listed late",
        ),
    ],
)
def test_a_purchase_that_shows_up_late_is_adopted_and_not_made_again(
    client: NewClient, faults: list[dict[str, object]]
) -> None:
    shop = client()
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    shop.fails(*faults)
    order = shop.orders().is_paid().reaches("Active")
    (issued,) = shop.certificates()
    assert issued["serial"] == order.status["certificate"]["serialNumber"]
    assert shop.operations().count("request") == 1


def test_an_exhausted_quota_is_waited_for_and_told(client: NewClient, neighbour: Order) -> None:
    shop = client()
    shop.fails({"fault": "no-quota"})
    order = shop.orders().is_paid().reaches("Issuing", "quota", ASK)
    neighbour.reaches("Active")
    assert "request" not in shop.operations()
    shop.world.sandbox.clear_faults()
    order.reaches("Active")


def test_a_rotated_intermediate_is_read_anew(client: NewClient) -> None:
    shop = client()
    before = shop.orders("old").is_paid().reaches("Active")
    shop.fails({"fault": "rotated-intermediate", "times": 1})
    after = shop.orders("new").is_paid().reaches("Active")
    chains = [x509.load_pem_x509_certificates((order.secret() or {})["tls.crt"]) for order in (before, after)]
    for leaf, issuer in chains:
        leaf.verify_directly_issued_by(issuer)
    assert chains[0][1] != chains[1][1]
    assert shop.operations().count("trustchain") == 2
