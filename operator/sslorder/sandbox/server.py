"""The process: three listeners over one state directory."""

import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from sslorder.sandbox.accounts import NewAccount
from sslorder.sandbox.admin import Admin
from sslorder.sandbox.calls import PREFIX
from sslorder.sandbox.certificates import Certificates
from sslorder.sandbox.claims import Claims
from sslorder.sandbox.faults import Faults
from sslorder.sandbox.hierarchy import Hierarchy, write_private
from sslorder.sandbox.hvca import Hvca
from sslorder.sandbox.proof import ProofResolver
from sslorder.sandbox.publication import Publication
from sslorder.sandbox.registry import Registry
from sslorder.sandbox.requestlog import RequestLog
from sslorder.sandbox.settings import Address, Endpoint, Settings
from sslorder.sandbox.store import Store

DEFAULT_ACCOUNT = "default"
BACKLOG = 512
GRACE = 2.0  # seconds that requests under way may take at the end
KEEP_ALIVE = 300.0

logger = logging.getLogger("sslorder.sandbox")


async def run(
    settings: Settings,
    ready: Callable[[Endpoint], None],
    stopped: Callable[[], Awaitable[object]],
    process_id: int,
    clock: Callable[[], float] = time.time,
) -> None:
    """Serve until `stopped` returns; `ready` learns the addresses once all of them answer."""
    state = settings.state
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    endpoint_file = state / "endpoint.json"
    async with AsyncExitStack() as stack:
        previous = _previous(endpoint_file)
        api = stack.enter_context(_bind(settings.listen, previous.api if previous else None))
        crl = stack.enter_context(_bind(settings.crl_listen, previous.crl if previous else None))
        admin = stack.enter_context(_bind(settings.admin_listen, previous.admin if previous else None))
        endpoint = Endpoint(
            api=f"https://{_authority(settings, api)}{PREFIX}",
            crl=f"http://{_authority(settings, crl)}",
            admin=f"http://{Address(*admin.getsockname()[:2])}",
            pid=process_id,
        )
        now = datetime.fromtimestamp(clock(), UTC)
        hierarchy = Hierarchy.open(state / "pki", settings.crl_url or endpoint.crl, now)
        store = stack.enter_context(Store(state / "sandbox.sqlite"))
        registry = Registry(store, hierarchy, state / "accounts", clock)
        if registry.get(DEFAULT_ACCOUNT) is None:
            registry.create(
                NewAccount(
                    name=DEFAULT_ACCOUNT,
                    max_validity_seconds=settings.max_validity,
                    quota=settings.quota,
                    preapproved=list(settings.preapproved),
                )
            )
        faults, log = Faults(), RequestLog(clock())
        claims = Claims(store, ProofResolver(settings.resolver), settings.claim_life)
        certificates = Certificates(store, registry, hierarchy, claims, faults)
        hvca = Hvca(
            [*certificates.routes(), *claims.routes()], registry, faults, log, clock, settings.token_life
        )
        tls = _tls(*hierarchy.server_certificate(settings.server_names(), now), state / "pki" / "access.crt")
        await _serve(stack, hvca.application(), api, tls)
        await _serve(stack, Publication(store, hierarchy, clock).application(), crl)
        await _serve(stack, Admin(store, registry, faults, log, clock).application(), admin)
        write_private(endpoint_file, endpoint.model_dump_json())
        ready(endpoint)
        await stopped()


def _previous(endpoint_file: Path) -> Endpoint | None:
    if not endpoint_file.exists():
        return None
    return Endpoint.model_validate_json(endpoint_file.read_bytes())


def _bind(address: Address, previous_url: str | None) -> socket.socket:
    """Listen on `address`; for port 0 on the port of `previous_url`, while nobody else has it."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    if address.port == 0 and previous_url and (port := urlsplit(previous_url).port):
        try:
            return socket.create_server((address.host, port), family=family, backlog=BACKLOG)
        except OSError:
            logger.warning("port %s is taken; certificates issued so far point to it", port)
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {address}: {error.strerror}; choose another address") from error


def _authority(settings: Settings, listener: socket.socket) -> str:
    return str(Address(settings.server_names()[0], listener.getsockname()[1]))


def _tls(certificate: Path, key: Path, client_authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(client_authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def _serve(
    stack: AsyncExitStack,
    application: web.Application,
    listener: socket.socket,
    tls: ssl.SSLContext | None = None,
) -> None:
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=KEEP_ALIVE, shutdown_timeout=GRACE)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listener, ssl_context=tls, backlog=BACKLOG).start()
