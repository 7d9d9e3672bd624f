"""Every request that the API has seen, from its arrival on: in the log, and in a ring that can be asked."""

import json
import logging
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Operation = Literal[
    "login",
    "policy",
    "request",
    "collect",
    "revoke",
    "trustchain",
    "quota",
    "counters",
    "stats-issued",
    "stats-revoked",
    "stats-expiring",
    "claims-list",
    "claim-submit",
    "claim-read",
    "claim-delete",
    "claim-prove",
    "claim-emails",
    "claim-reassert",
]
CAPACITY = 20_000

logger = logging.getLogger("sslorder.sandbox")


@dataclass
class Record:
    """One request. `status` is None until it has been answered; `faults` are those that struck it."""

    id: int
    time: float
    method: str
    path: str
    operation: Operation | None = None
    account: str | None = None
    status: int | None = None
    milliseconds: float | None = None
    faults: list[str] = field(default_factory=list)


class RequestLog:
    """Identifiers rise over restarts too, because they begin at the microsecond of the start."""

    def __init__(self, started: float) -> None:
        self._next = int(started * 1_000_000)
        self._ring: deque[Record] = deque(maxlen=CAPACITY)

    def begin(self, time: float, method: str, path: str) -> Record:
        self._next += 1
        record = Record(self._next, time, method, path)
        self._ring.append(record)
        return record

    def finish(self, record: Record, status: int, seconds: float) -> None:
        record.status, record.milliseconds = status, round(seconds * 1_000, 3)
        logger.info("%s %s %s", record.method, record.path, status, extra={"request": asdict(record)})

    def since(self, identifier: int) -> list[dict[str, Any]]:
        """The requests that came after `identifier`, oldest first."""
        return [asdict(record) for record in self._ring if record.id > identifier]


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, message, and the request where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        line |= getattr(record, "request", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
