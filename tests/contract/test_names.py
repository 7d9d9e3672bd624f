"""Relations between names."""

import pytest

from sslorder.contract.names import closest, lies_under


@pytest.mark.parametrize(
    ("name", "domain", "expected"),
    [
        pytest.param("example.com", "example.com", True, id="a domain lies under itself"),
        pytest.param("a.b.example.com", "example.com", True, id="so does what is below it"),
        pytest.param("*.example.com", "example.com", True, id="and its wildcard"),
        pytest.param("notexample.com", "example.com", False, id="a name that only ends alike does not"),
        pytest.param("example.com", "www.example.com", False, id="nor does the domain above"),
    ],
)
def test_lies_under(name: str, domain: str, expected: bool) -> None:
    assert lies_under(name, domain) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("www.shop.example.com", "shop.example.com", id="the longest domain is the closest"),
        pytest.param("www.example.com", "example.com", id="a sibling is no parent"),
        pytest.param("example.org", None, id="none may be"),
    ],
)
def test_closest(name: str, expected: str | None) -> None:
    assert closest(name, ("example.com", "shop.example.com")) == expected
