"""The authorities in use: one desk for each `SSLAuthority`, with the client and what was learnt through it.

Rules:
- What is learnt serves all orders: policy, claims and trust chain are read once, not once per order.
- Looking after an authority (token, policy, quota) is on nobody's behalf. Reading and making claims is, and
  happens after payment only.
- A desk says why it cannot be used. It is tried again by its own timer, and the orders that wait for it are
  woken when that changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sslorder.api.authority import AuthorityStatus, PolicySummary, Quota, SSLAuthority
from sslorder.api.common import Condition, ConditionStatus
from sslorder.api.conditions import ConditionType, Reason
from sslorder.contract.authority import Claim, ClaimState, Policy
from sslorder.contract.snapshot import AuthorityView
from sslorder.engine.ports import (
    Authority,
    AuthorityError,
    Clock,
    Connection,
    Connector,
    TryAgain,
    Unauthorised,
)

REFRESH = timedelta(minutes=5)
RETRY = timedelta(seconds=10)
CLAIMS_AGE = timedelta(minutes=10)


@dataclass(slots=True)
class Desk:
    """What this process knows of one authority."""

    connection: Connection | None = None
    policy: Policy | None = None
    quota: int | None = None
    quota_read_at: datetime | None = None
    chain: tuple[bytes, ...] = ()
    claims: tuple[Claim, ...] | None = None
    claims_read_at: datetime | None = None
    unavailable: tuple[Reason, str] | None = None
    refreshed_at: datetime | None = None
    keys_of_serials: dict[int, str | None] = field(default_factory=dict)


class Authorities:
    """Every desk, by the name of its `SSLAuthority`."""

    def __init__(self, connector: Connector, clock: Clock) -> None:
        self._connector = connector
        self._clock = clock
        self._desks: dict[str, Desk] = {}

    def desk(self, name: str) -> Desk:
        return self._desks.setdefault(name, Desk())

    def forget(self, name: str) -> None:
        self._desks.pop(name, None)

    def client(self, name: str) -> Authority:
        """The client of an authority. `TryAgain` where there is none yet."""
        desk = self.desk(name)
        if desk.connection is None:
            why = desk.unavailable[1] if desk.unavailable else "it has not been reached yet."
            raise TryAgain("connect", why)
        return desk.connection.authority

    def view(self, declared: SSLAuthority) -> AuthorityView:
        """The authority as a plan sees it. Claims that are too old to rely on are not shown, and so read
        again."""
        desk, now = self.desk(declared.metadata.name), self._clock.now()
        fresh = desk.claims_read_at is not None and now - desk.claims_read_at < CLAIMS_AGE
        return AuthorityView(
            declared=declared,
            is_default=declared.is_default,
            policy=desk.policy if desk.unavailable is None else None,
            quota=desk.quota,
            claims=desk.claims if fresh else None,
            grace=desk.connection.grace if desk.connection else timedelta(minutes=15),
            unavailable=desk.unavailable[1] if desk.unavailable else None,
        )

    async def refresh(self, declared: SSLAuthority) -> bool:
        """Log in, read policy and quota. Returns whether orders may see a difference."""
        desk = self.desk(declared.metadata.name)
        before = (desk.connection, desk.policy, desk.unavailable)
        try:
            known = desk.connection
            desk.connection = await self._connector.connect(declared, known)
            if known is not None and known is not desk.connection:
                known.authority.close()
            client = desk.connection.authority
            await client.login()
            desk.policy = await client.policy()
            await self.read_quota(declared.metadata.name)
            desk.unavailable = None
        except Unauthorised as error:
            desk.connection, desk.unavailable = None, (Reason.CREDENTIALS_INVALID, f"{error.detail}")
        except AuthorityError as error:
            desk.unavailable = (Reason.AUTHORITY_UNAVAILABLE, f"{error.operation} failed: {error.detail}")
        desk.refreshed_at = self._clock.now()
        return before != (desk.connection, desk.policy, desk.unavailable)

    def refresh_due(self, name: str) -> datetime:
        """When an authority is looked after next."""
        desk = self.desk(name)
        if desk.refreshed_at is None:
            return self._clock.now()
        return desk.refreshed_at + (RETRY if desk.unavailable else REFRESH)

    async def read_quota(self, name: str) -> int:
        desk = self.desk(name)
        desk.quota = await self.client(name).quota()
        desk.quota_read_at = self._clock.now()
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

    def status(self, declared: SSLAuthority) -> AuthorityStatus:
        """What the object's status says. Equal as long as nothing that it says has changed."""
        desk, before = self.desk(declared.metadata.name), declared.status
        ready = desk.unavailable is None and desk.policy is not None
        reason, message = desk.unavailable or (
            Reason.AUTHORITY_READY,
            "The authority answers, and accepts the credentials.",
        )
        known = next((entry for entry in before.conditions if entry.type == ConditionType.READY), None)
        status = ConditionStatus.TRUE if ready else ConditionStatus.FALSE
        same = known is not None and known.status == status
        quota = before.quota
        if (
            desk.quota is not None
            and desk.quota_read_at is not None
            and (quota is None or quota.remaining != desk.quota)
        ):
            quota = Quota(remaining=max(0, desk.quota), observed_at=desk.quota_read_at)
        return AuthorityStatus(
            observed_generation=declared.metadata.generation,
            conditions=(
                Condition(
                    type=ConditionType.READY,
                    status=status,
                    observed_generation=declared.metadata.generation,
                    last_transition_time=known.last_transition_time if known and same else self._clock.now(),
                    reason=reason,
                    message=message,
                ),
            ),
            policy=PolicySummary(
                shortest_validity=desk.policy.shortest_validity, longest_validity=desk.policy.longest_validity
            )
            if desk.policy
            else before.policy,
            quota=quota,
            installation=before.installation,
        )
