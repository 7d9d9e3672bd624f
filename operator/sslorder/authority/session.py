"""A logged-in conversation with HVCA: the token, the errors, the pages.

Rules:
- The token is fetched ahead of its end, by one login for all who wait for it. A 401 drops it.
- A read that met a 401 is sent once more with a new token. Nothing else is ever sent again.
- What the authority writes reaches a message cut short, without control characters or our credentials.
"""

import asyncio
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from pydantic import ValidationError

from sslorder.authority import meaning, wire
from sslorder.authority.credentials import Credentials
from sslorder.authority.meaning import Kind
from sslorder.authority.transport import Answer, ExchangeError, Transport
from sslorder.engine.ports import AuthorityError, Clock, TryAgain

_PER_PAGE = 100  # HVCA's maximum
_MOST_PAGES = 1000
_LONGEST_DETAIL = 500

A = TypeVar("A")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the API, named in messages by its method and path."""

    kind: Kind
    method: str
    path: str
    query: Mapping[str, str | int] | None = None
    body: bytes | None = field(default=None, repr=False)
    still_wanted: Callable[[], bool] = field(default=lambda: True, repr=False)

    @property
    def operation(self) -> str:
        return f"{self.method} {self.path}"


class Session:
    """One credential's conversation with one authority."""

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials,
        clock: Clock,
        monotonic: Callable[[], float],
        refresh_after: timedelta,
    ) -> None:
        """A token is used for `refresh_after`, by `monotonic` (seconds), from before it was asked for."""
        self._transport = transport
        self._credentials = credentials
        self._clock = clock
        self._monotonic = monotonic
        self._refresh_after = refresh_after.total_seconds()
        self._token = ""
        self._token_until = -math.inf
        self._logging_in: asyncio.Task[str] | None = None

    async def token(self) -> str:
        """A token with life left in it."""
        if self._monotonic() < self._token_until:
            return self._token
        if self._logging_in is None:
            self._logging_in = asyncio.create_task(self._log_in())
            self._logging_in.add_done_callback(self._logged_in)
        # one who gives up waiting leaves the login to the others
        return await asyncio.shield(self._logging_in)

    async def call(self, call: Call, *welcome: int) -> Answer:
        """The answer, when its status is one of `welcome`; otherwise raises what it means."""
        answer = await self._exchange(call, await self.token())
        if answer.status == 401 and call.kind is Kind.READ:
            answer = await self._exchange(call, await self.token())
        return self._welcome(call, answer, welcome)

    def close(self) -> None:
        """End it, as `Transport.close` does."""
        self._transport.close()

    async def read(self, path: str, form: Callable[[bytes], T]) -> T:
        """GET something of the given form."""
        call = Call(Kind.READ, "GET", path)
        return self.content(call, form, await self.call(call, 200))

    async def pages(
        self,
        path: str,
        form: Callable[[bytes], list[T]],
        query: Mapping[str, str | int],
        identity: Callable[[T], Hashable],
    ) -> list[T]:
        """GET a whole list. One that changed while it was read is not passed off as whole: `TryAgain`."""
        found: dict[Hashable, T] = {}
        for page in range(1, _MOST_PAGES + 1):
            call = Call(Kind.READ, "GET", path, {**query, "page": page, "per_page": _PER_PAGE})
            answer = await self.call(call, 200)
            batch = self.content(call, form, answer)
            found |= {identity(item): item for item in batch}
            total = self.sense(call, wire.total_count, answer.headers.get("Total-Count"))
            if total is not None and not batch and len(found) < total:
                raise TryAgain(call.operation, f"{len(found)} of {total} entries could be read")
            if not batch or (total is not None and len(found) >= total):
                return list(found.values())
        raise TryAgain(f"GET {path}", f"the list is longer than {_MOST_PAGES} pages")

    def content(self, call: Call, form: Callable[[bytes], T], answer: Answer) -> T:
        """What a JSON answer says, or the error that its lack of sense is."""
        content_type = answer.headers.get("Content-Type", "")
        if not content_type.lower().startswith("application/json"):
            error = meaning.of_nonsense(call.kind)
            raise self._error(call, error, f"answered with {content_type or 'no type'}")
        return self.sense(call, form, answer.body)

    def sense(self, call: Call, form: Callable[[A], T], part: A) -> T:
        """What a part of an answer says, or the error that its lack of sense is."""
        try:
            return form(part)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)[:3]
            detail = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in found)
        except ValueError as error:
            detail = str(error)
        raise self._error(call, meaning.of_nonsense(call.kind), f"the answer makes no sense: {detail}")

    async def _exchange(self, call: Call, token: str) -> Answer:
        try:
            answer = await self._transport.exchange(
                call.method,
                call.path,
                token=token,
                query=call.query,
                body=call.body,
                still_wanted=call.still_wanted,
            )
        except ExchangeError as failure:
            raise self._error(call, meaning.of_failure(call.kind, failure), str(failure)) from None
        if answer.status == 401 and token == self._token:
            self._token_until = -math.inf
        return answer

    def _welcome(self, call: Call, answer: Answer, welcome: tuple[int, ...]) -> Answer:
        if answer.status not in welcome:
            detail = f"{answer.status} {meaning.description(answer)}"
            raise self._error(
                call,
                meaning.of_status(call.kind, answer.status),
                detail,
                meaning.retry_after(answer, self._clock.now()),
            )
        return answer

    async def _log_in(self) -> str:
        asked_at = self._monotonic()
        known = self._credentials
        body = wire.LoginRequest(api_key=known.api_key, api_secret=known.api_secret).body()
        call = Call(Kind.LOGIN, "POST", "/login", body=body)
        answer = self._welcome(call, await self._exchange(call, ""), (200,))
        self._token = self.content(call, wire.Login.model_validate_json, answer).access_token
        self._token_until = asked_at + self._refresh_after
        return self._token

    def _logged_in(self, task: asyncio.Task[str]) -> None:
        self._logging_in = None
        if not task.cancelled():
            task.exception()  # seen, even when nobody waits any more

    def _error(
        self, call: Call, error: type[AuthorityError], detail: str, retry_after: timedelta | None = None
    ) -> AuthorityError:
        for secret in filter(None, (self._credentials.api_secret, self._credentials.api_key, self._token)):
            detail = detail.replace(secret, "***")
        detail = "".join(character if character.isprintable() else " " for character in detail)
        detail = detail[:_LONGEST_DETAIL].strip()
        if error is TryAgain:
            return TryAgain(call.operation, detail, retry_after)
        return error(call.operation, detail)
