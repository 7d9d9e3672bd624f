"""The types of conditions and their reasons: what a program may rely on. Sentences are in the messages."""

from enum import StrEnum


class ConditionType(StrEnum):
    """What is observed. Ready, Reconciling and Stalled are those of kstatus."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PERIOD_PAID = "PeriodPaid"
    DOMAIN_VALIDATED = "DomainValidated"
    IDENTITY_VETTED = "IdentityVetted"
    SECRET_PUBLISHED = "SecretPublished"  # noqa: S105 - a word, no password
    NOTICE_GIVEN = "NoticeGiven"
    ISSUANCE_UNCERTAIN = "IssuanceUncertain"
    UNKNOWN_CERTIFICATES = "UnknownCertificates"


class Reason(StrEnum):
    """Why a condition has its status."""

    # The order cannot be accepted as it stands.
    NO_ACCOUNT = "NoAccount"
    AMBIGUOUS_ACCOUNT = "AmbiguousAccount"
    NAMESPACE_REPLACED = "NamespaceReplaced"
    PURCHASE_ORDER_TAKEN = "PurchaseOrderTaken"
    HOLDER_DIFFERS = "HolderDiffers"
    TERMS_NOT_IN_FORCE = "TermsNotInForce"
    NO_AUTHORITY = "NoAuthority"
    AUTHORITY_NOT_ALLOWED = "AuthorityNotAllowed"
    PRODUCT_NOT_ALLOWED = "ProductNotAllowed"
    AUTHORITY_PRODUCT_DIFFERS = "AuthorityProductDiffers"
    SUBJECT_NOT_VETTED = "SubjectNotVetted"
    DOMAIN_NOT_ASSIGNED = "DomainNotAssigned"
    # The contract is under way, and waits for something or someone.
    PAYMENT_DUE = "PaymentDue"
    PAID = "Paid"
    VALIDATION_PENDING = "ValidationPending"
    VALIDATED = "Validated"
    VETTED = "Vetted"
    ISSUING = "Issuing"
    PUBLISHED = "Published"
    REVOKING = "Revoking"
    NOTICE_RECORDED = "NoticeRecorded"
    SECRET_CONFLICT = "SecretConflict"  # noqa: S105 - a word, no password
    LEDGER_BEHIND = "LedgerBehind"
    ISSUANCE_UNCERTAIN = "IssuanceUncertain"
    CERTIFICATE_UNUSABLE = "CertificateUnusable"
    PAID_TIME_TOO_SHORT = "PaidTimeTooShort"
    ABANDONED = "Abandoned"
    # The authority.
    AUTHORITY_READY = "AuthorityReady"
    ACCEPTED = "Accepted"
    REFUSED_BY_AUTHORITY = "RefusedByAuthority"
    QUOTA_EXHAUSTED = "QuotaExhausted"
    AUTHORITY_UNAVAILABLE = "AuthorityUnavailable"
    CREDENTIALS_INVALID = "CredentialsInvalid"
    INSTALLATION_DIFFERS = "InstallationDiffers"
    NOT_IN_DOSSIERS = "NotInDossiers"
    # The Secret was taken away, or the contract ended.
    WITHDRAWN = "Withdrawn"
    SUSPENDED = "Suspended"
    REVOKED = "Revoked"
    EXPIRED = "Expired"
    TERMINATED = "Terminated"
    REJECTED = "Rejected"
