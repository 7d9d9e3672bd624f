"""Everything that a plan may look at: one frozen picture of an order and what surrounds it.

Rules:
- The engine gathers it; nothing in `contract` reaches beyond it.
- What only this process knows (a purchase in hand, an authority that did not answer) stands in `Notes`.
  Losing them, by a crash, may cost time, but never money: each is either repeated harmlessly or, for a
  purchase, made up for by a search.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.conditions import Reason
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.contract.authority import Claim, Policy
from sslorder.contract.calendar import local_date
from sslorder.contract.ledger import Holder, Ledger


@dataclass(frozen=True, slots=True)
class Edition:
    """One version of the provider's conditions, in force from a date on."""

    version: str
    valid_from: date
    url: str


def edition_at(editions: Iterable[Edition], moment: datetime) -> Edition:
    """The edition in force at a moment: the latest that had begun; before the first, the first."""
    day, ranked = local_date(moment), sorted(editions, key=lambda edition: edition.valid_from)
    return next((edition for edition in reversed(ranked) if edition.valid_from <= day), ranked[0])


@dataclass(frozen=True, slots=True)
class Provider:
    """The reseller, as its operator's configuration names it. `contact` is whom messages send people to."""

    name: str
    contact: str
    conditions: tuple[Edition, ...]
    authority_terms: tuple[Edition, ...]


@dataclass(frozen=True, slots=True)
class AuthorityView:
    """An `SSLAuthority` and what is known of it. `policy` is None until it answered once, and while it cannot
    be used. `held_by`: where the other installation is that buys through it."""

    declared: SSLAuthority
    is_default: bool
    policy: Policy | None
    quota: int | None
    claims: tuple[Claim, ...] | None
    grace: timedelta
    unavailable: str | None
    held_by: str | None = None

    @property
    def awaited(self) -> bool:
        """Whether its first answer is still to come."""
        return self.policy is None and self.unavailable is None


@dataclass(frozen=True, slots=True)
class SecretView:
    """A Secret that bears our mark, without its contents: those are told by their digest."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    order_uid: str
    contract: str
    owner_uids: tuple[str, ...]
    type: str
    content_sha256: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A call that failed, and when it is tried again."""

    reason: Reason
    message: str
    retry_at: datetime
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Notes:
    """What this process alone knows of an order.

    `in_hand`: key of the intent that it recorded and certainly has not sent.
    `uncertain_since`: when it first met an intent that may have been sent; `searched_at`: its last search
    that found nothing. `asserted`: when a claim was last looked at by the authority. `foreign_secret`: the
    name at which a Secret without our mark stands.
    """

    in_hand: str | None = None
    uncertain_since: datetime | None = None
    searched_at: datetime | None = None
    asserted: Mapping[str, datetime] = field(default_factory=dict)
    foreign_secret: str | None = None
    foreign_seen_at: datetime | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One order, now.

    `absent_since` is when the last operator before this one was seen to be at work. `revoked_by_authority`:
    serial numbers of leaves that the authority lists as revoked, and since when that is known.
    """

    now: datetime
    provider: Provider
    order: SSLCertificateOrder
    namespace_uid: str | None
    accounts: tuple[SSLAccount, ...]
    pinned_uid: str | None
    authority: AuthorityView | None
    payments: tuple[SSLPayment, ...]
    actions: tuple[SSLContractAction, ...]
    ledger: Ledger | None
    contract_hash: str | None
    rival: Holder | None
    secrets: tuple[SecretView, ...]
    notes: Notes
    absent_since: datetime | None = None
    revoked_by_authority: Mapping[str, datetime] = field(default_factory=dict)
