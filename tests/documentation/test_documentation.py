"""What the documents say is so: pictures and examples in step, examples accepted or refused as they claim."""

import re
from pathlib import Path

import pytest

from tests.controlplane import Cluster, KubectlError
from tests.documentation.generated import DOCUMENTS, ROOT, outdated

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.yaml") if path.stem != "configuration")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def test_what_is_made_from_code_and_examples_is_in_step() -> None:
    assert outdated() == [], "run make docs"


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    broken = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert broken == []


@pytest.fixture(scope="module")
def namespaces(plane: Cluster) -> None:
    for name in ("shop", "lab", "sslorder-system"):
        if not plane.accepts("get", "namespace", name):
            plane.kubectl("create", "namespace", name)


@pytest.mark.usefixtures("namespaces")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_api_server_judges_an_example_as_it_says(plane: Cluster, example: Path) -> None:
    dry_run = ("apply", "--server-side", "--dry-run=server", "--filename", example)
    if example.stem == "refused":
        with pytest.raises(KubectlError, match=r"dnsNames\[0\].*use a hyphen"):
            plane.kubectl(*dry_run)
    else:
        plane.kubectl(*dry_run)
