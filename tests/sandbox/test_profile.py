"""What the sandbox signs, judged by pkilint's linter of the CA/B Forum's Baseline Requirements."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID
from cryptography.x509.verification import PolicyBuilder, Store
from pkilint import finding_filter, loader, pkix, validation
from pkilint.cabf import cabf_crl, serverauth
from pkilint.cabf.serverauth.serverauth_constants import CertificateType
from pkilint.pkix import certificate as pkix_certificate
from pkilint.pkix import crl, extension, name

from tests.harness.sandbox import Sandbox
from tests.sandbox.client import Client

COMPANY = {
    "organization": "Example SA",
    "country": "BE",
    "locality": "Namur",
    "street_address": "Rue Haute 1",
}
COMPANY_FOR_EV = COMPANY | {
    "business_category": "Private Organization",
    "jurisdiction_of_incorporation_country_name": "BE",
    "serial_number": "0123.456.789",
}
WILDCARD = ("www.example.com", "*.example.com")
NAMES = {"DV": WILDCARD, "OV": WILDCARD, "EV": ("www.example.com", "example.com")}
SUBJECTS: dict[str, dict[str, str]] = {"DV": {}, "OV": COMPANY, "EV": COMPANY_FOR_EV}


def errors(results: list[validation.ValidationResult]) -> list[str]:
    return [
        f"{result.node.path}: {description.finding.code} {description.message or ''}"
        for result in results
        for description in result.finding_descriptions
        if description.finding.severity <= validation.ValidationFindingSeverity.ERROR
    ]


def lint(certificate: x509.Certificate, kind: CertificateType) -> list[str]:
    document = loader.load_der_certificate(certificate.public_bytes(Encoding.DER), "certificate")
    validator = pkix_certificate.create_pkix_certificate_validator_container(
        serverauth.create_decoding_validators(), serverauth.create_validators(kind)
    )
    results, _ = finding_filter.filter_results(
        serverauth.create_serverauth_finding_filters(kind), validator.validate(document.root)
    )
    return errors(results)


def lint_crl(der: bytes) -> list[str]:
    kind = crl.CertificateRevocationListType.CRL
    validator = crl.create_pkix_crl_validator_container(
        [
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([cabf_crl.create_validity_period_validator(kind)]),
            crl.create_extensions_validator_container([]),
            cabf_crl.CabfCrlReasonCodeAllowlistValidator(kind),
        ],
    )
    return errors(validator.validate(loader.load_der_crl(der, "crl").root))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox whose certificates point to a public name: to the linter, an address on loopback is wrong."""
    with Sandbox.start(tmp_path_factory.mktemp("published"), crl_url="http://pki.example.com") as running:
        yield running


@pytest.fixture(scope="module")
def chain(published: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> list[x509.Certificate]:
    """The trust chain that it gives: the intermediate, the root."""
    with closing(
        Client(
            published.api, "default", published.default_account(), tmp_path_factory.mktemp("default") / "tls"
        )
    ) as client:
        client.log_in()
        return chain_of(client)


@pytest.mark.parametrize("common_name", [{}, {"common_name": "www.example.com"}], ids=["no CN", "CN"])
@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA-2048"])
@pytest.mark.parametrize("product", SUBJECTS)
def test_a_leaf_obeys_the_baseline_requirements(
    published: Sandbox, tmp_path: Path, product: str, kind: str, common_name: dict[str, str]
) -> None:
    name = f"{product}-{kind}-{len(common_name)}".lower()
    credentials = published.create_account(
        name,
        product=product,
        subject=SUBJECTS[product],
        key_type="RSA" if "RSA" in kind else "ECDSA",
        preapproved=["example.com"],
    )
    with closing(Client(published.api, name, credentials, tmp_path / "tls")) as client:
        client.log_in()
        serial = client.buy(*NAMES[product], kind=kind, subject_dn=common_name)
        leaf = client.certificate(serial)
    assert lint(leaf, CertificateType[f"{product}_FINAL_CERTIFICATE"]) == []
    assert f"{leaf.serial_number:X}" == serial
    assert leaf.serial_number.bit_length() > 64


@pytest.mark.parametrize(
    ("position", "kind"),
    [(0, CertificateType.INTERNAL_UNCONSTRAINED_TLS_CA), (1, CertificateType.ROOT_CA)],
    ids=["the intermediate", "the root"],
)
def test_an_authority_obeys_them_too(
    chain: list[x509.Certificate], position: int, kind: CertificateType
) -> None:
    assert lint(chain[position], kind) == []


def test_the_linter_does_find_errors(chain: list[x509.Certificate]) -> None:
    assert lint(chain[1], CertificateType.DV_FINAL_CERTIFICATE) != []


def chain_of(client: Client) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(pem.encode()) for pem in client.get("/trustchain")]


def test_a_leaf_verifies_up_to_the_root_for_its_name(client: Client) -> None:
    leaf = client.certificate(client.buy("www.example.com"))
    intermediate, root = chain_of(client)
    verifier = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName("www.example.com"))
    assert verifier.verify(leaf, [intermediate]) == [leaf, intermediate, root]


def fetched(url: str) -> bytes:
    with requests.Session() as session:
        session.trust_env = False
        response = session.get(url, timeout=10)
    assert response.status_code == 200
    return response.content


def published_crl(certificate: x509.Certificate) -> bytes:
    """What is found where the certificate says."""
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    (place,) = points[0].full_name or []
    return fetched(str(place.value))


def test_issuers_are_published_where_certificates_say(client: Client) -> None:
    leaf, (intermediate, root) = client.certificate(client.buy("www.example.com")), chain_of(client)
    for subject, issuer in ((leaf, intermediate), (intermediate, root)):
        (access,) = subject.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        assert access.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        assert x509.load_der_x509_certificate(fetched(str(access.access_location.value))) == issuer
    assert x509.load_der_x509_crl(published_crl(intermediate)).is_signature_valid(root.public_key())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "flag"),
    [
        ("unspecified", None),
        ("keyCompromise", x509.ReasonFlags.key_compromise),
        ("affiliationChanged", x509.ReasonFlags.affiliation_changed),
        ("superseded", x509.ReasonFlags.superseded),
        ("cessationOfOperation", x509.ReasonFlags.cessation_of_operation),
        ("privilegeWithdrawn", x509.ReasonFlags.privilege_withdrawn),
    ],
)
def test_a_revocation_is_on_the_crl_at_once(
    client: Client, reason: str, flag: x509.ReasonFlags | None
) -> None:
    serial = client.buy("www.example.com")
    leaf = client.certificate(serial)
    before = x509.load_der_x509_crl(published_crl(leaf))
    assert before.get_revoked_certificate_by_serial_number(leaf.serial_number) is None
    assert client.send("PATCH", f"/certificates/{serial}", {"revocation_reason": reason}).status_code == 204
    der = published_crl(leaf)
    after = x509.load_der_x509_crl(der)
    entry = after.get_revoked_certificate_by_serial_number(leaf.serial_number)
    assert entry is not None
    reasons = [
        extension.value.reason
        for extension in entry.extensions
        if isinstance(extension.value, x509.CRLReason)
    ]
    assert reasons == ([flag] if flag else [])
    assert abs(entry.revocation_date_utc.timestamp() - time.time()) < 60
    assert after.is_signature_valid(chain_of(client)[0].public_key())  # type: ignore[arg-type]
    assert number(after) == number(before) + 1
    assert after.next_update_utc is not None
    assert 0 < (after.next_update_utc - after.last_update_utc).days <= 10
    assert lint_crl(der) == []


def number(revocations: x509.CertificateRevocationList) -> int:
    return revocations.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
