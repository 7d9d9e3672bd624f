"""What is asked of an order before it is accepted, and again before anything is bought: each refusal beside
its nearest neighbour that is accepted."""

from datetime import UTC, datetime

import pytest

from sslorder.api.conditions import Reason
from sslorder.contract.acceptance import ARRIVAL, PURCHASE, first_obstacle
from sslorder.contract.ledger import Holder
from sslorder.contract.snapshot import Snapshot
from tests.contract.build import ORGANISATION, PROVIDER, a_snapshot, an_account, an_authority, an_order

ELSEWHERE = {**ORGANISATION, "locality": "Liège"}
RIVAL = Holder("shop", "", "older")


def ov(subject: object = ORGANISATION, vetted: object = ORGANISATION) -> Snapshot:
    return a_snapshot(
        order=an_order(product="OV", subject=subject),
        accounts=(an_account(products=("OV",), organisation=vetted),),
        authority=an_authority(product="OV", name="ov"),
    )


def terms(conditions: str, created: datetime) -> Snapshot:
    accepted = {"conditions": conditions, "authority": "5.9"}
    return a_snapshot(order=an_order(created=created, acceptedTerms=accepted))


NEW_YEAR = datetime(2026, 12, 31, 23, tzinfo=UTC)
"""Midnight in Belgium."""
BEFORE = datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC)

NEIGHBOURS = [
    pytest.param(
        a_snapshot(accounts=()),
        Reason.NO_ACCOUNT,
        ["No SSLAccount names the namespace shop", PROVIDER.contact],
        a_snapshot(),
        id="the namespace belongs to an account",
    ),
    pytest.param(
        a_snapshot(accounts=(an_account(), an_account("other"))),
        Reason.AMBIGUOUS_ACCOUNT,
        ["acme and other", PROVIDER.contact],
        a_snapshot(accounts=(an_account("other"),)),
        id="to one account only",
    ),
    pytest.param(
        a_snapshot(namespace_uid="another"),
        Reason.NAMESPACE_REPLACED,
        ["deleted and created again", PROVIDER.contact],
        a_snapshot(namespace_uid="another", pinned_uid="another"),
        id="the namespace is the one that the provider accepted",
    ),
    pytest.param(
        a_snapshot(order=an_order(acceptedTerms={"conditions": "2026-01", "authority": "5.8"})),
        Reason.TERMS_NOT_IN_FORCE,
        ["spec.acceptedTerms.authority says '5.8'", "'5.9'", "https://authority.example/terms"],
        a_snapshot(order=an_order(acceptedTerms={"conditions": "2026-01", "authority": "5.9"})),
        id="the authority's terms are those in force",
    ),
    pytest.param(
        terms("2026-01", NEW_YEAR),
        Reason.TERMS_NOT_IN_FORCE,
        ["spec.acceptedTerms.conditions says '2026-01'", "'2027-01'", "https://synchrone.example/2027"],
        terms("2026-01", BEFORE),
        id="old conditions hold until midnight in Belgium",
    ),
    pytest.param(
        terms("2027-01", BEFORE),
        Reason.TERMS_NOT_IN_FORCE,
        ["'2026-01'"],
        terms("2027-01", NEW_YEAR),
        id="new conditions hold from then on",
    ),
    pytest.param(
        a_snapshot(order=an_order(authorityRef={"name": "nowhere"}), authority=None),
        Reason.NO_AUTHORITY,
        ["There is no SSLAuthority nowhere", "spec.authorityRef"],
        a_snapshot(order=an_order(authorityRef={"name": "dv"})),
        id="the authority that is named exists",
    ),
    pytest.param(
        a_snapshot(authority=None),
        Reason.NO_AUTHORITY,
        ["No SSLAuthority is the default for DV", PROVIDER.contact],
        a_snapshot(authority=an_authority()),
        id="or there is a default one",
    ),
    pytest.param(
        a_snapshot(authority=an_authority(product="OV")),
        Reason.AUTHORITY_PRODUCT_DIFFERS,
        ["The SSLAuthority dv sells OV, the order is for DV"],
        a_snapshot(),
        id="the authority sells the product",
    ),
    pytest.param(
        a_snapshot(authority=an_authority(is_default=False)),
        Reason.AUTHORITY_NOT_ALLOWED,
        ["acme may not use the SSLAuthority dv", PROVIDER.contact],
        a_snapshot(authority=an_authority(is_default=False), accounts=(an_account(authorities=("dv",)),)),
        id="an authority that is not the default is granted by name",
    ),
    pytest.param(
        a_snapshot(accounts=(an_account(authorities=("other",)),)),
        Reason.AUTHORITY_NOT_ALLOWED,
        ["acme may not use the SSLAuthority dv"],
        a_snapshot(accounts=(an_account(authorities=("dv", "other")),)),
        id="where authorities are granted, the default is not granted beside them",
    ),
    pytest.param(
        a_snapshot(accounts=(an_account(products=("OV",)),)),
        Reason.PRODUCT_NOT_ALLOWED,
        ["acme may not order DV certificates", PROVIDER.contact],
        a_snapshot(accounts=(an_account(products=("OV", "DV")),)),
        id="the account may order the product",
    ),
    pytest.param(
        ov(subject=ELSEWHERE),
        Reason.SUBJECT_NOT_VETTED,
        ["locality is 'Liège' but was vetted as 'Bruxelles'", PROVIDER.contact],
        ov(),
        id="the subject is the vetted organisation",
    ),
    pytest.param(
        ov(vetted=None),
        Reason.SUBJECT_NOT_VETTED,
        ["acme has no vetted organisation"],
        ov(),
        id="which there must be",
    ),
    pytest.param(
        a_snapshot(order=an_order(dnsNames=("shop.example.com", "notexample.com"))),
        Reason.DOMAIN_NOT_ASSIGNED,
        ["notexample.com", PROVIDER.contact],
        a_snapshot(order=an_order(dnsNames=("shop.example.com", "example.com", "*.example.com"))),
        id="every name lies under a domain of the account",
    ),
]


