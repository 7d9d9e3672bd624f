"""`SSLCertificateOrder`: the purchase order of one contract, written by the client in its own namespace.

Rules:
- What the contract rests on can be corrected until a payment is applied, and never after.
- Names may then only become fewer: the leaf is reissued without the lost ones (5.5a).
- How the certificate is served, renewed and ended stays the client's to change.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sslorder.api.common import (
    MAX_NAMES,
    Column,
    Condition,
    Covers,
    DNSName,
    Kind,
    KubernetesObject,
    Message,
    ObjectName,
    ObjectRef,
    Product,
    PurchaseOrder,
    Scope,
    SerialNumber,
    ShortText,
    Subject,
    TermYears,
)
from sslorder.api.phases import Phase
from sslorder.api.revocation import CLIENT_CIRCUMSTANCES, Circumstance, Revocation
from sslorder.api.schema import (
    BY_NAME,
    BY_TYPE,
    SET,
    Duration,
    Model,
    Moment,
    Projection,
    Rule,
    immutable,
    rules,
)


class KeyAlgorithm(StrEnum):
    """Key types that the CA/B Forum allows for TLS (BR 6.1.5)."""

    ECDSA = "ECDSA"
    RSA = "RSA"


KEY_SIZES = {KeyAlgorithm.ECDSA: (256, 384, 521), KeyAlgorithm.RSA: (2048, 3072, 4096)}


class RotationPolicy(StrEnum):
    """Whether a reissue makes a new private key."""

    ALWAYS = "Always"
    NEVER = "Never"


class Renewal(StrEnum):
    """What follows the period (7.4)."""

    TACIT = "Tacit"
    NONE = "None"


class AcceptedTerms(Model):
    """The versions of the terms that the client accepts with this order (2.2, 2.3)."""

    conditions: Annotated[ShortText, Field(min_length=1)]
    """Version of the provider's conditions, as the provider publishes it."""
    authority: Annotated[ShortText, Field(min_length=1)]
    """Version of the certification authority's terms, as the provider publishes it."""


class PrivateKeySpec(
    Model,
    json_schema_extra=rules(
        *(
            Rule(
                f"self.algorithm != '{algorithm}' || self.size in {list(sizes)}",
                f"size of an {algorithm} key: write {', '.join(map(str, sizes[:-1]))} or {sizes[-1]}",
                ".size",
            )
            for algorithm, sizes in KEY_SIZES.items()
        )
    ),
):
    """The private key that the operator makes for each leaf."""

    algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA
    """Type of the key."""
    size: Annotated[int, Field(ge=256, le=4096)] = 256
    """Size in bits. ECDSA: 256, 384 or 521. RSA: 2048, 3072 or 4096."""
    rotation_policy: RotationPolicy = RotationPolicy.ALWAYS
    """Always: each reissue has a new key. Never: a reissue keeps the key, unless it was compromised."""


_TEMPLATE_RULES = (
    Rule(
        "self.all(key, !format.qualifiedName().validate(key).hasValue())",
        "write keys of at most 63 letters, digits, - _ or ., with a prefix or not, as in example.com/team",
    ),
    Rule(
        "self.all(key, !key.startsWith('ssl.synchrone.be/'))",
        "keys under ssl.synchrone.be/ are the operator's own: choose another prefix",
    ),
    Rule(
        "self.all(key, key.startsWith('app.kubernetes.io/')"
        " || !(key.contains('kubernetes.io/') || key.contains('k8s.io/')))",
        "kubernetes.io/ and k8s.io/ are reserved, except app.kubernetes.io/: choose another prefix",
    ),
)


class SecretTemplate(Model):
    """Labels and annotations that the published Secret carries besides the operator's own."""

    labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(max_length=32),
        *_TEMPLATE_RULES,
        Rule(
            "self.all(key, !format.labelValue().validate(self[key]).hasValue())",
            "a label's value is letters, digits and inner - _ or .: move anything else to annotations",
        ),
    ] = Field(default_factory=dict)
    """Labels of the Secret."""
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=1024)]],
        Field(max_length=32),
        *_TEMPLATE_RULES,
    ] = Field(default_factory=dict)
    """Annotations of the Secret."""


class ReissueRequest(Model):
    """A wish for a new leaf inside paid time. It costs nothing, but is limited per month."""

    requested_at: Moment
    """When it was asked. A later moment asks again."""


class RevocationRequest(Revocation):
    """The client's notice that a leaf must be revoked (5.5a). It does not end the contract."""

    leaf: Annotated[int, Field(ge=1, le=10_000)]
    """Number of the leaf to revoke, as in status.certificate.leaf."""
    circumstance: Annotated[Circumstance, Field(json_schema_extra={"enum": list(CLIENT_CIRCUMSTANCES)})]
    """What happened."""


