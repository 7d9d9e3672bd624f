"""The token, the lists, the limits, and what the client never takes from its environment or gives away."""

import asyncio
import logging
import ssl
import threading
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sslorder.authority.credentials import Credentials
from sslorder.authority.globalsign import GlobalSign, connect
from sslorder.authority.pace import Pace
from sslorder.contract.authority import Claim, ClaimState
from sslorder.contract.circumstances import RevocationReason
from sslorder.engine.ports import (
    AuthorityError,
    IssuanceRequest,
    IssuedCertificate,
    Refused,
    TryAgain,
    Unauthorised,
)
from tests.authority.conftest import NOW, QUICK, Client, FixedClock
from tests.authority.pki import Pki
from tests.authority.server import TOKEN, Reply, Request, ScriptedServer, answer
from tests.authority.waiting import run

QUOTA, LOGIN, PURCHASE = "GET /quotas/issuance", "POST /login", "POST /certificates"
ISSUED = "GET /stats/issued"


class Seconds:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.passed = 1000.0

    def __call__(self) -> float:
        return self.passed


# The token


def test_callers_at_the_same_time_share_one_login(server: ScriptedServer, client: Client) -> None:
    server.script[QUOTA] = [answer(200, {"value": 7})]

    async def scenario() -> None:
        async with client() as authority:
            assert await asyncio.gather(*(authority.quota() for _ in range(8))) == [7] * 8

    run(scenario())
    assert server.asked(LOGIN) == 1


