"""What the API server refuses, in which words, and the nearest manifest that it accepts."""

import json
from typing import NamedTuple

import pytest

from tests.api.conftest import Admission
from tests.api.manifests import (
    ABSENT,
    ACCOUNT,
    ACCOUNT_TARGET,
    ACTIONS,
    ARRIVAL,
    AUTHORITY,
    AUTHORITY_TARGET,
    CONTRACT_TARGET,
    DV_ORDER,
    EV_ORDER,
    GOOD,
    NOTICE,
    ORGANISATION,
    OV_ORDER,
    PAYMENT,
    REINSTATE,
    REJECT,
    RESOLVE,
    REVOKE,
    SUSPEND,
    TERMINATE,
    TRANSFER,
    TRANSFER_OF_A_NAMESPACE,
    Change,
    Manifest,
    changed,
)


class Refusal(NamedTuple):
    """`bad` on top of `manifest` is refused at `field` with `words`; `good` instead is accepted."""

    sentence: str
    manifest: Manifest
    bad: Change
    field: str
    words: str
    good: Change


def _name(sentence: str, bad: str, words: str, good: str) -> Refusal:
    return Refusal(
        sentence, DV_ORDER, {"spec.dnsNames": [bad]}, "spec.dnsNames[0]", words, {"spec.dnsNames": [good]}
    )


_LDH = "write at least two labels of letters, digits and inner hyphens"
_LABEL_63, _LABEL_64 = "a" * 63, "a" * 64
_NAME_253 = ".".join(["a" * 62] * 3 + ["b" * 60, "com"])
_HUNDRED = [f"host-{number}.example.com" for number in range(100)]

NAMES = (
    _name("a name has no underscore", "my_shop.example.com", "an underscore", "my-shop.example.com"),
    _name(
        "a name is written in lower case",
        "Shop.example.com",
        "write the name in lower case",
        "shop.example.com",
    ),
    _name(
        "a name has no trailing dot", "shop.example.com.", "leave out the trailing dot", "shop.example.com"
    ),
    _name("an IPv4 address is no name", "192.0.2.1", "an IP address cannot be ordered", "host-1.example.com"),
    _name(
        "an IPv6 address is no name", "2001:db8::1", "an IP address cannot be ordered", "host-1.example.com"
    ),
    _name("a name has two labels", "localhost", _LDH, "localhost.example.com"),
    _name("a name has no empty label", "shop..example.com", _LDH, "shop.example.com"),
    _name("a label begins with no hyphen", "-shop.example.com", _LDH, "s-hop.example.com"),
    _name("a label ends with no hyphen", "shop-.example.com", _LDH, "sho-p.example.com"),
    _name("the top label is no number", "shop.123", _LDH, "123.shop"),
    _name("a label has at most 63 characters", f"{_LABEL_64}.example.com", _LDH, f"{_LABEL_63}.example.com"),
    _name(
        "an international name is written as A-labels",
        "bücher.example.com",
        _LDH,
        "xn--bcher-kva.example.com",
    ),
    _name(
        "two hyphens in third place mark an A-label", "ab--c.example.com", "only A-labels", "a--c.example.com"
    ),
    _name("that holds for every label", "www.xm--c.example.com", "only A-labels", "www.xn--c.example.com"),
    _name("a reverse zone is not certified", "2.0.192.in-addr.arpa", "reverse zones", "arpa.example.com"),
    _name("a wildcard is a whole label", "w*.example.com", "a wildcard stands alone", "*.example.com"),
    _name(
        "a wildcard is the left-most label",
        "www.*.example.com",
        "a wildcard stands alone",
        "*.www.example.com",
    ),
    _name("one wildcard is all", "*.*.example.com", "a wildcard stands alone", "*.a.example.com"),
    _name("two labels follow a wildcard", "*.com", "a wildcard stands alone", "*.example.com"),
    _name("a wildcard alone is no name", "*", "a wildcard stands alone", "*.example.com"),
    _name(
        "after a wildcard stands a DNS name",
        "*.-a.example.com",
        "after the wildcard write",
        "*.a.example.com",
    ),
    _name("a name has at most 253 characters", f"c{_NAME_253}", "not be more than 253", _NAME_253),
    Refusal(
        "no name stands twice",
        DV_ORDER,
        {"spec.dnsNames": ["shop.example.com", "shop.example.com"]},
        "spec.dnsNames[1]",
        "Duplicate value",
        {"spec.dnsNames": ["shop.example.com", "*.shop.example.com"]},
    ),
    Refusal(
        "an order has at most 100 names",
        DV_ORDER,
        {"spec.dnsNames": [*_HUNDRED, "host-100.example.com"]},
        "spec.dnsNames",
        "at most 100 items",
        {"spec.dnsNames": _HUNDRED},
    ),
    Refusal(
        "an order has a name",
        DV_ORDER,
        {"spec.dnsNames": []},
        "spec.dnsNames",
        "at least 1",
        {"spec.dnsNames": ["example.com"]},
    ),
)

