"""What an operation of the API is given, and what it may ask of it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import web

from sslorder.sandbox.http import JSON, Body, ProblemError, parse
from sslorder.sandbox.requestlog import Operation, Record
from sslorder.sandbox.store import Account

PREFIX = "/v2"
PAGE, PAGE_LIMIT = 20, 100


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

    def location(self, path: str) -> str:
        return f"{self.http.url.origin()}{PREFIX}{path}"

    def page(self) -> slice:
        size = self.number("per_page", PAGE, 1, PAGE_LIMIT)
        start = (self.number("page", 1, 1, 1_000_000) - 1) * size
        return slice(start, start + size)


Handler = Callable[[Call], Awaitable[web.Response]]


class Route(NamedTuple):
    method: str
    path: str
    operation: Operation
    handler: Handler
