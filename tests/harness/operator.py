"""The operator as its users run it: `sslorder run`, a process of its own."""

import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.controlplane.tether import tethered

START_BOUND: Final = 60.0
STOP_BOUND: Final = 20.0
ACTING: Final = "Acting:"
WATCHING: Final = "Watching as"


class Operator:
    """A running operator. It ends with `stop`, and with the process that started it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @classmethod
    def start(
        cls, kubeconfig: Path, configuration: Path, log: Path, *flags: str, until: str = ACTING
    ) -> Self:
        """Run it, and wait until its log says `until`."""
        command = [sys.executable, "-m", "sslorder.cli", "run", "--config", str(configuration)]
        begins = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            process = subprocess.Popen(
                tethered([*command, "--kubeconfig", str(kubeconfig), *flags]), stdout=output, stderr=output
            )
        operator = cls(process, log)
        try:
            operator.wait_for_line(until, begins)
        except BaseException:
            operator.kill()
            raise
        return operator

    def wait_for_line(self, words: str, begins: int = 0) -> None:
        bound = time.monotonic() + START_BOUND
        while words.encode() not in self.log.read_bytes()[begins:]:
            if self.process.poll() is not None or time.monotonic() > bound:
                tail = self.log.read_text()[begins:][-4000:]
                raise AssertionError(f"the operator never said {words!r}; its log ends:\n{tail}")
            time.sleep(0.02)

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_BOUND)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
