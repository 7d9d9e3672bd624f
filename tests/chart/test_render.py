"""What the chart renders: strict about its values, accepted by the API server whatever is switched on."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import yaml

from sslorder.api.action import Action
from sslorder.service.settings import Configuration
from tests.chart.helm import CHART, LEAST, ROOT, HelmError, Manifest, helm, rendered
from tests.controlplane import Cluster
from tests.controlplane.build import toolchain

PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
SWITCHES: Mapping[str, tuple[Any, ...]] = {
    "replicas": (1, 2),
    "crds": ({"enabled": False}, {"keep": False}, {"keep": True}),
    "roles": ({"enabled": False}, {"aggregate": False}, {"aggregate": True}),
    "admissionPolicies": ({"enabled": False}, {"enabled": True}),
    "watch": ({}, {"namespaces": ["shop", "lab"]}),
    "networkPolicy": ({}, {"enabled": True}, {"enabled": True, "scrapeFrom": [{"namespaceSelector": {}}]}),
    "monitoring": ({}, {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}),
    "sandbox": ({}, {"enabled": True}, {"enabled": True, "storage": "1Gi", "preapproved": ["acme.example"]}),
    "secretTemplate": ({}, {"allowedPrefixes": [""]}),
    "priorityClassName": ("", "system-cluster-critical"),
    "imagePullSecrets": ([], [{"name": "registry"}]),
    "nodeSelector": ({}, {"kubernetes.io/os": "linux"}),
    "tolerations": ([], [{"operator": "Exists"}]),
    "podLabels": ({}, {"team": "certificates"}),
    "podAnnotations": ({}, {"example.com/note": "yes"}),
    "extraObjects": (
        [],
        [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-extra"}}],
    ),
}


def pairwise(switches: Mapping[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Few choices that together hold every pair of positions of any two switches."""
    open_pairs = {
        (one, i, other, j)
        for one, other in combinations(switches, 2)
        for i, j in product(range(len(switches[one])), range(len(switches[other])))
    }
    while open_pairs:
        one, i, other, j = min(open_pairs)
        chosen = {one: i, other: j}
        for name in switches:
            if name not in chosen:
                chosen[name] = max(
                    range(len(switches[name])),
                    key=lambda position, name=name: len(_pairs(chosen | {name: position}) & open_pairs),  # type: ignore[misc]
                )
        open_pairs -= _pairs(chosen)
        yield {name: switches[name][position] for name, position in chosen.items()}


def _pairs(chosen: Mapping[str, int]) -> set[tuple[str, int, str, int]]:
    return {
        (one, chosen[one], other, chosen[other])
        for one, other in combinations((name for name in SWITCHES if name in chosen), 2)
    }


COMBINATIONS = tuple(pairwise(SWITCHES))


def of_kind(kind: str, manifests: list[Manifest]) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


@pytest.fixture(scope="module")
def everything(home: Path) -> list[Manifest]:
    """What is rendered with everything switched on, once for all namespaces and once for two."""
    values = {name: positions[-1] for name, positions in SWITCHES.items()}
    return rendered(home, values) + rendered(home, values | {"watch": {}})


@pytest.fixture(scope="module")
def all_rendered(home: Path) -> list[Manifest]:
    """Every different object of every combination."""
    found = {
        json.dumps(manifest, sort_keys=True): manifest
        for values in COMBINATIONS
        for manifest in rendered(home, values)
    }
    return list(found.values())


