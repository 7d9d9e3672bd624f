"""What was done with an authority's credential unasked: leaves revoked, certificates that nobody here knows.

Rules:
- One look serves all orders. The first after a start goes back to the installation's beginning, each later
  one overlaps the one before: statistics lag, and a revocation may be dated back.
- A serial number counts as unknown only when the grace of an uncertain purchase is over and it is not the
  outcome of one. What is revoked harms nobody and is not reported.
- What was seen is kept in memory: a dossier that knows a leaf to be revoked makes no news of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sslorder.contract.ledger import Holder, Ledger
from sslorder.engine.certificates import read_serial, spki_of_certificate, write_serial
from sslorder.engine.ports import Authority, Counters, Statistics

LOOKS_BACK = timedelta(days=400)
"""Longer than any certificate lives (BR 6.3.2)."""
OVERLAP = timedelta(days=1)
AHEAD = timedelta(minutes=5)
"""How far the authority's clock may be ahead."""


@dataclass(slots=True)
class Audit:
    """What was seen of one credential. Serial numbers are written as in a ledger, with the moment at which
    each was first seen."""

    looked_at: datetime | None = None
    revoked: dict[str, datetime] = field(default_factory=dict)
    strange: dict[str, datetime] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    counters: Counters | None = None

    async def look(
        self,
        statistics: Statistics,
        authority: Authority,
        ledgers: Iterable[Ledger],
        installed_at: datetime,
        grace: timedelta,
        now: datetime,
    ) -> set[Holder]:
        """Look once. Returns the holders of leaves that were seen to be revoked for the first time.

        Raises `AuthorityError`; what was seen before stays.
        """
        since = max(installed_at, now - LOOKS_BACK) if self.looked_at is None else self.looked_at - OVERLAP
        issued = [write_serial(serial) for serial in await statistics.issued(since, now + AHEAD)]
        revoked = [write_serial(serial) for serial in await statistics.revoked(since, now + AHEAD)]
        self.counters = await statistics.counters()
        fresh = {serial: now for serial in revoked if serial not in self.revoked}
        self.revoked |= fresh
        ledgers = tuple(ledgers)
        await self._compare(issued, ledgers, authority, now - grace, now)
        self.looked_at = now
        return {ledger.holder for ledger in ledgers for leaf in ledger.leaves if leaf.serial in fresh}

    async def _compare(
        self,
        issued: Iterable[str],
        ledgers: tuple[Ledger, ...],
        authority: Authority,
        seen_by: datetime,
        now: datetime,
    ) -> None:
        accounted = self.revoked.keys() | _serials(ledgers)
        strange = dict.fromkeys(issued, now) | self.strange
        self.strange = {serial: at for serial, at in strange.items() if serial not in accounted}
        overdue = [serial for serial, at in self.strange.items() if at <= seen_by]
        awaited = {
            ledger.intent.spki_sha256 for ledger in ledgers if ledger.intent and not ledger.intent.serial
        }
        self.unknown = tuple(
            [serial for serial in overdue if not await _is_of(serial, awaited, authority)]
            if awaited
            else overdue
        )


def _serials(ledgers: Iterable[Ledger]) -> set[str]:
    """Every serial number that a dossier accounts for."""
    known: set[str] = set()
    for ledger in ledgers:
        known.update(leaf.serial for leaf in ledger.leaves)
        known.update(ledger.acknowledged)
        if ledger.intent is not None and ledger.intent.serial is not None:
            known.add(ledger.intent.serial)
    return known


async def _is_of(serial: str, keys: set[str], authority: Authority) -> bool:
    """Whether a certificate is for one of these keys: the outcome of a purchase that is searched for."""
    found = await authority.certificate(read_serial(serial))
    return found is None or spki_of_certificate(found.pem) in keys
