"""What the answers of an authority mean, and what the sandbox can be told, as tables from the code."""

import argparse

from sslorder.authority import meaning
from sslorder.authority.meaning import Kind
from sslorder.authority.transport import ExchangeError, NeverSentError, NoAnswerError
from sslorder.engine.ports import AuthorityError, OutcomeUnknown, Refused, TryAgain, Unauthorised
from sslorder.sandbox import admin, command
from sslorder.sandbox.faults import CATALOGUE

WORDS: dict[type[AuthorityError], str] = {
    Refused: "refused",
    Unauthorised: "not authorised",
    TryAgain: "try again",
    OutcomeUnknown: "outcome unknown",
}
STATUSES = (400, 401, 403, 404, 408, 409, 415, 422, 429, 500, 502, 503, 504)


def _refused_client() -> ExchangeError:
    failure = NeverSentError(ConnectionError())
    failure.certificate_refused = True
    return failure


FAILURES: tuple[tuple[str, ExchangeError], ...] = (
    ("no connection, no TLS, a server certificate that does not verify", NeverSentError(ConnectionError())),
    ("our client certificate is refused", _refused_client()),
    ("a time-out, a reset, an answer cut short or too long", NoAnswerError(TimeoutError())),
)


def _row(what: str, means: list[type[AuthorityError]]) -> str:
    return f"| {what} | {' | '.join(WORDS[kind] for kind in means)} |\n"


def meanings() -> str:
    """What each way for a call to end means, by what the call does."""
    return "".join(
        (
            f"| the call ended with | {' | '.join(Kind)} |\n",
            f"|---|{'---|' * len(Kind)}\n",
            *(_row(str(status), [meaning.of_status(kind, status) for kind in Kind]) for status in STATUSES),
            _row("any other status, a redirect included", [meaning.of_status(kind, 302) for kind in Kind]),
            _row("an answer that makes no sense", [meaning.of_nonsense(kind) for kind in Kind]),
            *(_row(what, [meaning.of_failure(kind, failure) for kind in Kind]) for what, failure in FAILURES),
        )
    )


def flags() -> str:
    """The sandbox's command line."""
    options = [action for action in command._parser()._actions if action.dest != argparse.SUPPRESS]
    return "| flag | what it says |\n|---|---|\n" + "".join(
        f"| `{' '.join([action.option_strings[-1], *_values(action)])}` | {action.help} |\n"
        for action in options
    )


def _values(action: argparse.Action) -> list[str]:
    choices = [str(choice) for choice in action.choices or ()]
    return [str(action.metavar)] if action.metavar else ["·".join(choices)] if choices else []


def faults() -> str:
    """The sandbox's faults."""
    return "| fault | strikes | needs | the sandbox |\n|---|---|---|---|\n" + "".join(
        f"| `{name}` | {', '.join(row.only) or 'anything'} | {row.needs or ''} | {row.effect} |\n"
        for name, row in CATALOGUE.items()
    )


def administration() -> str:
    """What the administration port understands, in its module's own words."""
    _, _, calls = (admin.__doc__ or "").partition("\n\n")
    return f"```\n{calls.strip()}\n```\n"
