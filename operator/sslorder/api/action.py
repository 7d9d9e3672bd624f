"""`SSLContractAction`: a measure on a contract, an account or an authority. A record, never edited.

Rules:
- `TARGETS` says which action takes which target, `FIELDS` which action takes which further field.
  Both are tables from which the CEL rules are made.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from sslorder.api.common import (
    Column,
    Kind,
    KubernetesObject,
    Message,
    NamespaceName,
    ObjectName,
    PurchaseOrder,
    Scope,
    SerialNumber,
)
from sslorder.api.revocation import Revocation
from sslorder.api.schema import SET, Model, Moment, Projection, Rule, rules


class Action(StrEnum):
    """What the provider does."""

    SUSPEND = "Suspend"
    REINSTATE = "Reinstate"
    TERMINATE = "Terminate"
    REJECT = "Reject"
    REVOKE = "Revoke"
    NOTICE = "Notice"
    ARRIVAL = "Arrival"
    TRANSFER = "Transfer"
    RESOLVE = "Resolve"


class TargetKind(StrEnum):
    """What an action is aimed at."""

    CONTRACT = "contract"
    ACCOUNT = "account"
    AUTHORITY = "authority"


TARGETS: dict[Action, tuple[TargetKind, ...]] = {
    Action.SUSPEND: (TargetKind.CONTRACT, TargetKind.ACCOUNT, TargetKind.AUTHORITY),
    Action.REINSTATE: (TargetKind.CONTRACT, TargetKind.ACCOUNT, TargetKind.AUTHORITY),
    Action.TERMINATE: (TargetKind.CONTRACT, TargetKind.ACCOUNT),
    Action.REJECT: (TargetKind.CONTRACT,),
    Action.REVOKE: (TargetKind.CONTRACT,),
    Action.NOTICE: (TargetKind.CONTRACT,),
    Action.ARRIVAL: (TargetKind.CONTRACT,),
    Action.TRANSFER: (TargetKind.CONTRACT, TargetKind.ACCOUNT),
    Action.RESOLVE: (TargetKind.CONTRACT,),
}


@dataclass(frozen=True, slots=True)
class Use:
    """Which actions need a field, and which others may have it."""

    needed_by: tuple[Action, ...] = ()
    allowed_by: tuple[Action, ...] = ()

    @property
    def users(self) -> tuple[Action, ...]:
        return self.needed_by + self.allowed_by


FIELDS: dict[str, Use] = {
    "cause": Use(
        needed_by=(Action.SUSPEND, Action.TERMINATE, Action.REJECT),
        allowed_by=(
            Action.REINSTATE,
            Action.REVOKE,
            Action.NOTICE,
            Action.ARRIVAL,
            Action.TRANSFER,
            Action.RESOLVE,
        ),
    ),
    "effectiveAt": Use(
        allowed_by=(Action.SUSPEND, Action.REINSTATE, Action.TERMINATE, Action.REJECT, Action.REVOKE)
    ),
    "until": Use(allowed_by=(Action.SUSPEND,)),
    "revokeAtAuthority": Use(allowed_by=(Action.TERMINATE, Action.REJECT)),
    "lifts": Use(allowed_by=(Action.REINSTATE,)),
    "sentAt": Use(needed_by=(Action.NOTICE,)),
    "receivedAt": Use(needed_by=(Action.ARRIVAL,)),
    "transferTo": Use(needed_by=(Action.TRANSFER,)),
    "fromNamespace": Use(allowed_by=(Action.TRANSFER,)),
    "revocation": Use(needed_by=(Action.REVOKE,)),
    "resolve": Use(needed_by=(Action.RESOLVE,)),
}


class Article(StrEnum):
    """Articles that an action may rest on. The list of 9.2 is open: Other, with a note."""

    ABUSE = "5.3b"
    DOMAIN_OR_ORGANISATION_CHANGED = "5.5a"
    SERVICE_WITHDRAWN = "8.1"
    NOTICE = "9.1"
    DOMAIN_LOST = "9.2(1)"
    BREACH = "9.2(2)"
    AUTHORITIES = "9.2(3)"
    CLIENT_REQUEST = "9.2(4)"
    ILLICIT_USE = "9.2(5)"
    NON_PAYMENT = "9.2(6)"
    OTHER = "Other"


class Cause(
    Model,
    json_schema_extra=rules(
        Rule(
            "self.article != 'Other' || has(self.note)",
            "article Other does not speak for itself: write a note that does",
            ".note",
        )
    ),
):
    """What an action rests on."""

    article: Article
    """Article of the provider's conditions, or Other."""
    note: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """In the provider's words. The client sees it."""


