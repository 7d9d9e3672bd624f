"""What is read is read wholly or not at all, and written as Kubernetes writes it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction, TargetKind
from sslorder.api.authority import DEFAULT_ANNOTATION, SSLAuthority
from sslorder.api.crd import KINDS
from sslorder.api.order import (
    HistoryEntry,
    KeyAlgorithm,
    OrderSpec,
    OrderStatus,
    Renewal,
    SSLCertificateOrder,
)
from sslorder.api.payment import SSLPayment
from sslorder.api.phases import Phase
from sslorder.api.schema import format_duration, format_moment, parse_duration
from tests.api.manifests import (
    ABSENT,
    ACCOUNT,
    ACTIONS,
    AUTHORITY,
    DV_ORDER,
    GOOD,
    PAYMENT,
    SUSPEND,
    TRANSFER_OF_A_NAMESPACE,
    Change,
    Manifest,
    changed,
)

MODELS = {model.KIND.name: model for model in KINDS}
STORED: Manifest = {"metadata.creationTimestamp": "2026-11-23T09:00:00Z", "metadata.managedFields": []}


@pytest.mark.parametrize("manifest", GOOD)
def test_what_was_read_is_written_the_same(manifest: Manifest) -> None:
    read = MODELS[manifest["kind"]].model_validate(changed(manifest, STORED))
    written = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert written["spec"] == manifest["spec"]


@pytest.mark.parametrize(
    ("sentence", "change"),
    [
        ("a field that nobody knows", {"dnsName": "shop.example.com"}),
        ("a field deep down that nobody knows", {"acceptedTerms.by": "me"}),
        ("a missing field", {"secretName": ABSENT}),
        ("a product that nobody sells", {"product": "QV"}),
        ("a list that is none", {"dnsNames": "shop.example.com"}),
        ("a number that is none", {"termYears": "one"}),
        ("a duration that is none", {"reissueBefore": "30 days"}),
        ("a moment without a zone", {"reissue": {"requestedAt": "2026-11-23T09:00:00"}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_spec_that_does_not_parse_is_an_error(sentence: str, change: Change) -> None:
    with pytest.raises(ValidationError):
        OrderSpec.model_validate(changed(DV_ORDER["spec"], change))


def test_an_order_reads_in_the_words_of_python() -> None:
    order = SSLCertificateOrder.model_validate(
        changed(DV_ORDER, STORED | {"spec.reissueBefore": "36h30m", "spec.renewal": "None"})
    )
    assert order.metadata.creation_timestamp == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert order.spec.dns_names == ("shop.example.com", "www.example.com")
    assert order.spec.private_key.algorithm is KeyAlgorithm.ECDSA
    assert order.spec.reissue_before == timedelta(hours=36, minutes=30)
    assert order.spec.renewal is Renewal.NONE
    assert order.status.observed_generation == -1


def test_a_status_that_a_later_version_wrote_is_read() -> None:
    status = OrderStatus.model_validate({"phase": "Active", "message": "Served.", "weather": {"wind": 3}})
    assert status.phase is Phase.ACTIVE


def test_a_transition_is_written_from_and_to() -> None:
    entry = HistoryEntry(
        time=datetime(2026, 11, 23, 9, 0, 0, 999_999, tzinfo=UTC),
        from_=Phase.ISSUING,
        to=Phase.ACTIVE,
        article="4.2",
        cause="Issued",
    )
    assert entry.model_dump(mode="json", by_alias=True, exclude_defaults=True) == {
        "time": "2026-11-23T09:00:00Z",
        "from": "Issuing",
        "to": "Active",
        "article": "4.2",
        "cause": "Issued",
    }


def test_moments_are_written_in_utc_to_the_second() -> None:
    moment = datetime.fromisoformat("2026-11-23T10:00:00.750+01:00")
    assert format_moment(moment) == "2026-11-23T09:00:00Z"


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("720h", timedelta(days=30)),
        ("36h30m", timedelta(hours=36, minutes=30)),
        ("1h1s", timedelta(hours=1, seconds=1)),
        ("90s", timedelta(seconds=90)),
        ("0s", timedelta()),
    ],
)
def test_durations_are_read_and_written(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "30d", "1.5h", "-1h", "30m1h", "1H", "720", "1h\n"])
def test_what_is_no_duration_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


def test_a_payment_for_a_period_by_its_first_day() -> None:
    payment = SSLPayment.model_validate(
        changed(PAYMENT, STORED | {"spec.period": ABSENT, "spec.periodStartsOn": "2026-11-23"})
    )
    assert payment.spec.period is None
    assert payment.spec.period_starts_on == date(2026, 11, 23)


def test_the_target_of_an_action_is_told_by_its_fields() -> None:
    def kind_of(manifest: Manifest) -> TargetKind:
        return SSLContractAction.model_validate(changed(manifest, STORED)).spec.target.kind

    assert kind_of(ACTIONS["Revoke"]) is TargetKind.CONTRACT
    assert kind_of(TRANSFER_OF_A_NAMESPACE) is TargetKind.ACCOUNT
    assert kind_of(changed(SUSPEND, {"spec.target": {"authority": "ca"}})) is TargetKind.AUTHORITY


def test_an_account_without_lists_has_empty_ones() -> None:
    spec = SSLAccount.model_validate(changed(ACCOUNT, STORED | {"spec.namespaces": ABSENT})).spec
    assert (spec.namespaces, spec.authorities, spec.products) == ((), (), ())


@pytest.mark.parametrize(("value", "default"), [("true", True), ("false", False), (None, False)])
def test_the_default_authority_is_marked_as_storage_classes_are(value: str | None, default: bool) -> None:
    marked = {} if value is None else {"metadata.annotations": {DEFAULT_ANNOTATION: value}}
    assert SSLAuthority.model_validate(changed(AUTHORITY, STORED | marked)).is_default is default


def test_a_ca_bundle_is_read_as_pem() -> None:
    authority = SSLAuthority.model_validate(
        changed(AUTHORITY, STORED | {"spec.globalSign.caBundle": "LS0tLS1CRUdJTg=="})
    )
    assert authority.spec.global_sign.ca_bundle == b"-----BEGIN"
