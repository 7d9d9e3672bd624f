"""What the process counted and measured since it began, and the page that shows it beside the gauges.

Rules (prometheus.io, "Metric and label naming"; cert-manager's names where it has one for the same):
- Base units, a registry of its own, and nothing in labels but kinds, authorities, operations and outcomes.
- What belonged to an `SSLAuthority` goes with it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
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

# A second series for each counter, which Prometheus does not read in this format.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Figures(Observer):
    """Counters and histograms. Written on the loop's thread, read on any."""

    def __init__(
        self, kinds: Iterable[type[KubernetesObject]], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._under_way: dict[Key, float] = {}
        self._authorities: set[str] = set()
        self._registry = registry = CollectorRegistry()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, buckets: Sequence[float], text: str, *labels: str) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        gauge("sslorder_build_info", "1, with the version.", "version").labels(version("sslorder")).set(1)
        gauge("sslorder_longest_reconcile_seconds", "Age of the longest run that is under way.").set_function(
            self.longest_under_way
        )
        self._reconciles = counter("sslorder_reconciles", "Runs over one object, by its kind.", "kind")
        self._errors = counter(
            "sslorder_reconcile_errors",
            "Runs that the Kubernetes API refused or a defect stopped.",
            "kind",
        )
        self._reconcile_seconds = histogram(
            "sslorder_reconcile_duration_seconds",
            RECONCILE_BUCKETS,
            "How long a run over one object took.",
            "kind",
        )
        self._requests = counter(
            "sslorder_authority_requests",
            "Calls to an authority, by how they ended.",
            "authority",
            "operation",
            "outcome",
        )
        self._request_seconds = histogram(
            "sslorder_authority_request_duration_seconds",
            REQUEST_BUCKETS,
            "How long calls to an authority took, waiting for their turn included.",
            "authority",
            "operation",
        )
        self._issuance = histogram(
            "sslorder_issuance_duration_seconds",
            ISSUANCE_BUCKETS,
            "From the payment seen to the Secret published.",
        )
        self._removal = histogram(
            "sslorder_secret_removal_delay_seconds",
            REMOVAL_BUCKETS,
            "From the moment when a Secret had to be gone to its removal.",
        )
        for kind in kinds:  # a series that begins at its first error shows no increase
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
        now = self._monotonic()
        return now - min(list(self._under_way.values()), default=now)

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
