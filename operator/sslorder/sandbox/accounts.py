"""Accounts: one API credential each, with the product and the validation policy that belong to it."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sslorder.sandbox.policy import (
    AlgorithmPolicy,
    ExtendedKeyUsagePolicy,
    ListPolicy,
    Policy,
    Presence,
    PublicKeyPolicy,
    SignaturePolicy,
    StringPolicy,
    ValidityPolicy,
)
from sslorder.sandbox.settings import LONGEST

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = rf"(?:{LABEL}\.)+{LABEL}"
HOST_NAME, HOST_OR_WILDCARD = rf"^{DOMAIN}$", rf"^(?:\*\.)?{DOMAIN}$"

Domain = Annotated[str, StringConstraints(pattern=HOST_NAME, max_length=253)]
Seconds = Annotated[int, Field(ge=1)]

SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
SUBJECT_FIELDS = (
    "business_category",
    "jurisdiction_of_incorporation_country_name",
    "jurisdiction_of_incorporation_state_or_province_name",
    "jurisdiction_of_incorporation_locality_name",
    "serial_number",
    "country",
    "state",
    "locality",
    "street_address",
    "organization",
    "common_name",
    "email",
)
_VETTED = frozenset({"country", "organization"})
_VETTED_FOR_EV = _VETTED | {
    "business_category",
    "jurisdiction_of_incorporation_country_name",
    "serial_number",
}


class Profile(BaseModel):
    """What an account may buy. `subject` is the organisation vetted for OV and EV, by HVCA's names;
    `demanded` are fields of the subject that a request must state."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    product: Literal["DV", "OV", "EV"] = "DV"
    min_validity_seconds: Seconds = 1
    max_validity_seconds: Seconds = LONGEST
    key_type: Literal["ECDSA", "RSA"] = "ECDSA"
    key_lengths: list[int] = []
    key_format: Literal["PKCS8", "PKCS10"] = "PKCS10"
    public_key_signature: Presence = Presence.FORBIDDEN
    subject: dict[str, str] = {}
    demanded: list[Literal["common_name", "email"]] = []

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.min_validity_seconds > self.max_validity_seconds:
            raise ValueError("min_validity_seconds exceeds max_validity_seconds")
        needed = {"DV": frozenset[str](), "OV": _VETTED, "EV": _VETTED_FOR_EV}[self.product]
        if missing := sorted(needed - self.subject.keys()):
            raise ValueError(
                f"subject lacks {', '.join(missing)}: {self.product} states a vetted organisation"
            )
        if needed and not self.subject.keys() & {"state", "locality"}:
            raise ValueError("subject lacks locality or state (BR 7.1.2.7.4)")
        if surplus := sorted(
            self.subject.keys() - (set(SUBJECT_FIELDS) - {"common_name", "email"} if needed else set())
        ):
            raise ValueError(f"subject holds {', '.join(surplus)}, which {self.product} does not state")
        return self

    def policy(self, issuer_expiry: int) -> Policy:
        """The validation policy, for an issuer that ends at `issuer_expiry` (unix)."""
        names = HOST_NAME if self.product == "EV" else HOST_OR_WILDCARD  # EVG 7.1.4.2.1
        static = {
            field: StringPolicy(presence=Presence.STATIC, format=value)
            for field, value in self.subject.items()
        }
        forbidden = StringPolicy(presence=Presence.FORBIDDEN)
        default_lengths = [256, 384] if self.key_type == "ECDSA" else [2048, 3072, 4096]
        subject: dict[str, StringPolicy | ListPolicy] = {
            **{field: static.get(field, forbidden) for field in SUBJECT_FIELDS},
            "common_name": StringPolicy(presence=Presence.OPTIONAL, format=names),
            "organizational_unit": ListPolicy(),
            **{
                field: StringPolicy(
                    presence=Presence.REQUIRED, format=names if field == "common_name" else ".+@.+"
                )
                for field in self.demanded
            },
        }
        return Policy(
            validity=ValidityPolicy(
                secondsmin=self.min_validity_seconds,
                secondsmax=self.max_validity_seconds,
                issuer_expiry=issuer_expiry,
            ),
            subject_dn=subject,
            san={
                "dns_names": ListPolicy(list=(names,), mincount=1, maxcount=100),
                "emails": ListPolicy(),
                "ip_addresses": ListPolicy(),
                "uris": ListPolicy(),
            },
            extended_key_usages=ExtendedKeyUsagePolicy(
                ekus=ListPolicy(static=True, list=(SERVER_AUTH,), mincount=1, maxcount=1)
            ),
            signature=SignaturePolicy(
                algorithm=AlgorithmPolicy(presence=Presence.STATIC, list=("ECDSA",)),
                hash_algorithm=AlgorithmPolicy(presence=Presence.OPTIONAL, list=("SHA-256",)),
            ),
            public_key=PublicKeyPolicy(
                key_type=self.key_type,
                allowed_lengths=self.key_lengths or default_lengths,
                key_format=self.key_format,
            ),
            public_key_signature=self.public_key_signature,
        )


class NewAccount(Profile):
    """The body of the administration port's POST /accounts."""

    quota: Annotated[int, Field(ge=0)] = 1_000
    preapproved: list[Domain] = []


class AccountChange(BaseModel):
    """The body of PATCH /accounts/NAME: what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    quota: Annotated[int, Field(ge=0)] | None = None
    min_validity_seconds: Seconds | None = None
    max_validity_seconds: Seconds | None = None
    preapproved: list[Domain] = []
