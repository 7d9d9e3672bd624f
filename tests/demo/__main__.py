"""`python -m tests.demo` tells the whole way of an order as it happens; exit status 0 if all of it was true.

`--stay` leaves the same world running instead, without an order, until Ctrl-C.
"""

import argparse
import signal
import sys
import time

from tests.controlplane import BuildError, ControlPlaneError, KubectlError
from tests.demo.narration import Narrator, Untrue
from tests.demo.story import Story
from tests.demo.world import World, running

CHECK_SECONDS = 1.0
BROKEN = (Untrue, AssertionError, KubectlError, ControlPlaneError, TimeoutError, OSError)


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Runs the command line; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="leave the world running, and tell no story")
    options = parser.parse_args()
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a polite kill is a Ctrl-C, also where a shell ignores that
        signal.signal(number, signal.default_int_handler)
    begun = time.monotonic()
    narrator = Narrator(say)
    try:
        narrator.step("A world is made")
        with running(narrator) as world:
            if options.stay:
                stay(world)
            elif not told(world, narrator):
                return 1
    except KeyboardInterrupt:
        say("\nEverything was stopped.")
        return 130
    except (BuildError, *BROKEN) as error:
        say(f"\nFAILED: the world could not be made: {error}")
        return 1
    say(f"\nEvery step was seen true; everything was stopped. {time.monotonic() - begun:.0f} s in all.")
    return 0


def told(world: World, narrator: Narrator) -> bool:
    """Whether the whole story was true. Shows the operator's log where it was not."""
    try:
        Story(world, narrator).tell()
    except BROKEN as error:
        say(f"\nFAILED, not seen true: {error}\n\nThe operator's log ends:\n{world.log_tail()}")
        return False
    return True


def stay(world: World) -> None:
    """Keeps the world running until Ctrl-C, and tells how to use it."""
    say(f"""
Everything runs; Ctrl-C stops it and leaves nothing behind. In another terminal, from this folder:

  export KUBECONFIG={world.plane.kubeconfig}
  export PATH={world.plane.kubectl_path.parent}:$PATH

  kubectl apply -f examples/order.yaml     # waits for its payment
  kubectl get sslo -n shop
  kubectl apply -f examples/payment.yaml   # is bought, and published as the Secret shop-tls
  kubectl get sslo,secret -n shop
  kubectl explain sslo.spec

The operator's log     tail -f {world.log}
The authority's log    tail -f {world.sandbox.state / "sandbox.log"}
What it was asked      curl {world.sandbox.admin}/requests
What it has issued     curl {world.sandbox.admin}/certificates""")
    while True:
        world.plane.check()
        time.sleep(CHECK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
