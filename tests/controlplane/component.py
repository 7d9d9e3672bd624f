"""One process of the control plane: its log in a file, its life tied to its parent's, stopped for certain."""

import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.controlplane.tether import tethered
from tests.controlplane.waiting import wait_until

STOP_SECONDS = 10.0
LOG_LINES = 30


class ControlPlaneError(Exception):
    """A component of the control plane did not start, or ended by itself; carries the end of its log."""


class Component:
    """A running program."""

    def __init__(self, program: Path, flags: Sequence[str], directory: Path) -> None:
        """Starts `program` in `directory`, where `<name>.log` takes what it writes."""
        self.name = program.name
        self._log = directory / f"{self.name}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                tethered([program, *flags]),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C in a terminal is for the caller, who then stops things in order
            )
        self.pid = self._process.pid

    def check(self) -> None:
        """Does nothing while the program runs.

        :raises ControlPlaneError: it has ended.
        """
        if (status := self._process.poll()) is not None:
            raise self._error(f"ended with status {status}")

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Returns once `ready` is true.

        :raises ControlPlaneError: the program ended first, or it took too long.
        """

        def ready_while_running() -> bool:
            self.check()
            return ready()

        try:
            wait_until(ready_while_running, f"{self.name} to be ready")
        except TimeoutError as error:
            raise self._error(str(error)) from error

    def stop(self) -> None:
        """Asks the program to end, makes it end after `STOP_SECONDS`, and returns when it has."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _error(self, what: str) -> ControlPlaneError:
        with self._log.open(errors="replace") as log:
            end = "".join(deque(log, LOG_LINES))
        return ControlPlaneError(f"{self.name}: {what}; the end of {self._log}:\n{end}")