def test_helm_finds_nothing_to_say(home: Path) -> None:
    helm("lint", "--strict", CHART, f"--values={LEAST}", home=home)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"configuration": None}, "configuration"),
        ({"replica": 3}, "replica"),
        ({"sandbox": {"enable": True}}, "enable"),
        ({"configuration": {"provider": {"conditions": []}}}, "conditions"),
        ({"roles": {"complianceActions": ["pardon"]}}, "complianceActions"),
        ({"watch": {"namespaces": ["Shop"]}}, "namespaces"),
        ({"secretTemplate": {"allowedPrefixes": ["o'clock/"]}}, "allowedPrefixes"),
        ({"image": {"digest": "latest"}}, "digest"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_mistake_in_the_values_is_refused_by_its_name(
    home: Path, values: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(HelmError, match=words):
        rendered(home, values)


def test_every_value_is_described() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def undescribed(node: Mapping[str, Any], path: str) -> Iterator[str]:
        for name, part in node.get("properties", {}).items():
            if "description" not in part:
                yield f"{path}.{name}"
            yield from undescribed(part, f"{path}.{name}")

    assert list(undescribed(schema, "")) == []
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values.keys() == schema["properties"].keys() - {"global"}


def test_the_schema_knows_the_configuration_that_the_operator_reads() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["configuration"]
    model = Configuration.model_json_schema(by_alias=True)

    def fields(node: Mapping[str, Any]) -> dict[str, Any]:
        if "$ref" in node:
            node = model["$defs"][node["$ref"].rpartition("/")[2]]
        parts = {name: fields(part) for name, part in node.get("properties", {}).items()}
        return fields(node["items"]) if "items" in node else parts

    assert fields(schema) == fields(model)


def test_the_configuration_is_one_that_the_operator_reads(home: Path, tmp_path: Path) -> None:
    (configuration,) = of_kind("ConfigMap", rendered(home))
    path = tmp_path / "configuration.yaml"
    path.write_text(configuration["data"]["configuration.yaml"])
    assert Configuration.read(path).provider.name == "Synchrone SPRL"


def test_the_kinds_are_those_of_the_models_and_are_kept(home: Path) -> None:
    shipped = {}
    for definition in of_kind("CustomResourceDefinition", rendered(home)):
        annotations = definition["metadata"].pop("annotations")
        assert annotations == {"helm.sh/resource-policy": "keep"}
        del definition["metadata"]["labels"]
        shipped[definition["metadata"]["name"]] = definition
    wanted = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    assert shipped == {definition["metadata"]["name"]: definition for definition in wanted}


def test_every_action_has_its_verb(home: Path) -> None:
    verbs = {
        verb
        for role in of_kind("ClusterRole", rendered(home))
        for rule in role["rules"]
        if rule["resources"] == ["sslcontractactions"]
        for verb in rule["verbs"]
    }
    assert verbs >= {action.lower() for action in Action}


def test_pods_are_restricted(everything: list[Manifest]) -> None:
    """As the Pod Security Standard `restricted` asks, and somewhat more."""
    deployments = of_kind("Deployment", everything)
    assert deployments
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} <= container["resources"].keys()


def test_no_credentials_are_rendered(everything: list[Manifest]) -> None:
    secrets = of_kind("Secret", everything)
    assert secrets
    assert not any(secret.keys() & {"data", "stringData"} for secret in secrets)


@pytest.fixture
def namespaces(plane: Cluster) -> None:
    for name in ("shop", "lab"):
        if not plane.accepts("get", "namespace", name):
            plane.kubectl("create", "namespace", name)


@pytest.mark.cluster
@pytest.mark.usefixtures("namespaces")
def test_the_api_server_accepts_everything(plane: Cluster, everything: list[Manifest]) -> None:
    accept(plane, [manifest for manifest in everything if not of_prometheus(manifest)])


@pytest.mark.deep
@pytest.mark.cluster
@pytest.mark.usefixtures("namespaces")
def test_the_api_server_accepts_every_pair_of_switches(plane: Cluster, all_rendered: list[Manifest]) -> None:
    accept(plane, [manifest for manifest in all_rendered if not of_prometheus(manifest)])


@pytest.mark.deep
@pytest.mark.cluster
def test_the_prometheus_operator_accepts_its_kinds(plane: Cluster, everything: list[Manifest]) -> None:
    """Against the definitions that its authors publish."""
    go = toolchain(Path(__file__).parent / "go")
    download: list[str | Path] = [go, "mod", "download", "-json", PROMETHEUS_OPERATOR]
    module = json.loads(subprocess.run(download, capture_output=True, text=True, check=True).stdout)
    published = Path(module["Dir"]) / "example" / "prometheus-operator-crd"
    for kind in ("podmonitors", "prometheusrules"):
        plane.install(published / f"monitoring.coreos.com_{kind}.yaml")
    theirs = [manifest for manifest in everything if of_prometheus(manifest)]
    assert {manifest["kind"] for manifest in theirs} == {"PodMonitor", "PrometheusRule"}
    accept(plane, theirs)


def of_prometheus(manifest: Manifest) -> bool:
    return str(manifest["apiVersion"]).startswith("monitoring.coreos.com/")


def accept(plane: Cluster, manifests: list[Manifest]) -> None:
    """Have the API server judge them as if they were applied, strictly."""
    text = yaml.safe_dump_all(manifests)
    flags = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--filename=-")
    plane.kubectl("apply", *flags, stdin=text)
