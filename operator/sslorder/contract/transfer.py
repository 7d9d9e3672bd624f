"""Another holder for a contract: an order under another name or in another namespace, by the provider's
`Transfer` (reading 9).

Rules:
- A purchase order number is no password: an order gets what was bought under it only as holder, or by a
  Transfer that names it.
- The Transfer of a namespace's contracts goes to orders of the same names; the target may be the same
  namespace, made anew.
- Leaves, payments and dates go along unchanged. What the former holder had published is withdrawn when it is
  looked at next.
"""

from dataclasses import replace

from sslorder.api.action import Action, SSLContractAction
from sslorder.contract.ledger import Carried, Holder, Ledger
from sslorder.contract.snapshot import Snapshot


def _means(action: SSLContractAction, ledger: Ledger, s: Snapshot) -> bool:
    spec, here = action.spec, s.order.metadata
    target = spec.transfer_to
    if spec.action is not Action.TRANSFER or target is None or target.namespace != here.namespace:
        return False
    if spec.target.purchase_order is None:
        same_name = ledger.holder.name == here.name
        return spec.from_namespace == ledger.holder.namespace and same_name
    return (target.name or ledger.holder.name) == here.name


def take_over(ledger: Ledger, s: Snapshot) -> Ledger | None:
    """The ledger with this order as its holder, where a Transfer not carried out yet says so."""
    handled = {entry.uid for entry in ledger.carried}
    meant = [action for action in s.actions if _means(action, ledger, s)]
    waiting = [action for action in meant if action.metadata.uid not in handled]
    if not waiting or s.namespace_uid is None:
        return None
    latest = max(waiting, key=lambda action: (action.metadata.creation_timestamp, action.metadata.name))
    here = s.order.metadata
    return replace(
        ledger,
        holder=Holder(here.namespace, s.namespace_uid, here.name),
        carried=(*ledger.carried, Carried(latest.metadata.uid, latest.metadata.name, s.now)),
    )
