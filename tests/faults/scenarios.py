"""What happens to an order while the operator is killed: the scenarios, and how each must end.

Rules:
- `begin` brings an order to where nothing more happens; from `happens` on, requests are boundaries.
- How it must end does not depend on where the operator was killed, nor how often.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sslorder.api.schema import format_moment
from tests.api.manifests import changed
from tests.harness.world import Client, Order

BRIEF_SECONDS: Final = 10


@dataclass(frozen=True)
class End:
    """How a scenario ends. `revoked` says of each certificate needed, in the order of their issue, whether it
    is revoked; `leaf` is the one published, if any."""

    phase: str
    leaf: int | None
    revoked: tuple[bool, ...]
    payment: str = "Applied"


@dataclass(frozen=True)
class Scenario:
    name: str
    begin: Callable[[Client], Order]
    happens: Callable[[Order], Order]
    end: End
    client: Mapping[str, object] = field(default_factory=dict)
    """How the client differs, as `World.client` takes it."""


def _nothing_yet(client: Client) -> Order:
    return client.orders().reaches("PendingPayment")


def _active(client: Client) -> Order:
    return client.orders().is_paid().reaches("Active").has_secret()


def _suspended(client: Client) -> Order:
    order = _active(client)
    order.suffers("Suspend")
    return order.reaches("Suspended").has_no_secret()


def _paid(order: Order) -> Order:
    return order.is_paid()


def _reissued(order: Order) -> Order:
    order.edit(reissue={"requestedAt": format_moment(datetime.now(UTC) + timedelta(seconds=1))})
    return order


def _revoked(order: Order) -> Order:
    order.edit(revocation={"leaf": 1, "circumstance": "KeyCompromised"})
    return order


def _replaced(order: Order) -> Order:
    order.edit(revocation={"leaf": 1, "circumstance": "KeyCompromised", "replace": True})
    return order


def _left_alone(order: Order) -> Order:
    return order


def _suspension(order: Order) -> Order:
    order.suffers("Suspend")
    return order


def _reinstated(order: Order) -> Order:
    order.suffers("Reinstate")
    return order


def _terminated(order: Order) -> Order:
    order.suffers("Terminate", revokeAtAuthority=True)
    return order


def _payment_reversed(order: Order) -> Order:
    order.payment.is_reversed()
    return order


def _applied_again(order: Order) -> Order:
    order.is_deleted()
    return order.is_declared_again()


def _transferred(order: Order) -> Order:
    heir = order.client.declares(
        changed(order.manifest, {"metadata.name": "heir", "spec.secretName": "heir-tls"})
    )
    order.suffers("Transfer", transferTo={"namespace": heir.namespace, "name": heir.name})
    return heir


SERVED: Final = End("Active", 1, (False,))
SUCCEEDED: Final = End("Active", 2, (False, False))
_ROWS: Final = (
    Scenario("issuance", _nothing_yet, _paid, SERVED),
    Scenario("issuance with claim", _nothing_yet, _paid, SERVED, {"proved": False}),
    Scenario("reissue", _active, _reissued, SUCCEEDED),
    Scenario("revocation", _active, _revoked, End("Revoked", None, (True,))),
    Scenario("revocation with replacement", _active, _replaced, End("Active", 2, (True, False))),
    Scenario(
        "withdrawal at expiry",
        _active,
        _left_alone,
        End("Issuing", None, (False,)),
        {"max_validity_seconds": BRIEF_SECONDS, "quota": 1},
    ),
    Scenario("suspension", _active, _suspension, End("Suspended", None, (False,))),
    Scenario("reinstatement", _suspended, _reinstated, SERVED),
    Scenario("termination with revocation", _active, _terminated, End("Terminated", None, (True,))),
    Scenario(
        "reversed payment", _active, _payment_reversed, End("PendingPayment", None, (False,), "Reversed")
    ),
    Scenario("deleted and applied again", _active, _applied_again, SERVED),
    Scenario("transfer", _active, _transferred, SERVED),
)
SCENARIOS: Final = {scenario.name: scenario for scenario in _ROWS}
