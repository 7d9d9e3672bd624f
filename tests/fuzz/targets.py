"""The parsers, each with good input of its own kind. Bad input they may take, or refuse in their own words.

Rules:
- A target raises nothing. It catches what its parser's callers catch, and no more.
- What a parser lets through is used as its callers use it.
"""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import TypeAdapter
from requests.structures import CaseInsensitiveDict

from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import KubernetesObject
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.authority import credentials, meaning, wire
from sslorder.authority.composition import ContradictsPolicyError, RequestRules
from sslorder.authority.transport import Answer
from sslorder.cluster import dossiers, objects, secrets
from sslorder.contract.ledger import Intent, Ledger
from sslorder.engine import certificates
from sslorder.engine.ports import IssuanceRequest, Unauthorised
from tests.api.manifests import AUTHORITY, DV_ORDER, PAYMENT
from tests.contract.build import a_leaf, a_ledger
from tests.fuzz import mutation

Target = Callable[[Random], None]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SERIAL = 0xF1
KEY, ISSUERS_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer")])
NAME = "www.example.com"


def _certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int) -> bytes:
    builder = x509.CertificateBuilder(
        ISSUER, subject, key.public_key(), serial, NOW - timedelta(days=1), NOW + timedelta(days=90)
    )
    for extension in (
        x509.SubjectAlternativeName([x509.DNSName(NAME)]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.BasicConstraints(ca=subject == ISSUER, path_length=None),
    ):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(ISSUERS_KEY, SHA256()).public_bytes(Encoding.PEM)


ROOT, LEAF = _certificate(ISSUER, ISSUERS_KEY, 1), _certificate(x509.Name([]), KEY, SERIAL)
KEY_PEM = certificates.write_key(KEY)
INTENT = Intent(
    1, 1, certificates.spki_sha256(KEY.public_key()), (NAME,), NOW + timedelta(days=90), NOW, f"{SERIAL:X}"
)
ASKED = IssuanceRequest(KEY, (NAME,), NOW + timedelta(days=90), None)
SECRETS = {"api-key": b"key-nobody-sees", "api-secret": b"secret-nobody-sees"}


# What HVCA answers


def _answers(parse: Callable[[bytes], object], seed: Any, random: Random) -> None:
    try:
        parse(mutation.as_body(random, seed))
    except ValueError:  # pydantic's own is one
        return


def _policy(random: Random) -> None:
    try:
        rules = RequestRules(mutation.as_body(random, POLICY))
    except ValueError:
        return
    assert rules.summary.longest_validity
    try:
        rules.compose(ASKED, NOW)
    except ContradictsPolicyError:
        return


def _problem(random: Random) -> None:
    body = mutation.as_body(random, {"description": "no claim", "errors": {"san": ["too long"]}})
    assert isinstance(meaning.description(Answer(422, {}, body)), str)


def _header(random: Random, seed: bytes) -> str:
    return mutation.of_bytes(random, seed).decode("latin-1")


def _retry_after(random: Random) -> None:
    seed = random.choice((b"120", b"Mon, 23 Nov 2026 12:00:30 GMT"))
    headers = CaseInsensitiveDict({"Retry-After": _header(random, seed)})
    wait = meaning.retry_after(Answer(429, headers, b""), NOW)
    assert wait is None or timedelta() <= wait <= timedelta(hours=1)


def _location(random: Random) -> None:
    try:
        serial = wire.serial_from_location(_header(random, b"https://hvca.example:8443/v2/certificates/01AB"))
    except ValueError:
        return
    assert 0 < serial < 1 << 160
    assert wire.serial_from_hex(wire.serial_to_hex(serial)) == serial


def _total_count(random: Random) -> None:
    try:
        wire.total_count(_header(random, b"120"))
    except ValueError:
        return


# Certificates and keys


def _verify(random: Random) -> None:
    pem, root = mutation.one_of(random, (LEAF, ROOT), mutation.of_pem)
    found = certificates.verify(pem, [root], f"{SERIAL:X}", INTENT, KEY_PEM, NOW)
    certificates.spki_of_certificate(pem)
    if isinstance(found, certificates.Verified):
        leaf = x509.load_pem_x509_certificate(found.chain)
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(found.ca))
        assert leaf.public_key() == KEY.public_key()


def _credentials(random: Random) -> None:
    parts = {**SECRETS, "tls.crt": LEAF, "tls.key": KEY_PEM, "ca.crt": ROOT}
    name = random.choice(tuple(parts))
    parts[name] = (mutation.of_bytes if name in SECRETS else mutation.of_pem)(random, parts[name])
    data = {key: base64.b64encode(value).decode() for key, value in parts.items()}
    if not random.randrange(4):
        data[name] = mutation.of_bytes(random, data[name].encode()).decode("latin-1")
    try:
        credentials.parse("hvca", data)
    except Unauthorised as refusal:
        told = str(refusal)
    else:
        told = ""
    assert all(secret.decode() not in told for secret in SECRETS.values())


# What lies in the cluster


