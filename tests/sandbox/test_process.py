"""The process: what it remembers, what it tells its owner, how it starts and ends."""

import json
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from sslorder.sandbox import command
from tests.harness.sandbox import Sandbox
from tests.sandbox.client import Client
from tests.sandbox.conftest import OpenAccount

NAME = "www.example.com"
OWNER = """
import pathlib, sys
from tests.harness.sandbox import Sandbox
sandbox = Sandbox.start(pathlib.Path(sys.argv[1]))
print("started", flush=True)
sys.stdin.read()
"""


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    def memory(sandbox: Sandbox, client: Client) -> dict[str, Any]:
        client.log_in()
        return {
            "addresses": (sandbox.api, sandbox.crl, sandbox.admin),
            "issued": sandbox.issued(),
            "certificates": [client.get(f"/certificates/{one['serial']}") for one in sandbox.issued()],
            "claims": client.get("/claims/domains"),
            "quota": client.get("/quotas/issuance"),
            "policy": client.get("/validationpolicy"),
            "chain": client.get("/trustchain"),
            "credentials": sandbox.default_account(),
        }

    with Sandbox.start(tmp_path / "state", max_validity=60, quota=5) as sandbox:
        sandbox.change_account("default", preapproved=["example.com"])
        with closing(Client(sandbox.api, "default", sandbox.default_account(), tmp_path / "tls")) as client:
            client.log_in()
            client.send("DELETE", f"/certificates/{client.buy(NAME)}")
            client.buy(NAME)
            client.send("POST", "/claims/domains/example.net")
            before, last = memory(sandbox, client), sandbox.requests()[-1]["id"]
            sandbox.stop()
            with Sandbox.start(tmp_path / "state") as again:
                assert client.send("GET", "/trustchain").status_code == 401, (
                    "tokens do not outlive the process"
                )
                assert memory(again, client) == before
                assert {record["id"] > last for record in again.requests()} == {True}


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with (
        Sandbox.start(tmp_path / "state") as sandbox,
        closing(Client(sandbox.api, "default", sandbox.default_account(), tmp_path / "tls")) as client,
    ):
        sandbox.change_account("default", preapproved=["example.com"])
        client.log_in()
        serials = [client.buy(NAME) for _ in range(5)]
        client.send("DELETE", f"/certificates/{serials[0]}")
        sandbox.kill()
        with Sandbox.start(tmp_path / "state") as again:
            assert [(one["serial"], one["revoked"]) for one in again.issued()] == [
                (serial, serial == serials[0]) for serial in serials
            ]


def test_what_was_issued_is_told(sandbox: Sandbox, client: Client) -> None:
    serial = client.buy(NAME, "example.com")
    client.send("PATCH", f"/certificates/{serial}", {"revocation_reason": "superseded"})
    (issued,) = [one for one in sandbox.issued() if one["serial"] == serial]
    assert issued["names"] == [NAME, "example.com"]
    assert (issued["account"], issued["revoked"], issued["reason"]) == (client.name, True, "superseded")
    assert len(issued["spki_sha256"]) == 64


def test_every_request_is_told(sandbox: Sandbox, client: Client) -> None:
    last = sandbox.requests()[-1]["id"]
    assert sandbox.requests(last) == []
    client.get("/trustchain")
    client.order("example.org")
    client.send("GET", "/nowhere?x=1")
    told = [
        (one["account"], one["operation"], one["method"], one["path"], one["status"])
        for one in sandbox.requests(last)
    ]
    assert told == [
        (client.name, "trustchain", "GET", "/v2/trustchain", 200),
        (client.name, "request", "POST", "/v2/certificates", 422),
        (None, None, "GET", "/v2/nowhere?x=1", 404),
    ]
    assert client.credentials["api-secret"] not in (sandbox.state / "sandbox.log").read_text()


def test_accounts_are_listed_and_changed(sandbox: Sandbox, open_account: OpenAccount) -> None:
    client = open_account(quota=7)
    sandbox.change_account(client.name, max_validity_seconds=20, min_validity_seconds=2, quota=8)
    (listed,) = [
        account
        for account in requests.get(f"{sandbox.admin}/accounts", timeout=10).json()
        if account["name"] == client.name
    ]
    assert (listed["quota"], listed["policy"]["validity"]["secondsmax"]) == (8, 20)
    assert client.get("/validationpolicy")["validity"]["secondsmin"] == 2
    assert client.credentials == json.loads((sandbox.state / "accounts" / f"{client.name}.json").read_text())


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "accounts", {"name": "default"}, 409, id="a name that is taken"),
        pytest.param("POST", "accounts", {"name": "../x"}, 422, id="a name that is a path"),
        pytest.param("POST", "accounts", {"name": "x", "product": "OV"}, 422, id="OV for nobody"),
        pytest.param(
            "POST", "accounts", {"name": "x", "subject": {"country": "BE"}}, 422, id="DV for somebody"
        ),
        pytest.param(
            "POST", "accounts", {"name": "x", "preapproved": ["*.example.com"]}, 422, id="a wildcard approved"
        ),
        pytest.param("POST", "accounts", {"name": "x", "quota": -1}, 422, id="a quota below nothing"),
        pytest.param("PATCH", "accounts/nobody", {}, 404, id="a change of nobody"),
        pytest.param(
            "PATCH", "accounts/default", {"min_validity_seconds": 2**31}, 422, id="a floor above the ceiling"
        ),
        pytest.param("GET", "requests?since=noon", None, 422, id="requests since noon"),
    ],
)
def test_the_administration_refuses(
    sandbox: Sandbox, method: str, path: str, body: dict[str, object] | None, status: int
) -> None:
    response = requests.request(method, f"{sandbox.admin}/{path}", json=body, timeout=10)
    assert (response.status_code, bool(response.json()["description"])) == (status, True)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param([], "--state", id="nothing"),
        pytest.param(["--state", "{}", "--listen", "8443"], "host:port", id="a port without a host"),
        pytest.param(
            ["--state", "{}", "--admin-listen", "0.0.0.0:0"], "127.0.0.1", id="administration for everybody"
        ),
    ],
)
def test_the_command_refuses(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = command.main([flag.format(tmp_path) for flag in flags])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    assert (status, said in capsys.readouterr().err) == (2, True)


def test_a_port_that_is_taken_is_said(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = sandbox.admin.removeprefix("http://")
    assert command.main(["--state", str(tmp_path), "--admin-listen", taken]) == 1
    assert taken in capsys.readouterr().err


def listens(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    """An owner that is killed closes the pipe; nothing is left running."""
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            OWNER,
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdout is not None
    owner.stdout.readline()
    endpoint = json.loads((tmp_path / "endpoint.json").read_text())
    assert requests.get(f"{endpoint['admin']}/faults", timeout=10).status_code == 200
    owner.kill()
    owner.communicate()
    bound = time.monotonic() + 10
    while listens(endpoint["admin"]):
        assert time.monotonic() < bound
