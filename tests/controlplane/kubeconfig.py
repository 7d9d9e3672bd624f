"""Kubeconfig files: who talks to which API server ("Organizing Cluster Access", kubernetes.io)."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.controlplane.pki import Credential


@dataclass(frozen=True)
class Endpoint:
    """An API server: its URL, and the PEM certificates that verify it (none: those of the system)."""

    server: str
    ca: str


def certificate_user(credential: Credential) -> dict[str, str]:
    """A user who presents a client certificate."""
    return {
        "client-certificate-data": _base64(credential.certificate),
        "client-key-data": _base64(credential.key),
    }


def write_kubeconfig(
    path: Path, endpoint: Endpoint, name: str, user: Mapping[str, str], namespace: str = "default"
) -> Path:
    """Writes a kubeconfig for the user called `name`, readable by its owner alone; returns `path`."""
    cluster = {"server": endpoint.server}
    if endpoint.ca:
        cluster["certificate-authority-data"] = _base64(endpoint.ca)
    context = {"cluster": "cluster", "user": name, "namespace": namespace}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": name, "user": dict(user)}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
