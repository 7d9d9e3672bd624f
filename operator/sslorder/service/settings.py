"""What the process is told: a configuration file about the provider, and flags or environment variables about
the process.

Rules:
- The file says who sells and under which terms; it is the same for every replica and belongs into version
  control.
- A flag wins over its environment variable (`SSLORDER_` and the flag in capitals), which wins over the
  default.
- A mistake names the field and the file, and the process does not start.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from sslorder.api.common import NamespaceName
from sslorder.api.schema import Duration
from sslorder.cluster.lease import LeaseTiming
from sslorder.contract import snapshot
from sslorder.service.health import Address


class ConfigurationError(Exception):
    """The configuration file cannot be used. The text says where and why."""


class _Section(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )


class Edition(_Section):
    """One version of terms."""

    version: Annotated[str, Field(min_length=1, max_length=64)]
    """What an order writes to accept it."""
    valid_from: date
    """First day (Europe/Brussels) on which orders must accept it."""
    url: str
    """Where it can be read."""


class ProviderSection(_Section):
    """The reseller."""

    name: str
    """As messages call it."""
    contact: str
    """Whom messages send people to: an address or a telephone number."""
    conditions: Annotated[tuple[Edition, ...], Field(min_length=1)]
    """Versions of the provider's own conditions."""
    authority_terms: Annotated[tuple[Edition, ...], Field(min_length=1)]
    """Versions of the authority's terms."""


class AuthoritySection(_Section):
    """What is known of the authority's timing. Their sum is how long an uncertain purchase is searched
    for."""

    token_life: Duration = timedelta(minutes=10)
    """How long a login token serves."""
    answer_within: Duration = timedelta(seconds=45)
    """After which a call is given up."""
    statistics_lag: Duration = timedelta(minutes=1)
    """How late the authority's statistics may be."""
    refresh_every: Duration = timedelta(minutes=5)
    """How often credentials, policy, quota and statistics are read."""


class Configuration(_Section):
    """The configuration file."""

    provider: ProviderSection
    """Who sells, and under which terms."""
    authority: AuthoritySection = AuthoritySection()
    """Timing of the authority."""

    @classmethod
    def read(cls, path: Path) -> "Configuration":
        """Read a YAML file. Raises `ConfigurationError`."""
        try:
            return cls.model_validate(yaml.safe_load(path.read_text()))
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}.") from error
        except yaml.YAMLError as error:
            raise ConfigurationError(f"{path} is not YAML: {error}") from error
        except ValidationError as error:
            mistakes = "\n".join(
                f"  {'.'.join(map(str, mistake['loc'])) or 'the file'}: {mistake['msg']}"
                for mistake in error.errors()
            )
            raise ConfigurationError(f"{path} is not a configuration of sslorder:\n{mistakes}") from error

    def as_provider(self) -> snapshot.Provider:
        def editions(section: tuple[Edition, ...]) -> tuple[snapshot.Edition, ...]:
            return tuple(snapshot.Edition(entry.version, entry.valid_from, entry.url) for entry in section)

        return snapshot.Provider(
            self.provider.name,
            self.provider.contact,
            editions(self.provider.conditions),
            editions(self.provider.authority_terms),
        )


class Settings(_Section):
    """The process. `identity` tells this process from every other, a restarted one included."""

    configuration: Configuration
    namespace: str
    identity: str
    kubeconfig: Path | None = None
    context: str | None = None
    workers: Annotated[int, Field(ge=1, le=256)] = 32
    lease: LeaseTiming = LeaseTiming()
    health: Address = Address("127.0.0.1", 0)
    watch_namespaces: tuple[NamespaceName, ...] = ()
    """Namespaces whose orders are looked after. Empty: every one."""