class OrderSpec(
    Model,
    json_schema_extra=rules(
        Rule(
            "self.product == 'DV' || has(self.subject)",
            "an OV or EV order states the organisation: write subject as it was vetted",
            ".subject",
        ),
        Rule(
            "self.product != 'DV' || !has(self.subject)",
            "a DV certificate states no organisation: leave out subject, or order OV or EV",
            ".subject",
        ),
        Rule(
            "self.product != 'EV' || !has(self.subject) || (has(self.subject.businessCategory)"
            " && has(self.subject.registrationNumber) && has(self.subject.jurisdictionCountry))",
            "the subject of an EV order also needs businessCategory, registrationNumber, jurisdictionCountry",
            ".subject",
        ),
        Rule(
            "self.product != 'EV' || !self.dnsNames.exists(name, name.startsWith('*'))",
            "an EV certificate has no wildcard: write the names one by one, or order OV",
            ".dnsNames",
        ),
        Rule(
            "!has(oldSelf.revocation) || (has(self.revocation) && (self.revocation == oldSelf.revocation"
            " || self.revocation.leaf > oldSelf.revocation.leaf))",
            "a revocation that was asked stays: leave it as it was, or ask for that of a later leaf",
            ".revocation",
        ),
    ),
):
    """What the client orders. Contractual fields are fixed once a payment was applied."""

    purchase_order: PurchaseOrder
    """Number of the purchase order (bon de commande, 2.1). With the account it identifies the contract."""
    term_years: TermYears
    """Length of a period: 1, 2 or 3 years (7.3), from the order's arrival."""
    product: Product
    """How far the authority vets the subject: DV (domain), OV (organisation) or EV (extended)."""
    dns_names: Annotated[tuple[DNSName, ...], Field(min_length=1, max_length=MAX_NAMES), SET]
    """Names in the certificate, international ones as A-labels. Once paid they may only become fewer."""
    subject: Subject | None = None
    """OV and EV: the organisation as vetted. DV: absent."""
    accepted_terms: AcceptedTerms
    """Versions of the terms that are accepted with this order."""
    authority_ref: ObjectRef | None = None
    """SSLAuthority to buy from. Absent: the default one for the product."""
    secret_name: ObjectName
    """Name of the Secret (kubernetes.io/tls) in this namespace in which certificate and key are published."""
    private_key: PrivateKeySpec = PrivateKeySpec()
    """Private key of the leaves."""
    secret_template: SecretTemplate | None = None
    """Labels and annotations for the Secret."""
    renewal: Renewal = Renewal.TACIT
    """Tacit: an identical period follows, prepaid (7.4). None gives notice: the contract ends with it."""
    reissue_before: Duration | None = None
    """How long before a leaf runs out the next is asked for, as in 720h. Absent: a default."""
    reissue: ReissueRequest | None = None
    """Asks for a new leaf with a new key now."""
    revocation: RevocationRequest | None = None
    """Asks for the revocation of a leaf."""


class PaymentDue(Projection):
    """What a payment must say for this order to go on."""

    account: ObjectName
    """SSLAccount of the contract."""
    purchase_order: Annotated[str, Field(max_length=64)]
    """Purchase order of the contract."""
    period: Annotated[int, Field(ge=1)]
    """Number of the period that is due."""
    starts_on: date
    """First day of the period, Europe/Brussels."""
    ends_on: date
    """Last day of the period, Europe/Brussels."""
    covers: Covers
    """What must be covered."""


class ContractStatus(Projection):
    """The contract's dates, as its dossier holds them."""

    start: Moment
    """Start of the first period: the order's arrival (7.1)."""
    end: Moment
    """End of the current period."""
    notice_deadline: Moment
    """Last moment at which notice stops the next period (7.4)."""
    period: Annotated[int, Field(ge=1)]
    """Number of the current period."""
    paid_through: Moment | None = None
    """End of paid time. Present once a payment was applied."""
    hash: Annotated[str, Field(max_length=64)] | None = None
    """Mark of the contract on its dossier and its Secret."""


class CertificateStatus(Projection):
    """The leaf that is served."""

    leaf: Annotated[int, Field(ge=1)]
    """Number of the leaf in this contract."""
    serial_number: SerialNumber
    """Serial number, hexadecimal."""
    not_before: Moment
    """First moment of validity."""
    not_after: Moment
    """Last moment of validity."""
    fingerprint: Annotated[str, Field(max_length=128)]
    """SHA-256 fingerprint of the certificate."""
    reissue_at: Moment | None = None
    """When its successor is asked for."""


class RevokedStatus(Projection):
    """The leaf that was revoked last."""

    leaf: Annotated[int, Field(ge=1)]
    """Number of the leaf in this contract."""
    serial_number: SerialNumber
    """Serial number, hexadecimal."""
    revoked_at: Moment
    """When the authority revoked it."""
    circumstance: Circumstance | None = None
    """What had happened. Absent: the authority revoked it of its own accord."""


