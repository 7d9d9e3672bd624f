"""What an installation lives through: upgrade, rollback and removal take away nothing that was sold."""

import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sslorder.api.order import SSLCertificateOrder
from tests.api.manifests import DV_ORDER, changed
from tests.chart.conftest import RELEASE, SYSTEM, install
from tests.chart.helm import CHART, LEAST, helm
from tests.controlplane import ControlPlane, wait_until
from tests.harness.kube import SECRETS, Kube

pytestmark = [pytest.mark.cluster, pytest.mark.deep]

SOLD = (SYSTEM, "sslorder-0123"), ("shop", "shop-tls")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path / "plane") as plane:
        yield plane


def test_what_was_sold_survives(plane: ControlPlane, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        return helm(*arguments, f"--namespace={SYSTEM}", home=tmp_path, kubeconfig=plane.kubeconfig)

    def all_there() -> bool:
        order = kube.get(SSLCertificateOrder, "sample", "shop")
        return order is not None and all(kube.get(SECRETS, name, place) for place, name in SOLD)

    def replicas() -> int:
        found = plane.kubectl("get", "deployment", RELEASE, f"--namespace={SYSTEM}", "-ojson")
        number: int = json.loads(found)["spec"]["replicas"]
        return number

    install(plane, tmp_path)
    with Kube(plane.kubeconfig) as kube:
        kube.namespace("shop")
        kube.create(SSLCertificateOrder, changed(DV_ORDER, {"metadata.namespace": "shop"}))
        for namespace, name in SOLD:
            metadata = {"namespace": namespace, "name": name}
            kube.create(SECRETS, {"metadata": metadata, "stringData": {"a": "b"}})
        assert (replicas(), all_there()) == (2, True)
        run("upgrade", RELEASE, str(CHART), f"--values={LEAST}", "--set=replicas=3,roles.enabled=false")
        assert (replicas(), all_there()) == (3, True)
        run("rollback", RELEASE, "1")
        assert (replicas(), all_there()) == (2, True)
        run("uninstall", RELEASE)
        assert all_there()
        assert not plane.accepts("get", "deployment", RELEASE, f"--namespace={SYSTEM}")
        install(plane, tmp_path)  # takes the kinds that were kept into the new release
        assert (replicas(), all_there()) == (2, True)


def test_a_sandbox_keeps_its_credentials_in_its_secret_alone(plane: ControlPlane, tmp_path: Path) -> None:
    """It may patch that Secret and do nothing else; an upgrade leaves the credentials there."""
    name = f"{RELEASE}-sandbox"
    install(plane, tmp_path, {"sandbox": {"enabled": True}})
    identity = plane.service_account(SYSTEM, name)
    place = f"--publish-credentials={SYSTEM}/{name}"
    state = tmp_path / "sandbox"
    command = [sys.executable, "-m", "sslorder.sandbox", f"--state={state}", "--until-stdin-closes"]
    with subprocess.Popen(
        [*command, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"KUBECONFIG": str(identity)},
    ) as sandbox:
        with Kube(plane.kubeconfig) as kube:
            wait_until(lambda: bool(contents(kube, name)), "the credentials to be in the Secret")
            kept = json.loads((state / "accounts" / "default.json").read_text())
            assert contents(kube, name) == kept
            upgrade = (
                "upgrade",
                RELEASE,
                CHART,
                f"--values={LEAST}",
                "--set=sandbox.enabled=true,replicas=1",
            )
            helm(*upgrade, f"--namespace={SYSTEM}", home=tmp_path, kubeconfig=plane.kubeconfig)
            assert contents(kube, name) == kept
        sandbox.terminate()
    assert not plane.accepts("get", "secret", name, f"--namespace={SYSTEM}", kubeconfig=identity)
    others = subprocess.run(
        [*command, f"--publish-credentials={SYSTEM}/{RELEASE}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"KUBECONFIG": str(identity)},
        check=False,
    )
    assert others.returncode == 1
    assert f"the Secret {SYSTEM}/{RELEASE} does not take the credentials: Forbidden" in others.stderr


def contents(kube: Kube, name: str) -> dict[str, str]:
    found: dict[str, Any] = kube.get(SECRETS, name, SYSTEM) or {}
    return {key: b64decode(value).decode() for key, value in (found.get("data") or {}).items()}
