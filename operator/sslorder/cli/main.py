"""`sslorder`: one program, a sub-command each for what it runs."""

import argparse
import asyncio
import logging
import os
import socket
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from kubernetes.aio.config import ConfigException
from pydantic import ValidationError

from sslorder.cluster.client import KubeError
from sslorder.cluster.lease import LeaseTiming
from sslorder.sandbox import command as sandbox
from sslorder.service import logs, process
from sslorder.service.health import Address, Unservable
from sslorder.service.settings import Configuration, ConfigurationError, Settings

logger = logging.getLogger(__name__)


def _env(flag: str, default: str | None = None) -> str | None:
    return os.environ.get("SSLORDER_" + flag.upper().replace("-", "_"), default)


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:  # of which argparse would tell only that there was one
        raise argparse.ArgumentTypeError(str(error)) from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser(
        "run",
        help="run the operator",
        description="Run the operator. Each flag can also be given as an environment variable:"
        " --log-level as SSLORDER_LOG_LEVEL.",
    )
    given = _env("config")
    run.add_argument(
        "--config",
        type=Path,
        default=Path(given) if given else None,
        required=given is None,
        metavar="FILE",
        help="configuration file: the provider and its terms",
    )
    run.add_argument(
        "--kubeconfig",
        type=Path,
        default=_env("kubeconfig"),
        metavar="FILE",
        help="default: the pod's service account, or kubectl's own file",
    )
    run.add_argument("--context", default=_env("context"), help="context of the kubeconfig")
    run.add_argument(
        "--namespace",
        default=_env("namespace", "sslorder-system"),
        help="the operator's own namespace: dossiers, credentials and the Lease (default: %(default)s)",
    )
    run.add_argument(
        "--watch-namespaces",
        type=_names,
        default=_env("watch-namespaces", ""),
        metavar="NAME,…",
        help="serve the orders of these namespaces only, by rights in them alone (default: of all)",
    )
    run.add_argument(
        "--workers",
        type=int,
        default=_env("workers", "32"),
        help="orders looked at side by side (default: %(default)s)",
    )
    run.add_argument(
        "--lease-seconds",
        type=int,
        default=_env("lease-seconds", "15"),
        help="how long a leader that fell silent keeps its right to act (default: %(default)s)",
    )
    run.add_argument(
        "--health-listen",
        type=_address,
        default=_env("health-listen", "127.0.0.1:0"),
        metavar="HOST:PORT",
        help="where to serve /livez, /readyz, /metrics; port 0 is any free one (default: %(default)s)",
    )
    run.add_argument("--log-format", choices=("text", "json"), default=_env("log-format", "text"))
    run.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default=_env("log-level", "info")
    )
    run.set_defaults(action=_run)


def _run(arguments: argparse.Namespace) -> int:
    logs.set_up(arguments.log_format, arguments.log_level)
    seconds = arguments.lease_seconds
    try:
        settings = Settings(
            configuration=Configuration.read(arguments.config),
            namespace=arguments.namespace,
            identity=f"{socket.gethostname()}_{uuid.uuid4()}",
            kubeconfig=arguments.kubeconfig,
            context=arguments.context,
            workers=arguments.workers,
            health=arguments.health_listen,
            watch_namespaces=arguments.watch_namespaces,
            lease=LeaseTiming(
                duration=seconds, renew_deadline=seconds * 2 / 3, retry_period=seconds * 2 / 15
            ),
        )
        asyncio.run(process.run(settings))
    except (ConfigurationError, ValidationError, ConfigException, KubeError, Unservable) as error:
        logger.error("The operator cannot run: %s", error)
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns its exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["sandbox"]:
        return sandbox.main(given[1:])
    parser = argparse.ArgumentParser(
        prog="sslorder", description="TLS certificates sold, held and ended under a contract."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    commands.add_parser(
        "sandbox", help="run a stand-in authority that speaks GlobalSign's HVCA", add_help=False
    )
    arguments = parser.parse_args(given)
    result: int = arguments.action(arguments)
    return result
