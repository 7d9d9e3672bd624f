"""A certificate request that a validation policy accepts.

Rules:
- STATIC and FORBIDDEN fields are left out. What the policy demands is supplied, or refused by its name.
- Names are never dropped or changed: all of them are asked for, or nothing is.
- The common name is discouraged (BR 7.1.4.3): sent only where it is required, and then one of the names.
- The policy's patterns are not run: a foreign regular expression may take for ever, and the authority
  runs them anyway.
"""

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import JsonValue
from pydantic_core import from_json

from sslorder.api.common import Subject
from sslorder.authority import wire
from sslorder.authority.wire import AlgorithmPolicy, KeyFormat, Presence
from sslorder.contract.authority import Policy
from sslorder.engine.ports import IssuanceRequest, PrivateKey

_SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
_LONGEST_COMMON_NAME = 64  # RFC 5280 A.1, ub-common-name

# HVCA's member → ours
_SUBJECT = {
    "organization": "organization",
    "country": "country",
    "locality": "locality",
    "state": "state_or_province",
    "street_address": "street_address",
    "business_category": "business_category",
    "serial_number": "registration_number",
    "jurisdiction_of_incorporation_country_name": "jurisdiction_country",
    "jurisdiction_of_incorporation_state_or_province_name": "jurisdiction_state_or_province",
    "jurisdiction_of_incorporation_locality_name": "jurisdiction_locality",
}


class ContradictsPolicyError(Exception):
    """The request cannot be made to fit the policy. The text names the policy's field."""


class RequestRules:
    """A validation policy: what it means for an order, and for the form of a request."""

    def __init__(self, body: bytes) -> None:
        """`body` is the answer to GET /validationpolicy. Raises `ValueError` when it makes no sense."""
        document: JsonValue = from_json(body)
        self._policy = wire.ValidationPolicy.model_validate(document)
        self._demanded = frozenset(_demanded(document))

    @property
    def summary(self) -> Policy:
        """What decides about an order."""
        names = self._policy.san.dns_names
        return Policy(
            shortest_validity=timedelta(seconds=self._policy.validity.secondsmin),
            longest_validity=timedelta(seconds=self._policy.validity.secondsmax),
            most_names=0 if names.static else names.maxcount,
        )

    def compose(self, asked: IssuanceRequest, not_before: datetime) -> bytes:
        """The body of POST /certificates. Signs, which takes milliseconds: call it off the event loop.
        Raises `ContradictsPolicyError`."""
        request = wire.CertificateRequest(
            validity=wire.Validity(
                not_before=int(not_before.timestamp()), not_after=int(asked.not_after.timestamp())
            ),
            subject_dn=self._subject(asked.subject, asked.dns_names) or None,
            san=self._san(asked.dns_names),
            extended_key_usages=self._key_usages(),
            signature=self._signature(),
            public_key=self._public_key(asked.key),
            public_key_signature=self._proof(asked.key),
        )
        if missing := sorted(self._demanded - set(_supplied(request.model_dump(exclude_none=True)))):
            raise ContradictsPolicyError(f"{', '.join(missing)}: the policy requires it, the order has none")
        return request.body()

    def _subject(self, subject: Subject | None, names: tuple[str, ...]) -> dict[str, str]:
        stated = {theirs: getattr(subject, ours, None) for theirs, ours in _SUBJECT.items()}
        fields = {theirs: str(value) for theirs, value in stated.items() if value and self._takes(theirs)}
        common_names = [name for name in names if len(name) <= _LONGEST_COMMON_NAME]
        if "subject_dn.common_name" in self._demanded and common_names:
            fields["common_name"] = common_names[0]
        return fields

    def _takes(self, subject_member: str) -> bool:
        match self._policy.subject_dn.get(subject_member):
            case {"presence": Presence.OPTIONAL | Presence.REQUIRED}:
                return True
            case _:
                return False

    def _san(self, names: tuple[str, ...]) -> wire.San:
        rule = self._policy.san.dns_names
        if rule.static:
            raise ContradictsPolicyError("san.dns_names: the policy names its own and takes no others")
        if not rule.mincount <= len(names) <= rule.maxcount:
            raise ContradictsPolicyError(
                f"san.dns_names: the order has {len(names)},"
                f" the policy takes {rule.mincount} to {rule.maxcount}"
            )
        return wire.San(dns_names=list(names))

    def _key_usages(self) -> list[str] | None:
        rule = self._policy.extended_key_usages.ekus
        if rule.mincount > 1 and not rule.static:
            raise ContradictsPolicyError("extended_key_usages: the policy requires more than serverAuth")
        return None if rule.static or rule.maxcount < 1 else [_SERVER_AUTH]

    def _signature(self) -> wire.Signature | None:
        rules = self._policy.signature
        algorithm, hash_algorithm = _first(rules.algorithm), _first(rules.hash_algorithm)
        if algorithm is None and hash_algorithm is None:
            return None
        return wire.Signature(algorithm=algorithm, hash_algorithm=hash_algorithm)

    def _public_key(self, key: PrivateKey) -> str:
        rule = self._policy.public_key
        found = "RSA" if isinstance(key, rsa.RSAPrivateKey) else "ECDSA"
        if found != (rule.key_type or found) or key.key_size not in (rule.allowed_lengths or [key.key_size]):
            raise ContradictsPolicyError(
                f"public_key: the order has {found} of {key.key_size} bits, the policy takes"
                f" {rule.key_type or 'any'} of {', '.join(map(str, rule.allowed_lengths)) or 'any'} bits"
            )
        if rule.key_format is KeyFormat.PKCS8:
            pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        else:  # of a signing request HVCA reads the key and its proof alone
            unnamed = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
            pem = unnamed.sign(key, SHA256()).public_bytes(Encoding.PEM)
        return pem.decode("ascii").removesuffix("\n")

    def _proof(self, key: PrivateKey) -> str | None:
        if self._policy.public_key_signature is not Presence.REQUIRED:
            return None
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if isinstance(key, rsa.RSAPrivateKey):
            signature = key.sign(spki, padding.PKCS1v15(), SHA256())
        else:
            signature = key.sign(spki, ec.ECDSA(SHA256()))
        return b64encode(signature).decode("ascii")


def _first(rule: AlgorithmPolicy) -> str | None:
    """What is sent where a choice is required: the first that the authority names."""
    return rule.choices[0] if rule.presence is Presence.REQUIRED and rule.choices else None


def _demanded(policy: JsonValue, path: str = "") -> Iterator[str]:
    """The fields, dotted, that a request must carry, wherever in the policy they stand."""
    match policy:
        case "REQUIRED" | {"presence": "REQUIRED"}:
            yield path
        case {"presence": _} | {"static": True}:
            return
        case {"mincount": int(least)}:
            if least > 0:
                yield path.removesuffix(".ekus")  # the request has no such level
        case dict(members):
            for name, member in members.items():
                yield from _demanded(member, f"{path}.{name}" if path else name)


def _supplied(request: object, path: str = "") -> Iterator[str]:
    if isinstance(request, dict):
        for name, member in request.items():
            yield from _supplied(member, f"{path}.{name}" if path else name)
    elif request:
        yield path
