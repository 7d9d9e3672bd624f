"""Dossiers as Secrets in the operator's namespace.

Rules:
- The name is the digest of the contract's key, so that creating it is the lock; the plain key inside is
  compared by who reads it.
- Every write carries the resourceVersion that it rests on. The operator is the only writer.
- `contract.json` holds the ledger; `leaf-N.key`, `leaf-N.crt`, `leaf-N.ca` what is published of a leaf. The
  bytes of dossiers written
  or read lately are kept for a moment, for what is bought is published next; no more of them stays in memory.
"""

import logging
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sslorder.api.common import GROUP
from sslorder.cluster.client import AlreadyExists, Conflict, KubeClient, Resource
from sslorder.contract.ledger import LEDGER_VERSION, Ledger
from sslorder.engine.ports import ClusterError, Dossier, Material

logger = logging.getLogger(__name__)

SECRETS = Resource("", "v1", "secrets")
LABEL = f"{GROUP}/dossier"
SECRET_TYPE = f"{GROUP}/dossier"
LEDGER_ENTRY = "contract.json"
RECENT = 256

_LEDGER = TypeAdapter(Ledger)


def secret_name(digest: str) -> str:
    return f"sslorder-{digest}"


def _entry(content: bytes) -> str:
    return b64encode(content).decode()


def _read(raw: Mapping[str, Any]) -> Dossier | None:
    name = raw["metadata"]["name"]
    try:
        ledger = _LEDGER.validate_json(b64decode(raw["data"][LEDGER_ENTRY]))
        if ledger.version != LEDGER_VERSION or secret_name(ledger.key.digest) != name:
            raise ValueError(f"version {ledger.version} of {ledger.key}")
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        detail = (
            error.errors(include_url=False, include_input=False)[:1]
            if isinstance(error, ValidationError)
            else error
        )
        logger.error("The dossier %s cannot be read, and its contract is not served: %s", name, detail)
        return None
    return Dossier(ledger.key.digest, raw["metadata"]["resourceVersion"], ledger)


class DossierSecrets:
    """`engine.ports.Dossiers` on the real API server."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._recent: OrderedDict[str, tuple[str, Mapping[str, str]]] = OrderedDict()

    async def list(self) -> Sequence[Dossier]:
        items, _ = await self._client.list(SECRETS, self._namespace, f"{LABEL}=true")
        return [dossier for raw in items if (dossier := _read(raw)) is not None]

    async def read(self, digest: str) -> Dossier | None:
        raw = await self._client.get(SECRETS, self._namespace, secret_name(digest))
        return self._noted(raw) if raw is not None else None

    async def create(self, ledger: Ledger, keys: Mapping[int, bytes]) -> Dossier:
        digest = ledger.key.digest
        body = {
            "metadata": {
                "name": secret_name(digest),
                "namespace": self._namespace,
                "labels": {LABEL: "true"},
            },
            "type": SECRET_TYPE,
            "data": {
                LEDGER_ENTRY: _entry(_LEDGER.dump_json(ledger)),
                **{f"leaf-{number}.key": _entry(pem) for number, pem in keys.items()},
            },
        }
        try:
            return self._noted(await self._client.create(SECRETS, body))
        except AlreadyExists as error:
            raise Conflict("open the dossier", f"{ledger.key} has one already: {error}") from error

    async def update(
        self,
        dossier: Dossier,
        ledger: Ledger,
        *,
        keys: Mapping[int, bytes] | None = None,
        certificates: Mapping[int, tuple[bytes, bytes]] | None = None,
        destroy: frozenset[int] = frozenset(),
    ) -> Dossier:
        data: dict[str, str | None] = {LEDGER_ENTRY: _entry(_LEDGER.dump_json(ledger))}
        for number in destroy:
            data |= {f"leaf-{number}.{part}": None for part in ("key", "crt", "ca")}
        for number, pem in (keys or {}).items():
            data[f"leaf-{number}.key"] = _entry(pem)
        for number, (chain, ca) in (certificates or {}).items():
            data |= {f"leaf-{number}.crt": _entry(chain), f"leaf-{number}.ca": _entry(ca)}
        body = {"metadata": {"resourceVersion": dossier.resource_version}, "data": data}
        return self._noted(
            await self._client.patch(SECRETS, self._namespace, secret_name(dossier.digest), body)
        )

    async def key(self, dossier: Dossier, leaf: int) -> bytes:
        return (await self._parts(dossier, leaf, "key"))[0]

    async def material(self, dossier: Dossier, leaf: int) -> Material:
        key, chain, ca = await self._parts(dossier, leaf, "key", "crt", "ca")
        return Material(key, chain, ca)

    async def _parts(self, dossier: Dossier, leaf: int, *parts: str) -> tuple[bytes, ...]:
        data = await self._data(dossier)
        try:
            return tuple(b64decode(data[f"leaf-{leaf}.{part}"]) for part in parts)
        except KeyError as error:
            raise ClusterError(
                f"The dossier of {dossier.ledger.key} lacks {error.args[0]}: it was changed by hand, or"
                " restored in part."
            ) from error

    async def _data(self, dossier: Dossier) -> Mapping[str, str]:
        version, data = self._recent.get(dossier.digest, ("", {}))
        if version == dossier.resource_version:
            return data
        raw = await self._client.get(SECRETS, self._namespace, secret_name(dossier.digest))
        if raw is None or raw["metadata"]["resourceVersion"] != dossier.resource_version:
            raise Conflict("read the dossier", f"that of {dossier.ledger.key} is not as it was last written")
        self._noted(raw)
        found: Mapping[str, str] = raw["data"]
        return found

    def _noted(self, raw: Mapping[str, Any]) -> Dossier:
        dossier = _read(raw)
        if dossier is None:
            raise ClusterError(f"The dossier {raw['metadata']['name']} cannot be read.")
        self._recent[dossier.digest] = (dossier.resource_version, raw["data"])
        self._recent.move_to_end(dossier.digest)
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        return dossier
