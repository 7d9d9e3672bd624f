"""What is asked of the authority under which validation policy, and what is not asked at all."""

import json
from base64 import b64decode
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sslorder.api.common import Subject
from sslorder.authority.composition import ContradictsPolicyError, RequestRules
from sslorder.engine.ports import IssuanceRequest
from tests.authority.conftest import NOW, POLICY

FIXED = {"static": True, "list": ["x"], "mincount": 1, "maxcount": 1}
SUBJECT = Subject(organization="Example SA", country="BE", locality="Liège")


def policy(**changes: object) -> dict[str, Any]:
    return deepcopy(POLICY) | changes


def presence(kind: str, **more: object) -> dict[str, object]:
    return {"presence": kind, "format": "^.*$", **more}


def names(**changes: object) -> dict[str, object]:
    return {"dns_names": {"static": False, "list": [], "mincount": 0, "maxcount": 100, **changes}}


def compose(policy: dict[str, Any], asked: IssuanceRequest) -> dict[str, Any]:
    return dict(json.loads(RequestRules(json.dumps(policy).encode()).compose(asked, NOW)))


def test_a_request_holds_what_is_asked_and_nothing_else(asked: IssuanceRequest) -> None:
    sent = compose(policy(), asked)
    assert sent.keys() == {"validity", "san", "public_key"}
    assert sent["validity"] == {
        "not_before": int(NOW.timestamp()),
        "not_after": int(asked.not_after.timestamp()),
    }
    assert sent["san"] == {"dns_names": ["shop.example.com", "www.example.com"]}
    assert not sent["public_key"].endswith("\n")
    assert load_pem_public_key(sent["public_key"].encode()) == asked.key.public_key()


@pytest.mark.parametrize(
    ("rule", "sent"),
    [
        pytest.param(presence("OPTIONAL"), "Example SA", id="OPTIONAL: sent"),
        pytest.param(presence("REQUIRED"), "Example SA", id="REQUIRED: sent"),
        pytest.param(presence("STATIC"), None, id="STATIC: left out"),
        pytest.param(presence("FORBIDDEN"), None, id="FORBIDDEN: left out"),
        pytest.param(None, None, id="not mentioned: left out"),
    ],
)
def test_a_field_of_the_subject_that_the_order_states(
    asked: IssuanceRequest, rule: dict[str, object] | None, sent: str | None
) -> None:
    rules = {"organization": rule} if rule else {}
    found = compose(policy(subject_dn=rules), replace(asked, subject=SUBJECT))
    assert found.get("subject_dn", {}).get("organization") == sent


def test_the_common_name_is_sent_only_where_required_and_is_one_of_the_names(asked: IssuanceRequest) -> None:
    long = replace(asked, dns_names=("a" * 60 + ".example.com", "www.example.com"))
    assert "subject_dn" not in compose(policy(subject_dn={"common_name": presence("OPTIONAL")}), long)
    required = compose(policy(subject_dn={"common_name": presence("REQUIRED")}), long)
    assert required["subject_dn"] == {"common_name": "www.example.com"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject_dn": {"locality": presence("REQUIRED")}}, "subject_dn.locality"),
        ({"subject_dn": {"email": presence("REQUIRED")}}, "subject_dn.email"),
        (
            {"subject_dn": {"organizational_unit": names(mincount=1)["dns_names"]}},
            "subject_dn.organizational_unit",
        ),
        (
            {"subject_dn": {"extra_attributes": {"1.2.3": {"static": False, "mincount": 1, "maxcount": 1}}}},
            "subject_dn.extra_attributes.1.2.3",
        ),
        ({"san": names() | {"uris": names(mincount=1)["dns_names"]}}, "san.uris"),
        ({"san": names(static=True)}, "san.dns_names"),
        ({"san": names(maxcount=1)}, "san.dns_names"),
        ({"san": names(mincount=3)}, "san.dns_names"),
        ({"san": {}}, "san.dns_names"),
        (
            {"extended_key_usages": {"ekus": {"static": False, "mincount": 2, "maxcount": 3}}},
            "extended_key_usages",
        ),
        ({"signature": {"hash_algorithm": presence("REQUIRED", list=[])}}, "signature.hash_algorithm"),
        ({"subject_da": {"date_of_birth": "REQUIRED"}}, "subject_da.date_of_birth"),
        ({"custom_extensions": {"1.2.3": {"presence": "REQUIRED"}}}, "custom_extensions.1.2.3"),
        ({"public_key": {"key_type": "RSA", "allowed_lengths": [2048], "key_format": "PKCS8"}}, "public_key"),
        (
            {"public_key": {"key_type": "ECDSA", "allowed_lengths": [521], "key_format": "PKCS8"}},
            "public_key",
        ),
    ],
)
def test_what_cannot_be_supplied_is_refused_by_its_name(
    asked: IssuanceRequest, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(ContradictsPolicyError) as caught:
        compose(policy(**changes), asked)
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"subject_dn": {"organizational_unit": FIXED}}, id="a static list"),
        pytest.param({"custom_extensions": {"1.2.3": {"presence": "STATIC"}}}, id="a static extension"),
        pytest.param({"extended_key_usages": {"ekus": FIXED}}, id="static key usages"),
        pytest.param({"signature": {"algorithm": presence("STATIC", list=["RSA"])}}, id="a static signature"),
        pytest.param({"public_key_signature": "FORBIDDEN"}, id="no proof of possession"),
        pytest.param({"something_new": {"presence": "OPTIONAL"}}, id="something optional and unheard of"),
    ],
)
def test_what_the_authority_fills_in_by_itself_is_left_out(
    asked: IssuanceRequest, changes: dict[str, object]
) -> None:
    assert compose(policy(**changes), asked).keys() == {"validity", "san", "public_key"}


