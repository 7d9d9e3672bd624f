"""Who may speak to the API: accounts and their credentials."""

import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from sslorder.sandbox.accounts import AccountChange, NewAccount, Profile
from sslorder.sandbox.hierarchy import Hierarchy, write_private
from sslorder.sandbox.policy import Policy
from sslorder.sandbox.store import Account, Claim, LogEntry, Store

PROFILE_FIELDS = set(Profile.model_fields)


class NameTakenError(Exception):
    """There is an account of that name already."""


class Registry:
    """The accounts of `store`, held in memory as well; credentials go to `directory`, a file each."""

    def __init__(
        self, store: Store, hierarchy: Hierarchy, directory: Path, clock: Callable[[], float]
    ) -> None:
        self._store, self._hierarchy, self._directory, self._clock = store, hierarchy, directory, clock
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._load()

    def _load(self) -> None:
        accounts = self._store.accounts()
        self._by_name = {account.name: account for account in accounts}
        self._by_client = {int(account.client_serial, 16): account for account in accounts}
        expiry = self._hierarchy.issuing.expiry
        self._policies = {account.name: account.profile.policy(expiry) for account in accounts}

    def all(self) -> list[Account]:
        return self._store.accounts()

    def get(self, name: str) -> Account | None:
        return self._by_name.get(name)

    def by_client_serial(self, serial: int) -> Account | None:
        return self._by_client.get(serial)

    def policy(self, name: str) -> Policy:
        return self._policies[name]

    def authenticates(self, account: Account, api_key: str, api_secret: str) -> bool:
        given = hashlib.sha256(api_secret.encode()).hexdigest()
        return hmac.compare_digest(account.api_key.encode(), api_key.encode()) & hmac.compare_digest(
            account.secret_sha256, given
        )

    def create(self, asked: NewAccount) -> dict[str, str]:
        """Open an account; returns credentials, keyed as in a Kubernetes Secret. Raises NameTakenError."""
        if asked.name in self._by_name:
            raise NameTakenError(f"an account {asked.name} exists already; its credentials are in its file")
        client = self._hierarchy.client_certificate(asked.name, datetime.fromtimestamp(self._clock(), UTC))
        credentials = {
            "api-key": secrets.token_hex(8),
            "api-secret": secrets.token_urlsafe(30),
            "tls.crt": client.certificate,
            "tls.key": client.key,
            "ca.crt": self._hierarchy.access.pem,
        }
        account = Account(
            profile=Profile(**asked.model_dump(include=PROFILE_FIELDS)),
            api_key=credentials["api-key"],
            secret_sha256=hashlib.sha256(credentials["api-secret"].encode()).hexdigest(),
            client_serial=f"{client.serial:X}",
            quota=asked.quota,
        )
        write_private(self._directory / f"{asked.name}.json", json.dumps(credentials, indent=2))
        try:
            self._store.add_account(account, self._preapproved(asked.name, asked.preapproved))
        except sqlite3.IntegrityError as error:
            raise NameTakenError(asked.name) from error
        self._load()
        return credentials

    def change(self, account: Account, change: AccountChange) -> None:
        """Apply what `change` names; raises ValueError when the outcome makes no sense."""
        changed = change.model_dump(include=PROFILE_FIELDS, exclude_none=True)
        profile = Profile.model_validate(account.profile.model_dump() | changed)
        quota = self._store.quota(account.name) if change.quota is None else change.quota
        self._store.change_account(profile, quota, self._preapproved(account.name, change.preapproved))
        self._load()

    def _preapproved(self, account: str, domains: Iterable[str]) -> list[Claim]:
        now = int(self._clock())
        granted = LogEntry(status="SUCCESS", description="approved with the account", timestamp=now)
        return [
            Claim(secrets.token_hex(8).upper(), account, domain, "", True, now, now, 0, (granted,))
            for domain in domains
        ]
