"""Authorities whose every call is timed and counted, whoever makes them and whatever they are."""

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from sslorder.api.authority import SSLAuthority
from sslorder.engine.ports import (
    Authority,
    AuthorityError,
    Connection,
    Connector,
    OutcomeUnknown,
    Refused,
    TryAgain,
    Unauthorised,
)

OUTCOMES: dict[type[AuthorityError], str] = {
    Refused: "refused",
    Unauthorised: "unauthorised",
    TryAgain: "try_again",
    OutcomeUnknown: "outcome_unknown",
}

Noted = Callable[[str, str, str, float], None]
"""Told of each call: the authority, the operation, how it ended, and its seconds."""


class ObservedConnector:
    """`engine.ports.Connector` around another one."""

    def __init__(
        self, connector: Connector, noted: Noted, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._connector = connector
        self._noted = noted
        self._monotonic = monotonic

    async def connect(self, declared: SSLAuthority, known: Connection | None) -> Connection:
        made = await self._connector.connect(declared, known)
        if made is known:
            return known
        observed = _Observed(made.authority, declared.metadata.name, self._noted, self._monotonic)
        return replace(made, authority=cast("Authority", observed))


class _Observed:
    """Every coroutine method of the authority is a call to it, named as in `engine.ports.Authority`."""

    def __init__(self, authority: Authority, name: str, noted: Noted, monotonic: Callable[[], float]) -> None:
        self._authority = authority
        self._name = name
        self._noted = noted
        self._monotonic = monotonic

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self._authority, operation)
        if not inspect.iscoroutinefunction(call):
            return call

        async def observed(*args: Any, **kwargs: Any) -> Any:
            began, outcome = self._monotonic(), "defect"
            try:
                answer = await call(*args, **kwargs)
                outcome = "ok"
            except AuthorityError as error:
                outcome = next(name for kind, name in OUTCOMES.items() if isinstance(error, kind))
                raise
            finally:
                self._noted(self._name, operation, outcome, self._monotonic() - began)
            return answer

        return observed
