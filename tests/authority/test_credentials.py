"""What a Secret with credentials must hold, and what is said when it does not."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sslorder.authority.credentials import Credentials, parse
from sslorder.engine.ports import Unauthorised
from tests.authority.conftest import encoded
from tests.authority.pki import Pki, pem

NAME = "sslorder-system/globalsign-dv"


@pytest.fixture
def data(pki: Pki) -> dict[str, bytes]:
    return {
        "api-key": b"0123456789abcdef\n",
        "api-secret": b"fedcba9876543210",
        "tls.crt": pki.client.certificate,
        "tls.key": pki.client.key,
        "ca.crt": pki.root.certificate,
    }


def test_a_whole_secret(data: dict[str, bytes]) -> None:
    found = parse(NAME, encoded(data))
    assert (found.api_key, found.api_secret) == ("0123456789abcdef", "fedcba9876543210")
    assert found == parse(NAME, encoded(data)), "equal when nothing has changed"
    assert found != replace(found, api_secret="other")
    assert found.server_roots is not None
    del data["ca.crt"]
    assert parse(NAME, encoded(data)).server_roots is None


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_the_key_may_have_either_form(data: dict[str, bytes], form: PrivateFormat) -> None:
    key = load_pem_private_key(data["tls.key"], None)
    data["tls.key"] = key.private_bytes(Encoding.PEM, form, NoEncryption())
    assert isinstance(parse(NAME, encoded(data)), Credentials)


def other_key() -> bytes:
    return pem(ec.generate_private_key(ec.SECP256R1()))


def ed25519_key() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_with_passphrase() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("api-key", None, "missing or empty"),
        ("api-key", b"", "missing or empty"),
        ("api-key", b" \n", "missing or empty"),
        ("api-key", b"two\nlines", "not one line of ASCII text"),
        ("api-key", "clé".encode(), "not one line of ASCII text"),
        ("api-secret", None, "missing or empty"),
        ("api-secret", b"x" * 5000, "longer than 1024 bytes"),
        ("tls.crt", None, "missing or empty"),
        ("tls.crt", b"garbage", "not PEM certificates"),
        ("tls.crt", b"x" * 200_000, "longer than 95000 bytes"),
        ("tls.key", None, "missing or empty"),
        ("tls.key", b"garbage", "not a PEM private key (PKCS#8, PKCS#1 or SEC 1)"),
        ("tls.key", b"x" * 50_000, "longer than 13000 bytes"),
        ("tls.key", ed25519_key(), "neither an RSA nor an elliptic-curve key"),
        ("tls.key", key_with_passphrase(), "has a passphrase; store the key without one"),
        ("tls.key", other_key(), "is not the key of the first certificate in tls.crt"),
        ("ca.crt", b"", "missing or empty"),
        ("ca.crt", b"garbage", "not PEM certificates"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(
    data: dict[str, bytes], key: str, value: bytes | None, problem: str
) -> None:
    if value is None:
        del data[key]
    else:
        data[key] = value
    with pytest.raises(Unauthorised) as caught:
        parse(NAME, encoded(data))
    assert str(caught.value) == f"Secret {NAME}: {key}: {problem}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_what_is_no_base64_is_told(data: dict[str, bytes]) -> None:
    with pytest.raises(Unauthorised, match="api-key: not base64"):
        parse(NAME, encoded(data) | {"api-key": "***"})
