"""What the engine needs from the world, as protocols that the engine owns.

Rules:
- Adapters (`authority`, `cluster`, `validation`) implement these; the engine never imports an adapter.
- An adapter never retries. Whether, when and what to try again is decided where the whole order is known.
- Every failure of an authority is one of the four classes below, chosen by what it means for a purchase, not
  by its wire format.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from sslorder.api.authority import SSLAuthority
from sslorder.api.common import KubernetesObject, Subject
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.schema import Projection
from sslorder.contract.authority import Claim, Policy
from sslorder.contract.circumstances import RevocationReason
from sslorder.contract.ledger import Ledger
from sslorder.contract.snapshot import SecretView

PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey


class Clock(Protocol):
    """The one source of wall-clock time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class AuthorityError(Exception):
    """A call to an authority did not give what was asked.

    `operation` names the call in the authority's own words (`POST /certificates`), `detail` what it answered
    or how it failed.
    Neither ever holds a credential or a key.
    """

    def __init__(self, operation: str, detail: str) -> None:
        super().__init__(f"{operation}: {detail}")
        self.operation = operation
        self.detail = detail


class Refused(AuthorityError):
    """The authority understood and said no: nothing was issued. Asking the same again is pointless until the
    order,
    a claim or the policy changes (400, 404, 415, 422)."""


class Unauthorised(AuthorityError):
    """The credentials or the address are missing, malformed or not accepted (401, 403): nothing was done.
    Ends when an administrator mends them."""


class TryAgain(AuthorityError):
    """Nothing was done, and nothing stands against trying again (no connection, 429, exhausted quota, 503 on
    a read)."""

    def __init__(self, operation: str, detail: str, retry_after: timedelta | None = None) -> None:
        super().__init__(operation, detail)
        self.retry_after = retry_after


class NotYet(TryAgain):
    """The authority answers, but what was asked is not possible yet: its quota is exhausted, or it is still
    making the certificate. Says nothing against the authority itself."""


class OutcomeUnknown(AuthorityError):
    """The request may have reached the authority and may have taken effect (time-out, reset, 5xx, an answer
    that makes no sense).
    For a purchase this means: search before asking again."""


@dataclass(frozen=True, slots=True)
class IssuanceRequest:
    """One leaf as it is asked of the authority, which may issue it or refuse it, but not change it.

    `still_wanted` is asked once more when the request's turn has come, right before its first byte is sent:
    where
    it says no, nothing is sent (`TryAgain`). It is called from any thread, and answers at once.
    """

    key: PrivateKey
    dns_names: tuple[str, ...]
    not_after: datetime
    subject: Subject | None
    still_wanted: Callable[[], bool] = field(default=lambda: True, compare=False, repr=False)


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
    """A certification authority, seen through one credential. Every call may raise the four classes of
    `AuthorityError`."""

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

    async def reassert_claim(self, claim: Claim) -> Claim:
        """Claim a domain once more whose token was lost: the authority tells it only when it makes one."""
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
        """Serial numbers issued between the two moments. The authority's statistics lag by seconds or
        more."""
        ...

    async def trust_chain(self) -> Sequence[bytes]:
        """The chain above the leaves, PEM, the issuing authority first."""
        ...

    async def revoke(self, serial: int, reason: RevocationReason, at: datetime | None = None) -> None:
        """Revoke. A certificate that is revoked already is success. `at` is the time of a key compromise,
        where known."""
        ...

    def close(self) -> None:
        """Let go of threads and connections. Calls under way still end."""
        ...


@dataclass(frozen=True, slots=True)
class Counters:
    """How many certificates a credential had issued and revoked, in all."""

    issued: int
    revoked: int


class Statistics(Protocol):
    """What an authority tells of all that was done with one credential, by whomever. Not every authority
    does. Its lists lag by seconds or more."""

    async def issued(self, since: datetime, until: datetime) -> Sequence[int]:
        """Serial numbers issued between the two moments."""
        ...

    async def revoked(self, since: datetime, until: datetime) -> Sequence[int]:
        """Serial numbers revoked between the two moments."""
        ...

    async def counters(self) -> Counters:
        """The totals."""
        ...


