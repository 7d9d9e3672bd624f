"""Where a contract stands: what follows from ledger and clock alone, derived once for each plan."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from sslorder.contract import calendar, news, payments
from sslorder.contract.authority import Claim
from sslorder.contract.ledger import Leaf, Ledger, Measure, MeasureKind, Terms
from sslorder.contract.names import lies_under
from sslorder.contract.snapshot import Snapshot, Trouble
from sslorder.contract.validity import reissue_at

DUE_AHEAD = timedelta(days=60)


@dataclass(frozen=True)
class Standing:
    """A snapshot and what follows from it. `ledger` is None while nothing was paid."""

    s: Snapshot
    ledger: Ledger | None

    @property
    def now(self) -> datetime:
        return self.s.now

    @cached_property
    def start(self) -> datetime:
        """The order's arrival (7.1)."""
        return self.ledger.arrival if self.ledger else news.arrival_of(self.s.order, self.s.actions)

    @cached_property
    def terms(self) -> Terms:
        return self.ledger.terms if self.ledger else news.terms_of(self.s.order.spec)

    @cached_property
    def period(self) -> int:
        """Number of the period that runs now."""
        return calendar.period_at(self.start, self.terms.term_years, self.now)

    def period_end(self, number: int) -> datetime:
        return calendar.period_end(self.start, self.terms.term_years, number)

    @cached_property
    def paid_through(self) -> datetime:
        """End of unbroken paid time, never beyond the contract's end; its start where nothing is paid."""
        paid = payments.paid_through(self.terms, self.start, self.ledger.payments if self.ledger else ())
        return paid if self.ends_at is None else min(paid, self.ends_at)

    @cached_property
    def ends_at(self) -> datetime | None:
        """When the contract ends by notice, or None while it goes on tacitly."""
        if self.ledger is None or self.ledger.notice is None:
            return None
        return calendar.end_after_notice(self.start, self.terms.term_years, self.ledger.notice.at)

    @cached_property
    def unpaid_period(self) -> int:
        """Number of the first period that is not paid."""
        paid = payments.paid_periods(self.terms, self.ledger.payments if self.ledger else ())
        number = 1
        while number in paid:
            number += 1
        return number

    @cached_property
    def lapsed_at(self) -> datetime | None:
        """When the contract ended because a whole period stayed unpaid, or None."""
        end = self.period_end(self.unpaid_period)
        return end if end <= self.now else None

    @cached_property
    def payment_awaited(self) -> bool:
        """Whether the first unpaid period is to be billed: it runs, or comes soon and no notice stops it."""
        begins = calendar.period_start(self.start, self.terms.term_years, self.unpaid_period)
        if self.ends_at is not None and begins >= self.ends_at:
            return False
        return self.lapsed_at is None and self.now >= begins - DUE_AHEAD

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """The provider's measures in force now."""
        known = (
            self.ledger.measures if self.ledger else news.measures((), self.s.actions, frozenset(), self.now)
        )
        return tuple(measure for measure in known if measure.in_force(self.now))

    def measure(self, kind: MeasureKind) -> Measure | None:
        return next((measure for measure in self.measures if measure.kind is kind), None)

    @cached_property
    def serving(self) -> Leaf | None:
        """The leaf that could be published, were the contract to allow it."""
        return self.ledger.serving(self.now) if self.ledger else None

    @cached_property
    def last_sound(self) -> Leaf | None:
        """The newest leaf that was fit to be published when it came."""
        return self.ledger.newest_sound() if self.ledger else None

    @cached_property
    def reissue_asked(self) -> bool:
        """Whether the client asked for a leaf since the newest was recorded, or its revocation asked."""
        wish, leaf = self.s.order.spec.reissue, self.last_sound
        if wish is None or leaf is None or wish.requested_at > self.now:
            return False
        since = leaf.revocation.asked_at if leaf.revocation else leaf.recorded_at
        return wish.requested_at > since

    def reissue_at(self, leaf: Leaf) -> datetime:
        return reissue_at(leaf.not_before, leaf.not_after, self.s.order.spec.reissue_before)

    def check_owed(self, leaf: Leaf) -> bool:
        """Whether a suspension ended since the authority was last asked about a leaf (5.3b)."""
        known = self.ledger.measures if self.ledger else ()
        ends = [
            end
            for measure in known
            if measure.kind is MeasureKind.SUSPENSION
            for end in (measure.lifted_at, measure.until)
            if end is not None and end <= self.now
        ]
        return max(ends, default=leaf.recorded_at) > (leaf.checked_at or leaf.recorded_at)

    @cached_property
    def waiting(self) -> Trouble | None:
        """The last failure, while it is too early to try again."""
        trouble = self.s.notes.trouble
        return trouble if trouble is not None and self.now < trouble.retry_at else None

    @cached_property
    def uncertain(self) -> bool:
        """Whether a purchase may have been made of which the outcome is not known."""
        intent = self.ledger.intent if self.ledger else None
        return intent is not None and intent.serial is None and intent.spki_sha256 != self.s.notes.in_hand

    @property
    def proofs(self) -> tuple[Claim, ...]:
        """The domain claims that the order's names lie under, as far as they are known."""
        claims, names = self.s.authority.claims if self.s.authority else None, self.s.order.spec.dns_names
        return tuple(k for k in claims or () if any(lies_under(name, k.domain) for name in names))

    def moments(self) -> tuple[datetime, ...]:
        """The moments at which something changes by time alone."""
        known = (
            self.ledger.measures if self.ledger else news.measures((), self.s.actions, frozenset(), self.now)
        )
        ledger = self.ledger
        return tuple(
            moment
            for moment in (
                self.period_end(self.period),
                self.paid_through if ledger else None,
                self.ends_at,
                calendar.period_start(self.start, self.terms.term_years, self.unpaid_period) - DUE_AHEAD,
                *(measure.effective_at for measure in known),
                *(measure.until for measure in known),
                *(measure.lifted_at for measure in known),
                *(action.spec.effective_at for action in self.s.actions),
                *(
                    moment
                    for leaf in (ledger.leaves if ledger else ())
                    if leaf.fault is None and leaf.not_after > self.now
                    for moment in (
                        leaf.not_after,
                        self.reissue_at(leaf) if leaf.revocation is None else leaf.revocation.serves_until,
                    )
                ),
                *(claim.expires_at for claim in self.proofs),
                self.waiting.retry_at if self.waiting else None,
                self.s.order.spec.reissue.requested_at if self.s.order.spec.reissue else None,
            )
            if moment is not None and moment > self.now
        )