def test_server_authentication_is_asked_for_where_usages_are_open(asked: IssuanceRequest) -> None:
    rules = {"ekus": {"static": False, "list": ["^1.3.6.1.5.5.7.3.[1-3]$"], "mincount": 1, "maxcount": 3}}
    assert compose(policy(extended_key_usages=rules), asked)["extended_key_usages"] == ["1.3.6.1.5.5.7.3.1"]


def test_a_required_signature_is_the_first_that_the_authority_names(asked: IssuanceRequest) -> None:
    rules = {
        "algorithm": presence("STATIC", list=["RSA-PSS"]),
        "hash_algorithm": presence("REQUIRED", list=["SHA-384", "SHA-512"]),
    }
    assert compose(policy(signature=rules), asked)["signature"] == {"hash_algorithm": "SHA-384"}


KEYS = [
    pytest.param(ec.generate_private_key(ec.SECP384R1()), "ECDSA", id="ECDSA"),
    pytest.param(rsa.generate_private_key(65_537, 2048), "RSA", id="RSA"),
]


@pytest.mark.parametrize(("key", "key_type"), KEYS)
def test_a_signing_request_carries_the_key_alone(asked: IssuanceRequest, key: Any, key_type: str) -> None:
    rules = {"key_type": key_type, "allowed_lengths": [384, 2048], "key_format": "PKCS10"}
    sent = compose(policy(public_key=rules), replace(asked, key=key))
    request = x509.load_pem_x509_csr(sent["public_key"].encode())
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()
    assert list(request.subject) == []
    assert list(request.extensions) == []


@pytest.mark.parametrize(("key", "key_type"), KEYS)
def test_possession_is_proved_where_required(asked: IssuanceRequest, key: Any, key_type: str) -> None:
    rules = {"key_type": key_type, "allowed_lengths": [384, 2048], "key_format": "PKCS8"}
    sent = compose(policy(public_key=rules, public_key_signature="REQUIRED"), replace(asked, key=key))
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    scheme = (ec.ECDSA(SHA256()),) if key_type == "ECDSA" else (padding.PKCS1v15(), SHA256())
    key.public_key().verify(b64decode(sent["public_key_signature"]), spki, *scheme)


def test_what_decides_about_an_order() -> None:
    summary = RequestRules(json.dumps(POLICY).encode()).summary
    assert (summary.shortest_validity.total_seconds(), summary.longest_validity.days) == (3600, 199)
    assert summary.most_names == 100


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no validity"),
        pytest.param(b'{"validity": {"secondsmin": 0, "secondsmax": 0}}', id="no time at all"),
        pytest.param(b'{"validity": {"secondsmax": 1e99}}', id="eternity"),
        pytest.param(b'{"a":' * 10_000, id="depth without end"),
        pytest.param(json.dumps(policy(public_key={"key_format": "PEM"})).encode(), id="a format unheard of"),
    ],
)
def test_a_policy_that_makes_no_sense_is_none(body: bytes) -> None:
    with pytest.raises(ValueError):
        RequestRules(body)


MEMBER = st.sampled_from([*POLICY, "presence", "mincount", "static", "ekus", "subject_dn"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "x", "REQUIRED", "STATIC"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBER, inner, max_size=4),
    max_leaves=12,
)


@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*POLICY, "subject_dn", "subject_da"]), JSON))
def test_any_policy_is_obeyed_contradicted_or_nonsense(changes: dict[str, Any]) -> None:
    asked = IssuanceRequest(KEYS[0].values[0], ("www.example.com",), NOW, None)  # type: ignore[arg-type]
    try:
        sent = compose(policy(**changes), asked)
    except (ContradictsPolicyError, ValueError):
        return
    assert sent["san"] == {"dns_names": ["www.example.com"]}
