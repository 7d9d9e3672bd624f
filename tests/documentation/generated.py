"""Puts what is made from the code and the examples into the documents, between a comment and the next.

<!-- made from NAME -->
anything
<!-- end -->
"""

import re
from collections.abc import Callable
from pathlib import Path

from tests.documentation.authority import administration, faults, flags, meanings
from tests.documentation.lifecycle import measures, picture, table
from tests.documentation.monitoring import alerts, figures

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "docs" / "authority.md",
    ROOT / "docs" / "lifecycle.md",
    ROOT / "docs" / "sandbox.md",
    ROOT / "docs" / "runbooks" / "README.md",
)
PLACE = re.compile(r"(<!-- made from (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
SOURCES: dict[str, Callable[[], str]] = {
    "the lifecycle table: picture": lambda: f"```mermaid\n{picture()}```\n",
    "the lifecycle table: measures": measures,
    "the lifecycle table": table,
    "the meanings of answers": meanings,
    "the sandbox's flags": flags,
    "the sandbox's administration": administration,
    "the sandbox's faults": faults,
    "the alerting rules": alerts,
    "the figures": figures,
}


def filled(text: str) -> str:
    """The text with every place filled anew."""
    return PLACE.sub(lambda place: place[1] + _content(place[2]) + place[3], text)


def outdated() -> list[str]:
    """The documents that say something else than what they are made from."""
    return [str(path.relative_to(ROOT)) for path in DOCUMENTS if filled(path.read_text()) != path.read_text()]


def write() -> None:
    """Fills every place of every document anew."""
    for path in DOCUMENTS:
        path.write_text(filled(path.read_text()))


def _content(source: str) -> str:
    if source in SOURCES:
        return SOURCES[source]()
    return f"```yaml\n{(ROOT / source).read_text()}```\n"


if __name__ == "__main__":
    write()
