"""The whole way at an authority written without this client: claim, prove, buy, collect, find, revoke."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sslorder.authority.credentials import parse
from sslorder.authority.globalsign import GlobalSign, connect
from sslorder.contract.authority import ClaimState
from sslorder.contract.circumstances import RevocationReason
from sslorder.engine.ports import (
    CertificateStatus,
    IssuanceRequest,
    OutcomeUnknown,
    Refused,
    TryAgain,
    Unauthorised,
)
from tests.authority.conftest import QUICK, encoded
from tests.authority.waiting import run
from tests.harness.dns import DnsServer
from tests.harness.sandbox import Sandbox


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, dns: DnsServer) -> Iterator[Sandbox]:
    with Sandbox.start(tmp_path_factory.mktemp("sandbox"), resolver=dns.address) as sandbox:
        yield sandbox


async def client(sandbox: Sandbox, data: dict[str, str]) -> GlobalSign:
    secret = encoded({key: value.encode() for key, value in data.items()})
    return await connect(sandbox.api, parse("authority", secret), None, QUICK, SystemClock())


def purchase(*names: str) -> IssuanceRequest:
    key = ec.generate_private_key(ec.SECP256R1())
    return IssuanceRequest(key, names, datetime.now(UTC) + timedelta(days=90), None)


def test_from_claim_to_revocation(sandbox: Sandbox, dns: DnsServer) -> None:
    data = sandbox.create_account("whole-way")

    async def scenario() -> None:
        authority = await client(sandbox, data)
        begun = datetime.now(UTC)
        await authority.login()
        assert (await authority.policy()).most_names >= 2
        quota = await authority.quota()

        with pytest.raises(Refused, match="claim"):
            await authority.request(purchase("www.example.com"))

        claim = await authority.submit_claim("example.com")
        assert [(one.domain, one.state) for one in await authority.claims()] == [
            ("example.com", ClaimState.PENDING)
        ]
        assert not await authority.assert_dns(claim.id)
        claim = await authority.reassert_claim(claim)
        assert claim.token is not None
        dns.set_txt("example.com", claim.token)
        assert await authority.assert_dns(claim.id, "example.com")
        (verified,) = await authority.claims()
        assert verified.state is ClaimState.VERIFIED
        assert verified.expires_at is not None

        asked = purchase("www.example.com", "example.com")
        serial = await authority.request(asked)
        assert await authority.quota() == quota - 1
        issued = await authority.certificate(serial)
        assert issued is not None
        assert issued.status is CertificateStatus.ISSUED
        leaf = x509.load_pem_x509_certificate(issued.pem)
        assert leaf.serial_number == serial
        assert leaf.public_key() == asked.key.public_key()
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == list(asked.dns_names)
        issuer = x509.load_pem_x509_certificate((await authority.trust_chain())[0])
        leaf.verify_directly_issued_by(issuer)

        assert await authority.issued(begun, datetime.now(UTC) + timedelta(minutes=1)) == [serial]

        await authority.revoke(serial, RevocationReason.SUPERSEDED)
        await authority.revoke(serial, RevocationReason.SUPERSEDED)
        revoked = await authority.certificate(serial)
        assert revoked is not None
        assert revoked.status is CertificateStatus.REVOKED
        with pytest.raises(Refused, match="404"):
            await authority.certificate(0x123)
        authority.close()

    run(scenario())


@pytest.mark.parametrize(
    ("fault", "means", "bought"),
    [
        pytest.param({"fault": "lose-answer"}, OutcomeUnknown, 1, id="bought, the answer lost"),
        pytest.param({"fault": "garbage"}, OutcomeUnknown, 1, id="bought, the answer garbage"),
        pytest.param({"fault": "refuse", "status": 503}, OutcomeUnknown, 0, id="not available"),
        pytest.param({"fault": "refuse", "status": 429}, TryAgain, 0, id="asked too often"),
    ],
)
def test_a_purchase_that_goes_wrong(
    sandbox: Sandbox,
    fault: dict[str, object],
    means: type[Exception],
    bought: int,
) -> None:
    name = f"wrong-{fault['fault']}-{fault.get('status', '')}".rstrip("-")
    data = sandbox.create_account(name, preapproved=["example.org"])

    async def scenario() -> None:
        authority = await client(sandbox, data)
        sandbox.set_faults({**fault, "operation": "request", "account": name})
        with pytest.raises(means):
            await authority.request(purchase("www.example.org"))
        sandbox.clear_faults()
        now = datetime.now(UTC)
        window = now - timedelta(minutes=1), now + timedelta(minutes=1)
        assert len(await authority.issued(*window)) == bought
        authority.close()

    run(scenario())


def test_an_exhausted_quota_is_worth_waiting_for(sandbox: Sandbox) -> None:
    data = sandbox.create_account("exhausted", preapproved=["example.net"], quota=0)

    async def scenario() -> None:
        authority = await client(sandbox, data)
        assert await authority.quota() == 0
        with pytest.raises(TryAgain, match="quota"):
            await authority.request(purchase("example.net"))
        authority.close()

    run(scenario())


def test_another_accounts_secret_is_not_accepted(sandbox: Sandbox) -> None:
    own, foreign = sandbox.create_account("own"), sandbox.create_account("foreign")

    async def scenario() -> None:
        authority = await client(sandbox, own | {"api-secret": foreign["api-secret"]})
        with pytest.raises(Unauthorised, match="401"):
            await authority.login()
        authority.close()

    run(scenario())
