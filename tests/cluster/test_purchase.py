"""From the declaration to the certificate: paid first, bought once, in an order that no kill can break."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from tests.api.manifests import ORGANISATION
from tests.harness.world import Client, World

pytestmark = pytest.mark.cluster

NewClient = Callable[..., Client]


SCARCE = 100
"""A quota so small that it is asked for before each purchase."""


def test_before_payment_nothing_is_asked_of_the_authority(client: NewClient) -> None:
    shop = client()
    order = shop.orders("www", "api").reaches(
        "PendingPayment", "DV for 1 year, 2 names", "BC-1", "certificates@provider.example"
    )
    client().orders().is_paid().reaches("Active")
    assert order.kstatus() == "InProgress"
    assert shop.asked_on_its_behalf() == []
    assert shop.dossier("BC-1") is None
    assert order.secret() is None


def test_a_paid_order_becomes_one_certificate_in_its_secret(client: NewClient) -> None:
    shop = client()
    order = shop.orders("www", "*.api").reaches("PendingPayment").is_paid().reaches("Active")
    order.payment.becomes("Applied", "period 1")
    assert order.kstatus() == "Current"
    (issued,) = shop.certificates()
    secret, leaf = order.secret(), order.certificate()
    assert secret is not None
    assert f"{leaf.serial_number:X}" == issued["serial"] == order.status["certificate"]["serialNumber"]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {f"www.{shop.domain}", f"*.api.{shop.domain}"}
    key = load_pem_private_key(secret["tls.key"], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == leaf.public_key()
    leaf_above, issuer = x509.load_pem_x509_certificates(secret["tls.crt"])
    assert leaf_above == leaf
    leaf.verify_directly_issued_by(issuer)
    (root,) = x509.load_pem_x509_certificates(secret["ca.crt"])
    issuer.verify_directly_issued_by(root)


def test_a_payment_that_comes_first_waits_for_its_order(client: NewClient) -> None:
    shop = client()
    payment = shop.pays("BC-1").becomes("Waiting", "BC-1", "Kept for it")
    order = shop.orders(purchaseOrder="BC-1").reaches("Active")
    payment.becomes("Applied", "period 1")
    assert payment.status["appliedTo"] == {"namespace": shop.name, "name": order.name, "period": 1}


def test_the_authority_is_asked_in_the_order_that_loses_nothing(client: NewClient) -> None:
    shop = client(quota=SCARCE)
    shop.recorded_authority().stands("Ready", "True", "AuthorityReady")
    order = shop.orders()
    shop.delays("request", 0.5)
    order.is_paid()
    shop.waits_until_asked("request")
    ledger, dossier = shop.ledger("BC-1"), shop.dossier("BC-1")
    assert ledger is not None
    assert dossier is not None
    intent, key = ledger["intent"], load_pem_private_key(dossier["leaf-1.key"], None)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert intent["spki_sha256"] == sha256(spki).hexdigest()
    assert intent["dns_names"] == [f"www.{shop.domain}"]
    assert shop.certificates() == []

    order.reaches("Active")
    assert [entry["spki_sha256"] for entry in shop.certificates()] == [intent["spki_sha256"]]
    unordered = {"login", "stats-issued", "stats-revoked", "counters"}
    asked = [operation for operation in shop.operations() if operation not in unordered]
    assert asked[:2] == ["policy", "quota"]
    assert asked[2:] == ["claims-list", "claims-list", "quota", "request", "collect", "trustchain"]


def test_a_certificate_that_is_not_ready_is_collected_later(client: NewClient) -> None:
    shop = client()
    shop.fails({"fault": "not-ready", "reads": 1})
    shop.orders().is_paid().reaches("Active")
    assert shop.operations().count("request") == 1
    assert shop.operations().count("collect") == 2


def test_an_answer_that_is_lost_is_searched_for_and_not_asked_again(client: NewClient) -> None:
    shop = client()
    shop.fails({"fault": "lose-answer", "operation": "request", "times": 1})
    order = shop.orders().is_paid().reaches("Active")
    assert shop.operations().count("request") == 1
    assert [entry["serial"] for entry in shop.certificates()] == [order.status["certificate"]["serialNumber"]]


def test_a_kill_at_any_step_buys_nothing_twice(world: World, client: NewClient) -> None:
    """The order's client, by the request that is under way when the operator is killed."""
    steps = {step: client(quota=SCARCE) for step in ("quota", "collect", "trustchain")}
    world.sandbox.set_faults(
        *(
            {"fault": "delay", "operation": step, "account": shop.name, "seconds": 1.5, "times": 1}
            for step, shop in steps.items()
        )
    )
    orders = [shop.orders().is_paid() for shop in steps.values()]
    for step, shop in steps.items():
        shop.waits_until_asked(step)
    world.operator.kill()
    world.start_operator()
    for order in orders:
        order.reaches("Active")
        order.payment.becomes("Applied")
    assert {step: len(shop.certificates()) for step, shop in steps.items()} == dict.fromkeys(steps, 1)


def test_an_ov_order_states_the_organisation_as_it_was_vetted(client: NewClient) -> None:
    vetted = {"organization": "Exemple SPRL", "country": "BE", "locality": "Bruxelles"}
    shop = client(
        product="OV",
        subject=vetted,
        authority={"spec.product": "OV"},
        account={"spec.products": ["OV"], "spec.organisation": ORGANISATION},
    )
    order = shop.orders(product="OV", subject=ORGANISATION).reaches("PendingPayment", "OV for 1 year")
    order.is_paid().reaches("Active")
    subject = order.certificate().subject
    found = {
        oid: [attribute.value for attribute in subject.get_attributes_for_oid(oid)]
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.COUNTRY_NAME, NameOID.LOCALITY_NAME)
    }
    assert list(found.values()) == [["Exemple SPRL"], ["BE"], ["Bruxelles"]]
    assert order.conditions()["IdentityVetted"]["status"] == "True"


def test_a_key_may_be_rsa(client: NewClient) -> None:
    shop = client(key_type="RSA")
    order = shop.orders(privateKey={"algorithm": "RSA", "size": 2048}).is_paid().reaches("Active")
    key = order.certificate().public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


def test_a_domain_is_proved_by_the_record_that_the_status_shows(world: World, client: NewClient) -> None:
    shop = client(proved=False)
    order = shop.orders("www", "api").is_paid().reaches("PendingValidation", shop.domain, "TXT")
    (proof,) = order.status["validation"]
    assert (proof["name"], proof["method"], proof["state"]) == (shop.domain, "DNS", "Pending")
    assert order.kstatus() == "InProgress"
    assert shop.certificates() == []

    record = proof["record"]
    assert (record["name"], record["type"]) == (shop.domain, "TXT")
    world.dns.set_txt(record["name"], "v=spf1 -all", record["value"])
    world.restart_operator()  # it looks at once; running on, within half a minute
    order.reaches("Active")
    assert shop.operations().count("claim-submit") == 1
    (proof,) = order.status["validation"]
    assert (proof["name"], proof["state"], "record" in proof) == (shop.domain, "Verified", False)
