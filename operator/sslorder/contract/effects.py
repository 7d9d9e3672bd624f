"""What a plan asks to be done. Effects are values: they say what, never how.

Rules:
- They are carried out in the order given, and the first that does not succeed ends the pass.
- Each may be carried out twice without harm; for the one that buys, the intent in the ledger makes it so.
"""

from dataclasses import dataclass
from datetime import datetime

from sslorder.contract.circumstances import RevocationReason
from sslorder.contract.ledger import Intent, Leaf, Ledger


@dataclass(frozen=True, slots=True)
class RecordLedger:
    """Write the ledger into the dossier; keys that it no longer needs are destroyed in the same write."""

    ledger: Ledger


@dataclass(frozen=True, slots=True)
class PrepareIntent:
    """Make the key (or take that of leaf `key_of`), and write it with the intent into the dossier.

    The dossier is opened if there is none.
    """

    ledger: Ledger
    leaf: int
    dns_names: tuple[str, ...]
    not_after: datetime
    client_asked: bool
    key_of: int | None


@dataclass(frozen=True, slots=True)
class DropIntent:
    """Forget an intent that this process recorded and never sent."""

    ledger: Ledger


@dataclass(frozen=True, slots=True)
class RequestCertificate:
    """Buy: the one irreversible call. Preceded by a fresh look at everything that could forbid it."""

    ledger: Ledger
    intent: Intent


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Record the second and last attempt of an intent whose first one certainly bought nothing."""

    ledger: Ledger
    intent: Intent


@dataclass(frozen=True, slots=True)
class SearchIssued:
    """Look among what the authority issued since the intent for a certificate with the intent's key."""

    ledger: Ledger
    intent: Intent


@dataclass(frozen=True, slots=True)
class CollectCertificate:
    """Fetch the certificate whose serial is known, verify it, and record it as a leaf."""

    ledger: Ledger
    intent: Intent


@dataclass(frozen=True, slots=True)
class ReadClaims:
    """Learn which domain claims the authority holds for this credential."""


@dataclass(frozen=True, slots=True)
class SubmitClaim:
    """Claim a domain at the authority."""

    domain: str


@dataclass(frozen=True, slots=True)
class AssertClaim:
    """Ask the authority to look for the proof now."""

    claim_id: str
    domain: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Bring the Secret to the leaf's key and chain, the template, and our mark, in one write."""

    ledger: Ledger
    leaf: Leaf


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """Ask the authority whether a leaf is still good, before it is published again, and record what it
    says."""

    ledger: Ledger
    leaf: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take a published Secret away."""

    namespace: str
    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """Revoke a leaf at the authority and record the confirmation."""

    ledger: Ledger
    leaf: int
    reason: RevocationReason
    at: datetime | None


Effect = (
    RecordLedger
    | PrepareIntent
    | DropIntent
    | RequestCertificate
    | AskAgain
    | SearchIssued
    | CollectCertificate
    | ReadClaims
    | SubmitClaim
    | AssertClaim
    | Publish
    | CheckStatus
    | Withdraw
    | Revoke
)
