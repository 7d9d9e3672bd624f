"""What the API server last said, indexed for the questions that a plan asks.

Rules:
- An entry is replaced only by a newer resourceVersion: the answer to our own write is not undone by a watch
  event that is behind.
- Objects are kept parsed; Secrets only as what tells them (`SecretView`), never with their keys.
- Each `put` and `drop` answers which work the change calls for. Nothing is looked at for a change that
  changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import KubernetesObject
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.contract.secret import ORDER_NAME
from sslorder.contract.snapshot import SecretView

Kind = TypeVar("Kind", bound=KubernetesObject)


class Key(NamedTuple):
    """One piece of work: an object to be looked at. `namespace` is empty for cluster-scoped kinds."""

    kind: type[KubernetesObject]
    namespace: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.kind.__name__} {self.namespace}/{self.name}"
            if self.namespace
            else f"{self.kind.__name__} {self.name}"
        )


def key_of(thing: KubernetesObject) -> Key:
    return Key(type(thing), thing.metadata.namespace, thing.metadata.name)


class Cache:
    """All objects that matter, and which of them belong together."""

    def __init__(self) -> None:
        self._objects: dict[type[KubernetesObject], dict[tuple[str, str], KubernetesObject]] = defaultdict(
            dict
        )
        self._namespaces: dict[str, str] = {}
        self._secrets: dict[tuple[str, str], SecretView] = {}
        self._orders_by_number: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self._orders_by_namespace: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self._accounts_by_namespace: dict[str, set[str]] = defaultdict(set)
        self._payments_by_contract: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._actions_by_target: dict[tuple[str | None, str | None, str | None], set[str]] = defaultdict(set)
        self._secrets_by_order: dict[tuple[str, str], set[str]] = defaultdict(set)

    # What is there

    def get(self, kind: type[KubernetesObject], namespace: str, name: str) -> KubernetesObject | None:
        return self._objects[kind].get((namespace, name))

    def order(self, namespace: str, name: str) -> SSLCertificateOrder | None:
        found = self.get(SSLCertificateOrder, namespace, name)
        assert found is None or isinstance(found, SSLCertificateOrder)
        return found

    def authority(self, name: str) -> SSLAuthority | None:
        found = self.get(SSLAuthority, "", name)
        assert found is None or isinstance(found, SSLAuthority)
        return found

    def authorities(self) -> Iterator[SSLAuthority]:
        for thing in self._objects[SSLAuthority].values():
            assert isinstance(thing, SSLAuthority)
            yield thing

    def every(self, kind: type[Kind]) -> list[Kind]:
        """Every object of a kind. May be asked from any thread."""
        return list(self._objects[kind].values())  # type: ignore[arg-type]

    def secrets(self) -> list[SecretView]:
        """Every Secret with our mark. May be asked from any thread."""
        return list(self._secrets.values())

    def keys(self, kind: type[KubernetesObject]) -> list[Key]:
        return [Key(kind, namespace, name) for namespace, name in self._objects[kind]]

    def incarnations(self, kind: type[KubernetesObject]) -> dict[Key, str]:
        """The UID of every object of a kind."""
        return {key_of(thing): thing.metadata.uid for thing in self._objects[kind].values()}

    def namespace_uid(self, name: str) -> str | None:
        return self._namespaces.get(name)

    def namespace_with(self, uid: str | None) -> str:
        """What people call the namespace with this UID."""
        name = next((name for name, known in self._namespaces.items() if known == uid), None)
        return f"namespace {name}" if name else f"a namespace that is gone (UID {uid})"

    def accounts_of(self, namespace: str) -> tuple[SSLAccount, ...]:
        """The accounts that name a namespace, by name. One is right, none and several are obstacles."""
        found = (
            self._objects[SSLAccount][("", name)] for name in sorted(self._accounts_by_namespace[namespace])
        )
        return tuple(thing for thing in found if isinstance(thing, SSLAccount))

    def orders_of(self, account: str, purchase_order: str) -> tuple[SSLCertificateOrder, ...]:
        """The live orders of one contract, the oldest first."""
        found = []
        for namespace, name in self._orders_by_number[purchase_order]:
            accounts = self._accounts_by_namespace[namespace]
            order = self.order(namespace, name)
            if order is not None and accounts == {account}:
                found.append(order)
        return tuple(sorted(found, key=lambda order: (order.metadata.creation_timestamp, key_of(order)[1:])))

    def payments_of(self, account: str, purchase_order: str) -> tuple[SSLPayment, ...]:
        found = (
            self._objects[SSLPayment][("", name)]
            for name in sorted(self._payments_by_contract[account, purchase_order])
        )
        return tuple(thing for thing in found if isinstance(thing, SSLPayment))

    def actions_on(
        self, account: str, purchase_order: str, authority: str | None
    ) -> tuple[SSLContractAction, ...]:
        """The actions whose target is the contract, its account or its authority."""
        targets = [(account, purchase_order, None), (account, None, None)]
        if authority is not None:
            targets.append((None, None, authority))  # type: ignore[arg-type]
        found = (
            self._objects[SSLContractAction][("", name)]
            for target in targets
            for name in sorted(self._actions_by_target[target])
        )
        return tuple(thing for thing in found if isinstance(thing, SSLContractAction))

    def secrets_of(self, namespace: str, order_name: str) -> tuple[SecretView, ...]:
        """The Secrets in a namespace that bear the mark of an order of that name."""
        return tuple(
            self._secrets[namespace, name] for name in sorted(self._secrets_by_order[namespace, order_name])
        )

    def orders_with_secrets(self) -> set[Key]:
        """The orders, live or gone, whose mark some Secret bears."""
        return {Key(SSLCertificateOrder, *place) for place, names in self._secrets_by_order.items() if names}

    def secret_places(self) -> set[tuple[str, str]]:
        return set(self._secrets)

    def secret(self, namespace: str, name: str) -> SecretView | None:
        return self._secrets.get((namespace, name))

    # What changes

    def put(self, thing: KubernetesObject) -> set[Key]:
        """Take note of an object. Returns the work that it calls for; none when it is not news."""
        kind, place = type(thing), (thing.metadata.namespace, thing.metadata.name)
        before = self._objects[kind].get(place)
        if before is not None and not _is_newer(
            thing.metadata.resource_version, before.metadata.resource_version
        ):
            return set()
        work = self._concerned(before) if before is not None and _matters(before, thing) else set()
        if before is not None:
            self._unindex(before)
        self._objects[kind][place] = thing
        self._index(thing)
        return work | (
            self._concerned(thing) if before is None or _matters(before, thing) else {key_of(thing)}
        )

    def drop(
        self, kind: type[KubernetesObject], namespace: str, name: str, uid: str | None = None
    ) -> set[Key]:
        """Forget an object that is gone. With a UID, only that incarnation."""
        before = self._objects[kind].get((namespace, name))
        if before is None or (uid is not None and before.metadata.uid != uid):
            return set()
        work = self._concerned(before)
        self._unindex(before)
        del self._objects[kind][namespace, name]
        return work

    def put_list(self, known: Mapping[Key, str], things: Iterable[KubernetesObject]) -> set[Key]:
        """Take note of a live LIST of one kind. What it lacks is gone if it was `known` (`incarnations`)
        before the LIST was asked for; what came meanwhile is newer than the LIST."""
        work: set[Key] = set()
        present = set()
        for thing in things:
            work |= self.put(thing)
            present.add(key_of(thing))
        for key, uid in known.items():
            if key not in present:
                work |= self.drop(*key, uid)
        return work

    def put_namespace(self, name: str, uid: str) -> set[Key]:
        if self._namespaces.get(name) == uid:
            return set()
        self._namespaces[name] = uid
        return self._in_namespace(name)

    def drop_namespace(self, name: str) -> set[Key]:
        return self._in_namespace(name) if self._namespaces.pop(name, None) is not None else set()

    def put_secret(self, view: SecretView) -> set[Key]:
        before = self._secrets.get((view.namespace, view.name))
        if before is not None and not _is_newer(view.resource_version, before.resource_version):
            return set()
        work = self.drop_secret(view.namespace, view.name)
        self._secrets[view.namespace, view.name] = view
        owner = view.annotations.get(ORDER_NAME, "")
        self._secrets_by_order[view.namespace, owner].add(view.name)
        return work | {Key(SSLCertificateOrder, view.namespace, owner)}

    def drop_secret(self, namespace: str, name: str, uid: str | None = None) -> set[Key]:
        before = self._secrets.get((namespace, name))
        if before is None or (uid is not None and before.uid != uid):
            return set()
        del self._secrets[namespace, name]
        owner = before.annotations.get(ORDER_NAME, "")
        self._secrets_by_order[namespace, owner].discard(name)
        return {Key(SSLCertificateOrder, namespace, owner)}

    # What belongs together

    def _index(self, thing: KubernetesObject) -> None:
        name = thing.metadata.name
        match thing:
            case SSLCertificateOrder():
                self._orders_by_number[thing.spec.purchase_order].add((thing.metadata.namespace, name))
                self._orders_by_namespace[thing.metadata.namespace].add((thing.metadata.namespace, name))
            case SSLAccount():
                for namespace in thing.spec.namespaces:
                    self._accounts_by_namespace[namespace].add(name)
            case SSLPayment():
                self._payments_by_contract[thing.spec.account, thing.spec.purchase_order].add(name)
            case SSLContractAction(spec=spec):
                self._actions_by_target[
                    spec.target.account, spec.target.purchase_order, spec.target.authority
                ].add(name)

    def _unindex(self, thing: KubernetesObject) -> None:
        name = thing.metadata.name
        match thing:
            case SSLCertificateOrder():
                self._orders_by_number[thing.spec.purchase_order].discard((thing.metadata.namespace, name))
                self._orders_by_namespace[thing.metadata.namespace].discard((thing.metadata.namespace, name))
            case SSLAccount():
                for namespace in thing.spec.namespaces:
                    self._accounts_by_namespace[namespace].discard(name)
            case SSLPayment():
                self._payments_by_contract[thing.spec.account, thing.spec.purchase_order].discard(name)
            case SSLContractAction(spec=spec):
                target = (spec.target.account, spec.target.purchase_order, spec.target.authority)
                self._actions_by_target[target].discard(name)

    def _in_namespace(self, namespace: str) -> set[Key]:
        accounts = {Key(SSLAccount, "", name) for name in self._accounts_by_namespace[namespace]}
        return accounts | {Key(SSLCertificateOrder, *place) for place in self._orders_by_namespace[namespace]}

    def contract_of(self, account: str, purchase_order: str) -> set[Key]:
        """The orders and the payments of one contract."""
        orders = {key_of(order) for order in self.orders_of(account, purchase_order)}
        return orders | {key_of(payment) for payment in self.payments_of(account, purchase_order)}

    def _concerned(self, thing: KubernetesObject) -> set[Key]:
        own = {key_of(thing)}
        match thing:
            case SSLCertificateOrder():
                for account in self.accounts_of(thing.metadata.namespace):
                    own |= self.contract_of(account.metadata.name, thing.spec.purchase_order)
            case SSLAccount():
                for namespace in thing.spec.namespaces:
                    own |= self._in_namespace(namespace)
            case SSLPayment():
                own |= self.contract_of(thing.spec.account, thing.spec.purchase_order)
            case SSLContractAction():
                own |= self.orders_targeted(thing)
            case SSLAuthority():
                own |= set(self.keys(SSLCertificateOrder))
        return own

    def orders_targeted(self, action: SSLContractAction) -> set[Key]:
        """The orders that an action is aimed at, as far as the cache can tell: for an authority, all."""
        target = action.spec.target
        if target.authority is not None:
            return set(self.keys(SSLCertificateOrder))
        assert target.account is not None
        if target.purchase_order is not None:
            return {key_of(order) for order in self.orders_of(target.account, target.purchase_order)}
        account = self.get(SSLAccount, "", target.account)
        namespaces: Iterable[str] = account.spec.namespaces if isinstance(account, SSLAccount) else ()
        return {
            Key(SSLCertificateOrder, *place)
            for namespace in namespaces
            for place in self._orders_by_namespace[namespace]
        }


def _is_newer(candidate: str, known: str) -> bool:
    """Resource versions are comparable as numbers (Kubernetes API concepts, since 1.35)."""
    return int(candidate) > int(known)


def _matters(before: KubernetesObject, after: KubernetesObject) -> bool:
    """Whether a change concerns anyone but the object itself: its spec, its annotations, its identity or its
    pinned namespaces."""
    if before.metadata.uid != after.metadata.uid or before.metadata.generation != after.metadata.generation:
        return True
    if isinstance(before, SSLAccount) and isinstance(after, SSLAccount):
        return before.status.namespaces != after.status.namespaces
    return before.metadata.annotations != after.metadata.annotations
