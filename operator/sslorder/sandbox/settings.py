"""What the operator of a sandbox decides at its start."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DAY = 86_400
LONGEST = 199 * DAY - 1  # BR 6.3.2 recommends 199 days and counts both ends


class Address(NamedTuple):
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port` or `[v6]:port`; raises ValueError on anything else."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65_535:
            raise ValueError(f"{text!r} is not an address: write host:port, for example 127.0.0.1:8443")
        return cls(host.strip("[]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Settings(BaseModel):
    """Durations are in seconds. A port 0 is a free one, kept over restarts while nobody else takes it."""

    model_config = ConfigDict(frozen=True)

    state: Path
    listen: Address = Address("127.0.0.1", 0)
    crl_listen: Address = Address("127.0.0.1", 0)
    admin_listen: Address = Address("127.0.0.1", 0)
    public_name: str | None = None
    crl_url: str | None = None
    resolver: Address | None = None
    token_life: int = 600
    claim_life: int = 200 * DAY
    max_validity: int = LONGEST
    quota: int = 1_000
    preapproved: tuple[str, ...] = ()
    publish_credentials: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")] | None = None
    log: Literal["text", "json"] = "text"

    @model_validator(mode="after")
    def _admin_stays_at_home(self) -> Self:
        host = self.admin_listen.host
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(
                f"--admin-listen {host}: the port gives out credentials to whoever asks: use 127.0.0.1 or ::1"
            )
        return self

    def server_names(self) -> list[str]:
        """The names that the API's own certificate holds, the one to be published first."""
        wildcard = self.listen.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        first = self.public_name or ("localhost" if wildcard else self.listen.host)
        return list(dict.fromkeys([first, "localhost", "127.0.0.1", "::1"]))


class Endpoint(BaseModel):
    """Where a running sandbox is reached; DIR/endpoint.json."""

    api: str
    crl: str
    admin: str
    pid: int
