"""Time for tests: a loop on which it passes only when nothing is left to do, and a wall clock beside it."""

import asyncio
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, tzinfo=UTC)


class _SkippingSelector(selectors.SelectSelector):
    """Waits for nothing: hands every time-out to `skip` instead."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits and no timer is set: this would hang"
            self._skip(timeout)
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a number that jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__(_SkippingSelector(self._skip))
        self._seconds = 0.0

    def time(self) -> float:
        return self._seconds

    def _skip(self, seconds: float) -> None:
        self._seconds += seconds


class WallClock:
    """The wall clock beside such a loop; `jump` sets it as an administrator would."""

    def __init__(self, loop: SkippingLoop, start: datetime = START) -> None:
        self._loop = loop
        self._start = start
        self._offset = timedelta()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.time()) + self._offset

    def jump(self, by: timedelta) -> None:
        self._offset += by
