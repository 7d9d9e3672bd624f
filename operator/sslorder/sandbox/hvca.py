"""GlobalSign's HVCA v2 as its public client knows it (globalsign/hvclient: client_api.go, client_login.go,
claims.go).

Where that source is silent, the choice is the stricter one, so that a client finds its mistakes here:
- the quota's end, an unproved name and a contradiction to the policy are 422: understood, and refused;
- revoking a revoked certificate is 422, unknown members of a request are 422;
- a domain may have any number of claims; one that has run out reads PENDING again;
- domains are proved by DNS alone: HTTP and e-mail proofs are 422;
- a claim covers its domain and all names below it.
"""

import asyncio
import hashlib
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sslorder.sandbox.accounts import Domain
from sslorder.sandbox.faults import FaultName, Faults
from sslorder.sandbox.hierarchy import Hierarchy, stray_issuer
from sslorder.sandbox.http import BODY_LIMIT, JSON, Body, ProblemError, answer, parse
from sslorder.sandbox.issuance import FLAWS, issue
from sslorder.sandbox.policy import CertificateRequest, RefusedByPolicyError, judge
from sslorder.sandbox.proof import ProofResolver
from sslorder.sandbox.registry import Registry
from sslorder.sandbox.requestlog import Operation, Record, RequestLog
from sslorder.sandbox.revocation import REASONS
from sslorder.sandbox.settings import DAY
from sslorder.sandbox.store import (
    Account,
    Certificate,
    Claim,
    LogEntry,
    QuotaExhaustedError,
    Statistic,
    Store,
)

logger = logging.getLogger("sslorder.sandbox")

PREFIX = "/v2"
PROOF_LIFE = 30 * DAY  # BR 3.2.2.4: a random value lives at most 30 days
STATISTICS_WINDOW = 30 * DAY
PAGE_LIMIT = 100
LOG_LIMIT = 50  # entries that a claim remembers
MAILBOXES = ("admin", "administrator", "webmaster", "hostmaster", "postmaster")  # BR 3.2.2.4.4

_DOMAIN: TypeAdapter[str] = TypeAdapter(Domain)


class LoginRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    api_key: str
    api_secret: str


class RevocationRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    revocation_reason: str = "unspecified"
    revocation_time: int = 0


class ProofRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    authorization_domain: str | None = None


class Token(NamedTuple):
    account: str
    expires_at: float


@dataclass(frozen=True)
class Call:
    """One authenticated request, on its way to its operation."""

    http: web.Request
    account: Account
    record: Record
    now: int

    async def body(self, model: type[Body]) -> Body:
        """Raises ProblemError: 415 for any other content type than HVCA's, and what `parse` raises."""
        if self.http.headers.get("Content-Type", "").lower() != JSON:
            raise ProblemError(415, f"Content-Type must be exactly {JSON}")
        return parse(await self.http.read(), model)

    def segment(self, name: str) -> str:
        return self.http.match_info[name]

    def number(self, name: str, default: int, least: int, most: int) -> int:
        text = self.http.query.get(name, str(default))
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ProblemError(422, f"{name}: {text!r} is not a number from {least} to {most}")
        return int(text)

    def page(self) -> slice:
        size = self.number("per_page", 20, 1, PAGE_LIMIT)
        start = (self.number("page", 1, 1, 1_000_000) - 1) * size
        return slice(start, start + size)


Handler = Callable[[Call], Awaitable[web.Response]]


