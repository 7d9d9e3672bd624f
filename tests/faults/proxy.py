"""Proxies before the API server and the authority: TLS ends here and begins anew, and the gate sees every
request whole.

Rules:
- Watches pass through untouched. Everything else is read whole before it is passed on, and so is its answer.
- Bearer tokens are passed on, so that the API server judges the operator's own rights; before the authority
  the proxy shows the client certificate that was shown to it, and no other is let in.
- A cut-off proxy lets nothing through, in either direction; what came meanwhile is lost.
"""

import asyncio
import contextlib
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import web
from yarl import URL

from tests.controlplane.pki import CertificateAuthority
from tests.faults.gate import Dropped, Gate, of_authority, of_kubernetes

HOST: Final = "127.0.0.1"
BOUND: Final = 60.0
SHUT_DOWN_WITHIN: Final = 0.5
TLS_CLOSES_WITHIN: Final = 0.5
LARGEST_REQUEST: Final = 8 * 1024 * 1024
_HOP_BY_HOP: Final = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "expect"}

Hook = Callable[[str, bytes], None]


@dataclass(frozen=True)
class Message:
    """An answer that was read whole."""

    status: int
    headers: dict[str, str]
    body: bytes


class Proxy:
    """One listener before one server."""

    def __init__(
        self,
        gate: Gate,
        upstream: str,
        trust: ssl.SSLContext,
        name: Callable[[str, str], str | None],
        hook: Hook | None,
    ) -> None:
        self._gate, self._upstream, self._trust, self._name, self._hook = gate, upstream, trust, name, hook
        self._connected = asyncio.Event()
        self._connected.set()
        self._loop = asyncio.get_running_loop()
        self.url = ""

    async def serve(self, stack: contextlib.AsyncExitStack, tls: ssl.SSLContext) -> None:
        # no connection is used twice: one that the server closes meanwhile would make a fault of its own
        connector = aiohttp.TCPConnector(ssl=self._trust, force_close=True, limit=0)
        self._session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=BOUND),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )
        )
        # who goes away leaves no watch behind
        server = web.Server(self._handle, handler_cancellation=True)
        runner = web.ServerRunner(server, shutdown_timeout=SHUT_DOWN_WITHIN)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, HOST, 0, ssl_context=tls, backlog=256).start()
        self.url = f"https://{HOST}:{runner.addresses[0][1]}"

    def cut_off(self) -> None:
        """Let nothing through until `reconnect`."""
        self._loop.call_soon_threadsafe(self._connected.clear)

    def reconnect(self) -> None:
        self._loop.call_soon_threadsafe(self._connected.set)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._connected.is_set():
            await self._connected.wait()
            return _broken(request)
        body = await request.read()
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP_BY_HOP}
        target = URL(self._upstream + request.path_qs, encoded=True)
        if "watch" in request.query:
            return await self._stream(request, target, headers)

        async def send() -> Message:
            return await self._exchange(request.method, target, headers, body)

        name = self._name(request.method, request.path)
        try:
            answer = await (send() if name is None else self._gate.through(name, send))
        except (Dropped, aiohttp.ClientError):
            return _broken(request)
        if not self._connected.is_set():
            await self._connected.wait()
            return _broken(request)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def _exchange(self, method: str, target: URL, headers: Mapping[str, str], body: bytes) -> Message:
        async with self._session.request(
            method, target, headers=headers, data=body or None, allow_redirects=False
        ) as response:
            content = await response.read()
            if self._hook is not None:
                self._hook(target.path, content)
            return Message(response.status, _passed_on(response.headers), content)

    async def _stream(
        self, request: web.BaseRequest, target: URL, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        async with self._session.get(target, headers=headers) as upstream:
            response = web.StreamResponse(status=upstream.status, headers=_passed_on(upstream.headers))
            await response.prepare(request)
            with contextlib.suppress(ConnectionResetError, aiohttp.ClientError):
                async for chunk in upstream.content.iter_any():
                    await self._connected.wait()
                    await response.write(chunk)
            return response


class Proxies:
    """All proxies of a stage, on a loop and a thread of their own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sslorder-proxies-")
        self._authority = CertificateAuthority()
        self._certificate = Path(self._folder.name) / "server.pem"
        server = self._authority.server(HOST)
        self._certificate.write_text(server.certificate + server.key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._stack = contextlib.AsyncExitStack()
        self.gate = Gate(self._loop)

    @property
    def ca(self) -> str:
        """PEM: what verifies the proxies."""
        return self._authority.credential.certificate

    def before_kubernetes(self, server: str, ca: str, system: str) -> Proxy:
        """A proxy before an API server that `ca` (PEM) verifies. `system` is the operator's namespace."""
        trust = ssl.create_default_context(cadata=ca)

        def name(method: str, path: str) -> str | None:
            return of_kubernetes(method, path, system)

        return self._serve(lambda: Proxy(self.gate, server, trust, name, None), self._server_context())

    def before_authority(self, url: str, credentials: Mapping[str, str], hook: Hook | None = None) -> Proxy:
        """A proxy before an HVCA, for one client of it. `hook` is shown each path and answer."""
        pem = Path(self._folder.name) / "client.pem"
        pem.touch(mode=0o600)
        pem.write_text(credentials["tls.crt"] + credentials["tls.key"])
        trust = ssl.create_default_context(cadata=credentials["ca.crt"])
        trust.load_cert_chain(pem)
        pem.unlink()
        tls = self._server_context()
        tls.load_verify_locations(cadata=credentials["tls.crt"])
        tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        tls.verify_mode = ssl.CERT_REQUIRED
        return self._serve(lambda: Proxy(self.gate, url, trust, of_authority, hook), tls)

    def _server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        return context

    def _serve(self, make: Callable[[], Proxy], tls: ssl.SSLContext) -> Proxy:
        async def serve() -> Proxy:
            proxy = make()
            await proxy.serve(self._stack, tls)
            return proxy

        return asyncio.run_coroutine_threadsafe(serve(), self._loop).result(BOUND)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(BOUND)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    async def _end(self) -> None:
        await self._stack.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(TLS_CLOSES_WITHIN)  # as aiohttp's documentation has it: TLS takes its leave


def _passed_on(headers: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() not in _HOP_BY_HOP}


def _broken(request: web.BaseRequest) -> web.Response:
    """Breaks the connection; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)
