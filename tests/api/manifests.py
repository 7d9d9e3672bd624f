"""One good manifest of each kind, and a way to change it."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

Manifest = dict[str, Any]
Change = Mapping[str, Any]

ABSENT: Final = object()
"""Written as a value, takes the field out."""


def changed(manifest: Manifest, change: Change) -> Manifest:
    """A copy with the fields at those dotted paths set, or taken out where the value is `ABSENT`."""
    result = deepcopy(manifest)
    for path, value in change.items():
        *parents, field = path.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ABSENT:
            place.pop(field, None)
        else:
            place[field] = value
    return result


def _manifest(kind: str, spec: Manifest) -> Manifest:
    return {"apiVersion": "ssl.synchrone.be/v1", "kind": kind, "metadata": {"name": "sample"}, "spec": spec}


ORGANISATION: Manifest = {"organization": "Exemple SPRL", "country": "BE", "locality": "Bruxelles"}
EV_ORGANISATION: Manifest = {
    **ORGANISATION,
    "businessCategory": "Private Organization",
    "registrationNumber": "0123.456.789",
    "jurisdictionCountry": "BE",
}

DV_ORDER = _manifest(
    "SSLCertificateOrder",
    {
        "purchaseOrder": "BC-2026-0042",
        "termYears": 1,
        "product": "DV",
        "dnsNames": ["shop.example.com", "www.example.com"],
        "acceptedTerms": {"conditions": "2026-01", "authority": "5.9"},
        "secretName": "shop-tls",
    },
)
OV_ORDER = changed(DV_ORDER, {"spec.product": "OV", "spec.subject": ORGANISATION})
EV_ORDER = changed(DV_ORDER, {"spec.product": "EV", "spec.subject": EV_ORGANISATION})

ACCOUNT = _manifest(
    "SSLAccount",
    {
        "namespaces": ["shop"],
        "domains": ["example.com"],
        "contact": {"name": "Web team", "email": "web@example.com"},
    },
)

PAYMENT = _manifest(
    "SSLPayment",
    {
        "account": "example",
        "purchaseOrder": "BC-2026-0042",
        "period": 1,
        "covers": {"product": "DV", "termYears": 1, "names": 2, "wildcards": 0},
        "amount": "249.00",
        "currency": "EUR",
        "reference": "+++090/9337/55493+++",
        "receivedAt": "2026-11-23T09:00:00Z",
    },
)

AUTHORITY = _manifest(
    "SSLAuthority",
    {
        "product": "DV",
        "globalSign": {
            "url": "https://emea.api.hvca.globalsign.com:8443/v2",
            "credentialsSecretRef": {"name": "globalsign-dv"},
        },
    },
)

CONTRACT_TARGET: Manifest = {"account": "example", "purchaseOrder": "BC-2026-0042"}
ACCOUNT_TARGET: Manifest = {"account": "example"}
AUTHORITY_TARGET: Manifest = {"authority": "globalsign-dv"}
CAUSE: Manifest = {"article": "9.2(6)"}

SUSPEND = _manifest("SSLContractAction", {"action": "Suspend", "cause": CAUSE, "target": CONTRACT_TARGET})
REINSTATE = _manifest("SSLContractAction", {"action": "Reinstate", "target": CONTRACT_TARGET})
TERMINATE = changed(SUSPEND, {"spec.action": "Terminate"})
REJECT = changed(SUSPEND, {"spec.action": "Reject"})
REVOKE = _manifest(
    "SSLContractAction",
    {"action": "Revoke", "target": CONTRACT_TARGET, "revocation": {"circumstance": "DomainLost"}},
)
NOTICE = _manifest(
    "SSLContractAction", {"action": "Notice", "target": CONTRACT_TARGET, "sentAt": "2026-10-01T08:00:00Z"}
)
ARRIVAL = _manifest(
    "SSLContractAction",
    {"action": "Arrival", "target": CONTRACT_TARGET, "receivedAt": "2026-11-20T08:00:00Z"},
)
TRANSFER = _manifest(
    "SSLContractAction",
    {"action": "Transfer", "target": CONTRACT_TARGET, "transferTo": {"namespace": "shop", "name": "shop"}},
)
TRANSFER_OF_A_NAMESPACE = _manifest(
    "SSLContractAction",
    {
        "action": "Transfer",
        "target": ACCOUNT_TARGET,
        "transferTo": {"namespace": "new-shop"},
        "fromNamespace": "shop",
    },
)
RESOLVE = _manifest(
    "SSLContractAction", {"action": "Resolve", "target": CONTRACT_TARGET, "resolve": {"buyAgain": True}}
)
ACTIONS = {
    "Suspend": SUSPEND,
    "Reinstate": REINSTATE,
    "Terminate": TERMINATE,
    "Reject": REJECT,
    "Revoke": REVOKE,
    "Notice": NOTICE,
    "Arrival": ARRIVAL,
    "Transfer": TRANSFER,
    "Resolve": RESOLVE,
}
GOOD = (DV_ORDER, OV_ORDER, EV_ORDER, ACCOUNT, PAYMENT, AUTHORITY, TRANSFER_OF_A_NAMESPACE, *ACTIONS.values())
