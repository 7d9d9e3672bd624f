"""A cluster that somebody already has, used through the interface of a local control plane."""

import json
import shutil
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path

from tests.controlplane.build import executables
from tests.controlplane.cluster import Cluster
from tests.controlplane.kubeconfig import Endpoint, certificate_user
from tests.controlplane.pki import Credential, certificate_request, key_pem, new_key
from tests.controlplane.waiting import wait_until

USER_SECONDS = 24 * 3600


class External(Cluster):
    """The cluster of a kubeconfig's current context, whose user must be its administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        """Reads where the cluster is; uses the kubectl on PATH, else the one built with the control plane.

        :raises KubectlError: the kubeconfig does not say.
        """
        found = shutil.which("kubectl")
        directory = Path(tempfile.mkdtemp(prefix="sslorder-external-"))
        super().__init__(directory, Path(found) if found else executables() / "kubectl", kubeconfig.resolve())
        view = json.loads(self.kubectl("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
        cluster = view["clusters"][0]["cluster"]
        authority = b64decode(cluster.get("certificate-authority-data", "")).decode()
        self.endpoint = Endpoint(cluster["server"], authority)

    def user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """As `Cluster.user`, by a CertificateSigningRequest that the cluster's own signer answers."""
        key = new_key()
        manifest = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"generateName": "sslorder-"},
            "spec": {
                "request": b64encode(certificate_request(key, name, groups).encode()).decode(),
                "signerName": "kubernetes.io/kube-apiserver-client",
                "usages": ["client auth"],
                "expirationSeconds": USER_SECONDS,
            },
        }
        request = self.kubectl("create", "--filename=-", "--output=name", stdin=json.dumps(manifest)).strip()
        self.kubectl("certificate", "approve", request)
        signed = "--output=jsonpath={.status.certificate}"
        wait_until(lambda: bool(self.kubectl("get", request, signed)), f"the signer to answer {request}")
        certificate = b64decode(self.kubectl("get", request, signed)).decode()
        self.kubectl("delete", request)
        return self._identity(name, certificate_user(Credential(key_pem(key), certificate)))

    def stop(self) -> None:
        """Forgets the identities that were made; the cluster stays as it is."""
        shutil.rmtree(self.directory, ignore_errors=True)