def test_callers_at_the_same_time_share_one_failed_login(server: ScriptedServer, client: Client) -> None:
    server.script[LOGIN] = [
        answer(401, {"description": "wrong secret"}),
        answer(200, {"access_token": TOKEN}),
    ]

    async def scenario() -> None:
        async with client() as authority:
            outcomes = await asyncio.gather(*(authority.login() for _ in range(8)), return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {Unauthorised}
            await authority.login()

    run(scenario())
    assert server.asked(LOGIN) == 2


def test_one_who_gives_up_waiting_leaves_the_login_to_the_others(
    server: ScriptedServer, client: Client
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: ssl.SSLSocket, __: Request) -> bytes:
        begun.set()
        go_on.wait(10)
        return answer(200, {"access_token": TOKEN})

    server.script[LOGIN] = [slow]

    async def scenario() -> None:
        async with client() as authority:
            first, second = asyncio.create_task(authority.login()), asyncio.create_task(authority.login())
            await asyncio.to_thread(begun.wait, 10)
            first.cancel()
            await asyncio.wait([first])
            go_on.set()
            await second

    run(scenario())
    assert server.asked(LOGIN) == 1


@pytest.mark.parametrize(
    ("after", "logins"),
    [
        pytest.param(timedelta(minutes=8, seconds=59), 1, id="before 9 minutes: not again"),
        pytest.param(timedelta(minutes=9), 2, id="at 9 of its 10 minutes: anew"),
    ],
)
def test_the_token_is_refreshed_ahead_of_its_end(
    server: ScriptedServer, client: Client, after: timedelta, logins: int
) -> None:
    clock = Seconds()

    async def scenario() -> None:
        async with client(monotonic=clock) as authority:
            await authority.login()
            clock.passed += after.total_seconds()
            await authority.login()

    run(scenario())
    assert server.asked(LOGIN) == logins


def test_a_read_with_a_stale_token_logs_in_and_is_sent_once_more(
    server: ScriptedServer, client: Client
) -> None:
    server.script[LOGIN] = [answer(200, {"access_token": "old"}), answer(200, {"access_token": "new"})]
    server.script[QUOTA] = [answer(401), answer(200, {"value": 7})]

    async def scenario() -> None:
        async with client() as authority:
            assert await authority.quota() == 7

    run(scenario())
    bearers = [r.headers["authorization"] for r in server.requests if r.operation == QUOTA]
    assert bearers == ["Bearer old", "Bearer new"]


def test_a_purchase_with_a_stale_token_is_not_sent_again_and_the_next_one_logs_in(
    server: ScriptedServer, client: Client, asked: IssuanceRequest
) -> None:
    server.script[LOGIN] = [answer(200, {"access_token": "old"}), answer(200, {"access_token": "new"})]
    server.script[PURCHASE] = [answer(401), answer(201, Location="/certificates/1AB")]

    async def scenario() -> None:
        async with client() as authority:
            with pytest.raises(TryAgain):
                await authority.request(asked)
            assert server.asked(PURCHASE) == 1
            await authority.login()
            assert await authority.request(asked) == 0x1AB

    run(scenario())
    assert server.asked(LOGIN) == 2
    assert server.asked(PURCHASE) == 2


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Header: b", "é", "x" * 10_000, 7, None])
def test_a_token_that_cannot_stand_in_a_header_is_no_token(
    server: ScriptedServer, client: Client, token: object
) -> None:
    server.script[LOGIN] = [answer(200, {"access_token": token})]

    async def scenario() -> None:
        async with client() as authority:
            with pytest.raises(TryAgain, match="access_token"):
                await authority.login()

    run(scenario())


# The policy


def test_a_refused_purchase_has_the_policy_read_anew(
    server: ScriptedServer, client: Client, asked: IssuanceRequest
) -> None:
    server.script[PURCHASE] = [answer(422), answer(201, Location="/certificates/1AB")]
    server.script[QUOTA] = [answer(200, {"value": 7})]

    async def scenario() -> None:
        async with client() as authority:
            with pytest.raises(Refused):
                await authority.request(asked)
            await authority.request(asked)
            await authority.request(asked)

    run(scenario())
    assert server.asked("GET /validationpolicy") == 2


# Lists


def pages(serials: list[int], size: int, total: str | None) -> Reply:
    """A list that comes in pages of at most `size`."""

    def reply(_: ssl.SSLSocket, request: Request) -> bytes:
        query = dict(pair.split("=") for pair in request.target.partition("?")[2].split("&"))
        assert query["per_page"] == "100"
        begin = (int(query["page"]) - 1) * size
        content = [{"serial_number": f"{serial:X}"} for serial in serials[begin : begin + size]]
        return answer(200, content, **({} if total is None else {"Total_Count": total}))

    return reply


SERIALS = list(range(0xA0, 0xA0 + 250))


@pytest.mark.parametrize(
    ("reply", "found", "reads"),
    [
        pytest.param(pages(SERIALS, 100, "250"), SERIALS, 3, id="three pages"),
        pytest.param(pages(SERIALS, 50, "250"), SERIALS, 5, id="pages shorter than asked for"),
        pytest.param(pages(SERIALS, 100, None), SERIALS, 4, id="no count: until a page is empty"),
        pytest.param(pages([], 100, "0"), [], 1, id="nothing"),
        pytest.param(pages(SERIALS, 100, "251"), TryAgain, 4, id="fewer than counted: it changed meanwhile"),
        pytest.param(pages(SERIALS, 100, "many"), TryAgain, 1, id="a count that is no number"),
        pytest.param(answer(200, [{"serial_number": "xyz"}]), TryAgain, 1, id="a serial that is no number"),
        pytest.param(answer(200, [{}]), TryAgain, 1, id="an entry without a serial"),
        pytest.param(answer(200, [{"serial_number": "1"}] * 1001), TryAgain, 1, id="a page without end"),
    ],
)
def test_a_list_is_read_whole_or_not_at_all(
    server: ScriptedServer, client: Client, reply: Reply, found: list[int] | type[TryAgain], reads: int
) -> None:
    server.script[ISSUED] = [reply]

    async def scenario() -> None:
        async with client() as authority:
            if isinstance(found, list):
                assert await authority.issued(NOW, NOW) == found
            else:
                with pytest.raises(found):
                    await authority.issued(NOW, NOW)

    run(scenario())
    assert server.asked(ISSUED) == reads


def test_the_window_of_issued_certificates_is_widened_to_whole_seconds(
    server: ScriptedServer, client: Client
) -> None:
    server.script[ISSUED] = [answer(200, [], Total_Count="0")]
    half = timedelta(milliseconds=500)

    async def scenario() -> None:
        async with client() as authority:
            await authority.issued(NOW + half, NOW + half)

    run(scenario())
    second = int(NOW.timestamp())
    assert f"from={second}&to={second + 1}" in server.requests[-1].target


def test_claims_of_both_states_are_read_without_their_trailing_dot(
    server: ScriptedServer, client: Client
) -> None:
    claim = {"created_at": 1, "expires_at": 0, "assert_by": 1_800_000_000, "log": []}

    def reply(_: ssl.SSLSocket, request: Request) -> bytes:
        state = "PENDING" if "status=PENDING" in request.target else "VERIFIED"
        content = [claim | {"id": f"{state}-1", "status": state, "domain": "example.com."}]
        return answer(200, content, Total_Count="1")

    server.script["GET /claims/domains"] = [reply]

    async def scenario() -> None:
        async with client() as authority:
            by = datetime.fromtimestamp(1_800_000_000, UTC)
            assert await authority.claims() == [
                Claim("PENDING-1", "example.com", ClaimState.PENDING, assert_by=by),
                Claim("VERIFIED-1", "example.com", ClaimState.VERIFIED, assert_by=by),
            ]

    run(scenario())


def test_a_claim_whose_id_could_lead_elsewhere_is_nonsense(server: ScriptedServer, client: Client) -> None:
    content = [{"id": "../../certificates/1", "status": "PENDING", "domain": "example.com."}]
    server.script["GET /claims/domains"] = [answer(200, content, Total_Count="1")]

    async def scenario() -> None:
        async with client() as authority:
            with pytest.raises(TryAgain, match=r"0\.id"):
                await authority.claims()

    run(scenario())


# Certificates


@pytest.mark.parametrize(
    ("reply", "means"),
    [
        pytest.param(answer(202), None, id="202: not yet"),
        pytest.param(
            answer(200, {"certificate": "PEM", "status": "ISSUED", "updated_at": 0}),
            IssuedCertificate(0x1AB, b"PEM", "ISSUED", None),  # type: ignore[arg-type]
            id="200: the certificate, unverified",
        ),
        pytest.param(
            answer(200, {"certificate": "PEM", "status": "ON FIRE"}), TryAgain, id="no known status"
        ),
        pytest.param(answer(200, {"certificate": "x" * 40_000, "status": "ISSUED"}), TryAgain, id="too long"),
        pytest.param(
            answer(200, {"certificate": "PEM", "status": "ISSUED", "updated_at": 1 << 60}),
            TryAgain,
            id="a moment beyond the calendar",
        ),
    ],
)
def test_collecting(server: ScriptedServer, client: Client, reply: bytes, means: object) -> None:
    server.script["GET /certificates/1AB"] = [reply]

    async def scenario() -> None:
        async with client() as authority:
            if means is TryAgain:
                with pytest.raises(TryAgain):
                    await authority.certificate(0x1AB)
            else:
                assert await authority.certificate(0x1AB) == means

    run(scenario())


@pytest.mark.parametrize(
    ("known", "sent"),
    [
        pytest.param(answer(200, {"certificate": "PEM", "status": "REVOKED"}), 0, id="revoked: success"),
        pytest.param(answer(200, {"certificate": "PEM", "status": "ISSUED"}), 1, id="issued: sent"),
    ],
)
def test_revoking_looks_first(server: ScriptedServer, client: Client, known: bytes, sent: int) -> None:
    server.script |= {"GET /certificates/1AB": [known], "PATCH /certificates/1AB": [answer(204)]}

    async def scenario() -> None:
        async with client() as authority:
            await authority.revoke(0x1AB, RevocationReason.KEY_COMPROMISE, NOW)

    run(scenario())
    bodies = [request.body for request in server.requests if request.method == "PATCH"]
    expected = f'{{"revocation_reason":"keyCompromise","revocation_time":{int(NOW.timestamp())}}}'
    assert bodies == [expected.encode()] * sent


# Limits


def test_no_more_requests_at_once_than_allowed_and_the_event_loop_goes_on(
    server: ScriptedServer, client: Client
) -> None:
    both, go_on = threading.Barrier(3), threading.Event()

    def wait(_: ssl.SSLSocket, __: Request) -> bytes:
        if not go_on.is_set():
            both.wait(10)
            go_on.wait(10)
        return answer(200, {"value": 7})

    server.script[QUOTA] = [wait]

    async def scenario() -> None:
        async with client(replace(QUICK, concurrency=2)) as authority:
            await authority.login()
            calls = asyncio.gather(*(authority.quota() for _ in range(6)))
            await asyncio.to_thread(both.wait, 10)  # two are being answered, and this coroutine runs
            go_on.set()
            assert await calls == [7] * 6

    run(scenario())
    assert server.most_at_once == 2


def test_connections_are_used_again_but_not_after_idling(server: ScriptedServer, client: Client) -> None:
    async def scenario(idle_for: timedelta) -> int:
        before = server.connections
        async with client(replace(QUICK, idle_for=idle_for)) as authority:
            for _ in range(3):
                await authority.policy()
        return server.connections - before

    assert run(scenario(timedelta(minutes=1))) == 1
    assert run(scenario(timedelta())) == 4  # the login and three reads


def test_the_pace_is_kept_after_a_burst() -> None:
    clock, slept = Seconds(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def scenario() -> None:
        pace = Pace(per_second=8, burst=3, monotonic=clock, sleep=sleep)
        for _ in range(5):
            await pace.turn()
        clock.passed += 60
        for _ in range(4):
            await pace.turn()

    run(scenario())
    assert slept == [0.125, 0.25, 0.125]


# The environment, and secrets


@pytest.fixture
def hostile_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pki: Pki) -> Path:
    """Everything that requests, urllib3 and OpenSSL are known to take from it; returns the key log."""
    stranger, netrc, key_log = tmp_path / "stranger.pem", tmp_path / "netrc", tmp_path / "keys.log"
    stranger.write_bytes(pki.stranger.certificate)
    netrc.write_text("machine 127.0.0.1 login mallory password mallory\n")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(stranger))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("SSLKEYLOGFILE", str(key_log))
    return key_log


