"""One throw-away certificate authority for the API server and for the identities of its users."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = timedelta(days=365)
LEEWAY = timedelta(hours=1)  # for a clock that is set back while the control plane runs
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_SIGNS_CERTIFICATES = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Credential:
    """A private key and its certificate, both PEM."""

    key: str
    certificate: str


class CertificateAuthority:
    """A self-signed authority with a P-256 key, and what it issues."""

    def __init__(self) -> None:
        self._key = new_key()
        self._name = _name("control plane")
        certificate = self._certificate(self._name, self._key.public_key())
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        certificate = certificate.add_extension(_SIGNS_CERTIFICATES, critical=True)
        self.credential = self._sign(certificate, self._key)

    def server(self, address: str) -> Credential:
        """For a TLS server at an IP address."""
        key = new_key()
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address)), x509.DNSName("localhost")])
        certificate = self._certificate(_name("server"), key.public_key()).add_extension(
            names, critical=False
        )
        certificate = certificate.add_extension(x509.ExtendedKeyUsage([_SERVER]), critical=False)
        return self._sign(certificate, key)

    def client(self, user: str, groups: Sequence[str] = ()) -> Credential:
        """For a user of Kubernetes: the common name is the user, the organisations are groups."""
        key = new_key()
        certificate = self._certificate(_name(user, groups), key.public_key())
        certificate = certificate.add_extension(x509.ExtendedKeyUsage([_CLIENT]), critical=False)
        return self._sign(certificate, key)

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - LEEWAY)
            .not_valid_after(now + VALIDITY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )

    def _sign(self, certificate: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> Credential:
        signed = certificate.sign(self._key, hashes.SHA256())
        return Credential(key_pem(key), signed.public_bytes(Encoding.PEM).decode())


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key: made in less than a millisecond."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """The key as SEC 1 has it, not encrypted: the one format that every component reads."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def certificate_request(key: ec.EllipticCurvePrivateKey, user: str, groups: Sequence[str] = ()) -> str:
    """A certificate signing request (PKCS #10, PEM) for a user of Kubernetes."""
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(_name(user, groups)).sign(key, hashes.SHA256())
    )
    return request.public_bytes(Encoding.PEM).decode()


def _name(common_name: str, organisations: Sequence[str] = ()) -> x509.Name:
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation) for organisation in organisations),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
