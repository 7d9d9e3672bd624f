"""Keys, and what must be true of a certificate before anyone is given it.

Rules:
- Whatever came from the authority is foreign until `verify` has passed: sizes are capped before parsing, and
  a certificate that
  cannot be parsed is a fault like any other.
- A fault is a sentence; a sound certificate becomes a `Leaf`. There is nothing between.
- Keys are PKCS#8 PEM and leave this module only as bytes for a Secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from sslorder.api.order import KeyAlgorithm, PrivateKeySpec
from sslorder.contract.ledger import Intent, Leaf
from sslorder.contract.secret import content_digest
from sslorder.engine.ports import PrivateKey

LARGEST_CERTIFICATE = 64 * 1024
CLOCK_SKEW = timedelta(minutes=5)
UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""All that a certificate of odd encoding makes its parser raise, at once or when a part is asked for."""

_CURVES: dict[int, type[ec.EllipticCurve]] = {256: ec.SECP256R1, 384: ec.SECP384R1, 521: ec.SECP521R1}


def generate_key(spec: PrivateKeySpec) -> PrivateKey:
    """A new private key. RSA takes long enough to belong in a thread."""
    if spec.algorithm is KeyAlgorithm.ECDSA:
        return ec.generate_private_key(_CURVES[spec.size]())
    return rsa.generate_private_key(65537, spec.size)


def write_key(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_key(pem: bytes) -> PrivateKey:
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return key


def spki_sha256(public: CertificatePublicKeyTypes) -> str:
    """SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex: what tells a key without showing it."""
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def write_serial(serial: int) -> str:
    """A serial number as people and the authority write it: upper-case hex."""
    return f"{serial:X}"


def read_serial(serial: str) -> int:
    return int(serial, 16)


def spki_of_certificate(pem: bytes) -> str | None:
    """The key of a foreign certificate, or None where it cannot be read."""
    try:
        return spki_sha256(_parse(pem).public_key())
    except UNREADABLE:
        return None


@dataclass(frozen=True, slots=True)
class Verified:
    """A certificate that may be published, as the ledger's leaf and the Secret's bytes."""

    leaf: Leaf
    chain: bytes
    ca: bytes


@dataclass(frozen=True, slots=True)
class Faulty:
    """A certificate that must never be published. `key_is_ours` tells whether it is ours to revoke."""

    leaf: Leaf
    key_is_ours: bool


class _Fault(Exception):
    pass


def _parse(pem: bytes) -> x509.Certificate:
    if len(pem) > LARGEST_CERTIFICATE:
        raise ValueError(f"it has {len(pem)} bytes")
    return x509.load_pem_x509_certificate(pem)


def _check_names(certificate: x509.Certificate, wanted: Sequence[str]) -> None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise _Fault("it has no subjectAltName.") from None
    found = names.get_values_for_type(x509.DNSName)
    if len(found) != len(list(names)) or set(found) != set(wanted):
        raise _Fault(f"its names are {', '.join(sorted(found)[:10]) or 'none'}, not those of the order.")


def _check_dates(certificate: x509.Certificate, intent: Intent, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begins > now + CLOCK_SKEW:
        raise _Fault(f"it is valid only from {begins:%Y-%m-%d %H:%M:%S} UTC.")
    if ends <= now:
        raise _Fault(f"it had run out on {ends:%Y-%m-%d %H:%M:%S} UTC when it came.")
    if ends > intent.not_after:
        raise _Fault(
            f"it is valid until {ends:%Y-%m-%d %H:%M:%S} UTC, longer than the"
            f" {intent.not_after:%Y-%m-%d %H:%M:%S} asked for."
        )


def _check_usage(certificate: x509.Certificate) -> None:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise _Fault("it has no extendedKeyUsage.") from None
    if ExtendedKeyUsageOID.SERVER_AUTH not in usages:
        raise _Fault("it is not for TLS servers (no serverAuth).")


def _check_chain(certificate: x509.Certificate, chain: Sequence[x509.Certificate]) -> None:
    if not chain:
        raise _Fault("the authority gave no chain for it.")
    for below, above in zip((certificate, *chain), chain, strict=False):
        try:
            below.verify_directly_issued_by(above)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            raise _Fault(
                f"{above.subject.rfc4514_string()} of the authority's chain did not sign"
                f" {below.subject.rfc4514_string() or 'it'}."
            ) from None


def _joined(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def verify(
    pem: bytes, chain: Sequence[bytes], serial: str, intent: Intent, key: bytes, now: datetime
) -> Verified | Faulty:
    """Judge what the authority issued for an intent: key, names, dates, usage, chain, serial."""
    base = Leaf(
        number=intent.leaf,
        serial=serial,
        spki_sha256=intent.spki_sha256,
        dns_names=intent.dns_names,
        not_before=now,
        not_after=intent.not_after,
        fingerprint="",
        content_sha256="",
        recorded_at=now,
        client_asked=intent.client_asked,
    )
    key_is_ours = False
    try:
        certificate = _parse(pem)
        key_is_ours = spki_sha256(certificate.public_key()) == intent.spki_sha256
        issuers = [_parse(entry) for entry in chain]
        if not key_is_ours:
            raise _Fault("its key is not the one that was sent.")
        if certificate.serial_number != read_serial(serial):
            raise _Fault(f"its serial number is {write_serial(certificate.serial_number)}.")
        _check_names(certificate, intent.dns_names)
        _check_dates(certificate, intent, now)
        _check_usage(certificate)
        _check_chain(certificate, issuers)
        served = [entry for entry in issuers if entry.issuer != entry.subject]
    except _Fault as fault:
        return Faulty(replace(base, fault=str(fault)), key_is_ours)
    except UNREADABLE as error:
        return Faulty(replace(base, fault=f"it cannot be read ({error})."), key_is_ours)
    tls_crt, ca_crt = _joined([certificate, *served]), _joined(issuers[-1:])
    leaf = replace(
        base,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(SHA256()).hex(":").upper(),
        content_sha256=content_digest(tls_crt, key, ca_crt),
    )
    return Verified(leaf, tls_crt, ca_crt)
