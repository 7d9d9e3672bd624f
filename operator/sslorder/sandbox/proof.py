"""How the sandbox looks for a domain's proof: TXT records, asked of one resolver (BR 3.2.2.4.7)."""

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TXT import TXT

from sslorder.sandbox.settings import Address

LOOKUP_BOUND = 5.0


class ProofResolver:
    """Asks `address`, or the machine's resolvers when there is none. Nothing is cached."""

    def __init__(self, address: Address | None) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=address is None)
        if address is not None:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*address)]

    async def txt(self, domain: str) -> list[str]:
        """The TXT records of `domain`; raises LookupError with the reason when there are none to be had."""
        answer = await self._resolve(domain, dns.rdatatype.TXT)
        return [b"".join(record.strings).decode("latin-1") for record in answer if isinstance(record, TXT)]

    async def zone_contact(self, domain: str) -> str:
        """The mailbox of `domain`'s SOA (RFC 1035 3.3.13); raises LookupError."""
        answer = await self._resolve(domain, dns.rdatatype.SOA)
        for record in answer:
            if isinstance(record, SOA):
                mailbox, rest = record.rname.split(len(record.rname) - 1)
                return f"{mailbox.to_text()}@{rest.to_text(omit_final_dot=True)}"
        raise LookupError(f"{domain}: no SOA record")

    async def _resolve(self, domain: str, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer:
        try:
            return await self._resolver.resolve(
                dns.name.from_text(domain), kind, lifetime=LOOKUP_BOUND, search=False
            )
        except dns.exception.DNSException as error:
            raise LookupError(f"{domain} {kind.name}: {error}") from error
