"""CRLs (RFC 5280 5, BR 7.2): signed when asked for, anew after every revocation."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sslorder.sandbox.hierarchy import Signer

NEXT_UPDATE = timedelta(days=7)  # BR 4.9.7: at most 10 days
REASONS = {
    "unspecified": None,  # BR 7.2.2: said by leaving the extension out
    "keyCompromise": x509.ReasonFlags.key_compromise,
    "affiliationChanged": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessationOfOperation": x509.ReasonFlags.cessation_of_operation,
    "privilegeWithdrawn": x509.ReasonFlags.privilege_withdrawn,
}


class Revoked(NamedTuple):
    serial: int
    at: int
    reason: str
    issuer: x509.Name


def revocation_list(signer: Signer, revoked: Iterable[Revoked], number: int, now: datetime) -> bytes:
    """A complete CRL in DER."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(now.replace(microsecond=0))
        .next_update(now.replace(microsecond=0) + NEXT_UPDATE)
        .add_extension(signer.key_identifier(), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for entry in revoked:
        line = (
            x509.RevokedCertificateBuilder()
            .serial_number(entry.serial)
            .revocation_date(datetime.fromtimestamp(entry.at, UTC))
        )
        if reason := REASONS[entry.reason]:
            line = line.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)
