"""Running coroutines in tests: everything has a bound, so that a hang is a failure and not a hang."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(scenario: Coroutine[Any, Any, T], within: float = 30) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(within):
            return await scenario

    return asyncio.run(bounded())
