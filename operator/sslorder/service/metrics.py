"""What the process counted and measured since it began, and the page that shows it beside the gauges.

Rules (prometheus.io, "Metric and label naming"; cert-manager's names where it has one for the same):
- Base units, a registry of its own, and nothing in labels but kinds, authorities, operations and outcomes.
- What belonged to an `SSLAuthority` goes with it.
"""

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from sslorder.api.common import KubernetesObject
from sslorder.api.order import OrderStatus, SSLCertificateOrder
from sslorder.contract.ledger import Ledger
from sslorder.contract.snapshot import Snapshot
from sslorder.engine.cache import Key
from sslorder.engine.observer import Observer
from sslorder.service.durations import payment_seen, removal_due

MINUTE, HOUR, DAY = 60, 3600, 86400
ISSUANCE_BUCKETS = (1, 2, 5, 10, 30, MINUTE, 5 * MINUTE, HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY, 30 * DAY)
REMOVAL_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, MINUTE, 5 * MINUTE, HOUR, DAY)
REQUEST_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, MINUTE)
RECONCILE_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 10, 30, MINUTE, 5 * MINUTE)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which Prometheus itself does not read


class Figures(Observer):
    """Counters and histograms. Written on the loop's thread, read on any."""

    def __init__(
        self, kinds: Iterable[type[KubernetesObject]], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._under_way: dict[Key, float] = {}
        self._authorities: set[str] = set()
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        build = Gauge("sslorder_build_info", "1, with the version.", ["version"], registry=registry)
        build.labels(version("sslorder")).set(1)
        longest = Gauge(
            "sslorder_longest_reconcile_seconds",
            "For how long the object has been looked at that was taken up first of those in work.",
            registry=registry,
        )
        longest.set_function(self.longest_under_way)
        self._reconciles = Counter(
            "sslorder_reconciles", "Objects looked at, by kind.", ["kind"], registry=registry
        )
        self._errors = Counter(
            "sslorder_reconcile_errors",
            "Of these, how many the Kubernetes API refused or a defect stopped.",
            ["kind"],
            registry=registry,
        )
        self._reconcile_seconds = Histogram(
            "sslorder_reconcile_duration_seconds",
            "How long an object was looked at.",
            ["kind"],
            buckets=RECONCILE_BUCKETS,
            registry=registry,
        )
        self._requests = Counter(
            "sslorder_authority_requests",
            "Calls to an authority, by how they ended.",
            ["authority", "operation", "outcome"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "sslorder_authority_request_duration_seconds",
            "How long calls to an authority took, their turn awaited included.",
            ["authority", "operation"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self._issuance = Histogram(
            "sslorder_issuance_duration_seconds",
            "From the payment seen to the Secret published.",
            buckets=ISSUANCE_BUCKETS,
            registry=registry,
        )
        self._removal = Histogram(
            "sslorder_secret_removal_delay_seconds",
            "From the moment a Secret had to be gone to its removal.",
            buckets=REMOVAL_BUCKETS,
            registry=registry,
        )
        for kind in kinds:
            for each in (self._reconciles, self._errors, self._reconcile_seconds):
                each.labels(kind.__name__)

    def exposition(self, authorities: Iterable[str]) -> str:
        """The Prometheus text format, version 0.0.4. `authorities` are those that exist."""
        for gone in self._authorities - set(authorities):
            self._authorities.discard(gone)
            for each in (self._requests, self._request_seconds):
                each.remove_by_labels({"authority": gone})
        return generate_latest(self._registry).decode()

    def longest_under_way(self) -> float:
        """Seconds since a worker took up the object that has been in work longest; 0 while none is."""
        return self._monotonic() - min(list(self._under_way.values()), default=self._monotonic())

    def asked(self, authority: str, operation: str, outcome: str, seconds: float) -> None:
        """A call to an authority ended."""
        self._authorities.add(authority)
        self._requests.labels(authority, operation, outcome).inc()
        self._request_seconds.labels(authority, operation).observe(seconds)

    # Observer

    def begun(self, key: Key) -> None:
        self._under_way[key] = self._monotonic()

    def ended(self, key: Key, *, failed: bool) -> None:
        kind = key.kind.__name__
        self._reconcile_seconds.labels(kind).observe(self._monotonic() - self._under_way.pop(key))
        self._reconciles.labels(kind).inc()
        if failed:
            self._errors.labels(kind).inc()

    def moved(
        self, order: SSLCertificateOrder, status: OrderStatus, ledger: Ledger | None, now: datetime
    ) -> None:
        seen = payment_seen(order, status, ledger)
        if seen is not None:
            self._issuance.observe((now - seen).total_seconds())

    def withdrew(self, s: Snapshot, now: datetime) -> None:
        due = removal_due(s)
        if due is not None:
            self._removal.observe((now - due).total_seconds())
