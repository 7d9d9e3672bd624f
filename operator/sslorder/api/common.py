"""What several kinds share: the group, names, identities, conditions, and the frame of an object.

Rules:
- A string type carries its own rule and message, so that it is refused alike wherever it stands.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sslorder.api.schema import Model, Moment, Projection, Rule, rules

GROUP = "ssl.synchrone.be"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"

MAX_NAMES = 100
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_TOP_LABEL = "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PATTERN = rf"^({_LABEL}\.)+{_TOP_LABEL}$"
NAME_PATTERN = rf"^(\*\.)?({_LABEL}\.)+{_TOP_LABEL}$"
WILDCARD_PATTERN = r"^\*\.[^*.]+\.[^*]+$"
OBJECT_NAME_PATTERN = rf"^{_LABEL}(\.{_LABEL})*$"
# A label with hyphens in the third and fourth place that is no A-label (RFC 5890 §2.3.1, BR 7.1.2.7.12).
RESERVED_LABEL_PATTERN = r"(^|\.)([^x.][^.]|x[^n.])--"

_NAME_RULES = (
    Rule("!isIP(self)", "an IP address cannot be ordered: write a DNS name"),
    Rule("!self.endsWith('.')", "leave out the trailing dot"),
    Rule(
        "!self.contains('_')",
        "a certificate cannot name a host with an underscore: use a hyphen or another name",
    ),
    Rule("self == self.lowerAscii()", "write the name in lower case"),
    Rule(
        f"!self.matches(r'{RESERVED_LABEL_PATTERN}')",
        "hyphens in the third and fourth place of a label are reserved: only A-labels (xn--…) may have them",
    ),
    Rule(
        "!self.endsWith('.arpa')",
        "names of reverse zones cannot be certified (BR 7.1.2.7.12): write a host name",
    ),
)

DomainName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    *_NAME_RULES,
    Rule(
        f"self.matches(r'{DOMAIN_PATTERN}')",
        "write at least two labels of letters, digits and inner hyphens, each of at most 63 characters,"
        " without a wildcard, as in example.com; an international name as A-labels (xn--…)",
    ),
]

DNSName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    *_NAME_RULES,
    Rule(
        f"!self.contains('*') || self.matches(r'{WILDCARD_PATTERN}')",
        "a wildcard stands alone as the left-most label, before at least two more: *.example.com",
    ),
    Rule(
        f"self.contains('*') || self.matches(r'{DOMAIN_PATTERN}')",
        "write at least two labels of letters, digits and inner hyphens, each of at most 63 characters, as in"
        " www.example.com; an international name as A-labels (xn--…)",
    ),
    Rule(
        f"!self.matches(r'{WILDCARD_PATTERN}') || self.matches(r'{NAME_PATTERN}')",
        "after the wildcard write labels of letters, digits and inner hyphens, each of at most 63 characters;"
        " an international name as A-labels (xn--…)",
    ),
]

ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Rule(
        f"self.matches(r'{OBJECT_NAME_PATTERN}')",
        "write the name of a Kubernetes object: lower-case letters, digits, inner hyphens and dots",
    ),
]

NamespaceName = Annotated[
    str,
    Field(min_length=1, max_length=63),
    Rule(
        f"self.matches(r'^{_LABEL}$')",
        "write the name of a namespace: lower-case letters, digits and inner hyphens",
    ),
]

PurchaseOrder = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Rule(
        r"self.matches(r'^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$')",
        "write the purchase order's number with letters, digits and inner . _ / or -, as in BC-2026-0042",
    ),
]

TermYears = Annotated[
    int,
    Field(ge=1, le=3),
]

CountryCode = Annotated[
    str,
    Field(min_length=2, max_length=2),
    Rule("self.matches('^[A-Z]{2}$')", "write the two capital letters of ISO 3166-1, as in BE"),
]

SerialNumber = Annotated[
    str,
    Field(min_length=1, max_length=40),
    Rule(
        "self.matches('^[0-9A-F]{1,40}$')",
        "write the serial number in hexadecimal, capital letters, no separators",
    ),
]

Message = Annotated[str, Field(max_length=4096)]
UID = Annotated[str, Field(max_length=64)]
ShortText = Annotated[str, Field(max_length=64)]


class Product(StrEnum):
    """How far the authority vets the subject before it issues."""

    DV = "DV"
    OV = "OV"
    EV = "EV"


class BusinessCategory(StrEnum):
    """What an EV subject is (EV Guidelines 7.1.4.2.3)."""

    PRIVATE_ORGANIZATION = "Private Organization"
    GOVERNMENT_ENTITY = "Government Entity"
    BUSINESS_ENTITY = "Business Entity"
    NON_COMMERCIAL_ENTITY = "Non-Commercial Entity"


class Subject(
    Model,
    json_schema_extra=rules(
        Rule(
            "has(self.locality) || has(self.stateOrProvince)",
            "say where the organisation is (BR 7.1.2.7.4): write locality, stateOrProvince or both",
        )
    ),
):
    """An identity as an OV or EV certificate states it (BR 7.1.2.7, EV Guidelines 7.1.4.2)."""

    organization: Annotated[str, Field(min_length=1, max_length=64)]
    """Legal name of the organisation (O), as vetted."""
    country: CountryCode
    """Country of the organisation's address (C)."""
    locality: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """City of the organisation's address (L). This or stateOrProvince is needed."""
    state_or_province: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """State or province of the organisation's address (ST)."""
    street_address: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Street and number of the organisation's address."""
    business_category: BusinessCategory | None = None
    """EV: what kind of organisation this is."""
    registration_number: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """EV: number in the register of the jurisdiction (the subject's serialNumber)."""
    jurisdiction_country: CountryCode | None = None
    """EV: country whose register holds the organisation."""
    jurisdiction_state_or_province: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """EV: state or province whose register holds the organisation, where registers are kept there."""
    jurisdiction_locality: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """EV: city whose register holds the organisation, where registers are kept there."""


