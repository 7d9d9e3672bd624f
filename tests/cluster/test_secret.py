"""The published Secret: kept as it was bought, whatever happens to it, and never anyone else's."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.api.manifests import Manifest
from tests.harness.kube import SECRETS
from tests.harness.world import Client, Order

pytestmark = pytest.mark.cluster

NewClient = Callable[..., Client]

MARK = "ssl.synchrone.be/order-uid"
METADATA = ("name", "namespace", "labels", "annotations", "ownerReferences")


def as_published(secret: Manifest | None) -> Manifest | None:
    """What of a Secret must not differ from what was published."""
    if secret is None:
        return None
    metadata = secret["metadata"]
    kept = {
        key: metadata.get(key) for key in ("name", "namespace", "labels", "annotations", "ownerReferences")
    }
    return {**kept, "type": secret["type"], "data": secret.get("data")}


def is_repaired_after(order: Order, damage: Callable[[Order], None]) -> None:
    published = as_published(order.secret_object())
    bought = order.client.operations()
    damage(order)
    order.waits_for_secret(lambda secret: as_published(secret) == published, "to be as it was published")
    order.reaches("Active")
    asked = [operation for operation in order.client.operations()[len(bought) :] if operation != "login"]
    assert asked == []


def other_type(order: Order) -> None:
    """A Secret's type cannot be edited: somebody puts a copy of another type in its place."""
    copy = order.secret_object()
    assert copy is not None
    kept = {
        key: copy["metadata"][key]
        for key in ("name", "namespace", "labels", "annotations", "ownerReferences")
    }
    order.delete_secret()
    body = {"metadata": kept, "type": "Opaque", "data": copy["data"]}
    order.world.kube.call("POST", SECRETS.path(order.namespace), body)  # loses if the operator was faster


def edit(body: Mapping[str, Any]) -> Callable[[Order], None]:
    return lambda order: order.edit_secret(body)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(Order.delete_secret, id="deleted"),
        pytest.param(edit({"data": {"tls.crt": "bm9uc2Vuc2U="}}), id="its chain edited"),
        pytest.param(edit({"data": {"tls.key": "bm9uc2Vuc2U="}}), id="its key edited"),
        pytest.param(edit({"data": {"ca.crt": None}}), id="its root taken out"),
        pytest.param(edit({"data": {"more": "bm9uc2Vuc2U="}}), id="something put beside"),
        pytest.param(edit({"metadata": {"labels": {MARK: "edited"}}}), id="our label edited"),
        pytest.param(edit({"metadata": {"labels": {MARK: None}}}), id="our label taken off"),
        pytest.param(edit({"metadata": {"labels": {"team": None}}}), id="the template's label taken off"),
        pytest.param(edit({"metadata": {"annotations": {MARK: None}}}), id="one annotation taken off"),
        pytest.param(edit({"metadata": {"ownerReferences": None}}), id="disowned"),
        pytest.param(other_type, id="replaced by one of another type"),
    ],
)
def test_a_secret_is_repaired_from_the_dossier(client: NewClient, damage: Callable[[Order], None]) -> None:
    shop = client()
    order = shop.orders(secretTemplate={"labels": {"team": "web"}}).is_paid().reaches("Active")
    is_repaired_after(order, damage)


def test_labels_of_others_are_left_alone(client: NewClient) -> None:
    order = client().orders(secretTemplate={"labels": {"team": "web"}}).is_paid().reaches("Active")
    order.edit_secret({"metadata": {"labels": {"another": "label"}}})
    order.edit(secretTemplate={"labels": {"crew": "web", "team": None}})
    order.waits_for_secret(
        lambda secret: (
            secret is not None
            and secret["metadata"]["labels"]
            == {"another": "label", "crew": "web", MARK: order.read()["metadata"]["uid"]}
        ),
        "to have the labels of the new template besides the others",
    )


def test_a_secret_of_someone_else_is_left_untouched_until_it_is_gone(client: NewClient) -> None:
    shop = client()
    metadata = {"name": "taken", "namespace": shop.namespace}
    body = {"metadata": metadata, "stringData": {"password": "of someone else"}}
    foreign = shop.world.kube.create(SECRETS, body)
    order = shop.orders(secretName="taken").is_paid()
    order.stalls("Issuing", "SecretConflict", f"{shop.namespace}/taken", "Delete it", "spec.secretName")
    assert order.secret_object() == foreign

    shop.world.kube.delete(SECRETS, "taken", shop.namespace)
    shop.world.restart_operator()  # it looks at once; running on, within a minute
    order.reaches("Active").has_secret()
    assert len(shop.certificates()) == 1


def test_a_secret_of_someone_else_is_evaded_by_another_name(client: NewClient) -> None:
    shop = client()
    metadata = {"name": "taken", "namespace": shop.namespace}
    foreign = shop.world.kube.create(SECRETS, {"metadata": metadata})
    order = shop.orders().is_paid().reaches("Active")
    published = order.secret()
    order.edit(secretName="taken")
    order.stalls("Issuing", "SecretConflict", "Delete it")
    assert order.secret() == published
    order.edit(secretName="free")
    order.reaches("Active").has_no_secret()
    order.secret_name = "free"
    assert order.secret() == published
    assert shop.world.kube.get(SECRETS, "taken", shop.namespace) == foreign


def test_a_secret_moves_with_its_name(client: NewClient) -> None:
    order = client().orders(secretName="before").is_paid().reaches("Active")
    published = order.secret()
    order.edit(secretName="after")
    order.has_no_secret()
    order.secret_name = "after"
    order.reaches("Active")
    assert order.secret() == published


def test_an_order_that_is_declared_again_takes_up_what_was_bought(client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    bought = order.secret()
    order.is_deleted()
    order.has_no_secret()
    order.is_declared_again().reaches("Active")
    assert order.secret() == bought
    assert len(shop.certificates()) == 1


def test_an_order_that_is_replaced_at_once_keeps_its_certificate(client: NewClient) -> None:
    shop = client()
    order = shop.orders().is_paid().reaches("Active")
    bought = order.secret()
    order.is_deleted()
    again = order.is_declared_again().reaches("Active").read()["metadata"]["uid"]
    order.waits_for_secret(
        lambda secret: secret is not None and secret["metadata"]["labels"][MARK] == again,
        "to belong to the new order",
    )
    assert order.secret() == bought
    assert len(shop.certificates()) == 1


def test_no_secret_survives_its_order(client: NewClient) -> None:
    order = client().orders().is_paid().reaches("Active")
    order.is_deleted(propagation="Orphan")
    order.has_no_secret()
