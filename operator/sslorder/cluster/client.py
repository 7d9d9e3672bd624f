"""The Kubernetes API as JSON: one HTTP session, plain dictionaries in and out.

Rules:
- Nothing is retried here, with one exception: a 401 loads the credentials again and asks once more.
- Every failure is a `KubeError`, whose message names the call and the object.
- A write whose answer was lost says so (`outcome_unknown`): read before writing again.

The official client finds the credentials: a kubeconfig (with exec plugins) or the pod's service account.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import load_incluster_config, load_kube_config
from yarl import URL

from sslorder.engine.ports import ClusterError, Stale

Json = dict[str, Any]

CONNECT_TIMEOUT = timedelta(seconds=10)
CHUNK = 500
MERGE_PATCH = "application/merge-patch+json"


class KubeError(ClusterError):
    """The API server did not do what was asked."""

    outcome_unknown = False

    def __init__(self, call: str, detail: str) -> None:
        super().__init__(f"{call}: {detail}")


class NotFound(KubeError):
    """There is no such object, or not the namespace to create it in."""


class NotServed(KubeError):
    """The API server does not know the kind: are the CRDs of this version installed?"""


class Conflict(KubeError, Stale):
    """The object is not the one meant: another resourceVersion or uid. Read it again."""


class AlreadyExists(KubeError):
    """An object of that name exists."""


class Forbidden(KubeError):
    """The credentials are not accepted, or may not do this: an administrator checks the operator's roles."""


class Invalid(KubeError):
    """The API server refuses what was sent; the same again will be refused again."""


