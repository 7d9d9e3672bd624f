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
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from math import ceil
from typing import NamedTuple

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from sslorder.sandbox.calls import PREFIX, Call, Handler, Route
from sslorder.sandbox.faults import FaultName, Faults
from sslorder.sandbox.http import BODY_LIMIT, ProblemError, answer, hang_up
from sslorder.sandbox.registry import Registry
from sslorder.sandbox.requestlog import Operation, Record, RequestLog
from sslorder.sandbox.store import Account

logger = logging.getLogger("sslorder.sandbox")


class LoginRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    api_key: str
    api_secret: str


class Token(NamedTuple):
    account: str
    expires_at: float


class Hvca:
    """The door: who comes in, and what every request goes through on its way to its operation and back."""

    def __init__(
        self,
        routes: Iterable[Route],
        registry: Registry,
        faults: Faults,
        log: RequestLog,
        clock: Callable[[], float],
        token_life: int,
    ) -> None:
        self._routes, self._registry, self._faults, self._log = list(routes), registry, faults, log
        self._clock, self._token_life = clock, token_life
        self._tokens: dict[str, Token] = {}

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._record], client_max_size=BODY_LIMIT)
        router = application.router
        router.add_route("POST", f"{PREFIX}/login", self._served("login", self._log_in, token=False))
        for method, path, operation, handler in self._routes:
            router.add_route(method, PREFIX + path, self._served(operation, handler))
        return application

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
            if busy := self._faults.strike(FaultName.TOO_MANY_REQUESTS, record):
                wait = {"Retry-After": str(ceil(busy.seconds or 0))}
                raise ProblemError(429, "a fault that was asked for", wait)
            if token:
                self._check_token(request, account)
            response = await handler(Call(request, account, record, int(self._clock())))
            if garbage := self._faults.strike(FaultName.GARBAGE, record):
                status = 200 if response.status == 204 else response.status  # a 204 has no body to spoil
                return web.Response(status=status, text=garbage.body)
            return hang_up(request) if self._faults.strike(FaultName.LOSE_ANSWER, record) else response

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

    async def _log_in(self, call: Call) -> web.Response:
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
