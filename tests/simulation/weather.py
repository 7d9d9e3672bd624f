"""How the neighbours fail: drawn from the seed, and only while a storm lasts.

Rules:
- Each draw is made at one named place, and counted under its name.
- In calm weather nothing fails but purchases, and everything answers within `CALM`.
"""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

CALM: Final = 0.02
"""Seconds that an answer or a watch event takes at most while nothing fails."""

API_FAULTS: Final = (
    "no connection",
    "429",
    "500 before",
    "500 after",
    "answer lost before",
    "answer lost after",
    "409",
)
AUTHORITY_FAULTS: Final = ("no connection", "503", "401", "answer lost before", "answer lost after")
PURCHASE_FAULTS: Final = (
    "committed after the answer was lost",
    "issued, answer lost",
    "made slowly",
    "killed",
    "refused",
)


@dataclass(slots=True)
class Weather:
    """Rates of failure now. All zero but that of purchases, which fail in any weather: calm."""

    random: Random
    api: float = 0.0
    authority: float = 0.0
    watch: float = 0.0
    delay: float = 0.0
    purchases: float = 0.0
    drawn: Counter[str] = field(default_factory=Counter)

    @property
    def calm(self) -> bool:
        return not (self.api or self.authority or self.watch or self.delay)

    def clear(self) -> None:
        self.api = self.authority = self.watch = self.delay = 0.0

    def storm(self) -> None:
        """Something becomes bad, or all of it."""
        draw = self.random.random
        while self.calm:
            self.api = draw() * 0.4 if draw() < 0.5 else 0.0
            self.authority = draw() * 0.5 if draw() < 0.5 else 0.0
            self.watch = draw() * 0.3 if draw() < 0.4 else 0.0
            self.delay = draw() * 20.0 if draw() < 0.4 else 0.0
        if draw() < 0.1:
            self.api = 1.0

    def latency(self) -> float:
        """Seconds that one way takes."""
        return self.random.uniform(0.0, CALM / 4) + (self.random.random() ** 4) * self.delay

    def api_fault(self) -> str | None:
        return self._draw(self.api, API_FAULTS, "API server: ")

    def authority_fault(self) -> str | None:
        return self._draw(self.authority, AUTHORITY_FAULTS, "authority: ")

    def purchase_fault(self) -> str | None:
        return self._draw(self.purchases, PURCHASE_FAULTS, "purchase: ")

    def duplicates(self) -> bool:
        return self._draw(self.watch, ("duplicate",), "watch: ") is not None

    def note(self, fault: str) -> None:
        self.drawn[fault] += 1

    def _draw(self, rate: float, kinds: tuple[str, ...], where: str) -> str | None:
        if not rate or self.random.random() >= rate:
            return None
        fault = self.random.choice(kinds)
        self.drawn[where + fault] += 1
        return fault
