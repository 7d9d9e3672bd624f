"""Which reason the authority is given, for each circumstance in the contract's words."""

import pytest

from sslorder.api.common import Product
from sslorder.api.revocation import Circumstance
from sslorder.contract.circumstances import RevocationReason, reason

C, R = Circumstance, RevocationReason


@pytest.mark.parametrize(
    ("circumstance", "expected"),
    [
        pytest.param(
            C.DOMAIN_CHANGED, R.CESSATION_OF_OPERATION, id="the domain was changed or given up (5.5a)"
        ),
        pytest.param(C.DOMAIN_LOST, R.CESSATION_OF_OPERATION, id="the domain was lost (9.2(1))"),
        pytest.param(C.KEY_COMPROMISED, R.KEY_COMPROMISE, id="the key leaked (5.4a)"),
        pytest.param(C.INFORMATION_WRONG, R.UNSPECIFIED, id="the information was wrong (5.1)"),
        pytest.param(
            C.AUTHORITIES_FORBID_NAME, R.CESSATION_OF_OPERATION, id="the name is forbidden (9.2(3))"
        ),
        pytest.param(C.AUTHORITIES_REQUEST, R.UNSPECIFIED, id="a court or government asks (9.2(3))"),
        pytest.param(C.SITE_CLOSED, R.CESSATION_OF_OPERATION, id="the client closes the site (9.2(4))"),
        pytest.param(C.CLIENT_ENDS, R.UNSPECIFIED, id="the client ends the contract (9.2(4), 9.1)"),
        pytest.param(C.NON_PAYMENT, R.UNSPECIFIED, id="it was not paid (9.2(6))"),
        pytest.param(C.SUPERSEDED, R.SUPERSEDED, id="an old leaf after a reissue"),
    ],
)
@pytest.mark.parametrize("product", Product)
@pytest.mark.parametrize("replaced", [True, False])
@pytest.mark.parametrize("allowed", [True, False])
def test_the_reason_follows_from_the_circumstance_alone(
    circumstance: Circumstance, expected: RevocationReason, product: Product, replaced: bool, allowed: bool
) -> None:
    assert reason(circumstance, product, replaced=replaced, privilege_withdrawn_allowed=allowed) is expected


@pytest.mark.parametrize("circumstance", [C.ILLICIT_USE, C.ABUSE, C.BREACH])
@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        pytest.param(True, R.PRIVILEGE_WITHDRAWN, id="where the authority's account allows it"),
        pytest.param(False, R.UNSPECIFIED, id="not where it does not"),
    ],
)
def test_misuse_withdraws_the_privilege(
    circumstance: Circumstance, allowed: bool, expected: RevocationReason
) -> None:
    assert reason(circumstance, Product.DV, replaced=False, privilege_withdrawn_allowed=allowed) is expected


@pytest.mark.parametrize(
    ("product", "replaced", "expected"),
    [
        pytest.param(Product.OV, False, R.AFFILIATION_CHANGED, id="OV states the organisation"),
        pytest.param(Product.EV, True, R.AFFILIATION_CHANGED, id="EV too, replaced or not"),
        pytest.param(Product.DV, True, R.SUPERSEDED, id="DV states none: superseded once replaced"),
        pytest.param(Product.DV, False, R.UNSPECIFIED, id="DV, not replaced: nothing that could be said"),
    ],
)
def test_an_organisation_that_changed(product: Product, replaced: bool, expected: RevocationReason) -> None:
    changed = Circumstance.ORGANISATION_CHANGED
    assert reason(changed, product, replaced=replaced, privilege_withdrawn_allowed=True) is expected


@pytest.mark.parametrize("circumstance", Circumstance)
def test_every_circumstance_has_a_reason(circumstance: Circumstance) -> None:
    for product in Product:
        assert (
            reason(circumstance, product, replaced=False, privilege_withdrawn_allowed=False)
            in RevocationReason
        )
