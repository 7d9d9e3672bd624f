"""What can be changed after it was declared: before a payment, after it, and in records."""

from typing import NamedTuple

import pytest

from tests.api.conftest import Admission
from tests.api.manifests import (
    ABSENT,
    ACCOUNT,
    AUTHORITY,
    DV_ORDER,
    ORGANISATION,
    OV_ORDER,
    PAYMENT,
    SUSPEND,
    Change,
    Manifest,
    changed,
)

PAID: Manifest = {
    "contract": {
        "start": "2026-11-23T09:00:00Z",
        "end": "2027-11-23T09:00:00Z",
        "noticeDeadline": "2027-10-23T21:59:59Z",
        "period": 1,
        "paidThrough": "2027-11-23T09:00:00Z",
    }
}
UNPAID = changed(PAID, {"contract.paidThrough": ABSENT})

NAMED_AUTHORITY = changed(DV_ORDER, {"spec.authorityRef": {"name": "globalsign-dv"}})
REVOCATION = {"leaf": 3, "circumstance": "SiteClosed"}
REVOKED = changed(DV_ORDER, {"spec.revocation": REVOCATION})
REVERSED = changed(PAYMENT, {"spec.reversedAt": "2026-12-01T00:00:00Z"})
OF_A_DAY = changed(PAYMENT, {"spec.period": ABSENT, "spec.periodStartsOn": "2026-11-23"})
FOR_AN_ORDER = changed(PAYMENT, {"spec.order": {"namespace": "shop", "name": "shop"}})


class Edit(NamedTuple):
    """`change` made to `manifest`. Where it is refused, the message names `field`."""

    sentence: str
    manifest: Manifest
    change: Change
    field: str = ""


CONTRACTUAL = (
    Edit(
        "the purchase order changes", DV_ORDER, {"spec.purchaseOrder": "BC-2026-0043"}, "spec.purchaseOrder"
    ),
    Edit("the term changes", DV_ORDER, {"spec.termYears": 2}, "spec.termYears"),
    Edit(
        "the product changes", DV_ORDER, {"spec.product": "OV", "spec.subject": ORGANISATION}, "spec.product"
    ),
    Edit("the subject comes", DV_ORDER, {"spec.product": "OV", "spec.subject": ORGANISATION}, "spec.subject"),
    Edit("the subject changes", OV_ORDER, {"spec.subject.locality": "Namur"}, "spec.subject"),
    Edit(
        "a part of the subject comes", OV_ORDER, {"spec.subject.streetAddress": "Rue Haute 1"}, "spec.subject"
    ),
    Edit("the subject goes", OV_ORDER, {"spec.product": "DV", "spec.subject": ABSENT}, "spec.subject"),
    Edit("the authority is named", DV_ORDER, {"spec.authorityRef": {"name": "other"}}, "spec.authorityRef"),
    Edit("the authority changes", NAMED_AUTHORITY, {"spec.authorityRef.name": "other"}, "spec.authorityRef"),
    Edit("the authority goes", NAMED_AUTHORITY, {"spec.authorityRef": ABSENT}, "spec.authorityRef"),
    Edit("other conditions", DV_ORDER, {"spec.acceptedTerms.conditions": "2027-01"}, "spec.acceptedTerms"),
    Edit("other terms", DV_ORDER, {"spec.acceptedTerms.authority": "6.0"}, "spec.acceptedTerms"),
    Edit(
        "a name comes",
        DV_ORDER,
        {"spec.dnsNames": [*DV_ORDER["spec"]["dnsNames"], "a.example.com"]},
        "spec.dnsNames",
    ),
    Edit(
        "a name is replaced",
        DV_ORDER,
        {"spec.dnsNames": ["shop.example.com", "a.example.com"]},
        "spec.dnsNames",
    ),
)

FREE = (
    Edit("a name goes", DV_ORDER, {"spec.dnsNames": ["shop.example.com"]}),
    Edit("names change places", DV_ORDER, {"spec.dnsNames": ["www.example.com", "shop.example.com"]}),
    Edit("the key changes", DV_ORDER, {"spec.privateKey": {"algorithm": "RSA", "size": 3072}}),
    Edit("the Secret's name changes", DV_ORDER, {"spec.secretName": "other-tls"}),
    Edit("the Secret gets a label", DV_ORDER, {"spec.secretTemplate": {"labels": {"team": "web"}}}),
    Edit("notice is given", DV_ORDER, {"spec.renewal": "None"}),
    Edit("reissue comes earlier", DV_ORDER, {"spec.reissueBefore": "1000h"}),
    Edit("a reissue is asked", DV_ORDER, {"spec.reissue": {"requestedAt": "2027-01-01T00:00:00Z"}}),
    Edit("a revocation is asked", DV_ORDER, {"spec.revocation": REVOCATION}),
    Edit(
        "that of a later leaf is asked",
        REVOKED,
        {"spec.revocation": {"leaf": 4, "circumstance": "Superseded"}},
    ),
)

