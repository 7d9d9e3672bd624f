"""Bringing one object to where it should be: gather, plan, act, until nothing is left to do; then say so.

Rules:
- Level-triggered: only the present facts count, never which event led here. Any run may be the first after a
  crash.
- The first effect of a plan is carried out, then everything is looked at anew. A plan without effects is the
  end.
- A status is written when what it says differs from what stands there, and at no other time.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from sslorder.api.account import AccountStatus, NamespaceIdentity, SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import Condition, ConditionStatus, KubernetesObject
from sslorder.api.conditions import ConditionType, Reason
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import PaymentState, SSLPayment
from sslorder.api.phases import Phase
from sslorder.api.schema import Projection
from sslorder.contract import effects as do
from sslorder.contract import records
from sslorder.contract.ledger import ContractKey, Ledger
from sslorder.contract.plan import Plan, plan
from sslorder.contract.snapshot import Provider, Snapshot
from sslorder.engine.act import Actor, FreshLook, World
from sslorder.engine.cache import Key, key_of
from sslorder.engine.gather import account_of, gather

logger = logging.getLogger(__name__)

MOST_STEPS = 500
_WARNINGS = (Phase.RECEIVED, Phase.SUSPENDED, Phase.TERMINATED, Phase.REJECTED)
_MAY_NOT_TAKE_UP = (*_WARNINGS, Phase.EXPIRED)
"""Phases in which an order may have to leave a payment that covers it waiting."""
_WRITES_LEDGER = (
    do.RecordLedger
    | do.PrepareIntent
    | do.DropIntent
    | do.RequestCertificate
    | do.AskAgain
    | do.SearchIssued
    | do.CollectCertificate
    | do.CheckStatus
    | do.Revoke
)


class EndlessPlan(Exception):
    """A plan that never comes to rest: a defect. The order is left as it is and tried again later."""


class Reconciler:
    """One method a kind. `enqueue` asks for other keys to be looked at; each method returns when its own is
    due by time alone."""

    def __init__(self, world: World, provider: Provider, enqueue: Callable[[set[Key]], None]) -> None:
        self._w = world
        self._provider = provider
        self._enqueue = enqueue
        self._actor = Actor(world, self._plan, FreshLook(world.cluster, world.cache, enqueue))

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at one object. Returns when to look again."""
        thing = self._w.cache.get(key.kind, key.namespace, key.name)
        match thing:
            case SSLCertificateOrder():
                return await self._order(key)
            case SSLAuthority():
                return await self._authority(thing)
            case SSLPayment():
                await self._payment(thing)
            case SSLContractAction():
                await self._action(thing)
            case SSLAccount():
                await self._account(thing)
            case None if key.kind is SSLCertificateOrder:
                await self._tidy_after(key)
            case None if key.kind is SSLAuthority:
                self._w.authorities.forget(key.name)
        return None

    def _snapshot(self, order: SSLCertificateOrder) -> Snapshot:
        w = self._w
        absent_since = w.absent_since if key_of(order) in w.unseen else None
        return gather(
            w.cache, w.book, w.authorities, self._provider, w.notes, order, w.clock.now(), absent_since
        )

    def _plan(self, order: SSLCertificateOrder) -> Plan:
        return plan(self._snapshot(order))

    async def _say(self, thing: KubernetesObject, before: Projection, after: Projection) -> KubernetesObject:
        """Write a status if it says something else than the one that stands."""
        if _said(before) == _said(after):
            return thing
        written = await self._w.cluster.write_status(thing, after)
        self._w.cache.put(written)
        return written

    # Orders

    async def _order(self, key: Key) -> datetime | None:
        order = self._w.cache.order(key.namespace, key.name)
        for _ in range(MOST_STEPS):
            if order is None or order.metadata.deletion_timestamp is not None:
                return None
            if self._w.cache.namespace_uid(key.namespace) is None:
                return None  # its namespace is not known yet, and comes with its own event
            snapshot = self._snapshot(order)
            if snapshot.contract_hash in self._w.book.in_doubt:
                await self._read_again(snapshot.contract_hash)
                continue
            decided = plan(snapshot)
            view = snapshot.authority
            if view is not None and view.held_by and order.status.phase is not None:
                return None  # its own installation tells of it; two that do would never come to rest
            if not decided.effects:
                if view is not None and view.awaited and decided.status.phase is Phase.ISSUING:
                    return decided.wake_at  # not worth telling: looked at again when the authority is known
                await self._tell(order, decided)
                self._w.unseen.discard(key)
                return decided.wake_at
            effect = decided.effects[0]
            if isinstance(effect, do.Revoke) and decided.status.phase is not order.status.phase:
                await self._tell(order, decided)  # the authority may take its time, and the Secret is gone
            logger.debug("%s: %s", key, type(effect).__name__)
            await self._actor.carry_out(effect, snapshot)
            if isinstance(effect, _WRITES_LEDGER):
                self._enqueue(self._concerned_by(order))
            order = self._w.cache.order(key.namespace, key.name)
        raise EndlessPlan(
            f"{key}: still {type(effect).__name__} after {MOST_STEPS} steps. Please report this."
        )

    async def _read_again(self, digest: str) -> None:
        """Learn what a write to a dossier did that failed, or whose answer was lost."""
        dossier = await self._w.dossiers.read(digest)
        if dossier is not None:
            self._w.book.put(dossier)
        self._w.book.in_doubt.discard(digest)

    def _concerned_by(self, order: SSLCertificateOrder) -> set[Key]:
        """What else follows from the order's dossier: payments, actions, orders that claim its contract."""
        account = account_of(self._w.cache, order)
        dossier = self._w.book.of(order, account)
        if dossier is None:
            return set()
        contract, authority = dossier.ledger.key, dossier.ledger.authority
        payments = self._w.cache.payments_of(contract.account, contract.purchase_order)
        actions = self._w.cache.actions_on(contract.account, contract.purchase_order, authority)
        rivals = self._w.cache.orders_of(contract.account, contract.purchase_order)
        return {key_of(thing) for thing in (*payments, *actions, *rivals)} - {key_of(order)}

    async def _tell(self, order: SSLCertificateOrder, decided: Plan) -> None:
        before = order.status.phase
        written = await self._say(order, order.status, decided.status)
        for reminder in decided.reminders:
            occasion = reminder.key.partition("/")[0]
            await self._w.cluster.announce(written, occasion, reminder.message, warning=True)
        if decided.status.phase is before or decided.status.phase is None:
            return
        stalled = any(condition.type == ConditionType.STALLED for condition in decided.status.conditions)
        warning = stalled or decided.status.phase in _WARNINGS
        await self._w.cluster.announce(
            written, decided.status.phase, decided.status.message or "", warning=warning
        )
        account = account_of(self._w.cache, order)
        dossier = self._w.book.of(order, account)
        ledger = dossier.ledger if dossier is not None else None
        self._w.observer.moved(order, decided.status, ledger, self._w.clock.now())
        if account is not None:
            payments = self._w.cache.payments_of(account, order.spec.purchase_order)
            self._enqueue({key_of(payment) for payment in payments})

    async def _tidy_after(self, key: Key) -> None:
        """A marked Secret whose order is gone is removed, if garbage collection has not done so (an orphaning
        deletion)."""
        self._w.notes.pop(key, None)
        self._w.failures.pop(key, None)
        left = self._w.cache.secrets_of(key.namespace, key.name)
        if not left or await self._w.cluster.read(SSLCertificateOrder, key.namespace, key.name) is not None:
            return
        for secret in left:
            await self._w.secrets.withdraw(secret.namespace, secret.name, secret.uid, secret.resource_version)
            self._w.cache.drop_secret(secret.namespace, secret.name, secret.uid)

    # The provider's kinds

    async def _payment(self, payment: SSLPayment) -> None:
        spec, cache = payment.spec, self._w.cache
        orders = cache.orders_of(spec.account, spec.purchase_order)
        if spec.order is not None:
            orders = tuple(
                order for order in orders if key_of(order)[1:] == (spec.order.namespace, spec.order.name)
            )
        siblings = cache.payments_of(spec.account, spec.purchase_order)
        ledger = self._ledger(ContractKey(spec.account, spec.purchase_order))
        actions = cache.actions_on(spec.account, spec.purchase_order, None)
        order = orders[0] if orders else None
        status = records.payment_status(payment, siblings, actions, ledger, order)
        if (
            status.state is PaymentState.WAITING
            and order is not None
            and order.status.phase not in _MAY_NOT_TAKE_UP
        ):
            return  # the order is about to take it up, and the payment is looked at again then
        await self._say(payment, payment.status, status)

    async def _action(self, action: SSLContractAction) -> None:
        concerned = []
        for key in sorted(self._w.cache.orders_targeted(action), key=lambda key: key[1:]):
            order = self._w.cache.order(key.namespace, key.name)
            if order is not None:
                snapshot = self._snapshot(order)
                if action in snapshot.actions:
                    concerned.append((order, snapshot.ledger))
        await self._say(action, action.status, records.action_status(action, concerned))

    def _ledger(self, key: ContractKey) -> Ledger | None:
        dossier = self._w.book.get(key.digest)
        return dossier.ledger if dossier is not None and dossier.ledger.key == key else None

    async def _account(self, account: SSLAccount) -> None:
        """Pin the UID of each namespace when it is first seen; forget those that the provider took out."""
        pinned = {pin.name: pin.uid for pin in account.status.namespaces}
        for namespace in account.spec.namespaces:
            uid = self._w.cache.namespace_uid(namespace)
            if namespace not in pinned and uid is not None:
                pinned[namespace] = uid
        known = next(
            (entry for entry in account.status.conditions if entry.type == ConditionType.READY), None
        )
        shared = [name for name in account.spec.namespaces if len(self._w.cache.accounts_of(name)) > 1]
        state = ConditionStatus.FALSE if shared else ConditionStatus.TRUE
        text = f"Also named by another SSLAccount: {', '.join(shared)}. Leave each in one." if shared else ""
        status = AccountStatus(
            observed_generation=account.metadata.generation,
            namespaces=tuple(
                NamespaceIdentity(name=name, uid=pinned[name])
                for name in sorted(account.spec.namespaces)
                if name in pinned
            ),
            conditions=(
                Condition(
                    type=ConditionType.READY,
                    status=state,
                    observed_generation=account.metadata.generation,
                    last_transition_time=known.last_transition_time
                    if known is not None and known.status == state
                    else self._w.clock.now(),
                    reason=Reason.AMBIGUOUS_ACCOUNT if shared else Reason.ACCEPTED,
                    message=text,
                ),
            ),
        )
        await self._say(account, account.status, status)

    async def _authority(self, authority: SSLAuthority) -> datetime | None:
        """Look after it when that is due; tell at any time what is known of it."""
        authorities, name = self._w.authorities, authority.metadata.name
        if authorities.is_anothers(authority):
            logger.warning(
                "SSLAuthority %s: another installation buys there (status.installation); left alone.", name
            )
            return None
        stale = authority.status.observed_generation != authority.metadata.generation
        due = stale or authorities.refresh_due(name) <= self._w.clock.now()
        changed = due and await authorities.refresh(authority)
        told = await self._tell_of(authority)
        if changed or told.status.installation != authority.status.installation:
            self._enqueue(set(self._w.cache.keys(SSLCertificateOrder)))
        if due:
            holders = await authorities.audit(told, self._w.book.ledgers())
            self._enqueue({Key(SSLCertificateOrder, here.namespace, here.name) for here in holders})
            await self._tell_of(told)
        return authorities.refresh_due(name)

    async def _tell_of(self, authority: SSLAuthority) -> SSLAuthority:
        told = await self._say(authority, authority.status, self._w.authorities.status(authority))
        assert isinstance(told, SSLAuthority)
        return told


def _said(status: Projection) -> dict[str, object]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
