"""Why a leaf is revoked, in the contract's words. Nobody writes a CRL reason: the contract maps these."""

from enum import StrEnum

from sslorder.api.schema import Model, Moment, Rule, rules


class Circumstance(StrEnum):
    """What happened that the certificate must not be trusted any longer."""

    ORGANISATION_CHANGED = "OrganisationChanged"
    DOMAIN_CHANGED = "DomainChanged"
    KEY_COMPROMISED = "KeyCompromised"
    INFORMATION_WRONG = "InformationWrong"
    SUPERSEDED = "Superseded"
    SITE_CLOSED = "SiteClosed"
    CLIENT_ENDS = "ClientEnds"
    DOMAIN_LOST = "DomainLost"
    ILLICIT_USE = "IllicitUse"
    ABUSE = "Abuse"
    BREACH = "Breach"
    AUTHORITIES_FORBID_NAME = "AuthoritiesForbidName"
    AUTHORITIES_REQUEST = "AuthoritiesRequest"
    NON_PAYMENT = "NonPayment"


CLIENT_CIRCUMSTANCES = (
    Circumstance.ORGANISATION_CHANGED,
    Circumstance.DOMAIN_CHANGED,
    Circumstance.KEY_COMPROMISED,
    Circumstance.INFORMATION_WRONG,
    Circumstance.SUPERSEDED,
    Circumstance.SITE_CLOSED,
    Circumstance.CLIENT_ENDS,
)
"""Those that a client may name in its own order; the others are the provider's to judge."""


class Revocation(
    Model,
    json_schema_extra=rules(
        Rule(
            f"!has(self.compromisedAt) || self.circumstance == '{Circumstance.KEY_COMPROMISED}'",
            "compromisedAt goes with KeyCompromised only: leave it out, or change circumstance",
            ".compromisedAt",
        )
    ),
):
    """What happened to a leaf, and whether another takes its place."""

    circumstance: Circumstance
    """What happened."""
    compromised_at: Moment | None = None
    """KeyCompromised: since when the key may have been in other hands, where known."""
    replace: bool = False
    """Serve a new leaf first, then revoke this one."""