ORDERS = (
    Refusal(
        "a term has 1, 2 or 3 years",
        DV_ORDER,
        {"spec.termYears": 4},
        "spec.termYears",
        "3",
        {"spec.termYears": 3},
    ),
    Refusal(
        "a term has a year",
        DV_ORDER,
        {"spec.termYears": 0},
        "spec.termYears",
        "greater than or equal to 1",
        {"spec.termYears": 2},
    ),
    Refusal(
        "DV, OV and EV are sold",
        DV_ORDER,
        {"spec.product": "QV"},
        "spec.product",
        'supported values: "DV", "OV", "EV"',
        {"spec.product": "DV"},
    ),
    Refusal(
        "an order has a spec",
        DV_ORDER,
        {"spec": ABSENT},
        "spec",
        "Required value",
        {},
    ),
    Refusal(
        "an unknown field is not passed over",
        DV_ORDER,
        {"spec.dnsName": "shop.example.com"},
        "spec.dnsName",
        "unknown field",
        {},
    ),
    Refusal(
        "a purchase order number is written plainly",
        DV_ORDER,
        {"spec.purchaseOrder": "BC 42 "},
        "spec.purchaseOrder",
        "write the purchase order's number",
        {"spec.purchaseOrder": "BC-42"},
    ),
    Refusal(
        "an OV order states a subject",
        OV_ORDER,
        {"spec.subject": ABSENT},
        "spec.subject",
        "write subject as it was vetted",
        {},
    ),
    Refusal(
        "an EV order states a subject",
        EV_ORDER,
        {"spec.subject": ABSENT},
        "spec.subject",
        "write subject as it was vetted",
        {},
    ),
    Refusal(
        "a DV order states no subject",
        DV_ORDER,
        {"spec.subject": ORGANISATION},
        "spec.subject",
        "leave out subject",
        {"spec.subject": ORGANISATION, "spec.product": "OV"},
    ),
    Refusal(
        "a subject is somewhere",
        OV_ORDER,
        {"spec.subject.locality": ABSENT},
        "spec.subject",
        "write locality, stateOrProvince or both",
        {"spec.subject.locality": ABSENT, "spec.subject.stateOrProvince": "Hainaut"},
    ),
    Refusal(
        "a country is written in two capitals",
        OV_ORDER,
        {"spec.subject.country": "be"},
        "spec.subject.country",
        "the two capital letters of ISO 3166-1",
        {"spec.subject.country": "FR"},
    ),
    Refusal(
        "an organisation's name fits its field",
        OV_ORDER,
        {"spec.subject.organization": "A" * 65},
        "spec.subject.organization",
        "not be more than 64",
        {"spec.subject.organization": "A" * 64},
    ),
    *(
        Refusal(
            f"an EV subject states its {field}",
            EV_ORDER,
            {f"spec.subject.{field}": ABSENT},
            "spec.subject",
            "also needs businessCategory, registrationNumber, jurisdictionCountry",
            {},
        )
        for field in ("businessCategory", "registrationNumber", "jurisdictionCountry")
    ),
    Refusal(
        "an EV certificate has no wildcard",
        EV_ORDER,
        {"spec.dnsNames": ["*.example.com"]},
        "spec.dnsNames",
        "an EV certificate has no wildcard",
        {"spec.dnsNames": ["*.example.com"], "spec.product": "OV"},
    ),
    Refusal(
        "a Secret's name is an object's name",
        DV_ORDER,
        {"spec.secretName": "Shop_TLS"},
        "spec.secretName",
        "write the name of a Kubernetes object",
        {"spec.secretName": "shop.tls"},
    ),
    Refusal(
        "an ECDSA key has a curve that the CA/B Forum allows",
        DV_ORDER,
        {"spec.privateKey": {"algorithm": "ECDSA", "size": 512}},
        "spec.privateKey.size",
        "write 256, 384 or 521",
        {"spec.privateKey": {"algorithm": "ECDSA", "size": 521}},
    ),
    Refusal(
        "an RSA key has a size that the CA/B Forum allows",
        DV_ORDER,
        {"spec.privateKey": {"algorithm": "RSA", "size": 1024}},
        "spec.privateKey.size",
        "write 2048, 3072 or 4096",
        {"spec.privateKey": {"algorithm": "RSA", "size": 2048}},
    ),
    Refusal(
        "Ed25519 is not allowed for public TLS",
        DV_ORDER,
        {"spec.privateKey.algorithm": "Ed25519"},
        "spec.privateKey.algorithm",
        'supported values: "ECDSA", "RSA"',
        {"spec.privateKey.algorithm": "ECDSA"},
    ),
    *(
        Refusal(
            f"{sentence} ({part})",
            DV_ORDER,
            {f"spec.secretTemplate.{part}": {bad: "x"}},
            f"spec.secretTemplate.{part}",
            words,
            {f"spec.secretTemplate.{part}": {good: "x"}},
        )
        for part in ("labels", "annotations")
        for sentence, bad, words, good in (
            (
                "our own prefix is ours",
                "ssl.synchrone.be/order",
                "are the operator's own",
                "example.com/order",
            ),
            ("kubernetes.io is reserved", "kubernetes.io/arch", "are reserved", "app.kubernetes.io/part-of"),
            ("so are its subdomains", "node.kubernetes.io/x", "are reserved", "kubernetes.io.example.com/x"),
            ("so is k8s.io", "kustomize.toolkit.k8s.io/x", "are reserved", "kustomize.toolkit/x"),
            ("a key is a qualified name", "a b", "write keys of at most 63", "a-b"),
        )
    ),
    Refusal(
        "a label's value is one",
        DV_ORDER,
        {"spec.secretTemplate.labels": {"team": "web shop"}},
        "spec.secretTemplate.labels",
        "move anything else to annotations",
        {"spec.secretTemplate.annotations": {"team": "web shop"}},
    ),
    *(
        Refusal(
            f"{bad!r} is no duration",
            DV_ORDER,
            {"spec.reissueBefore": bad},
            "spec.reissueBefore",
            words,
            {"spec.reissueBefore": good},
        )
        for bad, words, good in (
            ("30 days", "as in 720h or 36h30m", "720h"),
            ("30d", "as in 720h or 36h30m", "36h30m"),
            ("", "at least 2 chars", "90s"),
        )
    ),
    Refusal(
        "a moment has a zone",
        DV_ORDER,
        {"spec.reissue": {"requestedAt": "2026-11-23 09:00"}},
        "spec.reissue.requestedAt",
        "must be of type date-time",
        {"spec.reissue": {"requestedAt": "2026-11-23T09:00:00+01:00"}},
    ),
    Refusal(
        "a client does not name a circumstance that the provider judges",
        DV_ORDER,
        {"spec.revocation": {"leaf": 1, "circumstance": "NonPayment"}},
        "spec.revocation.circumstance",
        'supported values: "OrganisationChanged"',
        {"spec.revocation": {"leaf": 1, "circumstance": "SiteClosed"}},
    ),
    Refusal(
        "a revocation says which leaf",
        DV_ORDER,
        {"spec.revocation": {"circumstance": "SiteClosed"}},
        "spec.revocation.leaf",
        "Required value",
        {"spec.revocation": {"leaf": 2, "circumstance": "SiteClosed", "replace": True}},
    ),
    Refusal(
        "only a compromised key has a time of compromise",
        DV_ORDER,
        {
            "spec.revocation": {
                "leaf": 1,
                "circumstance": "SiteClosed",
                "compromisedAt": "2026-11-23T09:00:00Z",
            }
        },
        "spec.revocation.compromisedAt",
        "goes with KeyCompromised only",
        {
            "spec.revocation": {
                "leaf": 1,
                "circumstance": "KeyCompromised",
                "compromisedAt": "2026-11-23T09:00:00Z",
            }
        },
    ),
)

