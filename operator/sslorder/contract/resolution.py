"""What only a person can decide: purchases whose outcome stays unknown, faulty certificates, a dossier that
fell behind.

Rules:
- Nothing is bought while a certificate is known of that the dossier does not know: by the order's status, by
  a Secret with our mark,
  or by a payment that was applied. A restored backup must not buy twice.
- A `Resolve` is carried out once, on what stands unresolved when it is seen; where nothing does, it is kept.
- adopt: the certificate with that serial number is the contract's. buyAgain: what is missing is given up, and
  another is bought.
  abandon: nothing more is bought, until another Resolve says buyAgain.
"""

from dataclasses import replace

from sslorder.api.action import Action, Resolution, SSLContractAction
from sslorder.contract.ledger import Carried, Ledger
from sslorder.contract.secret import SERIAL_NUMBER, is_ours
from sslorder.contract.snapshot import Snapshot


def unknown_serials(ledger: Ledger | None, s: Snapshot) -> tuple[str, ...]:
    """Serial numbers that the order's status or our Secrets know, and the dossier does not."""
    known = {leaf.serial for leaf in ledger.leaves} | set(ledger.acknowledged) if ledger else set()
    if ledger and ledger.intent and ledger.intent.serial:
        known.add(ledger.intent.serial)
    status = s.order.status
    told = {entry.serial_number for entry in (status.certificate, status.revoked) if entry is not None}
    told |= {
        secret.annotations[SERIAL_NUMBER]
        for secret in s.secrets
        if SERIAL_NUMBER in secret.annotations and is_ours(s, secret)
    }
    return tuple(sorted(told - known))


def is_behind(ledger: Ledger | None, s: Snapshot) -> bool:
    """Whether something knows more of the contract than its dossier. `ledger` is the one that was read, not
    one to be opened."""
    if unknown_serials(ledger, s):
        return True
    told = s.order.status.contract
    paid = told is not None and told.paid_through is not None
    return ledger is None and (paid or any(payment.status.applied_to for payment in s.payments))


def is_lost(s: Snapshot) -> bool:
    """Whether the dossier is missing altogether, and nobody has decided what follows from that."""
    return s.ledger is None and is_behind(None, s) and reopening(s) is None


def _resolutions(ledger: Ledger | None, s: Snapshot) -> list[tuple[SSLContractAction, Resolution]]:
    handled = {entry.uid for entry in ledger.carried} if ledger else set()
    found = [
        (action, action.spec.resolve)
        for action in s.actions
        if action.spec.action is Action.RESOLVE and action.spec.resolve and action.metadata.uid not in handled
    ]
    return sorted(found, key=lambda entry: (entry[0].metadata.creation_timestamp, entry[0].metadata.name))


def _one(ledger: Ledger, s: Snapshot, action: SSLContractAction, chosen: Resolution) -> Ledger | None:
    """The ledger after one Resolve, or None where there is nothing that it resolves."""
    name, intent, newest = action.metadata.name, ledger.intent, ledger.newest()
    missing = unknown_serials(ledger, s)
    lost = intent is not None and intent.serial is None and intent.spki_sha256 != s.notes.in_hand
    faulty = newest is not None and newest.fault is not None and newest.serial not in ledger.acknowledged
    if chosen.adopt is not None:
        return replace(ledger, intent=replace(intent, serial=chosen.adopt)) if intent and lost else None
    if not (lost or faulty or missing or ledger.abandoned_by):
        return None
    if chosen.abandon and ledger.abandoned_by and not (lost or faulty or missing):
        return None
    given_up = (newest.serial,) if newest is not None and faulty else ()
    return replace(
        ledger,
        intent=None if lost else intent,
        acknowledged=(*ledger.acknowledged, *missing, *given_up),
        refusal=None,
        abandoned_by=name if chosen.abandon else None,
    )


def resolve(ledger: Ledger, s: Snapshot) -> Ledger:
    """The ledger after every Resolve that finds something to resolve."""
    for action, chosen in _resolutions(ledger, s):
        resolved = _one(ledger, s, action, chosen)
        if resolved is not None:
            carried = Carried(action.metadata.uid, action.metadata.name, s.now)
            ledger = replace(resolved, carried=(*resolved.carried, carried))
    return ledger


def reopening(s: Snapshot) -> SSLContractAction | None:
    """The Resolve by which a contract whose dossier was lost altogether is opened anew: one made since the
    order knows more.
    Adopting needs the key, which went with the dossier."""
    return next((action for action, chosen in _resolutions(None, s) if chosen.adopt is None), None)
