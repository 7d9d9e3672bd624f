"""The gauges: what stands in the cluster at the moment of a scrape, as the operator's memory has it.

Rules:
- Nothing is kept between two scrapes: what was deleted is gone from the next.
- There are as many series as objects, at most nine for each order. A gauge is absent where it does not apply.
- Every replica shows the same objects, whether it acts or not: rules take the maximum by namespace and name.
- Lines are laid out here and not by the library, which takes ten times as long over ten thousand orders.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from sslorder.api.authority import SSLAuthority
from sslorder.api.common import Condition, ConditionStatus
from sslorder.api.conditions import ConditionType
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import PaymentState, SSLPayment
from sslorder.api.phases import Phase
from sslorder.contract.calendar import period_start
from sslorder.contract.secret import ORDER_NAME, not_after_of
from sslorder.contract.snapshot import SecretView
from sslorder.engine.cache import Cache
from sslorder.engine.queue import Urgency

HELP = {
    "sslorder_orders": "Orders by phase.",
    "sslorder_payments": "Payments by state.",
    "sslorder_queue_depth": "Objects that wait to be looked at, by urgency.",
    "sslorder_lease_held": "Whether this process holds the Lease, and so is the one that acts.",
    "sslorder_authority_ready_status": "1 for the status that the condition Ready of an SSLAuthority has.",
    "sslorder_authority_quota_remaining": "Certificates that may still be issued, when last asked.",
    "sslorder_order_phase": "1 for the phase that an order is in.",
    "sslorder_order_ready_status": "1 for the status that the condition Ready of an order has.",
    "sslorder_order_issuance_uncertain": "1 where it is not known whether a purchase was made.",
    "sslorder_order_payment_due_timestamp_seconds": "Start of the period for which payment is awaited.",
    "sslorder_contract_end_timestamp_seconds": "End of the contract's current period.",
    "sslorder_contract_notice_deadline_timestamp_seconds": "Last moment for notice (7.4).",
    "sslorder_contract_notice_given": "1 where notice was given: the contract ends.",
    "sslorder_contract_paid_through_timestamp_seconds": "End of paid time.",
    "sslorder_certificate_not_before_timestamp_seconds": "First moment of the leaf that is served.",
    "sslorder_certificate_not_after_timestamp_seconds": "Last moment of the leaf that is served.",
    "sslorder_certificate_reissue_timestamp_seconds": "When the successor of the leaf is asked for.",
    "sslorder_secret_not_after_timestamp_seconds": "Last moment of the leaf in a Secret with our mark.",
}

Sample = tuple[str, str, float]
"""A gauge's name, its labels as the text format writes them, its value."""


def exposition(cache: Cache, waiting: Mapping[Urgency, int], *, lease_held: bool) -> str:
    """Every gauge in the Prometheus text format, version 0.0.4. May be asked from any thread."""
    lines: dict[str, list[str]] = {name: [] for name in HELP}
    for name, labels, value in _samples(cache, waiting, lease_held):
        lines[name].append(f"{name}{{{labels}}} {value}\n" if labels else f"{name} {value}\n")
    return "".join(
        f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n{''.join(found)}" for name, found in lines.items()
    )


def _samples(cache: Cache, waiting: Mapping[Urgency, int], lease_held: bool) -> Iterator[Sample]:
    orders = cache.every(SSLCertificateOrder)
    yield from _counted("sslorder_orders", "phase", Phase, (order.status.phase for order in orders))
    states = (payment.status.state for payment in cache.every(SSLPayment))
    yield from _counted("sslorder_payments", "state", PaymentState, states)
    for urgency in Urgency:
        yield "sslorder_queue_depth", _labels(urgency=urgency.name.lower()), waiting[urgency]
    yield "sslorder_lease_held", "", int(lease_held)
    for authority in cache.every(SSLAuthority):
        yield from _of_authority(authority)
    for order in orders:
        yield from _of_order(order)
    for secret in cache.secrets():
        yield from _of_secret(secret)


def _counted(name: str, label: str, members: type[StrEnum], found: Iterable[str | None]) -> Iterator[Sample]:
    numbers = Counter(found)
    for member in members:
        yield name, _labels(**{label: member}), numbers[member]


def _of_authority(authority: SSLAuthority) -> Iterator[Sample]:
    name, status = authority.metadata.name, authority.status
    if (ready := _state(status.conditions, ConditionType.READY)) is not None:
        yield "sslorder_authority_ready_status", _labels(authority=name, condition=ready), 1
    if status.quota is not None:
        yield "sslorder_authority_quota_remaining", _labels(authority=name), status.quota.remaining


def _of_order(order: SSLCertificateOrder) -> Iterator[Sample]:
    status, contract, leaf = order.status, order.status.contract, order.status.certificate
    place = _labels(namespace=order.metadata.namespace, name=order.metadata.name)
    if status.phase is not None:
        yield "sslorder_order_phase", f'{place},phase="{status.phase}"', 1
    if (ready := _state(status.conditions, ConditionType.READY)) is not None:
        yield "sslorder_order_ready_status", f'{place},condition="{ready}"', 1
    if _state(status.conditions, ConditionType.ISSUANCE_UNCERTAIN) is ConditionStatus.TRUE:
        yield "sslorder_order_issuance_uncertain", place, 1
    if contract is not None:
        if status.payment_due is not None:
            due = period_start(contract.start, order.spec.term_years, status.payment_due.period)
            yield "sslorder_order_payment_due_timestamp_seconds", place, due.timestamp()
        yield "sslorder_contract_end_timestamp_seconds", place, contract.end.timestamp()
        deadline = contract.notice_deadline.timestamp()
        yield "sslorder_contract_notice_deadline_timestamp_seconds", place, deadline
        if contract.paid_through is not None:
            paid_through = contract.paid_through.timestamp()
            yield "sslorder_contract_paid_through_timestamp_seconds", place, paid_through
    if _state(status.conditions, ConditionType.NOTICE_GIVEN) is ConditionStatus.TRUE:
        yield "sslorder_contract_notice_given", place, 1
    if leaf is not None:
        yield "sslorder_certificate_not_before_timestamp_seconds", place, leaf.not_before.timestamp()
        yield "sslorder_certificate_not_after_timestamp_seconds", place, leaf.not_after.timestamp()
        if leaf.reissue_at is not None:
            yield "sslorder_certificate_reissue_timestamp_seconds", place, leaf.reissue_at.timestamp()


def _of_secret(secret: SecretView) -> Iterator[Sample]:
    ends = not_after_of(secret)
    if ends is not None:
        order = secret.annotations.get(ORDER_NAME, "")
        labels = _labels(namespace=secret.namespace, name=order, secret=secret.name)
        yield "sslorder_secret_not_after_timestamp_seconds", labels, ends.timestamp()


def _state(conditions: tuple[Condition, ...], kind: ConditionType) -> ConditionStatus | None:
    return next((condition.status for condition in conditions if condition.type == kind), None)


def _labels(**labels: str) -> str:
    """Annotations can be forged by whoever may write the Secret, and so are escaped as everything else."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
