"""Waiting for a condition, with a bound."""

import time
from collections.abc import Callable

BOUND_SECONDS = (
    120.0  # nothing here takes a tenth of it; a machine busy with other tests may need many times more
)
POLL_SECONDS = 0.05


def wait_until(condition: Callable[[], bool], what: str, bound: float = BOUND_SECONDS) -> None:
    """Returns once `condition` is true.

    :raises TimeoutError: it was not within `bound` seconds; the message says that `what` was waited for.
    """
    deadline = time.monotonic() + bound
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {bound:.0f} s in vain for {what}")
        time.sleep(POLL_SECONDS)