def _dossier(random: Random) -> None:
    if random.randrange(2):
        ledger = mutation.as_body(random, LEDGER)
        data: Any = {"contract.json": base64.b64encode(ledger).decode()}
    else:
        data = mutation.of_json(
            random, {"contract.json": base64.b64encode(json.dumps(LEDGER).encode()).decode()}
        )
    name = dossiers.secret_name(a_ledger().key.digest)
    dossiers._read({"metadata": {"name": name, "resourceVersion": "1"}, "data": data})


def _published(random: Random) -> None:
    secret = {**SECRET, "metadata": {**SECRET["metadata"]}}
    for part in ("labels", "annotations"):
        secret["metadata"][part] = {
            mutation.of_bytes(random, key.encode()).decode("latin-1"): mutation.of_bytes(
                random, value.encode()
            ).decode("latin-1")
            for key, value in SECRET["metadata"][part].items()
        }
    content = mutation.of_bytes(random, LEAF)
    secret["data"] = {**SECRET["data"], "tls.crt": base64.b64encode(content).decode()}
    for part in ("data", "type"):
        if not random.randrange(4):
            del secret[part]
    secrets.view(secret)


def _manifest(kind: type[KubernetesObject], seed: Mapping[str, Any], random: Random) -> None:
    spec = mutation.of_json(random, {"spec": seed["spec"], "status": {}})
    objects.read(kind, {"metadata": {"name": "x", "namespace": "y", "uid": "z"}, **(spec or {})})


POLICY: Any = {
    "validity": {"secondsmin": 3600, "secondsmax": 199 * 86_400},
    "subject_dn": {
        "common_name": {"presence": "OPTIONAL", "format": "^.*$"},
        "organizational_unit": {"static": False, "list": [], "mincount": 0, "maxcount": 3},
    },
    "san": {"dns_names": {"static": False, "list": [".*"], "mincount": 1, "maxcount": 100}},
    "extended_key_usages": {"ekus": {"static": True, "list": ["1.3.6.1.5.5.7.3.1"], "mincount": 1}},
    "signature": {"algorithm": {"presence": "REQUIRED", "list": ["ECDSA"]}},
    "public_key": {"key_type": "ECDSA", "allowed_lengths": [256], "key_format": "PKCS10"},
    "public_key_signature": "REQUIRED",
}
CLAIM = {
    "id": "C1",
    "domain": "example.com.",
    "status": "PENDING",
    "expires_at": 0,
    "assert_by": 1_800_000_000,
}
ASSERTION = {"id": "C1", "token": "t", "assert_by": 1_800_000_000}
META = {"serial_number": "01AB", "not_before": 1_700_000_000, "not_after": 1_800_000_000}
INFO = {"certificate": LEAF.decode(), "status": "ISSUED", "updated_at": 1_700_000_000}
LEDGER = json.loads(TypeAdapter(Ledger).dump_json(a_ledger(a_leaf(), intent=INTENT)))
SECRET: Any = {
    "metadata": {
        "namespace": "shop",
        "name": "tls",
        "uid": "u",
        "resourceVersion": "1",
        "labels": {"ssl.synchrone.be/order-uid": "u"},
        "annotations": {
            "ssl.synchrone.be/contract": "c",
            "ssl.synchrone.be/not-after": "2026-11-23T12:00:00Z",
        },
        "ownerReferences": [{"uid": "u"}],
    },
    "type": "kubernetes.io/tls",
    "data": {key: base64.b64encode(LEAF).decode() for key in ("tls.crt", "tls.key", "ca.crt")},
}
ACTION = {
    "spec": {
        "action": "Suspend",
        "target": {"account": "acme", "purchaseOrder": "BC-1"},
        "cause": {"article": "8.1"},
    }
}

TARGETS: dict[str, Target] = {
    "HVCA: login": partial(_answers, wire.Login.model_validate_json, {"access_token": "t"}),
    "HVCA: quota or counter": partial(_answers, wire.Value.model_validate_json, {"value": 7}),
    "HVCA: certificate": partial(_answers, wire.CertificateInfo.model_validate_json, INFO),
    "HVCA: statistics": partial(_answers, wire.Metas.validate_json, [META, META]),
    "HVCA: claims": partial(_answers, wire.Claims.validate_json, [CLAIM]),
    "HVCA: claim made": partial(_answers, wire.ClaimAssertion.model_validate_json, ASSERTION),
    "HVCA: trust chain": partial(_answers, wire.TrustChain.validate_json, [ROOT.decode()]),
    "HVCA: validation policy, and a request by it": _policy,
    "HVCA: problem+json": _problem,
    "HVCA: Retry-After": _retry_after,
    "HVCA: Location": _location,
    "HVCA: Total-Count": _total_count,
    "certificate and chain": _verify,
    "credentials Secret": _credentials,
    "dossier": _dossier,
    "published Secret": _published,
    "SSLCertificateOrder": partial(_manifest, SSLCertificateOrder, DV_ORDER),
    "SSLPayment": partial(_manifest, SSLPayment, PAYMENT),
    "SSLAuthority": partial(_manifest, SSLAuthority, AUTHORITY),
    "SSLContractAction": partial(_manifest, SSLContractAction, ACTION),
}
