"""What every way in which a call can end means for whoever called: the error table, seen from outside."""

import contextlib
import gzip
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from sslorder.authority.globalsign import GlobalSign
from sslorder.engine.ports import (
    Authority,
    AuthorityError,
    IssuanceRequest,
    OutcomeUnknown,
    Refused,
    TryAgain,
    Unauthorised,
)
from tests.authority.conftest import NOW, QUICK, Client
from tests.authority.pki import Pki
from tests.authority.server import TOKEN, Reply, Request, ScriptedServer, answer
from tests.authority.waiting import run

LOGIN, READ = "POST /login", "GET /quotas/issuance"
CHANGE, PURCHASE = "POST /claims/domains/C1/dns", "POST /certificates"
KINDS = (LOGIN, READ, CHANGE, PURCHASE)
SERIAL = {"Location": "https://authority.example/v2/certificates/01AB"}


IMPATIENT = replace(
    QUICK,
    connect_within=timedelta(seconds=0.3),
    read_within=timedelta(seconds=0.3),
    answer_within=timedelta(seconds=0.6),
)


async def ready(authority: GlobalSign) -> None:
    """Logged in, and the policy known, however slow this machine and impatient the client."""
    while True:
        with contextlib.suppress(TryAgain):
            await authority.policy()
            return


def call(authority: Authority, operation: str, asked: IssuanceRequest) -> Awaitable[object]:
    match operation:
        case "POST /login":
            return authority.login()
        case "GET /quotas/issuance":
            return authority.quota()
        case "POST /claims/domains/C1/dns":
            return authority.assert_dns("C1")
        case _:
            return authority.request(asked)


def reset(connection: ssl.SSLSocket, _: Request) -> bytes:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return b""


