"""What must hold before an order is accepted, and again before anything is bought for it.

Rules:
- A check is a pure function that says what is wrong, what to do, and whom to ask; the first to fail speaks.
- `ARRIVAL` is asked of an order that has no dossier: what fails keeps it in Received.
- `PURCHASE` is asked before claims, purchases and reissues. It never withdraws what is published: an edited
  account stops what is still to come, not what was sold.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sslorder.api.common import Product, Subject
from sslorder.api.conditions import Reason
from sslorder.contract.names import closest
from sslorder.contract.snapshot import Snapshot, edition_at


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why an order cannot go on, for programs and for people."""

    reason: Reason
    message: str
    article: str | None = None


Check = Callable[[Snapshot], Obstacle | None]


def _namespace_has_an_account(s: Snapshot) -> Obstacle | None:
    if s.accounts:
        return None
    return Obstacle(
        Reason.NO_ACCOUNT,
        f"No SSLAccount names the namespace {s.order.metadata.namespace}. Ask {s.provider.contact} to add"
        " it to your account.",
    )


def _namespace_has_one_account(s: Snapshot) -> Obstacle | None:
    if len(s.accounts) == 1:
        return None
    named = " and ".join(sorted(account.metadata.name for account in s.accounts))
    return Obstacle(
        Reason.AMBIGUOUS_ACCOUNT,
        f"The SSLAccounts {named} all name the namespace {s.order.metadata.namespace}. Ask"
        f" {s.provider.contact} to leave it in one of them.",
    )


def _namespace_is_the_one_that_was_accepted(s: Snapshot) -> Obstacle | None:
    if s.pinned_uid is None or s.namespace_uid is None or s.pinned_uid == s.namespace_uid:
        return None
    return Obstacle(
        Reason.NAMESPACE_REPLACED,
        f"The namespace {s.order.metadata.namespace} was deleted and created again since the provider"
        f" accepted it. Ask {s.provider.contact} to confirm it: take it out of the SSLAccount and put it in"
        " again.",
    )


def _purchase_order_is_free(s: Snapshot) -> Obstacle | None:
    if s.rival is None:
        return None
    return Obstacle(
        Reason.PURCHASE_ORDER_TAKEN,
        f"The purchase order {s.order.spec.purchase_order} is already declared by"
        f" {s.rival.namespace}/{s.rival.name}. Give this order the number of its own purchase order, or"
        f" delete one of the two. If the contract is to move here, ask {s.provider.contact} for a Transfer.",
        "2.1",
    )


def _terms_are_in_force(s: Snapshot) -> Obstacle | None:
    accepted = s.order.spec.accepted_terms
    arrived = s.order.metadata.creation_timestamp
    ours, theirs = edition_at(s.provider.conditions, arrived), edition_at(s.provider.authority_terms, arrived)
    for field, said, edition, whose in (
        ("conditions", accepted.conditions, ours, f"{s.provider.name}'s conditions"),
        ("authority", accepted.authority, theirs, "the authority's terms"),
    ):
        if said != edition.version:
            return Obstacle(
                Reason.TERMS_NOT_IN_FORCE,
                f"spec.acceptedTerms.{field} says {said!r}, but the version of {whose} in force when this"
                f" order arrived is {edition.version!r}. Read it at {edition.url} and, if you accept it,"
                " write that version.",
                "2.3",
            )
    return None


def _authority_exists(s: Snapshot) -> Obstacle | None:
    if s.authority is not None:
        return None
    ref = s.order.spec.authority_ref
    if ref is not None:
        text = (
            f"There is no SSLAuthority {ref.name}. Correct spec.authorityRef, or leave it out for the"
            " default."
        )
    else:
        text = (
            f"No SSLAuthority is the default for {s.order.spec.product}. Ask {s.provider.contact} which one"
            " to name in spec.authorityRef."
        )
    return Obstacle(Reason.NO_AUTHORITY, text, "2.2")


