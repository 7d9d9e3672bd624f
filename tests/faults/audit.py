"""What must be true when all is quiet again: bought is what was needed, and nothing is left behind."""

import json
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sslorder.api.payment import SSLPayment
from sslorder.cluster.dossiers import LEDGER_ENTRY
from sslorder.contract.secret import SERIAL_NUMBER
from tests.faults.scenarios import End
from tests.faults.stage import Stage
from tests.harness.kube import SECRETS, Manifest
from tests.harness.world import Order, decoded


def has_come(order: Order, end: End) -> bool:
    """Whether the order says what it should at the end, and the authority has been told all."""
    manifest = order.world.kube.get(order.kind, order.name, order.namespace)
    if manifest is None:
        return False
    status = manifest.get("status", {})
    leaf = status.get("certificate", {}).get("leaf")
    return (
        status.get("observedGeneration") == manifest["metadata"]["generation"]
        and status.get("phase") == end.phase
        and (end.leaf is None or leaf == end.leaf)
        and tuple(entry["revoked"] for entry in order.client.certificates()) == end.revoked
    )


def faults(stage: Stage, order: Order, end: End) -> list[str]:
    """Everything that is not as it should be, a sentence each."""
    return [
        *_of_purchases(order, end),
        *_of_order(order, end),
        *_of_dossier(stage, order, end),
        *_of_secrets(order, end),
        *_of_payments(order, end),
    ]


def _of_purchases(order: Order, end: End) -> Iterator[str]:
    issued = order.client.certificates()
    if len(issued) != len(end.revoked):
        yield f"{len(issued)} certificates were bought, and {len(end.revoked)} needed"
    if len({entry["spki_sha256"] for entry in issued}) != len(issued):
        yield "a key was certified twice"
    revoked = tuple(entry["revoked"] for entry in issued)
    if revoked != end.revoked:
        yield f"revoked are {revoked}, and should be {end.revoked}"


def _of_order(order: Order, end: End) -> Iterator[str]:
    status = order.status
    if status.get("phase") != end.phase:
        yield f"the order is {status.get('phase')}, and should be {end.phase}: {status.get('message')}"
    if "IssuanceUncertain" in {entry["type"] for entry in status["conditions"] if entry["status"] == "True"}:
        yield "the order is still uncertain of a purchase"
    if end.leaf is not None and status["certificate"]["serialNumber"] != _newest_bought(order):
        yield f"the status names certificate {status['certificate']['serialNumber']}, not the newest bought"


def _of_dossier(stage: Stage, order: Order, end: End) -> Iterator[str]:
    dossiers = list(stage.dossiers(order.client).values())
    if len(dossiers) != 1:
        yield f"there are {len(dossiers)} dossiers"
        return
    (dossier,) = dossiers
    ledger = json.loads(decoded(dossier, LEDGER_ENTRY))
    if ledger["intent"] is not None:
        yield f"an intent was left behind: {ledger['intent']}"
    serials = [leaf["serial"] for leaf in sorted(ledger["leaves"], key=lambda leaf: leaf["number"])]
    if serials != [entry["serial"] for entry in order.client.certificates()]:
        yield f"the dossier knows the certificates {serials}"
    keys = {name for name in dossier["data"] if name.endswith(".key")}
    if end.leaf is not None and keys != {f"leaf-{end.leaf}.key"}:
        yield f"the dossier holds the keys {sorted(keys)}"
    if ledger["holder"]["name"] != order.name:
        yield f"the dossier's holder is {ledger['holder']}"


def _of_secrets(order: Order, end: End) -> Iterator[str]:
    found = [
        secret
        for namespace in order.client.namespaces
        for secret in order.world.kube.list(SECRETS, namespace)
    ]
    wanted = [order.secret_name] if end.leaf is not None else []
    if (names := [secret["metadata"]["name"] for secret in found]) != wanted:
        yield f"there are the Secrets {names}, and should be {wanted}"
    elif found:
        yield from _of_published(order, found[0])


def _of_published(order: Order, secret: Manifest) -> Iterator[str]:
    leaf = x509.load_pem_x509_certificate(decoded(secret, "tls.crt"))
    marked = secret["metadata"]["annotations"][SERIAL_NUMBER]
    serials = {f"{leaf.serial_number:X}", marked, _newest_bought(order)}
    if len(serials) != 1:
        yield f"the Secret holds or names another certificate than was bought last: {serials}"
    if load_pem_private_key(decoded(secret, "tls.key"), None).public_key() != leaf.public_key():
        yield "the Secret's key is not its certificate's"
    owners = [owner["uid"] for owner in secret["metadata"].get("ownerReferences", ())]
    if owners != [order.read()["metadata"]["uid"]]:
        yield "the Secret is not owned by its order"


def _of_payments(order: Order, end: End) -> Iterator[str]:
    for payment in order.world.kube.list(SSLPayment):
        if payment["spec"]["account"] == order.client.name:
            state = payment.get("status", {}).get("state")
            if state != end.payment:
                yield f"the payment is {state}, and should be {end.payment}"


def _newest_bought(order: Order) -> str | None:
    issued = order.client.certificates()
    return issued[-1]["serial"] if issued else None
