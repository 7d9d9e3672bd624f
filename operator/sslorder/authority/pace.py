"""How fast an authority may be called."""

import asyncio
from collections.abc import Awaitable, Callable


class Pace:
    """A token bucket (as the generic cell rate algorithm): `per_second` calls on average, `burst` of them at
    once, first come first served. `monotonic` gives seconds and `sleep` waits for some."""

    def __init__(
        self,
        per_second: float,
        burst: int,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval = 1 / per_second
        self._ahead = burst * self._interval
        self._monotonic = monotonic
        self._sleep = sleep
        self._due = monotonic()

    async def turn(self) -> None:
        """Wait for one's turn. A caller that gives up waiting has still used it."""
        now = self._monotonic()
        self._due = max(self._due, now) + self._interval
        if (early := self._due - self._ahead - now) > 0:
            await self._sleep(early)