class Target(Model):
    """A contract (account and purchaseOrder), an account (alone) or an authority (alone)."""

    account: ObjectName | None = None
    """SSLAccount."""
    purchase_order: PurchaseOrder | None = None
    """Purchase order of the account's contract."""
    authority: ObjectName | None = None
    """SSLAuthority."""

    @property
    def kind(self) -> TargetKind:
        if self.authority is not None:
            return TargetKind.AUTHORITY
        return TargetKind.ACCOUNT if self.purchase_order is None else TargetKind.CONTRACT


class TransferTo(Model):
    """Where contracts go."""

    namespace: NamespaceName
    """Namespace of the new holder."""
    name: ObjectName | None = None
    """Name of the order that becomes the holder. Absent: orders keep their names."""


class RevocationOrder(Revocation):
    """Which leaf is revoked, and why."""

    leaf: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Number of the leaf. Absent: the one that is served."""


class Resolution(
    Model,
    json_schema_extra=rules(
        Rule(
            "[has(self.adopt), has(self.buyAgain) && self.buyAgain, has(self.abandon) && self.abandon]"
            ".filter(chosen, chosen).size() == 1",
            "write exactly one of adopt (a serial number), buyAgain: true and abandon: true",
        )
    ),
):
    """How an issuance of unknown outcome ends. Exactly one."""

    adopt: SerialNumber | None = None
    """The certificate with this serial number is the one that was bought."""
    buy_again: bool | None = None
    """Nothing was issued: buy again with a new key."""
    abandon: bool | None = None
    """Nothing was issued, and nothing is to be bought."""


_SHAPES = {
    TargetKind.CONTRACT: (
        "(has(self.target.account) && has(self.target.purchaseOrder) && !has(self.target.authority))",
        "a contract (account and purchaseOrder)",
    ),
    TargetKind.ACCOUNT: (
        "(has(self.target.account) && !has(self.target.purchaseOrder) && !has(self.target.authority))",
        "an account (account alone)",
    ),
    TargetKind.AUTHORITY: (
        "(!has(self.target.account) && !has(self.target.purchaseOrder) && has(self.target.authority))",
        "an authority (authority alone)",
    ),
}


def _target_rule(action: Action) -> Rule:
    shapes, words = zip(*(_SHAPES[kind] for kind in TARGETS[action]), strict=True)
    return Rule(
        f"self.action != '{action}' || {' || '.join(shapes)}",
        f"the target of {action} is {' or '.join(words)}: write that",
        ".target",
    )


def _field_rules(field: str, use: Use) -> tuple[Rule, ...]:
    guards = []
    if set(use.users) != set(Action):
        users = [action.value for action in use.users]
        guards.append(
            Rule(
                f"!has(self.{field}) || self.action in {users}",
                f"{field} goes with {', '.join(users)} only: leave it out",
                f".{field}",
            )
        )
    if use.needed_by:
        needed = [action.value for action in use.needed_by]
        guards.append(
            Rule(
                f"has(self.{field}) || !(self.action in {needed})",
                f"{', '.join(needed)} cannot do without {field}: write it",
                f".{field}",
            )
        )
    return tuple(guards)


class ActionSpec(
    Model,
    json_schema_extra=rules(
        Rule("self == oldSelf", "an action is a record and cannot change: leave it and record another one"),
        *(_target_rule(action) for action in Action),
        *(guard for field, use in FIELDS.items() for guard in _field_rules(field, use)),
        Rule(
            "!has(self.until) || !has(self.effectiveAt) || self.until > self.effectiveAt",
            "until lies after effectiveAt: write a later moment",
            ".until",
        ),
        Rule(
            "self.action != 'Transfer' || has(self.target.purchaseOrder) == !has(self.fromNamespace)",
            "fromNamespace says which of an account's contracts are transferred: write it if the target is an"
            " account, leave it out if it is a contract",
            ".fromNamespace",
        ),
        Rule(
            "!has(self.transferTo) || !has(self.transferTo.name) || has(self.target.purchaseOrder)",
            "transferTo.name goes with one contract only: leave it out, or name the purchaseOrder",
            ".transferTo.name",
        ),
    ),
):
    """What is done, to what, why and when. Immutable."""

    action: Action
    """What is done."""
    cause: Cause | None = None
    """What it rests on. Suspend, Terminate and Reject need it."""
    target: Target
    """What it is done to."""
    effective_at: Moment | None = None
    """When it takes effect. Absent: at once."""
    until: Moment | None = None
    """Suspend: when the suspension ends by itself. Absent: when it is lifted."""
    revoke_at_authority: bool | None = None
    """Terminate, Reject: also revoke the leaves at the authority. Absent: they are only withdrawn."""
    lifts: Annotated[tuple[ObjectName, ...], Field(min_length=1, max_length=64), SET] | None = None
    """Reinstate: names of the actions that are lifted. Absent: every one in force on the same target."""
    sent_at: Moment | None = None
    """Notice: when the registered letter was posted (9.1)."""
    received_at: Moment | None = None
    """Arrival: when an order on paper arrived (7.1). Counts before the first purchase only."""
    transfer_to: TransferTo | None = None
    """Transfer: the new holder."""
    from_namespace: NamespaceName | None = None
    """Transfer of an account's contracts: the namespace whose contracts are transferred."""
    revocation: RevocationOrder | None = None
    """Revoke: which leaf, and why."""
    resolve: Resolution | None = None
    """Resolve: how an issuance of unknown outcome ends."""


