"""How an account comes to be allowed a name: a token in a TXT record, looked up for real."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.harness.dns import DnsServer
from tests.harness.sandbox import Sandbox
from tests.sandbox.client import Client
from tests.sandbox.conftest import OpenAccount

DAY = 86_400


@pytest.fixture
def client(open_account: OpenAccount) -> Client:
    return open_account(preapproved=[])


@pytest.fixture
def domain(client: Client) -> str:
    """A domain that only this test knows, so that no other's records prove it."""
    return f"{client.name}.example.net"


def submitted(client: Client, domain: str) -> dict[str, Any]:
    response = client.send("POST", f"/claims/domains/{domain}")
    assert response.status_code == 201
    claim: dict[str, Any] = response.json()
    assert response.headers["Location"] == f"{client.api}/claims/domains/{claim['id']}"
    return claim


def prove(client: Client, claim: dict[str, Any], **body: str) -> int:
    return client.send("POST", f"/claims/domains/{claim['id']}/dns", body or None).status_code


def test_a_domain_is_proved_by_its_token(client: Client, domain: str, dns_server: DnsServer) -> None:
    claim = submitted(client, domain)
    assert set(claim) == {"token", "assert_by", "id"}
    assert claim["assert_by"] == pytest.approx(time.time() + 30 * DAY, abs=60)
    assert client.order(f"www.{domain}").status_code == 422
    assert prove(client, claim) == 201, "no such name"
    dns_server.set_txt(domain, "something else", f"{claim['token']}!")
    assert prove(client, claim) == 201, "no such token"
    dns_server.set_txt(domain, "something else", claim["token"])
    assert prove(client, claim) == 204
    found = client.get(f"/claims/domains/{claim['id']}")
    assert (found["status"], found["domain"]) == ("VERIFIED", f"{domain}.")
    assert found["expires_at"] == pytest.approx(time.time() + 200 * DAY, abs=60)
    assert [entry["status"] for entry in found["log"]] == ["ERROR", "ERROR", "SUCCESS"]
    client.buy(domain, f"*.{domain}", f"a.b.{domain}")
    assert client.order(domain.partition(".")[2]).status_code == 422, "the parent was not proved"


@pytest.mark.parametrize(
    ("above", "status"),
    [
        pytest.param(0, 204, id="itself"),
        pytest.param(1, 204, id="the parent"),
        pytest.param(2, 204, id="the parent's parent"),
        pytest.param(None, 422, id="a stranger"),
    ],
)
def test_the_token_may_stand_on(
    client: Client, domain: str, dns_server: DnsServer, above: int | None, status: int
) -> None:
    claim = submitted(client, f"a.{domain}")
    place = "stranger.example" if above is None else ".".join(f"a.{domain}".split(".")[above:])
    dns_server.set_txt(place, claim["token"])
    assert prove(client, claim, authorization_domain=place) == status
    assert client.order(f"a.{domain}").status_code == (201 if status == 204 else 422)


@pytest.mark.parametrize(
    "body",
    [{"authorization_domain": ""}, {"authorization_domain": "net"}, {"domain": "example.net"}],
    ids=str,
)
def test_a_proof_is_refused_with(client: Client, domain: str, body: dict[str, str]) -> None:
    assert prove(client, submitted(client, domain), **body) == 422


@pytest.mark.parametrize(
    ("way", "body"), [("http", {"scheme": "http"}), ("email", {"email_address": "a@example.net"})]
)
def test_other_proofs_than_by_dns_are_refused(
    client: Client, domain: str, way: str, body: dict[str, str]
) -> None:
    claim = submitted(client, domain)
    assert client.send("POST", f"/claims/domains/{claim['id']}/{way}", body).status_code == 422


def test_a_token_serves_only_the_account_that_was_given_it(
    open_account: OpenAccount, client: Client, domain: str, dns_server: DnsServer
) -> None:
    other = open_account(preapproved=[])
    claim = submitted(client, domain)
    dns_server.set_txt(domain, claim["token"])
    assert prove(other, claim) == 404
    assert prove(other, submitted(other, domain)) == 201
    assert prove(client, claim) == 204
    assert other.order(domain).status_code == 422


def test_a_claim_is_listed_reasserted_and_withdrawn(
    client: Client, domain: str, dns_server: DnsServer
) -> None:
    first, second = submitted(client, f"a.{domain}"), submitted(client, f"b.{domain}")
    dns_server.set_txt(f"a.{domain}", first["token"])
    assert prove(client, first) == 204
    response = client.send("GET", "/claims/domains?status=PENDING&page=1&per_page=1")
    assert ([claim["id"] for claim in response.json()], response.headers["Total-Count"]) == (
        [second["id"]],
        "1",
    )
    assert [claim["id"] for claim in client.get("/claims/domains?status=VERIFIED")] == [first["id"]]
    again = client.send("POST", f"/claims/domains/{first['id']}/reassert")
    assert again.status_code == 200
    assert again.headers["Location"].endswith(f"/claims/domains/{first['id']}")
    assert again.json()["token"] != first["token"]
    assert client.get(f"/claims/domains/{first['id']}")["status"] == "VERIFIED", "it holds until it runs out"
    assert client.send("DELETE", f"/claims/domains/{first['id']}").status_code == 204
    assert client.send("GET", f"/claims/domains/{first['id']}").status_code == 404
    assert client.order(f"a.{domain}").status_code == 422


def test_a_domain_that_was_approved_beforehand_needs_no_token(open_account: OpenAccount) -> None:
    client = open_account(preapproved=["example.com"])
    (claim,) = client.get("/claims/domains?status=VERIFIED")
    assert (claim["domain"], claim["expires_at"]) == ("example.com.", 0)
    client.buy("example.com")


def test_a_claim_runs_out(tmp_path: Path, dns_server: DnsServer) -> None:
    with (
        Sandbox.start(tmp_path / "state", claim_life=1, resolver=dns_server.address) as sandbox,
        closing(Client(sandbox.api, "default", sandbox.default_account(), tmp_path / "tls")) as client,
    ):
        client.log_in()
        claim = submitted(client, "short.example.net")
        dns_server.set_txt("short.example.net", claim["token"])
        assert prove(client, claim) == 204
        bound = time.monotonic() + 10
        while client.get(f"/claims/domains/{claim['id']}")["status"] == "VERIFIED":
            assert time.monotonic() < bound
        assert client.order("short.example.net").status_code == 422
        assert prove(client, claim) == 204, "proved anew by the token that is still there"


def test_the_mailboxes_of_a_domain_are_told(client: Client, domain: str, dns_server: DnsServer) -> None:
    claim = submitted(client, domain)
    told = client.get(f"/claims/domains/{claim['id']}/email")
    assert f"hostmaster@{domain}" in told["constructed"]
    assert (told["DNS"]["SOA"]["emails"], len(told["DNS"]["SOA"]["errors"])) == ([], 1)
    dns_server.set(domain, "SOA", f"ns.{domain}. keeper.{domain}. 1 3600 600 86400 60")
    assert client.get(f"/claims/domains/{claim['id']}/email")["DNS"]["SOA"] == {
        "emails": [f"keeper@{domain}"]
    }
