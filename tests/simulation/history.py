"""What people do over the years, drawn from a seed: clients, billing, the provider, the operator's operators.

Rules:
- Each act is a request that a person could send, and is told to the judge as a fact at the moment of sending.
- What the contract leaves open is not acted: notice within the hour of its deadline, the reversal of a period
  that is over, an act on a record of which nobody has taken note yet.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any, Final

from tests.simulation.apiserver import Json
from tests.simulation.judge import MARK, Case
from tests.simulation.oracle import (
    BRUSSELS,
    NEVER,
    Facts,
    Kind,
    Level,
    Measure,
    Paid,
    Reinstated,
    Revoked,
    Wish,
    last_day_of_notice,
    years_after,
)
from tests.simulation.process import OPERATOR_NAMESPACE
from tests.simulation.world import World

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
GROUP: Final = "/apis/ssl.synchrone.be/v1"
ARTICLES: Final = ("5.3b", "8.1", "9.2(1)", "9.2(2)", "9.2(3)", "9.2(6)")
COMPROMISE: Final = HOUR
OTHERWISE: Final = DAY


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _digest(account: str, purchase_order: str) -> str:
    """The name of a contract's dossier, as the design gives it."""
    parts = (account.encode(), purchase_order.encode())
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).hexdigest()[:40]


@dataclass(frozen=True)
class Plot:
    """How dense a history is."""

    contracts: int = 5
    years: float = 3.0
    replicas: int = 2
    days_between_acts: float = 20.0
    faults: bool = True