class ActionState(StrEnum):
    """What became of an action."""

    PENDING = "Pending"
    CARRIED_OUT = "CarriedOut"
    NOT_APPLICABLE = "NotApplicable"


class CarriedOut(Projection):
    """An order on which an action was carried out."""

    namespace: NamespaceName
    """Namespace of the order."""
    name: ObjectName
    """Name of the order."""
    at: Moment
    """When."""


class ActionStatus(Projection):
    """What became of the action."""

    observed_generation: int = -1
    """Generation of the action that was judged; -1 before the first."""
    state: ActionState | None = None
    """Pending, carried out, or not applicable."""
    message: Message | None = None
    """In a sentence: what became of it and what to do."""
    carried_out_on: Annotated[tuple[CarriedOut, ...], Field(max_length=1024)] = ()
    """The orders on which it was carried out, the first 1024."""


class SSLContractAction(KubernetesObject):
    """A measure of the provider: suspension, termination, revocation and the like, with its cause.

    Deleting an action undoes nothing: a suspension is lifted by Reinstate.
    """

    KIND: ClassVar[Kind] = Kind(
        name="SSLContractAction",
        plural="sslcontractactions",
        scope=Scope.CLUSTER,
        short_names=("sslca",),
        columns=(
            Column("Action", ".spec.action"),
            Column("State", ".status.state"),
            Column("Account", ".spec.target.account"),
            Column("Purchase order", ".spec.target.purchaseOrder"),
            Column("Authority", ".spec.target.authority"),
            Column("Article", ".spec.cause.article"),
            Column("Effective", ".spec.effectiveAt", wide=True),
            Column("Message", ".status.message", wide=True),
        ),
        selectable=(".spec.action", ".spec.target.account", ".spec.target.purchaseOrder"),
    )

    spec: ActionSpec
    """What is done."""
    status: ActionStatus = ActionStatus()
    """What became of it."""
