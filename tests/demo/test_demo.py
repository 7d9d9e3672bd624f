"""The demo is what a reader sees first: it must be true, and must leave nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlplane import wait_until
from tests.demo.narration import Narrator, Untrue, awaited

DEMO = (sys.executable, "-m", "tests.demo")
BOUND_SECONDS = 300.0


def members(session: int) -> list[str]:
    """The programs that run in a session, as the kernel knows them."""

    def command(process: Path) -> str | None:
        try:
            state, _, _, its_session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
            running = int(its_session) == session and state != "Z"
            return (process / "cmdline").read_text().replace("\0", " ") if running else None
        except OSError:  # it ended meanwhile
            return None

    return [line for process in Path("/proc").glob("[0-9]*") if (line := command(process)) is not None]


def test_what_is_not_true_is_not_told() -> None:
    told: list[str] = []
    narrator = Narrator(told.append)
    narrator.expect(True, "the Secret is there")
    with pytest.raises(Untrue, match="the Secret is gone"):
        narrator.expect(False, "the Secret is gone")
    with pytest.raises(Untrue, match="it rains"):
        awaited(lambda: None, "it rains", bound=0)
    assert [line.partition("  ")[2].split("  ")[-1] for line in told] == ["the Secret is there"]


@pytest.mark.deep
def test_every_step_is_seen_true(tmp_path: Path) -> None:
    done = subprocess.run(
        DEMO,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every step was seen true" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.deep
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*DEMO, "--stay"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        try:
            assert any("Everything runs" in line for line in demo.stdout)
            assert members(demo.pid)
            os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: to the whole group
            assert demo.wait(BOUND_SECONDS) == 130
        finally:
            demo.kill()
    wait_until(lambda: not members(demo.pid), "every process of the demo to end")
    assert not list(tmp_path.iterdir())
