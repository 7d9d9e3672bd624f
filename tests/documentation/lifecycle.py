"""The life of an order, drawn and tabled from the lifecycle table.

Rules:
- The picture shows the usual ways, each in the table's own words; one that left the table cannot be drawn.
- What the provider may do from nearly everywhere would hide the rest: it is told beside the picture.
"""

from itertools import groupby

from sslorder.api.phases import Phase
from sslorder.contract.lifecycle import TRANSITIONS, Transition, transition


def _row(before: Phase, after: Phase) -> Transition:
    row = transition(before, after)
    if row is None:
        raise LookupError(f"the picture shows a way from {before} to {after}, which the table does not know")
    return row


P = Phase
USUAL = (
    (P.RECEIVED, P.PENDING_PAYMENT),
    (P.PENDING_PAYMENT, P.PENDING_VALIDATION),
    (P.PENDING_PAYMENT, P.ISSUING),
    (P.PENDING_PAYMENT, P.EXPIRED),
    (P.PENDING_VALIDATION, P.ISSUING),
    (P.ISSUING, P.ACTIVE),
    (P.ACTIVE, P.ISSUING),
    (P.ACTIVE, P.PENDING_PAYMENT),
    (P.ACTIVE, P.REVOKING),
    (P.ACTIVE, P.EXPIRED),
    (P.REVOKING, P.REVOKED),
    (P.REVOKED, P.ISSUING),
)
MEASURES = tuple(_row(P.PENDING_PAYMENT, phase) for phase in (P.SUSPENDED, P.TERMINATED, P.REJECTED))


def picture() -> str:
    """A Mermaid state diagram of the usual ways.

    :raises LookupError: one of them is not in the table.
    """
    return "\n".join(["stateDiagram-v2", "    [*] --> Received", *map(_arrow, USUAL), ""])


def measures() -> str:
    """A Markdown list of what the provider may do, whatever the phase."""
    return "".join(f"- **{row.after}** ({row.article}): {row.trigger}\n" for row in MEASURES)


def table() -> str:
    """Every row, grouped by the phase that is left."""
    rows = sorted(TRANSITIONS, key=lambda row: list(Phase).index(row.before))
    return "\n".join(
        f"### From {before}\n\n| to | when | article |\n|---|---|---|\n"
        + "".join(f"| {row.after} | {row.trigger} | {row.article or '–'} |\n" for row in group)
        for before, group in groupby(rows, key=lambda row: row.before)
    )


def _arrow(way: tuple[Phase, Phase]) -> str:
    row = _row(*way)
    words = row.trigger.replace(": ", " – ")  # Mermaid ends a label at the next colon
    return f"    {row.before} --> {row.after}: {words} ({row.article})"
