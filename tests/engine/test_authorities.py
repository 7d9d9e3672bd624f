"""The desk of an authority: when it closes, who reopens it, what it notices, and what its status says."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from sslorder.api.authority import AuthorityStatus, SSLAuthority
from sslorder.contract.ledger import Intent, Ledger, Revocation
from sslorder.contract.snapshot import AuthorityView
from sslorder.engine.authorities import (
    CLOSED_AFTER,
    PLENTY,
    QUOTA_AGE,
    REFRESH,
    REFUSED_AGAIN,
    RETRY,
    Authorities,
)
from sslorder.engine.certificates import spki_sha256
from sslorder.engine.ports import (
    AuthorityError,
    CertificateStatus,
    Connection,
    Connector,
    Counters,
    IssuedCertificate,
    NotYet,
    OutcomeUnknown,
    Refused,
    TryAgain,
    Unauthorised,
)
from tests.authority.waiting import run
from tests.contract.build import DAY, GRACE, MINUTE, NOW, POLICY, SECOND, a_leaf, a_ledger, an_authority

NAME, HERE = "dv", "uid-of-our-namespace"
SILENCE = TryAgain("GET /quotas/issuance", "no answer")


@dataclass
class Books:
    """An authority that does as it is told. It is its own connector, and counts."""

    fails: dict[str, AuthorityError] = field(default_factory=dict)
    issues: list[int] = field(default_factory=list)
    revokes: list[int] = field(default_factory=list)
    keys: dict[int, bytes] = field(default_factory=dict)
    windows: list[tuple[datetime, datetime]] = field(default_factory=list)
    left: int = 9
    logins: int = 0
    version: str = "1"
    closed: int = 0
    tells: bool = True

    async def connect(self, _: SSLAuthority, known: Connection | None) -> Connection:
        self._may_fail("connect")
        if known is not None and known.version == self.version:
            return known
        client = cast("Any", self)
        return Connection(client, self.version, GRACE, client if self.tells else None)

    def _may_fail(self, what: str) -> None:
        if what in self.fails:
            raise self.fails[what]

    async def login(self) -> None:
        self.logins += 1
        self._may_fail("login")

    async def policy(self) -> object:
        self._may_fail("policy")
        return POLICY

    async def quota(self) -> int:
        self._may_fail("quota")
        return self.left

    async def issued(self, since: datetime, until: datetime) -> Sequence[int]:
        self._may_fail("issued")
        self.windows.append((since, until))
        return self.issues

    async def revoked(self, since: datetime, until: datetime) -> Sequence[int]:
        self._may_fail("revoked")
        assert (since, until) == self.windows[-1]
        return self.revokes

    async def counters(self) -> Counters:
        return Counters(len(self.issues), len(self.revokes))

    async def certificate(self, serial: int) -> IssuedCertificate | None:
        return IssuedCertificate(serial, self.keys[serial], CertificateStatus.ISSUED, None)

    def close(self) -> None:
        self.closed += 1


class Desk:
    """One desk over such an authority, a clock that is set by hand, and the object as it was last told."""

    def __init__(self, **books: Any) -> None:
        self.books = Books(**books)
        self.time = NOW
        self.woken: list[str] = []
        self.authorities = Authorities(cast("Connector", self.books), self, HERE, self.woken.append)
        self.declared = an_authority().declared
        self.writes = 0

    def now(self) -> datetime:
        return self.time

    def looked_after(self, *ledgers: Ledger) -> bool:
        """As the reconciler does it."""
        changed = run(self.authorities.refresh(self.declared))
        self.tell()
        run(self.authorities.audit(self.declared, ledgers))
        self.tell()
        return changed

    def tell(self) -> AuthorityStatus:
        status = self.authorities.status(self.declared)
        self.writes += status != self.declared.status
        self.declared = self.declared.model_copy(update={"status": status})
        return status

    def fails(self, *errors: AuthorityError) -> None:
        for error in errors:
            self.authorities.failed(NAME, error)

    @property
    def view(self) -> AuthorityView:
        return self.authorities.view(self.declared)

    @property
    def due_in(self) -> timedelta:
        return self.authorities.refresh_due(NAME) - self.time

    def conditions(self) -> dict[str, tuple[str, str]]:
        return {entry.type: (entry.status, entry.reason) for entry in self.declared.status.conditions}


# When it closes


@pytest.mark.parametrize(
    ("errors", "closed"),
    [
        pytest.param([SILENCE] * CLOSED_AFTER, True, id="so many calls in a row without an answer: closed"),
        pytest.param([SILENCE] * (CLOSED_AFTER - 1), False, id="one fewer: open"),
        pytest.param(
            [OutcomeUnknown("POST /certificates", "reset")] * CLOSED_AFTER, True, id="of unknown outcome: too"
        ),
        pytest.param(
            [SILENCE] * 4 + [Refused("POST /certificates", "422")] + [SILENCE] * 4,
            False,
            id="a refusal is an answer",
        ),
        pytest.param(
            [SILENCE] * 4 + [NotYet("GET /quotas/issuance", "exhausted")] + [SILENCE] * 4,
            False,
            id="so is an exhausted quota",
        ),
        pytest.param([Unauthorised("POST /login", "401")], True, id="credentials not accepted: at once"),
    ],
)
def test_when_a_desk_closes(errors: list[AuthorityError], closed: bool) -> None:
    desk = Desk()
    desk.looked_after()
    desk.fails(*errors)
    assert (desk.view.policy is None, bool(desk.woken)) == (closed, closed)
    desk.tell()
    assert desk.conditions()["Ready"][0] == ("False" if closed else "True")


def test_nobody_asks_while_a_desk_is_closed_and_everybody_is_told_until_when() -> None:
    desk = Desk()
    desk.looked_after()
    desk.fails(*[SILENCE] * CLOSED_AFTER)
    with pytest.raises(TryAgain, match="5 calls in a row had no answer, the last GET") as told:
        desk.authorities.client(NAME)
    assert told.value.retry_after == RETRY + SECOND
    assert desk.view.unavailable == f"5 calls in a row had no answer, the last {SILENCE}"


def test_its_own_timer_tries_a_closed_desk_and_reopens_it() -> None:
    desk = Desk()
    desk.looked_after()
    desk.fails(*[SILENCE] * CLOSED_AFTER)
    assert desk.due_in == RETRY
    desk.books.fails = {"quota": SILENCE}
    desk.time += RETRY
    desk.looked_after()
    assert (desk.view.policy, desk.due_in) == (None, RETRY)
    desk.books.fails = {}
    desk.time += RETRY
    assert desk.looked_after(), "the orders are woken"
    assert (desk.view.policy, desk.due_in) == (POLICY, REFRESH)
    desk.fails(*[SILENCE] * (CLOSED_AFTER - 1))
    assert desk.view.policy == POLICY, "counted from the start"


@pytest.mark.parametrize(
    ("asked", "kept"),
    [(MINUTE, MINUTE), (SECOND, RETRY), (None, RETRY)],
    ids=["longer", "shorter", "nothing"],
)
def test_the_authority_is_left_alone_for_as_long_as_it_asks(asked: timedelta | None, kept: timedelta) -> None:
    desk = Desk(fails={"policy": TryAgain("GET /validationpolicy", "429", asked)})
    desk.looked_after()
    assert desk.due_in == kept


# Credentials


def test_refused_credentials_are_not_tried_at_every_look() -> None:
    desk = Desk(fails={"login": Unauthorised("POST /login", "401")})
    for _ in range(int(REFUSED_AGAIN / RETRY)):
        desk.looked_after()
        assert desk.conditions()["Ready"] == ("False", "CredentialsInvalid")
        desk.time += RETRY
    assert desk.books.logins == 1
    desk.looked_after()
    assert desk.books.logins == 2


def test_a_changed_secret_is_tried_at_the_next_look_and_the_old_client_closed() -> None:
    desk = Desk(fails={"login": Unauthorised("POST /login", "401")})
    desk.looked_after()
    desk.books.version, desk.books.fails = "2", {}
    desk.time += RETRY
    assert desk.looked_after()
    assert (desk.books.closed, desk.conditions()["Ready"]) == (1, ("True", "AuthorityReady"))


def test_a_secret_that_is_gone_closes_the_client() -> None:
    desk = Desk()
    desk.looked_after()
    desk.books.fails = {"connect": Unauthorised("Secret hvca", "There is no Secret")}
    desk.time += REFRESH
    desk.looked_after()
    assert (desk.books.closed, desk.view.unavailable) == (1, "There is no Secret")


# Installations


def test_nothing_is_bought_before_the_status_names_the_installation() -> None:
    desk = Desk()
    run(desk.authorities.refresh(desk.declared))
    assert desk.view.awaited
    assert desk.tell().installation == HERE
    assert desk.view.policy == POLICY


def test_what_another_installation_has_is_anothers() -> None:
    desk = Desk()
    desk.looked_after()
    assert not desk.authorities.is_anothers(desk.declared)
    taken = desk.declared.status.model_copy(update={"installation": "uid-of-another"})
    desk.declared = desk.declared.model_copy(update={"status": taken})
    assert desk.authorities.is_anothers(desk.declared)
    assert desk.view.policy is None


# What the status says


def test_a_look_that_finds_nothing_new_writes_nothing() -> None:
    desk = Desk()
    for _ in range(3):
        desk.looked_after()
        desk.time += REFRESH
    assert desk.writes == 2, "the first look, and the counters that followed it"
    desk.books.left -= 1
    desk.looked_after()
    quota = desk.declared.status.quota
    assert quota is not None
    assert (desk.writes, quota.remaining) == (3, 8)
    assert desk.declared.status.last_contact == desk.time


# What the authority does unasked

OURS, OTHERS = 0xA1, 0xB2


def leaf_of(serial: int, revocation: Revocation | None = None) -> Ledger:
    return a_ledger(a_leaf(serial=f"{serial:X}", revocation=revocation))


def test_a_revocation_is_noticed_once_and_remembered() -> None:
    desk, ledger = Desk(issues=[OURS]), leaf_of(OURS)
    desk.looked_after(ledger)
    assert desk.authorities.revocations(ledger) == {}
    desk.books.revokes = [OURS, OTHERS]
    desk.time += REFRESH
    holders = [run(desk.authorities.audit(desk.declared, [ledger])) for _ in range(2)]
    assert holders == [{ledger.holder}, set()]
    assert desk.authorities.revocations(ledger) == {f"{OURS:X}": desk.time}


def test_looks_go_back_to_the_installation_and_then_overlap() -> None:
    desk = Desk()
    desk.looked_after()
    installed = desk.time
    desk.time += REFRESH
    desk.looked_after()
    assert [since for since, _ in desk.books.windows] == [installed, installed - DAY]
    assert all(until > installed for _, until in desk.books.windows)


def intent_for(key: ec.EllipticCurvePrivateKey) -> Intent:
    return Intent(2, 1, spki_sha256(key.public_key()), ("shop.example.com",), NOW + DAY, NOW)


def certificate_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    nobody = x509.Name([])
    certificate = x509.CertificateBuilder(nobody, nobody, key.public_key(), 1, NOW, NOW + DAY)
    return certificate.sign(key, SHA256()).public_bytes(Encoding.PEM)


KEY, STRANGERS_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


@pytest.mark.parametrize(
    ("ledger", "revoked", "reported"),
    [
        pytest.param(lambda: a_ledger(), False, True, id="in no dossier: reported"),
        pytest.param(lambda: leaf_of(OTHERS), False, False, id="a leaf: known"),
        pytest.param(lambda: a_ledger(), True, False, id="revoked: harmless"),
        pytest.param(
            lambda: a_ledger(intent=replace(intent_for(KEY), serial=f"{OTHERS:X}")),
            False,
            False,
            id="about to be collected: known",
        ),
        pytest.param(
            lambda: a_ledger(intent=intent_for(KEY)), False, False, id="of a purchase that is searched for"
        ),
        pytest.param(
            lambda: a_ledger(intent=intent_for(STRANGERS_KEY)), False, True, id="beside one, with another key"
        ),
        pytest.param(
            lambda: a_ledger(acknowledged=(f"{OTHERS:X}",)), False, False, id="a person decided about it"
        ),
    ],
)
def test_a_certificate_that_nobody_knows(ledger: Callable[[], Ledger], revoked: bool, reported: bool) -> None:
    desk = Desk(issues=[OTHERS], keys={OTHERS: certificate_of(KEY)}, revokes=[OTHERS] if revoked else [])
    desk.looked_after(ledger())
    assert "UnknownCertificates" not in desk.conditions(), "within the grace it may be anybody's"
    desk.time += GRACE
    desk.looked_after(ledger())
    found = desk.conditions().get("UnknownCertificates")
    assert found == (("True", "NotInDossiers") if reported else None)
    assert any(f"{OTHERS:X}" in entry.message for entry in desk.declared.status.conditions) == reported


def test_what_became_known_is_reported_no_longer() -> None:
    desk = Desk(issues=[OTHERS])
    desk.looked_after()
    desk.time += GRACE
    desk.looked_after()
    assert "UnknownCertificates" in desk.conditions()
    desk.looked_after(leaf_of(OTHERS))
    assert "UnknownCertificates" not in desk.conditions()


def test_statistics_that_cannot_be_read_stop_nobody() -> None:
    desk, ledger = Desk(issues=[OURS], fails={"revoked": SILENCE}), leaf_of(OURS)
    desk.looked_after(ledger)
    assert desk.view.policy == POLICY
    desk.books.fails, desk.books.revokes = {}, [OURS]
    desk.looked_after(ledger)
    assert desk.authorities.revocations(ledger) == {f"{OURS:X}": desk.time}, "the next look makes up for it"


def test_an_authority_may_have_no_statistics() -> None:
    desk = Desk(tells=False, revokes=[OURS])
    desk.looked_after(leaf_of(OURS))
    assert desk.conditions()["Ready"] == ("True", "AuthorityReady")


@pytest.mark.parametrize(
    ("left", "later", "told"),
    [
        pytest.param(
            PLENTY + 2, SECOND, [PLENTY + 1, PLENTY], id="plenty was left a moment ago: counted down here"
        ),
        pytest.param(PLENTY, SECOND, [7, 7], id="little was left: asked before each purchase"),
        pytest.param(PLENTY + 2, QUOTA_AGE + SECOND, [7, 7], id="asked too long ago: asked again"),
    ],
)
def test_the_quota_is_asked_for_when_it_matters(left: int, later: timedelta, told: list[int]) -> None:
    desk = Desk(left=left)
    desk.looked_after()
    desk.books.left = 7
    desk.time += later
    assert [asyncio.run(desk.authorities.take_from_quota(NAME)) for _ in told] == told
