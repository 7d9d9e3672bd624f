"""`SSLAuthority`: a certification authority and the credentials for it, written by the administrator."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Base64Bytes, Field, WithJsonSchema

from sslorder.api.common import (
    GROUP,
    UID,
    Column,
    Condition,
    Kind,
    KubernetesObject,
    ObjectRef,
    Product,
    Scope,
)
from sslorder.api.schema import BY_TYPE, Duration, Model, Moment, Projection, Rule, immutable, rules

DEFAULT_ANNOTATION = f"{GROUP}/is-default-authority"
"""Set to "true" on the one authority of a product that orders without authorityRef use."""


class GlobalSign(Model):
    """Access to GlobalSign's HVCA, version 2. One credential has one validation policy, hence one product."""

    url: Annotated[
        str,
        Field(min_length=9, max_length=1024),
        Rule(
            "isURL(self) && url(self).getScheme() == 'https' && url(self).getHostname() != ''"
            " && !self.contains('@')",
            "write an https address without a user, as in https://emea.api.hvca.globalsign.com:8443/v2",
        ),
    ]
    """Base address of the API, as in https://emea.api.hvca.globalsign.com:8443/v2."""
    credentials_secret_ref: ObjectRef
    """Secret in the operator's namespace with the API key and secret, the TLS client certificate and key."""
    ca_bundle: (
        Annotated[
            Base64Bytes,
            WithJsonSchema({"type": "string", "format": "byte", "minLength": 1, "maxLength": 262_144}),
        ]
        | None
    ) = None
    """Certificates (PEM, base64) that the API's own certificate must lead to. Absent: the public roots."""
    allow_privilege_withdrawn: bool = False
    """Whether the account may give privilegeWithdrawn as the reason of a revocation (BR 4.9.1.1)."""


class SolverMethod(StrEnum):
    """Who puts a proof of control where the authority looks."""

    MANUAL = "Manual"


class Solver(Model):
    """One way to put a proof where the authority looks."""

    method: SolverMethod
    """Manual: the order's status says which record to set, and the client sets it."""


class Limits(Model):
    """How much the operator asks of the authority."""

    requests_per_second: Annotated[int, Field(ge=1, le=1000)] = 10
    """Requests per second, all orders together."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """Requests at one time, all orders together."""
    client_reissues_per_month: Annotated[int, Field(ge=0, le=1000)] = 5
    """Reissues per contract and month that the client causes. They cost quota."""


class AuthoritySpec(
    Model,
    json_schema_extra=rules(
        *immutable(("product",), "belongs to the credential and cannot change: create another SSLAuthority"),
    ),
):
    """Which authority, what it sells, and how it is reached."""

    product: Product
    """What its credential sells. Immutable."""
    global_sign: GlobalSign
    """GlobalSign's HVCA."""
    solvers: Annotated[tuple[Solver, ...], Field(max_length=16)] = ()
    """How names are proved, the first that fits. Empty: by hand."""
    limits: Limits = Limits()
    """How much is asked of it."""


class PolicySummary(Projection):
    """What the credential may ask for, as the authority says."""

    shortest_validity: Duration
    """Shortest validity of a leaf."""
    longest_validity: Duration
    """Longest validity of a leaf."""


class Quota(Projection):
    """What is left to buy."""

    remaining: Annotated[int, Field(ge=0)]
    """Certificates that may still be issued."""
    observed_at: Moment
    """When that was so."""


class Counters(Projection):
    """What was done with the credential, by whomever."""

    issued: Annotated[int, Field(ge=0)]
    """Certificates issued in all."""
    revoked: Annotated[int, Field(ge=0)]
    """Certificates revoked in all."""


class AuthorityStatus(Projection):
    """What the operator knows of the authority."""

    observed_generation: int = -1
    """Generation of the authority that was judged; -1 before the first."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16), BY_TYPE] = ()
    """Observations for programs."""
    policy: PolicySummary | None = None
    """What the credential may ask for."""
    quota: Quota | None = None
    """What is left to buy."""
    counters: Counters | None = None
    """What was done with the credential, by whomever, as the authority's statistics have it."""
    last_contact: Moment | None = None
    """When the authority last answered, as known when this status was last written."""
    installation: UID | None = None
    """UID of the namespace of the one installation of the operator in this cluster that buys here. Remove it
    to hand the authority over to another installation."""
    installed_at: Moment | None = None
    """Since when that installation buys here. Certificates issued before are none of its business."""


class SSLAuthority(KubernetesObject):
    """A certification authority as one credential sees it.

    The annotation ssl.synchrone.be/is-default-authority: "true" makes it the default one of its product.
    """

    KIND: ClassVar[Kind] = Kind(
        name="SSLAuthority",
        plural="sslauthorities",
        scope=Scope.CLUSTER,
        short_names=("sslauth",),
        columns=(
            Column("Product", ".spec.product"),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Quota", ".status.quota.remaining", "integer"),
            Column("Issued", ".status.counters.issued", "integer", wide=True),
            Column("URL", ".spec.globalSign.url", wide=True),
        ),
    )

    spec: AuthoritySpec
    """Which authority it is."""
    status: AuthorityStatus = AuthorityStatus()
    """What the operator knows of it."""

    @property
    def is_default(self) -> bool:
        return self.metadata.annotations.get(DEFAULT_ANNOTATION) == "true"
