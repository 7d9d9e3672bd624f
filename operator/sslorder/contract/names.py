"""Relations between DNS names (RFC 1034, BR 3.2.2.4). All names are lower-case A-labels without a trailing
dot.
"""

from collections.abc import Iterable


def is_wildcard(name: str) -> bool:
    return name.startswith("*.")


def base(name: str) -> str:
    """The name that has to be proved: a wildcard's without its asterisk."""
    return name.removeprefix("*.")


def lies_under(name: str, domain: str) -> bool:
    """Whether a name, or what its wildcard stands for, is that domain or lies below it."""
    return base(name) == domain or base(name).endswith("." + domain)


def closest(name: str, domains: Iterable[str]) -> str | None:
    """The longest of the domains that a name lies under."""
    return max((domain for domain in domains if lies_under(name, domain)), key=len, default=None)