ACCOUNTS = (
    *(
        case._replace(
            sentence=f"{case.sentence}, assigned or ordered",
            manifest=ACCOUNT,
            bad={"spec.domains": case.bad["spec.dnsNames"]},
            field="spec.domains[0]",
            good={"spec.domains": case.good["spec.dnsNames"]},
        )
        for case in NAMES
        if case.field == "spec.dnsNames[0]" and "*" not in case.bad["spec.dnsNames"][0]
    ),
    Refusal(
        "a domain that is assigned has no wildcard",
        ACCOUNT,
        {"spec.domains": ["*.example.com"]},
        "spec.domains[0]",
        "without a wildcard",
        {"spec.domains": ["www.example.com"]},
    ),
    Refusal(
        "a namespace has a namespace's name",
        ACCOUNT,
        {"spec.namespaces": ["shop.web"]},
        "spec.namespaces[0]",
        "write the name of a namespace",
        {"spec.namespaces": ["shop-web"]},
    ),
    Refusal(
        "a namespace stands once",
        ACCOUNT,
        {"spec.namespaces": ["shop", "shop"]},
        "spec.namespaces[1]",
        "Duplicate value",
        {"spec.namespaces": ["shop", "web"]},
    ),
    Refusal(
        "a vetted organisation is somewhere",
        ACCOUNT,
        {"spec.organisation": {"organization": "Exemple SPRL", "country": "BE"}},
        "spec.organisation",
        "write locality, stateOrProvince or both",
        {"spec.organisation": ORGANISATION},
    ),
    Refusal(
        "an e-mail address has one @",
        ACCOUNT,
        {"spec.contact.email": "web at example.com"},
        "spec.contact.email",
        "as in certificates@example.com",
        {"spec.contact.email": "web@example.com"},
    ),
)