KEPT = (
    Edit("a revocation goes", REVOKED, {"spec.revocation": ABSENT}, "spec.revocation"),
    Edit(
        "a revocation's circumstance changes",
        REVOKED,
        {"spec.revocation.circumstance": "Superseded"},
        "spec.revocation",
    ),
    Edit("a revocation is for an earlier leaf", REVOKED, {"spec.revocation.leaf": 2}, "spec.revocation"),
    Edit("an order's spec goes", DV_ORDER, {"spec": ABSENT}, "spec"),
    Edit("a payment's account changes", PAYMENT, {"spec.account": "other"}, "spec.account"),
    Edit("a payment's purchase order changes", PAYMENT, {"spec.purchaseOrder": "BC-2"}, "spec.purchaseOrder"),
    Edit("a payment's period changes", PAYMENT, {"spec.period": 2}, "spec.period"),
    Edit(
        "a payment's first day changes",
        OF_A_DAY,
        {"spec.periodStartsOn": "2026-11-24"},
        "spec.periodStartsOn",
    ),
    Edit(
        "a payment's period becomes a day",
        PAYMENT,
        {"spec.period": ABSENT, "spec.periodStartsOn": "2026-11-23"},
        "spec.periodStartsOn",
    ),
    Edit("what a payment covers changes", PAYMENT, {"spec.covers.names": 3}, "spec.covers"),
    Edit("a payment's amount changes", PAYMENT, {"spec.amount": "250.00"}, "spec.amount"),
    Edit("a payment's currency changes", PAYMENT, {"spec.currency": "USD"}, "spec.currency"),
    Edit("a payment's reference changes", PAYMENT, {"spec.reference": "other"}, "spec.reference"),
    Edit(
        "a payment's moment changes", PAYMENT, {"spec.receivedAt": "2026-11-22T00:00:00Z"}, "spec.receivedAt"
    ),
    Edit(
        "a payment's order comes",
        PAYMENT,
        {"spec.order": {"namespace": "shop", "name": "shop"}},
        "spec.order",
    ),
    Edit("a payment's order changes", FOR_AN_ORDER, {"spec.order.name": "other"}, "spec.order"),
    Edit("a payment's order goes", FOR_AN_ORDER, {"spec.order": ABSENT}, "spec.order"),
    Edit(
        "a reversal's moment changes",
        REVERSED,
        {"spec.reversedAt": "2026-12-02T00:00:00Z"},
        "spec.reversedAt",
    ),
    Edit("a reversal goes", REVERSED, {"spec.reversedAt": ABSENT}, "spec.reversedAt"),
    Edit("an action's target changes", SUSPEND, {"spec.target.purchaseOrder": "BC-2"}, "spec"),
    Edit("an action gets an end", SUSPEND, {"spec.until": "2027-01-01T00:00:00Z"}, "spec"),
    Edit("an action's cause gets a note", SUSPEND, {"spec.cause.note": "Unpaid since May."}, "spec"),
    Edit("an authority's product changes", AUTHORITY, {"spec.product": "OV"}, "spec.product"),
)

CHANGEABLE = (
    Edit("a payment is reversed", PAYMENT, {"spec.reversedAt": "2026-12-01T00:00:00Z"}),
    Edit("a reversed payment gets a label", REVERSED, {"metadata.labels": {"batch": "12"}}),
    Edit("an action gets a label", SUSPEND, {"metadata.labels": {"case": "12"}}),
    Edit("an authority moves", AUTHORITY, {"spec.globalSign.url": "https://ca.example.com/v2"}),
    Edit("an account gets a namespace", ACCOUNT, {"spec.namespaces": ["shop", "web"]}),
    Edit("an account gets a vetted organisation", ACCOUNT, {"spec.organisation": ORGANISATION}),
)

REFUSED_EDITS = (*CONTRACTUAL, *KEPT)

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("edit", [*CONTRACTUAL, *FREE], ids=lambda edit: edit.sentence)
@pytest.mark.parametrize("status", [{}, UNPAID], ids=["before judgement", "before payment"])
def test_an_order_can_be_corrected_until_it_is_paid(
    edit: Edit, status: Manifest, admission: Admission
) -> None:
    order = admission.show_status(admission.create(edit.manifest), status)
    assert admission.refusal_of_update(changed(order, edit.change)) is None


@pytest.mark.parametrize("edit", CONTRACTUAL, ids=lambda edit: edit.sentence)
def test_what_the_contract_rests_on_is_fixed_once_paid(edit: Edit, admission: Admission) -> None:
    order = admission.show_status(admission.create(edit.manifest), PAID)
    message = admission.refusal_of_update(changed(order, edit.change))
    assert message is not None
    assert f"{edit.field}: " in message
    assert "once a payment was applied" in message


@pytest.mark.parametrize("edit", FREE, ids=lambda edit: edit.sentence)
def test_how_the_certificate_is_served_and_ended_stays_free_once_paid(
    edit: Edit, admission: Admission
) -> None:
    order = admission.show_status(admission.create(edit.manifest), PAID)
    assert admission.refusal_of_update(changed(order, edit.change)) is None


@pytest.mark.parametrize("edit", KEPT, ids=lambda edit: edit.sentence)
def test_what_is_recorded_stays(edit: Edit, admission: Admission) -> None:
    message = admission.refusal_of_update(changed(admission.create(edit.manifest), edit.change))
    assert message is not None
    assert f"{edit.field}: " in message


@pytest.mark.parametrize("edit", CHANGEABLE, ids=lambda edit: edit.sentence)
def test_what_is_no_record_changes(edit: Edit, admission: Admission) -> None:
    assert admission.refusal_of_update(changed(admission.create(edit.manifest), edit.change)) is None


def test_nobody_marks_an_order_as_paid_by_declaring_it(admission: Admission) -> None:
    order = admission.create(DV_ORDER | {"status": PAID})
    assert order["status"] == {"observedGeneration": -1}
