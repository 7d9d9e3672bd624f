"""A TLS server that serves what a Secret holds, and a client that believes nothing else."""

import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ADDRESS = "127.0.0.1"
BOUND_SECONDS = 10.0


@contextmanager
def serving(secret: Mapping[str, bytes]) -> Iterator[int]:
    """The port of a server with the certificate and key of a kubernetes.io/tls Secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="sslorder-tls-") as folder:  # Python loads keys from files only
        for name in ("tls.crt", "tls.key"):
            (Path(folder) / name).write_bytes(secret[name])
        context.load_cert_chain(Path(folder) / "tls.crt", Path(folder) / "tls.key")
    with socket.create_server((ADDRESS, 0)) as listener:
        thread = threading.Thread(target=_answer, args=(listener, context), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # ends the thread's accept
            thread.join(BOUND_SECONDS)


def _answer(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(BOUND_SECONDS)
        with connection:
            try:
                with context.wrap_socket(connection, server_side=True) as session:
                    session.recv(1)
            except OSError:  # the client went away: it did not like what it saw
                continue


def serial_seen(port: int, name: str, ca: bytes | None) -> str:
    """The serial number (hex) of the certificate with which the server proved to be `name`.

    :param ca: PEM certificates to trust; by default those that this machine trusts.
    :raises ssl.SSLCertVerificationError: it did not prove it.
    """
    context = ssl.create_default_context(cadata=ca.decode() if ca else None)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection((ADDRESS, port), BOUND_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=name) as session,
    ):
        certificate = session.getpeercert()
        assert certificate
        return f"{int(str(certificate['serialNumber']), 16):X}"
