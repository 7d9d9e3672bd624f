"""The protocol: who is let in, what each call answers, and with which status."""

import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.harness.sandbox import Sandbox
from tests.sandbox.client import Client, key
from tests.sandbox.conftest import OpenAccount

NAME = "www.example.com"
DAY = 86_400


# Who is let in


def test_without_a_client_certificate_there_is_no_connection(
    sandbox: Sandbox, client: Client, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text(client.credentials["ca.crt"])
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.exceptions.ConnectionError):
            session.get(f"{sandbox.api}/validationpolicy", verify=str(authority), timeout=10)


def test_a_client_certificate_by_another_authority_is_no_use(
    sandbox: Sandbox, client: Client, tmp_path: Path
) -> None:
    private, subject = key("P-256"), x509.Name.from_rfc4514_string("CN=default")
    stranger = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2126, 1, 1, tzinfo=UTC))
        .sign(private, hashes.SHA256())
    )
    credentials = client.credentials | {
        "tls.crt": stranger.public_bytes(Encoding.PEM).decode(),
        "tls.key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }
    with (
        closing(Client(sandbox.api, "stranger", credentials, tmp_path / "stranger")) as other,
        pytest.raises(requests.exceptions.ConnectionError),
    ):
        other.log_in()


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"api_key": "?", "api_secret": "{api-secret}"}, id="an unknown key"),
        pytest.param({"api_key": "{api-key}", "api_secret": "?"}, id="a wrong secret"),
        pytest.param({"api_key": "{other-key}", "api_secret": "{other-secret}"}, id="another account's"),
    ],
)
def test_a_log_in_is_refused_with(open_account: OpenAccount, given: dict[str, str]) -> None:
    client, other = open_account(), open_account().credentials
    known = client.credentials | {"other-key": other["api-key"], "other-secret": other["api-secret"]}
    body = {member: known.get(value.strip("{}"), value) for member, value in given.items()}
    assert client.send("POST", "/login", body).status_code == 401


def test_every_call_but_the_log_in_needs_a_token_of_its_own_account(open_account: OpenAccount) -> None:
    client, other = open_account(), open_account()
    for token in ("", "nonsense", other.token):
        client.token = token
        for method, path in [
            ("GET", "/quotas/issuance"),
            ("POST", "/claims/domains/example.net"),
            ("GET", "/trustchain"),
        ]:
            response = client.send(method, path)
            assert (response.status_code, token) == (401, token)
            assert response.headers["Content-Type"] == "application/problem+json"


def test_a_token_ends(tmp_path: Path) -> None:
    with (
        Sandbox.start(tmp_path / "state", token_life=1) as sandbox,
        closing(Client(sandbox.api, "default", sandbox.default_account(), tmp_path / "tls")) as client,
    ):
        client.log_in()
        bound = time.monotonic() + 10
        while client.send("GET", "/trustchain").status_code != 401:
            assert time.monotonic() < bound


def test_the_servers_certificate_is_verifiable_by_address_and_name(sandbox: Sandbox, client: Client) -> None:
    address = urlsplit(sandbox.api)
    context = ssl.create_default_context(cadata=client.credentials["ca.crt"])
    for name in ("127.0.0.1", "localhost"):
        with (
            socket.create_connection((address.hostname, address.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            assert secured.version() == "TLSv1.3"


# How it is spoken to


@pytest.mark.parametrize(
    ("content_type", "raw", "status"),
    [
        pytest.param("application/json;charset=utf-8", "{}", 422, id="the exact type, an empty request"),
        pytest.param("application/json; charset=utf-8", "{}", 415, id="a space before charset"),
        pytest.param("application/json", "{}", 415, id="no charset"),
        pytest.param("application/x-www-form-urlencoded", "a=b", 415, id="a form"),
        pytest.param("application/json;charset=utf-8", "{", 400, id="half an object"),
        pytest.param("application/json;charset=utf-8", "\xff", 400, id="no JSON"),
        pytest.param("application/json;charset=utf-8", "[" * 100_000, 400, id="a tower of brackets"),
        pytest.param("application/json;charset=utf-8", "[]", 422, id="a list"),
        pytest.param("application/json;charset=utf-8", '{"san": 1}', 422, id="a number for names"),
        pytest.param("application/json;charset=utf-8", " " * 300_000, 413, id="300 kB"),
    ],
)
def test_a_request_in(client: Client, content_type: str, raw: str, status: int) -> None:
    response = client.send("POST", "/certificates", raw=raw, content_type=content_type)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert response.json()["description"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", "/certificates", 405),
        ("GET", "/certificates/12AB", 404),
        ("GET", "/certificates/xyz", 422),
        ("DELETE", "/certificates/12AB", 404),
        ("GET", "/claims/domains/12AB", 404),
        ("POST", "/claims/domains/12AB/dns", 404),
        ("POST", "/claims/domains/localhost", 422),
        ("POST", "/claims/domains/*.example.com", 422),
        ("GET", "/claims/domains?status=MAYBE", 422),
        ("GET", "/stats/issued?per_page=101", 422),
        ("GET", "/stats/issued?page=0", 422),
        ("GET", "/stats/issued?from=yesterday", 422),
    ],
)
def test_errors_are_problems_with_a_description(client: Client, method: str, path: str, status: int) -> None:
    response = client.send(method, path)
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert response.json()["description"]


# Certificates


def test_a_certificate_is_named_by_the_location_alone(client: Client) -> None:
    response = client.order(NAME)
    assert (response.status_code, response.content) == (201, b"")
    location = response.headers["Location"]
    assert location.startswith(f"{client.api}/certificates/")
    serial = location.rpartition("/")[2]
    assert serial == f"{int(serial, 16):X}"
    collected = client.get(f"/certificates/{serial}")
    certificate = x509.load_pem_x509_certificate(collected.pop("certificate").encode())
    assert certificate.serial_number == int(serial, 16)
    assert collected.pop("status") == "ISSUED"
    assert abs(collected.pop("updated_at") - time.time()) < 60
    assert collected == {}
    assert client.get(f"/certificates/00{serial.lower()}")["status"] == "ISSUED"


def test_a_certificate_is_its_accounts_alone(open_account: OpenAccount) -> None:
    client, other = open_account(), open_account()
    serial = client.buy(NAME)
    assert other.send("GET", f"/certificates/{serial}").status_code == 404
    assert other.send("DELETE", f"/certificates/{serial}").status_code == 404
    assert other.get("/stats/issued") == []
    assert client.get(f"/certificates/{serial}")["status"] == "ISSUED"


def test_the_same_key_may_be_certified_twice(client: Client) -> None:
    assert client.buy(NAME) != client.buy(NAME)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"revocation_reason": "keyCompromise", "revocation_time": 0}, 204),
        ({"revocation_reason": "superseded"}, 204),
        ({}, 204),
        ({"revocation_reason": "certificateHold"}, 422),
        ({"revocation_reason": "keycompromise"}, 422),
        ({"revocation_reason": "superseded", "revocation_time": 1}, 422),
        ({"revocation_reason": "superseded", "revocation_time": 2**40}, 422),
    ],
    ids=str,
)
def test_a_revocation_with(client: Client, body: dict[str, object], status: int) -> None:
    serial = client.buy(NAME)
    assert client.send("PATCH", f"/certificates/{serial}", body).status_code == status
    revoked = client.get(f"/certificates/{serial}")["status"] == "REVOKED"
    assert revoked == (status == 204)
    assert client.get("/counters/certificates/revoked") == {"value": int(revoked)}