def _authority_sells_the_product(s: Snapshot) -> Obstacle | None:
    if s.authority is None or s.authority.declared.spec.product is s.order.spec.product:
        return None
    authority = s.authority.declared
    return Obstacle(
        Reason.AUTHORITY_PRODUCT_DIFFERS,
        f"The SSLAuthority {authority.metadata.name} sells {authority.spec.product}, the order is for"
        f" {s.order.spec.product}. Name another authority, or leave spec.authorityRef out for the default.",
        "2.2",
    )


def _account_may_use_the_authority(s: Snapshot) -> Obstacle | None:
    if s.authority is None:
        return None
    account, name = s.accounts[0], s.authority.declared.metadata.name
    if name in account.spec.authorities or (not account.spec.authorities and s.authority.is_default):
        return None
    return Obstacle(
        Reason.AUTHORITY_NOT_ALLOWED,
        f"The account {account.metadata.name} may not use the SSLAuthority {name}. Ask"
        f" {s.provider.contact}, or name one that it may use.",
    )


def _account_may_order_the_product(s: Snapshot) -> Obstacle | None:
    account, product = s.accounts[0], s.order.spec.product
    if product in (account.spec.products or (Product.DV,)):
        return None
    return Obstacle(
        Reason.PRODUCT_NOT_ALLOWED,
        f"The account {account.metadata.name} may not order {product} certificates. Ask"
        f" {s.provider.contact}.",
    )


def _subject_is_the_vetted_organisation(s: Snapshot) -> Obstacle | None:
    if s.order.spec.product is Product.DV:
        return None
    asked, vetted = s.order.spec.subject, s.accounts[0].spec.organisation
    if asked is None or vetted is None:
        text = f"The account {s.accounts[0].metadata.name} has no vetted organisation."
    else:
        differing = [
            f"{Subject.model_fields[field].alias} is {getattr(asked, field)!r} but was vetted as"
            f" {getattr(vetted, field)!r}"
            for field in Subject.model_fields
            if getattr(asked, field) != getattr(vetted, field)
        ]
        if not differing:
            return None
        text = f"spec.subject differs from the vetted organisation: {'; '.join(differing)}."
    return Obstacle(
        Reason.SUBJECT_NOT_VETTED,
        f"{text} Correct the order, or ask {s.provider.contact} to have it vetted.",
        "3.1",
    )


def _names_are_the_accounts(s: Snapshot) -> Obstacle | None:
    domains = s.accounts[0].spec.domains
    foreign = [name for name in s.order.spec.dns_names if closest(name, domains) is None]
    if not foreign:
        return None
    return Obstacle(
        Reason.DOMAIN_NOT_ASSIGNED,
        f"{', '.join(foreign[:5])}{' and others' if len(foreign) > 5 else ''}: under no domain that is"
        f" assigned to the account {s.accounts[0].metadata.name}. Ask {s.provider.contact} to assign the"
        " domain, or take the name out of the order.",
        "3.1",
    )


_ACCOUNT: tuple[Check, ...] = (
    _namespace_has_an_account,
    _namespace_has_one_account,
    _namespace_is_the_one_that_was_accepted,
)
_ALLOWED: tuple[Check, ...] = (
    _authority_exists,
    _authority_sells_the_product,
    _account_may_use_the_authority,
    _account_may_order_the_product,
    _subject_is_the_vetted_organisation,
    _names_are_the_accounts,
)

ARRIVAL: tuple[Check, ...] = (*_ACCOUNT, _purchase_order_is_free, _terms_are_in_force, *_ALLOWED)
PURCHASE: tuple[Check, ...] = (*_ACCOUNT, *_ALLOWED)


def first_obstacle(checks: Iterable[Check], s: Snapshot) -> Obstacle | None:
    """The first check that fails, in the order in which they are listed."""
    return next((obstacle for check in checks if (obstacle := check(s)) is not None), None)