@dataclass(slots=True)
class Client:
    """A contract, and what its people do."""

    history: "History"
    case: Case
    random: Random
    order: Json
    serial: int = 0
    open_actions: list[str] = field(default_factory=list)

    @property
    def world(self) -> World:
        return self.history.world

    @property
    def now(self) -> datetime:
        return self.world.now()

    @property
    def facts(self) -> Facts:
        return self.case.facts

    @property
    def path(self) -> str:
        return f"{GROUP}/namespaces/{self.case.namespace}/sslcertificateorders"

    def stored(self) -> Json | None:
        """The order as it stands, None while it is deleted or being deleted."""
        found = self.world.api.get(
            "sslcertificateorders.ssl.synchrone.be", self.case.name, self.case.namespace
        )
        return found if found is not None and "deletionTimestamp" not in found["metadata"] else None

    def fresh_name(self, what: str) -> str:
        self.serial += 1
        return f"{self.case.name}-{what}-{self.serial}"

    # The order

    def declare(self) -> None:
        if self.stored() is not None or self.world.api.get(
            "sslcertificateorders.ssl.synchrone.be", self.case.name, self.case.namespace
        ):
            return
        body = {"metadata": {"name": self.case.name, "namespace": self.case.namespace}, "spec": self.order}
        self.world.do("POST", self.path, body)
        self.facts.declared_at, self.facts.deleted_at = self.now, NEVER
        if self.facts.opened_at is None:
            self.facts.names = len(self.order["dnsNames"])
        self.facts.wishes.append(Wish(self.now, self.order.get("renewal") == "None"))

    def edit(self, **spec: Any) -> bool:
        """Change the order; None takes a field out."""
        if self.stored() is None:
            return False
        self.order = {key: value for key, value in {**self.order, **spec}.items() if value is not None}
        self.world.do("PATCH", f"{self.path}/{self.case.name}", {"spec": spec})
        return True

    def delete(self, *, orphan: bool) -> None:
        if self.stored() is None:
            return
        policy = "Orphan" if orphan else "Background"
        self.world.do("DELETE", f"{self.path}/{self.case.name}", {"propagationPolicy": policy})
        self.facts.deleted_at = self.now
        wait = self.random.choice((1.0, 5.0, 600.0, 86400.0, 10 * 86400.0))
        self.world.at(self.now + timedelta(seconds=wait), f"{self.case} is declared again", self.declare)

    def shrink(self) -> None:
        names = self.order["dnsNames"]
        if len(names) > 1 and self.facts.opened_at is not None and self.edit(dnsNames=names[:-1]):
            self.case.wants_leaf_since = self.now

    def correct(self) -> None:
        """Before any payment the names are the client's to correct."""
        if not self.facts.payments and self.stored() is not None:
            names = [f"n{i}.{self.case.domain}" for i in range(self.random.randint(1, 3))]
            self.edit(dnsNames=names)
            self.facts.names = len(names)

    def rename_secret(self) -> None:
        self.serial += 1
        self.edit(secretName=f"{self.case.name}-tls-{self.serial}")

    def relabel(self) -> None:
        self.edit(secretTemplate={"labels": {"team": self.random.choice("abc")}})

    def rotate(self) -> None:
        policy = self.random.choice(("Always", "Never"))
        if self.edit(privateKey={"rotationPolicy": policy}) and policy == "Never":
            self.case.kept_key = True

    def lead(self) -> None:
        self.edit(reissueBefore=self.random.choice((None, "240h", "480h")))

    def reissue(self) -> None:
        if self.edit(reissue={"requestedAt": _moment(self.now + timedelta(seconds=1))}):
            self.case.wants_leaf_since = self.now
            self.case.dormant = False

    def give_notice(self) -> None:
        self._say(renewal="None")

    def withdraw_notice(self) -> None:
        self._say(renewal="Tacit")

    def _say(self, renewal: str) -> None:
        facts = self.facts
        if facts.opened_at is not None:
            for number in (facts.period(self.now), facts.period(self.now) + 1):
                if abs(last_day_of_notice(facts.end(number)) - self.now) < HOUR:
                    return
        if self.edit(renewal=renewal):
            facts.wishes.append(Wish(self.now, renewal == "None"))

    def served(self) -> tuple[int, int] | None:
        """Number and serial of the leaf that the order's status names."""
        status = (self.stored() or {}).get("status", {}).get("certificate")
        return (status["leaf"], int(status["serialNumber"], 16)) if status else None

    def revoke(self) -> None:
        leaf = self.served()
        asked = self.order.get("revocation")
        if leaf is None or leaf[1] in self.facts.revoked or (asked and asked["leaf"] >= leaf[0]):
            return
        circumstance = self.random.choice(("KeyCompromised", "DomainChanged", "SiteClosed"))
        replace = self.random.random() < 0.5
        wish = {"leaf": leaf[0], "circumstance": circumstance, "replace": replace}
        if self.edit(revocation=wish):
            self._revoked(leaf[1], circumstance, replace)

    def _revoked(self, serial: int, circumstance: str, replace: bool) -> None:
        bound = COMPROMISE if circumstance == "KeyCompromised" else OTHERWISE
        self.facts.revoked[serial] = Revoked(self.now, replace, bound)
        self.case.dormant = not replace

    # The Secret, by hand

    def _secret(self) -> str | None:
        name = self.order["secretName"]
        thing = self.world.api.get("secrets", name, self.case.namespace)
        if thing is None or MARK not in (thing["metadata"].get("annotations") or {}):
            return None
        return f"/api/v1/namespaces/{self.case.namespace}/secrets/{name}"

    def delete_secret(self) -> None:
        if path := self._secret():
            self.world.do("DELETE", path)

    def spoil_secret(self) -> None:
        if path := self._secret():
            self.world.do("PATCH", path, {"data": {"tls.crt": b64encode(b"mine").decode()}})

    def unlabel_secret(self) -> None:
        if path := self._secret():
            self.world.do("PATCH", path, {"metadata": {"labels": {MARK: None}}})

    # Billing

    def pay(
        self, period: int, names: int, *, right: bool = True, received_ago: timedelta = timedelta(0)
    ) -> None:
        facts = self.facts
        if any(measure.kind == "Terminate" for measure in facts.measures) and self.random.random() < 0.8:
            return
        name = self.fresh_name("payment")
        covers = {"product": "DV", "termYears": facts.years, "names": names, "wildcards": 0}
        if not right:
            covers |= self.random.choice(({"product": "OV"}, {"termYears": facts.years % 3 + 1}))
        spec: Json = {
            "account": self.case.account,
            "purchaseOrder": self.case.purchase_order,
            "covers": covers,
            "amount": "249.00",
            "currency": "EUR",
            "reference": name,
            "receivedAt": _moment(self.now - received_ago),
        }
        if facts.arrival is not None and self.random.random() < 0.2:
            first = years_after(facts.arrival, facts.years * (period - 1))
            spec["periodStartsOn"] = f"{first.astimezone(BRUSSELS):%Y-%m-%d}"
        else:
            spec["period"] = period
        self._record(name, spec, period, names, right)
        if self.random.random() < 0.1:
            twin = self.fresh_name("payment")
            self.world.at(
                self.now + timedelta(seconds=self.random.choice((0, 3, 3600))),
                f"{twin}: the same payment is recorded once more",
                lambda: self._record(twin, spec, period, names, right, twin_of=name),
            )

    def _record(
        self, name: str, spec: Json, period: int, names: int, right: bool, twin_of: str | None = None
    ) -> None:
        self.world.do("POST", f"{GROUP}/sslpayments", {"metadata": {"name": name}, "spec": spec})
        received = datetime.fromisoformat(spec["receivedAt"])
        self.facts.payments.append(Paid(name, period, names, right, received, self.now, twin_of))

    def reverse(self) -> None:
        """Take a payment back that is not for a period that is over."""
        facts = self.facts
        if facts.opened_at is None:
            return
        twinned = {payment.twin_of for payment in facts.payments}
        open_ = [
            payment
            for payment in facts.payments
            if payment.reversed_known_at == NEVER
            and facts.end(payment.period) > self.now + DAY
            and payment.twin_of is None
            and payment.name not in twinned
            and self.world.api.get("sslpayments.ssl.synchrone.be", payment.name)
        ]
        if not open_:
            return
        payment = self.random.choice(open_)
        at = _moment(self.now)
        self.world.do("PATCH", f"{GROUP}/sslpayments/{payment.name}", {"spec": {"reversedAt": at}})
        payment.reversed_known_at = self.now

    def forget_payment(self) -> None:
        """Delete the record of a payment that was applied: that undoes nothing."""
        applied = [
            payment
            for payment in self.facts.payments
            if payment.reversed_known_at == NEVER
            and (self.world.api.get("sslpayments.ssl.synchrone.be", payment.name) or {})
            .get("status", {})
            .get("state")
            == "Applied"
        ]
        if applied and not any(payment.twin_of for payment in self.facts.payments):
            self.world.do("DELETE", f"{GROUP}/sslpayments/{self.random.choice(applied).name}")

    # The provider

    def act(self, action: str, level: Level = "contract", **spec: Any) -> str:
        target: Json = {
            "contract": {"account": self.case.account, "purchaseOrder": self.case.purchase_order},
            "account": {"account": self.case.account},
            "authority": {"authority": "dv"},
        }[level]
        name = self.fresh_name(action.lower())
        cause = (
            {}
            if action in ("Reinstate", "Revoke", "Notice", "Resolve")
            else {"cause": {"article": self.random.choice(ARTICLES), "note": "simulated"}}
        )
        body = {"metadata": {"name": name}, "spec": {"action": action, "target": target, **cause, **spec}}
        self.world.do("POST", f"{GROUP}/sslcontractactions", body)
        return name

    def measure(self, kind: Kind, level: Level = "contract") -> None:
        draw, now = self.random, self.now
        waits = draw.choice((None, None, 30 * timedelta(seconds=1), 5 * DAY))
        effective = now + waits if waits else now
        spec: Json = {"effectiveAt": _moment(effective)} if waits else {}
        until = NEVER
        if kind == "Suspend" and draw.random() < 0.5:
            until = effective + draw.choice((timedelta(minutes=2), 3 * DAY, 40 * DAY))
            spec["until"] = _moment(until)
        revokes = kind == "Terminate" and draw.random() < 0.5
        if revokes:
            spec["revokeAtAuthority"] = True
        whole = effective.replace(microsecond=0)
        for client in self.history.clients:
            if (
                level == "authority"
                or client is self
                or (level == "account" and client.case.account == self.case.account)
            ):
                name = f"{self.case.name}-{kind.lower()}-{self.serial + 1}"
                client.facts.measures.append(
                    Measure(
                        name, kind, level, now, whole if waits else now, until.replace(microsecond=0), revokes
                    )
                )
        name = self.act(kind, level, **spec)
        if kind != "Terminate" and (until == NEVER or draw.random() < 0.3):
            self.world.at(
                max(now, effective) + draw.choice((timedelta(minutes=1), 2 * DAY, 30 * DAY)),
                f"{name} is lifted",
                lambda: self.reinstate(name if draw.random() < 0.6 else None, level),
            )

    def reinstate(self, name: str | None, level: Level) -> None:
        self.act("Reinstate", level, **({"lifts": [name]} if name else {}))
        for client in self.history.clients:
            if level == "authority" or client.case.account == self.case.account:
                if level == "contract" and client is not self:
                    continue
                client.facts.reinstated.append(Reinstated((name,) if name else (), level, self.now, self.now))

    def revoke_by_provider(self) -> None:
        leaf = self.served()
        if leaf is None or leaf[1] in self.facts.revoked:
            return
        replace = self.random.random() < 0.5
        wish = {"leaf": leaf[0], "circumstance": "InformationWrong", "replace": replace}
        self.act("Revoke", revocation=wish)
        self._revoked(leaf[1], "InformationWrong", replace)

    def resolve(self) -> None:
        """A person has looked at the authority's: nothing was issued."""
        if "person must look" in (self.stored() or {}).get("status", {}).get("message", ""):
            self.act("Resolve", resolve={"buyAgain": True})

    def letter(self) -> None:
        facts = self.facts
        if facts.opened_at is None or facts.arrival is None:
            return
        posted = max(self.now - self.random.choice((DAY, 5 * DAY)), facts.opened_at).replace(microsecond=0)
        self.act("Notice", sentAt=_moment(posted))
        facts.wishes.append(Wish(self.now, ends=True, posted_at=posted))

    def narrow_account(self) -> None:
        """The provider takes the domain from the account, and gives it back later."""
        self.history.assign(self.case.account, without=self.case.domain)
        self.case.may_buy = False

        def give_back() -> None:
            self.case.may_buy = True
            self.history.assign(self.case.account)

        wait = self.random.choice((HOUR, 10 * DAY))
        self.world.at(self.now + wait, f"{self.case.domain} is assigned again", give_back)


