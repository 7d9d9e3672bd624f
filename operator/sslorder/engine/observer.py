"""Who is told of the engine's work, to keep figures of it."""

from datetime import datetime

from sslorder.api.order import OrderStatus, SSLCertificateOrder
from sslorder.contract.ledger import Ledger
from sslorder.contract.snapshot import Snapshot
from sslorder.engine.cache import Key


class Observer:
    """Told of what happens, on the thread of the loop: nothing here may wait or fail. This one forgets it."""

    def begun(self, key: Key) -> None:
        """A worker took up an object."""

    def ended(self, key: Key, *, failed: bool) -> None:
        """It is done with it. `failed`: by a refusal of the Kubernetes API or by a defect."""

    def moved(
        self, order: SSLCertificateOrder, status: OrderStatus, ledger: Ledger | None, now: datetime
    ) -> None:
        """An order was told that its phase is another now. `order` is as it was before."""

    def withdrew(self, s: Snapshot, now: datetime) -> None:
        """A Secret was taken away, by a plan that was made of `s`."""
