"""Alerts and figures as tables."""

from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from sslorder.engine.cache import Cache
from sslorder.engine.queue import Urgency
from sslorder.service import inventory
from sslorder.service.metrics import Figures

RULES = Path(__file__).parents[2] / "charts" / "sslorder" / "files" / "rules.yaml"


def alerts() -> str:
    """Every alert with its severity and when it fires."""
    rows = ["| alert | severity | after |", "|---|---|---|"]
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            name = rule["alert"]
            rows.append(
                f"| [{name}]({name}.md) | {rule['labels']['severity']} | {rule.get('for', 'at once')} |"
            )
    return "\n".join(rows) + "\n"


def figures() -> str:
    """Every figure of the operator's own, with what it says."""
    page = Figures(()).exposition(()) + inventory.exposition(
        Cache(), dict.fromkeys(Urgency, 0), lease_held=True
    )
    rows = ["| figure | type | what it says |", "|---|---|---|"]
    for family in sorted(text_string_to_metric_families(page), key=lambda family: family.name):
        if family.name.startswith("sslorder_"):
            name = family.name + "_total" if family.type == "counter" else family.name
            rows.append(f"| `{name}` | {family.type} | {family.documentation} |")
    return "\n".join(rows) + "\n"
