"""The sandbox's keys and authorities, made at the first start and kept in the state directory.

Two trees: a root and an intermediate that sign what is sold, and an access authority that signs the API's own
certificate and its clients'. Their names say that nobody may trust them.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

ORGANISATION = "Sandbox Authority NOT TRUSTED"
POLICY_OIDS = {
    "DV": x509.ObjectIdentifier("2.23.140.1.2.1"),
    "OV": x509.ObjectIdentifier("2.23.140.1.2.2"),
    "EV": x509.ObjectIdentifier("2.23.140.1.1"),
}
ANY_POLICY = x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)
LIFE = {"root": timedelta(days=9_125), "issuing": timedelta(days=3_650), "access": timedelta(days=3_650)}
BACKDATED = timedelta(hours=1)  # a client's clock may be behind


@dataclass(frozen=True)
class Signer:
    """An authority: its certificate, its key, and where its CRL and certificate are published."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    crl_url: str
    certificate_url: str

    @property
    def pem(self) -> str:
        return _pem(self.certificate)

    @property
    def expiry(self) -> int:
        return int(self.certificate.not_valid_after_utc.timestamp())

    def key_identifier(self) -> x509.AuthorityKeyIdentifier:
        ski = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski)


class Credential(NamedTuple):
    """A certificate and its key, in PEM."""

    serial: int
    certificate: str
    key: str


@dataclass(frozen=True)
class Hierarchy:
    root: Signer
    intermediates: dict[str, Signer]
    access: Signer
    directory: Path
    crl_base: str

    @classmethod
    def open(cls, directory: Path, crl_base: str, now: datetime) -> Self:
        """Load what `directory` holds and make what is missing; certificates point to the URL `crl_base`."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = _kept(directory, "root", crl_base, None, now)
        names = ["issuing", *sorted((path.stem for path in directory.glob("issuing-*.crt")), key=_ordinal)]
        intermediates = {name: _kept(directory, name, crl_base, root, now) for name in names}
        access = _kept(directory, "access", crl_base, None, now)
        return cls(root, intermediates, access, directory, crl_base)

    @property
    def issuing(self) -> Signer:
        """The intermediate that signs now: the newest."""
        return next(reversed(self.intermediates.values()))

    def rotate(self, now: datetime) -> None:
        """Have a new intermediate sign from now on. The CRLs of its predecessors stay."""
        name = f"issuing-{len(self.intermediates) + 1}"
        self.intermediates[name] = _kept(self.directory, name, self.crl_base, self.root, now)

    def server_certificate(self, names: list[str], now: datetime) -> tuple[Path, Path]:
        """A certificate for the API's own listener, made anew at each start; returns its files."""
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        made = self._access_credential(names[0], ExtendedKeyUsageOID.SERVER_AUTH, now, alternatives)
        paths = self.directory / "server.crt", self.directory / "server.key"
        write_private(paths[0], made.certificate)
        write_private(paths[1], made.key)
        return paths

    def client_certificate(self, account: str, now: datetime) -> Credential:
        """The certificate with which an account opens its connections."""
        name = x509.SubjectAlternativeName([x509.DNSName(account)])
        return self._access_credential(account, ExtendedKeyUsageOID.CLIENT_AUTH, now, name)

    def _access_credential(
        self,
        common_name: str,
        usage: x509.ObjectIdentifier,
        now: datetime,
        names: x509.SubjectAlternativeName,
    ) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = (
            _builder(key, subject, self.access.certificate.subject, now, LIFE["access"] / 2)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(names, critical=False)
            .add_extension(self.access.key_identifier(), critical=False)
            .sign(self.access.key, hashes.SHA256())
        )
        return Credential(certificate.serial_number, _pem(certificate), _key_pem(key))


def _ordinal(name: str) -> int:
    return int(name.partition("-")[2])


def stray_issuer(like: Signer, now: datetime) -> Signer:
    """An authority of the same name with another key: it signed nothing that `like` signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Signer(_authority("issuing", key, None, now), key, like.crl_url, like.certificate_url)


def key_usage(
    *, digital_signature: bool = False, key_encipherment: bool = False, authority: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def distribution_point(url: str) -> x509.CRLDistributionPoints:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return x509.CRLDistributionPoints([point])


def issuer_location(url: str) -> x509.AuthorityInformationAccess:
    location = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, location)]
    )


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step by a file that only its owner reads."""
    draft = path.with_suffix(path.suffix + ".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def _kept(directory: Path, name: str, crl_base: str, issuer: Signer | None, now: datetime) -> Signer:
    certificate_path, key_path = directory / f"{name}.crt", directory / f"{name}.key"
    if not certificate_path.exists():  # written last: its presence says that the key is there
        made = ec.generate_private_key(ec.SECP256R1())
        write_private(key_path, _key_pem(made))
        write_private(certificate_path, _pem(_authority(name, made, issuer, now)))
    key = load_pem_private_key(key_path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(
            f"{key_path} is not an elliptic curve key: restore it, or start with an empty --state"
        )
    certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    return Signer(certificate, key, f"{crl_base}/{name}.crl", f"{crl_base}/{name}.crt")


def _authority(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: Signer | None, now: datetime
) -> x509.Certificate:
    """A root when there is no issuer (BR 7.1.2.1), else an intermediate that signs leaves (BR 7.1.2.6)."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "BE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Sandbox {name.capitalize()} CA NOT TRUSTED"),
        ]
    )
    signing_key, life = issuer.key if issuer else key, LIFE[name.partition("-")[0]]
    builder = (
        _builder(key, subject, issuer.certificate.subject if issuer else subject, now, life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if issuer else None), critical=True)
        .add_extension(key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    if issuer:
        builder = (
            builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.CertificatePolicies([ANY_POLICY]), critical=False)
            .add_extension(distribution_point(issuer.crl_url), critical=False)
            .add_extension(issuer_location(issuer.certificate_url), critical=False)
        )
    return builder.sign(signing_key, hashes.SHA256())


def _builder(
    key: ec.EllipticCurvePrivateKey, subject: x509.Name, issuer: x509.Name, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    start = (now - BACKDATED).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
