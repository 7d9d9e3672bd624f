"""What one does with a cluster here, be it a local control plane or one that somebody has."""

import shlex
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.controlplane.kubeconfig import Endpoint, write_kubeconfig
from tests.controlplane.waiting import wait_until

KUBECTL_SECONDS = 120.0


class KubectlError(subprocess.CalledProcessError):
    """kubectl ended with another status than 0; the message carries what it wrote to stderr."""

    def __str__(self) -> str:
        return f"{shlex.join(self.cmd)} ended with status {self.returncode}: {self.stderr.strip()}"


class Cluster(ABC):
    """An API server and the means to act on it as anyone. Leaving its context stops it."""

    endpoint: Endpoint

    def __init__(self, directory: Path, kubectl: Path, kubeconfig: Path) -> None:
        """Sets up kubectl for the cluster of the administrator's `kubeconfig`; keeps files in `directory`."""
        self.directory = directory
        self.kubeconfig = kubeconfig
        self._identities = count(1)
        self.kubectl_path = directory / "bin" / "kubectl"
        self.kubectl_path.parent.mkdir()
        # a cache of its own: what kubectl remembers of an address would be wrong for the next server there
        self.kubectl_path.write_text(
            "#!/bin/sh\n"
            f"export KUBECONFIG={shlex.quote(str(kubeconfig))}\n"
            "export KUBERC=off\n"  # a user's preferences change what commands do
            f"export KUBECACHEDIR={shlex.quote(str(directory / 'cache'))}\n"
            f'exec {shlex.quote(str(kubectl))} "$@"\n'
        )
        self.kubectl_path.chmod(0o755)

    @abstractmethod
    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig with a client certificate for that user in those groups, with RBAC's grants alone."""

    @abstractmethod
    def stop(self) -> None:
        """Leaves nothing behind; may be called again."""

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self.endpoint.server

    @property
    def ca(self) -> str:
        """The PEM certificates by which the API server is verified."""
        return self.endpoint.ca

    def kubectl(
        self, *arguments: str | Path, stdin: str | None = None, kubeconfig: Path | None = None
    ) -> str:
        """The standard output of kubectl, run as the administrator or as whom `kubeconfig` names.

        :raises KubectlError: it ended with another status than 0.
        :raises subprocess.TimeoutExpired: it took longer than `KUBECTL_SECONDS`.
        """
        command = [str(self.kubectl_path), *map(str, arguments)]
        if kubeconfig is not None:
            command.append(f"--kubeconfig={kubeconfig}")
        done = subprocess.run(
            command, input=stdin or "", capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False
        )
        if done.returncode:
            raise KubectlError(done.returncode, command, done.stdout, done.stderr)
        return done.stdout

    def accepts(
        self, *arguments: str | Path, stdin: str | None = None, kubeconfig: Path | None = None
    ) -> bool:
        """Whether kubectl ends with status 0: for conditions to wait for."""
        try:
            self.kubectl(*arguments, stdin=stdin, kubeconfig=kubeconfig)
        except KubectlError:
            return False
        return True

    def install(self, definitions: Path) -> None:
        """Applies a file or folder of CustomResourceDefinitions and waits until their kinds are served.

        :raises KubectlError: a definition was refused.
        :raises TimeoutError: a kind was not served in time.
        """
        applied = self.kubectl("apply", "--server-side", "--filename", definitions, "--output=name").split()
        for name in applied:
            kind = name.partition("/")[2]
            wait_until(partial(self.accepts, "get", kind, "--all-namespaces"), f"{kind} to be served")

    def service_account(self, namespace: str, name: str, seconds: int = 3600) -> Path:
        """A kubeconfig with a token for an existing service account (TokenRequest); 600 s is the least.

        :raises KubectlError: there is no such service account.
        """
        token = self.kubectl("create", "token", name, f"--namespace={namespace}", f"--duration={seconds}s")
        return self._identity(name, {"token": token.strip()}, namespace)

    def metrics(self) -> str:
        """The API server's metrics in the Prometheus text format."""
        return self.kubectl("get", "--raw", "/metrics")

    def _identity(self, name: str, user: dict[str, str], namespace: str = "default") -> Path:
        path = self.directory / f"identity-{next(self._identities)}.kubeconfig"
        return write_kubeconfig(path, self.endpoint, name, user, namespace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
