"""What the sandbox does wrong on demand, and that it does nothing else wrong."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from tests.harness.sandbox import Sandbox
from tests.sandbox.client import Client, key
from tests.sandbox.conftest import OpenAccount

NAME = "www.example.com"


def names_of(certificate: x509.Certificate) -> list[str]:
    return certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value.get_values_for_type(x509.DNSName)


def right(certificate: x509.Certificate) -> dict[str, bool]:
    now = datetime.now(UTC)
    return {
        "wrong-key": certificate.public_key() == key("P-256").public_key(),
        "wrong-names": names_of(certificate) == [NAME],
        "expired": certificate.not_valid_after_utc > now,
        "not-yet-valid": certificate.not_valid_before_utc <= now,
    }


@pytest.mark.parametrize("fault", ["wrong-key", "wrong-names", "expired", "not-yet-valid"])
def test_a_flawed_certificate_is_flawed_in_one_respect(sandbox: Sandbox, client: Client, fault: str) -> None:
    sandbox.set_faults({"fault": fault, "times": 1})
    flawed, good = (right(client.certificate(client.buy(NAME))) for _ in range(2))
    assert [respect for respect, holds in flawed.items() if not holds] == [fault]
    assert all(good.values())


def test_a_wrong_chain_signed_nothing(sandbox: Sandbox, client: Client) -> None:
    leaf = client.certificate(client.buy(NAME))
    sandbox.set_faults({"fault": "wrong-chain", "times": 1})
    wrong, true = (x509.load_pem_x509_certificate(client.get("/trustchain")[0].encode()) for _ in range(2))
    assert wrong.subject == true.subject == leaf.issuer
    with pytest.raises(InvalidSignature):
        leaf.verify_directly_issued_by(wrong)
    leaf.verify_directly_issued_by(true)


def test_garbage_comes_after_the_deed(sandbox: Sandbox, client: Client) -> None:
    sandbox.set_faults(
        {"fault": "garbage", "operation": "request", "times": 1}, {"fault": "garbage", "operation": "quota"}
    )
    response = client.order(NAME)
    assert (response.status_code, "Location" in response.headers) == (201, False)
    assert client.get("/counters/certificates/issued") == {"value": 1}
    quota = client.send("GET", "/quotas/issuance")
    assert quota.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        quota.json()


def test_a_lost_answer_leaves_a_certificate(sandbox: Sandbox, client: Client) -> None:
    sandbox.set_faults({"fault": "lose-answer", "operation": "request", "times": 1})
    with pytest.raises(requests.exceptions.ConnectionError):
        client.order(NAME)
    (lost,) = client.get("/stats/issued")
    assert client.certificate(lost["serial_number"]).public_key() == key("P-256").public_key()
    client.buy(NAME)


def test_a_refusal_does_nothing(sandbox: Sandbox, client: Client) -> None:
    sandbox.set_faults({"fault": "refuse", "operation": "request", "status": 503})
    assert [client.order(NAME).status_code for _ in range(3)] == [503] * 3
    assert client.get("/counters/certificates/issued") == {"value": 0}
    sandbox.clear_faults()
    client.buy(NAME)


def test_a_certificate_may_be_late(sandbox: Sandbox, client: Client) -> None:
    sandbox.set_faults({"fault": "not-ready", "reads": 2})
    for serial in (client.buy(NAME), client.buy(NAME)):
        assert [client.send("GET", f"/certificates/{serial}").status_code for _ in range(4)] == [
            202,
            202,
            200,
            200,
        ]


def test_a_delay_is_waited_for_and_by_nobody_else(sandbox: Sandbox, open_account: OpenAccount) -> None:
    client, other = open_account(), open_account()
    sandbox.set_faults({"fault": "delay", "account": client.name, "seconds": 0.5, "times": 1})
    other.get("/trustchain")
    assert sandbox.requests()[-1]["faults"] == []
    started = time.monotonic()
    client.get("/trustchain")
    assert time.monotonic() - started >= 0.5
    assert sandbox.requests()[-1]["faults"] == ["delay"]


def test_who_asks_too_often_is_told_for_how_long_to_stay_away(sandbox: Sandbox, client: Client) -> None:
    sandbox.set_faults({"fault": "too-many-requests", "seconds": 7, "times": 1})
    response = client.order(NAME)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert client.get("/counters/certificates/issued") == {"value": 0}
    client.buy(NAME)


def test_a_late_commit_comes_after_the_connection_is_gone(sandbox: Sandbox, client: Client) -> None:
    sandbox.set_faults({"fault": "commit-late", "seconds": 0.5, "times": 1})
    with pytest.raises(requests.exceptions.ConnectionError):
        client.order(NAME)
    assert client.get("/counters/certificates/issued") == {"value": 0}
    wait_until(lambda: client.get("/counters/certificates/issued") == {"value": 1})


@pytest.mark.parametrize(("statistic", "revoked"), [("issued", False), ("revoked", True)])
def test_statistics_may_lag(sandbox: Sandbox, client: Client, statistic: str, revoked: bool) -> None:
    serial = client.buy(NAME)
    if revoked:
        sandbox.revoke(serial)
    sandbox.set_faults({"fault": "lagging-statistics", "seconds": 3_600})
    assert client.get(f"/stats/{statistic}") == []
    sandbox.clear_faults()
    assert [entry["serial_number"] for entry in client.get(f"/stats/{statistic}")] == [serial]


def test_an_exhausted_quota_is_told_and_kept_to(sandbox: Sandbox, client: Client) -> None:
    sandbox.set_faults({"fault": "no-quota"})
    assert client.get("/quotas/issuance") == {"value": 0}
    response = client.order(NAME)
    assert (response.status_code, "quota" in response.json()["description"]) == (422, True)
    sandbox.clear_faults()
    client.buy(NAME)


def test_a_certificate_may_be_revoked_unasked(sandbox: Sandbox, client: Client) -> None:
    sandbox.set_faults({"fault": "revoked-unasked", "seconds": 0.2, "times": 1})
    taken, kept = client.buy(NAME), client.buy(NAME)
    wait_until(lambda: client.get(f"/certificates/{taken}")["status"] == "REVOKED")
    assert client.get(f"/certificates/{kept}")["status"] == "ISSUED"


def test_a_rotated_intermediate_signs_and_publishes_a_crl_of_its_own(
    sandbox: Sandbox, client: Client
) -> None:
    before = client.buy(NAME)
    old = client.get("/trustchain")[0]
    sandbox.set_faults({"fault": "rotated-intermediate", "times": 1})
    after = client.buy(NAME)
    new, root = (x509.load_pem_x509_certificate(pem.encode()) for pem in client.get("/trustchain"))
    leaves = {serial: client.certificate(serial) for serial in (before, after)}
    leaves[before].verify_directly_issued_by(x509.load_pem_x509_certificate(old.encode()))
    leaves[after].verify_directly_issued_by(new)
    new.verify_directly_issued_by(root)
    for serial in leaves:
        sandbox.revoke(serial)
    assert listed(leaves[before]) & {before, after} == {before}
    assert listed(leaves[after]) == {after}


def listed(leaf: x509.Certificate) -> set[str]:
    """The serial numbers on the CRL that a certificate points to, which its issuer signed."""
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    (name,) = points[0].full_name or [x509.UniformResourceIdentifier("none")]
    crl = x509.load_der_x509_crl(requests.get(name.value, timeout=10).content)
    assert crl.issuer == leaf.issuer
    return {f"{entry.serial_number:X}" for entry in crl}


def wait_until(met: Callable[[], bool]) -> None:
    bound = time.monotonic() + 20
    while not met():
        assert time.monotonic() < bound, "it never came true"
        time.sleep(0.05)


@pytest.mark.parametrize("serial", ["0", "not-a-serial"])
def test_nothing_is_revoked_that_was_never_issued(sandbox: Sandbox, serial: str) -> None:
    response = requests.patch(f"{sandbox.admin}/certificates/{serial}", json={}, timeout=10)
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"fault": "earthquake"}, "fault"),
        ({"fault": "delay"}, "needs seconds"),
        ({"fault": "refuse", "status": 200}, "status"),
        ({"fault": "expired", "operation": "collect"}, "strikes request"),
        ({"fault": "garbage", "operation": "sing"}, "operation"),
        ({"fault": "garbage", "time": 1}, "time"),
    ],
    ids=str,
)
def test_a_fault_that_means_nothing_is_refused(sandbox: Sandbox, fault: dict[str, object], said: str) -> None:
    response = requests.put(f"{sandbox.admin}/faults", json=[fault], timeout=10)
    assert response.status_code == 422
    assert said in response.json()["description"]
    assert requests.get(f"{sandbox.admin}/faults", timeout=10).json()["active"] == []
