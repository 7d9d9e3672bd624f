"""What becomes of the provider's records: the status of an `SSLPayment` and of an `SSLContractAction`.

Rules:
- A record says in its own status what was made of it, so that nobody has to look for the order to know.
- "Applied" and "carried out" are said only of what a dossier has recorded, or of a measure that an unpaid
  order shows.
"""

from collections.abc import Iterable, Sequence

from sslorder.api.action import Action, ActionState, ActionStatus, CarriedOut, SSLContractAction
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import AppliedTo, PaymentState, PaymentStatus, SSLPayment
from sslorder.contract import payments as reckoning
from sslorder.contract.ledger import Ledger
from sslorder.contract.news import arrival_of, terms_of

_AT_ONCE = (Action.SUSPEND, Action.REINSTATE, Action.TERMINATE, Action.REJECT, Action.ARRIVAL)
"""Actions that an unpaid order shows although it has no dossier to record them in."""
MOST_ORDERS = 1024


def payment_status(
    payment: SSLPayment,
    siblings: Sequence[SSLPayment],
    actions: Sequence[SSLContractAction],
    ledger: Ledger | None,
    order: SSLCertificateOrder | None,
) -> PaymentStatus:
    """What became of a payment. `siblings` are all payments of its contract, `order` the one that is
    served."""
    generation = payment.metadata.generation

    def status(state: PaymentState, message: str, applied_to: AppliedTo | None = None) -> PaymentStatus:
        return PaymentStatus(
            observed_generation=generation, state=state, message=message, applied_to=applied_to
        )

    spec = payment.spec
    if ledger is None and order is None:
        named = f" {spec.order.namespace}/{spec.order.name}" if spec.order else ""
        contract = f"purchase order {spec.purchase_order} of account {spec.account}"
        text = f"No order{named} for {contract} has arrived yet. Kept for it."
        return status(PaymentState.WAITING if spec.reversed_at is None else PaymentState.REVERSED, text)
    if ledger is not None:
        terms, start, applied = ledger.terms, ledger.arrival, ledger.payments
    else:
        assert order is not None
        terms, start, applied = terms_of(order.spec), arrival_of(order, actions), ()
    judged = {
        verdict.payment.metadata.uid: verdict for verdict in reckoning.judge(terms, start, siblings, applied)
    }
    verdict = judged[payment.metadata.uid]
    if verdict.state is not PaymentState.APPLIED:
        return status(verdict.state, verdict.message)
    entry = next((entry for entry in applied if entry.uid == payment.metadata.uid), None)
    if ledger is None or entry is None:
        where = f"{order.metadata.namespace}/{order.metadata.name}" if order else "its order"
        why = f": {order.status.message}" if order and order.status.message else "."
        return status(PaymentState.WAITING, f"Covers the order {where}, which cannot take it up yet{why}")
    holder = ledger.holder
    applied_to = AppliedTo(namespace=holder.namespace, name=holder.name, period=entry.period)
    return status(PaymentState.APPLIED, f"Applied to period {entry.period} of {ledger.key}.", applied_to)


def action_status(
    action: SSLContractAction, concerned: Iterable[tuple[SSLCertificateOrder, Ledger | None]]
) -> ActionStatus:
    """What became of an action, given the live orders that it is aimed at and their ledgers."""
    generation, kind = action.metadata.generation, action.spec.action
    done: list[CarriedOut] = []
    for order, ledger in concerned:
        entry = (
            next((entry for entry in ledger.carried if entry.uid == action.metadata.uid), None)
            if ledger
            else None
        )
        at = entry.at if entry else None
        if at is None and ledger is None and kind in _AT_ONCE:
            at = action.spec.effective_at or action.metadata.creation_timestamp
        if at is not None:
            done.append(CarriedOut(namespace=order.metadata.namespace, name=order.metadata.name, at=at))
    if not done:
        text = "No order that it is aimed at has taken it up yet. Kept for those that arrive."
        return ActionStatus(observed_generation=generation, state=ActionState.PENDING, message=text)
    done.sort(key=lambda entry: (entry.namespace, entry.name))
    count = f"{len(done)} order{'' if len(done) == 1 else 's'}"
    return ActionStatus(
        observed_generation=generation,
        state=ActionState.CARRIED_OUT,
        message=f"{kind} was carried out on {count}.",
        carried_out_on=tuple(done[:MOST_ORDERS]),
    )
