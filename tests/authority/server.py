"""An HTTPS server that asks for a client certificate and answers by script, byte for byte."""

import json
import socket
import socketserver
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.authority.pki import Pair, Pki

Reply = bytes | Callable[[ssl.SSLSocket, "Request"], bytes]
TOKEN = "token-that-nobody-may-see"


@dataclass(frozen=True)
class Request:
    """One request as it arrived. The names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        return f"{self.method} {self.target.partition('?')[0].removeprefix('/v2')}"


def answer(status: int, content: object = None, **headers: str) -> bytes:
    """A well-formed answer with JSON, unless `content` is bytes already."""
    if not isinstance(content, bytes):
        content = b"" if content is None else json.dumps(content).encode()
    fields = {"Content-Type": "application/json;charset=utf-8", "Content-Length": str(len(content))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + content


class ScriptedServer:
    """Answers each operation with the replies of its script in order, then with the last of them for ever.

    An empty reply ends the connection. What is not in the script is answered with 500.
    """

    def __init__(self, pki: Pki, directory: Path) -> None:
        self.script: dict[str, list[Reply]] = {"POST /login": [answer(200, {"access_token": TOKEN})]}
        self.requests: list[Request] = []
        self.most_at_once = 0
        self.connections = 0
        self._at_once = 0
        self._served: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._pki = pki
        self._directory = directory
        self._context: ssl.SSLContext | None = None
        self._silence = threading.Event()
        self.present(pki.server)
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}/v2"

    def asked(self, operation: str) -> int:
        """How often an operation has arrived."""
        return sum(request.operation == operation for request in self.requests)

    def present(self, certificate: Pair, clients_of: bytes | None = None) -> None:
        """Use this certificate from the next connection on, and take clients of that root alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.written(self._directory, "server.pem"))
        context.load_verify_locations(cadata=(clients_of or self._pki.root.certificate).decode())
        context.verify_mode = ssl.CERT_REQUIRED
        if clients_of:  # in TLS 1.3 a client learns of its refusal after the handshake, or from a reset
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._context = context

    def speak_plain_http(self) -> None:
        self._context = None

    def say_nothing(self) -> None:
        """Take connections from now on without a word."""
        self._silence.set()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self.stop()

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                connection: socket.socket = self.request
                connection.settimeout(10)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    server._converse(connection)
                except (OSError, ValueError):
                    return  # the client has gone, as it does in half of the tests

        return Handler

    def _converse(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        if self._silence.is_set():
            connection.recv(1 << 16)
            connection.recv(1 << 16)  # returns when the client hangs up
            return
        if self._context is None:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        with self._context.wrap_socket(connection, server_side=True) as secured:
            stream = secured.makefile("rb")
            while request := _read(stream):
                if not (reply := self._reply(secured, request)):
                    return
                secured.sendall(reply)

    def _reply(self, connection: ssl.SSLSocket, request: Request) -> bytes:
        with self._lock:
            self.requests.append(request)
            replies = self.script.get(request.operation, [answer(500)])
            reply = replies[min(self._served[request.operation], len(replies) - 1)]
            self._served[request.operation] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return reply if isinstance(reply, bytes) else reply(connection, request)
        finally:
            with self._lock:
                self._at_once -= 1


def _read(stream: IO[bytes]) -> Request | None:
    if not (first := stream.readline().decode("latin-1")):
        return None
    method, target, _ = first.split(" ", 2)
    headers = {}
    while (line := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(method, target, headers, stream.read(int(headers.get("content-length", 0))))
