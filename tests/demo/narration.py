"""The story on the terminal: numbered steps, a line per event with the milliseconds since its step began.

Rules:
- A line that states a fact is printed only once the fact was seen true; otherwise `Untrue` ends the story.
"""

import textwrap
import time
from collections.abc import Callable
from typing import TypeVar

BOUND_SECONDS = 30.0
POLL_SECONDS = 0.002
WIDTH = 120
INDENT = " " * 13

Found = TypeVar("Found")


class Untrue(Exception):
    """What the story was about to tell did not happen."""


class Narrator:
    """Tells one story."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._steps = 0
        self._begun = time.monotonic()

    def step(self, title: str) -> None:
        """Begins a step."""
        self._steps += 1
        self._begun = time.monotonic()
        self._say(f"\n{self._steps}. {title}")

    def tell(self, text: str) -> None:
        """An event that has just happened."""
        self._say(f"{(time.monotonic() - self._begun) * 1000:>8,.0f} ms  {text}")

    def show(self, output: str) -> None:
        """What a command printed, or what an object says."""
        for line in output.strip().splitlines():
            self._say(textwrap.fill(line, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT))

    def expect(self, truth: bool, text: str) -> None:
        """Tells what must be true.

        :raises Untrue: it is not.
        """
        if not truth:
            raise Untrue(text)
        self.tell(text)


def awaited(look: Callable[[], Found | None], what: str, bound: float = BOUND_SECONDS) -> Found:
    """What `look` finds as soon as that is not None.

    :raises Untrue: it found nothing within `bound` seconds.
    """
    deadline = time.monotonic() + bound
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise Untrue(f"{what} (waited {bound:.0f} s)")
        time.sleep(POLL_SECONDS)
    return found
