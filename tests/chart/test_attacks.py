"""What people try who have one of the roles and want more. Each attempt is refused, or harms nobody."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from sslorder.api.account import SSLAccount
from sslorder.api.action import Action, SSLContractAction
from sslorder.api.authority import SSLAuthority
from sslorder.api.common import KubernetesObject
from sslorder.api.order import SSLCertificateOrder
from sslorder.api.payment import SSLPayment
from sslorder.cluster.client import Resource
from sslorder.cluster.objects import resource
from sslorder.contract.secret import CONTRACT, ORDER_UID
from tests.api.manifests import ACCOUNT, ACTIONS, AUTHORITY, CAUSE, PAYMENT, Manifest, changed
from tests.chart.conftest import SYSTEM, Installed, soon
from tests.harness.kube import SECRETS, Kube
from tests.harness.world import Client, Order, Record

pytestmark = [pytest.mark.cluster, pytest.mark.deep]

Kind = type[KubernetesObject] | Resource
RBAC = "rbac.authorization.k8s.io"
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class Scene:
    """An order that is served, one that is suspended, and what was recorded of them."""

    client: Client
    served: Order
    suspended: Order
    suspension: Record


@dataclass(frozen=True)
class Attempt:
    """A request, and what the refusal says. `{client}`, `{order}`, … in it are filled in from the scene."""

    method: str
    kind: Kind
    name: str
    says: str
    body: Mapping[str, Any] | None = None
    namespace: str | None = None
    subresource: str | None = None


def create(kind: Kind, body: Mapping[str, Any], says: str, namespace: str | None = None) -> Attempt:
    return Attempt(
        "POST", kind, "", says, changed(dict(body), {"metadata": {"generateName": "attempt-"}}), namespace
    )


def edit(
    kind: Kind, name: str, body: Mapping[str, Any], says: str, *where: str, namespace: str | None = None
) -> Attempt:
    return Attempt("PATCH", kind, name, says, body, namespace, *where)


def delete(kind: Kind, name: str, says: str) -> Attempt:
    return Attempt("DELETE", kind, name, says)


def forbidden(verb: str, plural: str) -> str:
    return f'cannot {verb} resource "{plural}"'


PAID = {"status": {"phase": "Active"}}
NEEDS = "needs the verb {} on sslcontractactions"
KEPT = "a record in force is kept"
TABLE: dict[str, dict[str, Attempt]] = {
    "client": {
        "marks its order as paid": create(SSLPayment, PAYMENT, forbidden("create", "sslpayments")),
        "writes the status of its order": edit(
            SSLCertificateOrder, "{order}", PAID, forbidden("patch", "sslcertificateorders/status"),
            "status", namespace="{client}",
        ),
        "reads the dossiers": Attempt("GET", SECRETS, "", forbidden("list", "secrets"), namespace=SYSTEM),
        "reads the credentials for the authority": Attempt(
            "GET", SECRETS, "{client}", forbidden("get", "secrets"), namespace=SYSTEM
        ),
        "sends the credentials to an address of its own": edit(
            SSLAuthority, "{client}", {"spec": {"globalSign": {"url": "https://thief.example"}}},
            forbidden("patch", "sslauthorities"),
        ),
        "declares an authority of its own": create(
            SSLAuthority, AUTHORITY, forbidden("create", "sslauthorities")
        ),
        "takes a namespace into its account": edit(
            SSLAccount, "{client}", {"spec": {"namespaces": ["kube-system"]}},
            forbidden("patch", "sslaccounts"),
        ),
        "lifts its suspension": create(
            SSLContractAction, ACTIONS["Reinstate"], forbidden("create", "sslcontractactions")
        ),
        "deletes its suspension": delete(
            SSLContractAction, "{suspension}", forbidden("delete", "sslcontractactions")
        ),
        "reads the payments of others": Attempt("GET", SSLPayment, "", forbidden("list", "sslpayments")),
        "forges our mark through secretTemplate": edit(
            SSLCertificateOrder, "{order}", {"spec": {"secretTemplate": {"annotations": {ORDER_UID: "1"}}}},
            "the operator's own", namespace="{client}",
        ),
        "plants a label that another controller obeys": edit(
            SSLCertificateOrder, "{order}",
            {"spec": {"secretTemplate": {"labels": {"argocd.argoproj.io/secret-type": "cluster"}}}},
            "begin with one of app.kubernetes.io/", namespace="{client}",
        ),
        "orders other names for what it paid": edit(
            SSLCertificateOrder, "{order}",
            {"spec": {"dnsNames": ["more.{client}.example", "www.{client}.example"]}},
            "dnsNames", namespace="{client}",
        ),
        "grants itself the billing role": create(
            Resource(RBAC, "v1", "clusterrolebindings"),
            {
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "sslorder-billing"},
                "subjects": [{"kind": "User", "apiGroup": RBAC, "name": "client"}],
            },
            forbidden("create", "clusterrolebindings"),
        ),
    },
    "viewer": {
        "records a payment": create(SSLPayment, PAYMENT, forbidden("create", "sslpayments")),
        "orders": create(SSLCertificateOrder, {}, forbidden("create", "sslcertificateorders"), "{client}"),
        "reads a published key": Attempt(
            "GET", SECRETS, "{secret}", forbidden("get", "secrets"), namespace="{client}"
        ),
    },
    "billing": {
        "raises the amount of a payment": edit(
            SSLPayment, "{payment}", {"spec": {"covers": {"names": 9}}}, "cannot change"
        ),
        "says that a payment was applied": edit(
            SSLPayment, "{payment}", {"status": {"state": "Waiting"}},
            forbidden("patch", "sslpayments/status"), "status",
        ),
        "deletes a payment that was applied": delete(SSLPayment, "{payment}", KEPT),
        "suspends": create(SSLContractAction, ACTIONS["Suspend"], forbidden("create", "sslcontractactions")),
        "assigns a domain": edit(
            SSLAccount, "{client}", {"spec": {"domains": ["bank.example"]}}, forbidden("patch", "sslaccounts")
        ),
        "orders": create(SSLCertificateOrder, {}, forbidden("create", "sslcertificateorders"), "{client}"),
        "reads the dossiers": Attempt("GET", SECRETS, "", forbidden("list", "secrets"), namespace=SYSTEM),
    },
    "compliance": {
        "transfers a contract": create(SSLContractAction, ACTIONS["Transfer"], NEEDS.format("transfer")),
        "resolves an uncertain purchase": create(
            SSLContractAction, ACTIONS["Resolve"], NEEDS.format("resolve")
        ),
        "rewrites a measure": edit(
            SSLContractAction, "{suspension}", {"spec": {"cause": CAUSE}},
            forbidden("patch", "sslcontractactions"),
        ),
        "deletes a measure in force": delete(SSLContractAction, "{suspension}", KEPT),
        "records a payment": create(SSLPayment, PAYMENT, forbidden("create", "sslpayments")),
        "reads the dossiers": Attempt("GET", SECRETS, "", forbidden("list", "secrets"), namespace=SYSTEM),
    },
    "clerk": {  # who may record registered letters, and nothing else
        f"records {action}": create(SSLContractAction, ACTIONS[action], NEEDS.format(action.lower()))
        for action in Action
        if action is not Action.NOTICE
    },
    "admin": {
        "suspends": create(SSLContractAction, ACTIONS["Suspend"], NEEDS.format("suspend")),
        "records a payment": create(SSLPayment, PAYMENT, forbidden("create", "sslpayments")),
        "reads the dossiers": Attempt("GET", SECRETS, "", forbidden("list", "secrets"), namespace=SYSTEM),
        "writes the status of an order": edit(
            SSLCertificateOrder, "{order}", PAID, forbidden("patch", "sslcertificateorders/status"),
            "status", namespace="{client}",
        ),
    },
}  # fmt: skip
ALLOWED: dict[str, Attempt] = {
    "billing": create(SSLPayment, PAYMENT, ""),
    "compliance": create(SSLContractAction, ACTIONS["Suspend"], ""),
    "clerk": create(SSLContractAction, ACTIONS["Notice"], ""),
    "admin": create(SSLAccount, changed(ACCOUNT, {"spec.namespaces": ["nowhere"]}), ""),
    "viewer": Attempt("GET", SSLPayment, "", ""),
}


@pytest.fixture(scope="module")
def scene(installed: Installed) -> Scene:
    client = installed.client(authority={"spec.limits.clientReissuesPerMonth": 1})
    served, suspended = client.orders(), client.orders("api")
    served.is_paid().reaches("Active")
    served.payment.becomes("Applied")
    suspension = suspended.suffers("Suspend").becomes("CarriedOut")
    return Scene(client, served, suspended, suspension)


@pytest.fixture(scope="module")
def people(installed: Installed, scene: Scene) -> Iterator[Mapping[str, Kube]]:
    """One person for each role, with a client certificate."""
    plane = installed.plane
    plane.kubectl(
        "create", "clusterrole", "sslorder-clerk", "--verb=create,notice", "--resource=sslcontractactions"
    )
    plane.kubectl(
        "create",
        "rolebinding",
        "client",
        "--clusterrole=admin",
        "--user=client",
        f"--namespace={scene.client.namespace}",
    )
    for role in TABLE.keys() - {"client"}:
        plane.kubectl(
            "create", "clusterrolebinding", role, f"--clusterrole=sslorder-{role}", f"--user={role}"
        )
    everybody = {role: Kube(plane.user(role)) for role in TABLE}
    path = resource(SSLCertificateOrder).path(scene.client.namespace)
    # `admin` has the client's rights once a controller has aggregated them
    installed.wait(lambda: everybody["client"].call("GET", path).ok, "the client's rights", dict)
    yield everybody
    for person in everybody.values():
        person.close()


def tried(attempt: Attempt, person: Kube, scene: Scene) -> tuple[bool, str]:
    """Whether it was done, and what was said."""
    words = {
        "{client}": scene.client.name,
        "{order}": scene.served.name,
        "{payment}": scene.served.payment.name,
        "{secret}": scene.served.secret_name,
        "{suspension}": scene.suspension.name,
    }

    def filled(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: filled(part) for key, part in value.items()}
        if isinstance(value, list):
            return [filled(part) for part in value]
        for word, meaning in words.items():
            value = value.replace(word, meaning) if isinstance(value, str) else value
        return value

    kind = attempt.kind if isinstance(attempt.kind, Resource) else resource(attempt.kind)
    path = kind.path(filled(attempt.namespace), filled(attempt.name) or None, attempt.subresource)
    content = {"Content-Type": MERGE_PATCH} if attempt.method == "PATCH" else {}
    answer = person.call(attempt.method, path, filled(attempt.body), **content)
    return answer.ok, answer.text


@pytest.mark.parametrize(
    ("role", "what"), [(role, what) for role, attempts in TABLE.items() for what in attempts]
)
def test_refused(role: str, what: str, scene: Scene, people: Mapping[str, Kube]) -> None:
    attempt = TABLE[role][what]
    done, said = tried(attempt, people[role], scene)
    assert not done
    assert attempt.says in said.replace('\\"', '"')


@pytest.mark.parametrize("role", ALLOWED)
def test_what_a_role_is_for_is_allowed(role: str, scene: Scene, people: Mapping[str, Kube]) -> None:
    done, said = tried(ALLOWED[role], people[role], scene)
    assert done, said


# What cannot be refused, for it is the client's own namespace: it harms nobody else


@pytest.fixture
def untouched(scene: Scene) -> Iterator[None]:
    """The order that is served is served the same afterwards, at no new cost."""
    before, bought = scene.served.secret_object(), leaves(scene)
    yield
    after = scene.served.secret_object()
    assert before is not None
    assert after is not None
    assert after["data"] == before["data"]
    assert scene.served.status["phase"] == "Active"
    assert leaves(scene) == bought


def leaves(scene: Scene) -> int:
    """How many certificates were bought for the order that is served."""
    names = scene.served.manifest["spec"]["dnsNames"]
    return sum(entry["names"] == names for entry in scene.client.certificates())


def standing_secret(person: Kube, namespace: str, name: str, **metadata: Any) -> Manifest:
    body = {"metadata": {"name": name, "namespace": namespace, **metadata}, "stringData": {"token": "theirs"}}
    return person.create(SECRETS, body)


@pytest.mark.usefixtures("untouched")
def test_an_order_does_not_take_over_a_secret(
    installed: Installed, scene: Scene, people: Mapping[str, Kube]
) -> None:
    neighbour = installed.client()
    theirs = standing_secret(installed.kube, neighbour.namespace, "session-key")
    order = neighbour.orders(secretName="session-key").is_paid()
    order.stands("Stalled", "True", "SecretConflict")
    found = installed.kube.get(SECRETS, "session-key", neighbour.namespace)
    assert found is not None
    assert found["data"] == theirs["data"]


@pytest.mark.usefixtures("untouched")
def test_an_order_does_not_take_another_orders_secret(scene: Scene) -> None:
    rival = scene.client.orders("rival", secretName=scene.served.secret_name).is_paid()
    rival.stands("Stalled", "True", "SecretConflict")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("forged", ["the order's UID", "the contract's hash", "an owner reference"])
def test_a_forged_mark_costs_the_forger_its_own_secret_at_most(
    forged: str, installed: Installed, scene: Scene, people: Mapping[str, Kube]
) -> None:
    namespace = scene.client.namespace
    genuine = scene.served.secret_object()
    assert genuine is not None
    marks = genuine["metadata"]
    uid, contract = marks["annotations"][ORDER_UID], marks["annotations"][CONTRACT]
    metadata: dict[str, Any] = {
        "the order's UID": {"labels": {ORDER_UID: uid}, "annotations": {ORDER_UID: uid}},
        "the contract's hash": {"labels": {ORDER_UID: "0"}, "annotations": {CONTRACT: contract}},
        "an owner reference": {"ownerReferences": marks["ownerReferences"]},
    }[forged]
    name = "forged-" + forged.split()[-1].lower()
    standing_secret(people["client"], namespace, name, **metadata)
    scene.served.edit(renewal="None" if scene.served.read()["spec"].get("renewal") != "None" else "Tacit")
    scene.served.reaches("Active")


@pytest.mark.usefixtures("untouched")
def test_an_authority_that_is_not_the_clients_is_not_used(installed: Installed, scene: Scene) -> None:
    stranger = installed.client()
    order = stranger.orders(authorityRef={"name": scene.client.name})
    order.stalls("Received", "AuthorityNotAllowed")


def test_quota_is_not_exhausted_by_asking_for_reissues(
    installed: Installed, scene: Scene, people: Mapping[str, Kube]
) -> None:
    bought = leaves(scene)
    scene.served.edit(reissue={"requestedAt": soon()})
    scene.served.waits(lambda status: status["certificate"]["leaf"] == 2, "to be served leaf 2")
    for _ in range(3):
        scene.served.edit(reissue={"requestedAt": soon()})
        scene.served.reaches("Active")
    installed.restart_operator()  # which looks at everything afresh
    scene.served.reaches("Active", "limit")
    assert leaves(scene) == bought + 1
