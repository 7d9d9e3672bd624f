"""What the sandbox's HTTP ports have in common: bodies in, JSON and errors out."""

import json
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

Body = TypeVar("Body", bound=BaseModel)

JSON = "application/json;charset=utf-8"
BODY_LIMIT = 256 * 1024


class ProblemError(Exception):
    """An answer that is an error: its status and what to tell the client."""

    def __init__(self, status: int, description: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(description)
        self.status, self.description, self._headers = status, description, headers or {}

    def response(self) -> web.Response:
        body = json.dumps({"status": self.status, "description": self.description}).encode()
        return web.Response(
            status=self.status,
            body=body,
            headers={"Content-Type": "application/problem+json", **self._headers},
        )


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, body=json.dumps(content).encode(), headers={"Content-Type": JSON, **(headers or {})}
    )


def hang_up(request: web.Request) -> web.Response:
    """Close the connection without a word. What is returned reaches nobody."""
    if request.transport:
        request.transport.abort()
    return web.Response()


def parse_json(raw: bytes) -> Any:
    """Raises ProblemError 400."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "the body is not JSON") from error


def parse(raw: bytes, model: type[Body]) -> Body:
    """Raises ProblemError: 400 for what is no JSON, 422 for what is not a `model`."""
    return validated(parse_json(raw), model)


def validated(content: Any, model: type[Body]) -> Body:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ProblemError(422, explain(error)) from error


def explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'the body'}: {fault['msg']}"
        for fault in error.errors(include_url=False)
    )
