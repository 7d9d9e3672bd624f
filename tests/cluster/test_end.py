"""What ends a certificate, or holds it back: time, revocation, and the provider's measures."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from sslorder.api.schema import format_moment
from tests.harness.world import Client, World, decoded

pytestmark = pytest.mark.cluster

NewClient = Callable[..., Client]

LEAF_SECONDS = 6
WITHIN = timedelta(seconds=1)


def last(operations: list[str], operation: str) -> int:
    """Where in a list it was done last."""
    return len(operations) - 1 - operations[::-1].index(operation)


def soon() -> str:
    """A moment after all that has happened, to the second, that comes within a second."""
    return format_moment(datetime.now(UTC) + timedelta(seconds=1))


# Time


def test_a_leaf_without_successor_is_withdrawn_when_it_runs_out(client: NewClient) -> None:
    shop = client(max_validity_seconds=LEAF_SECONDS, quota=1)
    order = shop.orders().is_paid().reaches("Active")
    ends = order.certificate().not_valid_after_utc
    last_seen = first_missed = datetime.min.replace(tzinfo=UTC)

    def is_gone() -> bool:
        nonlocal last_seen, first_missed
        asked_at = datetime.now(UTC)
        if order.secret_object() is None:
            first_missed = datetime.now(UTC)
            return True
        last_seen = asked_at
        return False

    shop.world.wait(is_gone, "the Secret to be gone", order.read)
    assert ends - WITHIN < last_seen
    assert ends < first_missed < ends + WITHIN
    order.reaches("Issuing", "quota", "certificates@provider.example")
    assert order.kstatus() == "InProgress"
    assert shop.operations().count("request") == 1

    shop.world.sandbox.set_quota(shop.name, 1)
    order.reaches("Active").has_secret()


def test_a_leaf_is_replaced_in_time_by_one_write(client: NewClient) -> None:
    shop = client(max_validity_seconds=LEAF_SECONDS, quota=2)
    order = shop.orders().is_paid().reaches("Active")
    history = order.status["history"]
    with order.watches_secret() as events:
        order.waits(lambda status: status["certificate"]["leaf"] == 2, "to be served leaf 2")
    assert [what for what, _ in events] == ["MODIFIED"]
    before, after = shop.certificates()
    assert before["spki_sha256"] != after["spki_sha256"]
    assert before["issued_at"] < after["issued_at"] < before["not_after"]
    assert decoded(events[0][1], "tls.crt") == (order.secret() or {})["tls.crt"]
    assert order.status["history"] == history


def test_a_client_asks_for_a_new_leaf(client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    first = order.certificate()
    order.edit(reissue={"requestedAt": soon()})
    order.waits(lambda status: status["certificate"]["leaf"] == 2, "to be served leaf 2")
    order.reaches("Active")
    assert order.certificate().public_key() != first.public_key()
    assert [entry["revoked"] for entry in shop.certificates()] == [False, False]


def test_names_that_are_dropped_leave_the_certificate(client: NewClient) -> None:
    shop = client()
    order = shop.orders("www", "api").is_paid().reaches("Active")
    with order.watches_secret() as events:
        order.edit(dnsNames=[f"www.{shop.domain}"])
        order.waits(lambda status: status.get("revoked", {}).get("leaf") == 1, "to be rid of leaf 1")
    assert [what for what, _ in events] == ["MODIFIED"]
    assert [(entry["names"], entry["revoked"]) for entry in shop.certificates()] == [
        ([f"www.{shop.domain}", f"api.{shop.domain}"], True),
        ([f"www.{shop.domain}"], False),
    ]


# Revocation


@pytest.mark.parametrize(
    ("circumstance", "reason"),
    [
        ("KeyCompromised", "keyCompromise"),
        ("SiteClosed", "cessationOfOperation"),
        ("Superseded", "superseded"),
        ("ClientEnds", "unspecified"),
    ],
)
def test_a_client_revokes_its_leaf(client: NewClient, circumstance: str, reason: str) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    order.edit(revocation={"leaf": 1, "circumstance": circumstance})
    order.reaches("Revoked", circumstance, "spec.reissue").has_no_secret()
    (revoked,) = shop.certificates()
    assert (revoked["revoked"], revoked["reason"]) == (True, reason)
    assert order.kstatus() == "Current"
    assert order.status["revoked"]["serialNumber"] == revoked["serial"]


def test_the_secret_goes_before_the_authority_is_told(client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    shop.delays("revoke", 1.0)
    order.edit(revocation={"leaf": 1, "circumstance": "KeyCompromised"})
    shop.waits_until_asked("revoke")
    assert order.secret_object() is None
    order.reaches("Revoking", "withdrawn")
    assert order.kstatus() == "InProgress"
    assert not shop.certificates()[0]["revoked"]
    order.reaches("Revoked")
    assert [entry["to"] for entry in order.status["history"]][-2:] == ["Revoking", "Revoked"]


def test_a_revocation_that_fails_is_asked_until_it_is_confirmed(client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    shop.fails({"fault": "refuse", "operation": "revoke", "status": 503, "times": 1})
    order.edit(revocation={"leaf": 1, "circumstance": "SiteClosed"})
    order.reaches("Revoked").has_no_secret()
    assert shop.operations().count("revoke") == 2


def test_a_revoked_leaf_is_followed_by_another_when_that_is_asked(client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    order.edit(revocation={"leaf": 1, "circumstance": "KeyCompromised"})
    order.reaches("Revoked")
    order.edit(reissue={"requestedAt": soon()})
    order.reaches("Active").has_secret()
    assert [entry["revoked"] for entry in shop.certificates()] == [True, False]


def test_a_leaf_that_is_to_be_replaced_is_revoked_once_its_successor_is_served(client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    with order.watches_secret() as events:
        order.edit(revocation={"leaf": 1, "circumstance": "KeyCompromised", "replace": True})
        order.waits(lambda status: status.get("revoked", {}).get("leaf") == 1, "to be rid of leaf 1")
    assert [what for what, _ in events] == ["MODIFIED"]
    order.reaches("Active")
    assert [entry["revoked"] for entry in shop.certificates()] == [True, False]
    assert shop.operations().index("revoke") > len(shop.operations()) - 1 - shop.operations()[::-1].index(
        "request"
    )


@pytest.mark.parametrize(
    ("circumstance", "allowed", "reason"),
    [
        ("DomainLost", False, "cessationOfOperation"),
        ("IllicitUse", False, "unspecified"),
        ("IllicitUse", True, "privilegeWithdrawn"),
    ],
)
def test_the_provider_revokes_a_leaf(
    client: NewClient, circumstance: str, allowed: bool, reason: str
) -> None:
    shop = client(authority={"spec.globalSign.allowPrivilegeWithdrawn": allowed})
    order = shop.orders().is_paid().reaches("Active")
    action = order.suffers("Revoke", revocation={"circumstance": circumstance})
    order.stalls("Revoked", "Revoked", circumstance, "Provider SPRL", action.name)
    order.has_no_secret()
    action.becomes("CarriedOut", "1 order")
    (revoked,) = shop.certificates()
    assert (revoked["revoked"], revoked["reason"]) == (True, reason)


# Measures of the provider


def test_a_suspension_withdraws_and_a_reinstatement_brings_back(client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    bought = order.secret()
    suspension = order.suffers("Suspend", cause={"article": "9.2(6)", "note": "invoice 17 is overdue"})
    order.stalls("Suspended", "Suspended", "9.2(6)", "invoice 17 is overdue", suspension.name, "Ask ")
    suspension.becomes("CarriedOut", "1 order")
    order.has_no_secret()
    order.suffers("Reinstate").becomes("CarriedOut")
    order.reaches("Active")
    assert order.secret() == bought
    assert len(shop.certificates()) == 1


def test_a_suspension_ends_by_itself_at_the_moment_that_it_names(client: NewClient) -> None:
    order = client().orders().is_paid().reaches("Active")
    until = datetime.now(UTC) + timedelta(seconds=3)
    order.suffers("Suspend", until=format_moment(until))
    order.stalls("Suspended", "Suspended").has_no_secret()
    order.reaches("Active").has_secret()
    assert datetime.now(UTC) >= until.replace(microsecond=0)


def test_nothing_is_bought_for_a_suspended_order(client: NewClient) -> None:
    shop = client()
    order = shop.orders().reaches("PendingPayment")
    order.suffers("Suspend")
    order.stalls("Suspended", "Suspended")
    order.is_paid()
    order.payment.becomes("Applied")
    assert shop.asked_on_its_behalf() == []
    order.suffers("Reinstate")
    order.reaches("Active")


@pytest.mark.parametrize("revoke", [False, True], ids=["certificate left alone", "certificate revoked"])
def test_a_termination_is_final(client: NewClient, revoke: bool) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    order.suffers("Terminate", revokeAtAuthority=revoke).becomes("CarriedOut")
    order.stalls("Terminated", "Terminated", "9.2(6)", "certificates@provider.example").has_no_secret()
    shop.has_revoked(revoke)
    order.edit(reissue={"requestedAt": soon()})
    order.suffers("Reinstate")
    client().orders().is_paid().reaches("Active")
    order.stalls("Terminated", "Terminated")
    shop.has_revoked(revoke)


def test_a_payment_that_is_reversed_withdraws_and_another_brings_back(client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    bought = order.secret()
    order.payment.is_reversed()
    order.reaches("PendingPayment", "7.2").has_no_secret()
    order.payment.becomes("Reversed")
    assert order.kstatus() == "InProgress"
    order.is_paid().reaches("Active")
    assert order.secret() == bought
    assert len(shop.certificates()) == 1


def test_records_that_are_deleted_undo_nothing(world: World, client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    suspension = order.suffers("Suspend")
    order.stalls("Suspended", "Suspended")
    world.kube.delete(suspension.kind, suspension.name)
    world.kube.delete(order.payment.kind, order.payment.name)
    order.edit(reissueBefore="24h")
    order.stalls("Suspended", "Suspended")
    order.suffers("Reinstate")
    order.reaches("Active")
