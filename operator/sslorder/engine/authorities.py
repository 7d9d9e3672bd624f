"""The authorities in use: one desk for each `SSLAuthority`, with the client and what was learnt through it.

Rules:
- What is learnt serves all orders: policy, claims and trust chain are read once, not once per order.
- Looking after an authority (token, policy, quota, statistics) is on nobody's behalf. Reading and making
  claims is, and happens after payment only.
- A desk is closed after so many calls in a row without an answer, and at once when the credentials are not
  accepted: no order asks until its own timer has tried it, and the orders are woken when that changes.
- Credentials are read anew at each look, so that a changed Secret is noticed. The same ones that were refused
  are not tried at every look: that may lock an account.
- One installation of the operator in a cluster buys through an authority: the one in its status.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sslorder.api import authority as api
from sslorder.api.authority import AuthorityStatus, PolicySummary, Quota, SSLAuthority
from sslorder.api.common import Condition, ConditionStatus
from sslorder.api.conditions import ConditionType, Reason
from sslorder.contract.authority import Claim, ClaimState, Policy
from sslorder.contract.ledger import Holder, Ledger
from sslorder.contract.snapshot import AuthorityView
from sslorder.engine.audit import Audit
from sslorder.engine.ports import (
    Authority,
    AuthorityError,
    Clock,
    Connection,
    Connector,
    NotYet,
    Refused,
    TryAgain,
    Unauthorised,
)

REFRESH = timedelta(minutes=5)
RETRY = timedelta(seconds=10)
REFUSED_AGAIN = timedelta(minutes=1)
"""How often credentials are tried that were refused."""
QUOTA_AGE = timedelta(seconds=5)
PLENTY = 500
CLAIMS_AGE = timedelta(minutes=10)
CLOSED_AFTER = 5
"""Calls in a row without an answer."""
MOST_NAMED = 5
_AFTER_THE_PROBE = timedelta(seconds=1)

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Desk:
    """What this process knows of one authority. `due` is when it is looked after next."""

    due: datetime
    connection: Connection | None = None
    policy: Policy | None = None
    quota: int | None = None
    quota_read_at: datetime | None = None
    chain: tuple[bytes, ...] = ()
    claims: tuple[Claim, ...] | None = None
    claims_read_at: datetime | None = None
    unavailable: tuple[Reason, str] | None = None
    unanswered: int = 0
    contacted_at: datetime | None = None
    refused_until: datetime | None = None
    audit: Audit = field(default_factory=Audit)
    keys_of_serials: dict[int, str | None] = field(default_factory=dict)


class Authorities:
    """Every desk, by the name of its `SSLAuthority`.

    `installation` is the UID of the operator's own namespace. `wake` has an authority looked after soon.
    """

    def __init__(
        self,
        connector: Connector,
        clock: Clock,
        installation: str,
        wake: Callable[[str], None],
        refresh: timedelta = REFRESH,
    ) -> None:
        self._connector = connector
        self._clock = clock
        self._installation = installation
        self._wake = wake
        self._refresh = refresh
        self._desks: dict[str, Desk] = {}

    def desk(self, name: str) -> Desk:
        return self._desks.setdefault(name, Desk(self._clock.now()))

    def forget(self, name: str) -> None:
        desk = self._desks.pop(name, None)
        if desk is not None and desk.connection is not None:
            desk.connection.authority.close()

    def client(self, name: str) -> Authority:
        """The client of an authority. `TryAgain`, for after the next look, while its desk is closed."""
        desk = self.desk(name)
        if desk.connection is None or desk.unavailable is not None:
            why = desk.unavailable[1] if desk.unavailable else "it has not been reached yet."
            wait = max(desk.due - self._clock.now(), timedelta()) + _AFTER_THE_PROBE
            raise TryAgain("connect", why, wait)
        return desk.connection.authority

    def view(self, declared: SSLAuthority) -> AuthorityView:
        """The authority as a plan sees it. Claims that are too old to rely on are not shown, and so read
        again."""
        desk, now = self.desk(declared.metadata.name), self._clock.now()
        fresh = desk.claims_read_at is not None and now - desk.claims_read_at < CLAIMS_AGE
        usable = desk.unavailable is None and declared.status.installation == self._installation
        return AuthorityView(
            declared=declared,
            is_default=declared.is_default,
            policy=desk.policy if usable else None,
            quota=desk.quota,
            claims=desk.claims if fresh else None,
            grace=desk.connection.grace if desk.connection else timedelta(minutes=15),
            unavailable=desk.unavailable[1] if desk.unavailable else None,
        )

    def revocations(self, ledger: Ledger) -> Mapping[str, datetime]:
        """The leaves of a ledger that the authority lists as revoked, with the moment that was seen."""
        seen = self.desk(ledger.authority).audit.revoked
        return {leaf.serial: seen[leaf.serial] for leaf in ledger.leaves if leaf.serial in seen}

    def is_anothers(self, declared: SSLAuthority) -> bool:
        """Whether another installation of this cluster buys through it."""
        return declared.status.installation not in (None, self._installation)

    # Looking after

    async def refresh(self, declared: SSLAuthority) -> bool:
        """Read credentials, policy and quota. Returns whether orders may see a difference."""
        desk, wait = self.desk(declared.metadata.name), RETRY
        before = (desk.connection, desk.policy, desk.unavailable)
        try:
            if await self._connect(declared, desk):
                await self._probe(desk)
            if desk.unavailable is None:
                wait = self._refresh
        except Unauthorised as error:
            desk.unavailable = (Reason.CREDENTIALS_INVALID, error.detail)
        except AuthorityError as error:
            desk.unavailable = (Reason.AUTHORITY_UNAVAILABLE, f"{error.operation} failed: {error.detail}")
            if isinstance(error, TryAgain) and error.retry_after is not None:
                wait = max(wait, error.retry_after)
        desk.due = self._clock.now() + wait
        if desk.unavailable not in (None, before[2]):
            logger.warning("SSLAuthority %s: %s", declared.metadata.name, desk.unavailable[1])
        return before != (desk.connection, desk.policy, desk.unavailable)

    async def _connect(self, declared: SSLAuthority, desk: Desk) -> bool:
        """Bring the client to the credentials as they are now. Returns whether it is time to try them."""
        known = desk.connection
        try:
            desk.connection = await self._connector.connect(declared, known)
        except Unauthorised:
            desk.connection = None
            raise
        finally:
            if known is not None and known is not desk.connection:
                known.authority.close()
        if known is not desk.connection:
            desk.refused_until = None
        return desk.refused_until is None or desk.refused_until <= self._clock.now()

    async def _probe(self, desk: Desk) -> None:
        assert desk.connection is not None
        client = desk.connection.authority
        try:
            await client.login()
            policy = await client.policy()
            await self._read_quota(desk, client)
        except Unauthorised:
            desk.refused_until = self._clock.now() + REFUSED_AGAIN
            raise
        desk.policy, desk.unavailable, desk.unanswered, desk.refused_until = policy, None, 0, None

    async def audit(self, declared: SSLAuthority, ledgers: Iterable[Ledger]) -> set[Holder]:
        """Look at what was done with the credential unasked. Returns the holders of leaves that the authority
        has revoked. A failure is logged; the next look makes up for it."""
        desk, since = self.desk(declared.metadata.name), declared.status.installed_at
        connection = desk.connection
        if connection is None or connection.statistics is None or desk.unavailable or since is None:
            return set()
        try:
            return await desk.audit.look(
                connection.statistics,
                connection.authority,
                ledgers,
                since,
                connection.grace,
                self._clock.now(),
            )
        except AuthorityError as error:
            logger.warning("SSLAuthority %s: its statistics were not read: %s", declared.metadata.name, error)
            self.failed(declared.metadata.name, error)
            return set()

    def refresh_due(self, name: str) -> datetime:
        """When an authority is looked after next."""
        return self.desk(name).due

    # How calls end

    def answered(self, name: str) -> None:
        """Take note of an answer."""
        desk = self.desk(name)
        desk.unanswered, desk.contacted_at = 0, self._clock.now()

    def failed(self, name: str, error: AuthorityError) -> None:
        """Take note of a call that failed: it may close the desk."""
        desk = self.desk(name)
        if desk.unavailable is not None:
            return  # nobody was asked
        if isinstance(error, Refused | NotYet):
            self.answered(name)
            return
        desk.unanswered += 1
        if isinstance(error, Unauthorised):
            desk.unavailable, desk.due = (Reason.CREDENTIALS_INVALID, error.detail), self._clock.now()
        elif desk.unanswered >= CLOSED_AFTER:
            why = (
                f"{desk.unanswered} calls in a row had no answer, the last {error.operation}: {error.detail}"
            )
            desk.unavailable, desk.due = (Reason.AUTHORITY_UNAVAILABLE, why), self._clock.now() + RETRY
        else:
            return
        logger.warning("SSLAuthority %s: %s", name, desk.unavailable[1])
        self._wake(name)

    # Learning

    async def take_from_quota(self, name: str) -> int:
        """What is left of the quota before one more purchase. Where plenty was left a moment ago, it is
        counted
        down here; else the authority is asked, for others may use the same credential."""
        desk = self.desk(name)
        fresh = desk.quota_read_at is not None and self._clock.now() - desk.quota_read_at <= QUOTA_AGE
        if desk.quota is None or not fresh or desk.quota <= PLENTY:
            return await self.read_quota(name)
        desk.quota -= 1
        return desk.quota

    async def read_quota(self, name: str) -> int:
        return await self._read_quota(self.desk(name), self.client(name))

    async def _read_quota(self, desk: Desk, client: Authority) -> int:
        desk.quota = await client.quota()
        desk.quota_read_at = desk.contacted_at = self._clock.now()
        return desk.quota

    async def read_claims(self, name: str, tokens: Mapping[str, str]) -> None:
        """Read all claims. The authority tells a token only once: those of pending claims come from `tokens`,
        by domain."""
        desk = self.desk(name)
        held = {claim.id: claim.token for claim in desk.claims or () if claim.token}
        desk.claims = tuple(
            replace(claim, token=held.get(claim.id) or tokens.get(claim.domain))
            if claim.state is ClaimState.PENDING
            else claim
            for claim in await self.client(name).claims()
        )
        desk.claims_read_at = self._clock.now()

    async def submit_claim(self, name: str, domain: str) -> None:
        """Claim a domain. A claim that is pending already, but whose token nobody has any longer, is made
        once more."""
        desk, client = self.desk(name), self.client(name)
        lost = next(
            (
                claim
                for claim in desk.claims or ()
                if claim.domain == domain and claim.state is ClaimState.PENDING
            ),
            None,
        )
        claim = await (client.submit_claim(domain) if lost is None else client.reassert_claim(lost))
        desk.claims = (*(known for known in desk.claims or () if known is not lost), claim)

    async def assert_claim(self, name: str, claim_id: str, domain: str) -> None:
        """Have the authority look. What it found is read back, for it decides until when the proof serves."""
        if await self.client(name).assert_dns(claim_id, domain):
            await self.read_claims(name, {})

    async def trust_chain(self, name: str, *, anew: bool) -> Sequence[bytes]:
        """The chain above the leaves, as last read, or read anew: issuing authorities change at any time."""
        desk = self.desk(name)
        if anew or not desk.chain:
            desk.chain = tuple(await self.client(name).trust_chain())
        return desk.chain

    # Telling

    def status(self, declared: SSLAuthority) -> AuthorityStatus:
        """What the object's status says. Equal as long as nothing that it says has changed: the last contact
        is told beside something else only."""
        desk, before = self.desk(declared.metadata.name), declared.status
        quota, counters = before.quota, desk.audit.counters
        if (
            desk.quota is not None
            and desk.quota_read_at is not None
            and (quota is None or quota.remaining != desk.quota)
        ):
            quota = Quota(remaining=max(0, desk.quota), observed_at=desk.quota_read_at)
        status = AuthorityStatus(
            observed_generation=declared.metadata.generation,
            conditions=self._conditions(declared, desk),
            policy=PolicySummary(
                shortest_validity=desk.policy.shortest_validity, longest_validity=desk.policy.longest_validity
            )
            if desk.policy
            else before.policy,
            quota=quota,
            counters=api.Counters(issued=counters.issued, revoked=counters.revoked)
            if counters
            else before.counters,
            last_contact=before.last_contact,
            installation=before.installation or self._installation,
            installed_at=before.installed_at or self._clock.now(),
        )
        if status == before:
            return before
        return status.model_copy(update={"last_contact": desk.contacted_at or before.last_contact})

    def _conditions(self, declared: SSLAuthority, desk: Desk) -> tuple[Condition, ...]:
        reason, message = desk.unavailable or (
            Reason.AUTHORITY_READY,
            "The authority answers, and accepts the credentials.",
        )
        ready = desk.unavailable is None and desk.policy is not None
        conditions = [self._condition(declared, ConditionType.READY, ready, reason, message)]
        if unknown := desk.audit.unknown:
            named = f"{', '.join(unknown[:MOST_NAMED])}{' and others' if len(unknown) > MOST_NAMED else ''}"
            conditions.append(
                self._condition(
                    declared,
                    ConditionType.UNKNOWN_CERTIFICATES,
                    True,
                    Reason.NOT_IN_DOSSIERS,
                    f"{len(unknown)} certificates were issued with this credential that no dossier knows:"
                    f" {named}. Somebody else uses the credential (each cluster needs one of its own), or a"
                    " dossier was lost. Find out whose they are; revoke at the authority what nobody needs,"
                    " adopt the rest by a Resolve.",
                )
            )
        return tuple(conditions)

    def _condition(
        self, declared: SSLAuthority, kind: ConditionType, holds: bool, reason: Reason, message: str
    ) -> Condition:
        known = next((entry for entry in declared.status.conditions if entry.type == kind), None)
        status = ConditionStatus.TRUE if holds else ConditionStatus.FALSE
        return Condition(
            type=kind,
            status=status,
            observed_generation=declared.metadata.generation,
            last_transition_time=known.last_transition_time
            if known is not None and known.status == status
            else self._clock.now(),
            reason=reason,
            message=message,
        )
