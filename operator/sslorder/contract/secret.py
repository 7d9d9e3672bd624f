"""The published Secret as it should be, and whether one that stands there is ours and is that.

Rules:
- Our mark is the order's UID and the contract's hash, in annotations; the label only makes it watchable.
- A Secret of this contract whose order was deleted and declared again is ours: only the UID differs.
- Labels and annotations of others on our Secret are left alone; those that left the template are taken away.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from sslorder.api.common import GROUP
from sslorder.api.order import SSLCertificateOrder
from sslorder.contract.ledger import Leaf
from sslorder.contract.snapshot import SecretView, Snapshot

SECRET_TYPE = "kubernetes.io/tls"  # noqa: S105 - a type, no password
ORDER_UID = f"{GROUP}/order-uid"
ORDER_NAME = f"{GROUP}/order-name"
CONTRACT = f"{GROUP}/contract"
SERIAL_NUMBER = f"{GROUP}/serial-number"
NOT_AFTER = f"{GROUP}/not-after"
TEMPLATE_KEYS = f"{GROUP}/template-keys"


def content_digest(chain: bytes, key: bytes, ca: bytes) -> str:
    """What tells a Secret's contents without being them."""
    return sha256(b"".join(len(part).to_bytes(4) + part for part in (chain, key, ca))).hexdigest()


def wanted_labels(order: SSLCertificateOrder) -> dict[str, str]:
    template = order.spec.secret_template
    return {**(template.labels if template else {}), ORDER_UID: order.metadata.uid}


def wanted_annotations(order: SSLCertificateOrder, contract_hash: str, leaf: Leaf) -> dict[str, str]:
    template = order.spec.secret_template
    keys = (
        {"labels": sorted(template.labels), "annotations": sorted(template.annotations)} if template else {}
    )
    return {
        **(template.annotations if template else {}),
        ORDER_UID: order.metadata.uid,
        ORDER_NAME: order.metadata.name,
        CONTRACT: contract_hash,
        SERIAL_NUMBER: leaf.serial,
        NOT_AFTER: leaf.not_after.isoformat(),
        TEMPLATE_KEYS: json.dumps(keys),
    }


def template_keys(annotations: Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    """Keys of the labels and annotations that an earlier template left; none where that is unreadable."""
    try:
        keys = json.loads(annotations.get(TEMPLATE_KEYS, "{}"))
        return frozenset(map(str, keys.get("labels", ()))), frozenset(map(str, keys.get("annotations", ())))
    except (ValueError, AttributeError, TypeError):
        return frozenset(), frozenset()


def not_after_of(secret: SecretView) -> datetime | None:
    """When the certificate in a Secret with our mark runs out, as its annotation says."""
    try:
        return datetime.fromisoformat(secret.annotations.get(NOT_AFTER, ""))
    except ValueError:
        return None


def is_ours(s: Snapshot, secret: SecretView) -> bool:
    """Whether a marked Secret is this order's to change: its own, or one of the contract that it holds."""
    if secret.order_uid == s.order.metadata.uid:
        return True
    holder, here = s.ledger.holder if s.ledger else None, s.order.metadata
    holds = holder is not None and (holder.namespace, holder.name) == (here.namespace, here.name)
    return holds and secret.contract == s.contract_hash


def is_published(s: Snapshot, leaf: Leaf) -> bool:
    """Whether the Secret of the order's choice stands as it should for this leaf."""
    order = s.order
    assert s.contract_hash is not None
    labels, annotations = wanted_labels(order), wanted_annotations(order, s.contract_hash, leaf)
    return any(
        secret.name == order.spec.secret_name
        and is_ours(s, secret)
        and secret.type == SECRET_TYPE
        and secret.content_sha256 == leaf.content_sha256
        and secret.owner_uids == (order.metadata.uid,)
        and labels.items() <= secret.labels.items()
        and annotations.items() <= secret.annotations.items()
        for secret in s.secrets
    )
