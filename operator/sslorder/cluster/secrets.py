"""The published Secrets: one create, replace or delete, and never of what does not bear our mark.

Rules:
- A write rests on a Secret that was seen with our mark, under its resourceVersion; a name that is taken
  otherwise is `Occupied`.
- The type of a Secret cannot be changed: one of ours with another type is replaced by delete and create.
- What is kept of a Secret is its digest, never its key.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from sslorder.api.common import API_VERSION
from sslorder.api.order import SSLCertificateOrder
from sslorder.cluster.client import AlreadyExists, Conflict, KubeClient, NotFound, Resource
from sslorder.contract.secret import CONTRACT, ORDER_UID, SECRET_TYPE, content_digest, template_keys
from sslorder.contract.snapshot import SecretView
from sslorder.engine.ports import Material, Occupied

SECRETS = Resource("", "v1", "secrets")


def _part(raw: Mapping[str, Any], name: str) -> bytes:
    try:
        return b64decode((raw.get("data") or {}).get(name, ""))
    except ValueError:
        return b""


def view(raw: Mapping[str, Any]) -> SecretView:
    """What is kept of a Secret that bears our mark."""
    metadata = raw["metadata"]
    annotations = metadata.get("annotations") or {}
    extra = (raw.get("data") or {}).keys() - {"tls.crt", "tls.key", "ca.crt"}
    digest = content_digest(_part(raw, "tls.crt"), _part(raw, "tls.key"), _part(raw, "ca.crt"))
    return SecretView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        order_uid=annotations.get(ORDER_UID, ""),
        contract=annotations.get(CONTRACT, ""),
        owner_uids=tuple(owner["uid"] for owner in metadata.get("ownerReferences") or ()),
        type=raw.get("type", ""),
        content_sha256="" if extra else digest,
        labels=metadata.get("labels") or {},
        annotations=annotations,
    )


class TlsSecrets:
    """`engine.ports.PublishedSecrets` on the real API server."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def publish(
        self,
        order: SSLCertificateOrder,
        known: SecretView | None,
        material: Material,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        contract_hash: str,
    ) -> SecretView:
        if known is None:
            try:
                return view(await self._client.create(SECRETS, _body(order, material, labels, annotations)))
            except AlreadyExists:
                known = await self._standing(order, contract_hash)
        elif not _bears_mark(known, order, contract_hash):
            raise Occupied(f"The Secret {known.namespace}/{known.name} belongs to another order.")
        if known.type != SECRET_TYPE:
            await self.withdraw(known.namespace, known.name, known.uid, known.resource_version)
            return view(await self._client.create(SECRETS, _body(order, material, labels, annotations)))
        old_labels, old_annotations = template_keys(known.annotations)
        kept_labels = {k: v for k, v in known.labels.items() if k not in old_labels}
        kept_annotations = {k: v for k, v in known.annotations.items() if k not in old_annotations}
        body = _body(order, material, {**kept_labels, **labels}, {**kept_annotations, **annotations})
        body["metadata"] |= {"resourceVersion": known.resource_version, "uid": known.uid}
        try:
            return view(await self._client.replace(SECRETS, body))
        except NotFound as error:
            raise Conflict(
                "publish", f"the Secret {known.namespace}/{known.name} was deleted meanwhile"
            ) from error

    async def _standing(self, order: SSLCertificateOrder, contract_hash: str) -> SecretView:
        """The Secret that a create ran into, if it is ours: one whose label somebody took off, or a write
        whose answer was lost."""
        namespace, name = order.metadata.namespace, order.spec.secret_name
        raw = await self._client.get(SECRETS, namespace, name)
        if raw is None:
            raise Conflict("publish", f"the Secret {namespace}/{name} came and went")
        standing = view(raw)
        if not _bears_mark(standing, order, contract_hash):
            raise Occupied(f"The Secret {namespace}/{name} was not made for this order.")
        return standing

    async def withdraw(self, namespace: str, name: str, uid: str, resource_version: str) -> None:
        await self._client.delete(SECRETS, namespace, name, uid=uid, resource_version=resource_version)


def _bears_mark(secret: SecretView, order: SSLCertificateOrder, contract_hash: str) -> bool:
    return secret.contract == contract_hash or secret.order_uid == order.metadata.uid


def _body(
    order: SSLCertificateOrder, material: Material, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    parts = {"tls.crt": material.chain, "tls.key": material.key, "ca.crt": material.ca}
    return {
        "metadata": {
            "namespace": order.metadata.namespace,
            "name": order.spec.secret_name,
            "labels": dict(labels),
            "annotations": dict(annotations),
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": SSLCertificateOrder.KIND.name,
                    "name": order.metadata.name,
                    "uid": order.metadata.uid,
                    "controller": True,
                }
            ],
        },
        "type": SECRET_TYPE,
        "data": {name: b64encode(content).decode() for name, content in parts.items()},
    }