@pytest.mark.parametrize(("refused", "reason", "words", "accepted"), NEIGHBOURS)
def test_an_order_is_accepted_if(
    refused: Snapshot, reason: Reason, words: list[str], accepted: Snapshot
) -> None:
    obstacle = first_obstacle(ARRIVAL, refused)
    assert obstacle is not None
    assert obstacle.reason is reason
    assert [word for word in words if word not in obstacle.message] == []
    assert first_obstacle(ARRIVAL, accepted) is None


def test_of_two_orders_for_one_contract_the_later_is_told_which_one_has_it() -> None:
    obstacle = first_obstacle(ARRIVAL, a_snapshot(rival=RIVAL))
    assert obstacle is not None
    assert obstacle.reason is Reason.PURCHASE_ORDER_TAKEN
    assert "BC-2026-0042 is already declared by shop/older" in obstacle.message
    assert PROVIDER.contact in obstacle.message


@pytest.mark.parametrize(
    ("s", "reason"),
    [
        pytest.param(a_snapshot(rival=RIVAL), None, id="which order came first was settled on arrival"),
        pytest.param(terms("2025-01", NEW_YEAR), None, id="terms are accepted once"),
        pytest.param(a_snapshot(accounts=()), Reason.NO_ACCOUNT, id="an account is needed still"),
        pytest.param(
            a_snapshot(accounts=(an_account(domains=()),)),
            Reason.DOMAIN_NOT_ASSIGNED,
            id="domains are needed still",
        ),
    ],
)
def test_before_a_purchase(s: Snapshot, reason: Reason | None) -> None:
    obstacle = first_obstacle(PURCHASE, s)
    assert (obstacle and obstacle.reason) is reason
