"""The certificates that are sold (BR 7.1.2.7), and the flawed ones that a fault may ask for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import SystemRandom

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sslorder.sandbox.faults import FaultName
from sslorder.sandbox.hierarchy import POLICY_OIDS, Signer, distribution_point, issuer_location, key_usage
from sslorder.sandbox.policy import Order
from sslorder.sandbox.settings import DAY

SERIAL_BITS = 120  # BR 7.1.2.7: at least 64 from a CSPRNG, and 20 octets at most

ATTRIBUTES = {
    "business_category": NameOID.BUSINESS_CATEGORY,
    "jurisdiction_of_incorporation_country_name": NameOID.JURISDICTION_COUNTRY_NAME,
    "jurisdiction_of_incorporation_state_or_province_name": NameOID.JURISDICTION_STATE_OR_PROVINCE_NAME,
    "jurisdiction_of_incorporation_locality_name": NameOID.JURISDICTION_LOCALITY_NAME,
    "serial_number": NameOID.SERIAL_NUMBER,
    "country": NameOID.COUNTRY_NAME,
    "state": NameOID.STATE_OR_PROVINCE_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "street_address": NameOID.STREET_ADDRESS,
    "organization": NameOID.ORGANIZATION_NAME,
    "common_name": NameOID.COMMON_NAME,
}

FLAWS: dict[FaultName, Callable[[Order], Order]] = {
    FaultName.WRONG_KEY: lambda order: replace(
        order, public_key=ec.generate_private_key(ec.SECP256R1()).public_key()
    ),
    FaultName.WRONG_NAMES: lambda order: replace(order, subject={}, dns_names=("wrong.example",)),
    FaultName.EXPIRED: lambda order: replace(
        order, not_before=order.not_before - 2 * DAY, not_after=order.not_before - DAY
    ),
    FaultName.NOT_YET_VALID: lambda order: replace(
        order, not_before=order.not_before + DAY, not_after=order.not_after + DAY
    ),
}


def issue(order: Order, product: str, signer: Signer) -> x509.Certificate:
    """Sign one leaf; `notBefore` and `notAfter` are exactly the order's."""
    subject = x509.Name(
        [
            x509.NameAttribute(oid, order.subject[field])
            for field, oid in ATTRIBUTES.items()
            if field in order.subject
        ]
    )
    key = order.public_key
    policy = x509.PolicyInformation(POLICY_OIDS[product], None)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject)
        .public_key(key)
        .serial_number(SystemRandom().getrandbits(SERIAL_BITS) | 1 << SERIAL_BITS)
        .not_valid_before(datetime.fromtimestamp(order.not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(order.not_after, UTC))
        .add_extension(
            key_usage(digital_signature=True, key_encipherment=isinstance(key, rsa.RSAPublicKey)),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in order.dns_names]),
            critical=not order.subject,  # RFC 5280 4.2.1.6
        )
        .add_extension(x509.CertificatePolicies([policy]), critical=False)
        .add_extension(signer.key_identifier(), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(distribution_point(signer.crl_url), critical=False)
        .add_extension(issuer_location(signer.certificate_url), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
