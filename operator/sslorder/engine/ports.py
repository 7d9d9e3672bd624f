"""What the engine needs from the world, as protocols that the engine owns.

Rules:
- Adapters (`authority`, `cluster`, `validation`) implement these; the engine never imports an adapter.
- An adapter never retries. Whether, when and what to try again is decided where the whole order is known.
- Every failure of an authority is one of the four classes below, chosen by what it means for a purchase, not by its wire format.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from sslorder.api.common import Subject
from sslorder.contract.authority import Claim, Policy
from sslorder.contract.circumstances import RevocationReason

PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey


class Clock(Protocol):
    """The one source of wall-clock time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class AuthorityError(Exception):
    """A call to an authority did not give what was asked.

    `operation` names the call in the authority's own words (`POST /certificates`), `detail` what it answered or how it failed.
    Neither ever holds a credential or a key.
    """

    def __init__(self, operation: str, detail: str) -> None:
        super().__init__(f"{operation}: {detail}")
        self.operation = operation
        self.detail = detail


class Refused(AuthorityError):
    """The authority understood and said no: nothing was issued. Asking the same again is pointless until the order,
    a claim or the policy changes (400, 404, 415, 422)."""


class Unauthorised(AuthorityError):
    """The credentials are missing, malformed or not accepted: nothing was done. Ends when an administrator mends them."""


class TryAgain(AuthorityError):
    """Nothing was done, and nothing stands against trying again (no connection, 429, exhausted quota, 503 on a read)."""

    def __init__(self, operation: str, detail: str, retry_after: timedelta | None = None) -> None:
        super().__init__(operation, detail)
        self.retry_after = retry_after


class OutcomeUnknown(AuthorityError):
    """The request may have reached the authority and may have taken effect (time-out, reset, 5xx, an answer that makes no sense).
    For a purchase this means: search before asking again."""


@dataclass(frozen=True, slots=True)
class IssuanceRequest:
    """One leaf as it is asked of the authority. The authority may issue it or refuse it, but not change it."""

    key: PrivateKey
    dns_names: tuple[str, ...]
    not_after: datetime
    subject: Subject | None


class CertificateStatus(StrEnum):
    """What the authority says of a serial that it knows."""

    ISSUED = "ISSUED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate as the authority holds it. `pem` is one leaf, unverified."""

    serial: int
    pem: bytes
    status: CertificateStatus
    updated_at: datetime | None


class Authority(Protocol):
    """A certification authority, seen through one credential. Every call may raise the four classes of `AuthorityError`."""

    async def login(self) -> None:
        """Make sure that a token is at hand that outlives the next call. Nothing irreversible."""
        ...

    async def policy(self) -> Policy:
        """What this credential may ask for."""
        ...

    async def quota(self) -> int:
        """How many certificates may still be issued."""
        ...

    async def claims(self) -> Sequence[Claim]:
        """Every domain claim of this credential, pending and verified."""
        ...

    async def submit_claim(self, domain: str) -> Claim:
        """Claim a domain; the answer carries the token to publish."""
        ...

    async def assert_dns(self, claim_id: str, authorization_domain: str | None = None) -> bool:
        """Ask the authority to look for the token in DNS now. True when the claim is verified."""
        ...

    async def request(self, request: IssuanceRequest) -> int:
        """Buy one certificate and return its serial number. Sent at most once by any one call."""
        ...

    async def certificate(self, serial: int) -> IssuedCertificate | None:
        """The certificate, or None while the authority is still making it."""
        ...

    async def issued(self, since: datetime, until: datetime) -> Sequence[int]:
        """Serial numbers issued between the two moments. The authority's statistics lag by seconds or more."""
        ...

    async def trust_chain(self) -> Sequence[bytes]:
        """The chain above the leaves, PEM, the issuing authority first."""
        ...

    async def revoke(self, serial: int, reason: RevocationReason, at: datetime | None = None) -> None:
        """Revoke. A certificate that is revoked already is success. `at` is the time of a key compromise, where known."""
        ...