PAYMENTS = (
    Refusal(
        "a payment says which period",
        PAYMENT,
        {"spec.period": ABSENT},
        "spec.period",
        "write either period (its number) or periodStartsOn",
        {"spec.period": ABSENT, "spec.periodStartsOn": "2026-11-23"},
    ),
    Refusal(
        "a payment says it once",
        PAYMENT,
        {"spec.periodStartsOn": "2026-11-23"},
        "spec.period",
        "write either period (its number) or periodStartsOn",
        {},
    ),
    Refusal(
        "a period's first day is a date",
        PAYMENT,
        {"spec.period": ABSENT, "spec.periodStartsOn": "23/11/2026"},
        "spec.periodStartsOn",
        "must be of type date",
        {"spec.period": ABSENT, "spec.periodStartsOn": "2026-11-23"},
    ),
    Refusal(
        "periods count from 1",
        PAYMENT,
        {"spec.period": 0},
        "spec.period",
        "greater than or equal to 1",
        {"spec.period": 2},
    ),
    Refusal(
        "a payment covers something",
        PAYMENT,
        {"spec.covers.names": 0},
        "spec.covers",
        "at least 1 in all",
        {"spec.covers.names": 0, "spec.covers.wildcards": 1},
    ),
    Refusal(
        "a payment covers no negative number of names",
        PAYMENT,
        {"spec.covers.names": -1},
        "spec.covers.names",
        "greater than or equal to 0",
        {"spec.covers.names": 100},
    ),
    *(
        Refusal(
            f"{bad!r} is no amount",
            PAYMENT,
            {"spec.amount": bad},
            "spec.amount",
            "write the amount as a decimal number in quotes",
            {"spec.amount": good},
        )
        for bad, good in (("249,00", "249.00"), ("-1", "0"), ("1.", "1"), ("1e3", "1000"), ("01", "0.1"))
    ),
    Refusal(
        "an amount is no number, for numbers are rounded",
        PAYMENT,
        {"spec.amount": 249.0},
        "spec.amount",
        "must be of type string",
        {"spec.amount": "249"},
    ),
    Refusal(
        "a currency is a code",
        PAYMENT,
        {"spec.currency": "eur"},
        "spec.currency",
        "the three capital letters of ISO 4217",
        {"spec.currency": "USD"},
    ),
)

