"""The sandbox's memory: one SQLite file. Every change is durable before its method returns.

Serial numbers are as HVCA writes them: upper-case hexadecimal, no leading zeros. Moments are unix seconds.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from cryptography import x509
from pydantic import BaseModel

from sslorder.sandbox.accounts import Profile
from sslorder.sandbox.revocation import Revoked

SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
  name TEXT PRIMARY KEY, profile TEXT NOT NULL, api_key TEXT NOT NULL UNIQUE, secret_sha256 TEXT NOT NULL,
  client_serial TEXT NOT NULL UNIQUE, quota INTEGER NOT NULL CHECK (quota >= 0)
) STRICT;
CREATE TABLE IF NOT EXISTS certificate (
  serial TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES account, pem TEXT NOT NULL, names TEXT NOT NULL,
  spki_sha256 TEXT NOT NULL, not_before INTEGER NOT NULL, not_after INTEGER NOT NULL,
  issued_at INTEGER NOT NULL, revoked_at INTEGER, revoked_from INTEGER, reason TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS certificate_issued ON certificate (account, issued_at);
CREATE INDEX IF NOT EXISTS certificate_revoked ON certificate (account, revoked_at);
CREATE INDEX IF NOT EXISTS certificate_expiring ON certificate (account, not_after);
CREATE INDEX IF NOT EXISTS revocations ON certificate (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS claim (
  id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES account, domain TEXT NOT NULL, token TEXT NOT NULL,
  verified INTEGER NOT NULL, created_at INTEGER NOT NULL, assert_by INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, log TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS claim_domain ON claim (account, domain);
CREATE TABLE IF NOT EXISTS crl (issuer TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
"""

Statistic = Literal["issued_at", "revoked_at", "not_after"]


class Account(NamedTuple):
    profile: Profile
    api_key: str
    secret_sha256: str
    client_serial: str
    quota: int

    @property
    def name(self) -> str:
        return self.profile.name


class Certificate(NamedTuple):
    """`revoked_at` is when revocation was asked for, `revoked_from` the moment from which it holds."""

    serial: str
    account: str
    pem: str
    names: tuple[str, ...]
    spki_sha256: str
    not_before: int
    not_after: int
    issued_at: int
    revoked_at: int | None = None
    revoked_from: int | None = None
    reason: str | None = None


class LogEntry(BaseModel):
    status: Literal["SUCCESS", "ERROR", "INFO"]
    description: str
    timestamp: int


class Claim(NamedTuple):
    """`expires_at` 0: verified without end, as the provider's portal may grant."""

    id: str
    account: str
    domain: str
    token: str
    verified: bool
    created_at: int
    assert_by: int
    expires_at: int
    log: tuple[LogEntry, ...] = ()

    def holds(self, now: int) -> bool:
        return self.verified and (self.expires_at == 0 or now < self.expires_at)


class QuotaExhaustedError(Exception):
    """The account may issue nothing more."""


