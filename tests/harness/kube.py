"""A small synchronous client for tests and demo: what it reads is what the API server has at that moment."""

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import requests
import yaml

from sslorder.api.common import KubernetesObject
from sslorder.cluster.client import Resource
from sslorder.cluster.objects import resource

BOUND: Final = 30.0
SECRETS: Final = Resource("", "v1", "secrets")
EVENTS: Final = Resource("", "v1", "events")
Manifest = dict[str, Any]


class Kube:
    """Requests as one identity of a kubeconfig with a client certificate or a token."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        self._files = tempfile.TemporaryDirectory(prefix="sslorder-kube-")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = self._file("ca.crt", cluster["certificate-authority-data"])
        if "token" in user:
            self._session.headers["Authorization"] = f"Bearer {user['token']}"
        else:
            certificate = self._file("tls.crt", user["client-certificate-data"])
            self._session.cert = (certificate, self._file("tls.key", user["client-key-data"]))

    def _file(self, name: str, content: str) -> str:
        path = Path(self._files.name) / name
        path.write_bytes(base64.b64decode(content))
        return str(path)

    def close(self) -> None:
        self._session.close()
        self._files.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """One request; the caller judges the status."""
        return self._session.request(method, self.server + path, json=body, headers=headers, timeout=BOUND)

    def stream(self, path: str) -> Iterator[Manifest]:
        """The events of a watch."""
        with self._session.get(self.server + path, stream=True, timeout=BOUND) as response:
            for line in response.iter_lines(chunk_size=1):
                yield json.loads(line)

    def get(
        self, kind: type[KubernetesObject] | Resource, name: str, namespace: str | None = None
    ) -> Manifest | None:
        response = self.call("GET", _resource(kind).path(namespace, name))
        return None if response.status_code == 404 else _answer(response)

    def list(
        self, kind: type[KubernetesObject] | Resource, namespace: str | None = None, **query: str
    ) -> list[Manifest]:
        words = "&".join(f"{key}={value}" for key, value in query.items())
        items: list[Manifest] = _answer(self.call("GET", _resource(kind).path(namespace) + "?" + words))[
            "items"
        ]
        return items

    def create(self, kind: type[KubernetesObject] | Resource, body: Manifest) -> Manifest:
        return _answer(self.call("POST", _resource(kind).path(body["metadata"].get("namespace")), body))

    def patch(
        self,
        kind: type[KubernetesObject] | Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> Manifest:
        path = _resource(kind).path(namespace, name, subresource)
        return _answer(self.call("PATCH", path, body, **{"Content-Type": "application/merge-patch+json"}))

    def delete(
        self,
        kind: type[KubernetesObject] | Resource,
        name: str,
        namespace: str | None = None,
        propagation: str = "Background",
    ) -> None:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        response = self.call("DELETE", _resource(kind).path(namespace, name), body)
        if response.status_code != 404:
            _answer(response)

    def namespace(self, name: str) -> None:
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        """The decoded contents of a Secret."""
        found = self.get(SECRETS, name, namespace)
        if found is None:
            return None
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}


def _resource(kind: type[KubernetesObject] | Resource) -> Resource:
    return kind if isinstance(kind, Resource) else resource(kind)


def _answer(response: requests.Response) -> Manifest:
    if not response.ok:
        raise AssertionError(f"{response.request.method} {response.request.path_url}: {response.text}")
    answer: Manifest = response.json()
    return answer
