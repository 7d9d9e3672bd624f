"""The credentials of one authority, as one Kubernetes Secret holds them.

Rules:
- Whatever is wrong is told by the key of the Secret that it is found under, never by its value.
- Sizes are capped before anything is parsed.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sslorder.engine.certificates import UNREADABLE
from sslorder.engine.ports import PrivateKey, Unauthorised

_MOST_BYTES = {"api-key": 1024, "api-secret": 1024, "tls.crt": 95_000, "tls.key": 13_000, "ca.crt": 330_000}


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What one logs in with. Certificates (the client's with its chain) and the key are PEM. `server_roots`
    verify the server; without them the public ones do. Equal when nothing has changed."""

    api_key: str
    api_secret: str
    client_certificate: bytes
    client_key: bytes
    server_roots: bytes | None = None

    def __repr__(self) -> str:
        return "Credentials(<hidden>)"


def parse(secret: str, data: Mapping[str, str]) -> Credentials:
    """Credentials from the `data` of a Kubernetes Secret (base64). `secret` is its name, for messages.

    Checks an RSA key, which takes milliseconds: call it off the event loop.
    Raises `Unauthorised` naming the key of the Secret and what is wrong with it.
    """

    def malformed(key: str, problem: str) -> Unauthorised:
        return Unauthorised(f"Secret {secret}", f"{key}: {problem}")

    def read(key: str) -> bytes:
        if not (encoded := data.get(key)):
            raise malformed(key, "missing or empty")
        if len(encoded) > _MOST_BYTES[key] * 4 // 3 + 4:
            raise malformed(key, f"longer than {_MOST_BYTES[key]} bytes")
        try:
            value = b64decode(encoded, validate=True).strip()
        except (binascii.Error, ValueError):
            raise malformed(key, "not base64") from None
        if not value:
            raise malformed(key, "missing or empty")
        return value

    def text(key: str) -> str:
        try:
            value = read(key).decode("ascii")
        except UnicodeDecodeError:
            value = ""
        if not value.isprintable() or not value:
            raise malformed(key, "not one line of ASCII text")
        return value

    def certificates(key: str) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(read(key))
        except UNREADABLE:
            raise malformed(key, "not PEM certificates") from None

    def private_key(key: str) -> PrivateKey:
        try:
            found = load_pem_private_key(read(key), password=None)
        except TypeError:
            raise malformed(key, "has a passphrase; store the key without one") from None
        except (ValueError, UnsupportedAlgorithm):
            raise malformed(key, "not a PEM private key (PKCS#8, PKCS#1 or SEC 1)") from None
        if not isinstance(found, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise malformed(key, "neither an RSA nor an elliptic-curve key")
        return found

    api_key, api_secret = text("api-key"), text("api-secret")
    own, certified = private_key("tls.key").public_key(), certificates("tls.crt")[0]
    try:
        fits = own == certified.public_key()
    except UNREADABLE:
        raise malformed("tls.crt", "its public key cannot be read") from None
    if not fits:
        raise malformed("tls.key", "is not the key of the first certificate in tls.crt")
    if "ca.crt" in data:
        certificates("ca.crt")
    return Credentials(
        api_key=api_key,
        api_secret=api_secret,
        client_certificate=read("tls.crt"),
        client_key=read("tls.key"),
        server_roots=read("ca.crt") if "ca.crt" in data else None,
    )
