"""The phases of an order. Which leads to which is the contract's lifecycle table."""

from enum import StrEnum


class Phase(StrEnum):
    """Where an order stands."""

    RECEIVED = "Received"
    PENDING_PAYMENT = "PendingPayment"
    PENDING_VALIDATION = "PendingValidation"
    ISSUING = "Issuing"
    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    REVOKING = "Revoking"
    REVOKED = "Revoked"
    EXPIRED = "Expired"
    TERMINATED = "Terminated"
    REJECTED = "Rejected"
