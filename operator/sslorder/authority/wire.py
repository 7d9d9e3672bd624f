"""The shapes of HVCA v2 (GlobalSign's public client, globalsign/hvclient, is their source).

Rules:
- Lenient in what is read: unknown members are ignored. But what is used has its form and size checked here.
- Strict in what is sent: nothing beyond these members, and none that is empty.
- Serial numbers are integers inside and upper-case hexadecimal on the wire, without padding (Go's %X).
"""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, TypeAdapter

from sslorder.contract.authority import ClaimState
from sslorder.engine.ports import CertificateStatus

_SERIAL = re.compile(r"[0-9A-Fa-f]{1,40}")  # RFC 5280 4.1.2.2: at most 20 octets
_LOCATION = re.compile(rf"(?:.*/)?certificates/({_SERIAL.pattern})/?")


def serial_from_hex(text: object) -> int:
    """A serial number as the wire spells it. Raises `ValueError`."""
    if not isinstance(text, str) or not _SERIAL.fullmatch(text) or not (serial := int(text, 16)):
        raise ValueError("not a serial number")
    return serial


def serial_from_location(location: str) -> int:
    """The serial number at the end of a Location header. Raises `ValueError`."""
    if not (found := _LOCATION.fullmatch(location)):
        raise ValueError("not the address of a certificate")
    return serial_from_hex(found[1])


def serial_to_hex(serial: int) -> str:
    return f"{serial:X}"


def total_count(header: str | None) -> int | None:
    """The Total-Count of a list that comes in pages. Raises `ValueError`."""
    if header is not None and not re.fullmatch(r"[0-9]{1,9}", header):
        raise ValueError("not a total count")
    return None if header is None else int(header)


def _moment(seconds: object) -> datetime | None:
    """A moment from unix seconds; 0 and absent mean that there is none."""
    if not isinstance(seconds, int | None) or not 0 <= (seconds or 0) < 1 << 38:
        raise ValueError("not a moment in unix seconds")
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Serial = Annotated[int, BeforeValidator(serial_from_hex)]
Pem = Annotated[str, Field(max_length=36_500)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]  # becomes part of a path


class Received(BaseModel):
    """Anything that an authority answers."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Login(Received):
    access_token: Annotated[str, Field(pattern=r"^[!-~]{1,8192}$")]  # becomes part of a header


class Problem(Received):
    """`application/problem+json`, as far as HVCA uses it."""

    description: JsonValue = None
    errors: JsonValue = None


class Value(Received):
    """A counter or a quota."""

    value: Annotated[int, Field(ge=0)]


class CertificateInfo(Received):
    certificate: Pem
    status: CertificateStatus
    updated_at: Moment = None


class CertificateMeta(Received):
    serial_number: Serial


class ClaimAssertion(Received):
    """A claim that was just made, or made anew."""

    id: Identifier
    token: Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]  # becomes a TXT record: one character-string
    assert_by: Moment = None


class DomainClaim(Received):
    id: Identifier
    domain: Annotated[str, Field(min_length=1, max_length=254)]
    status: ClaimState
    expires_at: Moment = None
    assert_by: Moment = None


Metas = TypeAdapter(Annotated[list[CertificateMeta], Field(max_length=1000)])
Claims = TypeAdapter(Annotated[list[DomainClaim], Field(max_length=1000)])
TrustChain = TypeAdapter(Annotated[list[Pem], Field(min_length=1, max_length=10)])


class Presence(StrEnum):
    """Whether a request may, must or must not carry a field. STATIC: the authority fills it in."""

    OPTIONAL = "OPTIONAL"
    REQUIRED = "REQUIRED"
    FORBIDDEN = "FORBIDDEN"
    STATIC = "STATIC"


class StringPolicy(Received):
    presence: Presence = Presence.FORBIDDEN


class ListPolicy(Received):
    """Where `static`, the authority fills the list in."""

    static: bool = False
    mincount: int = 0
    maxcount: int = 0


class AlgorithmPolicy(Received):
    presence: Presence = Presence.FORBIDDEN
    choices: Annotated[list[str], Field(validation_alias="list")] = []


class ValidityPolicy(Received):
    """Seconds."""

    secondsmin: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    secondsmax: Annotated[int, Field(gt=0, lt=1 << 32)]


class KeyFormat(StrEnum):
    """PKCS8: the bare public key. PKCS10: a signing request, of which only the key counts."""

    PKCS8 = "PKCS8"
    PKCS10 = "PKCS10"


class PublicKeyPolicy(Received):
    key_type: str | None = None
    allowed_lengths: list[int] = []
    key_format: KeyFormat = KeyFormat.PKCS8


class SanPolicy(Received):
    dns_names: ListPolicy = ListPolicy()


class ExtendedKeyUsagePolicy(Received):
    ekus: ListPolicy = ListPolicy()


class SignaturePolicy(Received):
    algorithm: AlgorithmPolicy = AlgorithmPolicy()
    hash_algorithm: AlgorithmPolicy = AlgorithmPolicy()


class ValidationPolicy(Received):
    """What a request must look like. A field that is not mentioned is forbidden."""

    validity: ValidityPolicy
    subject_dn: dict[str, JsonValue] = {}
    san: SanPolicy = SanPolicy()
    extended_key_usages: ExtendedKeyUsagePolicy = ExtendedKeyUsagePolicy()
    signature: SignaturePolicy = SignaturePolicy()
    public_key: PublicKeyPolicy = PublicKeyPolicy()
    public_key_signature: Presence = Presence.FORBIDDEN


class Sent(BaseModel):
    """Anything that is sent to an authority."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def body(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


class LoginRequest(Sent):
    api_key: str
    api_secret: str


class Assertion(Sent):
    """An empty `authorization_domain` is an error; absent, the claimed domain itself is looked at."""

    authorization_domain: Annotated[str, Field(min_length=1)] | None = None


class Revocation(Sent):
    """`revocation_time` in unix seconds; absent means now."""

    revocation_reason: str
    revocation_time: int | None = None


class Validity(Sent):
    """Unix seconds."""

    not_before: int
    not_after: int


class San(Sent):
    dns_names: list[str]


class Signature(Sent):
    algorithm: str | None = None
    hash_algorithm: str | None = None


class CertificateRequest(Sent):
    validity: Validity
    subject_dn: dict[str, str] | None
    san: San
    extended_key_usages: list[str] | None
    signature: Signature | None
    public_key: str
    public_key_signature: str | None
