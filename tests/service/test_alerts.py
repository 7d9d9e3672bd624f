"""The alerting rules, judged by promtool: which fire, and on nothing else."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from sslorder.engine.cache import Cache
from sslorder.engine.queue import Urgency
from sslorder.service import inventory
from sslorder.service.metrics import Figures
from sslorder.service.operator import KINDS
from tests.service.promtool import promtool

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts" / "sslorder" / "files" / "rules.yaml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
RUNBOOK_SECTIONS = ("## What it means", "## How to look", "## What to do", "## Whom to ask")

LATER, HOUR = 20, 60  # minutes
ENDED = ("Expired", "Terminated", "Rejected")
AT = {"namespace": "web", "name": "shop"}


def series(name: str, /, **labels: str) -> str:
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def order(gauge: str, /, **labels: str) -> str:
    return series(f"sslorder_{gauge}", **AT, **labels)


def days(number: float) -> str:
    """A moment that many days after the tests' beginning, which is 1970."""
    return str(int(number * 86400))


PHASE, READY = "order_phase", "order_ready_status"
NOT_AFTER, REISSUE = "certificate_not_after_timestamp_seconds", "certificate_reissue_timestamp_seconds"
PAID_THROUGH, DUE = "contract_paid_through_timestamp_seconds", "order_payment_due_timestamp_seconds"
DEADLINE, END = "contract_notice_deadline_timestamp_seconds", "contract_end_timestamp_seconds"
NOTICE = order("contract_notice_given")
SECRET = order("secret_not_after_timestamp_seconds", secret="shop-tls")
QUOTA = series("sslorder_authority_quota_remaining", authority="dv")
BUILD = series("sslorder_build_info", version="1")
LEASE = series("sslorder_lease_held", pod="a")
OTHER_LEASE = series("sslorder_lease_held", pod="b")
REMOVALS = series("sslorder_queue_depth", urgency="removal")
ERRORS = series("sslorder_reconcile_errors_total", kind="SSLCertificateOrder")
REMOVED = "sslorder_secret_removal_delay_seconds_count"
REMOVED_IN_TIME = series("sslorder_secret_removal_delay_seconds_bucket", le="60.0")
ACTIVE = {order(PHASE, phase="Active"): "1", order(READY, condition="True"): "1", SECRET: days(300)}


def authority(condition: str) -> str:
    return series("sslorder_authority_ready_status", authority="dv", condition=condition)


def calls(outcome: str) -> str:
    return series("sslorder_authority_requests_total", authority="dv", operation="quota", outcome=outcome)


@dataclass(frozen=True)
class Case:
    """Constant series (or, with an x, promtool's notation; None takes one away), and what fires after some
    minutes."""

    sentence: str
    given: dict[str, str | None]
    after: int
    fires: Sequence[str] = ()
    labels: dict[str, str] = field(default_factory=dict)


