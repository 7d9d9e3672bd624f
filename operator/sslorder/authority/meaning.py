"""What an answer of HVCA means to whoever asked, as data.

A status that is not in the table, an answer without sense and no answer at all mean `_OTHERWISE`: a read can
be tried again, but of what may have changed something the outcome is unknown. That nothing was done is sure
of the statuses in the table and of a request that was never sent; of nothing else.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

from sslorder.authority.transport import Answer, ExchangeError, NeverSentError
from sslorder.authority.wire import Problem
from sslorder.engine.ports import AuthorityError, OutcomeUnknown, Refused, TryAgain, Unauthorised

_LONGEST_RETRY_AFTER = timedelta(hours=1)


class Kind(StrEnum):
    """What a request does, and so what is at stake when it fails."""

    LOGIN = "login"
    READ = "read"
    CHANGE = "change"
    PURCHASE = "purchase"


_CHANGING: dict[int, type[AuthorityError]] = {
    400: Refused,
    401: TryAgain,  # an old token: nothing was done, and the next call logs in
    403: Unauthorised,
    404: Refused,
    415: Refused,
    422: Refused,
    429: TryAgain,
}
_BY_STATUS: Mapping[Kind, Mapping[int, type[AuthorityError]]] = {
    Kind.LOGIN: dict.fromkeys((400, 401, 403, 404, 415, 422), Unauthorised),
    Kind.READ: _CHANGING | {401: Unauthorised},  # of a token that was just fetched
    Kind.CHANGE: _CHANGING,
    Kind.PURCHASE: _CHANGING,
}
_OTHERWISE: Mapping[Kind, type[AuthorityError]] = {
    Kind.LOGIN: TryAgain,
    Kind.READ: TryAgain,
    Kind.CHANGE: OutcomeUnknown,
    Kind.PURCHASE: OutcomeUnknown,
}


def of_status(kind: Kind, status: int) -> type[AuthorityError]:
    """What an unwelcome status is."""
    return _BY_STATUS[kind].get(status, _OTHERWISE[kind])


def of_nonsense(kind: Kind) -> type[AuthorityError]:
    """What a welcome status with an answer that makes no sense is."""
    return _OTHERWISE[kind]


def of_failure(kind: Kind, failure: ExchangeError) -> type[AuthorityError]:
    """What no answer at all is. A refused client certificate counts only where nothing can have happened."""
    meaning = TryAgain if isinstance(failure, NeverSentError) else _OTHERWISE[kind]
    return Unauthorised if meaning is TryAgain and failure.certificate_refused else meaning


def description(answer: Answer) -> str:
    """The authority's own words about an error, as far as it found any."""
    try:
        problem = Problem.model_validate_json(answer.body)
    except ValueError:
        return ""
    return "; ".join(str(part) for part in (problem.description, problem.errors) if part)


def retry_after(answer: Answer, now: datetime) -> timedelta | None:
    """RFC 9110 10.2.3: seconds or a date. At most an hour, however long is asked for."""
    header = answer.headers.get("Retry-After", "")
    if re.fullmatch(r"[0-9]{1,9}", header):
        wanted = timedelta(seconds=int(header))
    else:
        try:
            moment = parsedate_to_datetime(header)
            wanted = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
        except (ValueError, OverflowError):
            return None
    return min(max(wanted, timedelta()), _LONGEST_RETRY_AFTER)