class ObjectRef(Model):
    """Another object by name."""

    name: ObjectName
    """Name of the object."""


class NamespacedRef(Model):
    """Another object by namespace and name."""

    namespace: NamespaceName
    """Namespace of the object."""
    name: ObjectName
    """Name of the object."""


class Covers(Model):
    """What was, or must be, paid for. Names and wildcards are counted apart."""

    product: Product
    """Product that is paid for."""
    term_years: TermYears
    """Length of the period that is paid for, in years."""
    names: Annotated[int, Field(ge=0, le=MAX_NAMES)]
    """How many names without a wildcard."""
    wildcards: Annotated[int, Field(ge=0, le=MAX_NAMES)]
    """How many wildcard names."""


class ConditionStatus(StrEnum):
    """Status of a condition, as in `metav1.Condition`."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Projection):
    """One observation of the object's state, as in `metav1.Condition`."""

    type: Annotated[str, Field(max_length=64)]
    """What is observed."""
    status: ConditionStatus
    """Whether it holds."""
    observed_generation: int | None = None
    """Generation of the object that was judged."""
    last_transition_time: Moment
    """When the status last changed."""
    reason: Annotated[str, Field(max_length=64)]
    """Why, in one word for programs."""
    message: Message = ""
    """Why, in a sentence for people, and what to do."""


class ObjectMeta(Projection):
    """The members of `metav1.ObjectMeta` that decide something."""

    name: str
    creation_timestamp: Moment
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: Moment | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Scope(StrEnum):
    """Whether objects of a kind live in a namespace."""

    NAMESPACED = "Namespaced"
    CLUSTER = "Cluster"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`. `wide` ones are shown with `-o wide` only.

    Moments to come are strings: the type `date` is shown as an age, and as `<invalid>` in the future.
    """

    name: str
    path: str
    type: str = "string"
    wide: bool = False


AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True)
class Kind:
    """How the API server calls a kind, and how `kubectl get` shows it (Age is added)."""

    name: str
    plural: str
    scope: Scope
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        return self.name.lower()


class KubernetesObject(Projection):
    """The frame of every kind. Parse with `model_validate` from the object as the API server gives it."""

    KIND: ClassVar[Kind]

    metadata: ObjectMeta
