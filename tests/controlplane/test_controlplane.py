"""The control plane is a real one: its rules hold, its controllers work, and nothing outlives its owner."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane import (
    ControlPlane,
    ControlPlaneError,
    External,
    KubectlError,
    executables,
    wait_until,
)

pytestmark = pytest.mark.cluster

END_BOUND = 60.0

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}
AUDIT_SECRETS = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
        {"level": "None"},
    ],
}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path_factory.mktemp("plane") / "data", audit_policy=AUDIT_SECRETS) as plane:
        yield plane


def running_in(directory: Path) -> list[str]:
    """The programs that run in a directory, as the kernel knows them."""

    def runs_there(process: Path) -> bool:
        try:
            return (process / "cwd").readlink() == directory
        except OSError:  # it ended, or is another user's
            return False

    return sorted(
        (process / "cmdline").read_text().split("\0")[0].rpartition("/")[2]
        for process in Path("/proc").glob("[0-9]*")
        if runs_there(process)
    )


def who(plane: ControlPlane | External, kubeconfig: Path) -> dict[str, Any]:
    review = json.loads(plane.kubectl("auth", "whoami", "--output=json", kubeconfig=kubeconfig))
    user: dict[str, Any] = review["status"]["userInfo"]
    return user


def test_the_server_is_the_version_that_was_built(plane: ControlPlane) -> None:
    built = subprocess.check_output([executables() / "kube-apiserver", "--version"], text=True)
    server = json.loads(plane.kubectl("version", "--output=json"))["serverVersion"]
    assert built.strip() == f"Kubernetes {server['gitVersion']}"


@pytest.mark.parametrize(
    ("attempt", "answer"),
    [
        pytest.param(["get", "configmaps"], "kube-root-ca.crt", id="what the role grants is allowed"),
        pytest.param(
            ["get", "secrets"], 'User "alice" cannot list resource "secrets"', id="the rest is refused"
        ),
    ],
)
def test_a_user_has_what_rbac_grants_the_group(plane: ControlPlane, attempt: list[str], answer: str) -> None:
    binding = ("create", "clusterrolebinding", "readers", "--clusterrole=view", "--group=readers")
    plane.kubectl("apply", "--filename=-", stdin=plane.kubectl(*binding, "--dry-run=client", "--output=json"))
    alice = plane.user("alice", ["readers"])
    try:
        said = plane.kubectl(*attempt, kubeconfig=alice)
    except KubectlError as error:
        said = str(error)
    assert answer in said


def test_two_identities_of_one_name_stay_apart(plane: ControlPlane) -> None:
    member, outsider = plane.user("bob", ["members"]), plane.user("bob")
    assert "members" in who(plane, member)["groups"]
    assert "members" not in who(plane, outsider)["groups"]


def test_a_service_account_acts_by_a_token(plane: ControlPlane) -> None:
    plane.kubectl("create", "serviceaccount", "robot")
    robot = plane.service_account("default", "robot")
    assert who(plane, robot)["username"] == "system:serviceaccount:default:robot"
    with pytest.raises(KubectlError, match="cannot list resource"):
        plane.kubectl("get", "secrets", kubeconfig=robot)


def test_the_interface_is_the_same_for_a_cluster_that_one_has(plane: ControlPlane) -> None:
    with External(plane.kubeconfig) as cluster:
        carol = who(cluster, cluster.user("carol", ["auditors"]))
        assert (carol["username"], "auditors" in carol["groups"]) == ("carol", True)
        assert (cluster.server, cluster.ca) == (plane.server, plane.ca)
    assert not cluster.directory.exists()
    plane.check()


def test_a_deleted_namespace_goes_with_what_is_in_it(plane: ControlPlane) -> None:
    plane.kubectl("create", "namespace", "short-lived")
    plane.kubectl("create", "configmap", "inhabitant", "--namespace=short-lived")
    plane.kubectl("delete", "namespace", "short-lived")  # returns when it is gone
    assert not plane.accepts("get", "configmap", "inhabitant", "--namespace=short-lived")


def test_what_an_object_of_an_installed_kind_owns_goes_with_it(plane: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "widgets.json").write_text(json.dumps(WIDGETS))
    plane.install(tmp_path)
    owner = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "owner"}}
    uid = json.loads(plane.kubectl("create", "-f-", "--output=json", stdin=json.dumps(owner)))["metadata"][
        "uid"
    ]
    reference = {"apiVersion": "example.org/v1", "kind": "Widget", "name": "owner", "uid": uid}
    owned = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "owned", "ownerReferences": [reference]},
    }
    plane.kubectl("create", "-f-", stdin=json.dumps(owned))
    plane.kubectl("delete", "widget", "owner")
    # sooner than by the 30 s after which the garbage collector would have noticed the new kind by itself
    wait_until(
        lambda: not plane.accepts("get", "secret", "owned"), "the owned Secret to be collected", bound=20
    )


def test_requests_are_counted_and_audited(plane: ControlPlane) -> None:
    plane.kubectl("create", "secret", "generic", "audited")
    assert 'apiserver_request_total{code="201"' in plane.metrics()
    audited = [json.loads(line)["objectRef"] for line in plane.audit_log.read_text().splitlines()]
    assert {"secrets"} == {reference["resource"] for reference in audited}
    assert "audited" in {reference.get("name") for reference in audited}


@pytest.mark.parametrize(
    ("end", "status"),
    [(signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["asked to end", "killed"],
)
def test_nothing_runs_on_when_the_owner_is(end: signal.Signals, status: int, tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "tests.controlplane", f"--data-dir={data}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert "is ready" in owner.stdout.readline()
        assert running_in(data) == ["etcd", "kube-apiserver", "kube-controller-manager"]
        owner.send_signal(end)
        assert owner.wait(END_BOUND) == status
    wait_until(lambda: not running_in(data), "the components to end with their owner")


def test_ctrl_c_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with subprocess.Popen([sys.executable, "-m", "tests.controlplane", f"--data-dir={data}"]) as owner:
        wait_until(lambda: "etcd" in running_in(data), "the first component")
        owner.send_signal(signal.SIGINT)
        assert owner.wait(END_BOUND) == 130
    assert not running_in(data)


def test_a_component_that_fails_says_why_and_takes_the_others_along(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with pytest.raises(
        ControlPlaneError, match=r"kube-apiserver: ended with status 1(.|\n)*unknown flag: --no-such"
    ):
        ControlPlane.start(data, api_server_flags=["--no-such-flag"])
    assert not running_in(data)


def test_a_temporary_directory_goes_when_the_plane_stops(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ControlPlaneError):
        ControlPlane.start(api_server_flags=["--no-such-flag"])
    assert not list(tmp_path.iterdir())
