"""The command line of `sslorder sandbox`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from sslorder.sandbox.faults import CATALOGUE
from sslorder.sandbox.http import explain
from sslorder.sandbox.requestlog import JsonFormatter
from sslorder.sandbox.secret import publish
from sslorder.sandbox.server import DEFAULT_ACCOUNT, run
from sslorder.sandbox.settings import Address, Endpoint, Settings


def main(argv: Sequence[str]) -> int:
    """Run a sandbox until SIGTERM or SIGINT; returns the exit status."""
    arguments = _parser().parse_args(argv)
    until_stdin_closes = arguments.__dict__.pop("until_stdin_closes")
    try:
        settings = Settings(**{name: value for name, value in vars(arguments).items() if value is not None})
    except ValidationError as error:
        print(f"sslorder sandbox: {explain(error)}", file=sys.stderr)
        return 2
    _log_as(settings.log)
    try:
        asyncio.run(_until_told(settings, until_stdin_closes))
    except OSError as error:
        print(f"sslorder sandbox: {error}", file=sys.stderr)
        return 1
    return 0


async def _until_told(settings: Settings, until_stdin_closes: bool) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if until_stdin_closes:
        await loop.connect_read_pipe(lambda: _Ending(told), sys.stdin)

    def ready(endpoint: Endpoint) -> None:
        if settings.publish_credentials is not None:
            publish(settings.publish_credentials, settings.state / "accounts" / f"{DEFAULT_ACCOUNT}.json")
        print(endpoint.model_dump_json(), flush=True)

    await run(settings, ready, told.wait, os.getpid())


class _Ending(asyncio.Protocol):
    def __init__(self, told: asyncio.Event) -> None:
        self._told = told

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._told.set()


def _log_as(style: str) -> None:
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if style == "json" else text)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    faults = "\n".join(
        f"  {name:21} {row.effect}{f' ({row.needs})' if row.needs else ''}" for name, row in CATALOGUE.items()
    )
    parser = argparse.ArgumentParser(
        prog="sslorder sandbox",
        description="A certification authority that speaks GlobalSign's HVCA v2, for test environments. "
        "Nobody trusts what it issues.",
        epilog="The first start makes the authorities and the account `default`, whose credentials are in\n"
        "DIR/accounts/default.json. Further accounts: POST /accounts on the administration port.\n"
        f"Faults that PUT /faults switches on there:\n{faults}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    defaults = Settings(state=Path())

    def option(flag: str, metavar: str, text: str, kind: Callable[[str], object] = int) -> None:
        parser.add_argument(flag, metavar=metavar, type=kind, help=text)

    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        required=True,
        help="everything the sandbox remembers; made when missing",
    )
    port = "port 0 is a free one, kept over restarts; default 127.0.0.1:0"
    option("--listen", "HOST:PORT", f"the HVCA API, over mutual TLS; {port}", _address)
    option(
        "--crl-listen",
        "HOST:PORT",
        f"CRLs and issuers, plain HTTP; certificates point here; {port}",
        _address,
    )
    option("--admin-listen", "HOST:PORT", f"administration, plain HTTP, loopback only; {port}", _address)
    option(
        "--public-name",
        "HOST",
        "the name by which clients reach the sandbox; default: what it listens on",
        str,
    )
    option("--crl-url", "URL", "what certificates state when --crl-listen is published elsewhere", str)
    option(
        "--resolver",
        "HOST:PORT",
        "the DNS server that is asked for proofs; default: this machine's",
        _address,
    )
    option(
        "--max-validity", "SECONDS", f"of the account `default` when made; default {defaults.max_validity}"
    )
    option("--quota", "COUNT", f"certificates of the account `default` when made; default {defaults.quota}")
    parser.add_argument(
        "--preapproved",
        metavar="DOMAIN",
        action="append",
        help="a domain that the account `default` need not prove, when made; may be given again",
    )
    option(
        "--publish-credentials",
        "NAMESPACE/NAME",
        "an existing Kubernetes Secret into which those of the account `default` are put at every start, with"
        " the rights of the pod's service account (or of kubectl's own file): patch on that Secret",
        str,
    )
    option("--token-life", "SECONDS", f"how long a log-in holds; default {defaults.token_life}")
    option("--claim-life", "SECONDS", f"how long a proved domain may be used; default {defaults.claim_life}")
    parser.add_argument(
        "--log", choices=("text", "json"), help="how the log on standard error reads; default text"
    )
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end with the process at the other end of standard input",
    )
    return parser
