"""A real Kubernetes API server to test against: `ControlPlane.start()`, or `External(kubeconfig)`."""

from tests.controlplane.build import BuildError, executables
from tests.controlplane.cluster import Cluster, KubectlError
from tests.controlplane.component import ControlPlaneError
from tests.controlplane.external import External
from tests.controlplane.plane import ControlPlane
from tests.controlplane.waiting import wait_until

__all__ = [
    "BuildError",
    "Cluster",
    "ControlPlane",
    "ControlPlaneError",
    "External",
    "KubectlError",
    "executables",
    "wait_until",
]
