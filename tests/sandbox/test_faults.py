"""What the sandbox does wrong on demand, and that it does nothing else wrong."""

import time
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
