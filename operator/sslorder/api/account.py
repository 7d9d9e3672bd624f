"""`SSLAccount`: one client of the provider. Its namespaces may order what stands here, nothing else."""

from typing import Annotated, ClassVar

from pydantic import Field

from sslorder.api.common import (
    UID,
    Column,
    Condition,
    DomainName,
    Kind,
    KubernetesObject,
    NamespaceName,
    ObjectName,
    Product,
    Scope,
    Subject,
)
from sslorder.api.schema import BY_NAME, BY_TYPE, SET, Model, Projection, Rule


class Contact(Model):
    """Whom the provider turns to at the client's."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    """Name of the person or the team."""
    email: Annotated[
        str,
        Field(min_length=3, max_length=254),
        Rule(r"self.matches(r'^[^@\s]+@[^@\s]+$')", "write an address as in certificates@example.com"),
    ]
    """E-mail address."""
    phone: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """Telephone number."""


class AccountSpec(Model):
    """Who the client is and what it may order."""

    namespaces: Annotated[tuple[NamespaceName, ...], Field(max_length=256), SET] = ()
    """Namespaces whose orders are this client's. A namespace belongs to one account only."""
    domains: Annotated[tuple[DomainName, ...], Field(max_length=1024), SET] = ()
    """Domains assigned to this client, with everything below them. Other domains it must prove itself."""
    organisation: Subject | None = None
    """The organisation as the authority vetted it. Subjects of OV and EV orders must equal it."""
    authorities: Annotated[tuple[ObjectName, ...], Field(max_length=64), SET] = ()
    """SSLAuthority objects that the client may use. Empty: the default ones only."""
    products: Annotated[tuple[Product, ...], Field(max_length=3), SET] = ()
    """Products that the client may order. Empty: DV only."""
    contact: Contact
    """Whom to turn to."""


class NamespaceIdentity(Projection):
    """A namespace as it was when the provider named it."""

    name: NamespaceName
    """Name of the namespace."""
    uid: UID
    """UID that the name is pinned to. A namespace made again under its old name is another one."""


class AccountStatus(Projection):
    """What the operator holds about the account."""

    observed_generation: int = -1
    """Generation of the account that was judged; -1 before the first."""
    namespaces: Annotated[tuple[NamespaceIdentity, ...], Field(max_length=256), BY_NAME] = ()
    """The namespaces' identities, pinned when first seen."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16), BY_TYPE] = ()
    """Observations for programs."""


class SSLAccount(KubernetesObject):
    """One client of the provider: its namespaces, domains and vetted organisation, and what it may order.

    Editing it stops claims, purchases and reissues that it no longer allows.
    It never withdraws a published Secret.
    """

    KIND: ClassVar[Kind] = Kind(
        name="SSLAccount",
        plural="sslaccounts",
        scope=Scope.CLUSTER,
        short_names=("ssla",),
        columns=(
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Namespaces", ".spec.namespaces"),
            Column("Products", ".spec.products"),
            Column("Domains", ".spec.domains", wide=True),
            Column("Contact", ".spec.contact.email", wide=True),
        ),
    )

    spec: AccountSpec
    """Who the client is and what it may order."""
    status: AccountStatus = AccountStatus()
    """What the operator holds about it."""