def test_nothing_is_taken_from_a_hostile_environment(
    server: ScriptedServer, client: Client, hostile_environment: Path
) -> None:
    server.script[QUOTA] = [answer(200, {"value": 7}, Set_Cookie="a=b; Path=/")]

    async def scenario() -> None:
        async with client() as authority:
            await authority.quota()
            await authority.quota()

    run(scenario())
    last = server.requests[-1].headers
    assert last["authorization"] == f"Bearer {TOKEN}"
    assert "cookie" not in last
    assert not hostile_environment.exists()


def test_a_bundle_replaces_the_public_and_the_environments_roots(
    server: ScriptedServer, credentials: Credentials, hostile_environment: Path, pki: Pki
) -> None:
    server.present(pki.stranger.issue("127.0.0.1"))

    async def outcome(bundle: bytes | None) -> None:
        authority = await connect(server.url, credentials, bundle, QUICK, FixedClock())
        try:
            await authority.login()
        finally:
            authority.close()

    with pytest.raises(TryAgain, match="verify failed"):
        run(outcome(None))
    run(outcome(pki.stranger.certificate))


def test_secrets_stay_out_of_everything_that_is_shown(
    server: ScriptedServer,
    client: Client,
    credentials: Credentials,
    asked: IssuanceRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def echo(_: ssl.SSLSocket, request: Request) -> bytes:
        description = f"{request.headers.get('authorization')} {request.body.decode()}"
        return answer(422, {"description": description})

    server.script |= {QUOTA: [echo], PURCHASE: [echo]}
    shown: list[str] = [repr(credentials), str(credentials)]

    async def fail(authority: GlobalSign) -> None:
        for call in (authority.quota(), authority.request(asked), authority.login()):
            try:
                await call
            except AuthorityError as error:
                shown.extend(traceback.format_exception(error))

    async def scenario() -> None:
        async with client() as authority:
            await fail(authority)
            shown.append(repr(authority))
        server.script[LOGIN] = [echo]
        async with client() as authority:
            await fail(authority)

    with caplog.at_level(logging.DEBUG):
        run(scenario())
    everything = "".join(shown) + caplog.text
    assert "***" in everything, "the authority's echo was shown"
    for secret in (credentials.api_key, credentials.api_secret, TOKEN, credentials.client_key.decode()):
        assert secret not in everything


# What cannot be connected to


@pytest.mark.parametrize(
    ("url", "bundle", "words"),
    [
        ("http://127.0.0.1/v2", None, "not a plain https address"),
        ("https://user:password@127.0.0.1/v2", None, "not a plain https address"),
        ("https://127.0.0.1/v2?x=1", None, "not a plain https address"),
        ("https://127.0.0.1:port/v2", None, "port"),
        ("https://[::1/v2", None, "not a valid host"),
        ("https://127.0.0.1/v2", b"no certificates", "SSLError"),
        ("https://127.0.0.1/v2", "é".encode(), "ascii"),
    ],
)
def test_what_cannot_be_connected_to_is_told_at_once(
    credentials: Credentials, url: str, bundle: bytes | None, words: str
) -> None:
    with pytest.raises(Unauthorised, match=words) as caught:
        run(connect(url, credentials, bundle, QUICK, FixedClock()))
    assert "password" not in str(caught.value)


def test_a_closed_client_says_that_nothing_was_done(client: Client, asked: IssuanceRequest) -> None:
    async def scenario() -> None:
        async with client() as authority:
            await authority.policy()
        with pytest.raises(TryAgain, match="closed"):
            await authority.request(asked)

    run(scenario())


def test_a_purchase_that_is_no_longer_wanted_when_its_turn_comes_is_not_sent(
    server: ScriptedServer, client: Client, asked: IssuanceRequest
) -> None:
    async def scenario() -> None:
        async with client() as authority:
            await authority.policy()
            with pytest.raises(TryAgain, match="no longer allowed"):
                await authority.request(replace(asked, still_wanted=lambda: False))
        assert server.asked("POST /certificates") == 0

    run(scenario())
