"""`python -m tests.controlplane` runs a control plane until Ctrl-C; `… build` only builds its executables."""

import argparse
import signal
import sys
import time
from pathlib import Path

from tests.controlplane import BuildError, ControlPlane, ControlPlaneError, executables

CHECK_SECONDS = 1.0


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["run", "build"], default="run")
    parser.add_argument("--data-dir", type=Path, help="a new folder for data and logs, which is kept")
    options = parser.parse_args()
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a polite kill is a Ctrl-C, also where a shell ignores that
        signal.signal(number, signal.default_int_handler)
    try:
        if options.command == "build":
            print(executables())
        else:
            run(options.data_dir)
    except KeyboardInterrupt:
        sys.exit(130)
    except (BuildError, ControlPlaneError, FileExistsError) as error:
        sys.exit(str(error))


def run(data_dir: Path | None) -> None:
    """Runs a control plane until it is interrupted or a component ends."""
    started = time.monotonic()
    with ControlPlane.start(data_dir) as plane:
        print(
            f"{plane.server} is ready after {time.monotonic() - started:.1f} s; Ctrl-C stops it.\n"
            f"  export KUBECONFIG={plane.kubeconfig}\n"
            f"  export PATH={plane.kubectl_path.parent}:$PATH\n"
            "  kubectl get namespaces",
            flush=True,
        )
        while True:
            plane.check()
            time.sleep(CHECK_SECONDS)


if __name__ == "__main__":
    main()
