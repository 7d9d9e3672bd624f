"""The CustomResourceDefinitions, generated from the models by `python -m sslorder.api.crd`.

Rules:
- A structural schema says less than a JSON schema: references are put in place, an optional field may be
  absent but never null, and unknown fields are pruned, not refused.
- The files are committed. A test compares them with what the models say now.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic.alias_generators import to_camel

from sslorder.api.account import SSLAccount
from sslorder.api.action import SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import AGE, GROUP, VERSION, Column, KubernetesObject
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.api.schema import VALIDATIONS

KINDS: tuple[type[KubernetesObject], ...] = (
    SSLCertificateOrder,
    SSLAccount,
    SSLPayment,
    SSLContractAction,
    SSLAuthority,
)
CATEGORY = "ssl"

Schema = dict[str, Any]

_KEPT = (
    "type",
    "format",
    "description",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    VALIDATIONS,
)


def _resolved(node: Schema, definitions: Schema) -> Schema:
    """`node` with what it refers to, or its one alternative to null, put in its place."""
    node = dict(node)
    if alternatives := node.pop("anyOf", None):
        (target,) = (alternative for alternative in alternatives if alternative != {"type": "null"})
        if node.get("default", ...) is None:
            del node["default"]
    elif reference := node.pop("$ref", None):
        target = definitions[reference.removeprefix("#/$defs/")]
    else:
        return node
    target = _resolved(target, definitions)
    guards = target.get(VALIDATIONS, []) + node.get(VALIDATIONS, [])
    return target | node | ({VALIDATIONS: guards} if guards else {})


def _structural(node: Schema, definitions: Schema) -> Schema:
    node = _resolved(node, definitions)
    schema = {member: node[member] for member in _KEPT if member in node}
    if "description" in schema:
        schema["description"] = _unwrapped(schema["description"])
    if "enum" in schema:
        schema["enum"] = [str(value) for value in schema["enum"]]
    if schema["type"] == "array":
        schema.setdefault("x-kubernetes-list-type", "atomic")
        schema["items"] = _structural(node["items"], definitions)
    if isinstance(node.get("additionalProperties"), dict):
        schema["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "properties" in node:
        schema["properties"] = {
            name: _structural(field, definitions) for name, field in node["properties"].items()
        }
    default = schema.get("default")
    if isinstance(default, dict):
        schema["default"] = {
            to_camel(name): value for name, value in default.items() if value not in (None, [])
        }
    elif default == []:
        del schema["default"]  # an empty list is an absent one
    return schema


def _unwrapped(text: str) -> str:
    """Lines of one paragraph joined, paragraphs kept."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _root(model: type[KubernetesObject]) -> Schema:
    raw = model.model_json_schema()
    schema = _structural(raw, raw.get("$defs", {}))
    fields = schema.pop("properties")
    guards = schema.pop(VALIDATIONS, None)
    return {
        **schema,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": fields["spec"],
            "status": fields["status"],
        },
        **({VALIDATIONS: guards} if guards else {}),
    }


def _column(column: Column) -> Schema:
    priority = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path, **priority}


def definition(model: type[KubernetesObject]) -> Schema:
    """The CustomResourceDefinition of one kind (apiextensions.k8s.io/v1)."""
    kind = model.KIND
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in (*kind.columns, AGE)],
        "schema": {"openAPIV3Schema": _root(model)},
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": kind.scope.value,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def files() -> dict[str, str]:
    """Name and content of every file in `crds/`."""
    return {
        f"{model.KIND.plural}.{GROUP}.yaml": "# Generated by python -m sslorder.api.crd. Do not edit.\n"
        + yaml.safe_dump(definition(model), sort_keys=False, allow_unicode=True, width=110)
        for model in KINDS
    }


def outdated(directory: Path) -> list[str]:
    """Names of the files in `directory` that are not what the models say: different, missing or left over."""
    wanted = files()
    found = {path.name: path.read_text(encoding="utf-8") for path in directory.glob("*.yaml")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(directory: Path) -> None:
    """Make the files in `directory` what the models say."""
    for path in directory.glob("*.yaml"):
        path.unlink()
    for name, content in files().items():
        (directory / name).write_text(content, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sslorder.api.crd", description="Generate the CRDs.")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("crds"))
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is outdated")
    arguments = parser.parse_args()
    if not arguments.check:
        write(arguments.directory)
        return 0
    if names := outdated(arguments.directory):
        sys.stderr.write(
            f"Outdated: {', '.join(names)}. Run python -m sslorder.api.crd and commit the result.\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