AUTHORITIES = (
    *(
        Refusal(
            sentence,
            AUTHORITY,
            {"spec.globalSign.url": bad},
            "spec.globalSign.url",
            "write an https address",
            {"spec.globalSign.url": good},
        )
        for sentence, bad, good in (
            ("an authority is reached over https", "http://ca.example.com/v2", "https://ca.example.com/v2"),
            ("an address is a URL", "ca.example.com/v2", "https://ca.example.com:8443"),
            ("a URL has a host", "https:///v2/path", "https://127.0.0.1:8443/v2"),
            ("a URL holds no credentials", "https://me:secret@ca.example.com", "https://ca.example.com"),
        )
    ),
    Refusal(
        "a CA bundle is base64",
        AUTHORITY,
        {"spec.globalSign.caBundle": "-----BEGIN CERTIFICATE-----"},
        "spec.globalSign.caBundle",
        "must be of type byte",
        {"spec.globalSign.caBundle": "LS0tLS1CRUdJTg=="},
    ),
    Refusal(
        "a solver has a known method",
        AUTHORITY,
        {"spec.solvers": [{"method": "Magic"}]},
        "spec.solvers[0].method",
        'supported values: "Manual"',
        {"spec.solvers": [{"method": "Manual"}]},
    ),
    Refusal(
        "an authority is asked something",
        AUTHORITY,
        {"spec.limits": {"requestsPerSecond": 0}},
        "spec.limits.requestsPerSecond",
        "greater than or equal to 1",
        {"spec.limits": {"requestsPerSecond": 1}},
    ),
)

_TARGETS = {"contract": CONTRACT_TARGET, "account": ACCOUNT_TARGET, "authority": AUTHORITY_TARGET}
_TAKEN = {
    "Suspend": ("contract", "account", "authority"),
    "Reinstate": ("contract", "account", "authority"),
    "Terminate": ("contract", "account"),
    "Reject": ("contract",),
    "Revoke": ("contract",),
    "Notice": ("contract",),
    "Arrival": ("contract",),
    "Resolve": ("contract",),
}
_MOMENT = "2026-12-01T00:00:00Z"
_NEEDED = (
    ("Suspend", "cause"),
    ("Terminate", "cause"),
    ("Reject", "cause"),
    ("Notice", "sentAt"),
    ("Arrival", "receivedAt"),
    ("Transfer", "transferTo"),
    ("Revoke", "revocation"),
    ("Resolve", "resolve"),
)
_MISPLACED = (
    ("effectiveAt", _MOMENT, NOTICE, TERMINATE),
    ("until", _MOMENT, TERMINATE, SUSPEND),
    ("revokeAtAuthority", True, SUSPEND, TERMINATE),
    ("lifts", ["unpaid"], SUSPEND, REINSTATE),
    ("sentAt", _MOMENT, ARRIVAL, NOTICE),
    ("receivedAt", _MOMENT, NOTICE, ARRIVAL),
    ("transferTo", {"namespace": "shop"}, SUSPEND, TRANSFER),
    ("fromNamespace", "shop", SUSPEND, TRANSFER_OF_A_NAMESPACE),
    ("revocation", {"circumstance": "Abuse"}, TERMINATE, REVOKE),
    ("resolve", {"abandon": True}, REJECT, RESOLVE),
)

