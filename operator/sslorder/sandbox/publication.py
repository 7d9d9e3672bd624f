"""The plain port: CRLs and issuers' certificates in DER, where the certificates say they are."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from sslorder.sandbox.hierarchy import Hierarchy, Signer
from sslorder.sandbox.revocation import revocation_list
from sslorder.sandbox.store import Store

RENEWED_AFTER = timedelta(days=1).total_seconds()


class Publication:
    """An intermediate's CRL is signed anew at the first look after a revocation, and once a day."""

    def __init__(self, store: Store, hierarchy: Hierarchy, clock: Callable[[], float]) -> None:
        self._store, self._hierarchy, self._clock = store, hierarchy, clock
        self._crls: dict[str, tuple[int, float, bytes]] = {}

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/{name}.crl", self._crl)
        application.router.add_get("/{name}.crt", self._certificate)
        return application

    def crl(self, issuer: str) -> bytes:
        """The current CRL of `root` or of an intermediate."""
        signer = self._signer(issuer)
        revocations = self._store.revocations() if issuer in self._hierarchy.intermediates else 0
        counted, signed_at, crl = self._crls.get(issuer, (-1, 0.0, b""))
        now = self._clock()
        if counted != revocations or now - signed_at >= RENEWED_AFTER:
            number = self._store.next_crl_number(issuer)
            revoked = [one for one in self._store.revoked() if one.issuer == signer.certificate.subject]
            crl = revocation_list(signer, revoked, number, datetime.fromtimestamp(now, UTC))
            self._crls[issuer] = (revocations, now, crl)
        return crl

    def _signer(self, name: str) -> Signer:
        signers = {"root": self._hierarchy.root, **self._hierarchy.intermediates}
        if name not in signers:
            raise web.HTTPNotFound
        return signers[name]

    async def _crl(self, request: web.Request) -> web.Response:
        return web.Response(body=self.crl(request.match_info["name"]), content_type="application/pkix-crl")

    async def _certificate(self, request: web.Request) -> web.Response:
        body = self._signer(request.match_info["name"]).certificate.public_bytes(Encoding.DER)
        return web.Response(body=body, content_type="application/pkix-cert")
