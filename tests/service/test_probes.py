"""When the probes fail, and that they answer even then."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence

import pytest
import requests
from aiohttp import web

from sslorder.cli.main import main
from sslorder.service import health, watch
from sslorder.service.health import (
    Address,
    Check,
    Heart,
    Unservable,
    once_passed,
    probe,
    serving,
    workers_check,
)


def get(address: Address, path: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://{address}{path}", timeout=10)


class Watch:
    """A stop-watch that is set by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def a_heart_that_stopped(seconds: float) -> Check:
    monotonic = Watch()
    heart = Heart(monotonic)
    monotonic.seconds = seconds
    return heart.check


def well() -> None:
    return None


def ill() -> str:
    return "it is ill"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        pytest.param(a_heart_that_stopped(health.LONGEST_PAUSE_SECONDS), None, id="the loop pauses"),
        pytest.param(
            a_heart_that_stopped(health.LONGEST_PAUSE_SECONDS + 1),
            "the loop has not turned for 31 s",
            id="the loop is stuck",
        ),
        pytest.param(workers_check(lambda: 0.0), None, id="nothing is in work"),
        pytest.param(
            workers_check(lambda: health.LONGEST_RECONCILE_SECONDS), None, id="something is long in work"
        ),
        pytest.param(
            workers_check(lambda: health.LONGEST_RECONCILE_SECONDS + 1),
            "one object has been looked at for 901 s",
            id="a worker is stuck",
        ),
    ],
)
def test_a_check_fails_when(check: Check, said: str | None) -> None:
    assert check() == said


def test_a_check_that_counts_once_it_was_passed() -> None:
    answers = iter(["not yet", None, "no longer"])
    check = once_passed(lambda: next(answers))
    assert [check(), check(), check()] == [None, None, "no longer"]


@pytest.mark.parametrize(
    ("checks", "status", "text"),
    [
        ({"loop": well}, 200, "[+]loop\n"),
        ({"loop": well, "watches": ill}, 503, "[+]loop\n[-]watches: it is ill\n"),
    ],
    ids=["all is well", "one check fails"],
)
def test_a_probe_answers(checks: dict[str, Check], status: int, text: str) -> None:
    answer = probe(checks)()
    assert (answer.status, answer.text) == (status, text)


def test_a_stuck_loop_is_told_while_it_is_stuck() -> None:
    """The request is made on the very loop that is to beat, and so keeps it from turning."""
    monotonic = Watch()

    async def stuck() -> requests.Response:
        heart = Heart(monotonic)
        beating = asyncio.create_task(heart.beat())
        with serving(Address("127.0.0.1", 0), {"/livez": probe({"loop": heart.check})}) as address:
            await asyncio.sleep(0)
            monotonic.seconds = 60
            answer = get(address, "/livez")
        beating.cancel()
        return answer

    answer = asyncio.run(stuck())
    assert (answer.status_code, answer.text) == (503, "[-]loop: the loop has not turned for 60 s\n")


async def _said_while(watchers: Iterable[str], namespaces: Sequence[str]) -> str | None:
    """What is said while there are tasks of these names, as Kopf makes them."""
    tasks = [
        asyncio.create_task(asyncio.Event().wait(), name=f"watcher for {watcher}") for watcher in watchers
    ]
    said = watch.check(asyncio.get_running_loop(), namespaces)
    for task in tasks:
        task.cancel()
    return said


@pytest.mark.parametrize(
    ("namespaces", "ended"),
    [
        ((), "sslpayments.v1.ssl.synchrone.be@None"),
        (("shop", "lab"), "secrets.v1@lab"),
    ],
    ids=["everywhere", "in named namespaces"],
)
def test_a_watch_that_ended_is_missed(namespaces: Sequence[str], ended: str) -> None:
    watched = watch.watched(namespaces)
    assert asyncio.run(_said_while(watched, namespaces)) is None
    said = asyncio.run(_said_while((watcher for watcher in watched if watcher != ended), namespaces))
    assert said == f"nobody watches {ended.removesuffix('@None')}"


def page(text: str) -> Callable[[], web.Response]:
    return lambda: web.Response(text=text)


def test_nothing_else_is_served() -> None:
    with serving(Address("127.0.0.1", 0), {"/livez": page("yes")}) as address:
        assert get(address, "/livez").text == "yes"
        assert get(address, "/").status_code == 404
    with pytest.raises(requests.ConnectionError):
        get(address, "/livez")


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with (
            pytest.raises(Unservable, match=rf"{address} cannot be listened on: .*in use"),
            serving(address, {}),
        ):
            pass


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:9402", Address("0.0.0.0", 9402)),
        ("[::]:9402", Address("::", 9402)),
        ("localhost:0", Address("localhost", 0)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "9402", "localhost", "localhost:http", "localhost:65536"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write host:port, as in"):
        Address.parse(text)


def test_the_command_line_says_what_an_address_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--config", "any.yaml", "--health-listen", "9402"])
    assert "'9402' is not an address: write host:port, as in 0.0.0.0:9402" in capsys.readouterr().err
