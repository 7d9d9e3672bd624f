"""How a field says what its type cannot: CEL rules, list types, and Kubernetes' moments and durations.

Rules:
- What admission enforces is declared once, beside the field. Python parses the shape and repeats no rule.
- A message says what to write instead. The API server puts the path of the field before it.
- Every expression must fit the API server's cost budget: no string, list or map without a bound.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule. Put into `Annotated` it guards that field; a model takes its own through `rules`.

    `field_path` names the field that a model's rule blames, as in `.spec.subject`.
    """

    expression: str
    message: str
    field_path: str | None = None

    def as_schema(self) -> JsonDict:
        schema: JsonDict = {"rule": self.expression, "message": self.message}
        if self.field_path:
            schema["fieldPath"] = self.field_path
        return schema

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        schema[VALIDATIONS] = [*schema.get(VALIDATIONS, []), self.as_schema()]
        return schema


@dataclass(frozen=True, slots=True)
class ListType:
    """How server-side apply merges a list, and what makes two of its items the same."""

    type: str
    key: str | None = None

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        keys = {"x-kubernetes-list-map-keys": [self.key]} if self.key else {}
        return handler(core) | {"x-kubernetes-list-type": self.type} | keys


SET = ListType("set")
BY_NAME = ListType("map", "name")
BY_TYPE = ListType("map", "type")


def rules(*guards: Rule) -> JsonDict:
    """The `json_schema_extra` of a model whose fields must agree with each other."""
    return {VALIDATIONS: [guard.as_schema() for guard in guards]}


def immutable(
    fields: Iterable[str], message: str, *, parent: str = "", unless: str | None = None
) -> tuple[Rule, ...]:
    """One rule a field: its value and its presence stay as they were, except where `unless` holds.

    Comparing presence too is what `self == oldSelf` misses: an optional field can be removed and added again.
    """
    exception = f"{unless} || " if unless else ""
    return tuple(
        Rule(
            f"{exception}has(self{parent}.{name}) == has(oldSelf{parent}.{name})"
            f" && (!has(self{parent}.{name}) || self{parent}.{name} == oldSelf{parent}.{name})",
            f"{name} {message}",
            f"{parent}.{name}",
        )
        for name in fields
    )


class Model(BaseModel):
    """A part of an object as people write it. Unknown fields are errors: nothing is half read."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )


class Projection(Model):
    """A part of a status. Fields that a later version of the operator wrote are passed over."""

    model_config = ConfigDict(extra="ignore")


def format_moment(moment: datetime) -> str:
    """A moment as Kubernetes writes `metav1.Time`: UTC, whole seconds, Z. Fractions are cut off."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


Moment = Annotated[
    AwareDatetime,
    AfterValidator(lambda moment: moment.astimezone(UTC)),
    PlainSerializer(format_moment, return_type=str, when_used="json"),
]

DURATION = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"


def parse_duration(text: str) -> timedelta:
    """Read `720h`, `36h30m` or `90s`. Raises ValueError on anything else, an empty text included."""
    found = re.fullmatch(DURATION, text)
    if not text or not found:
        raise ValueError(f"{text!r} is no duration: write hours, minutes, seconds, as in 720h or 36h30m")
    hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """A duration of whole seconds in the fewest units that hold it: `720h`, `90s`."""
    seconds = int(duration.total_seconds())
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def _read_duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "minLength": 2, "maxLength": 21}),
    Rule(f"self.matches(r'{DURATION}')", "write hours, minutes and seconds, as in 720h or 36h30m"),
]
