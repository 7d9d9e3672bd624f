"""Carrying out one effect of a plan.

Rules:
- Memory follows the world: after each write the cache and the book hold what the API server answered, so that
  the next plan sees it.
- The one call that buys is preceded by a fresh look (the order live, payments and actions by one LIST that
  all waiting purchases
  share, the lease), and by a plan made from it that still wants the same. The note that an intent is in hand
  is torn up first.
- After that call only a listed answer means that nothing was bought. Anything else leaves the intent
  standing, to be searched for.
- A failed call to an authority becomes a note with a time to try again; a failed call to the API server is
  the worker's to retry.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from sslorder.api.action import SSLContractAction
from sslorder.api.conditions import Reason
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.api.revocation import Circumstance
from sslorder.contract import effects as do
from sslorder.contract.acquisition import basis_of
from sslorder.contract.circumstances import RevocationReason
from sslorder.contract.ledger import OWN_ACCORD, ContractKey, Intent, Leaf, Ledger, Refusal, Revocation
from sslorder.contract.plan import Plan
from sslorder.contract.secret import wanted_annotations, wanted_labels
from sslorder.contract.snapshot import Notes, Snapshot, Trouble
from sslorder.contract.standing import Standing
from sslorder.engine import certificates
from sslorder.engine.authorities import Authorities
from sslorder.engine.cache import Cache, Key, key_of
from sslorder.engine.gather import Book
from sslorder.engine.observer import Observer
from sslorder.engine.ports import (
    AuthorityError,
    CertificateStatus,
    Clock,
    Cluster,
    ClusterError,
    Dossier,
    Dossiers,
    IssuanceRequest,
    Lease,
    NotYet,
    Occupied,
    OutcomeUnknown,
    PublishedSecrets,
    Refused,
    TryAgain,
    Unauthorised,
)

logger = logging.getLogger(__name__)

FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(minutes=5)
SEARCH_MARGIN = timedelta(minutes=5)
FRESH_FOR = timedelta(seconds=10)
"""How long a fresh look holds. A purchase whose turn comes later is looked at once more."""


class FreshLook:
    """A contract's payments by a live LIST of its own, narrowed by the server; actions by one that everyone
    shares who asks before it begins: they are few, and any may reach beyond one contract."""

    def __init__(self, cluster: Cluster, cache: Cache, enqueue: Callable[[set[Key]], None]) -> None:
        self._cluster = cluster
        self._cache = cache
        self._enqueue = enqueue
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def take(self, contract: ContractKey) -> None:
        """Return when LISTs that began after this call have been taken note of."""
        if self._next is None:
            self._next = asyncio.create_task(self._list_actions(after=self._running))
        await asyncio.gather(asyncio.shield(self._next), self._list_payments(contract))

    async def _list_actions(self, after: "asyncio.Task[None] | None") -> None:
        if after is not None:
            await asyncio.wait([after])
        self._running, self._next = self._next, None
        known = self._cache.incarnations(SSLContractAction)
        self._enqueue(self._cache.put_list(known, await self._cluster.list(SSLContractAction)))

    async def _list_payments(self, contract: ContractKey) -> None:
        payments = self._cache.payments_of(contract.account, contract.purchase_order)
        known = {key_of(payment): payment.metadata.uid for payment in payments}
        chosen = {"spec.account": contract.account, "spec.purchaseOrder": contract.purchase_order}
        self._enqueue(self._cache.put_list(known, await self._cluster.list(SSLPayment, chosen)))


@dataclass(slots=True)
class World:
    """What an effect is carried out on: memory, and the ports to everything else.

    `absent_since` is when the operator before this one was last at work; it matters for the orders that this
    one has not looked at yet (`unseen`).
    """

    cache: Cache
    book: Book
    authorities: Authorities
    cluster: Cluster
    dossiers: Dossiers
    secrets: PublishedSecrets
    lease: Lease
    clock: Clock
    random: Random
    threads: Executor
    absent_since: datetime | None = None
    unseen: set[Key] = field(default_factory=set)
    notes: dict[Key, Notes] = field(default_factory=dict)
    failures: dict[Key, int] = field(default_factory=dict)
    observer: Observer = field(default_factory=Observer)


class Actor:
    """Carries out effects, one at a time per order."""

    def __init__(self, world: World, look: Callable[[SSLCertificateOrder], Plan], fresh: FreshLook) -> None:
        self._w = world
        self._look = look
        self._fresh = fresh

    async def carry_out(self, effect: do.Effect, s: Snapshot) -> None:
        """Carry out one effect. What the authority did wrong is noted; what the API server did wrong is
        raised."""
        key = key_of(s.order)
        try:
            await self._dispatch(effect, s, key)
        except AuthorityError as error:
            self._w.authorities.failed(self._authority_name(s), error)
            self._note(key, trouble=self._trouble(key, error, s))
        else:
            self._w.failures.pop(key, None)
            if isinstance(effect, _ENDS_WITH_AN_ANSWER):
                self._w.authorities.answered(self._authority_name(s))
            if not isinstance(effect, _PATIENT):
                self._note(key, trouble=None)

    async def _dispatch(self, effect: do.Effect, s: Snapshot, key: Key) -> None:
        match effect:
            case do.RecordLedger(ledger):
                await self._write(s, ledger)
            case do.PrepareIntent():
                await self._prepare(effect, s, key)
            case do.DropIntent(ledger):
                await self._write(s, ledger.with_intent(None))
                self._note(key, in_hand=None)
            case do.RequestCertificate(ledger, intent):
                await self._request(effect, ledger, intent, s, key)
            case do.AskAgain(ledger, intent):
                await self._write(s, ledger.with_intent(intent))
                self._note(key, in_hand=intent.spki_sha256, uncertain_since=None, searched_at=None)
            case do.SearchIssued(ledger, intent):
                await self._search(ledger, intent, s, key)
            case do.CollectCertificate(ledger, intent):
                await self._collect(ledger, intent, s, key)
            case do.ReadClaims():
                await self._w.authorities.read_claims(self._authority_name(s), _tokens(s))
            case do.SubmitClaim(domain):
                await self._w.authorities.submit_claim(self._authority_name(s), domain)
            case do.AssertClaim(claim_id, domain):
                self._note(key, asserted={**self._notes(key).asserted, claim_id: self._w.clock.now()})
                await self._w.authorities.assert_claim(self._authority_name(s), claim_id, domain)
            case do.Publish(ledger, leaf):
                await self._publish(leaf, s, key)
            case do.CheckStatus(ledger, number):
                await self._check(ledger, number, s)
            case do.Withdraw(namespace, name, uid, resource_version):
                await self._w.secrets.withdraw(namespace, name, uid, resource_version)
                self._w.cache.drop_secret(namespace, name, uid)
                self._w.observer.withdrew(s, self._w.clock.now())
            case do.Revoke(ledger, number, reason, at):
                await self._revoke(ledger, number, reason, at, s)

    # Memory

    def _notes(self, key: Key) -> Notes:
        return self._w.notes.get(key, Notes())

    def _note(self, key: Key, **changes: object) -> None:
        before = self._notes(key)
        after = replace(before, **changes)  # type: ignore[arg-type]
        if after != before:
            self._w.notes[key] = after

    def _trouble(self, key: Key, error: AuthorityError, s: Snapshot) -> Trouble:
        count = self._w.failures[key] = self._w.failures.get(key, 0) + 1
        delay = min(FIRST_RETRY * 2 ** min(count - 1, 16), LONGEST_RETRY) * self._w.random.uniform(0.5, 1.0)
        if isinstance(error, TryAgain) and error.retry_after is not None:
            delay = error.retry_after
        reason = _REASONS.get(type(error), Reason.AUTHORITY_UNAVAILABLE)
        if isinstance(error, _NoQuota):
            reason = Reason.QUOTA_EXHAUSTED
        name = s.authority.declared.metadata.name if s.authority else "?"
        said = error.detail if error.detail.endswith(".") else f"{error.detail}."
        message = (
            f"The SSLAuthority {name}: {said} It is tried again by itself; if this lasts, ask"
            f" {s.provider.contact}."
        )
        logger.warning("%s: %s (%s)", key, message, error.operation)
        return Trouble(
            reason, message, self._w.clock.now() + delay, stalled=isinstance(error, Refused | Unauthorised)
        )

    def _dossier(self, s: Snapshot) -> Dossier | None:
        return self._w.book.get(s.contract_hash) if s.contract_hash else None

    @staticmethod
    def _authority_name(s: Snapshot) -> str:
        assert s.authority is not None
        return s.authority.declared.metadata.name

    async def _write(
        self,
        s: Snapshot,
        ledger: Ledger,
        *,
        keys: dict[int, bytes] | None = None,
        certificates: dict[int, tuple[bytes, bytes]] | None = None,
    ) -> Dossier:
        """Write the ledger: create the dossier where there is none. Keys that it no longer needs are
        destroyed in the same write."""
        dossier, digest = self._dossier(s), ledger.key.digest
        self._w.book.in_doubt.add(digest)
        if dossier is None:
            written = await self._w.dossiers.create(ledger, keys or {})
        else:
            now = self._w.clock.now()
            known = {leaf.number for leaf in dossier.ledger.leaves} | (
                {dossier.ledger.intent.leaf} if dossier.ledger.intent else set()
            )
            written = await self._w.dossiers.update(
                dossier,
                ledger,
                keys=keys,
                certificates=certificates,
                destroy=frozenset(known - ledger.keys_needed(now) - set(keys or ())),
            )
        self._w.book.put(written)
        self._w.book.in_doubt.discard(digest)
        return written

    # Buying

    async def _prepare(self, effect: do.PrepareIntent, s: Snapshot, key: Key) -> None:
        name = self._authority_name(s)
        client = self._w.authorities.client(name)
        await client.login()
        if await self._w.authorities.take_from_quota(name) <= 0:
            raise _NoQuota(
                "GET /quotas/issuance",
                "its quota is exhausted, and no certificate can be issued until it is raised",
            )
        dossier = self._dossier(s)
        if effect.key_of is not None and dossier is not None:
            pem = await self._w.dossiers.key(dossier, effect.key_of)
            private = certificates.read_key(pem)
        else:
            spec = s.order.spec.private_key
            private = await asyncio.get_running_loop().run_in_executor(
                self._w.threads, certificates.generate_key, spec
            )
            pem = certificates.write_key(private)
        intent = Intent(
            leaf=effect.leaf,
            attempt=1,
            spki_sha256=certificates.spki_sha256(private.public_key()),
            dns_names=effect.dns_names,
            not_after=effect.not_after,
            recorded_at=self._w.clock.now(),
            client_asked=effect.client_asked,
        )
        await self._write(s, effect.ledger.with_intent(intent), keys={effect.leaf: pem})
        self._note(key, in_hand=intent.spki_sha256, uncertain_since=None, searched_at=None)

    async def _still_wanted(self, effect: do.RequestCertificate, s: Snapshot) -> bool:
        """Look afresh at everything that could forbid the purchase, and plan once more."""
        here = s.order.metadata
        order, _ = await asyncio.gather(
            self._w.cluster.read(SSLCertificateOrder, here.namespace, here.name),
            self._fresh.take(effect.ledger.key),
        )
        if order is None:
            self._w.cache.drop(SSLCertificateOrder, here.namespace, here.name, here.uid)
            return False
        self._w.cache.put(order)
        if order.metadata.uid != here.uid or order.metadata.deletion_timestamp is not None:
            return False
        return effect in self._look(order).effects[:1]

    def _require_lease(self) -> None:
        """Nothing irreversible without the Lease. Raises `ClusterError`: whoever holds it goes on."""
        if not self._w.lease.is_valid():
            raise ClusterError("The Lease is not held any longer, so nothing irreversible is done here.")

    async def _request(
        self, effect: do.RequestCertificate, ledger: Ledger, intent: Intent, s: Snapshot, key: Key
    ) -> None:
        dossier, name = self._dossier(s), self._authority_name(s)
        assert dossier is not None
        client, pem = self._w.authorities.client(name), await self._w.dossiers.key(dossier, intent.leaf)
        await client.login()
        if not await self._still_wanted(effect, s):
            return
        self._require_lease()
        looked_at = self._w.clock.now()

        def still_wanted() -> bool:
            return self._w.lease.is_valid() and self._w.clock.now() - looked_at <= FRESH_FOR

        private, subject = certificates.read_key(pem), ledger.terms.subject
        request = IssuanceRequest(private, intent.dns_names, intent.not_after, subject, still_wanted)
        self._note(key, in_hand=None)
        try:
            serial = await client.request(request)
        except (TryAgain, Unauthorised):
            self._note(key, in_hand=intent.spki_sha256)
            raise
        except Refused as error:
            refusal = Refusal(basis_of(Standing(s, ledger)), error.detail, self._w.clock.now())
            await self._write(s, replace(ledger.with_intent(None), refusal=refusal))
            return
        except OutcomeUnknown as error:
            self._w.authorities.failed(name, error)
            logger.warning("%s: %s; what became of it is searched for.", key, error)
            return
        self._w.authorities.answered(name)
        await self._receive(replace(intent, serial=certificates.write_serial(serial)), ledger, s, key)

    async def _receive(self, intent: Intent, ledger: Ledger, s: Snapshot, key: Key) -> None:
        """Record the serial, with the certificate where it is there already: one write."""
        try:
            await self._collect(ledger.with_intent(intent), intent, s, key)
        except AuthorityError:
            await self._write(s, ledger.with_intent(intent))
            raise

    async def _collect(self, ledger: Ledger, intent: Intent, s: Snapshot, key: Key) -> None:
        assert intent.serial is not None
        name, dossier = self._authority_name(s), self._dossier(s)
        assert dossier is not None
        issued = await self._w.authorities.client(name).certificate(certificates.read_serial(intent.serial))
        if issued is None:
            raise NotYet("GET /certificates", "the certificate is not made yet", FIRST_RETRY)
        pem = await self._w.dossiers.key(dossier, intent.leaf)
        result = await self._verified(name, issued.pem, intent, pem)
        if isinstance(result, certificates.Verified):
            verified = {intent.leaf: (result.chain, result.ca)}
            await self._write(s, ledger.with_leaf(result.leaf), certificates=verified)
            return
        logger.error("%s: certificate %s must not be used: %s", key, intent.serial, result.leaf.fault)
        await self._write(s, ledger.with_leaf(self._condemned(result)))

    async def _verified(
        self, name: str, pem: bytes, intent: Intent, key: bytes
    ) -> certificates.Verified | certificates.Faulty:
        """Judge a certificate by the chain as known, and, if it fails, once more by the chain read anew."""
        assert intent.serial is not None
        now = self._w.clock.now()
        for anew in (False, True):
            chain = await self._w.authorities.trust_chain(name, anew=anew)
            result = certificates.verify(pem, chain, intent.serial, intent, key, now)
            if isinstance(result, certificates.Verified):
                break
        return result

    def _condemned(self, faulty: certificates.Faulty) -> Leaf:
        """A faulty certificate is revoked where its key is ours; whose key it is otherwise, a person must
        find out."""
        if not faulty.key_is_ours:
            return faulty.leaf
        revocation = Revocation(
            circumstance=Circumstance.INFORMATION_WRONG,
            reason=RevocationReason.UNSPECIFIED,
            by_client=False,
            asked_at=self._w.clock.now(),
            source="verification",
        )
        return replace(faulty.leaf, revocation=revocation)

    async def _search(self, ledger: Ledger, intent: Intent, s: Snapshot, key: Key) -> None:
        name, began = self._authority_name(s), self._w.clock.now()
        if self._notes(key).uncertain_since is None:
            self._note(key, uncertain_since=began)
        client, desk = self._w.authorities.client(name), self._w.authorities.desk(name)
        matches = []
        for serial in await client.issued(intent.recorded_at - SEARCH_MARGIN, began + SEARCH_MARGIN):
            if serial not in desk.keys_of_serials:
                found = await client.certificate(serial)
                if found is None:
                    continue
                desk.keys_of_serials[serial] = certificates.spki_of_certificate(found.pem)
            if desk.keys_of_serials[serial] == intent.spki_sha256:
                matches.append(serial)
        held = {leaf.serial for leaf in ledger.leaves}
        fresh = [serial for serial in matches if certificates.write_serial(serial) not in held]
        if not fresh:
            self._note(key, searched_at=began)
            return
        adopted, *surplus = fresh
        for serial in surplus:
            logger.error(
                "%s: %X was issued besides %X for the same key and is revoked.", key, serial, adopted
            )
            await client.revoke(serial, RevocationReason.SUPERSEDED)
        await self._write(s, ledger.with_intent(replace(intent, serial=certificates.write_serial(adopted))))
        self._note(key, uncertain_since=None, searched_at=None)

    # Serving and ending

    async def _publish(self, leaf: Leaf, s: Snapshot, key: Key) -> None:
        dossier = self._dossier(s)
        assert dossier is not None
        order, target = s.order, s.order.spec.secret_name
        material = await self._w.dossiers.material(dossier, leaf.number)
        try:
            view = await self._w.secrets.publish(
                order,
                self._w.cache.secret(order.metadata.namespace, target),
                material,
                wanted_labels(order),
                wanted_annotations(order, dossier.digest, leaf),
                dossier.digest,
            )
        except Occupied:
            self._note(key, foreign_secret=target, foreign_seen_at=self._w.clock.now())
            return
        self._note(key, foreign_secret=None, foreign_seen_at=None)
        self._w.cache.put_secret(view)

    async def _check(self, ledger: Ledger, number: int, s: Snapshot) -> None:
        leaf, now = ledger.leaf(number), self._w.clock.now()
        assert leaf is not None
        serial = certificates.read_serial(leaf.serial)
        found = await self._w.authorities.client(self._authority_name(s)).certificate(serial)
        if found is None:
            raise NotYet("GET /certificates", f"it does not tell the state of {leaf.serial}")
        checked = replace(leaf, checked_at=now)
        if found.status is CertificateStatus.REVOKED:
            moment = found.updated_at or now
            own_accord = Revocation(None, None, False, moment, OWN_ACCORD, confirmed_at=moment)
            checked = replace(checked, revocation=own_accord)
        leaves = tuple(checked if entry.number == number else entry for entry in ledger.leaves)
        await self._write(s, replace(ledger, leaves=leaves))

    async def _revoke(
        self, ledger: Ledger, number: int, reason: RevocationReason, at: datetime | None, s: Snapshot
    ) -> None:
        leaf = ledger.leaf(number)
        assert leaf is not None
        assert leaf.revocation is not None
        self._require_lease()
        try:
            await self._w.authorities.client(self._authority_name(s)).revoke(
                certificates.read_serial(leaf.serial), reason, at
            )
        except OutcomeUnknown as error:
            raise TryAgain(error.operation, error.detail) from error
        confirmed = replace(leaf, revocation=replace(leaf.revocation, confirmed_at=self._w.clock.now()))
        leaves = tuple(confirmed if entry.number == number else entry for entry in ledger.leaves)
        await self._write(s, replace(ledger, leaves=leaves))


class _NoQuota(NotYet):
    """The authority would refuse for want of quota."""


_REASONS: dict[type[AuthorityError], Reason] = {
    Refused: Reason.REFUSED_BY_AUTHORITY,
    Unauthorised: Reason.CREDENTIALS_INVALID,
    TryAgain: Reason.AUTHORITY_UNAVAILABLE,
    OutcomeUnknown: Reason.AUTHORITY_UNAVAILABLE,
}

_PATIENT = (do.RecordLedger, do.Withdraw, do.Publish)
"""Effects that say nothing about the authority: a note of its failure outlives them."""


_ENDS_WITH_AN_ANSWER = (
    do.PrepareIntent,
    do.SearchIssued,
    do.CollectCertificate,
    do.ReadClaims,
    do.SubmitClaim,
    do.AssertClaim,
    do.CheckStatus,
    do.Revoke,
)
"""Effects that cannot succeed unless the authority answered."""


def _tokens(s: Snapshot) -> dict[str, str]:
    """Tokens of pending claims, as the order's own status shows them to its client."""
    return {entry.name: entry.record.value for entry in s.order.status.validation if entry.record is not None}
