"""The plainest client of HVCA that can be: what it sends is what the test says, and nothing is repeated."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

JSON = "application/json;charset=utf-8"
BOUND = 30.0

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def key(kind: str) -> PrivateKey:
    """One private key of each kind for the whole run: P-256, P-384, P-521, RSA-2048, ..."""
    curves: dict[str, ec.EllipticCurve] = {
        "P-256": ec.SECP256R1(),
        "P-384": ec.SECP384R1(),
        "P-521": ec.SECP521R1(),
    }
    if kind in curves:
        return ec.generate_private_key(curves[kind])
    return rsa.generate_private_key(65_537, int(kind.removeprefix("RSA-")))


def pkcs8(kind: str = "P-256") -> str:
    return (
        key(kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode().strip()
    )


def pkcs10(kind: str = "P-256") -> str:
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key(kind), hashes.SHA256())
    )
    return request.public_bytes(Encoding.PEM).decode().strip()


class Client:
    def __init__(self, api: str, name: str, credentials: dict[str, str], directory: Path) -> None:
        directory.mkdir(parents=True)
        files = {item: directory / item for item in ("tls.crt", "tls.key", "ca.crt")}
        for item, file in files.items():
            file.write_text(credentials[item])
        self.api, self.name, self.credentials = api, name, credentials
        self.token = ""
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cert = str(files["tls.crt"]), str(files["tls.key"])
        self._session.verify = str(files["ca.crt"])

    def close(self) -> None:
        self._session.close()

    def send(
        self, method: str, path: str, body: object = None, *, raw: str | None = None, content_type: str = JSON
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = raw if raw is not None else json.dumps(body) if body is not None else None
        if data is not None:
            headers["Content-Type"] = content_type
        return self._session.request(method, self.api + path, data=data, headers=headers, timeout=BOUND)

    def get(self, path: str) -> Any:
        response = self.send("GET", path)
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"] == JSON
        return response.json()

    def log_in(self) -> None:
        response = self.send(
            "POST",
            "/login",
            {"api_key": self.credentials["api-key"], "api_secret": self.credentials["api-secret"]},
        )
        assert response.status_code == 200, response.text
        self.token = response.json()["access_token"]

    def order(self, *names: str, kind: str = "P-256", **members: object) -> requests.Response:
        """POST /certificates for `names`; a member that is None is left out."""
        body = {"public_key": pkcs10(kind), "san": {"dns_names": list(names)}, **members}
        return self.send(
            "POST", "/certificates", {name: value for name, value in body.items() if value is not None}
        )

    def buy(self, *names: str, kind: str = "P-256", **members: object) -> str:
        """As `order`; returns the serial of the certificate that must come of it."""
        response = self.order(*names, kind=kind, **members)
        assert response.status_code == 201, response.text
        return response.headers["Location"].rpartition("/")[2]

    def certificate(self, serial: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.get(f"/certificates/{serial}")["certificate"].encode())
