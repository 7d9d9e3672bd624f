"""docs/contract.md names every article and only tests that exist."""

import ast
import re

import pytest

from tests.documentation.generated import ROOT

TEXT = (ROOT / "docs" / "contract.md").read_text()
REFERENCES = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
ARTICLES = (
    *("1.3", "2.1", "2.2", "2.3", "3.1", "4.1", "4.2", "5.1", "5.3a", "5.4a", "5.5a", "5.3b", "5.4b", "5.5b"),
    *("6.2", "7.1", "7.2", "7.3", "7.4", "8.1", "8.2", "9.1", "9.2", "9.3"),
)


@pytest.mark.parametrize(("file", "test"), REFERENCES)
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    path = ROOT / file
    assert path.exists()
    defined = {
        node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    }
    assert test in defined


def test_every_article_has_its_row() -> None:
    rows = [line.split("|")[1].strip() for line in TEXT.splitlines() if line.startswith("| ")]
    told = {article for cell in rows for article in cell.split(", ")}
    assert [article for article in ARTICLES if article not in told] == []


def test_every_row_is_shown_or_says_why_not() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| \d", line)]
    assert [row for row in rows if "::" not in row and "| – (" not in row] == []


def test_the_picture_of_the_life_is_linked() -> None:
    assert (ROOT / "docs" / "lifecycle.md").exists()
    assert "(lifecycle.md)" in TEXT
