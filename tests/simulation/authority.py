"""An authority in memory: real certificates from a CA of its own, and an account of everything it was asked.

Rules:
- It counts for itself: the judge believes these books, not the operator's.
- A purchase of which the answer was lost is made, if at all, within `COMMITS_WITHIN`, and is listed within
  `LISTED_WITHIN` of that; `GRACE` is longer than both.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sslorder.api.authority import SSLAuthority
from sslorder.contract.authority import Claim, ClaimState, Policy
from sslorder.contract.circumstances import RevocationReason
from sslorder.engine.certificates import spki_sha256
from sslorder.engine.ports import (
    CertificateStatus,
    Connection,
    IssuanceRequest,
    IssuedCertificate,
    OutcomeUnknown,
    Refused,
    TryAgain,
    Unauthorised,
)

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

GRACE: Final = timedelta(minutes=11, seconds=45)
COMMITS_WITHIN: Final = timedelta(minutes=10)
LISTED_WITHIN: Final = timedelta(minutes=1)
MADE_WITHIN: Final = timedelta(minutes=3)
ANSWERS_WITHIN: Final = 45.0
LEARNT_WITHIN: Final = timedelta(minutes=6)
"""When the operator has looked after the authority once more."""


@dataclass(slots=True)
class Issued:
    """One certificate in the books."""

    serial: int
    spki: str
    names: tuple[str, ...]
    at: datetime
    not_after: datetime
    pem: bytes
    listed_at: datetime
    made_at: datetime
    revoked_at: datetime | None = None
    reason: RevocationReason | None = None


@dataclass(slots=True)
class Proof:
    """One domain claim in the books."""

    claim: Claim
    proved_at: datetime


@dataclass
class MemoryAuthority:
    """The books, and the CA."""

    world: "World"
    random: Random
    policy: Policy = field(
        default_factory=lambda: Policy(timedelta(hours=1), timedelta(days=397), most_names=100)
    )
    quota: int = 10**6
    issued: dict[int, Issued] = field(default_factory=dict)
    proofs: dict[str, Proof] = field(default_factory=dict)
    calls: int = 0
    refused: dict[tuple[str, ...], datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated CA")])
        now = self.world.now()
        self.root = (
            x509.CertificateBuilder(self._name, self._name, self._key.public_key(), 1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365 * 60))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, SHA256())
            .public_bytes(Encoding.PEM)
        )

    def connector(self, process: "Process") -> "_Connector":
        return _Connector(AuthorityClient(self, process))

    def relent(self) -> None:
        """What was refused may be asked for again."""
        now = self.world.now()
        self.policy = replace(self.policy, most_names=self.policy.most_names + 1)

        def learnt() -> None:
            self.refused = {names: at for names, at in self.refused.items() if at > now}

        self.world.at(now + LEARNT_WITHIN, "the new policy is known", learnt)

    def issue(self, request: IssuanceRequest, slowly: bool) -> Issued:
        """Sign it and enter it in the books."""
        now = self.world.now().replace(microsecond=0)
        serial = self.random.getrandbits(120) | 1 << 120
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in request.dns_names])
        certificate = (
            x509.CertificateBuilder(
                self._name, x509.Name([]), request.key.public_key(), serial, now, request.not_after
            )
            .add_extension(names, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, SHA256())
        )
        entry = Issued(
            serial=serial,
            spki=spki_sha256(request.key.public_key()),
            names=request.dns_names,
            at=self.world.now(),
            not_after=certificate.not_valid_after_utc,
            pem=certificate.public_bytes(Encoding.PEM),
            listed_at=now + LISTED_WITHIN * (0.0 if self.world.weather.calm else self.random.random()),
            made_at=now + MADE_WITHIN * (self.random.random() if slowly else 0.0),
        )
        self.issued[serial] = entry
        self.quota -= 1
        self.world.judge.issued(entry)
        return entry


@dataclass(frozen=True, slots=True)
class _Connector:
    client: "AuthorityClient"

    async def connect(self, declared: SSLAuthority, known: Connection | None) -> Connection:  # noqa: ARG002
        return known or Connection(self.client, "1", GRACE)


class AuthorityClient:
    """`engine.ports.Authority` of one process."""

    def __init__(self, books: MemoryAuthority, process: "Process") -> None:
        self._books = books
        self._process = process

    async def _reach(self, operation: str, *, harmless: bool = True) -> bool:
        """The way there. Returns whether the answer will be lost after the call took effect."""
        weather, process = self._books.world.weather, self._process
        fault = weather.authority_fault()
        process.in_flight += 1
        try:
            await process.step()
            await asyncio.sleep(weather.latency())
            self._books.calls += 1
            match fault:
                case "no connection":
                    raise TryAgain(operation, "no connection")
                case "503" if harmless:
                    raise TryAgain(operation, "503", timedelta(seconds=2))
                case "401":
                    raise Unauthorised(operation, "401")
                case "answer lost before":
                    await asyncio.sleep(ANSWERS_WITHIN)
                    raise OutcomeUnknown(operation, "no answer")
        finally:
            process.in_flight -= 1
        return fault == "answer lost after"

    async def _return(self, operation: str, lost: bool) -> None:
        process = self._process
        process.in_flight += 1
        try:
            await process.step()
            if lost:
                await asyncio.sleep(ANSWERS_WITHIN)
                raise OutcomeUnknown(operation, "no answer")
            await asyncio.sleep(self._books.world.weather.latency())
        finally:
            process.in_flight -= 1

    async def login(self) -> None:
        await self._return("POST /login", await self._reach("POST /login"))

    async def policy(self) -> Policy:
        await self._return("GET /validationpolicy", await self._reach("GET /validationpolicy"))
        return self._books.policy

    async def quota(self) -> int:
        await self._return("GET /quotas/issuance", await self._reach("GET /quotas/issuance"))
        return self._books.quota

    async def claims(self) -> Sequence[Claim]:
        lost = await self._reach("GET /claims/domains")
        self._books.world.judge.acts_for_somebody("reads the claims")
        now, proofs = self._books.world.now(), self._books.proofs
        for domain in [d for d, p in proofs.items() if p.claim.expires_at and p.claim.expires_at <= now]:
            del proofs[domain]
        found = [proofs[domain].claim for domain in sorted(proofs)]
        await self._return("GET /claims/domains", lost)
        return found

    async def submit_claim(self, domain: str) -> Claim:
        lost = await self._reach("POST /claims/domains", harmless=False)
        books = self._books
        books.world.judge.acts_for(domain, "claims its domain")
        now, drawn = books.world.now(), books.random
        claim = Claim(
            id=f"claim-{len(books.proofs)}-{drawn.getrandbits(32):08x}",
            domain=domain,
            state=ClaimState.PENDING,
            token=f"{drawn.getrandbits(64):016x}",
            assert_by=now + timedelta(days=30),
        )
        books.proofs[domain] = Proof(claim, now + timedelta(seconds=drawn.choice((0, 5, 60, 600))))
        await self._return("POST /claims/domains", lost)
        return claim

    async def reassert_claim(self, claim: Claim) -> Claim:
        return await self.submit_claim(claim.domain)

    async def assert_dns(self, claim_id: str, authorization_domain: str | None = None) -> bool:  # noqa: ARG002
        lost = await self._reach("POST /claims/domains/dns")
        books, now = self._books, self._books.world.now()
        verified = False
        for domain, proof in books.proofs.items():
            if proof.claim.id == claim_id and proof.claim.state is ClaimState.PENDING:
                books.world.judge.acts_for(domain, "has its proof looked at")
                if verified := now >= proof.proved_at:
                    reuse = books.world.oracle.domain_reuse(now)
                    books.proofs[domain] = Proof(
                        Claim(claim_id, domain, ClaimState.VERIFIED, expires_at=now + reuse), now
                    )
                break
        await self._return("POST /claims/domains/dns", lost)
        return verified

    async def request(self, request: IssuanceRequest) -> int:
        books, weather = self._books, self._books.world.weather
        operation, called = "POST /certificates", books.world.now()
        if not request.still_wanted():
            raise TryAgain(operation, "it was no longer allowed when its turn came")
        books.world.judge.purchase(self._process, request, called)
        lost = await self._reach(operation, harmless=False)
        fault = weather.purchase_fault()
        if fault is not None:
            books.world.disturb()
        if fault == "killed":
            self._process.dies_at_call = books.random.randrange(6)
        if fault == "refused":
            books.world.at(called + timedelta(days=1), "the authority changes its policy", books.relent)
            books.refused[request.dns_names] = called
            raise Refused(operation, "422 for want of sympathy")
        if fault == "committed after the answer was lost":
            wait = books.random.uniform(
                0, (COMMITS_WITHIN - timedelta(seconds=ANSWERS_WITHIN)).total_seconds()
            )
            books.world.later(wait, lambda: books.issue(request, slowly=False))
            await asyncio.sleep(ANSWERS_WITHIN)
            raise OutcomeUnknown(operation, "no answer")
        entry = books.issue(request, slowly=fault == "made slowly")
        await self._return(operation, lost or fault == "issued, answer lost")
        return entry.serial

    async def certificate(self, serial: int) -> IssuedCertificate | None:
        lost = await self._reach("GET /certificates")
        entry = self._books.issued.get(serial)
        await self._return("GET /certificates", lost)
        if entry is None:
            raise Refused("GET /certificates", "404")
        if entry.made_at > self._books.world.now():
            return None
        status = CertificateStatus.REVOKED if entry.revoked_at else CertificateStatus.ISSUED
        return IssuedCertificate(serial, entry.pem, status, entry.revoked_at or entry.at)

    async def issued(self, since: datetime, until: datetime) -> Sequence[int]:
        lost = await self._reach("GET /stats/issued")
        now = self._books.world.now()
        found = [
            e.serial for e in self._books.issued.values() if since <= e.at <= until and e.listed_at <= now
        ]
        await self._return("GET /stats/issued", lost)
        return found

    async def trust_chain(self) -> Sequence[bytes]:
        await self._return("GET /trustchain", await self._reach("GET /trustchain"))
        return (self._books.root,)

    async def revoke(
        self,
        serial: int,
        reason: RevocationReason,
        at: datetime | None = None,  # noqa: ARG002
    ) -> None:
        lost = await self._reach("PATCH /certificates", harmless=False)
        entry = self._books.issued[serial]
        if entry.revoked_at is None:
            entry.revoked_at, entry.reason = self._books.world.now(), reason
            self._books.world.judge.revoked(entry)
        await self._return("PATCH /certificates", lost)

    def close(self) -> None:
        pass