class Hvca:
    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        hierarchy: Hierarchy,
        resolver: ProofResolver,
        faults: Faults,
        log: RequestLog,
        clock: Callable[[], float],
        token_life: int,
        claim_life: int,
    ) -> None:
        self._store, self._registry, self._hierarchy, self._resolver = store, registry, hierarchy, resolver
        self._faults, self._log, self._clock = faults, log, clock
        self._token_life, self._claim_life = token_life, claim_life
        self._tokens: dict[str, Token] = {}

    def application(self) -> web.Application:
        routes: list[tuple[str, str, Operation, Handler]] = [
            ("GET", "/validationpolicy", "policy", self._policy),
            ("POST", "/certificates", "request", self._request),
            ("GET", "/certificates/{serial}", "collect", self._collect),
            ("PATCH", "/certificates/{serial}", "revoke", self._revoke),
            ("DELETE", "/certificates/{serial}", "revoke", self._revoke),
            ("GET", "/trustchain", "trustchain", self._trustchain),
            ("GET", "/quotas/issuance", "quota", self._quota),
            ("GET", "/counters/certificates/issued", "counters", self._counter("issued_at")),
            ("GET", "/counters/certificates/revoked", "counters", self._counter("revoked_at")),
            ("GET", "/stats/issued", "stats-issued", self._statistic("issued_at")),
            ("GET", "/stats/revoked", "stats-revoked", self._statistic("revoked_at")),
            ("GET", "/stats/expiring", "stats-expiring", self._statistic("not_after")),
            ("GET", "/claims/domains", "claims-list", self._claims),
            ("POST", "/claims/domains/{domain}", "claim-submit", self._submit),
            ("GET", "/claims/domains/{claim}", "claim-read", self._claim),
            ("DELETE", "/claims/domains/{claim}", "claim-delete", self._withdraw),
            ("POST", "/claims/domains/{claim}/dns", "claim-prove", self._prove),
            ("POST", "/claims/domains/{claim}/http", "claim-prove", self._refuse_proof),
            ("POST", "/claims/domains/{claim}/email", "claim-prove", self._refuse_proof),
            ("GET", "/claims/domains/{claim}/email", "claim-emails", self._emails),
            ("POST", "/claims/domains/{claim}/reassert", "claim-reassert", self._reassert),
        ]
        application = web.Application(middlewares=[self._record], client_max_size=BODY_LIMIT)
        application.router.add_route(
            "POST", f"{PREFIX}/login", self._served("login", self._login, token=False)
        )
        for method, path, operation, handler in routes:
            application.router.add_route(method, PREFIX + path, self._served(operation, handler))
        return application

    # What every request goes through

    @web.middleware
    async def _record(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        record = self._log.begin(self._clock(), request.method, request.path_qs)
        started = time.perf_counter()
        request["record"] = record
        status = 500
        try:
            response = await handler(request)
            status = response.status
            return response
        except ProblemError as problem:
            status = problem.status
            return problem.response()
        except web.HTTPException as error:  # aiohttp's own: no such path, no such method, too large
            status = error.status
            return ProblemError(error.status, error.reason).response()
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            return ProblemError(500, "the sandbox has failed; its log says how").response()
        finally:
            self._log.finish(record, status, time.perf_counter() - started)

    def _served(
        self, operation: Operation, handler: Handler, *, token: bool = True
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(request: web.Request) -> web.Response:
            record: Record = request["record"]
            record.operation = operation
            account = self._client(request)
            record.account = account.name
            if delay := self._faults.strike(FaultName.DELAY, record):
                await asyncio.sleep(delay.seconds or 0)
            if (refusal := self._faults.strike(FaultName.REFUSE, record)) and refusal.status:
                raise ProblemError(refusal.status, "a fault that was asked for")
            if token:
                self._check_token(request, account)
            response = await handler(Call(request, account, record, int(self._clock())))
            if garbage := self._faults.strike(FaultName.GARBAGE, record):
                return web.Response(status=response.status, text=garbage.body)
            if self._faults.strike(FaultName.LOSE_ANSWER, record) and request.transport:
                request.transport.abort()
            return response

        return serve

    def _client(self, request: web.Request) -> Account:
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        account = (
            self._registry.by_client_serial(int(certificate["serialNumber"], 16)) if certificate else None
        )
        if account is None:
            raise ProblemError(401, "the client certificate belongs to no account")
        return account

    def _check_token(self, request: web.Request, account: Account) -> None:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        token = self._tokens.get(value)
        if (
            scheme != "Bearer"
            or token is None
            or token.account != account.name
            or token.expires_at <= self._clock()
        ):
            raise ProblemError(401, "no valid access token: log in")

    async def _login(self, call: Call) -> web.Response:
        given = await call.body(LoginRequest)
        if not self._registry.authenticates(call.account, given.api_key, given.api_secret):
            raise ProblemError(
                401, "api_key and api_secret are not those of this client certificate's account"
            )
        now = self._clock()
        self._tokens = {value: token for value, token in self._tokens.items() if token.expires_at > now}
        value = secrets.token_urlsafe(32)
        self._tokens[value] = Token(call.account.name, now + self._token_life)
        return answer({"access_token": value})

    # Certificates

    async def _policy(self, call: Call) -> web.Response:
        return answer(self._registry.policy(call.account.name).model_dump(mode="json"))

    async def _request(self, call: Call) -> web.Response:
        asked = await call.body(CertificateRequest)
        try:
            order = judge(asked, self._registry.policy(call.account.name), call.now)
        except RefusedByPolicyError as refusal:
            raise ProblemError(422, str(refusal)) from refusal
        self._check_claims(call, order.dns_names)
        for fault, flaw in FLAWS.items():
            if self._faults.strike(fault, call.record):
                order = flaw(order)
        certificate = issue(order, call.account.profile.product, self._hierarchy.issuing)
        spki = order.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        serial = f"{certificate.serial_number:X}"
        try:
            self._store.issue(
                Certificate(
                    serial=serial,
                    account=call.account.name,
                    pem=certificate.public_bytes(Encoding.PEM).decode(),
                    names=order.dns_names,
                    spki_sha256=hashlib.sha256(spki).hexdigest(),
                    not_before=order.not_before,
                    not_after=order.not_after,
                    issued_at=call.now,
                )
            )
        except QuotaExhaustedError as error:
            raise ProblemError(422, "the account's issuance quota is exhausted") from error
        location = f"{call.http.url.origin()}{PREFIX}/certificates/{serial}"
        return web.Response(status=201, headers={"Location": location})

    def _check_claims(self, call: Call, names: tuple[str, ...]) -> None:
        above = {name: _and_above(name.removeprefix("*.")) for name in names}
        wanted = sorted({domain for domains in above.values() for domain in domains})
        held = {
            claim.domain
            for claim in self._store.claims_for(call.account.name, wanted)
            if claim.holds(call.now)
        }
        if unproved := [name for name, domains in above.items() if held.isdisjoint(domains)]:
            raise ProblemError(422, f"san.dns_names: no verified domain claim covers {', '.join(unproved)}")

    def _certificate(self, call: Call) -> Certificate:
        text = call.segment("serial")
        if not re.fullmatch(r"[0-9A-Fa-f]{1,40}", text):
            raise ProblemError(422, "the serial number is not hexadecimal")
        certificate = self._store.certificate(call.account.name, f"{int(text, 16):X}")
        if certificate is None:
            raise ProblemError(404, "no such certificate")
        return certificate

    async def _collect(self, call: Call) -> web.Response:
        certificate = self._certificate(call)
        if self._faults.not_ready(certificate.serial, call.record):
            return web.Response(status=202)
        revoked = certificate.revoked_at is not None
        return answer(
            {
                "certificate": certificate.pem,
                "status": "REVOKED" if revoked else "ISSUED",
                "updated_at": certificate.revoked_at or certificate.issued_at,
            }
        )

    async def _revoke(self, call: Call) -> web.Response:
        certificate = self._certificate(call)
        asked = RevocationRequest() if call.http.method == "DELETE" else await call.body(RevocationRequest)
        if asked.revocation_reason not in REASONS:
            raise ProblemError(422, f"revocation_reason: must be one of {', '.join(REASONS)}")
        holds_from = asked.revocation_time or call.now
        if not min(certificate.not_before, call.now) <= holds_from <= call.now:
            raise ProblemError(422, "revocation_time: must lie between the certificate's begin and now")
        if certificate.revoked_at is not None:
            raise ProblemError(422, "the certificate is revoked already")
        self._store.revoke(certificate.serial, call.now, holds_from, asked.revocation_reason)
        return web.Response(status=204)

    async def _trustchain(self, call: Call) -> web.Response:
        issuing = self._hierarchy.issuing
        if self._faults.strike(FaultName.WRONG_CHAIN, call.record):
            issuing = stray_issuer(issuing, datetime.fromtimestamp(call.now, UTC))
        return answer([issuing.pem, self._hierarchy.root.pem])

    async def _quota(self, call: Call) -> web.Response:
        return answer({"value": self._store.quota(call.account.name)})

    def _counter(self, column: Statistic) -> Handler:
        async def count(call: Call) -> web.Response:
            return answer({"value": self._store.counter(column, call.account.name)})

        return count

    def _statistic(self, column: Statistic) -> Handler:
        async def list_certificates(call: Call) -> web.Response:
            to = call.number("to", call.now, 0, 10**11)
            window = call.number("from", max(0, call.now - STATISTICS_WINDOW), 0, 10**11), to
            found, total = self._store.statistic(column, call.account.name, window, call.page())
            content = [
                {"serial_number": one.serial, "not_before": one.not_before, "not_after": one.not_after}
                for one in found
            ]
            return answer(content, headers={"Total-Count": str(total)})

        return list_certificates

    # Domain claims

    async def _claims(self, call: Call) -> web.Response:
        status = call.http.query.get("status")
        if status not in ("PENDING", "VERIFIED", None):
            raise ProblemError(422, "status: must be PENDING or VERIFIED")
        verified = None if status is None else status == "VERIFIED"
        claims, total = self._store.claims(call.account.name, verified, call.now, call.page())
        return answer([_as_json(claim, call.now) for claim in claims], headers={"Total-Count": str(total)})

    async def _submit(self, call: Call) -> web.Response:
        domain = _domain(call.segment("domain"))
        claim = Claim(
            id=secrets.token_hex(8).upper(),
            account=call.account.name,
            domain=domain,
            token=secrets.token_hex(16),
            verified=False,
            created_at=call.now,
            assert_by=call.now + PROOF_LIFE,
            expires_at=0,
        )
        self._store.put_claim(claim)
        return _assertion(call, claim, 201)

    def _found_claim(self, call: Call) -> Claim:
        claim = self._store.claim(call.account.name, call.segment("claim"))
        if claim is None:
            raise ProblemError(404, "no such claim")
        return claim

    async def _claim(self, call: Call) -> web.Response:
        return answer(_as_json(self._found_claim(call), call.now))

    async def _withdraw(self, call: Call) -> web.Response:
        self._store.delete_claim(self._found_claim(call).id)
        return web.Response(status=204)

    async def _prove(self, call: Call) -> web.Response:
        claim = self._found_claim(call)
        asked = await call.body(ProofRequest) if call.http.can_read_body else ProofRequest()
        domain = claim.domain if asked.authorization_domain is None else _domain(asked.authorization_domain)
        if domain not in _and_above(claim.domain):
            raise ProblemError(422, f"authorization_domain: {domain} is neither {claim.domain} nor above it")
        if call.now >= claim.assert_by:
            raise ProblemError(422, "the token is too old: reassert the claim")
        try:
            found = claim.token in await self._resolver.txt(domain)
            description = (
                f"{domain}: TXT record with the token"
                if found
                else f"{domain}: no TXT record holds the token"
            )
        except LookupError as error:
            found, description = False, str(error)
        claim = self._found_claim(call)  # it may have changed during the look-up
        entry = LogEntry(status="SUCCESS" if found else "ERROR", description=description, timestamp=call.now)
        claim = claim._replace(log=(*claim.log, entry)[-LOG_LIMIT:])
        if found:
            claim = claim._replace(verified=True, expires_at=call.now + self._claim_life)
        self._store.put_claim(claim)
        return web.Response(status=204 if found else 201)

    async def _refuse_proof(self, call: Call) -> web.Response:
        self._found_claim(call)
        raise ProblemError(422, "this authority takes proofs by DNS alone")

    async def _emails(self, call: Call) -> web.Response:
        domain = self._found_claim(call).domain
        try:
            contact = {"emails": [await self._resolver.zone_contact(domain)]}
        except LookupError as error:
            contact = {"emails": [], "errors": [str(error)]}
        return answer({"constructed": [f"{box}@{domain}" for box in MAILBOXES], "DNS": {"SOA": contact}})

    async def _reassert(self, call: Call) -> web.Response:
        claim = self._found_claim(call)._replace(token=secrets.token_hex(16), assert_by=call.now + PROOF_LIFE)
        self._store.put_claim(claim)
        return _assertion(call, claim, 200)


def _domain(text: str) -> str:
    try:
        return _DOMAIN.validate_python(text.removesuffix(".").lower())
    except ValidationError as error:
        raise ProblemError(422, f"{text!r} is not a fully qualified domain name") from error


def _and_above(domain: str) -> list[str]:
    """`domain` and what lies above it, down to two labels."""
    labels = domain.split(".")
    return [".".join(labels[index:]) for index in range(len(labels) - 1)]


def _assertion(call: Call, claim: Claim, status: int) -> web.Response:
    location = f"{call.http.url.origin()}{PREFIX}/claims/domains/{claim.id}"
    content = {"token": claim.token, "assert_by": claim.assert_by, "id": claim.id}
    return answer(content, status, {"Location": location})


def _as_json(claim: Claim, now: int) -> dict[str, object]:
    return {
        "id": claim.id,
        "status": "VERIFIED" if claim.holds(now) else "PENDING",
        "domain": f"{claim.domain}.",
        "created_at": claim.created_at,
        "expires_at": claim.expires_at,
        "assert_by": claim.assert_by,
        "log": [entry.model_dump() for entry in claim.log],
    }