class ValidationState(StrEnum):
    """Whether the authority accepts a name as this account's."""

    PENDING = "Pending"
    VERIFIED = "Verified"


class DNSRecord(Projection):
    """A record to set in DNS."""

    name: Annotated[str, Field(max_length=255)]
    """Owner name of the record."""
    type: Annotated[str, Field(max_length=16)]
    """Type of the record, as in TXT."""
    value: Annotated[str, Field(max_length=1024)]
    """Value of the record."""


class NameValidation(Projection):
    """How one name is proved to the authority."""

    name: Annotated[str, Field(max_length=253)]
    """Name or registrable domain that is proved."""
    method: Annotated[str, Field(max_length=32)]
    """How it is proved, as in DNS."""
    record: DNSRecord | None = None
    """The record to set, while the proof is pending."""
    state: ValidationState
    """Whether the proof was seen."""
    expires_at: Moment | None = None
    """Until when the proof may be used or given."""
    message: Message | None = None
    """What to do, or what went wrong."""


class HistoryEntry(Projection):
    """One transition of the order."""

    time: Moment
    """When."""
    from_: Annotated[Phase | None, Field(alias="from")] = None
    """Phase before. Absent on arrival."""
    to: Phase
    """Phase after."""
    article: Annotated[str, Field(max_length=32)]
    """Article of the conditions that it rests on."""
    cause: Annotated[str, Field(max_length=64)]
    """What brought it about."""
    message: Message = ""
    """In a sentence."""


class OrderStatus(Projection):
    """What became of the order: a projection of its dossier, written by the operator alone."""

    observed_generation: int = -1
    """Generation of the order that was judged; -1 before the first."""
    phase: Phase | None = None
    """Where the order stands."""
    message: Message | None = None
    """In a sentence: where it stands and what to do."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16), BY_TYPE] = ()
    """Observations for programs; Ready, Reconciling and Stalled as kstatus reads them."""
    payment_due: PaymentDue | None = None
    """What a payment must say, while one is awaited."""
    contract: ContractStatus | None = None
    """Dates of the contract."""
    authority: ObjectName | None = None
    """SSLAuthority that the order resolved to."""
    certificate: CertificateStatus | None = None
    """The leaf that is served, or that returns when a suspension is lifted."""
    revoked: RevokedStatus | None = None
    """The leaf that was revoked last."""
    validation: Annotated[tuple[NameValidation, ...], Field(max_length=MAX_NAMES), BY_NAME] = ()
    """Proofs of the names."""
    reminders: Annotated[tuple[ShortText, ...], Field(max_length=8), SET] = ()
    """Warnings ahead of time that were given as events: of what, for which period or leaf."""
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=20)] = ()
    """The last transitions, the oldest first."""


_PAID = "has(oldSelf.status) && has(oldSelf.status.contract) && has(oldSelf.status.contract.paidThrough)"
CONTRACTUAL_FIELDS = ("purchaseOrder", "termYears", "product", "subject", "authorityRef", "acceptedTerms")


class SSLCertificateOrder(
    KubernetesObject,
    json_schema_extra=rules(
        *immutable(
            CONTRACTUAL_FIELDS,
            "cannot change once a payment was applied: put it back, or order under a new purchase order",
            parent=".spec",
            unless=f"!({_PAID})",
        ),
        Rule(
            f"!({_PAID}) || self.spec.dnsNames.all(name, name in oldSelf.spec.dnsNames)",
            "dnsNames can only become fewer once a payment was applied: order others in a new order",
            ".spec.dnsNames",
        ),
    ),
):
    """An order for a TLS certificate over one, two or three years: the purchase order of one contract.

    It waits in PendingPayment until the payment is recorded; nothing is asked of the authority before.
    Then certificate and key stand in the Secret named by spec.secretName, as long as the contract allows.
    Deleting an order does not end a paid contract: declared again, it takes up what was bought.
    """

    KIND: ClassVar[Kind] = Kind(
        name="SSLCertificateOrder",
        plural="sslcertificateorders",
        scope=Scope.NAMESPACED,
        short_names=("sslo", "sslorder", "sslorders"),
        columns=(
            Column("Phase", ".status.phase"),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Secret", ".spec.secretName"),
            Column("Paid until", ".status.contract.paidThrough"),
            Column("Expires", ".status.certificate.notAfter"),
            Column("Purchase order", ".spec.purchaseOrder", wide=True),
            Column("Serial", ".status.certificate.serialNumber", wide=True),
            Column("Message", ".status.message", wide=True),
        ),
        selectable=(".spec.purchaseOrder", ".status.phase"),
    )

    spec: OrderSpec
    """What is ordered."""
    status: OrderStatus = OrderStatus()
    """What became of it."""
