"""HVCA's validation policy, and the judgement of a certificate request by it.

Shapes and semantics are those of GlobalSign's public client (globalsign/hvclient: policy.go, request.go). A
field that a policy does not mention is forbidden. STATIC fields are the policy's to fill in: a request that
names one is refused.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from pydantic import BaseModel, ConfigDict, Field

MAX_NAME = 253  # RFC 1035 2.3.4, without the root's dot
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Presence(StrEnum):
    OPTIONAL = "OPTIONAL"
    REQUIRED = "REQUIRED"
    FORBIDDEN = "FORBIDDEN"
    STATIC = "STATIC"


class ValidityPolicy(BaseModel):
    """Seconds; `issuer_expiry` is a moment (unix), after which nothing may be valid."""

    secondsmin: int
    secondsmax: int
    not_before_negative_skew: int = 120
    not_before_positive_skew: int = 3_600
    issuer_expiry: int


class StringPolicy(BaseModel):
    presence: Presence
    format: str = ""


class ListPolicy(BaseModel):
    static: bool = False
    list: tuple[str, ...] = ()
    mincount: int = 0
    maxcount: int = 0


class ExtendedKeyUsagePolicy(BaseModel):
    ekus: ListPolicy
    critical: bool = False


class AlgorithmPolicy(BaseModel):
    presence: Presence
    list: tuple[str, ...]


class SignaturePolicy(BaseModel):
    algorithm: AlgorithmPolicy
    hash_algorithm: AlgorithmPolicy


class PublicKeyPolicy(BaseModel):
    key_type: Literal["RSA", "ECDSA"]
    allowed_lengths: list[int]
    key_format: Literal["PKCS8", "PKCS10"]


class Policy(BaseModel):
    """The body of GET /validationpolicy."""

    validity: ValidityPolicy
    subject_dn: dict[str, StringPolicy | ListPolicy]
    san: dict[str, ListPolicy]
    extended_key_usages: ExtendedKeyUsagePolicy
    signature: SignaturePolicy
    public_key: PublicKeyPolicy
    public_key_signature: Presence


class _Member(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Validity(_Member):
    not_before: int = 0
    not_after: int = 0


class Signature(_Member):
    algorithm: str = ""
    hash_algorithm: str = ""


class CertificateRequest(_Member):
    """The body of POST /certificates. Members that no TLS product permits are read to be refused by name."""

    validity: Validity = Validity()
    subject_dn: dict[str, str | list[Any]] = {}
    san: dict[str, list[Any]] = {}
    extended_key_usages: list[str] = []
    signature: Signature = Signature()
    public_key: str = Field(default="", max_length=16_384)
    public_key_signature: str = ""
    key_usages: dict[str, bool] | None = None
    subject_da: dict[str, Any] | None = None
    qualified_statements: dict[str, Any] | None = None
    ms_extension_template: dict[str, Any] | None = None
    custom_extensions: dict[str, Any] | None = None


class RefusedByPolicyError(Exception):
    """The request contradicts the policy; the text names the member. HVCA answers 422."""


@dataclass(frozen=True)
class Order:
    """What a request amounts to once the policy has been applied. Moments are unix seconds."""

    public_key: PublicKey
    subject: dict[str, str]
    dns_names: tuple[str, ...]
    not_before: int
    not_after: int


def judge(request: CertificateRequest, policy: Policy, now: int) -> Order:
    """Apply `policy` to `request` at `now`; raises RefusedByPolicyError."""
    for member in (
        "key_usages",
        "subject_da",
        "qualified_statements",
        "ms_extension_template",
        "custom_extensions",
    ):
        if getattr(request, member):
            raise RefusedByPolicyError(f"{member}: forbidden by the validation policy")
    not_before, not_after = _validity(request.validity, policy.validity, now)
    san = {kind: _list(f"san.{kind}", request.san.get(kind, []), rule) for kind, rule in policy.san.items()}
    _nothing_beyond("san", request.san, policy.san)
    dns_names = tuple(san.get("dns_names", []))
    if len(set(dns_names)) < len(dns_names):
        raise RefusedByPolicyError("san.dns_names: a name is given twice")
    if any(len(name) > MAX_NAME for name in dns_names):
        raise RefusedByPolicyError(f"san.dns_names: a name is longer than {MAX_NAME} characters")
    subject = _subject(request.subject_dn, policy.subject_dn)
    if "common_name" in subject and subject["common_name"] not in dns_names:
        raise RefusedByPolicyError("subject_dn.common_name: must be one of san.dns_names (BR 7.1.4.3)")
    _list("extended_key_usages", request.extended_key_usages, policy.extended_key_usages.ekus)
    for name in ("algorithm", "hash_algorithm"):
        _algorithm(f"signature.{name}", getattr(request.signature, name), getattr(policy.signature, name))
    return Order(_public_key(request, policy), subject, dns_names, not_before, not_after)


def _validity(asked: Validity, rule: ValidityPolicy, now: int) -> tuple[int, int]:
    not_before = asked.not_before or now
    if not now - rule.not_before_negative_skew <= not_before <= now + rule.not_before_positive_skew:
        raise RefusedByPolicyError(
            f"validity.not_before: {not_before} is too far from the authority's clock, {now}"
        )
    not_after = asked.not_after or min(not_before + rule.secondsmax, rule.issuer_expiry)
    if not rule.secondsmin <= not_after - not_before <= rule.secondsmax:
        raise RefusedByPolicyError(
            f"validity: {not_after - not_before} s is outside {rule.secondsmin} to {rule.secondsmax} s"
        )
    if not_after > rule.issuer_expiry:
        raise RefusedByPolicyError("validity.not_after: later than the issuer's own end")
    return not_before, not_after


def _subject(
    asked: dict[str, str | list[Any]], rules: dict[str, StringPolicy | ListPolicy]
) -> dict[str, str]:
    _nothing_beyond("subject_dn", asked, rules)
    subject: dict[str, str] = {}
    for field, rule in rules.items():
        value = asked.get(field, "")
        if isinstance(rule, ListPolicy):
            _list(f"subject_dn.{field}", value or [], rule)
        elif (text := _string(f"subject_dn.{field}", value, rule)) is not None:
            subject[field] = text
    return subject


def _nothing_beyond(member: str, asked: dict[str, Any], rules: dict[str, Any]) -> None:
    for field, value in asked.items():
        if value and field not in rules:
            raise RefusedByPolicyError(f"{member}.{field}: forbidden by the validation policy")


def _string(member: str, value: str | list[Any], rule: StringPolicy) -> str | None:
    if not isinstance(value, str):
        raise RefusedByPolicyError(f"{member}: must be a string")
    if rule.presence in (Presence.STATIC, Presence.FORBIDDEN):
        if value:
            raise RefusedByPolicyError(f"{member}: {rule.presence} in the validation policy, leave it out")
        return rule.format if rule.presence is Presence.STATIC else None
    if not value:
        if rule.presence is Presence.REQUIRED:
            raise RefusedByPolicyError(f"{member}: required by the validation policy")
        return None
    if not re.fullmatch(rule.format, value):
        raise RefusedByPolicyError(f"{member}: {value!r} does not match {rule.format}")
    return value


def _list(member: str, values: str | list[Any], rule: ListPolicy) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RefusedByPolicyError(f"{member}: must be a list of strings")
    if rule.static:
        if values:
            raise RefusedByPolicyError(f"{member}: static in the validation policy, leave it out")
        return list(rule.list)
    if not rule.mincount <= len(values) <= rule.maxcount:
        raise RefusedByPolicyError(
            f"{member}: {len(values)} values, allowed {rule.mincount} to {rule.maxcount}"
        )
    for value in values:
        if not any(re.fullmatch(pattern, value) for pattern in rule.list):
            raise RefusedByPolicyError(f"{member}: {value!r} matches none of the policy's formats")
    return values


def _algorithm(member: str, value: str, rule: AlgorithmPolicy) -> None:
    if rule.presence in (Presence.STATIC, Presence.FORBIDDEN):
        if value:
            raise RefusedByPolicyError(f"{member}: {rule.presence} in the validation policy, leave it out")
    elif value and value not in rule.list:
        raise RefusedByPolicyError(f"{member}: {value!r}, allowed are {', '.join(rule.list)}")
    elif not value and rule.presence is Presence.REQUIRED:
        raise RefusedByPolicyError(f"{member}: required by the validation policy")


def _public_key(request: CertificateRequest, policy: Policy) -> PublicKey:
    rule = policy.public_key
    try:
        key = _possessed_key(request.public_key.encode(), rule.key_format)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RefusedByPolicyError(f"public_key: not a {rule.key_format} public key in PEM") from error
    match key:
        case rsa.RSAPublicKey():
            found = "RSA"
            if key.public_numbers().e < 65_537 or key.public_numbers().e % 2 == 0:
                raise RefusedByPolicyError("public_key: the RSA exponent must be odd and at least 65537")
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1() | ec.SECP384R1() | ec.SECP521R1()):
            found = "ECDSA"
        case _:
            raise RefusedByPolicyError(
                "public_key: neither RSA nor ECDSA on P-256, P-384 or P-521 (BR 6.1.5)"
            )
    if found != rule.key_type or key.key_size not in rule.allowed_lengths:
        allowed = ", ".join(map(str, rule.allowed_lengths))
        raise RefusedByPolicyError(
            f"public_key: {found} of {key.key_size} bits; allowed are {rule.key_type} of {allowed} bits"
        )
    signature = _string("public_key_signature", request.public_key_signature, _signature_rule(policy))
    if signature is not None:
        _prove_possession(key, signature)
    return key


def _possessed_key(pem: bytes, key_format: str) -> PublicKeyTypes:
    if key_format == "PKCS8":
        return serialization.load_pem_public_key(pem)
    csr = x509.load_pem_x509_csr(pem)
    if not csr.is_signature_valid:
        raise RefusedByPolicyError("public_key: the signing request is not signed with its own key")
    return csr.public_key()


def _signature_rule(policy: Policy) -> StringPolicy:
    return StringPolicy(presence=policy.public_key_signature, format=r"[A-Za-z0-9+/]+={0,2}")


def _prove_possession(key: PublicKey, signature: str) -> None:
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        signed = base64.b64decode(signature, validate=True)
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signed, spki, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signed, spki, ec.ECDSA(hashes.SHA256()))
    except (binascii.Error, InvalidSignature) as error:
        raise RefusedByPolicyError("public_key_signature: does not verify with public_key") from error
