"""What a request is called, by which it is found again in another run."""

import pytest

from tests.faults.gate import of_authority, of_kubernetes

API = "/apis/ssl.synchrone.be/v1"
DOSSIER = f"/api/v1/namespaces/system/secrets/sslorder-{'0a' * 20}"


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", f"{API}/sslpayments", "list sslpayments"),
        ("GET", f"{API}/namespaces/shop/sslcertificateorders/www", "get sslcertificateorders"),
        (
            "PATCH",
            f"{API}/namespaces/shop/sslcertificateorders/www/status",
            "patch sslcertificateorders/status",
        ),
        ("PATCH", f"{API}/sslpayments/one/status", "patch sslpayments/status"),
        ("POST", "/api/v1/namespaces/shop/secrets", "create secrets"),
        ("PUT", "/api/v1/namespaces/shop/secrets/tls", "replace secrets"),
        ("POST", "/api/v1/namespaces/system/secrets", "create dossier"),
        ("PATCH", DOSSIER, "patch dossier"),
        ("GET", "/api/v1/namespaces/system/secrets/globalsign", "get credentials"),
        ("GET", "/api/v1/namespaces", "list namespaces"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/system/leases/sslorder", None),
        ("POST", "/api/v1/namespaces/shop/events", None),
        ("GET", "/version", None),
    ],
)
def test_a_request_to_the_api_server_is_called(method: str, path: str, name: str | None) -> None:
    assert of_kubernetes(method, path, "system") == name


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/v2/certificates", "HVCA POST /certificates"),
        ("GET", "/v2/certificates/0A1B2C", "HVCA GET /certificates/…"),
        ("POST", "/v2/claims/domains/shop.example", "HVCA POST /claims/domains/…"),
        ("POST", "/v2/claims/domains/0A1B/dns", "HVCA POST /claims/domains/…/dns"),
        ("GET", "/v2/claims/domains", "HVCA GET /claims/domains"),
    ],
)
def test_a_request_to_the_authority_is_called(method: str, path: str, name: str) -> None:
    assert of_authority(method, path) == name
