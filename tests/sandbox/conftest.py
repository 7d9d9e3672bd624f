"""One sandbox for all these tests; each test opens accounts of its own in it."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.harness.dns import DnsServer
from tests.harness.sandbox import Sandbox
from tests.sandbox.client import Client

OpenAccount = Callable[..., Client]


@pytest.fixture(scope="session")
def dns_server() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory, dns_server: DnsServer) -> Iterator[Sandbox]:
    with Sandbox.start(tmp_path_factory.mktemp("sandbox"), resolver=dns_server.address) as running:
        yield running


@pytest.fixture(scope="session")
def account_names() -> Iterator[str]:
    return (f"account-{number}" for number in count(1))


@pytest.fixture
def open_account(sandbox: Sandbox, account_names: Iterator[str], tmp_path: Path) -> Iterator[OpenAccount]:
    """Opens an account that may issue for example.com unless told otherwise, and logs in."""
    clients: list[Client] = []

    def opened(**fields: object) -> Client:
        name = next(account_names)
        credentials = sandbox.create_account(name, **{"preapproved": ["example.com"], **fields})
        clients.append(client := Client(sandbox.api, name, credentials, tmp_path / name))
        client.log_in()
        return client

    yield opened
    sandbox.clear_faults()
    for client in clients:
        client.close()


@pytest.fixture
def client(open_account: OpenAccount) -> Client:
    return open_account()
