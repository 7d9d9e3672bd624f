"""Ties a program's life to its parent's: the kernel kills it when the parent dies, however that happens.

Linux only (`prctl(2)`, PR_SET_PDEATHSIG); elsewhere the program runs without that safety. The kernel watches
the *thread* that started the program, so start programs from the main thread.

Run as `python tether.py PARENT PROGRAM ARGUMENT…`: it becomes the program, under the same process id.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str | Path]) -> list[str]:
    """The command line that runs `command` tethered to this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *map(str, command)]


if __name__ == "__main__":
    parent, *program = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):  # it died before the kernel was told
            sys.exit(1)
    os.execvp(program[0], program)