class Store:
    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # in WAL mode: an fsync at every commit
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # Accounts

    def accounts(self) -> list[Account]:
        rows = self._db.execute(
            "SELECT profile, api_key, secret_sha256, client_serial, quota FROM account ORDER BY name"
        )
        return [Account(Profile.model_validate_json(row[0]), *row[1:]) for row in rows]

    def add_account(self, account: Account, claims: Iterable[Claim]) -> None:
        """Raises sqlite3.IntegrityError when the name is taken."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO account VALUES (?, ?, ?, ?, ?, ?)",
                (account.name, account.profile.model_dump_json(), *account[1:]),
            )
            for claim in claims:
                self._write_claim(claim)

    def change_account(self, profile: Profile, quota: int, claims: Iterable[Claim]) -> None:
        with self._transaction():
            self._db.execute(
                "UPDATE account SET profile = ?, quota = ? WHERE name = ?",
                (profile.model_dump_json(), quota, profile.name),
            )
            for claim in claims:
                self._write_claim(claim)

    def quota(self, account: str) -> int:
        return self._count("SELECT quota FROM account WHERE name = ?", account)

    # Certificates

    def issue(self, certificate: Certificate) -> None:
        """Record a certificate and count it against the quota, or neither; raises QuotaExhaustedError."""
        with self._transaction():
            counted = self._db.execute(
                "UPDATE account SET quota = quota - 1 WHERE name = ? AND quota > 0", (certificate.account,)
            )
            if not counted.rowcount:
                raise QuotaExhaustedError
            self._db.execute(
                "INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                certificate._replace(names=json.dumps(certificate.names)),  # type: ignore[arg-type]
            )

    def certificate(self, account: str, serial: str) -> Certificate | None:
        found = self._certificates("WHERE serial = ? AND account = ?", serial, account)
        return found[0] if found else None

    def all_certificates(self) -> list[Certificate]:
        return self._certificates("ORDER BY rowid")

    def revoke(self, serial: str, at: int, holds_from: int, reason: str) -> bool:
        """Returns False when there is nothing of that serial number to revoke."""
        changed = self._db.execute(
            "UPDATE certificate SET revoked_at = ?, revoked_from = ?, reason = ?"
            " WHERE serial = ? AND revoked_at IS NULL",
            (at, holds_from, reason, serial),
        )
        return changed.rowcount > 0

    def revoked(self) -> list[Revoked]:
        rows = self._db.execute(
            "SELECT serial, revoked_from, reason, pem FROM certificate"
            " WHERE revoked_at IS NOT NULL ORDER BY revoked_at"
        )
        return [
            Revoked(int(serial, 16), at, reason, x509.load_pem_x509_certificate(pem.encode()).issuer)
            for serial, at, reason, pem in rows
        ]

    def revocations(self) -> int:
        return self._count("SELECT count(*) FROM certificate WHERE revoked_at IS NOT NULL")

    def next_crl_number(self, issuer: str) -> int:
        return self._count(
            "INSERT INTO crl VALUES (?, 1) ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number",
            issuer,
        )

    def statistic(
        self, column: Statistic, account: str, window: tuple[int, int], page: slice
    ) -> tuple[list[Certificate], int]:
        """The certificates whose `column` lies in `window` (ends included), and how many there are in all."""
        where = f"WHERE account = ? AND {column} BETWEEN ? AND ?"
        total = self._count(f"SELECT count(*) FROM certificate {where}", account, *window)  # noqa: S608 - a Literal
        rows = self._certificates(
            f"{where} ORDER BY {column}, rowid LIMIT ? OFFSET ?",
            account,
            *window,
            page.stop - page.start,
            page.start,
        )
        return rows, total

    def counter(self, column: Statistic, account: str) -> int:
        sql = f"SELECT count({column}) FROM certificate WHERE account = ?"  # noqa: S608 - a Literal
        return self._count(sql, account)

    # Claims

    def put_claim(self, claim: Claim) -> None:
        with self._transaction():
            self._write_claim(claim)

    def delete_claim(self, claim_id: str) -> None:
        self._db.execute("DELETE FROM claim WHERE id = ?", (claim_id,))

    def claim(self, account: str, claim_id: str) -> Claim | None:
        found = self._claims("WHERE account = ? AND id = ?", account, claim_id)
        return found[0] if found else None

    def claims(self, account: str, verified: bool | None, now: int, page: slice) -> tuple[list[Claim], int]:
        """The claims that hold at `now`, those that do not, or (None) all of them; and how many there are."""
        holds = "verified AND (expires_at = 0 OR expires_at > ?)"
        where = f"WHERE account = ? AND (? IS NULL OR ({holds}) = ?)"
        values = account, verified, now, verified
        total = self._count(f"SELECT count(*) FROM claim {where}", *values)  # noqa: S608 - fixed texts
        rows = self._claims(
            f"{where} ORDER BY created_at, id LIMIT ? OFFSET ?", *values, page.stop - page.start, page.start
        )
        return rows, total

    def claims_for(self, account: str, domains: list[str]) -> list[Claim]:
        marks = ", ".join("?" * len(domains))
        return self._claims(f"WHERE account = ? AND domain IN ({marks})", account, *domains)

    def _write_claim(self, claim: Claim) -> None:
        log = json.dumps([entry.model_dump() for entry in claim.log])
        self._db.execute(
            "INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*claim[:4], int(claim.verified), *claim[5:8], log),
        )

    def _claims(self, tail: str, *values: Any) -> list[Claim]:
        return [
            Claim(*row)._replace(
                verified=bool(row[4]), log=tuple(LogEntry(**entry) for entry in json.loads(row[8]))
            )
            for row in self._db.execute(f"SELECT * FROM claim {tail}", values)  # noqa: S608 - fixed texts
        ]

    def _certificates(self, tail: str, *values: Any) -> list[Certificate]:
        rows = self._db.execute(f"SELECT * FROM certificate {tail}", values)  # noqa: S608 - fixed texts
        return [Certificate(*row)._replace(names=tuple(json.loads(row[3]))) for row in rows]

    def _count(self, sql: str, *values: Any) -> int:
        (value,) = self._db.execute(sql, values).fetchone()
        return int(value)
