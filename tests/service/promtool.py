"""Finds promtool, Prometheus's own checker of rules and figures.

Taken is the one on PATH, else the one in the user's cache, else the one in Debian's package `prometheus`,
which is unpacked and not installed: no server is started.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.controlplane.build import cache_directory


class PromtoolMissing(Exception):
    """There is no promtool to be had. The text says what was tried and what to do."""


def promtool() -> Path:
    """The executable. Raises `PromtoolMissing`."""
    if found := shutil.which("promtool"):
        return Path(found)
    kept = cache_directory() / "promtool"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as directory:
            _unpacked(Path(directory)).replace(kept)
    return kept


def _unpacked(directory: Path) -> Path:
    try:
        try:
            _run(["apt-get", "download", "--quiet", "prometheus"], directory)
        except subprocess.CalledProcessError:  # the lists of a fresh machine are empty
            _run(["apt-get", "update", "--quiet"], directory)
            _run(["apt-get", "download", "--quiet", "prometheus"], directory)
        (package,) = directory.glob("prometheus_*.deb")
        _run(["dpkg-deb", "--extract", package.name, "."], directory)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        raise PromtoolMissing(
            f"promtool is needed, and could not be had from apt ({said}): install Prometheus's promtool so"
            " that it is on PATH"
        ) from error
    return directory / "usr" / "bin" / "promtool"


def _run(command: Sequence[str], directory: Path) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, env=environment)
