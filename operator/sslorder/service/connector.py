"""Authorities made from `SSLAuthority` objects: the credentials come from a Secret in the operator's
namespace."""

import asyncio
from datetime import timedelta

from sslorder.api.authority import SSLAuthority
from sslorder.authority import credentials, globalsign
from sslorder.authority.transport import Limits
from sslorder.cluster.client import KubeClient, KubeError, Resource
from sslorder.engine.ports import Clock, Connection, TryAgain, Unauthorised
from sslorder.service.settings import AuthoritySection

SECRETS = Resource("", "v1", "secrets")


class GlobalSignConnector:
    """`engine.ports.Connector` for HVCA."""

    def __init__(self, client: KubeClient, namespace: str, timing: AuthoritySection, clock: Clock) -> None:
        self._client = client
        self._namespace = namespace
        self._timing = timing
        self._clock = clock

    async def connect(self, declared: SSLAuthority, known: Connection | None) -> Connection:
        spec = declared.spec.global_sign
        name = spec.credentials_secret_ref.name
        try:
            raw = await self._client.get(SECRETS, self._namespace, name)
        except KubeError as error:
            raise TryAgain("read the credentials", str(error)) from error
        if raw is None:
            raise Unauthorised(
                f"Secret {name}",
                f"There is no Secret {self._namespace}/{name} with the credentials. Create it; it needs the"
                " keys api-key, api-secret,"
                " tls.crt and tls.key.",
            )
        version = (
            f"{declared.metadata.uid}/{declared.metadata.generation}/{raw['metadata']['resourceVersion']}"
        )
        if known is not None and known.version == version:
            return known
        parsed = await asyncio.to_thread(
            credentials.parse, f"{self._namespace}/{name}", raw.get("data") or {}
        )
        limits = declared.spec.limits
        client = await globalsign.connect(
            spec.url,
            parsed,
            spec.ca_bundle,
            Limits(
                answer_within=self._timing.answer_within,
                read_within=min(Limits().read_within, self._timing.answer_within),
                concurrency=limits.concurrency,
                requests_per_second=limits.requests_per_second,
                burst=limits.requests_per_second,
            ),
            self._clock,
            refresh_after=self._timing.token_life * 0.9,
        )
        return Connection(client, version, self.grace, client)

    @property
    def grace(self) -> timedelta:
        """How long after an uncertain purchase the authority may still commit it, or not list it yet."""
        timing = self._timing
        return timing.token_life + timing.answer_within + timing.statistics_lag
