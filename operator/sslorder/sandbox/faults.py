"""What the sandbox does wrong when it is told to: one row a fault, switched on over the admin port."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sslorder.sandbox.requestlog import Operation, Record


class FaultName(StrEnum):
    DELAY = "delay"
    REFUSE = "refuse"
    GARBAGE = "garbage"
    LOSE_ANSWER = "lose-answer"
    NOT_READY = "not-ready"
    WRONG_KEY = "wrong-key"
    WRONG_NAMES = "wrong-names"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_CHAIN = "wrong-chain"
    ROTATED_INTERMEDIATE = "rotated-intermediate"
    TOO_MANY_REQUESTS = "too-many-requests"
    COMMIT_LATE = "commit-late"
    LAGGING_STATISTICS = "lagging-statistics"
    NO_QUOTA = "no-quota"
    REVOKED_UNASKED = "revoked-unasked"


class Row(NamedTuple):
    """Where a fault strikes (empty: anywhere), the member it cannot do without, and what it does."""

    only: tuple[Operation, ...]
    needs: Literal["seconds", "status", "reads"] | None
    effect: str


CATALOGUE: dict[FaultName, Row] = {
    FaultName.DELAY: Row((), "seconds", "waits before it begins"),
    FaultName.REFUSE: Row((), "status", "answers with that status and does nothing"),
    FaultName.TOO_MANY_REQUESTS: Row((), "seconds", "answers 429 with that Retry-After and does nothing"),
    FaultName.GARBAGE: Row((), None, "does what was asked, then answers with `body` and without its headers"),
    FaultName.LOSE_ANSWER: Row((), None, "does what was asked, then closes the connection without a word"),
    FaultName.COMMIT_LATE: Row(
        ("request",), "seconds", "closes the connection without a word, and issues that much later"
    ),
    FaultName.NO_QUOTA: Row(("quota", "request"), None, "says that the quota is exhausted"),
    FaultName.NOT_READY: Row(("collect",), "reads", "answers 202 to the first reads of each certificate"),
    FaultName.LAGGING_STATISTICS: Row(
        ("stats-issued", "stats-revoked"), "seconds", "leaves out what is younger than that"
    ),
    FaultName.WRONG_KEY: Row(("request",), None, "certifies a key that is not the one in the request"),
    FaultName.WRONG_NAMES: Row(
        ("request",), None, "certifies wrong.example instead of the names in the request"
    ),
    FaultName.EXPIRED: Row(("request",), None, "issues a certificate that ended a day ago"),
    FaultName.NOT_YET_VALID: Row(("request",), None, "issues a certificate that begins in a day"),
    FaultName.REVOKED_UNASKED: Row(
        ("request",), "seconds", "issues, and revokes of its own accord that much later"
    ),
    FaultName.ROTATED_INTERMEDIATE: Row(
        ("request",), None, "has a new intermediate sign, from this certificate on"
    ),
    FaultName.WRONG_CHAIN: Row(
        ("trustchain",), None, "gives an issuer of the right name that signed nothing"
    ),
}


class Fault(BaseModel):
    """One fault that is switched on.

    Without `operation` or `account` it strikes all of them; without `times`, until it is removed.
    """

    model_config = ConfigDict(extra="forbid")

    fault: FaultName
    operation: Operation | None = None
    account: str | None = None
    times: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(ge=0, le=3_600)] | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    reads: Annotated[int, Field(ge=1)] | None = None
    body: str = "\x00 this is no answer"

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        row = CATALOGUE[self.fault]
        if row.needs and getattr(self, row.needs) is None:
            raise ValueError(f"{self.fault} needs {row.needs}")
        if row.only and self.operation not in (None, *row.only):
            raise ValueError(f"{self.fault} strikes {' and '.join(row.only)}, not {self.operation}")
        return self


class Faults:
    """The faults that are switched on, used up in the order in which they were given."""

    def __init__(self) -> None:
        self._active: list[Fault] = []
        self._reads: Counter[str] = Counter()

    def active(self) -> list[Fault]:
        return self._active

    def replace(self, faults: Iterable[Fault]) -> None:
        self._active = list(faults)
        self._reads.clear()

    def strike(self, name: FaultName, visit: Record) -> Fault | None:
        """The first fault `name` that concerns this visit, used once."""
        fault = self._find(name, visit)
        if fault is None:
            return None
        visit.faults.append(name)
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self._active.remove(fault)
        return fault

    def not_ready(self, serial: str, visit: Record) -> bool:
        """Whether this read of a certificate comes too early."""
        fault = self._find(FaultName.NOT_READY, visit)
        if fault is None or fault.reads is None or self._reads[serial] >= fault.reads:
            return False
        self._reads[serial] += 1
        visit.faults.append(FaultName.NOT_READY)
        return True

    def _find(self, name: FaultName, visit: Record) -> Fault | None:
        for fault in self._active:
            concerned = fault.operation in (None, visit.operation) and fault.account in (None, visit.account)
            if fault.fault is name and concerned:
                return fault
        return None
