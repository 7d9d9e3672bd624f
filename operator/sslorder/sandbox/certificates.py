"""Certificates, and the figures about them: /certificates, /trustchain, /quotas, /counters, /stats."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict

from sslorder.sandbox.calls import Call, Handler, Route
from sslorder.sandbox.claims import Claims
from sslorder.sandbox.faults import FaultName, Faults
from sslorder.sandbox.hierarchy import Hierarchy, stray_issuer
from sslorder.sandbox.http import ProblemError, answer, hang_up
from sslorder.sandbox.issuance import FLAWS, issue
from sslorder.sandbox.policy import CertificateRequest, Order, RefusedByPolicyError, judge
from sslorder.sandbox.registry import Registry
from sslorder.sandbox.revocation import REASONS
from sslorder.sandbox.settings import DAY
from sslorder.sandbox.store import Account, Certificate, QuotaExhaustedError, Statistic, Store

STATISTICS_WINDOW = 30 * DAY
LATEST = 10**11  # a moment beyond every other
UNASKED_REASON = "cessationOfOperation"


class RevocationRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    revocation_reason: str = "unspecified"
    revocation_time: int = 0


class Certificates:
    def __init__(
        self, store: Store, registry: Registry, hierarchy: Hierarchy, claims: Claims, faults: Faults
    ) -> None:
        self._store, self._registry, self._hierarchy = store, registry, hierarchy
        self._claims, self._faults = claims, faults

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/validationpolicy", "policy", self._policy),
            Route("POST", "/certificates", "request", self._request),
            Route("GET", "/certificates/{serial}", "collect", self._collect),
            Route("PATCH", "/certificates/{serial}", "revoke", self._revoke),
            Route("DELETE", "/certificates/{serial}", "revoke", self._revoke),
            Route("GET", "/trustchain", "trustchain", self._trustchain),
            Route("GET", "/quotas/issuance", "quota", self._quota),
            Route("GET", "/counters/certificates/issued", "counters", self._counter("issued_at")),
            Route("GET", "/counters/certificates/revoked", "counters", self._counter("revoked_at")),
            Route("GET", "/stats/issued", "stats-issued", self._statistic("issued_at")),
            Route("GET", "/stats/revoked", "stats-revoked", self._statistic("revoked_at")),
            Route("GET", "/stats/expiring", "stats-expiring", self._statistic("not_after")),
        ]

    async def _policy(self, call: Call) -> web.Response:
        return answer(self._registry.policy(call.account.name).model_dump(mode="json"))

    async def _request(self, call: Call) -> web.Response:
        asked = await call.body(CertificateRequest)
        try:
            order = judge(asked, self._registry.policy(call.account.name), call.now)
        except RefusedByPolicyError as refusal:
            raise ProblemError(422, str(refusal)) from refusal
        if unproved := self._claims.unproved(call.account.name, order.dns_names, call.now):
            raise ProblemError(422, f"san.dns_names: no verified domain claim covers {', '.join(unproved)}")
        for fault, flaw in FLAWS.items():
            if self._faults.strike(fault, call.record):
                order = flaw(order)
        if self._faults.strike(FaultName.NO_QUOTA, call.record):
            raise ProblemError(422, "the account's issuance quota is exhausted")
        if self._faults.strike(FaultName.ROTATED_INTERMEDIATE, call.record):
            self._hierarchy.rotate(datetime.fromtimestamp(call.now, UTC))
        if late := self._faults.strike(FaultName.COMMIT_LATE, call.record):
            wait = late.seconds or 0
            self._later(wait, lambda: self._issue(order, call.account, call.now + int(wait)))
            return hang_up(call.http)
        serial = self._issue(order, call.account, call.now)
        if unasked := self._faults.strike(FaultName.REVOKED_UNASKED, call.record):
            moment = call.now + int(unasked.seconds or 0)
            self._later(
                unasked.seconds or 0, lambda: self._store.revoke(serial, moment, moment, UNASKED_REASON)
            )
        return web.Response(status=201, headers={"Location": call.location(f"/certificates/{serial}")})

    @staticmethod
    def _later(seconds: float, deed: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds, deed)

    def _issue(self, order: Order, account: Account, now: int) -> str:
        """Sign, record and count one certificate; returns its serial number."""
        certificate = issue(order, account.profile.product, self._hierarchy.issuing)
        spki = order.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        serial = f"{certificate.serial_number:X}"
        try:
            self._store.issue(
                Certificate(
                    serial=serial,
                    account=account.name,
                    pem=certificate.public_bytes(Encoding.PEM).decode(),
                    names=order.dns_names,
                    spki_sha256=hashlib.sha256(spki).hexdigest(),
                    not_before=order.not_before,
                    not_after=order.not_after,
                    issued_at=now,
                )
            )
        except QuotaExhaustedError as error:
            raise ProblemError(422, "the account's issuance quota is exhausted") from error
        return serial

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
        asked = RevocationRequest() if call.http.method == "DELETE" else await call.body(RevocationRequest)
        certificate = self._certificate(call)
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
        exhausted = self._faults.strike(FaultName.NO_QUOTA, call.record)
        return answer({"value": 0 if exhausted else self._store.quota(call.account.name)})

    def _counter(self, column: Statistic) -> Handler:
        async def count(call: Call) -> web.Response:
            return answer({"value": self._store.counter(column, call.account.name)})

        return count

    def _statistic(self, column: Statistic) -> Handler:
        async def list_certificates(call: Call) -> web.Response:
            to = call.number("to", call.now, 0, LATEST)
            if lag := self._faults.strike(FaultName.LAGGING_STATISTICS, call.record):
                to = min(to, call.now - ceil(lag.seconds or 0))
            window = call.number("from", max(0, call.now - STATISTICS_WINDOW), 0, LATEST), to
            found, total = self._store.statistic(column, call.account.name, window, call.page())
            content = [
                {"serial_number": one.serial, "not_before": one.not_before, "not_after": one.not_after}
                for one in found
            ]
            return answer(content, headers={"Total-Count": str(total)})

        return list_certificates