CASES = (
    Case("all is well", {**ACTIVE}, 3 * HOUR),
    # The operator
    Case("no operator answers", {BUILD: None, LEASE: None}, 6, ["OperatorAbsent"]),
    Case("the operator is being restarted", {BUILD: "1 stale _x3 1x60", LEASE: "1 stale _x3 1x60"}, 4),
    Case("nobody acts", {LEASE: "0", OTHER_LEASE: "0"}, 3, ["NobodyHoldsLease"]),
    Case("a standby stands by", {OTHER_LEASE: "0"}, 3 * HOUR),
    Case("the Lease changes hands", {LEASE: "1 1 0x60", OTHER_LEASE: "0 1 1x60"}, 2),
    Case("two act", {OTHER_LEASE: "1"}, 2, ["TwoHoldLease"]),
    Case("removals wait for long", {REMOVALS: "3"}, 7, ["QueueStuck"]),
    Case("removals come and go", {REMOVALS: "3 0 3 0 3 0 3 0 3 0 3x60"}, 10),
    Case(
        "one object is in work for long",
        {"sslorder_longest_reconcile_seconds": "0+60x60"},
        12,
        ["QueueStuck"],
    ),
    Case(
        "one kind keeps failing",
        {ERRORS: "0+2x60"},
        40,
        ["ReconcileErrors"],
        {"kind": "SSLCertificateOrder"},
    ),
    Case("now and then a reconciliation fails", {ERRORS: "0 0 1 1 1 1 1 1 1 2x60"}, 40),
    # Secrets
    Case(
        "a Secret outlives its certificate",
        {**ACTIVE, SECRET: "60"},
        4,
        ["SecretOutlivesRight"],
        {**AT, "secret": "shop-tls"},
    ),
    Case(
        "a Secret outlives its order",
        {SECRET: days(9)},
        3,
        ["SecretOutlivesRight"],
        {**AT, "secret": "shop-tls"},
    ),
    *(
        Case(
            f"a Secret stands though its order is {phase}",
            {SECRET: days(9), order(PHASE, phase=phase): "1"},
            3,
            ["SecretOutlivesRight"],
            {**AT, "secret": "shop-tls"},
        )
        for phase in ("PendingPayment", "Suspended", "Revoking", "Revoked", *ENDED)
    ),
    Case("a Secret goes a moment after its certificate", {**ACTIVE, SECRET: "60 60 60 stale _x60"}, 4),
    Case("a Secret went late", {REMOVED: "0 1x60", REMOVED_IN_TIME: "0x60"}, 10, ["SecretRemovedLate"]),
    Case("a Secret went in time", {REMOVED: "0 1x60", REMOVED_IN_TIME: "0 1x60"}, 10),
    # Orders
    *(
        Case(
            f"an order has been {phase} for long",
            {order(PHASE, phase=phase): "1", order(READY, condition="False"): "1"},
            HOUR,
            ["NotReady"],
            {**AT, "phase": phase},
        )
        for phase in ("Received", "PendingValidation", "Issuing", "Revoking")
    ),
    *(
        Case(
            f"an order is {phase}",
            {order(PHASE, phase=phase): "1", order(READY, condition="False"): "1"},
            2 * HOUR,
        )
        for phase in ("PendingPayment", "Suspended", "Terminated", "Rejected")
    ),
    Case("an order is being served", {order(PHASE, phase="Issuing"): "1"}, 59),
    Case(
        "a purchase stays uncertain",
        {order("order_issuance_uncertain"): "1"},
        30,
        ["UncertainPurchase"],
        AT,
    ),
    Case("a purchase was uncertain for a while", {order("order_issuance_uncertain"): "1x20 stale _x40"}, 30),
    Case(
        "a certificate is not replaced in time",
        {order(NOT_AFTER): days(9), order(REISSUE): days(-11), order(PAID_THROUGH): days(200)},
        LATER,
        ["CertificateEndsSoon"],
        AT,
    ),
    Case(
        "there is time for its replacement",
        {order(NOT_AFTER): days(11), order(REISSUE): days(-8), order(PAID_THROUGH): days(200)},
        LATER,
    ),
    Case(
        "the last certificate of paid time needs none",
        {order(NOT_AFTER): days(9), order(REISSUE): days(-11), order(PAID_THROUGH): days(9)},
        LATER,
    ),
    # Contracts
    Case(
        "the next period is not paid",
        {**ACTIVE, order(PAID_THROUGH): days(13), order(DUE): days(13)},
        LATER,
        ["PaymentDue"],
        AT,
    ),
    Case(
        "a payment is due, but not yet",
        {**ACTIVE, order(PAID_THROUGH): days(30), order(DUE): days(30)},
        LATER,
    ),
    Case("paid time ends by notice", {**ACTIVE, order(PAID_THROUGH): days(13)}, LATER),
    Case(
        "notice is still possible",
        {**ACTIVE, order(DEADLINE): days(13), order(PAID_THROUGH): days(70)},
        LATER,
        ["NoticeDeadline"],
        AT,
    ),
    Case(
        "the deadline has gone by", {**ACTIVE, order(DEADLINE): days(0), order(PAID_THROUGH): days(70)}, LATER
    ),
    Case("the deadline of an order that is not paid", {order(DEADLINE): days(13)}, LATER),
    Case(
        "notice was given already",
        {**ACTIVE, order(DEADLINE): days(13), order(PAID_THROUGH): days(70), NOTICE: "1"},
        LATER,
    ),
    Case("a contract ends", {**ACTIVE, order(END): days(29), NOTICE: "1"}, LATER, ["ContractEnds"], AT),
    Case("a contract goes on", {**ACTIVE, order(END): days(29)}, LATER),
    Case(
        "a contract has ended", {order(PHASE, phase="Expired"): "1", order(END): days(0), NOTICE: "1"}, LATER
    ),
    # Authorities
    Case("an authority fails", {authority("False"): "1"}, 16, ["AuthorityNotReady"], {"authority": "dv"}),
    Case(
        "an authority was away", {authority("False"): "1x9 stale _x60", authority("True"): "_x9 1x60"}, LATER
    ),
    Case("the quota runs low", {QUOTA: "24"}, 16, ["AuthorityQuotaLow"], {"authority": "dv"}),
    Case("the quota suffices", {QUOTA: "25"}, LATER),
    *(
        Case(
            f"calls fail: {outcome}",
            {calls("ok"): "0+8x60", calls(outcome): "0+1x60"},
            LATER,
            ["AuthorityErrors"],
            {"authority": "dv"},
        )
        for outcome in ("unauthorised", "try_again", "outcome_unknown", "defect")
    ),
    Case(
        "the authority refuses what clients ask", {calls("ok"): "0+8x60", calls("refused"): "0+8x60"}, LATER
    ),
)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What promtool says of each case, all judged in one run."""
    directory = tmp_path_factory.mktemp("alerts")
    paths = {str(directory / f"{number}.yaml"): case for number, case in enumerate(CASES)}
    for path, case in paths.items():
        Path(path).write_text(yaml.safe_dump(_document(case)))
    said = subprocess.run([promtool(), "test", "rules", *paths], capture_output=True, text=True, check=False)
    _, *parts = said.stdout.split("Unit Testing:  ")
    return {paths[path].sentence: verdict for path, _, verdict in (part.partition("\n") for part in parts)}


def _document(case: Case) -> dict[str, Any]:
    """One of promtool's own tests: the alerts that fire at a time are these and no others."""
    firing = [{**_of_rule(f"SSLOrder{name}"), "alertstate": "firing", **case.labels} for name in case.fires]
    given = {BUILD: "1", LEASE: "1", **case.given}
    return {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": values if "x" in values else f"{values}x{case.after}"}
                    for name, values in given.items()
                    if values is not None
                ],
                "promql_expr_test": [
                    {
                        "expr": 'ALERTS{alertstate="firing"}',
                        "eval_time": f"{case.after}m",
                        "exp_samples": [
                            {"labels": series("ALERTS", **labels), "value": 1} for labels in firing
                        ],
                    }
                ],
            }
        ],
    }


