"""The plain port: CRLs and issuers' certificates in DER, where the certificates say they are."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from sslorder.sandbox.hierarchy import Hierarchy
from sslorder.sandbox.revocation import revocation_list
from sslorder.sandbox.store import Store

RENEWED_AFTER = timedelta(days=1).total_seconds()


class Publication:
    """The intermediate's CRL is signed anew at the first look after a revocation, and once a day."""

    def __init__(self, store: Store, hierarchy: Hierarchy, clock: Callable[[], float]) -> None:
        self._store, self._hierarchy, self._clock = store, hierarchy, clock
        self._crls: dict[str, tuple[int, float, bytes]] = {}

    def application(self) -> web.Application:
        application = web.Application()
        for name in ("root", "issuing"):
            application.router.add_get(f"/{name}.crl", self._crl(name))
            application.router.add_get(f"/{name}.crt", self._certificate(name))
        return application

    def crl(self, issuer: str) -> bytes:
        """The current CRL of `root` or `issuing`."""
        revocations = self._store.revocations() if issuer == "issuing" else 0
        counted, signed_at, crl = self._crls.get(issuer, (-1, 0.0, b""))
        now = self._clock()
        if counted != revocations or now - signed_at >= RENEWED_AFTER:
            signer = self._hierarchy.issuing if issuer == "issuing" else self._hierarchy.root
            number = self._store.next_crl_number(issuer)
            revoked = self._store.revoked() if issuer == "issuing" else []
            crl = revocation_list(signer, revoked, number, datetime.fromtimestamp(now, UTC))
            self._crls[issuer] = (revocations, now, crl)
        return crl

    def _crl(self, issuer: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(_: web.Request) -> web.Response:
            return web.Response(body=self.crl(issuer), content_type="application/pkix-crl")

        return serve

    def _certificate(self, issuer: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        signer = self._hierarchy.issuing if issuer == "issuing" else self._hierarchy.root
        body = signer.certificate.public_bytes(Encoding.DER)

        async def serve(_: web.Request) -> web.Response:
            return web.Response(body=body, content_type="application/pkix-cert")

        return serve
