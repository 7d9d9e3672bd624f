"""The sandbox authority as a process of its own, and its administration port.

with Sandbox.start(tmp_path, resolver=dns.address) as sandbox:
    credentials = sandbox.create_account("acme", preapproved=["example.com"])
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, cast

import requests

START_BOUND = 30.0
STOP_BOUND = 10.0
ADMIN_BOUND = 10.0


class Issued(TypedDict):
    serial: str
    account: str
    names: list[str]
    spki_sha256: str
    not_before: int
    not_after: int
    issued_at: int
    revoked: bool
    reason: str | None


class Sandbox:
    """A running sandbox. It ends with `stop`, and with the process that started it."""

    def __init__(self, process: subprocess.Popen[bytes], state: Path, endpoint: dict[str, str]) -> None:
        self._process = process
        self._admin = requests.Session()
        self._admin.trust_env = False
        self.state = state
        self.api, self.crl, self.admin = endpoint["api"], endpoint["crl"], endpoint["admin"]

    @classmethod
    def start(cls, state: Path, **flags: object) -> Self:
        """Run `sslorder sandbox --state STATE` with `flags` (token_life=2: --token-life 2), and wait."""
        state.mkdir(parents=True, exist_ok=True)
        options = [
            word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))
        ]
        command = [sys.executable, "-m", "sslorder.sandbox", "--state", str(state), "--until-stdin-closes"]
        with (state / "sandbox.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
            )
        try:
            return cls(process, state, _endpoint_of(process, state))
        except BaseException:
            _end(process)
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._admin.close()
        _end(self._process)

    def kill(self) -> None:
        """SIGKILL: what was answered must be on disk."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Administration

    def create_account(self, name: str, **fields: object) -> dict[str, str]:
        """Open an account (fields of NewAccount); returns credentials keyed as in a Kubernetes Secret."""
        return cast("dict[str, str]", self._ask("POST", "/accounts", {"name": name, **fields}))

    def default_account(self) -> dict[str, str]:
        """The credentials of the account that the first start made."""
        text = (self.state / "accounts" / "default.json").read_text()
        return cast("dict[str, str]", json.loads(text))

    def change_account(self, name: str, **fields: object) -> None:
        self._ask("PATCH", f"/accounts/{name}", fields)

    def set_quota(self, account: str, quota: int) -> None:
        self.change_account(account, quota=quota)

    def issued(self) -> list[Issued]:
        return cast("list[Issued]", self._ask("GET", "/certificates"))

    def revoke(self, serial: str, reason: str = "cessationOfOperation") -> None:
        """Have the authority revoke of its own accord."""
        self._ask("PATCH", f"/certificates/{serial}", {"revocation_reason": reason})

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """What the API was asked after request `since`, oldest first; status None: being answered."""
        return cast("list[dict[str, Any]]", self._ask("GET", f"/requests?since={since}"))

    def set_faults(self, *faults: dict[str, object]) -> None:
        """Switch on exactly these, for example {"fault": "delay", "seconds": 1, "operation": "collect"}."""
        self._ask("PUT", "/faults", list(faults))

    def clear_faults(self) -> None:
        self._ask("DELETE", "/faults")

    def _ask(self, method: str, path: str, body: object = None) -> object:
        response = self._admin.request(method, self.admin + path, json=body, timeout=ADMIN_BOUND)
        if not response.ok:
            raise AssertionError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()


def _endpoint_of(process: subprocess.Popen[bytes], state: Path) -> dict[str, str]:
    """Wait for the endpoint that this very process has written."""
    bound = time.monotonic() + START_BOUND
    file = state / "endpoint.json"
    while time.monotonic() < bound and process.poll() is None:
        if file.exists():
            endpoint = json.loads(file.read_text())
            if endpoint["pid"] == process.pid:
                return cast("dict[str, str]", endpoint)
        time.sleep(0.02)
    log = (state / "sandbox.log").read_text()[-2_000:]
    raise AssertionError(f"the sandbox did not start within {START_BOUND} s (exit {process.poll()}):\n{log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_BOUND)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()
