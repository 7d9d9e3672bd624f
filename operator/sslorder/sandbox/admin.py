"""The administration port: plain HTTP and JSON, on loopback only, for whoever runs the sandbox.

GET    /accounts               names, products, quotas, policies
POST   /accounts               NewAccount -> 201 the credentials, as a Kubernetes Secret holds them
PATCH  /accounts/NAME          AccountChange -> the account
GET    /certificates           everything issued
PATCH  /certificates/SERIAL    RevocationRequest: the authority revokes it of its own accord
GET    /requests?since=ID      what the API was asked after request ID
GET    /faults                 those switched on, and the catalogue
PUT    /faults                 a list of Fault: these and no others are on
DELETE /faults                 none is on
"""

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import RootModel

from sslorder.sandbox.accounts import AccountChange, NewAccount
from sslorder.sandbox.certificates import RevocationRequest
from sslorder.sandbox.faults import CATALOGUE, Fault, Faults
from sslorder.sandbox.http import BODY_LIMIT, ProblemError, answer, parse
from sslorder.sandbox.registry import NameTakenError, Registry
from sslorder.sandbox.requestlog import RequestLog
from sslorder.sandbox.revocation import REASONS
from sslorder.sandbox.store import Account, Store


class FaultList(RootModel[list[Fault]]):
    pass


class Admin:
    def __init__(
        self,
        store: Store,
        registry: Registry,
        faults: Faults,
        log: RequestLog,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._registry, self._faults, self._log = store, registry, faults, log
        self._clock = clock

    def application(self) -> web.Application:
        application = web.Application(middlewares=[_problems], client_max_size=BODY_LIMIT)
        application.router.add_get("/accounts", self._accounts)
        application.router.add_post("/accounts", self._create_account)
        application.router.add_patch("/accounts/{name}", self._change_account)
        application.router.add_get("/certificates", self._certificates)
        application.router.add_patch("/certificates/{serial}", self._revoke)
        application.router.add_get("/requests", self._requests)
        application.router.add_get("/faults", self._list_faults)
        application.router.add_put("/faults", self._set_faults)
        application.router.add_delete("/faults", self._clear_faults)
        return application

    async def _accounts(self, _: web.Request) -> web.Response:
        return answer([self._shown(account) for account in self._registry.all()])

    def _shown(self, account: Account) -> dict[str, object]:
        return {
            **account.profile.model_dump(mode="json"),
            "quota": self._store.quota(account.name),
            "policy": self._registry.policy(account.name).model_dump(mode="json"),
        }

    async def _create_account(self, request: web.Request) -> web.Response:
        asked = parse(await request.read(), NewAccount)
        try:
            return answer(self._registry.create(asked), 201)
        except NameTakenError as error:
            raise ProblemError(409, str(error)) from error

    async def _change_account(self, request: web.Request) -> web.Response:
        account = self._registry.get(request.match_info["name"])
        if account is None:
            raise ProblemError(404, f"no account {request.match_info['name']}")
        change = parse(await request.read(), AccountChange)
        try:
            self._registry.change(account, change)
        except ValueError as error:
            raise ProblemError(422, str(error)) from error
        return answer(self._shown(self._registry.get(account.name) or account))

    async def _revoke(self, request: web.Request) -> web.Response:
        asked = parse(await request.read(), RevocationRequest)
        serial, now = request.match_info["serial"], int(self._clock())
        if asked.revocation_reason not in REASONS:
            raise ProblemError(422, f"revocation_reason: must be one of {', '.join(REASONS)}")
        if not self._store.revoke(serial, now, asked.revocation_time or now, asked.revocation_reason):
            raise ProblemError(404, f"no certificate {serial} that is not revoked")
        return answer({"serial": serial, "revoked": True, "reason": asked.revocation_reason})

    async def _certificates(self, _: web.Request) -> web.Response:
        return answer(
            [
                {
                    "serial": one.serial,
                    "account": one.account,
                    "names": one.names,
                    "spki_sha256": one.spki_sha256,
                    "not_before": one.not_before,
                    "not_after": one.not_after,
                    "issued_at": one.issued_at,
                    "revoked": one.revoked_at is not None,
                    "reason": one.reason,
                }
                for one in self._store.all_certificates()
            ]
        )

    async def _requests(self, request: web.Request) -> web.Response:
        since = request.query.get("since", "0")
        if not since.isdecimal():
            raise ProblemError(422, f"since: {since!r} is not a request's id")
        return answer(self._log.since(int(since)))

    async def _list_faults(self, _: web.Request) -> web.Response:
        active = [fault.model_dump(mode="json", exclude_none=True) for fault in self._faults.active()]
        return answer(
            {"active": active, "catalogue": {name: row._asdict() for name, row in CATALOGUE.items()}}
        )

    async def _set_faults(self, request: web.Request) -> web.Response:
        self._faults.replace(parse(await request.read(), FaultList).root)
        return await self._list_faults(request)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._faults.replace([])
        return await self._list_faults(request)


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as problem:
        return problem.response()
