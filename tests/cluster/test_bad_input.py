"""What admission cannot refuse: told with a reason, what to do and whom to ask; it harms nobody.

Beside each bad one, a good order of another client becomes Active; and what was bad, made good, goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.api.manifests import ORGANISATION, Change, changed
from tests.harness.world import NAMESPACES, Client, Order

pytestmark = pytest.mark.cluster

NewClient = Callable[..., Client]

ASK = "certificates@provider.example"


@dataclass(frozen=True)
class Bad:
    """What is wrong with an order or its account, and what is said of it."""

    reason: str
    says: tuple[str, ...]
    order: Change = field(default_factory=dict)
    account: Change = field(default_factory=dict)


NOT_ACCEPTED = {
    "its namespace has no account": Bad(
        "NoAccount", ("No SSLAccount names the namespace", ASK), account={"spec.namespaces": []}
    ),
    "it accepts conditions that are not in force": Bad(
        "TermsNotInForce",
        ("spec.acceptedTerms.conditions says '2025-01'", "'2026-01'", "https://provider.example/terms"),
        order={"spec.acceptedTerms.conditions": "2025-01"},
    ),
    "it accepts terms of the authority that are not in force": Bad(
        "TermsNotInForce",
        ("spec.acceptedTerms.authority says '5.8'", "'5.9'", "https://authority.example/terms"),
        order={"spec.acceptedTerms.authority": "5.8"},
    ),
    "its authority does not exist": Bad(
        "NoAuthority",
        ("There is no SSLAuthority nobody", "Correct spec.authorityRef"),
        order={"spec.authorityRef.name": "nobody"},
    ),
    "there is no default authority for its product": Bad(
        "NoAuthority", ("No SSLAuthority is the default for DV", ASK), order={"spec.authorityRef": None}
    ),
    "its authority sells another product": Bad(
        "AuthorityProductDiffers",
        ("sells DV, the order is for OV", "Name another authority"),
        order={"spec.product": "OV", "spec.subject": ORGANISATION},
    ),
    "its account may not use the authority": Bad(
        "AuthorityNotAllowed",
        ("may not use the SSLAuthority", ASK),
        account={"spec.authorities": ["another"]},
    ),
    "its account may not order the product": Bad(
        "ProductNotAllowed", ("may not order DV certificates", ASK), account={"spec.products": ["EV"]}
    ),
    "a name lies under no domain of its account": Bad(
        "DomainNotAssigned",
        ("www.elsewhere.example: under no domain", "take the name out", ASK),
        order={"spec.dnsNames": ["www.elsewhere.example"]},
    ),
    "its account has no domain": Bad(
        "DomainNotAssigned", ("under no domain", ASK), account={"spec.domains": []}
    ),
}


@pytest.mark.parametrize("bad", NOT_ACCEPTED.values(), ids=NOT_ACCEPTED.keys())
def test_an_order_is_not_accepted_when(client: NewClient, neighbour: Order, bad: Bad) -> None:
    shop = client(account=bad.account)
    good = shop.order()
    order = shop.declares(changed(good, bad.order))
    shop.pays(order.purchase_order)
    order.stalls("Received", bad.reason, *bad.says)
    neighbour.reaches("Active")
    assert shop.asked_on_its_behalf() == []
    assert order.secret() is None

    shop.recorded_account().becomes_like(shop.account())
    order.becomes_like(good)
    order.reaches("Active")


def test_a_namespace_that_two_accounts_name_is_nobodys(client: NewClient, neighbour: Order) -> None:
    shop, other = client(), client()
    other.recorded_account().edit(namespaces=[other.namespace, shop.namespace])
    for client_of_it in (other, shop):  # the edit is known before an order rests on it
        client_of_it.recorded_account().stands("Ready", "False", "AmbiguousAccount", shop.namespace)
    order = shop.orders().is_paid()
    order.stalls("Received", "AmbiguousAccount", shop.name, other.name, ASK)
    neighbour.reaches("Active")
    other.recorded_account().edit(namespaces=[other.namespace])
    order.reaches("Active")


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        pytest.param(
            {"organization": "Example Ltd"},
            "organization is 'Example Ltd' but was vetted as",
            id="another name",
        ),
        pytest.param(
            {"streetAddress": "Rue Neuve 1"}, "streetAddress is 'Rue Neuve 1'", id="more than vetted"
        ),
    ],
)
def test_an_organisation_is_stated_as_it_was_vetted(
    client: NewClient, neighbour: Order, subject: dict[str, str], says: str
) -> None:
    shop = client(
        product="OV",
        subject={"organization": "Exemple SPRL", "country": "BE", "locality": "Bruxelles"},
        authority={"spec.product": "OV"},
        account={"spec.products": ["OV"], "spec.organisation": ORGANISATION},
    )
    order = shop.orders(product="OV", subject={**ORGANISATION, **subject}).is_paid()
    order.stalls("Received", "SubjectNotVetted", says, "Correct the order", ASK)
    neighbour.reaches("Active")
    assert shop.asked_on_its_behalf() == []
    order.edit(subject={key: ORGANISATION.get(key) for key in subject})
    order.reaches("Active")


def test_a_namespace_that_was_made_anew_is_another_one(client: NewClient, neighbour: Order) -> None:
    shop = client()
    shop.orders().is_paid().reaches("Active")
    shop.world.kube.delete(NAMESPACES, shop.namespace)
    shop.world.wait(
        lambda: shop.world.kube.get(NAMESPACES, shop.namespace) is None, "the namespace to be gone", dict
    )
    shop.world.kube.namespace(shop.namespace)
    order = shop.orders().is_paid()
    order.stalls("Received", "NamespaceReplaced", shop.namespace, "deleted and created again", ASK)
    neighbour.reaches("Active")
    assert len(shop.certificates()) == 1

    shop.recorded_account().edit(namespaces=[])
    order.stalls("Received", "NoAccount")
    shop.recorded_account().edit(namespaces=[shop.namespace])
    order.reaches("Active")


def test_of_two_orders_with_one_purchase_order_the_later_waits(client: NewClient, neighbour: Order) -> None:
    shop = client()
    first = shop.orders(purchaseOrder="BC-X").reaches("PendingPayment")
    second = shop.orders(purchaseOrder="BC-X")
    second.stalls("Received", "PurchaseOrderTaken", "BC-X", f"{first.namespace}/{first.name}", ASK)
    assert first.reaches("PendingPayment").kstatus() == "InProgress"
    first.is_deleted()
    second.reaches("PendingPayment")
    second.is_paid().reaches("Active")
    neighbour.reaches("Active")


def test_a_payment_that_names_its_order_settles_which_of_two_is_served(client: NewClient) -> None:
    shop = client()
    first = shop.orders(purchaseOrder="BC-X").reaches("PendingPayment")
    second = shop.orders(purchaseOrder="BC-X")
    second.is_paid(order={"namespace": second.namespace, "name": second.name}).reaches("Active")
    first.stalls("Received", "HolderDiffers", f"{second.namespace}/{second.name}", "Transfer")
    assert len(shop.certificates()) == 1


# Payments


@dataclass(frozen=True)
class Insufficient:
    """A payment that does not pay for an order of two names over one year."""

    payment: dict[str, Any]
    says: tuple[str, ...]


def covers(**change: Any) -> dict[str, Any]:
    return {"covers": {"product": "DV", "termYears": 1, "names": 2, "wildcards": 0, **change}}


NOT_PAID = {
    "it covers fewer names": Insufficient(covers(names=1), ("Period 1 needs", "1 name not paid for yet")),
    "it covers another product": Insufficient(covers(product="OV"), ("Covers OV", "the order is for DV")),
    "it covers another term": Insufficient(covers(termYears=3), ("Covers DV for 3 years", "DV for 1 year")),
    "it covers wildcards instead": Insufficient(covers(names=0, wildcards=2), ("2 names not paid for yet",)),
    "it starts on a day on which no period does": Insufficient(
        {**covers(), "period": None, "periodStartsOn": "2026-01-01"},
        ("No period of the contract starts on 2026-01-01",),
    ),
}


@pytest.mark.parametrize("bad", NOT_PAID.values(), ids=NOT_PAID.keys())
def test_a_payment_does_not_pay_when(client: NewClient, neighbour: Order, bad: Insufficient) -> None:
    shop = client()
    order = shop.orders("www", "api").reaches("PendingPayment")
    shop.pays(order.purchase_order, **bad.payment).becomes("DoesNotCover", *bad.says)
    order.reaches("PendingPayment", bad.says[0])
    neighbour.reaches("Active")
    assert shop.asked_on_its_behalf() == []
    order.is_paid().reaches("Active")


def test_a_payment_for_a_later_period_does_not_pay_the_first(client: NewClient) -> None:
    shop = client()
    order = shop.orders().reaches("PendingPayment")
    shop.pays(order.purchase_order, period=2)
    client().orders().is_paid().reaches("Active")
    order.reaches("PendingPayment")
    assert shop.asked_on_its_behalf() == []


def test_payments_of_one_period_add_up(client: NewClient) -> None:
    shop = client()
    order = shop.orders("www", "api")
    parts = [shop.pays(order.purchase_order).becomes("DoesNotCover", "1 name not paid for yet")]
    parts.append(shop.pays(order.purchase_order))
    order.reaches("Active")
    for part in parts:
        part.becomes("Applied")


def test_one_receipt_that_is_recorded_twice_pays_once(client: NewClient) -> None:
    shop = client()
    order = shop.orders("www", "api")
    same: dict[str, Any] = {"names": 1, "reference": "receipt 17", "receivedAt": "2026-01-01T00:00:00Z"}
    first = shop.pays(order.purchase_order, **same).becomes("DoesNotCover")
    shop.pays(order.purchase_order, **same).becomes("Duplicate", first.name, "counts for nothing")
    order.reaches("PendingPayment")
    assert shop.asked_on_its_behalf() == []


def test_a_payment_of_another_account_pays_nothing(client: NewClient, neighbour: Order) -> None:
    shop, other = client(), client()
    order = shop.orders(purchaseOrder="BC-X").reaches("PendingPayment")
    other.pays("BC-X").becomes("Waiting", "No order", other.name)
    neighbour.reaches("Active")
    order.reaches("PendingPayment")
    assert shop.asked_on_its_behalf() == []