def _of_rule(name: str) -> dict[str, str]:
    return {"alertname": name, "severity": ALERTS[name]["labels"]["severity"]}


@pytest.mark.parametrize("sentence", [case.sentence for case in CASES])
def test_alerts_when(sentence: str, verdicts: dict[str, str]) -> None:
    assert verdicts[sentence].strip() == "SUCCESS"


def test_every_alert_fires_in_some_case() -> None:
    assert {f"SSLOrder{name}" for case in CASES for name in case.fires} == set(ALERTS)


def test_promtool_accepts_the_rules() -> None:
    said = subprocess.run([promtool(), "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_rules_ask_for_figures_that_there_are() -> None:
    page = Figures(KINDS).exposition(()) + inventory.exposition(
        Cache(), dict.fromkeys(Urgency, 0), lease_held=True
    )
    families = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    asked = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for rule in ALERTS.values()
        for name in re.findall(r"sslorder_\w+", rule["expr"])
    }
    assert asked <= families


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_has_a_runbook(name: str) -> None:
    annotations = ALERTS[name]["annotations"]
    assert {"summary", "description", "runbook_url"} == set(annotations)
    assert annotations["runbook_url"] == f"docs/runbooks/{name}.md"
    runbook = (ROOT / annotations["runbook_url"]).read_text()
    assert runbook.startswith(f"# {name}\n")
    assert [line for line in runbook.splitlines() if line.startswith("## ")] == list(RUNBOOK_SECTIONS)


def test_every_runbook_has_its_alert() -> None:
    assert {path.stem for path in (ROOT / "docs" / "runbooks").glob("SSLOrder*.md")} == set(ALERTS)
