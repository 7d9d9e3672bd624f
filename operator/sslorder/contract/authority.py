"""What the contract needs to know of a certification authority: facts, no calls."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Policy:
    """What one credential may ask for (HVCA `GET /validationpolicy`), as far as it decides an order."""

    shortest_validity: timedelta
    longest_validity: timedelta
    most_names: int


class ClaimState(StrEnum):
    PENDING = "PENDING"
    VERIFIED = "VERIFIED"


@dataclass(frozen=True, slots=True)
class Claim:
    """A domain claim at the authority.

    `domain` has no trailing dot. `token` is known only when the claim was just made.
    """

    id: str
    domain: str
    state: ClaimState
    token: str | None = None
    assert_by: datetime | None = None
    expires_at: datetime | None = None