def drip(connection: ssl.SSLSocket, _: Request) -> bytes:
    """A byte now and then: never silent for long, never done."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 200:
        connection.send(bytes([byte]))
        time.sleep(0.02)
    return b""


def silent(connection: ssl.SSLSocket, _: Request) -> bytes:
    connection.recv(1)  # returns when the client hangs up
    return b""


BOMB = gzip.compress(b'{"value": 1' + b" " * 5_000_000 + b"}")
U, R, T, X = Unauthorised, Refused, TryAgain, OutcomeUnknown

ANSWERS: list[tuple[str, Reply, tuple[type[AuthorityError] | None, ...]]] = [
    # what the authority does, its answer, and what that means to a (login, read, change, purchase)
    ("says the request is bad", answer(400), (U, R, R, R)),
    ("does not know the token", answer(401), (U, U, T, T)),
    ("forbids it", answer(403), (U, U, U, U)),
    ("knows no such thing", answer(404), (U, R, R, R)),
    ("dislikes the content type", answer(415), (U, R, R, R)),
    ("refuses the content", answer(422), (U, R, R, R)),
    ("is asked too often", answer(429), (T, T, T, T)),
    ("says that it gave up waiting", answer(408), (T, T, X, X)),
    ("speaks of a conflict", answer(409), (T, T, X, X)),
    ("fails", answer(500), (T, T, X, X)),
    ("has a bad gateway", answer(502), (T, T, X, X)),
    ("is not available", answer(503), (T, T, X, X)),
    ("has a slow gateway", answer(504), (T, T, X, X)),
    ("redirects", answer(302, Location="https://127.0.0.1:1/"), (T, T, X, X)),
    ("redirects for good, with a huge body", answer(308, b"x" * 200_000, Location="/v2/login"), (T, T, X, X)),
    ("accepts, for later", answer(202), (T, T, X, X)),
    ("answers with an unknown status", answer(299), (T, T, X, X)),
    ("answers garbage", answer(200, b"\x00\xff garbage"), (T, T, X, X)),
    ("answers JSON of another shape", answer(200, [1, {"value": {}}]), (T, T, X, X)),
    ("answers JSON without end", answer(200, b"[" * 90_000), (T, T, X, X)),
    ("answers a page for people", answer(200, b"<html>", Content_Type="text/html"), (T, T, X, X)),
    ("answers more than the cap", answer(200, b'{"value": ' + b"1" * 200_000), (T, T, X, X)),
    ("answers a compressed bomb", answer(200, BOMB, Content_Encoding="gzip"), (T, T, X, X)),
    ("answers something that is not HTTP", b"SSH-2.0-OpenSSH_9.9\r\n\r\n", (T, T, X, X)),
    ("answers headers without end", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 2000, (T, T, X, X)),
    ("stops in the middle of its answer", answer(200, b"{}", Content_Length="9")[:-1], (T, T, X, X)),
    ("hangs up without a word", b"", (T, T, X, X)),
    ("resets the connection", reset, (T, T, X, X)),
    ("says nothing at all", silent, (T, T, X, X)),
    ("drips its answer for ever", drip, (T, T, X, X)),
]


@pytest.mark.parametrize("operation", KINDS)
@pytest.mark.parametrize(
    ("reply", "means"), [row[1:] for row in ANSWERS], ids=[f"the authority {row[0]}" for row in ANSWERS]
)
def test_what_an_answer_means(
    server: ScriptedServer,
    client: Client,
    asked: IssuanceRequest,
    operation: str,
    reply: Reply,
    means: tuple[type[AuthorityError], ...],
) -> None:
    limits = IMPATIENT if reply in (silent, drip) else QUICK

    async def scenario() -> None:
        async with client(limits) as authority:
            if operation != LOGIN:
                await ready(authority)
            server.script[READ] = [answer(200, {"value": 7})]
            server.script[operation] = [_ending(reply)]
            with pytest.raises(AuthorityError) as caught:
                await call(authority, operation, asked)
        assert type(caught.value) is means[KINDS.index(operation)], caught.value
        assert caught.value.operation == operation
        if operation in (CHANGE, PURCHASE):
            assert server.asked(operation) == 1, "whatever may have taken effect is sent once"

    run(scenario())


def _ending(reply: Reply) -> Reply:
    """Nothing follows an answer that was not whole: the server hangs up."""
    if not isinstance(reply, bytes):
        return reply
    content = reply

    def send_and_hang_up(connection: ssl.SSLSocket, _: Request) -> bytes:
        connection.sendall(content)
        return b""

    return send_and_hang_up


def refuse_connections(server: ScriptedServer, *_: object) -> None:
    server.stop()


def hang(server: ScriptedServer, *_: object) -> None:
    server.say_nothing()


def speak_no_tls(server: ScriptedServer, *_: object) -> None:
    server.speak_plain_http()


def be_signed_by_a_stranger(server: ScriptedServer, pki: Pki, _: pytest.MonkeyPatch) -> None:
    server.present(pki.stranger.issue("127.0.0.1"))


def have_another_name(server: ScriptedServer, pki: Pki, _: pytest.MonkeyPatch) -> None:
    server.present(pki.root.issue("other.example"))


def reject_the_client(server: ScriptedServer, pki: Pki, _: pytest.MonkeyPatch) -> None:
    server.present(pki.server, clients_of=pki.stranger.certificate)


def have_no_address(_: ScriptedServer, __: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)


@pytest.mark.parametrize("operation", KINDS)
@pytest.mark.parametrize(
    ("misfortune", "means", "words"),
    [
        pytest.param(refuse_connections, TryAgain, "refused", id="nobody listens"),
        pytest.param(hang, TryAgain, "timed out", id="TLS never begins"),
        pytest.param(speak_no_tls, TryAgain, "SSL", id="the server speaks no TLS"),
        pytest.param(be_signed_by_a_stranger, TryAgain, "verify failed", id="an unknown root"),
        pytest.param(have_another_name, TryAgain, "not valid for '127.0.0.1'", id="another name"),
        pytest.param(have_no_address, TryAgain, "not known", id="the name has no address"),
        pytest.param(reject_the_client, Unauthorised, "client certificate", id="our certificate is refused"),
    ],
)
def test_what_never_left_changed_nothing(
    server: ScriptedServer,
    client: Client,
    asked: IssuanceRequest,
    pki: Pki,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    misfortune: Callable[[ScriptedServer, Pki, pytest.MonkeyPatch], None],
    means: type[AuthorityError],
    words: str,
) -> None:
    limits = replace(IMPATIENT if misfortune is hang else QUICK, idle_for=timedelta())

    async def scenario() -> None:
        async with client(limits) as authority:
            if operation != LOGIN:
                await ready(authority)
            misfortune(server, pki, monkeypatch)
            with pytest.raises(AuthorityError, match=words) as caught:
                await call(authority, operation, asked)
        assert type(caught.value) is means
        assert server.asked(operation) == 0

    run(scenario())


PURCHASES: list[tuple[str, bytes, int | type[AuthorityError]]] = [
    ("201 with the address of a certificate", answer(201, **SERIAL), 0x1AB),
    ("201 with a path", answer(201, Location="/v2/certificates/F" + "0" * 31), 0xF << 124),
    ("201 with a name beside it", answer(201, Location="/v2/certificates/1AB?x=1"), OutcomeUnknown),
    ("201 without an address", answer(201), OutcomeUnknown),
    ("201 with an address of something else", answer(201, Location="/v2/claims/domains/1AB"), OutcomeUnknown),
    ("201 with a serial that is no number", answer(201, Location="/v2/certificates/xyz"), OutcomeUnknown),
    ("201 with a serial of zero", answer(201, Location="/v2/certificates/00"), OutcomeUnknown),
    ("201 with an endless serial", answer(201, Location="/certificates/" + "A" * 5000), OutcomeUnknown),
    ("200 with the address of a certificate", answer(200, **SERIAL), OutcomeUnknown),
]


@pytest.mark.parametrize(
    ("reply", "outcome"), [row[1:] for row in PURCHASES], ids=[row[0] for row in PURCHASES]
)
def test_the_outcome_of_a_purchase(
    server: ScriptedServer,
    client: Client,
    asked: IssuanceRequest,
    reply: bytes,
    outcome: int | type[AuthorityError],
) -> None:
    server.script[PURCHASE] = [reply]

    async def scenario() -> None:
        async with client() as authority:
            if isinstance(outcome, int):
                assert await authority.request(asked) == outcome
            else:
                with pytest.raises(outcome):
                    await authority.request(asked)
        assert server.asked(PURCHASE) == 1

    run(scenario())


def test_a_purchase_refused_because_nothing_is_left_waits_for_quota(
    server: ScriptedServer, client: Client, asked: IssuanceRequest
) -> None:
    server.script |= {PURCHASE: [answer(422)], READ: [answer(200, {"value": 0})]}

    async def scenario() -> None:
        async with client() as authority:
            with pytest.raises(TryAgain, match="quota is exhausted"):
                await authority.request(asked)

    run(scenario())


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        pytest.param("7", timedelta(seconds=7), id="seconds"),
        pytest.param("Mon, 23 Nov 2026 12:00:30 GMT", timedelta(seconds=30), id="a date"),
        pytest.param("Mon, 23 Nov 2026 11:00:00 GMT", timedelta(), id="a date in the past"),
        pytest.param("999999999", timedelta(hours=1), id="for years: an hour"),
        pytest.param("99999999999999999999", None, id="beyond any number: not said"),
        pytest.param("Mon, 23 Nov 99999999999 12:00:30 GMT", None, id="a date beyond all time: not said"),
        pytest.param("soon", None, id="nonsense: not said"),
        pytest.param("-1", None, id="less than nothing: not said"),
    ],
)
@pytest.mark.parametrize("operation", KINDS)
def test_how_long_the_authority_wants_to_be_left_alone(
    server: ScriptedServer,
    client: Client,
    asked: IssuanceRequest,
    operation: str,
    header: str,
    wait: timedelta | None,
) -> None:
    server.script[operation] = [answer(429, Retry_After=header)]

    async def scenario() -> None:
        async with client() as authority:
            with pytest.raises(TryAgain) as caught:
                await call(authority, operation, asked)
        assert caught.value.retry_after == wait

    run(scenario())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"description": "no claim covers it"}, "422 no claim covers it", id="a description"),
        pytest.param({"errors": {"san": "too long"}}, "422 {'san': 'too long'}", id="errors by field"),
        pytest.param({"description": "a\x1b[2J\nb"}, "422 a [2J b", id="control characters: blanks"),
        pytest.param({"description": "x" * 90_000}, "422 " + "x" * 496, id="a novel: its beginning"),
        pytest.param({"description": f"token {TOKEN}"}, "422 token ***", id="our token: hidden"),
        pytest.param(b"<html>", "422", id="nothing that can be read"),
    ],
)
def test_what_the_authority_says_about_an_error(
    server: ScriptedServer, client: Client, body: object, words: str
) -> None:
    server.script[READ] = [answer(422, body, Content_Type="application/problem+json")]

    async def scenario() -> None:
        async with client() as authority:
            with pytest.raises(Refused) as caught:
                await authority.quota()
        assert caught.value.detail == words

    run(scenario())


def test_now_is_what_the_request_says(server: ScriptedServer, client: Client, asked: IssuanceRequest) -> None:
    server.script[PURCHASE] = [answer(201, **SERIAL)]

    async def scenario() -> None:
        async with client() as authority:
            await authority.request(asked)

    run(scenario())
    (sent,) = [request for request in server.requests if request.operation == PURCHASE]
    assert sent.headers["content-type"] == "application/json;charset=utf-8"
    assert f'"not_before":{int(NOW.timestamp())}'.encode() in sent.body
