"""Helm, built from its Go module once per user, as the control plane is.

`python -m tests.chart.helm` only builds what these tests run and says where it is.
"""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.build import build_module

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "sslorder"
LEAST = CHART / "ci" / "values.yaml"
SOURCE = Path(__file__).parent / "go"
PACKAGE = "helm.sh/helm/v4/cmd/helm"
LUA_PACKAGE = "github.com/yuin/gopher-lua/cmd/glua"
BOUND_SECONDS = 120.0

Manifest = dict[str, Any]


class HelmError(Exception):
    """Helm ended with another status than 0; the text is what it wrote to stderr."""


def program() -> Path:
    """The helm command.

    :raises tests.controlplane.build.BuildError: it could not be built.
    """
    found = re.search(r"^\s*helm\.sh/helm/v4 (v\S+)", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    version = found[1] if found else ""
    flags = ["-trimpath", "-ldflags", f"-s -w -X helm.sh/helm/v4/internal/version.version={version}"]
    what = f"Helm {version}: once, about 3 minutes on 2 cores"
    return build_module("helm", SOURCE, PACKAGE, flags, (), what) / "helm"


def lua() -> Path:
    """The command of the Lua in which Argo CD runs health checks.

    :raises tests.controlplane.build.BuildError: it could not be built.
    """
    return (
        build_module("glua", SOURCE, LUA_PACKAGE, ["-trimpath"], (), "GopherLua: once, within seconds")
        / "glua"
    )


def helm(*arguments: str | Path, home: Path, kubeconfig: Path | None = None) -> str:
    """The standard output of helm, which keeps its own files in `home`.

    :raises HelmError: it ended with another status than 0.
    """
    folders = {f"HELM_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    cluster = {"KUBECONFIG": str(kubeconfig or home / "none")}
    done = subprocess.run(
        [program(), *arguments],
        env=os.environ | folders | cluster,
        capture_output=True,
        text=True,
        timeout=BOUND_SECONDS,
        check=False,
    )
    if done.returncode:
        raise HelmError(done.stderr or done.stdout)
    return done.stdout


def rendered(
    home: Path, values: Mapping[str, Any] | None = None, release: str = "sslorder", namespace: str = "default"
) -> list[Manifest]:
    """What the chart makes of these values beside the least that it needs.

    :raises HelmError: the values are refused.
    """
    given = home / "values.json"
    given.write_text(json.dumps(values or {}))
    text = helm(
        "template",
        release,
        CHART,
        f"--namespace={namespace}",
        f"--values={LEAST}",
        f"--values={given}",
        home=home,
    )
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


if __name__ == "__main__":
    print(program(), lua(), sep="\n")
