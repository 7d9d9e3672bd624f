"""`SSLPayment`: a payment that the provider received. A record: reversed by a date, never changed."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sslorder.api.common import (
    Column,
    Covers,
    Kind,
    KubernetesObject,
    Message,
    NamespacedRef,
    NamespaceName,
    ObjectName,
    PurchaseOrder,
    Scope,
)
from sslorder.api.schema import Model, Moment, Projection, Rule, immutable, rules

RECORDED_FIELDS = (
    "account",
    "purchaseOrder",
    "period",
    "periodStartsOn",
    "covers",
    "amount",
    "currency",
    "reference",
    "receivedAt",
    "order",
)


class PaymentSpec(
    Model,
    json_schema_extra=rules(
        Rule(
            "has(self.period) != has(self.periodStartsOn)",
            "say which period is paid: write either period (its number) or periodStartsOn (its first day)",
            ".period",
        ),
        Rule(
            "self.covers.names + self.covers.wildcards > 0",
            "a payment covers something: write how many names or wildcards, at least 1 in all",
            ".covers",
        ),
        *immutable(
            RECORDED_FIELDS,
            "is recorded and cannot change: set reversedAt and record another payment",
        ),
        Rule(
            "!has(oldSelf.reversedAt) || (has(self.reversedAt) && self.reversedAt == oldSelf.reversedAt)",
            "reversedAt is written once: record another payment instead",
            ".reversedAt",
        ),
    ),
):
    """What was paid, for which period of which contract."""

    account: ObjectName
    """SSLAccount whose contract is paid."""
    purchase_order: PurchaseOrder
    """Purchase order that is paid."""
    period: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Number of the period that is paid, from 1. Either this or periodStartsOn."""
    period_starts_on: date | None = None
    """First day of the period that is paid, Europe/Brussels, as in 2026-12-01. Either this or period."""
    covers: Covers
    """What is paid for. The payments of one period add up."""
    amount: Annotated[
        str,
        Field(min_length=1, max_length=20),
        Rule(
            r"self.matches(r'^(0|[1-9][0-9]*)(\.[0-9]{1,4})?$')",
            "write the amount as a decimal number in quotes, as in '249.00'",
        ),
    ]
    """Amount received, a decimal number in quotes. Recorded, never judged."""
    currency: Annotated[
        str,
        Field(min_length=3, max_length=3),
        Rule("self.matches('^[A-Z]{3}$')", "write the three capital letters of ISO 4217, as in EUR"),
    ]
    """Currency of the amount."""
    reference: Annotated[str, Field(min_length=1, max_length=140)]
    """The bank's text. The same reference twice is one payment."""
    received_at: Moment
    """When the payment was received."""
    order: NamespacedRef | None = None
    """The order that is paid, where two claim one purchase order."""
    reversed_at: Moment | None = None
    """When the payment was reversed. Written once; nothing else undoes a payment."""


class PaymentState(StrEnum):
    """What became of a payment."""

    WAITING = "Waiting"
    APPLIED = "Applied"
    DOES_NOT_COVER = "DoesNotCover"
    DUPLICATE = "Duplicate"
    REVERSED = "Reversed"


class AppliedTo(Projection):
    """The order and the period that a payment was applied to."""

    namespace: NamespaceName
    """Namespace of the order."""
    name: ObjectName
    """Name of the order."""
    period: Annotated[int, Field(ge=1)]
    """Number of the period."""


class PaymentStatus(Projection):
    """What became of the payment."""

    observed_generation: int = -1
    """Generation of the payment that was judged; -1 before the first."""
    state: PaymentState | None = None
    """Waiting for its order, applied, too little, a duplicate, or reversed."""
    message: Message | None = None
    """In a sentence: what became of it and what to do."""
    applied_to: AppliedTo | None = None
    """What it was applied to."""


class SSLPayment(KubernetesObject):
    """A payment that the provider received for one period of one contract (7.2: all payments in advance).

    A payment that arrives before its order waits for it. Deleting a payment that was applied undoes nothing.
    """

    KIND: ClassVar[Kind] = Kind(
        name="SSLPayment",
        plural="sslpayments",
        scope=Scope.CLUSTER,
        short_names=("sslp",),
        columns=(
            Column("State", ".status.state"),
            Column("Account", ".spec.account"),
            Column("Purchase order", ".spec.purchaseOrder"),
            Column("Amount", ".spec.amount"),
            Column("Currency", ".spec.currency"),
            Column("Received", ".spec.receivedAt"),
            Column("Reference", ".spec.reference", wide=True),
            Column("Message", ".status.message", wide=True),
        ),
        selectable=(".spec.account", ".spec.purchaseOrder"),
    )

    spec: PaymentSpec
    """What was paid."""
    status: PaymentStatus = PaymentStatus()
    """What became of it."""
