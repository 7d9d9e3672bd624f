"""The CRDs: in step with the models, bounded, described, and each of their rules put to the test."""

from collections.abc import Iterator
from typing import Any

import pytest

from sslorder.api.common import GROUP, KubernetesObject
from sslorder.api.crd import KINDS, definition, outdated
from sslorder.api.phases import Phase
from sslorder.api.schema import VALIDATIONS
from tests.api.test_admission import REFUSALS
from tests.api.test_edits import REFUSED_EDITS
from tests.conftest import CRDS
from tests.controlplane.cluster import Cluster
from tests.controlplane.waiting import wait_until

Schema = dict[str, Any]

SCHEMAS: dict[str, Schema] = {
    model.KIND.name: definition(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for model in KINDS
}
BOUNDS = {"string": "maxLength", "array": "maxItems", "object": "maxProperties"}
MOMENTS = ("date", "date-time")


def fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every field of the kind's own below `path`, with its path, items and map values included."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if inner is not None:
            yield f"{path}[]", inner
            yield from fields(inner, f"{path}[]")


FIELDS = {
    path: field
    for kind, schema in SCHEMAS.items()
    for part in ("spec", "status")
    for path, field in fields(schema["properties"][part], f"{kind}.{part}")
}
RULES = [
    rule
    for schema in SCHEMAS.values()
    for guarded in (schema, *schema["properties"].values())
    for rule in guarded.get(VALIDATIONS, [])
] + [rule for field in FIELDS.values() for rule in field.get(VALIDATIONS, [])]


def is_bounded(field: Schema) -> bool:
    if "enum" in field or field.get("format") in MOMENTS or "properties" in field:
        return True
    bound = BOUNDS.get(field["type"])
    return bound is None or bound in field


def test_the_files_are_what_the_models_say() -> None:
    assert outdated(CRDS) == [], "run python -m sslorder.api.crd"


def test_every_string_list_and_map_is_bounded() -> None:
    assert [path for path, field in FIELDS.items() if not is_bounded(field)] == []


def test_every_field_is_described() -> None:
    named = {path: field for path, field in FIELDS.items() if not path.endswith("[]")}
    assert [path for path, field in named.items() if not field.get("description", "").endswith(".")] == []


def test_the_schema_knows_the_phases_of_the_contract() -> None:
    assert FIELDS["SSLCertificateOrder.status.phase"]["enum"] == [phase.value for phase in Phase]


def test_every_rule_is_seen_refusing_a_manifest() -> None:
    messages = {rule["message"] for rule in RULES if "oldSelf" not in rule["rule"]}
    assert [text for text in messages if not any(case.words in text for case in REFUSALS)] == []


def test_every_rule_on_edits_is_seen_refusing_one() -> None:
    blamed = {rule.get("fieldPath", ".spec") for rule in RULES if "oldSelf" in rule["rule"]}
    assert [path for path in blamed if not any(edit.field.endswith(path[1:]) for edit in REFUSED_EDITS)] == []


@pytest.mark.cluster
@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.KIND.name)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_kubectl_explains_every_field(model: type[KubernetesObject], part: str, plane: Cluster) -> None:
    resource = f"{model.KIND.plural}.{GROUP}"
    wait_until(lambda: plane.accepts("explain", resource), f"{resource} to be explained")
    explained = " ".join(plane.kubectl("explain", f"{resource}.{part}").split())
    for field in SCHEMAS[model.KIND.name]["properties"][part]["properties"].values():
        assert " ".join(field["description"].split()) in explained