def test_a_revocation_happens_once(client: Client) -> None:
    serial = client.buy(NAME)
    assert client.send("DELETE", f"/certificates/{serial}").status_code == 204
    assert (
        client.send("PATCH", f"/certificates/{serial}", {"revocation_reason": "superseded"}).status_code
        == 422
    )
    assert client.send("DELETE", f"/certificates/{serial}").status_code == 422


def test_a_quota_ends_and_is_renewed(sandbox: Sandbox, open_account: OpenAccount) -> None:
    client = open_account(quota=1)
    assert client.get("/quotas/issuance") == {"value": 1}
    client.buy(NAME)
    assert client.get("/quotas/issuance") == {"value": 0}
    refused = client.order(NAME)
    assert (refused.status_code, "quota" in refused.json()["description"]) == (422, True)
    assert client.get("/counters/certificates/issued") == {"value": 1}
    sandbox.set_quota(client.name, 5)
    client.buy(NAME)
    assert client.get("/quotas/issuance") == {"value": 4}


def test_a_quota_is_never_exceeded_by_many_at_once(client: Client, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.set_quota(client.name, 10)

    def buy_five(buyer: int) -> list[int]:
        with closing(Client(client.api, client.name, client.credentials, tmp_path / f"buyer-{buyer}")) as one:
            one.token = client.token
            return [one.order(NAME).status_code for _ in range(5)]

    with ThreadPoolExecutor(6) as pool:
        statuses = [status for five in pool.map(buy_five, range(6)) for status in five]
    assert sorted(statuses) == [201] * 10 + [422] * 20
    assert client.get("/counters/certificates/issued") == {"value": 10}


def test_statistics_come_in_pages_and_windows(open_account: OpenAccount) -> None:
    client = open_account()
    now = int(time.time())
    serials = [
        client.buy(NAME, validity={"not_before": now, "not_after": now + days * DAY}) for days in (5, 10, 90)
    ]

    def listed(path: str) -> tuple[list[str], str]:
        response = client.send("GET", path)
        assert response.status_code == 200
        return [entry["serial_number"] for entry in response.json()], response.headers["Total-Count"]

    assert client.get("/stats/issued")[0] == {
        "serial_number": serials[0],
        "not_before": now,
        "not_after": now + 5 * DAY,
    }
    assert listed("/stats/issued") == (serials, "3")
    assert listed("/stats/issued?page=1&per_page=2") == (serials[:2], "3")
    assert listed("/stats/issued?page=2&per_page=2") == (serials[2:], "3")
    assert listed("/stats/issued?page=3&per_page=2") == ([], "3")
    assert listed(f"/stats/issued?from={now - 1}&to={now + 3_600}") == (serials, "3")
    assert listed(f"/stats/issued?from={now - 3_600}&to={now - 1}") == ([], "0")
    assert listed("/stats/expiring") == ([], "0")
    assert listed(f"/stats/expiring?from={now}&to={now + 30 * DAY}") == (serials[:2], "2")
    assert listed(f"/stats/expiring?from={now + 90 * DAY}&to={now + 90 * DAY}") == (serials[2:], "1")
    assert listed("/stats/revoked") == ([], "0")
    client.send("DELETE", f"/certificates/{serials[1]}")
    assert listed("/stats/revoked") == ([serials[1]], "1")
    assert client.get("/counters/certificates/issued") == {"value": 3}
