"""HTTPS with a client certificate, over requests, for authorities that sell.

Rules:
- A request is sent once. No retries, redirects, cookies, proxies or .netrc; nothing of the environment.
- What happened is a fact, not a guess: `NeverSentError` comes from connecting alone, so no byte of the
  request left; any later failure is `NoAnswerError`.
- Every wait has a bound: connecting, each read, the whole answer however slowly it drips. So has its size.
- requests runs in a thread pool of its own, whose size is the authority's concurrency.
"""

import asyncio
import math
import os
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from sslorder.authority.credentials import Credentials
from sslorder.authority.pace import Pace

JSON = "application/json;charset=utf-8"  # HVCA answers 415 to any other spelling


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one authority may cost. `connect_within` holds for each address of the host and for the
    TLS handshake, `read_within` for each silence, `answer_within` for the whole answer. A connection idle for
    longer than `idle_for` is not used again: its server may be closing it, and a purchase sent into that has
    an unknown outcome."""

    connect_within: timedelta = timedelta(seconds=10)
    read_within: timedelta = timedelta(seconds=30)
    answer_within: timedelta = timedelta(seconds=45)
    idle_for: timedelta = timedelta(seconds=4)
    answer_bytes: int = 1 << 20
    concurrency: int = 8
    requests_per_second: float = 10.0
    burst: int = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` ignore case; `body` is as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class ExchangeError(Exception):
    """No whole answer came. `certificate_refused`: the authority does not accept the client certificate."""

    def __init__(self, cause: BaseException) -> None:
        while inner := cause.__cause__ or cause.__context__:
            cause = inner
        alert = cause.reason or "" if isinstance(cause, ssl.SSLError) else ""
        self.certificate_refused = "ALERT" in alert and ("CERTIFICATE" in alert or "UNKNOWN_CA" in alert)
        told = "the client certificate was not accepted: " if self.certificate_refused else ""
        super().__init__(f"{told}{type(cause).__name__}: {cause}")


class NeverSentError(ExchangeError):
    """Not a byte of the request left: no address, no connection, no TLS."""


class NoAnswerError(ExchangeError):
    """The request may have arrived and may have taken effect."""


class _Socket(ssl.SSLSocket):
    give_up_at = math.inf

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        left = self.give_up_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the whole answer took too long")
        if left < (self.gettimeout() or math.inf):
            self.settimeout(left)
        return super().recv_into(*args, **kwargs)


class _Context(ssl.SSLContext):
    """Made of its arguments alone: `ssl.create_default_context` obeys SSLKEYLOGFILE and SSL_CERT_FILE."""

    sslsocket_class = _Socket
    limits: Limits


def _context(credentials: Credentials, roots: bytes | None, limits: Limits) -> _Context:
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.limits = limits
    if roots:
        context.load_verify_locations(cadata=roots.decode("ascii"))
    else:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    # OpenSSL reads keys from files only. A memfd is memory of this process: in no directory, on no disk, gone
    # when closed, and it needs no writable file system.
    with os.fdopen(os.memfd_create("client-certificate"), "wb") as file:
        file.write(credentials.client_certificate + b"\n" + credentials.client_key)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password="")
    return context


class _Connection(HTTPSConnection):
    _used_at = math.inf

    def connect(self) -> None:
        try:
            super().connect()
        except Exception as error:
            raise NeverSentError(error) from None

    def request(self, *args: Any, **kwargs: Any) -> None:
        assert isinstance(self.sock, _Socket)
        self._used_at = time.monotonic()
        self.sock.give_up_at = self._used_at + self._limits.answer_within.total_seconds()
        super().request(*args, **kwargs)

    @property
    def is_connected(self) -> bool:
        idle = time.monotonic() - self._used_at
        return idle < self._limits.idle_for.total_seconds() and super().is_connected

    @property
    def _limits(self) -> Limits:
        assert isinstance(self.ssl_context, _Context)
        return self.ssl_context.limits


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Adapter(HTTPAdapter):
    def __init__(self, context: _Context) -> None:
        self._context = context
        super().__init__(
            pool_connections=1, pool_maxsize=context.limits.concurrency, max_retries=0, pool_block=True
        )

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": _Pool}

    def cert_verify(self, *args: Any) -> None:
        """The context verifies. requests would add the public roots to a private bundle here."""


class _Session(requests.Session):
    def __init__(self, context: _Context) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.adapters.clear()
        self.mount("https://", _Adapter(context))
        self.headers = CaseInsensitiveDict(
            {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "sslorder"}
        )

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, always: even where it must not follow a redirect, requests reads the whole of its body."""


class Transport:
    """One authority's address, seen through one client certificate."""

    def __init__(
        self, base: str, credentials: Credentials, roots: bytes | None, limits: Limits, pace: Pace
    ) -> None:
        """`base` is the https URL that paths are added to. Parses certificates: call it off the event loop.
        Raises `ValueError` when OpenSSL takes neither the client certificate, its key nor the roots."""
        requests.Request("GET", base).prepare()  # raises a ValueError now rather than at the first call
        self._base = base
        self._limits = limits
        self._pace = pace
        try:
            self._session = _Session(_context(credentials, roots, limits))
        except (ssl.SSLError, OSError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None
        self._closed = False
        self._threads = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="authority")

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        query: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
        still_wanted: Callable[[], bool] = lambda: True,
    ) -> Answer:
        """Send one request, once, when its turn has come and if it is still wanted then.

        Raises `NeverSentError` or `NoAnswerError`.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = JSON
        request = requests.Request(method, self._base + path, params=query, data=body, headers=headers)
        await self._pace.turn()
        if self._closed:
            raise NeverSentError(ConnectionError("the client is closed"))
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._send, request, still_wanted
        )

    def _send(self, request: requests.Request, still_wanted: Callable[[], bool]) -> Answer:
        limits = self._limits
        prepared = self._session.prepare_request(request)
        if not still_wanted():
            raise NeverSentError(PermissionError("when its turn came, the request was no longer allowed"))
        try:
            with self._session.send(
                prepared,
                stream=True,
                allow_redirects=False,
                timeout=(limits.connect_within.total_seconds(), limits.read_within.total_seconds()),
            ) as response:
                body = response.raw.read(limits.answer_bytes + 1, decode_content=False)
                if len(body) > limits.answer_bytes:
                    raise ValueError(f"the answer is longer than {limits.answer_bytes} bytes")
                return Answer(response.status_code, response.headers, body)
        except NeverSentError:
            raise
        except Exception as error:  # whatever it is: the request may have arrived
            raise NoAnswerError(error) from None

    def close(self) -> None:
        """Take no more work and close what is idle. Requests under way end within their own bounds."""
        self._closed = True
        self._threads.shutdown(wait=False)
        self._session.close()
