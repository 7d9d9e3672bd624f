"""Which requests the authority refuses, each by changing one member of a request that it accepts."""

import base64
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.sandbox.client import Client, key, pkcs8, pkcs10
from tests.sandbox.conftest import OpenAccount

DAY = 86_400
NAME = "www.example.com"
COMPANY = {"organization": "Example SA", "country": "BE", "locality": "Namur"}


def possession(kind: str) -> str:
    """HVCA's public_key_signature: over the SPKI in DER, with SHA-256."""
    private = key(kind)
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(private, rsa.RSAPrivateKey):
        signature = private.sign(spki, padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = private.sign(spki, ec.ECDSA(hashes.SHA256()))
    return base64.b64encode(signature).decode()


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no name", {"san": None}, "san.dns_names"),
    ("the same name twice", {"san": {"dns_names": [NAME, NAME]}}, "given twice"),
    ("a name with an underscore", {"san": {"dns_names": ["a_b.example.com"]}}, "san.dns_names"),
    ("a name with a trailing dot", {"san": {"dns_names": ["www.example.com."]}}, "san.dns_names"),
    ("a wildcard within a label", {"san": {"dns_names": ["w*.example.com"]}}, "san.dns_names"),
    ("a wildcard further right", {"san": {"dns_names": ["a.*.example.com"]}}, "san.dns_names"),
    ("a name of 255 characters", {"san": {"dns_names": ["a." * 122 + "example.com"]}}, "longer than 253"),
    (
        "a hundred and one names",
        {"san": {"dns_names": [f"n{n}.example.com" for n in range(101)]}},
        "101 values",
    ),
    ("a name without a claim", {"san": {"dns_names": [NAME, "example.org"]}}, "covers example.org"),
    ("a parent of the claim's domain", {"san": {"dns_names": ["com"]}}, "san.dns_names"),
    ("an address", {"san": {"dns_names": [NAME], "ip_addresses": ["192.0.2.1"]}}, "san.ip_addresses"),
    ("a kind of name unknown to the policy", {"san": {"dns_names": [NAME], "pets": ["cat"]}}, "san.pets"),
    ("a common name that is no name of it", {"subject_dn": {"common_name": "example.com"}}, "common_name"),
    ("an organisation in DV", {"subject_dn": {"organization": "Example SA"}}, "subject_dn.organization"),
    ("organisational units", {"subject_dn": {"organizational_unit": ["IT"]}}, "organizational_unit"),
    ("clientAuth", {"extended_key_usages": ["1.3.6.1.5.5.7.3.2"]}, "extended_key_usages"),
    ("a signature algorithm", {"signature": {"algorithm": "ECDSA"}}, "STATIC"),
    ("another hash", {"signature": {"hash_algorithm": "SHA-512"}}, "signature.hash_algorithm"),
    ("key usages", {"key_usages": {"crl_sign": True}}, "key_usages"),
    ("extensions of one's own", {"custom_extensions": {"1.2.3": "NIL"}}, "custom_extensions"),
    ("a member unknown to HVCA", {"csr": pkcs10()}, "csr"),
    ("a year and a day", {"validity": {"not_after": int(time.time()) + 366 * DAY}}, "validity"),
    ("an end in the past", {"validity": {"not_after": int(time.time()) - DAY}}, "validity"),
    ("a begin in a day", {"validity": {"not_before": int(time.time()) + DAY}}, "not_before"),
    ("a begin a day ago", {"validity": {"not_before": int(time.time()) - DAY}}, "not_before"),
    ("no key", {"public_key": None}, "public_key"),
    ("a key that is none", {"public_key": "-----BEGIN CERTIFICATE REQUEST-----"}, "public_key"),
    ("a bare key where a request is due", {"public_key": pkcs8()}, "PKCS10"),
    ("a curve that the policy lacks", {"public_key": pkcs10("P-521")}, "521 bits"),
    ("another kind of key", {"public_key": pkcs10("RSA-2048")}, "RSA of 2048"),
    ("a needless proof of possession", {"public_key_signature": possession("P-256")}, "public_key_signature"),
]


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_request_against_the_policy_is_refused_by_name(
    client: Client, change: dict[str, Any], said: str
) -> None:
    response = client.order(NAME, **change)
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
    assert said in response.json()["description"]
    assert client.get("/counters/certificates/issued") == {"value": 0}


