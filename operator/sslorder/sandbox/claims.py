"""Domain claims: /claims/domains."""

import secrets
from collections.abc import Iterable

from aiohttp import web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sslorder.sandbox.accounts import Domain
from sslorder.sandbox.calls import Call, Route
from sslorder.sandbox.http import ProblemError, answer
from sslorder.sandbox.proof import ProofResolver
from sslorder.sandbox.settings import DAY
from sslorder.sandbox.store import Claim, LogEntry, Store

PROOF_LIFE = 30 * DAY  # BR 3.2.2.4: a random value lives at most 30 days
LOG_LIMIT = 50  # entries that a claim remembers
MAILBOXES = ("admin", "administrator", "webmaster", "hostmaster", "postmaster")  # BR 3.2.2.4.4

_DOMAIN: TypeAdapter[str] = TypeAdapter(Domain)


class ProofRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    authorization_domain: str | None = None


class Claims:
    def __init__(self, store: Store, resolver: ProofResolver, claim_life: int) -> None:
        self._store, self._resolver, self._claim_life = store, resolver, claim_life

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/claims/domains", "claims-list", self._list),
            Route("POST", "/claims/domains/{domain}", "claim-submit", self._submit),
            Route("GET", "/claims/domains/{claim}", "claim-read", self._read),
            Route("DELETE", "/claims/domains/{claim}", "claim-delete", self._withdraw),
            Route("POST", "/claims/domains/{claim}/dns", "claim-prove", self._prove),
            Route("POST", "/claims/domains/{claim}/http", "claim-prove", self._refuse_proof),
            Route("POST", "/claims/domains/{claim}/email", "claim-prove", self._refuse_proof),
            Route("GET", "/claims/domains/{claim}/email", "claim-emails", self._emails),
            Route("POST", "/claims/domains/{claim}/reassert", "claim-reassert", self._reassert),
        ]

    def unproved(self, account: str, names: Iterable[str], now: int) -> list[str]:
        """Those of `names` that no claim of the account covers; a claim covers its domain and all below."""
        above = {name: _and_above(name.removeprefix("*.")) for name in names}
        wanted = sorted({domain for domains in above.values() for domain in domains})
        held = {claim.domain for claim in self._store.claims_for(account, wanted) if claim.holds(now)}
        return [name for name, domains in above.items() if held.isdisjoint(domains)]

    async def _list(self, call: Call) -> web.Response:
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

    def _found(self, call: Call) -> Claim:
        claim = self._store.claim(call.account.name, call.segment("claim"))
        if claim is None:
            raise ProblemError(404, "no such claim")
        return claim

    async def _read(self, call: Call) -> web.Response:
        return answer(_as_json(self._found(call), call.now))

    async def _withdraw(self, call: Call) -> web.Response:
        self._store.delete_claim(self._found(call).id)
        return web.Response(status=204)

    async def _prove(self, call: Call) -> web.Response:
        claim = self._found(call)
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
        claim = self._found(call)  # it may have changed during the look-up
        entry = LogEntry(status="SUCCESS" if found else "ERROR", description=description, timestamp=call.now)
        claim = claim._replace(log=(*claim.log, entry)[-LOG_LIMIT:])
        if found:
            claim = claim._replace(verified=True, expires_at=call.now + self._claim_life)
        self._store.put_claim(claim)
        return web.Response(status=204 if found else 201)

    async def _refuse_proof(self, call: Call) -> web.Response:
        self._found(call)
        raise ProblemError(422, "this authority takes proofs by DNS alone")

    async def _emails(self, call: Call) -> web.Response:
        domain = self._found(call).domain
        try:
            contact = {"emails": [await self._resolver.zone_contact(domain)]}
        except LookupError as error:
            contact = {"emails": [], "errors": [str(error)]}
        return answer({"constructed": [f"{box}@{domain}" for box in MAILBOXES], "DNS": {"SOA": contact}})

    async def _reassert(self, call: Call) -> web.Response:
        claim = self._found(call)._replace(token=secrets.token_hex(16), assert_by=call.now + PROOF_LIFE)
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
    content = {"token": claim.token, "assert_by": claim.assert_by, "id": claim.id}
    return answer(content, status, {"Location": call.location(f"/claims/domains/{claim.id}")})


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