class Connector(Protocol):
    """Makes authorities out of `SSLAuthority` objects and the credentials that they refer to."""

    async def connect(self, declared: SSLAuthority, known: "Connection | None") -> "Connection":
        """A client for the credentials as they are now: `known` itself where nothing changed.
        Raises `Unauthorised` when they are missing or malformed."""
        ...


@dataclass(frozen=True, slots=True)
class Connection:
    """A client, and the version of declaration and credentials that it was made from.

    `grace` is how long after an uncertain purchase the authority may still commit it, or not list it yet:
    the life of a token, the time-out of a call and the lag of its statistics. Without `statistics` nobody
    learns of what the authority does unasked.
    """

    authority: Authority
    version: str
    grace: timedelta
    statistics: Statistics | None = None


class ClusterError(Exception):
    """A call to the Kubernetes API did not do what was asked. The object is named in the text."""


class Stale(ClusterError):
    """The object is not as it was when it was read: look again, then decide again."""


class Occupied(ClusterError):
    """An object without our mark stands where ours should."""


@dataclass(frozen=True, slots=True)
class Dossier:
    """A contract's dossier as it was last read or written, without its keys."""

    digest: str
    resource_version: str
    ledger: Ledger


@dataclass(frozen=True, slots=True, repr=False)
class Material:
    """What is published of a leaf. Never printed."""

    key: bytes
    chain: bytes
    ca: bytes


class Dossiers(Protocol):
    """The dossiers in the operator's namespace. The operator is their only writer."""

    async def list(self) -> Sequence[Dossier]:
        """Every dossier. One that cannot be read is reported and left out; its contract is not served."""
        ...

    async def read(self, digest: str) -> Dossier | None:
        """One dossier, live."""
        ...

    async def create(self, ledger: Ledger, keys: Mapping[int, bytes]) -> Dossier:
        """Open a dossier: the lock on its contract. `Stale` when there is one already."""
        ...

    async def update(
        self,
        dossier: Dossier,
        ledger: Ledger,
        *,
        keys: Mapping[int, bytes] | None = None,
        certificates: Mapping[int, tuple[bytes, bytes]] | None = None,
        destroy: frozenset[int] = frozenset(),
    ) -> Dossier:
        """Write the ledger, add keys and certificates (chain, issuer) by leaf, destroy those of dead leaves:
        one write.
        `Stale` when the dossier is not as `dossier` has it."""
        ...

    async def key(self, dossier: Dossier, leaf: int) -> bytes:
        """The private key of a leaf, PKCS#8 PEM."""
        ...

    async def material(self, dossier: Dossier, leaf: int) -> Material:
        """Key and certificates of a leaf."""
        ...


class PublishedSecrets(Protocol):
    """The Secrets in the clients' namespaces."""

    async def publish(
        self,
        order: SSLCertificateOrder,
        known: SecretView | None,
        material: Material,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        contract_hash: str,
    ) -> SecretView:
        """Create the Secret or bring it up to date in one write. `Occupied` when another's stands there."""
        ...

    async def withdraw(self, namespace: str, name: str, uid: str, resource_version: str) -> None:
        """Delete precisely that Secret. One that is gone is success; one that changed is `Stale`."""
        ...


Kind = TypeVar("Kind", bound=KubernetesObject)


class Cluster(Protocol):
    """The objects that people declare, their status, and the events about them."""

    async def read(self, kind: type[Kind], namespace: str, name: str) -> Kind | None:
        """One object, live. None when there is none, or when it cannot be understood."""
        ...

    async def list(self, kind: type[Kind], fields: Mapping[str, str] | None = None) -> Sequence[Kind]:
        """Every object of a kind, live; with `fields` (selectable ones, by path) those that have these
        values."""
        ...

    async def write_status(self, current: Kind, status: Projection) -> Kind:
        """Bring the status to this, and return the object as it is then. `Stale` when it changed
        meanwhile."""
        ...

    async def announce(self, about: KubernetesObject, reason: str, message: str, *, warning: bool) -> None:
        """Tell people of a transition by an Event. A failure is logged and forgotten."""
        ...


class Lease(Protocol):
    """The right to act."""

    def is_valid(self) -> bool:
        """Whether this process may still do what cannot be undone."""
        ...
