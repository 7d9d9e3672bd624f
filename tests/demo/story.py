"""What happens to an order, step by step. Each step is asserted as it is told."""

import ssl
import time
from collections.abc import Callable
from datetime import datetime

import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sslorder.api.order import SSLCertificateOrder
from tests.controlplane import KubectlError
from tests.demo.narration import Narrator, Untrue, awaited
from tests.demo.tls import serial_seen, serving
from tests.demo.world import EXAMPLES, World
from tests.harness.kube import SECRETS

UPKEEP = {"login", "policy", "quota", "stats-issued", "stats-revoked", "counters"}
"""Operations by which the operator looks after an authority, whoever orders there."""
WITHIN_MS = 1_000
BRIEF_SECONDS = 12
HTTP_SECONDS = 10.0


class Story:
    """One order from its declaration to its revocation, one that runs out, and one that is refused."""

    def __init__(self, world: World, narrator: Narrator) -> None:
        self.world = world
        self.narrator = narrator
        self.serial = ""
        self.chain: list[x509.Certificate] = []

    def tell(self) -> None:
        """:raises Untrue: a step was not seen true; the text says which."""
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("An order is declared: nothing is asked of the authority before it is paid", self.declared),
            ("The payment is recorded: the certificate is bought and published", self.paid),
            ("A TLS server serves the Secret, and a client believes it", self.served),
            ("The order is deleted and applied again: nothing is bought twice", self.applied_again),
            ("The key leaked: the Secret goes, and the certificate is revoked", self.revoked),
            ("A leaf runs out with no quota for a successor: the Secret goes with it", self.ran_out),
            ("A manifest with mistakes is refused at the door", self.refused),
        )
        for title, step in steps:
            self.narrator.step(title)
            step()

    def declared(self) -> None:
        seen = self.world.sandbox.requests()
        self.apply("order.yaml")
        order = self.world.reaches("PendingPayment", "shop", "shop")
        self.narrator.tell("PendingPayment")
        self.show_orders("shop")
        self.narrator.show(order["status"]["message"])
        since = seen[-1]["id"] if seen else 0
        asked = [request["operation"] for request in self.world.sandbox.requests(since)]
        self.narrator.expect(
            set(asked) <= UPKEEP,
            "the authority saw no request on behalf of the order"
            f" (of any kind since it was declared: {', '.join(asked) or 'none'})",
        )

    def paid(self) -> None:
        self.apply("payment.yaml")
        order = self.world.reaches("Active", "shop", "shop")
        self.serial = order["status"]["certificate"]["serialNumber"]
        self.narrator.tell(f"Active, with certificate {self.serial}")
        self.show_orders("shop")
        self.expect_bought_once()

    def served(self) -> None:
        secret = self.secret("shop", "shop-tls")
        self.chain = x509.load_pem_x509_certificates(secret["tls.crt"])
        with serving(secret) as port:
            self.narrator.tell(f"a TLS server on port {port} with tls.crt and tls.key of shop-tls")
            serial = serial_seen(port, "shop.acme.example", secret["ca.crt"])
            self.narrator.expect(
                serial == self.serial,
                f"a client that trusts ca.crt verified shop.acme.example and the chain: {serial}",
            )
            for who, name, ca in (
                ("the same client asking for another.acme.example", "another.acme.example", secret["ca.crt"]),
                ("a client that trusts this machine's authorities only", "shop.acme.example", None),
            ):
                self.narrator.expect(_turned_away(port, name, ca), f"{who} turned away")

    def applied_again(self) -> None:
        before = self.secret("shop", "shop-tls")
        self.world.plane.kubectl("delete", "sslo", "shop", "--namespace=shop")
        self.narrator.tell("kubectl delete sslo shop")
        awaited(
            lambda: self.world.kube.get(SECRETS, "shop-tls", "shop") is None or None,
            "the Secret of a deleted order is collected",
        )
        self.narrator.tell("its Secret went with it")
        self.apply("order.yaml")
        order = self.world.reaches("Active", "shop", "shop")
        serial = order["status"]["certificate"]["serialNumber"]
        self.narrator.expect(serial == self.serial, f"Active, with the same certificate {serial}")
        self.narrator.expect(
            self.secret("shop", "shop-tls") == before, "the same key, chain and ca.crt again"
        )
        self.expect_bought_once()

    def revoked(self) -> None:
        self.apply("revocation.yaml")
        awaited(
            lambda: self.world.kube.get(SECRETS, "shop-tls", "shop") is None or None,
            "the Secret of a revoked leaf is withdrawn",
        )
        self.narrator.tell("the Secret is gone")
        order = self.world.reaches("Revoked", "shop", "shop")
        self.narrator.tell("Revoked")
        self.show_orders("shop")
        self.narrator.show(order["status"]["message"])
        leaf, issuer = self.chain[:2]
        points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        names = points[0].full_name
        assert names is not None
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(names[0].value, timeout=HTTP_SECONDS)
        answer.raise_for_status()
        crl = x509.load_der_x509_crl(answer.content)
        issuer_key = issuer.public_key()
        assert isinstance(issuer_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        self.narrator.expect(
            crl.is_signature_valid(issuer_key),
            f"the CRL that the certificate names is signed by {issuer.subject.rfc4514_string()}",
        )
        entry = crl.get_revoked_certificate_by_serial_number(leaf.serial_number)
        if entry is None:
            raise Untrue(f"certificate {self.serial} is on the CRL")
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        self.narrator.expect(reason == "keyCompromise", f"certificate {self.serial} is on it: {reason}")

    def ran_out(self) -> None:
        self.world.open_account(
            "short-lived", preapproved=["lab.example"], max_validity_seconds=BRIEF_SECONDS, quota=1
        )
        self.world.kube.namespace("lab")
        self.narrator.tell(f"an account whose certificates live for {BRIEF_SECONDS} s, with a quota of one")
        self.apply("short-lived.yaml")
        order = self.world.reaches("Active", "lab", "blink")
        self.narrator.tell("Active (the payment was there before the order)")
        self.show_orders("lab")
        not_after = datetime.fromisoformat(order["status"]["certificate"]["notAfter"]).timestamp()
        there, gone = self.watch_secret_end("lab", "blink-tls", not_after + 10 * WITHIN_MS / 1_000)
        self.narrator.expect(not_after - 1 < there, f"the Secret was last seen {_relation(there, not_after)}")
        self.narrator.expect(
            not_after <= gone < not_after + WITHIN_MS / 1_000,
            f"the Secret was gone {_relation(gone, not_after)}",
        )
        order = self.world.reaches("Issuing", "lab", "blink")
        self.show_orders("lab")
        self.narrator.show(order["status"]["message"])
        issued = sum(one["account"] == "short-lived" for one in self.world.sandbox.issued())
        self.narrator.expect(issued == 1, f"the authority issued {issued} certificate")

    def refused(self) -> None:
        try:
            self.apply("refused.yaml")
        except KubectlError as error:
            self.narrator.tell("kubectl apply -f examples/refused.yaml: refused")
            self.narrator.show(error.stderr)
        refused = self.world.kube.get(SSLCertificateOrder, "refused", "shop")
        self.narrator.expect(refused is None, "nothing of it was stored")

    def apply(self, example: str) -> None:
        self.world.apply(example)
        self.narrator.tell(f"kubectl apply -f {EXAMPLES.name}/{example}")

    def show_orders(self, namespace: str) -> None:
        self.narrator.show(
            f"$ kubectl get sslo -n {namespace}\n"
            + self.world.plane.kubectl("get", "sslo", f"--namespace={namespace}")
        )

    def secret(self, namespace: str, name: str) -> dict[str, bytes]:
        found = self.world.kube.secret(namespace, name)
        if found is None:
            raise Untrue(f"the Secret {namespace}/{name} exists")
        return found

    def expect_bought_once(self) -> None:
        issued = len(self.world.sandbox.issued())
        self.narrator.expect(issued == 1, f"the authority has issued {issued} certificate in all")

    def watch_secret_end(self, namespace: str, name: str, until: float) -> tuple[float, float]:
        """When the Secret was last seen, and when it was first seen gone (Unix time).

        :raises Untrue: it was still there at `until`.
        """
        there = 0.0
        while (asked := time.time()) < until:
            if self.world.kube.get(SECRETS, name, namespace) is None:
                return there, time.time()
            there = asked
        raise Untrue(f"the Secret {namespace}/{name} is gone when its certificate has run out")


def _turned_away(port: int, name: str, ca: bytes | None) -> bool:
    try:
        serial_seen(port, name, ca)
    except ssl.SSLCertVerificationError:
        return True
    return False


def _relation(moment: float, not_after: float) -> str:
    milliseconds = round((moment - not_after) * 1_000)
    return f"{abs(milliseconds)} ms {'after' if milliseconds >= 0 else 'before'} notAfter"
