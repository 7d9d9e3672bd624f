"""Whose a Secret is, and whether it stands as it should."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from sslorder.contract.ledger import Holder
from sslorder.contract.secret import CONTRACT, ORDER_UID, SERIAL_NUMBER, is_ours, is_published, template_keys
from tests.contract.build import a_leaf, a_ledger, a_paid, a_secret, an_order

LEAF = a_leaf()
ORDER = an_order(secretTemplate={"labels": {"team": "web"}, "annotations": {"example.com/note": "x"}})
SECRET = a_secret(ORDER, LEAF)
ELSEWHERE = Holder("shop", "uid-shop-namespace", "other")


def without(values: Mapping[str, str], key: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if name != key}


@pytest.mark.parametrize(
    ("mark", "holder", "ours"),
    [
        pytest.param({}, None, True, id="one that this order made"),
        pytest.param(
            {"order_uid": "uid-before"},
            None,
            True,
            id="one of its contract, made before it was declared again",
        ),
        pytest.param(
            {"order_uid": "uid-before"}, ELSEWHERE, False, id="not one of a contract that another holds"
        ),
        pytest.param(
            {"order_uid": "uid-before", "contract": "other"}, None, False, id="not one of another contract"
        ),
        pytest.param({"contract": "other"}, None, True, id="its own, even of another contract"),
        pytest.param({"order_uid": ""}, ELSEWHERE, False, id="not one without an order"),
    ],
)
def test_an_order_may_change(mark: dict[str, str], holder: Holder | None, ours: bool) -> None:
    ledger = a_ledger(LEAF) if holder is None else a_ledger(LEAF, holder=holder)
    assert is_ours(a_paid(LEAF, order=ORDER, ledger=ledger), replace(SECRET, **mark)) is ours  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "stands"),
    [
        pytest.param({}, True, id="as it was published"),
        pytest.param(
            {"labels": {**SECRET.labels, "theirs": "x"}}, True, id="with others' labels beside ours"
        ),
        pytest.param(
            {"annotations": {**SECRET.annotations, "theirs": "x"}}, True, id="with others' annotations"
        ),
        pytest.param({"name": "other-tls"}, False, id="not under another name"),
        pytest.param({"type": "Opaque"}, False, id="not of another type"),
        pytest.param({"content_sha256": "other"}, False, id="not with other contents"),
        pytest.param({"owner_uids": ()}, False, id="not without its owner"),
        pytest.param({"owner_uids": ("uid-shop", "other")}, False, id="not with another owner beside"),
        pytest.param(
            {"labels": without(SECRET.labels, "team")}, False, id="not without the template's label"
        ),
        pytest.param({"labels": {**SECRET.labels, "team": "db"}}, False, id="not with another value of it"),
        pytest.param(
            {"labels": without(SECRET.labels, ORDER_UID)}, False, id="not without what makes it watched"
        ),
        *(
            pytest.param({"annotations": without(SECRET.annotations, key)}, False, id=f"not without {key}")
            for key in (ORDER_UID, CONTRACT, SERIAL_NUMBER, "example.com/note")
        ),
    ],
)
def test_a_leaf_is_published_if_its_secret_stands(change: dict[str, object], stands: bool) -> None:
    s = a_paid(LEAF, order=ORDER, secrets=(replace(SECRET, **change),))  # type: ignore[arg-type]
    assert is_published(s, LEAF) is stands


def test_a_template_that_lost_a_key_is_not_what_was_published() -> None:
    smaller = an_order(secretTemplate={"labels": {}, "annotations": {"example.com/note": "x"}})
    assert not is_published(a_paid(LEAF, order=smaller, secrets=(SECRET,)), LEAF)
    assert template_keys(SECRET.annotations) == (frozenset({"team"}), frozenset({"example.com/note"}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"labels": 1}', '{"labels": null}'])
def test_template_keys_that_cannot_be_read_are_none(text: str) -> None:
    assert template_keys({"ssl.synchrone.be/template-keys": text}) == (frozenset(), frozenset())
