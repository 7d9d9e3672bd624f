"""A DNS server on a free UDP port of this machine, whose records a test sets."""

import socketserver
import threading
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class DnsServer:
    """Authoritative for whatever has been set, and for nothing else: an unknown name does not exist."""

    def __init__(self) -> None:
        self._records: dict[dns.name.Name, dict[dns.rdatatype.RdataType, tuple[str, ...]]] = {}
        self._lock = threading.Lock()
        self.questions: list[str] = []
        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        """host:port, as the sandbox's --resolver takes it."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def set(self, name: str, kind: str, *values: str) -> None:
        """Give `name` exactly these records of `kind`, written as in a zone file; none removes them."""
        with self._lock:
            kinds = self._records.setdefault(dns.name.from_text(name), {})
            kinds[dns.rdatatype.from_text(kind)] = values

    def set_txt(self, name: str, *values: str) -> None:
        self.set(name, "TXT", *(f'"{value}"' for value in values))

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        with self._lock:
            self.questions.append(f"{question.name} {dns.rdatatype.to_text(question.rdtype)}")
            kinds = self._records.get(question.name)
            values = kinds.get(question.rdtype, ()) if kinds else ()
        if kinds is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif values:
            rrset = dns.rrset.from_text_list(question.name, 0, dns.rdataclass.IN, question.rdtype, values)
            response.answer.append(rrset)
        return response

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                datagram, listener = self.request
                listener.sendto(server.answer(dns.message.from_wire(datagram)).to_wire(), self.client_address)

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