def test_a_signing_request_signed_by_another_key_is_refused(client: Client) -> None:
    mine = base64.b64decode("".join(pkcs10().splitlines()[1:-1]))
    body = base64.b64encode(mine[:-1] + bytes([mine[-1] ^ 1])).decode()
    response = client.order(
        NAME, public_key=f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----"
    )
    assert (response.status_code, "public_key" in response.json()["description"]) == (422, True)


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "RSA-2048", "RSA-3072"])
def test_a_bare_key_comes_with_its_proof_of_possession(open_account: OpenAccount, kind: str) -> None:
    client = open_account(
        key_type="RSA" if kind.startswith("RSA") else "ECDSA",
        key_lengths=[256, 384, 521, 2048, 3072],
        key_format="PKCS8",
        public_key_signature="REQUIRED",
    )
    client.buy(NAME, public_key=pkcs8(kind), public_key_signature=possession(kind))
    other = "RSA-4096" if kind.startswith("RSA") else "P-256" if kind != "P-256" else "P-384"
    for given in (None, possession(other)):
        response = client.order(NAME, public_key=pkcs8(kind), public_key_signature=given)
        assert response.status_code == 422
        assert "public_key_signature" in response.json()["description"]


def test_an_organisation_that_was_vetted_is_the_authoritys_to_state(open_account: OpenAccount) -> None:
    client = open_account(product="OV", subject=COMPANY)
    policy = client.get("/validationpolicy")["subject_dn"]
    assert policy["organization"] == {"presence": "STATIC", "format": "Example SA"}
    assert policy["state"]["presence"] == "FORBIDDEN"
    response = client.order(NAME, subject_dn={"organization": "Example SA"})
    assert (response.status_code, "STATIC" in response.json()["description"]) == (422, True)
    certificate = client.certificate(client.buy(NAME))
    assert certificate.subject.rfc4514_string() == "O=Example SA,L=Namur,C=BE"


def test_extended_validation_knows_no_wildcards(open_account: OpenAccount) -> None:
    client = open_account(
        product="EV",
        subject=COMPANY
        | {
            "business_category": "Private Organization",
            "jurisdiction_of_incorporation_country_name": "BE",
            "serial_number": "0123.456.789",
        },
    )
    response = client.order("*.example.com")
    assert (response.status_code, "san.dns_names" in response.json()["description"]) == (422, True)


def test_validity_is_to_the_second_what_was_asked(open_account: OpenAccount) -> None:
    client = open_account(min_validity_seconds=10, max_validity_seconds=3_600)
    begin = int(time.time())
    for seconds, status in [(9, 422), (10, 201), (3_600, 201), (3_601, 422)]:
        response = client.order(NAME, validity={"not_before": begin, "not_after": begin + seconds})
        assert (seconds, response.status_code) == (seconds, status)
    longest = client.certificate(client.buy(NAME, validity={"not_before": begin, "not_after": 0}))
    assert (longest.not_valid_after_utc - longest.not_valid_before_utc).total_seconds() == 3_600
    assert longest.not_valid_before_utc.timestamp() == begin


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["example.com"], id="the claim's domain"),
        pytest.param(["a.b.example.com"], id="a name below it"),
        pytest.param(["*.example.com", "example.com"], id="a wildcard and its base"),
        pytest.param([f"n{n}.example.com" for n in range(100)], id="a hundred names"),
    ],
)
def test_a_claim_covers(client: Client, names: list[str]) -> None:
    client.buy(*names, subject_dn={"common_name": names[0]})