class History:
    """Draws what happens, and puts it on the world's agenda."""

    def __init__(self, seed: int, plot: Plot, tell: Callable[[str], object] | None = None) -> None:
        random = self.random = Random(f"{seed}/history")
        begins = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(5 * 365 * 86400))
        self.plot = plot
        self.world = World(seed, begins, plot.replicas, tell)
        self.ends = begins + plot.years * 365.25 * DAY
        self.clients: list[Client] = []
        self.accounts: dict[str, list[str]] = {}
        self._prepare()

    # The beginning

    def _prepare(self) -> None:
        world, random = self.world, self.random
        accounts = [f"account-{number}" for number in range(1 + self.plot.contracts // 3)]
        for name in (OPERATOR_NAMESPACE, "default", *(f"team-{account}" for account in accounts)):
            world.do("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        world.do(
            "POST",
            f"{GROUP}/sslauthorities",
            {
                "metadata": {"name": "dv", "annotations": {"ssl.synchrone.be/is-default-authority": "true"}},
                "spec": {
                    "product": "DV",
                    "globalSign": {"url": "https://ca.example/v2", "credentialsSecretRef": {"name": "ca"}},
                },
            },
        )
        for number in range(self.plot.contracts):
            account = random.choice(accounts)
            domain = f"d{number}.example"
            self.accounts.setdefault(account, []).append(domain)
            names = [f"n{i}.{domain}" for i in range(random.randint(1, 3))]
            years = random.choice((1, 1, 1, 2, 3))
            po = f"BC-{number}"
            case = Case(
                account, po, f"team-{account}", f"order-{number}", domain, Facts(years, len(names)),
                f"sslorder-{_digest(account, po)}",
            )  # fmt: skip
            order: Json = {
                "purchaseOrder": po,
                "termYears": years,
                "product": "DV",
                "dnsNames": names,
                "acceptedTerms": {"conditions": "1", "authority": "1"},
                "secretName": f"order-{number}-tls",
            }
            client = Client(self, case, Random(f"{world.seed}/client/{number}"), order)
            self.clients.append(client)
            world.judge.add(case)
        for account in accounts:
            self.assign(account)
        for client in self.clients:
            self._begin(client)
        if self.plot.faults:
            world.weather.purchases = 0.2
            self._next_trouble()

    def assign(self, account: str, without: str | None = None) -> None:
        """Write an account, with the domains that it has."""
        denied = {c.case.domain for c in self.clients if not c.case.may_buy} | {without}
        domains = [domain for domain in self.accounts.get(account, []) if domain not in denied]
        spec = {
            "namespaces": [f"team-{account}"],
            "domains": domains,
            "contact": {"name": "Web team", "email": "web@example.com"},
        }
        path = f"{GROUP}/sslaccounts"
        if self.world.api.get("sslaccounts.ssl.synchrone.be", account) is None:
            self.world.do("POST", path, {"metadata": {"name": account}, "spec": spec})
        else:
            self.world.do("PATCH", f"{path}/{account}", {"spec": spec})

    def _begin(self, client: Client) -> None:
        starts = self.world.now() + timedelta(seconds=client.random.uniform(60, 60 * 86400))
        if client.random.random() < 0.1:  # the payment comes before its order
            self.world.at(
                starts - HOUR, f"{client.case} is paid already", lambda: client.pay(1, client.facts.names)
            )
        self.world.at(starts, f"{client.case} is declared", client.declare)
        period = 1
        while (begins := years_after(starts, client.facts.years * (period - 1))) < self.ends:
            self._plan_payment(client, period, begins)
            period += 1
            if client.random.random() < 0.2:
                deadline = last_day_of_notice(years_after(starts, client.facts.years * (period - 1)))
                when = deadline + client.random.uniform(-20, 20) * HOUR
                self.world.at(when, f"{client.case}: notice about the deadline", client.give_notice)
        self._next_act(client, starts)

    def _plan_payment(self, client: Client, period: int, begins: datetime) -> None:
        draw, names = client.random, len(client.order["dnsNames"])

        def at(when: datetime, what: str, act: Callable[[], None]) -> None:
            self.world.at(max(when, self.world.now()), f"{client.case}: period {period} {what}", act)

        def whole() -> None:
            client.pay(period, client.facts.names)

        early = begins - draw.uniform(0.5, 50) * DAY if period > 1 else begins + draw.uniform(0, 20) * DAY
        late = begins + draw.uniform(0.01, 40) * DAY
        style = draw.random()
        if style < 0.6:
            at(early, "is paid", whole)
        elif style < 0.75:
            at(late, "is paid late", whole)
        elif style < 0.85 and names > 1:
            at(early, "is paid in part", lambda: client.pay(period, 1))
            at(late, "is paid for the rest", lambda: client.pay(period, max(1, client.facts.names - 1)))
        elif style < 0.92:
            at(early, "is paid twice", whole)
            at(late, "is paid for the second time", whole)
        elif style < 0.96:
            at(early, "is paid wrongly", lambda: client.pay(period, names, right=False))
            at(late, "is paid rightly", whole)

    # What goes on

    def _next_act(self, client: Client, after: datetime) -> None:
        when = after + client.random.expovariate(1 / self.plot.days_between_acts) * DAY
        if when < self.ends:
            self.world.at(when, f"{client.case}: something is done", lambda: self._do(client))

    def _do(self, client: Client) -> None:
        weights, acts = zip(*self._acts(client), strict=True)
        name, act = client.random.choices(acts, weights)[0]
        if client.facts.declared_at <= self.world.now():
            self.world.note(f"{client.case}: {name}")
            self._trouble_with_it(client.random)
            act()
        self._next_act(client, self.world.now())

    @staticmethod
    def _acts(client: Client) -> list[tuple[float, tuple[str, Callable[[], None]]]]:
        c = client
        return [
            (3, ("the Secret is deleted", c.delete_secret)),
            (2, ("the Secret is spoilt", c.spoil_secret)),
            (1, ("the Secret loses its label", c.unlabel_secret)),
            (2, ("is suspended", lambda: c.measure("Suspend"))),
            (1, ("its account is suspended", lambda: c.measure("Suspend", "account"))),
            (0.2, ("its authority is suspended", lambda: c.measure("Suspend", "authority"))),
            (0.3, ("is terminated", lambda: c.measure("Terminate"))),
            (0.5, ("is rejected", lambda: c.measure("Reject"))),
            (0.5, ("everything is lifted", lambda: c.reinstate(None, "contract"))),
            (1.5, ("revokes", c.revoke)),
            (1, ("is revoked by the provider", c.revoke_by_provider)),
            (3, ("asks for a new leaf", c.reissue)),
            (2, ("gives names up", c.shrink)),
            (1, ("corrects its names", c.correct)),
            (1, ("names another Secret", c.rename_secret)),
            (1, ("labels its Secret", c.relabel)),
            (1, ("changes its key's rotation", c.rotate)),
            (1, ("changes its lead", c.lead)),
            (1.5, ("is deleted", lambda: c.delete(orphan=False))),
            (1, ("is deleted, its Secret orphaned", lambda: c.delete(orphan=True))),
            (1, ("gives notice", c.give_notice)),
            (1, ("withdraws notice", c.withdraw_notice)),
            (0.2, ("sends a letter", c.letter)),
            (3, ("is resolved", c.resolve)),
            (1, ("a payment is reversed", c.reverse)),
            (1, ("a payment's record is deleted", c.forget_payment)),
            (0.7, ("its domain is taken from the account", c.narrow_account)),
        ]

    # What goes wrong

    def _trouble_with_it(self, draw: Random) -> None:
        """Sometimes the world fails in the very moment in which somebody acts."""
        if not self.plot.faults:
            return
        chance, world = draw.random(), self.world
        if chance < 0.12 and world.processes:
            process = draw.choice(world.processes)
            process.dies_at_call = draw.randrange(14)
        elif chance < 0.27:
            self._storm(draw.choice((5.0, 30.0, 200.0)))

    def _storm(self, seconds: float) -> None:
        world = self.world
        if world.weather.calm:
            world.weather.storm()
            rates = (world.weather.api, world.weather.authority, world.weather.watch, world.weather.delay)
            world.note("a storm: API {:.2f}, authority {:.2f}, watch {:.2f}, delay {:.0f}".format(*rates))
            world.later(seconds, self._calm)

    def _calm(self) -> None:
        self.world.note("calm")
        self.world.weather.clear()
        self.world.disturb()

    def _next_trouble(self) -> None:
        when = self.world.now() + self.random.expovariate(1 / 15) * DAY
        if when < self.ends:
            self.world.at(when, "trouble", self._trouble)

    def _trouble(self) -> None:
        world, draw = self.world, self.random
        chance = draw.random()
        if chance < 0.3:
            self._storm(draw.choice((10.0, 60.0, 300.0)))
        elif chance < 0.5 and world.processes:
            world.crash(draw.choice(world.processes))
        elif chance < 0.6:
            for process in tuple(world.processes):
                world.crash(process, restart_after=30.0)
        elif chance < 0.7:
            for process in world.processes:
                process.lose_watches(draw.uniform(0.1, 30))
            world.weather.note("watch: lost")
        elif chance < 0.85 and world.processes:
            process = draw.choice(world.processes)
            process.skew = timedelta(seconds=draw.uniform(-120, 120))
            world.weather.note("clock: wrong")
            world.disturb()

            def mend() -> None:
                process.skew = timedelta(0)
                world.disturb()

            world.later(draw.choice((10.0, 120.0)), mend)
        self._next_trouble()

    def run(self) -> None:
        self.world.run(self.ends)
