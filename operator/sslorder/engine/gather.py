"""Gathering: the one frozen picture that a plan is made from. Reads memory only; asks nobody."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.contract.ledger import ContractKey, Holder, Ledger
from sslorder.contract.snapshot import Notes, Provider, Snapshot
from sslorder.engine.authorities import Authorities
from sslorder.engine.cache import Cache, Key, key_of
from sslorder.engine.ports import Dossier


class Book:
    """Every dossier, in memory. The operator is their only writer, so what it last wrote is what there is.

    After a write that failed, or whose answer was lost, nobody knows what there is: that dossier is in doubt
    until it is read again, and no plan is made of it.
    """

    def __init__(self) -> None:
        self._dossiers: dict[str, Dossier] = {}
        self.in_doubt: set[str] = set()
        self._by_holder: dict[tuple[str, str], set[str]] = defaultdict(set)

    def load(self, dossiers: Iterable[Dossier]) -> None:
        self._dossiers.clear()
        self._by_holder.clear()
        for dossier in dossiers:
            self.put(dossier)

    def put(self, dossier: Dossier) -> None:
        before = self._dossiers.get(dossier.digest)
        if before is not None:
            self._by_holder[before.ledger.holder.namespace, before.ledger.holder.name].discard(dossier.digest)
        self._dossiers[dossier.digest] = dossier
        self._by_holder[dossier.ledger.holder.namespace, dossier.ledger.holder.name].add(dossier.digest)

    def get(self, digest: str) -> Dossier | None:
        return self._dossiers.get(digest)

    def __len__(self) -> int:
        return len(self._dossiers)

    def ledgers(self) -> tuple[Ledger, ...]:
        """Every ledger, as it is now: who waits between two of them meets no change."""
        return tuple(dossier.ledger for dossier in self._dossiers.values())

    def of(self, order: SSLCertificateOrder, account: str | None) -> Dossier | None:
        """The dossier of an order's contract: the one that it holds already, whatever became of its account,
        else its account's."""
        number = order.spec.purchase_order
        for digest in self._by_holder[order.metadata.namespace, order.metadata.name]:
            if self._dossiers[digest].ledger.key.purchase_order == number:
                return self._dossiers[digest]
        key = ContractKey(account, number) if account is not None else None
        found = self._dossiers.get(key.digest) if key else None
        return found if found is not None and found.ledger.key == key else None


def account_of(cache: Cache, order: SSLCertificateOrder) -> str | None:
    """The account that an order's namespace belongs to: None while there is none, or more than one."""
    accounts = cache.accounts_of(order.metadata.namespace)
    return accounts[0].metadata.name if len(accounts) == 1 else None


def _authority_of(cache: Cache, order: SSLCertificateOrder, ledger: Ledger | None) -> SSLAuthority | None:
    """What is pinned in the dossier, else what the order names, else the newest default for its product."""
    if ledger is not None:
        return cache.authority(ledger.authority)
    if order.spec.authority_ref is not None:
        return cache.authority(order.spec.authority_ref.name)
    defaults = [a for a in cache.authorities() if a.is_default and a.spec.product is order.spec.product]
    return max(defaults, key=lambda a: (a.metadata.creation_timestamp, a.metadata.name), default=None)


def _names_other(payment: SSLPayment, order: SSLCertificateOrder) -> bool:
    named = payment.spec.order
    return named is not None and (named.namespace, named.name) != (
        order.metadata.namespace,
        order.metadata.name,
    )


def _rival(
    rivals: Iterable[SSLCertificateOrder], order: SSLCertificateOrder, payments: Iterable[SSLPayment]
) -> SSLCertificateOrder | None:
    """Of several live orders for one unpaid contract: the one that a payment names, else the oldest. None
    when it is this one."""
    payments = tuple(payments)
    ranked = sorted(
        rivals,
        key=lambda rival: (
            all(payment.spec.order is None or _names_other(payment, rival) for payment in payments),
        ),
    )
    first = ranked[0] if ranked else order
    return None if key_of(first) == key_of(order) else first


def gather(
    cache: Cache,
    book: Book,
    authorities: Authorities,
    provider: Provider,
    notes: Mapping[Key, Notes],
    order: SSLCertificateOrder,
    now: datetime,
    absent_since: datetime | None = None,
) -> Snapshot:
    """Everything about one order, as this process knows it."""
    here, account = order.metadata, account_of(cache, order)
    dossier = book.of(order, account)
    ledger = dossier.ledger if dossier else None
    key = ledger.key if ledger else ContractKey(account, order.spec.purchase_order) if account else None
    declared = _authority_of(cache, order, ledger)
    authority = authorities.view(declared) if declared else None
    if declared and authority and authorities.is_anothers(declared):
        authority = replace(authority, held_by=cache.namespace_with(declared.status.installation))
    payments: tuple[SSLPayment, ...] = ()
    actions: tuple[SSLContractAction, ...] = ()
    rival = None
    if key is not None:
        payments = cache.payments_of(key.account, key.purchase_order)
        actions = cache.actions_on(
            key.account, key.purchase_order, declared.metadata.name if declared else None
        )
        if ledger is None:
            rival = _rival(cache.orders_of(key.account, key.purchase_order), order, payments)
    accounts = cache.accounts_of(here.namespace)
    pinned = next(
        (pin.uid for owner in accounts[:1] for pin in owner.status.namespaces if pin.name == here.namespace),
        None,
    )
    return Snapshot(
        now=now,
        provider=provider,
        order=order,
        namespace_uid=cache.namespace_uid(here.namespace),
        accounts=accounts,
        pinned_uid=pinned,
        authority=authority,
        payments=tuple(payment for payment in payments if not _names_other(payment, order)),
        actions=actions,
        ledger=ledger,
        contract_hash=key.digest if key else None,
        rival=Holder(rival.metadata.namespace, "", rival.metadata.name) if rival else None,
        secrets=cache.secrets_of(here.namespace, here.name),
        notes=notes.get(key_of(order), Notes()),
        absent_since=absent_since,
        revoked_by_authority=authorities.revocations(ledger) if ledger else {},
    )