CONTRACT_ACTIONS = (
    *(
        Refusal(
            f"{action} takes no {name}",
            ACTIONS[action],
            {"spec.target": target},
            "spec.target",
            f"the target of {action} is",
            {"spec.target": _TARGETS[taken[-1]]},
        )
        for action, taken in _TAKEN.items()
        for name, target in _TARGETS.items()
        if name not in taken
    ),
    *(
        Refusal(
            f"{action} takes no {name}",
            ACTIONS[action],
            {"spec.target": target},
            "spec.target",
            f"the target of {action} is",
            {},
        )
        for action in _TAKEN
        for name, target in (
            ("purchase order without an account", {"purchaseOrder": "BC-2026-0042"}),
            ("authority together with an account", ACCOUNT_TARGET | AUTHORITY_TARGET),
            ("target that says nothing", {}),
        )
    ),
    Refusal(
        "Transfer takes no authority",
        TRANSFER,
        {"spec.target": AUTHORITY_TARGET},
        "spec.target",
        "the target of Transfer is",
        {},
    ),
    *(
        Refusal(
            f"{action} needs {field}",
            ACTIONS[action],
            {f"spec.{field}": ABSENT},
            f"spec.{field}",
            f"cannot do without {field}",
            {},
        )
        for action, field in _NEEDED
    ),
    *(
        Refusal(
            f"{wrong['spec']['action']} takes no {field}",
            wrong,
            {f"spec.{field}": value},
            f"spec.{field}",
            f"{field} goes with",
            {"spec": changed(right, {f"spec.{field}": value})["spec"]},
        )
        for field, value, wrong, right in _MISPLACED
    ),
    Refusal(
        "Other needs a note",
        SUSPEND,
        {"spec.cause": {"article": "Other"}},
        "spec.cause.note",
        "write a note",
        {"spec.cause": {"article": "Other", "note": "At the client's request by telephone."}},
    ),
    Refusal(
        "a cause is an article of the conditions",
        SUSPEND,
        {"spec.cause": {"article": "9.3"}},
        "spec.cause.article",
        'supported values: "5.3b"',
        {"spec.cause": {"article": "9.2(1)"}},
    ),
    Refusal(
        "a suspension ends after it began",
        SUSPEND,
        {"spec.effectiveAt": _MOMENT, "spec.until": _MOMENT},
        "spec.until",
        "write a later moment",
        {"spec.effectiveAt": _MOMENT, "spec.until": "2026-12-01T00:00:01Z"},
    ),
    Refusal(
        "all of an account's contracts go from one namespace",
        TRANSFER_OF_A_NAMESPACE,
        {"spec.fromNamespace": ABSENT},
        "spec.fromNamespace",
        "write it if the target is an account",
        {},
    ),
    Refusal(
        "one contract goes from wherever it is",
        TRANSFER,
        {"spec.fromNamespace": "shop"},
        "spec.fromNamespace",
        "leave it out if it is a contract",
        {},
    ),
    Refusal(
        "many contracts do not go to one order",
        TRANSFER_OF_A_NAMESPACE,
        {"spec.transferTo.name": "shop"},
        "spec.transferTo.name",
        "goes with one contract only",
        {},
    ),
    Refusal(
        "only a compromised key has a time of compromise, for the provider too",
        REVOKE,
        {"spec.revocation.compromisedAt": _MOMENT},
        "spec.revocation.compromisedAt",
        "goes with KeyCompromised only",
        {"spec.revocation.compromisedAt": _MOMENT, "spec.revocation.circumstance": "KeyCompromised"},
    ),
    *(
        Refusal(
            f"an uncertain issuance ends in one way, not {sentence}",
            RESOLVE,
            {"spec.resolve": bad},
            "spec.resolve",
            "write exactly one of adopt",
            {"spec.resolve": good},
        )
        for sentence, bad, good in (
            ("none", {}, {"adopt": "01AB"}),
            ("two", {"adopt": "01AB", "buyAgain": True}, {"buyAgain": True}),
            ("in a way denied", {"abandon": False}, {"abandon": True}),
        )
    ),
    Refusal(
        "a serial number is hexadecimal",
        RESOLVE,
        {"spec.resolve": {"adopt": "01:ab"}},
        "spec.resolve.adopt",
        "write the serial number in hexadecimal",
        {"spec.resolve": {"adopt": "01AB"}},
    ),
)

