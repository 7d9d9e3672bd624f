"""The life of an order: the one table of what may follow what, when, and under which article.

Rules:
- A phase is derived anew at each look at the facts; the table does not drive, it holds to account. A plan
  that leads from one phase to another by a way that is not here is a defect (`tests/contract`), and the
  documentation's diagram is drawn from it.
- Received and PendingPayment leave no trace; from Issuing on there is a dossier.
- Terminated is final. Expired and Revoked are left again when paid time allows and somebody asks.
"""

from dataclasses import dataclass

from sslorder.api.phases import Phase


@dataclass(frozen=True, slots=True)
class Transition:
    """One way from phase to phase. `article` is the contract's, where one speaks of it."""

    before: Phase
    after: Phase
    trigger: str
    article: str | None = None


P = Phase
TRANSITIONS = (
    Transition(P.RECEIVED, P.PENDING_PAYMENT, "the order is accepted", "2.1"),
    Transition(
        P.RECEIVED, P.PENDING_VALIDATION, "the order is accepted and was paid before it arrived", "4.2"
    ),
    Transition(P.RECEIVED, P.ISSUING, "the order is accepted and was paid before it arrived", "4.2"),
    Transition(P.RECEIVED, P.ACTIVE, "the order is accepted, paid and served at once", "4.2"),
    Transition(P.PENDING_PAYMENT, P.RECEIVED, "the order, its account or its authority changed", "2.1"),
    Transition(P.PENDING_PAYMENT, P.PENDING_VALIDATION, "the period is paid and names are not proved", "3.1"),
    Transition(P.PENDING_PAYMENT, P.ISSUING, "the period is paid", "4.2"),
    Transition(
        P.PENDING_PAYMENT, P.ACTIVE, "the period is paid and the leaf came at once, or is still good", "4.2"
    ),
    Transition(P.PENDING_VALIDATION, P.ISSUING, "every name is proved", "3.1"),
    Transition(P.PENDING_VALIDATION, P.ACTIVE, "every name is proved and the leaf came at once", "3.1"),
    Transition(
        P.PENDING_VALIDATION, P.PENDING_PAYMENT, "paid time ended, or the payment was reversed", "7.2"
    ),
    Transition(P.ISSUING, P.PENDING_VALIDATION, "a proof ran out before the purchase", "3.1"),
    Transition(P.ISSUING, P.PENDING_PAYMENT, "paid time ended, or the payment was reversed", "7.2"),
    Transition(P.ISSUING, P.ACTIVE, "the leaf is published", "4.2"),
    Transition(P.ACTIVE, P.ISSUING, "the leaf ran out inside paid time, or another is needed", "5.5a"),
    Transition(P.ACTIVE, P.PENDING_VALIDATION, "the leaf ran out and names are not proved", "5.5a"),
    Transition(P.ACTIVE, P.PENDING_PAYMENT, "paid time ended, or the payment was reversed", "7.2"),
    Transition(P.ACTIVE, P.REVOKING, "revocation was asked", "5.5a"),
    Transition(P.ACTIVE, P.REVOKED, "revocation was asked and confirmed at once", "5.5a"),
    Transition(P.ISSUING, P.REVOKING, "revocation was asked", "5.5a"),
    Transition(P.ISSUING, P.REVOKED, "revocation was asked and confirmed at once", "5.5a"),
    Transition(P.PENDING_PAYMENT, P.REVOKING, "revocation was asked", "5.5a"),
    Transition(P.PENDING_PAYMENT, P.REVOKED, "revocation was asked and confirmed at once", "5.5a"),
    Transition(P.SUSPENDED, P.REVOKING, "revocation was asked", "5.5a"),
    Transition(P.REVOKING, P.REVOKED, "the authority confirmed the revocation", "5.5a"),
    Transition(P.REVOKING, P.ACTIVE, "the authority confirmed, and the successor is served", "5.5a"),
    Transition(P.REVOKING, P.ISSUING, "the authority confirmed, and the successor is awaited", "5.5a"),
    Transition(P.REVOKING, P.PENDING_VALIDATION, "the authority confirmed, and names are not proved", "3.1"),
    Transition(P.REVOKING, P.PENDING_PAYMENT, "the authority confirmed, and the period is not paid", "7.2"),
    Transition(P.EXPIRED, P.REVOKING, "revocation was asked of a leaf that outlives the contract", "5.5a"),
    Transition(P.REVOKED, P.PENDING_PAYMENT, "the next period is not paid", "7.2"),
    Transition(P.REVOKED, P.PENDING_VALIDATION, "a reissue was asked and names are not proved", "3.1"),
    Transition(P.REVOKED, P.ISSUING, "a reissue was asked inside paid time", "5.5a"),
    Transition(P.REVOKED, P.ACTIVE, "a reissue was asked and the leaf came at once", "5.5a"),
    *(
        Transition(
            phase, P.SUSPENDED, "the provider suspended the order, its account or its authority", "5.3b"
        )
        for phase in (
            P.RECEIVED,
            P.PENDING_PAYMENT,
            P.PENDING_VALIDATION,
            P.ISSUING,
            P.ACTIVE,
            P.REVOKING,
            P.REVOKED,
            P.EXPIRED,
            P.REJECTED,
        )
    ),
    *(
        Transition(P.SUSPENDED, phase, "every suspension was lifted or ran out", "5.3b")
        for phase in (
            P.RECEIVED,
            P.PENDING_PAYMENT,
            P.PENDING_VALIDATION,
            P.ISSUING,
            P.ACTIVE,
            P.REVOKED,
            P.REJECTED,
        )
    ),
    *(
        Transition(phase, P.TERMINATED, "the provider terminated the contract", "9.2")
        for phase in (
            P.RECEIVED,
            P.PENDING_PAYMENT,
            P.PENDING_VALIDATION,
            P.ISSUING,
            P.ACTIVE,
            P.SUSPENDED,
            P.REVOKING,
            P.REVOKED,
            P.EXPIRED,
            P.REJECTED,
        )
    ),
    *(
        Transition(
            phase, P.EXPIRED, "the contract ended: notice was given, or its period stayed unpaid", "7.4"
        )
        for phase in (
            P.RECEIVED,
            P.PENDING_PAYMENT,
            P.PENDING_VALIDATION,
            P.ISSUING,
            P.ACTIVE,
            P.SUSPENDED,
            P.REVOKING,
            P.REVOKED,
            P.REJECTED,
        )
    ),
    *(
        Transition(P.EXPIRED, phase, "a payment that came in time was recorded late", "7.2")
        for phase in (P.PENDING_PAYMENT, P.PENDING_VALIDATION, P.ISSUING, P.ACTIVE)
    ),
    *(
        Transition(phase, P.REJECTED, "the provider rejected the order", "4.1")
        for phase in (
            P.RECEIVED,
            P.PENDING_PAYMENT,
            P.PENDING_VALIDATION,
            P.ISSUING,
            P.ACTIVE,
            P.REVOKING,
            P.REVOKED,
            P.EXPIRED,
        )
    ),
    *(
        Transition(P.REJECTED, phase, "the provider reopened the order", "4.1")
        for phase in (
            P.RECEIVED,
            P.PENDING_PAYMENT,
            P.PENDING_VALIDATION,
            P.ISSUING,
            P.ACTIVE,
            P.REVOKED,
        )
    ),
)

_BY_WAY = {(transition.before, transition.after): transition for transition in TRANSITIONS}


def transition(before: Phase, after: Phase) -> Transition | None:
    """The table's row for a change of phase, or None where the table knows no such way."""
    return _BY_WAY.get((before, after))