class Unavailable(KubeError):
    """No usable answer: no connection, a time-out, 429, 5xx, or a list that expired while it was read.

    `outcome_unknown`: it was a write, and it may have been done all the same.
    """

    def __init__(
        self, call: str, detail: str, *, retry_after: timedelta | None = None, outcome_unknown: bool = False
    ) -> None:
        super().__init__(call, detail + (" (it may have been done all the same)" if outcome_unknown else ""))
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object, as the API server addresses it. The core group is the empty string."""

    group: str
    version: str
    plural: str

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part is not None]
        return "".join(f"/{quote(part, safe='')}" for part in parts)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the API server is, how it proves itself to us, and how we prove ourselves to it."""

    configuration: Configuration
    tls: ssl.SSLContext

    @classmethod
    async def load(cls, kubeconfig: Path | None, context: str | None) -> Self:
        """From `kubeconfig`; without one from $KUBECONFIG, the pod's service account or ~/.kube/config.

        :raises kubernetes.aio.config.ConfigException: there are none, or they are not complete.
        """
        configuration = Configuration()
        # as kubectl does: the CAs of some clusters lack what Python 3.13 asks of them
        configuration.disable_strict_ssl_verification = True
        in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
        if kubeconfig is None and context is None and in_pod:
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(
                config_file=None if kubeconfig is None else str(kubeconfig),
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
        return cls(configuration, RESTClientObject(configuration).ssl_context)

    async def headers(self) -> dict[str, str]:
        """Read anew for every request: a service account's token is replaced under the running process."""
        authorization = await self.configuration.get_api_key_with_prefix("BearerToken")
        return {"Authorization": authorization} if authorization else {}


class KubeClient:
    """One connection pool to one API server. `connect` makes one."""

    def __init__(
        self, session: aiohttp.ClientSession, kubeconfig: Path | None, context: str | None, first: Credentials
    ) -> None:
        self._session = session
        self._source = (kubeconfig, context)
        self._credentials = first
        self._loading = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        kubeconfig: Path | None = None,
        context: str | None = None,
        *,
        connections: int = 64,
        timeout: timedelta = timedelta(seconds=30),
    ) -> AsyncIterator[Self]:
        """A client with at most so many `connections`, of which no call takes longer than `timeout`.

        :raises kubernetes.aio.config.ConfigException: no usable credentials.
        """
        credentials = await Credentials.load(kubeconfig, context)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(
                total=timeout.total_seconds(), sock_connect=CONNECT_TIMEOUT.total_seconds()
            ),
            headers={"User-Agent": "sslorder", "Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            middlewares=(_send_writes_once,),
        ) as session:
            yield cls(session, kubeconfig, context, credentials)

    @property
    def credentials(self) -> Credentials:
        """Those in use, for others that speak with the same API server."""
        return self._credentials

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json | None:
        """The object, or None when there is none."""
        try:
            return await self._call("GET", resource, namespace, name)
        except NotFound:
            return None

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        chunk: int = CHUNK,
        resource_version: str | None = None,
        field_selector: str | None = None,
    ) -> tuple[list[Json], str]:
        """Every object, and the resourceVersion of the whole; read in pages of `chunk`, all of one moment."""
        query = {"limit": str(chunk)}
        if label_selector is not None:
            query["labelSelector"] = label_selector
        if field_selector is not None:
            query["fieldSelector"] = field_selector
        first = query if resource_version is None else query | {"resourceVersion": resource_version}
        page = await self._call("GET", resource, namespace, query=first)
        found: list[Json] = []
        while True:
            kind = {"apiVersion": page["apiVersion"], "kind": page["kind"].removesuffix("List")}
            found += (kind | item for item in page["items"])
            if not (following := page["metadata"].get("continue")):
                return found, page["metadata"]["resourceVersion"]
            page = await self._call("GET", resource, namespace, query=query | {"continue": following})

    async def create(self, resource: Resource, body: Json) -> Json:
        """The object as stored. Raises `AlreadyExists`, and `NotFound` when its namespace does not exist."""
        metadata = body["metadata"]
        return await self._call("POST", resource, metadata.get("namespace"), body=body)

    async def replace(self, resource: Resource, body: Json) -> Json:
        """The object as stored. Raises `Conflict` unless `metadata.resourceVersion` is the present one."""
        metadata = body["metadata"]
        return await self._call("PUT", resource, metadata.get("namespace"), metadata["name"], body=body)

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, body: Json, subresource: str | None = None
    ) -> Json:
        """The object after the JSON merge patch (RFC 7396).

        With `metadata.resourceVersion` or `metadata.uid` in the body it raises `Conflict` where they differ.
        """
        return await self._call(
            "PATCH", resource, namespace, name, subresource, body=body, content_type=MERGE_PATCH
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> bool:
        """False when it was gone already. Raises `Conflict` when uid or resourceVersion is another."""
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options: Json = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {key: value for key, value in wanted.items() if value is not None},
        }
        try:
            await self._call("DELETE", resource, namespace, name, body=options)
        except NotFound:
            return False
        return True

    async def _call(
        self,
        method: str,
        resource: Resource,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        # POST addresses the collection; the message names the object all the same
        told = name or (body or {}).get("metadata", {}).get("name")
        request = _Request(
            call=" ".join((method, str(resource), "/".join(filter(None, (namespace, told, subresource))))),
            method=method,
            path=resource.path(namespace, name, subresource),
            query=query,
            data=None if body is None else orjson.dumps(body),
            headers={} if body is None else {"Content-Type": content_type},
        )
        used = self._credentials
        status, headers, content = await self._send(request, used)
        if status == 401:
            status, headers, content = await self._send(request, await self._reload(used))
        try:
            answer = orjson.loads(content)
        except orjson.JSONDecodeError:
            answer = None
        if status < 300 and isinstance(answer, dict):
            return answer
        raise _failure(request, status, headers, answer, content)

    async def _reload(self, refused: Credentials) -> Credentials:
        """Credentials loaded after those that were refused; once, however many calls were."""
        async with self._loading:
            if self._credentials is refused:
                self._credentials = await Credentials.load(*self._source)
            return self._credentials

    async def _send(
        self, request: "_Request", credentials: Credentials
    ) -> tuple[int, Mapping[str, str], bytes]:
        api = credentials.configuration
        try:
            async with self._session.request(
                request.method,
                URL(api.host + request.path, encoded=True),
                params=request.query,
                data=request.data,
                headers=request.headers | await credentials.headers(),
                ssl=credentials.tls,
                server_hostname=api.tls_server_name,
                proxy=api.proxy,
                allow_redirects=False,
            ) as response:
                return response.status, response.headers, await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unavailable(request.call, f"no connection to {api.host}: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            detail = f"no answer from {api.host}: {str(error) or type(error).__name__}"
            raise Unavailable(request.call, detail, outcome_unknown=request.writes) from error


@dataclass(frozen=True, slots=True)
class _Request:
    call: str
    method: str
    path: str
    query: Mapping[str, str] | None
    data: bytes | None
    headers: dict[str, str]

    @property
    def writes(self) -> bool:
        return self.method != "GET"


class _AnswerLost(aiohttp.ClientError):
    """The connection ended between a write and its answer."""


async def _send_writes_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keeps aiohttp from sending PUT and DELETE again when a kept connection turns out to be closed."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise _AnswerLost(str(error)) from error


def _failure(
    request: _Request, status: int, headers: Mapping[str, str], answer: object, content: bytes
) -> KubeError:
    """The exception for an answer other than success: the API server's `Status`, or anything from a proxy.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
    """
    told = answer if isinstance(answer, dict) else {}
    details = told.get("details") or {}
    detail = f"{status} {told.get('message') or content[:200].decode(errors='replace').strip()}"
    fields = {cause.get("field") for cause in details.get("causes") or ()}
    if status in (401, 403):
        return Forbidden(request.call, detail)
    if status == 404:
        return (NotFound if "name" in details else NotServed)(request.call, detail)
    if told.get("reason") == "AlreadyExists":
        return AlreadyExists(request.call, detail)
    if status == 409 or (status == 422 and "metadata.resourceVersion" in fields):
        return Conflict(request.call, detail)
    if status in (410, 429) or status >= 500 or status < 300:
        seconds = headers.get("Retry-After", "")
        return Unavailable(
            request.call,
            detail,
            retry_after=timedelta(seconds=int(seconds)) if seconds.isdecimal() else None,
            outcome_unknown=request.writes and status not in (410, 429),
        )
    return Invalid(request.call, detail)
