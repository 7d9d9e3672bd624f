"""A client of the real API server that tells what it refuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import ApiException, CustomObjectsApi
from kubernetes.config import new_client_from_config

from sslorder.api.common import GROUP, VERSION, KubernetesObject, Scope
from sslorder.api.crd import KINDS
from tests.api.manifests import Manifest
from tests.controlplane.cluster import Cluster

NAMESPACE = "default"

_MODELS: dict[str, type[KubernetesObject]] = {model.KIND.name: model for model in KINDS}


class Admission:
    """What the API server says to a manifest. What `create` leaves behind, `tidy` takes away."""

    def __init__(self, objects: CustomObjectsApi) -> None:
        self._objects = objects
        self._created: list[Manifest] = []

    def refusal_of(self, manifest: Manifest) -> str | None:
        """The message with which the API server refuses to create it, or None."""
        return self._refusal("create", manifest, manifest)

    def refusal_of_update(self, manifest: Manifest) -> str | None:
        """The message with which the API server refuses it in place of the object of that name, or None."""
        return self._refusal("replace", manifest, manifest["metadata"]["name"], manifest)

    def create(self, manifest: Manifest) -> Manifest:
        """The object as it was stored, under a name of its own."""
        stored = self._call("create", manifest, manifest | {"metadata": {"generateName": "sample-"}})
        self._created.append(stored)
        return stored

    def tidy(self) -> None:
        """Delete what was created."""
        while self._created:
            stored = self._created.pop()
            self._call("delete", stored, stored["metadata"]["name"])

    def show_status(self, manifest: Manifest, status: Manifest) -> Manifest:
        """The object after its status was written as the operator writes it."""
        return self._call(
            "patch", manifest, manifest["metadata"]["name"], {"status": status}, suffix="_status"
        )

    def _refusal(self, verb: str, manifest: Manifest, *arguments: Any) -> str | None:
        try:
            self._call(verb, manifest, *arguments, dry_run="All", field_validation="Strict")
        except ApiException as refused:
            if refused.status not in (400, 422):
                raise
            message: str = json.loads(refused.body)["message"]
            return message
        return None

    def _call(
        self, verb: str, manifest: Manifest, *arguments: Any, suffix: str = "", **options: str
    ) -> Manifest:
        kind = _MODELS[manifest["kind"]].KIND
        scope, place = ("namespaced", (NAMESPACE,)) if kind.scope is Scope.NAMESPACED else ("cluster", ())
        call = getattr(self._objects, f"{verb}_{scope}_custom_object{suffix}")
        answer: Manifest = call(GROUP, VERSION, *place, kind.plural, *arguments, **options)
        return answer


@pytest.fixture(scope="session")
def admission(plane: Cluster) -> Iterator[Admission]:
    """The administrator's view: what is refused is refused by the kinds themselves."""
    with new_client_from_config(config_file=str(plane.kubeconfig)) as client:
        admission = Admission(CustomObjectsApi(client))
        yield admission
        admission.tidy()
