"""Circumstances of a revocation in the contract's words, and the CRL reason that each becomes.

Rules:
- The order and the actions name the circumstance; nobody writes a reason code.
- certificateHold does not exist for TLS (BR 7.2.2): a suspension is never a revocation.
- privilegeWithdrawn is sent only where the authority's account allows it (BR 4.9.1.1), else unspecified.
"""

from enum import StrEnum

from sslorder.api.common import Product
from sslorder.api.revocation import Circumstance


class RevocationReason(StrEnum):
    """The reasons that a TLS leaf may be revoked for (BR 7.2.2), in the authority's spelling."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


_REASONS = {
    Circumstance.DOMAIN_CHANGED: RevocationReason.CESSATION_OF_OPERATION,
    Circumstance.DOMAIN_LOST: RevocationReason.CESSATION_OF_OPERATION,
    Circumstance.KEY_COMPROMISED: RevocationReason.KEY_COMPROMISE,
    Circumstance.INFORMATION_WRONG: RevocationReason.UNSPECIFIED,
    Circumstance.ILLICIT_USE: RevocationReason.PRIVILEGE_WITHDRAWN,
    Circumstance.ABUSE: RevocationReason.PRIVILEGE_WITHDRAWN,
    Circumstance.BREACH: RevocationReason.PRIVILEGE_WITHDRAWN,
    Circumstance.AUTHORITIES_FORBID_NAME: RevocationReason.CESSATION_OF_OPERATION,
    Circumstance.AUTHORITIES_REQUEST: RevocationReason.UNSPECIFIED,
    Circumstance.SITE_CLOSED: RevocationReason.CESSATION_OF_OPERATION,
    Circumstance.CLIENT_ENDS: RevocationReason.UNSPECIFIED,
    Circumstance.NON_PAYMENT: RevocationReason.UNSPECIFIED,
    Circumstance.SUPERSEDED: RevocationReason.SUPERSEDED,
}


def reason(
    circumstance: Circumstance, product: Product, *, replaced: bool, privilege_withdrawn_allowed: bool
) -> RevocationReason:
    """The reason sent to the authority. `replaced`: a new leaf is served already.

    An organisation that changed is an affiliation only where the certificate states one (OV, EV).
    """
    if circumstance is Circumstance.ORGANISATION_CHANGED:
        if product is not Product.DV:
            return RevocationReason.AFFILIATION_CHANGED
        return RevocationReason.SUPERSEDED if replaced else RevocationReason.UNSPECIFIED
    found = _REASONS[circumstance]
    if found is RevocationReason.PRIVILEGE_WITHDRAWN and not privilege_withdrawn_allowed:
        return RevocationReason.UNSPECIFIED
    return found
