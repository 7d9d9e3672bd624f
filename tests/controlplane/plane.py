"""A real control plane on this machine: etcd, kube-apiserver, kube-controller-manager, with RBAC enforced.

There is no scheduler and no node, for nothing here runs containers. Of the controllers, those run that the
deletion of namespaces and of owned objects, service accounts, aggregated roles and client certificates need.
"""

import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import yaml

from tests.controlplane.build import executables
from tests.controlplane.cluster import Cluster
from tests.controlplane.component import Component
from tests.controlplane.kubeconfig import Endpoint, certificate_user, write_kubeconfig
from tests.controlplane.pki import CertificateAuthority, Credential, key_pem, new_key

ADDRESS = "127.0.0.1"
# sockets in the data folder, where every component runs: no port that another program could take
ETCD, ETCD_PEERS = "unix://etcd.sock", "unix://etcd-peers.sock"
ETCD_FLAGS = (
    "--data-dir=etcd",
    f"--listen-client-urls={ETCD}",
    f"--advertise-client-urls={ETCD}",
    f"--listen-peer-urls={ETCD_PEERS}",
    f"--initial-advertise-peer-urls={ETCD_PEERS}",
    f"--initial-cluster=default={ETCD_PEERS}",
    "--unsafe-no-fsync",  # nobody needs the data after a power failure
    "--log-level=warn",
)
API_SERVER_FLAGS = (
    f"--etcd-servers={ETCD}",
    f"--bind-address={ADDRESS}",
    "--tls-cert-file=server.crt",
    "--tls-private-key-file=server.key",
    "--client-ca-file=ca.crt",
    "--authorization-mode=RBAC",
    "--service-account-key-file=service-accounts.key",
    "--service-account-signing-key-file=service-accounts.key",
    "--service-cluster-ip-range=10.0.0.0/24",
    "--endpoint-reconciler-type=none",
    "--shutdown-delay-duration=0s",
)
CONTROLLERS = (
    "certificatesigningrequest-signing-controller",
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)
CONTROLLER_MANAGER_FLAGS = (
    "--kubeconfig=kubeconfig",
    f"--controllers={','.join(CONTROLLERS)}",
    "--leader-elect=false",
    "--secure-port=0",
    "--root-ca-file=ca.crt",
    "--cluster-signing-cert-file=ca.crt",
    "--cluster-signing-key-file=ca.key",
    "--kube-api-qps=200",
    "--kube-api-burst=400",
)


class ControlPlane(Cluster):
    """A control plane of one's own, gone when stopped; `start` makes one."""

    def __init__(self, programs: Path, directory: Path, keep: bool) -> None:
        super().__init__(directory, programs / "kubectl", directory / "kubeconfig")
        self.audit_log = directory / "audit.log"
        self._programs = programs
        self._keep = keep
        self._authority = CertificateAuthority()
        self._components: list[Component] = []

    @classmethod
    def start(
        cls,
        data_dir: Path | None = None,
        audit_policy: Mapping[str, Any] | None = None,
        api_server_flags: Sequence[str] = (),
    ) -> Self:
        """Starts everything and returns when it serves. Call it from the main thread: see `tether`.

        :param data_dir: a new folder for data and logs, which is kept; by default a temporary one.
        :param audit_policy: an audit.k8s.io/v1 Policy; what it selects goes to `audit_log`, one event a line.
        :param api_server_flags: more flags for kube-apiserver; they prevail over those given here.
        :raises BuildError: the executables are not to be had.
        :raises ControlPlaneError: a component ended, or was not ready in time.
        :raises FileExistsError: `data_dir` exists.
        """
        programs = executables()
        with ExitStack() as undo:
            if data_dir is None:
                directory = Path(tempfile.mkdtemp(prefix="sslorder-controlplane-"))
                undo.callback(shutil.rmtree, directory, ignore_errors=True)
            else:
                directory = data_dir.resolve()
                directory.mkdir(mode=0o700, parents=True)
            plane = cls(programs, directory, keep=data_dir is not None)
            undo.callback(plane.stop)
            plane._start(audit_policy, api_server_flags)
            undo.pop_all()
        return plane

    @property
    def components(self) -> Sequence[Component]:
        """The running programs, for who measures them."""
        return tuple(self._components)

    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        return self._identity(name, certificate_user(self._authority.client(name, groups)))

    def install(self, definitions: Path) -> None:
        super().install(definitions)
        # the garbage collector looks for new kinds when it starts, then every 30 s, which no flag changes
        self._components.pop().stop()
        self._run("kube-controller-manager", CONTROLLER_MANAGER_FLAGS)

    def check(self) -> None:
        """Does nothing while every component runs.

        :raises ControlPlaneError: one has ended.
        """
        for component in self._components:
            component.check()

    def stop(self) -> None:
        while self._components:
            self._components.pop().stop()
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self, audit_policy: Mapping[str, Any] | None, api_server_flags: Sequence[str]) -> None:
        self._write("ca", self._authority.credential)
        self._write("server", self._authority.server(ADDRESS))
        (self.directory / "service-accounts.key").write_text(key_pem(new_key()))
        flags = list(API_SERVER_FLAGS)
        if audit_policy is not None:
            (self.directory / "audit-policy.yaml").write_text(yaml.safe_dump(dict(audit_policy)))
            flags += ["--audit-policy-file=audit-policy.yaml", f"--audit-log-path={self.audit_log}"]
        self._run("etcd", ETCD_FLAGS)
        with _reserved_port() as port:
            self.endpoint = Endpoint(f"https://{ADDRESS}:{port}", self._authority.credential.certificate)
            administrator = certificate_user(self._authority.client("administrator", ["system:masters"]))
            write_kubeconfig(self.kubeconfig, self.endpoint, "administrator", administrator)
            flags += [f"--secure-port={port}", f"--service-account-issuer={self.server}", *api_server_flags]
            api_server = self._run("kube-apiserver", flags)
            api_server.wait_until(lambda: self.accepts("get", "--raw", "/readyz"))
        controllers = self._run("kube-controller-manager", CONTROLLER_MANAGER_FLAGS)
        controllers.wait_until(
            lambda: self.accepts("get", "serviceaccount", "default", "--namespace=default")
        )

    def _write(self, name: str, credential: Credential) -> None:
        (self.directory / f"{name}.key").write_text(credential.key)
        (self.directory / f"{name}.crt").write_text(credential.certificate)

    def _run(self, program: str, flags: Sequence[str]) -> Component:
        component = Component(self._programs / program, flags, self.directory)
        self._components.append(component)
        return component


@contextmanager
def _reserved_port() -> Iterator[int]:
    """A free port that nothing else is given meanwhile.

    Linux lets a server listen on a port to which another socket is merely bound when both have SO_REUSEADDR
    (Go sets it on every listener). Elsewhere the port is only known to have been free.
    """
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((ADDRESS, 0))
        port: int = reservation.getsockname()[1]
        if sys.platform != "linux":
            reservation.close()
        yield port
