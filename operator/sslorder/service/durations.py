"""How long it took: from the payment to the Secret, and from the moment when a Secret must go to its end."""

from datetime import datetime
from itertools import takewhile

from sslorder.api.order import OrderStatus, SSLCertificateOrder
from sslorder.api.phases import Phase
from sslorder.contract.ledger import Ledger
from sslorder.contract.snapshot import Snapshot
from sslorder.contract.standing import Standing

_NOT_SERVED = (Phase.RECEIVED, Phase.PENDING_PAYMENT, Phase.PENDING_VALIDATION, Phase.ISSUING)


def payment_seen(order: SSLCertificateOrder, status: OrderStatus, ledger: Ledger | None) -> datetime | None:
    """When the payment was applied that has just made an order Active.

    None where Active follows from something else: a suspension that was lifted, a leaf that came late inside
    paid time, an order that was declared again.
    """
    leaf = ledger.newest_sound() if ledger is not None else None
    if status.phase is not Phase.ACTIVE or ledger is None or leaf is None:
        return None
    earlier = status.history[:-1]
    way = list(takewhile(lambda entry: entry.to in _NOT_SERVED, reversed(earlier)))
    waited = any(entry.to is Phase.PENDING_PAYMENT for entry in way)
    new = len(way) == len(earlier) and leaf.recorded_at >= order.metadata.creation_timestamp
    if not waited and not new:
        return None
    return max((paid.applied_at for paid in ledger.payments if paid.reversed_at is None), default=None)


def removal_due(s: Snapshot) -> datetime | None:
    """The moment from which a Secret had to be gone: the leaf's end, a measure's or a revocation's effect,
    the end of paid time or its reversal, whichever was first. None where it went for another reason, as when
    the order gave it another name."""
    if s.ledger is None:
        return None
    c = Standing(s, s.ledger)
    recorded = {action.metadata.uid: action.metadata.creation_timestamp for action in s.actions}
    reversals = [paid.reversed_at for paid in s.ledger.payments if paid.reversed_at is not None]
    due = [
        max(measure.effective_at, recorded.get(measure.uid, measure.effective_at)) for measure in c.measures
    ]
    if c.paid_through <= s.now:
        due.append(max([c.paid_through, *(moment for moment in reversals if moment <= s.now)]))
    if c.last_sound is not None:
        due.append(c.last_sound.not_after)
        if c.last_sound.revocation is not None:
            due.append(c.last_sound.revocation.serves_until)
    return min((moment for moment in due if moment <= s.now), default=None)