_OBJECT = ("Some_Object", "write the name of a Kubernetes object", "some.object")
_OBJECTS = (["Some_Object"], "write the name of a Kubernetes object", ["some.object"])
_NAMESPACE = ("some.namespace", "write the name of a namespace", "some-namespace")
_NUMBER = ("-1", "write the purchase order's number", "1")
_COUNTRY = ("Be", "write the two capital letters", "BE")

REFERENCES = tuple(
    Refusal(
        f"{field} of an {manifest['kind']} is written as such names are",
        manifest,
        {f"spec.{field}": bad},
        f"spec.{field}",
        words,
        {f"spec.{field}": good},
    )
    for manifest, field, (bad, words, good) in (
        (DV_ORDER, "authorityRef.name", _OBJECT),
        (EV_ORDER, "subject.jurisdictionCountry", _COUNTRY),
        (changed(ACCOUNT, {"spec.organisation": ORGANISATION}), "organisation.country", _COUNTRY),
        (ACCOUNT, "authorities", _OBJECTS),
        (PAYMENT, "account", _OBJECT),
        (PAYMENT, "purchaseOrder", _NUMBER),
        (changed(PAYMENT, {"spec.order.namespace": "shop"}), "order.name", _OBJECT),
        (changed(PAYMENT, {"spec.order.name": "shop"}), "order.namespace", _NAMESPACE),
        (AUTHORITY, "globalSign.credentialsSecretRef.name", _OBJECT),
        (SUSPEND, "target.account", _OBJECT),
        (SUSPEND, "target.purchaseOrder", _NUMBER),
        (changed(SUSPEND, {"spec.target": {}}), "target.authority", _OBJECT),
        (REINSTATE, "lifts", _OBJECTS),
        (TRANSFER, "transferTo.namespace", _NAMESPACE),
        (TRANSFER, "transferTo.name", _OBJECT),
        (TRANSFER_OF_A_NAMESPACE, "fromNamespace", _NAMESPACE),
    )
)

REFUSALS = (*NAMES, *ORDERS, *ACCOUNTS, *PAYMENTS, *AUTHORITIES, *CONTRACT_ACTIONS, *REFERENCES)

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.sentence)
def test_refused_with_words_that_help(case: Refusal, admission: Admission) -> None:
    message = admission.refusal_of(changed(case.manifest, case.bad))
    assert message is not None
    assert case.field in message
    assert case.words in message


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.sentence)
def test_the_nearest_good_neighbour_is_accepted(case: Refusal, admission: Admission) -> None:
    assert admission.refusal_of(changed(case.manifest, case.good)) is None


@pytest.mark.parametrize("manifest", GOOD, ids=lambda manifest: json.dumps(manifest["spec"])[:60])
def test_good_manifests_are_accepted(manifest: Manifest, admission: Admission) -> None:
    assert admission.refusal_of(manifest) is None


def test_an_order_says_only_what_it_must(admission: Admission) -> None:
    stored = admission.create(DV_ORDER)["spec"]
    assert stored == DV_ORDER["spec"] | {
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "renewal": "Tacit",
    }


def test_an_authority_is_asked_gently_by_default(admission: Admission) -> None:
    stored = admission.create(AUTHORITY)["spec"]
    assert stored["limits"] == {"requestsPerSecond": 10, "concurrency": 8, "clientReissuesPerMonth": 5}
    assert stored["globalSign"]["allowPrivilegeWithdrawn"] is False
