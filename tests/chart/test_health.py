"""What Argo CD makes of an order, by the Lua that the documents give it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.chart.helm import ROOT, lua

TOLD = re.search(r"```lua\n(.*?)```", (ROOT / "docs" / "client.md").read_text(), re.DOTALL)
SHOW = 'local health = (function()\n{}end)()\nprint(health.status .. ": " .. health.message)\n'


def literal(value: Any) -> str:
    """A value as Lua writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{literal(key)}] = {literal(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(literal, value)) + "}"
    return json.dumps(value)


def status(phase: str, seen: int = 1, **conditions: str) -> dict[str, Any]:
    entries = [{"type": kind, "status": value} for kind, value in conditions.items()]
    return {"phase": phase, "observedGeneration": seen, "conditions": entries, "message": "so it is"}


@pytest.mark.parametrize(
    ("status", "health"),
    [
        pytest.param({"observedGeneration": -1}, "Progressing: Waiting for the operator", id="new"),
        pytest.param(
            status("Active", 0, Ready="True"), "Progressing: Waiting for the operator", id="edited since"
        ),
        pytest.param(
            status("PendingPayment", Ready="False", Reconciling="True"), "Progressing: so it is", id="unpaid"
        ),
        pytest.param(status("Active", Ready="True"), "Healthy: so it is", id="served"),
        pytest.param(
            status("Suspended", Ready="False", Stalled="True"), "Suspended: so it is", id="suspended"
        ),
        pytest.param(
            status("Terminated", Ready="False", Stalled="True"), "Degraded: so it is", id="terminated"
        ),
        pytest.param(status("Revoked"), "Healthy: so it is", id="revoked as its client asked"),
    ],
)
def test_argo_cd_judges_an_order(status: dict[str, Any], health: str, tmp_path: Path) -> None:
    assert TOLD is not None
    script = tmp_path / "health.lua"
    script.write_text(
        f"obj = {literal({'metadata': {'generation': 1}, 'status': status})}\n" + SHOW.format(TOLD[1])
    )
    said = subprocess.run([lua(), script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == health
