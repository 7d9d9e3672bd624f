"""GlobalSign Atlas, HVCA v2, as an `engine.ports.Authority` with `Statistics`.

Rules:
- One call of `request` sends at most one purchase.
- The validation policy is remembered for composing requests, until the authority refuses one.
- A certificate is handed on as it came: whether it is the one that was asked for is the engine's question.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from math import ceil
from urllib.parse import quote

from sslorder.authority import wire
from sslorder.authority.composition import ContradictsPolicyError, RequestRules
from sslorder.authority.credentials import Credentials
from sslorder.authority.meaning import Kind
from sslorder.authority.pace import Pace
from sslorder.authority.session import Call, Session
from sslorder.authority.transport import Limits, Transport
from sslorder.contract.authority import Claim, ClaimState, Policy
from sslorder.contract.circumstances import RevocationReason
from sslorder.engine.ports import (
    AuthorityError,
    CertificateStatus,
    Clock,
    Counters,
    IssuanceRequest,
    IssuedCertificate,
    NotYet,
    Refused,
    TryAgain,
    Unauthorised,
)

TOKEN_LIFE = timedelta(minutes=10)
"""How long HVCA honours a token."""


async def connect(
    url: str,
    credentials: Credentials,
    ca_bundle: bytes | None,
    limits: Limits,
    clock: Clock,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    refresh_after: timedelta = TOKEN_LIFE * 0.9,
) -> "GlobalSign":
    """A client of the HVCA at `url` (https, with its version: `.../v2`). Sends nothing yet.

    `ca_bundle` (PEM) verifies the server; without it the credentials' own roots do, else the public ones.
    Raises `Unauthorised` when the address, the bundle or the certificate cannot be used.
    """
    if not re.fullmatch(r"https://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise Unauthorised("connect", "the url is not a plain https address")
    pace = Pace(limits.requests_per_second, limits.burst, monotonic)
    roots = ca_bundle or credentials.server_roots
    try:
        transport = await asyncio.to_thread(Transport, url.rstrip("/"), credentials, roots, limits, pace)
    except ValueError as error:
        raise Unauthorised("connect", str(error)) from None
    return GlobalSign(Session(transport, credentials, clock, monotonic, refresh_after), clock)


class GlobalSign:
    """Made by `connect`, ended by `close`, within one event loop. The port says what the methods promise."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._rules: RequestRules | None = None

    def close(self) -> None:
        """Let go of threads and connections. A request under way still ends, within its own time-outs."""
        self._session.close()

    async def login(self) -> None:
        await self._session.token()

    async def policy(self) -> Policy:
        return (await self._read_rules()).summary

    async def quota(self) -> int:
        return (await self._session.read("/quotas/issuance", wire.Value.model_validate_json)).value

    async def claims(self) -> Sequence[Claim]:
        claims = {
            claim.id: claim  # once, though it was verified between the two lists
            for state in (ClaimState.PENDING, ClaimState.VERIFIED)
            for claim in await self._session.pages(
                "/claims/domains", wire.Claims.validate_json, {"status": state}, lambda claim: claim.id
            )
        }
        return [
            Claim(
                id=claim.id,
                domain=claim.domain.removesuffix("."),
                state=claim.status,
                assert_by=claim.assert_by,
                expires_at=claim.expires_at,
            )
            for claim in claims.values()
        ]

    async def submit_claim(self, domain: str) -> Claim:
        return await self._claimed(domain, f"/claims/domains/{quote(domain, safe='')}", 201)

    async def reassert_claim(self, claim: Claim) -> Claim:
        """Have a new token made for a pending claim whose token is lost or too old. The id may change."""
        return await self._claimed(claim.domain, f"/claims/domains/{quote(claim.id, safe='')}/reassert", 200)

    async def assert_dns(self, claim_id: str, authorization_domain: str | None = None) -> bool:
        body = wire.Assertion(authorization_domain=authorization_domain).body()
        call = Call(Kind.CHANGE, "POST", f"/claims/domains/{quote(claim_id, safe='')}/dns", body=body)
        return (await self._session.call(call, 201, 204)).status == 204

    async def request(self, request: IssuanceRequest) -> int:
        operation = "POST /certificates"
        try:
            rules = self._rules or await self._read_rules()
        except Refused as error:  # the policy was refused, not the order
            raise TryAgain(error.operation, error.detail) from None
        try:
            body = await asyncio.to_thread(rules.compose, request, self._clock.now())
            call = Call(Kind.PURCHASE, "POST", "/certificates", body=body, still_wanted=request.still_wanted)
            answer = await self._session.call(call, 201)
        except ContradictsPolicyError as contradiction:
            self._rules = None
            raise Refused(operation, str(contradiction)) from None
        except Refused:
            self._rules = None
            if await self._quota_is_exhausted():  # HVCA answers 422 to that as well
                raise NotYet(operation, "the quota is exhausted") from None
            raise
        return self._session.sense(call, wire.serial_from_location, answer.headers.get("Location", ""))

    async def certificate(self, serial: int) -> IssuedCertificate | None:
        call = Call(Kind.READ, "GET", f"/certificates/{wire.serial_to_hex(serial)}")
        answer = await self._session.call(call, 200, 202)
        if answer.status == 202:
            return None
        found = self._session.content(call, wire.CertificateInfo.model_validate_json, answer)
        return IssuedCertificate(serial, found.certificate.encode(), found.status, found.updated_at)

    async def issued(self, since: datetime, until: datetime) -> Sequence[int]:
        return await self._serials("/stats/issued", since, until)

    async def revoked(self, since: datetime, until: datetime) -> Sequence[int]:
        return await self._serials("/stats/revoked", since, until)

    async def counters(self) -> Counters:
        issued, revoked = [
            await self._session.read(f"/counters/certificates/{name}", wire.Value.model_validate_json)
            for name in ("issued", "revoked")
        ]
        return Counters(issued.value, revoked.value)

    async def trust_chain(self) -> Sequence[bytes]:
        chain = await self._session.read("/trustchain", wire.TrustChain.validate_json)
        return [pem.encode() for pem in chain]

    async def revoke(self, serial: int, reason: RevocationReason, at: datetime | None = None) -> None:
        known = await self.certificate(serial)
        call_path = f"/certificates/{wire.serial_to_hex(serial)}"
        if known is None:
            raise NotYet(f"PATCH {call_path}", "the authority is still making the certificate")
        if known.status is CertificateStatus.REVOKED:
            return
        body = wire.Revocation(
            revocation_reason=reason, revocation_time=int(at.timestamp()) if at else None
        ).body()
        await self._session.call(Call(Kind.CHANGE, "PATCH", call_path, body=body), 204)

    async def _serials(self, path: str, since: datetime, until: datetime) -> Sequence[int]:
        window = {"from": int(since.timestamp()), "to": ceil(until.timestamp())}
        metas = await self._session.pages(
            path, wire.Metas.validate_json, window, lambda meta: meta.serial_number
        )
        return [meta.serial_number for meta in metas]

    async def _quota_is_exhausted(self) -> bool:
        try:
            return await self.quota() == 0
        except AuthorityError:
            return False

    async def _read_rules(self) -> RequestRules:
        self._rules = await self._session.read("/validationpolicy", RequestRules)
        return self._rules

    async def _claimed(self, domain: str, path: str, welcome: int) -> Claim:
        call = Call(Kind.CHANGE, "POST", path)
        answer = await self._session.call(call, welcome)
        made = self._session.content(call, wire.ClaimAssertion.model_validate_json, answer)
        return Claim(made.id, domain, ClaimState.PENDING, made.token, made.assert_by)
