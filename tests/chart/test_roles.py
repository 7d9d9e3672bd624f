"""The operator's own rights: walked through its whole life, none is missing and none goes unused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.chart.conftest import OPERATOR, RELEASE, SYSTEM, Installed, installed_world, soon
from tests.controlplane import ControlPlane
from tests.harness.kube import SECRETS
from tests.harness.world import Client

pytestmark = [pytest.mark.cluster, pytest.mark.deep]


@dataclass(frozen=True, order=True)
class Grant:
    """One verb on one resource. Without a namespace in the whole cluster, without a name on every object."""

    namespace: str
    resource: str
    verb: str
    name: str = ""

    def covers(self, request: "Grant") -> bool:
        return (
            (self.resource, self.verb) == (request.resource, request.verb)
            and self.namespace in ("", request.namespace)
            and self.name in ("", request.name)
        )


def granted(plane: ControlPlane) -> set[Grant]:
    """What roles grant to the operator, as the cluster has them."""
    found = set[Grant]()
    for kind in ("clusterrolebindings", "rolebindings"):
        for binding in items(plane, kind):
            if not any(subject.get("name") == RELEASE for subject in binding.get("subjects", ())):
                continue
            namespace = binding["metadata"].get("namespace", "")
            place = (f"--namespace={namespace}",) if namespace else ()
            ref = binding["roleRef"]
            role = json.loads(plane.kubectl("get", ref["kind"], ref["name"], "--output=json", *place))
            found |= {
                Grant(namespace, f"{resource}.{group}".rstrip("."), verb, name)
                for rule in role["rules"]
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                for name in rule.get("resourceNames", [""])
            }
    return found


def items(plane: ControlPlane, kind: str) -> list[dict[str, Any]]:
    listed = plane.kubectl(
        "get", kind, "--all-namespaces", f"--selector=app.kubernetes.io/instance={RELEASE}", "-ojson"
    )
    found: list[dict[str, Any]] = json.loads(listed)["items"]
    return found


def requested(plane: ControlPlane) -> Iterator[tuple[Grant, int]]:
    """What the operator asked of the API server, and the status of the answer."""
    for line in plane.audit_log.read_text().splitlines():
        event = json.loads(line)
        about = event.get("objectRef", {})
        if event["user"]["username"] != OPERATOR or "resource" not in about:
            continue
        subresource = f"/{about['subresource']}" if "subresource" in about else ""
        resource = f"{about['resource']}{subresource}.{about.get('apiGroup', '')}".rstrip(".")
        namespace = "" if about["resource"] == "namespaces" else about.get("namespace", "")
        asked = Grant(namespace, resource, event["verb"], about.get("name", ""))
        yield asked, event.get("responseStatus", {}).get("code", 0)


def lead_a_whole_life(world: Installed, first: Client, second: Client) -> None:
    """Everything that the operator does for an order, from a proof to the end."""
    proved = second.orders().is_paid().reaches("PendingValidation")
    record = proved.status["validation"][0]["record"]
    world.dns.set_txt(record["name"], record["value"])
    proved.reaches("Active")

    order = first.orders("www", "api").is_paid().reaches("Active")
    order.edit_secret({"data": {"tls.crt": "AAAA"}})
    order.waits_for_secret(
        lambda secret: secret is not None and secret["data"]["tls.crt"] != "AAAA", "to be repaired"
    )
    order.edit(reissue={"requestedAt": soon()})
    order.waits(lambda status: status["certificate"]["leaf"] == 2, "to be served leaf 2")
    order.suffers("Suspend").becomes("CarriedOut")
    order.has_no_secret()
    world.restart_operator()
    order.suffers("Reinstate").becomes("CarriedOut")
    order.reaches("Active").has_secret()
    order.payment.is_reversed()
    order.reaches("PendingPayment").has_no_secret()
    order.is_paid().reaches("Active")
    order.edit(revocation={"leaf": 2, "circumstance": "KeyCompromised"})
    order.reaches("Revoked").has_no_secret()
    metadata = {"name": "occupied", "namespace": first.namespace}
    world.kube.create(SECRETS, {"metadata": metadata, "stringData": {"a": "b"}})
    first.orders("mail", secretName="occupied").is_paid().stands("Stalled", "True", "SecretConflict")
    order.suffers("Terminate").becomes("CarriedOut")
    order.stalls("Terminated", "Terminated")


def judge(world: Installed) -> None:
    """Neither a right that is missing, nor one that was not used."""
    clients = {namespace for client in world.clients for namespace in client.namespaces}

    def merged(grant: Grant) -> Grant:
        """The Roles in the clients' namespaces are one: not each client's life shows everything."""
        return replace(grant, namespace="clients") if grant.namespace in clients else grant

    grants = {merged(grant) for grant in granted(world.plane)}
    requests = [(merged(asked), status) for asked, status in requested(world.plane)]
    assert requests
    missing = sorted({asked for asked, status in requests if status == 403})
    used = {
        max(grants_of_it, key=lambda grant: (grant.namespace != "", grant.name != ""))
        for asked, _ in requests
        if (grants_of_it := [grant for grant in grants if grant.covers(asked)])
    }
    unused = sorted(grants - used)
    assert (missing, unused) == ([], []), "\n".join(map(str, ["missing:", *missing, "unused:", *unused]))


def test_in_the_whole_cluster(installed: Installed) -> None:
    first = installed.client()
    lead_a_whole_life(installed, first, installed.client(proved=False))
    judge(installed)


def test_in_named_namespaces(tmp_path: Path) -> None:
    served = (f"{SYSTEM}-1", f"{SYSTEM}-2")
    values = {"watch": {"namespaces": list(served)}}
    flag = f"--watch-namespaces={','.join(served)}"
    with installed_world(tmp_path, values, flag, namespaces=served) as world:
        first, second, outside = world.client(), world.client(proved=False), world.client()
        unseen = outside.orders()
        lead_a_whole_life(world, first, second)
        judge(world)
        assert unseen.status.get("phase") is None
        asked_in = {asked.namespace for asked, _ in requested(world.plane)}
        assert asked_in <= {"", SYSTEM, *served}
