"""A world in which everything is in order, from which each case changes one thing.

Rules:
- Every builder's result is accepted, proved and, where it says so, paid: a case states all that differs.
- Objects are read from manifests in the API's own spelling, as the API server would give them.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.contract.authority import Claim, ClaimState, Policy
from sslorder.contract.ledger import ContractKey, Leaf, Ledger
from sslorder.contract.news import open_ledger
from sslorder.contract.secret import SECRET_TYPE, wanted_annotations, wanted_labels
from sslorder.contract.snapshot import AuthorityView, Edition, Notes, Provider, SecretView, Snapshot

Spec = dict[str, Any]

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)
YEAR_END = datetime(2027, 11, 10, 12, tzinfo=UTC)
"""End of the first period of a one-year order that arrives at `NOW`."""
GRACE = 15 * MINUTE
KEY = ContractKey("acme", "BC-2026-0042")

PROVIDER = Provider(
    "Synchrone",
    "support@synchrone.example",
    (Edition("2025-01", date(2025, 1, 1), "https://synchrone.example/2025"),
     Edition("2026-01", date(2026, 1, 1), "https://synchrone.example/2026"),
     Edition("2027-01", date(2027, 1, 1), "https://synchrone.example/2027")),
    (Edition("5.9", date(2020, 1, 1), "https://authority.example/terms"),),
)  # fmt: skip

ORGANISATION: Spec = {"organization": "Exemple SPRL", "country": "BE", "locality": "Bruxelles"}


def _object(name: str, spec: Spec, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": NOW, **metadata},
        "spec": spec,
    }


def an_order(
    *, uid: str = "uid-shop", name: str = "shop", created: datetime = NOW, **spec: Any
) -> SSLCertificateOrder:
    ordered = {
        "purchaseOrder": KEY.purchase_order,
        "termYears": 1,
        "product": "DV",
        "dnsNames": ("shop.example.com", "www.example.com"),
        "acceptedTerms": {"conditions": "2026-01", "authority": "5.9"},
        "secretName": "shop-tls",
        **spec,
    }
    metadata = {"namespace": "shop", "uid": uid, "creationTimestamp": created, "generation": 1}
    return SSLCertificateOrder.model_validate(_object(name, ordered, **metadata))


def an_account(name: str = KEY.account, **spec: Any) -> SSLAccount:
    contact = {"name": "Web team", "email": "web@example.com"}
    granted = {"namespaces": ("shop",), "domains": ("example.com",), "contact": contact, **spec}
    return SSLAccount.model_validate(_object(name, granted))


def a_payment(name: str = "first", *, created: datetime = NOW, **spec: Any) -> SSLPayment:
    paid = {
        "account": KEY.account,
        "purchaseOrder": KEY.purchase_order,
        "covers": {"product": "DV", "termYears": 1, "names": 2, "wildcards": 0},
        "amount": "249.00",
        "currency": "EUR",
        "reference": f"transfer {name}",
        "receivedAt": NOW,
        **({} if "periodStartsOn" in spec else {"period": 1}),
        **spec,
    }
    return SSLPayment.model_validate(_object(name, paid, creationTimestamp=created))


def covers(names: int = 2, wildcards: int = 0, product: str = "DV", years: int = 1) -> Spec:
    return {"product": product, "termYears": years, "names": names, "wildcards": wildcards}


def an_action(
    kind: str, name: str | None = None, *, created: datetime = NOW, **spec: Any
) -> SSLContractAction:
    """An action on the contract, with the cause that its kind needs."""
    target = {"account": KEY.account, "purchaseOrder": KEY.purchase_order}
    cause = {"cause": {"article": "8.1"}} if kind in ("Suspend", "Terminate", "Reject") else {}
    ordered = {"action": kind, "target": target, **cause, **spec}
    return SSLContractAction.model_validate(_object(name or kind.lower(), ordered, creationTimestamp=created))


POLICY = Policy(shortest_validity=HOUR, longest_validity=397 * DAY, most_names=100)
PROVED = Claim("claim-1", "example.com", ClaimState.VERIFIED, expires_at=NOW + 3650 * DAY)


def an_authority(*, product: str = "DV", name: str = "dv", limit: int = 5, **view: Any) -> AuthorityView:
    spec = {
        "product": product,
        "globalSign": {"url": "https://hvca.example/v2", "credentialsSecretRef": {"name": "hvca"}},
        "limits": {"clientReissuesPerMonth": limit},
    }
    known = AuthorityView(
        declared=SSLAuthority.model_validate(_object(name, spec)),
        is_default=True,
        policy=POLICY,
        quota=100,
        claims=(PROVED,),
        grace=GRACE,
        unavailable=None,
    )
    return replace(known, **view)


def a_snapshot(**changes: Any) -> Snapshot:
    """An accepted order, not paid."""
    unpaid = Snapshot(
        now=NOW,
        provider=PROVIDER,
        order=an_order(),
        namespace_uid="uid-shop-namespace",
        accounts=(an_account(),),
        pinned_uid="uid-shop-namespace",
        authority=an_authority(),
        payments=(),
        actions=(),
        ledger=None,
        contract_hash=KEY.digest,
        rival=None,
        secrets=(),
        notes=Notes(),
    )
    return replace(unpaid, **changes)


def a_ledger(*leaves: Leaf, payments: tuple[SSLPayment, ...] = (a_payment(),), **changes: Any) -> Ledger:
    """The ledger of the order of `a_snapshot`, paid, with these leaves."""
    opened = open_ledger(an_order(), a_snapshot(payments=payments))
    assert opened is not None
    return replace(opened, leaves=leaves, **changes)


def a_leaf(number: int = 1, *, issued: datetime = NOW, life: timedelta = 90 * DAY, **changes: Any) -> Leaf:
    leaf = Leaf(
        number=number,
        serial=f"0{number}AB",
        spki_sha256=f"key-{number}",
        dns_names=("shop.example.com", "www.example.com"),
        not_before=issued,
        not_after=issued + life,
        fingerprint=f"fingerprint-{number}",
        content_sha256=f"content-{number}",
        recorded_at=issued,
    )
    return replace(leaf, **changes)


def a_secret(order: SSLCertificateOrder, leaf: Leaf, **changes: Any) -> SecretView:
    """The Secret as it stands after this leaf was published for this order."""
    published = SecretView(
        namespace=order.metadata.namespace,
        name=order.spec.secret_name,
        uid=f"uid-secret-{order.spec.secret_name}",
        resource_version="1",
        order_uid=order.metadata.uid,
        contract=KEY.digest,
        owner_uids=(order.metadata.uid,),
        type=SECRET_TYPE,
        content_sha256=leaf.content_sha256,
        labels=wanted_labels(order),
        annotations=wanted_annotations(order, KEY.digest, leaf),
    )
    return replace(published, **changes)


def a_paid(*leaves: Leaf, **changes: Any) -> Snapshot:
    """A paid order with these leaves, of which the last is published."""
    order = changes.pop("order", an_order())
    secrets = (a_secret(order, leaves[-1]),) if leaves else ()
    paid = a_snapshot(order=order, payments=(a_payment(),), ledger=a_ledger(*leaves), secrets=secrets)
    return replace(paid, **changes)
