"""A client of a scripted server, and what it is asked for."""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sslorder.authority.credentials import Credentials
from sslorder.authority.globalsign import GlobalSign, connect
from sslorder.authority.transport import Limits
from sslorder.engine.ports import IssuanceRequest
from tests.authority.pki import Pki
from tests.authority.server import ScriptedServer, answer

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

POLICY: dict[str, Any] = {
    "validity": {"secondsmin": 3600, "secondsmax": 199 * 86_400},
    "san": {"dns_names": {"static": False, "list": [".*"], "mincount": 1, "maxcount": 100}},
    "public_key": {"key_type": "ECDSA", "allowed_lengths": [256, 384], "key_format": "PKCS8"},
}


class FixedClock:
    def now(self) -> datetime:
        return NOW


def encoded(data: dict[str, bytes]) -> dict[str, str]:
    """Data as a Kubernetes Secret holds them."""
    return {key: b64encode(value).decode() for key, value in data.items()}


@pytest.fixture(scope="session")
def pki() -> Pki:
    return Pki.make()


@pytest.fixture
def credentials(pki: Pki) -> Credentials:
    return Credentials(
        api_key="key-that-nobody-may-see",
        api_secret="secret-that-nobody-may-see",
        client_certificate=pki.client.certificate,
        client_key=pki.client.key,
        server_roots=pki.root.certificate,
    )


@pytest.fixture
def server(pki: Pki, tmp_path: Path) -> Iterator[ScriptedServer]:
    with ScriptedServer(pki, tmp_path) as server:
        server.script["GET /validationpolicy"] = [answer(200, POLICY)]
        yield server


@pytest.fixture
def asked() -> IssuanceRequest:
    return IssuanceRequest(
        key=ec.generate_private_key(ec.SECP256R1()),
        dns_names=("shop.example.com", "www.example.com"),
        not_after=NOW + timedelta(days=199) - timedelta(seconds=1),
        subject=None,
    )


Client = Callable[..., AbstractAsyncContextManager[GlobalSign]]

QUICK = Limits(
    connect_within=timedelta(seconds=5),
    read_within=timedelta(seconds=5),
    answer_within=timedelta(seconds=10),
    answer_bytes=100_000,
    requests_per_second=10_000,
    burst=1000,
)


@pytest.fixture
def client(server: ScriptedServer, credentials: Credentials) -> Client:
    """`async with client(limits) as authority`: connected to the scripted server, and closed afterwards."""

    @asynccontextmanager
    async def connected(limits: Limits = QUICK, **options: Any) -> AsyncIterator[GlobalSign]:
        authority = await connect(server.url, credentials, None, limits, FixedClock(), **options)
        try:
            yield authority
        finally:
            authority.close()

    return connected
