"""The client: what it does with the real API server, and what it makes of a server that misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from sslorder.cluster.client import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    Json,
    KubeClient,
    KubeError,
    NotFound,
    NotServed,
    Resource,
    Unavailable,
)
from tests.controlplane import ControlPlane

NAMESPACE = "default"
CONFIG_MAPS = Resource("", "v1", "configmaps")
NAMESPACES = Resource("", "v1", "namespaces")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
UNKNOWN_KIND = Resource("ssl.example.com", "v1", "sslthings")


def manifest(name: str, *, labels: dict[str, str] | None = None, **content: Any) -> Json:
    return {"metadata": {"namespace": NAMESPACE, "name": name, "labels": labels or {}}, **content}


def lease(name: str, resource_version: str | None = None) -> Json:
    body = manifest(name, spec={"holderIdentity": "someone"})
    if resource_version is not None:
        body["metadata"]["resourceVersion"] = resource_version
    return body


@pytest.mark.cluster
class TestRealServer:
    """What the API server itself says."""

    def test_an_object_from_creation_to_deletion(self, plane: ControlPlane) -> None:
        async def story(client: KubeClient) -> None:
            created = await client.create(CONFIG_MAPS, manifest("whole-life", data={"said": "created"}))
            assert await client.get(CONFIG_MAPS, NAMESPACE, "whole-life") == created

            replaced = await client.replace(CONFIG_MAPS, created | {"data": {"said": "replaced"}})
            assert replaced["data"] == {"said": "replaced"}

            patched = await client.patch(
                CONFIG_MAPS,
                NAMESPACE,
                "whole-life",
                {
                    "metadata": {"resourceVersion": replaced["metadata"]["resourceVersion"]},
                    "data": {"said": None, "added": "by patch"},
                },
            )
            assert patched["data"] == {"added": "by patch"}

            met = {
                "uid": patched["metadata"]["uid"],
                "resource_version": patched["metadata"]["resourceVersion"],
            }
            assert await client.delete(CONFIG_MAPS, NAMESPACE, "whole-life", **met) is True
            assert await client.get(CONFIG_MAPS, NAMESPACE, "whole-life") is None
            assert await client.delete(CONFIG_MAPS, NAMESPACE, "whole-life", **met) is False

        within(plane, story)

    def test_a_status_is_patched_through_its_subresource(self, plane: ControlPlane) -> None:
        async def story(client: KubeClient) -> None:
            condition = {
                "type": "Checked",
                "status": "True",
                "reason": "Test",
                "message": "by hand",
                "lastTransitionTime": "2026-03-01T00:00:00Z",
            }
            await client.create(NAMESPACES, {"metadata": {"name": "with-status"}})
            patched = await client.patch(
                NAMESPACES,
                None,
                "with-status",
                {"status": {"conditions": [condition]}},
                subresource="status",
            )
            assert patched["status"]["conditions"] == [condition]
            assert await client.delete(NAMESPACES, None, "with-status")

        within(plane, story)

    def test_a_list_is_read_in_pages_and_its_items_say_what_they_are(self, plane: ControlPlane) -> None:
        async def story(client: KubeClient) -> None:
            await client.create(CONFIG_MAPS, manifest("not-labelled"))
            for number in range(5):
                await client.create(CONFIG_MAPS, manifest(f"page-{number}", labels={"listed": "yes"}))

            items, version = await client.list(CONFIG_MAPS, NAMESPACE, "listed=yes", chunk=2)

            assert [item["metadata"]["name"] for item in items] == [f"page-{number}" for number in range(5)]
            assert {(item["apiVersion"], item["kind"]) for item in items} == {("v1", "ConfigMap")}
            cached, _ = await client.list(CONFIG_MAPS, label_selector="listed=yes", resource_version=version)
            assert cached == items

        within(plane, story)

    @pytest.mark.parametrize(
        ("call", "error", "named"),
        [
            pytest.param(
                lambda client: client.create(LEASES, lease("present")),
                AlreadyExists,
                "POST leases.coordination.k8s.io default/present: 409",
                id="created twice",
            ),
            pytest.param(
                lambda client: client.replace(LEASES, lease("present", "1")),
                Conflict,
                "PUT leases.coordination.k8s.io default/present: 409",
                id="replaced at an old resourceVersion",
            ),
            pytest.param(
                lambda client: client.replace(LEASES, lease("present")),
                Conflict,
                "metadata.resourceVersion",
                id="replaced without a resourceVersion",
            ),
            pytest.param(
                lambda client: client.replace(CONFIG_MAPS, manifest("absent")),
                NotFound,
                "PUT configmaps default/absent: 404",
                id="replaced after it was deleted",
            ),
            pytest.param(
                lambda client: client.patch(
                    LEASES, NAMESPACE, "present", {"metadata": {"resourceVersion": "1"}}
                ),
                Conflict,
                "PATCH leases.coordination.k8s.io default/present: 409",
                id="patched at an old resourceVersion",
            ),
            pytest.param(
                lambda client: client.patch(CONFIG_MAPS, NAMESPACE, "absent", {}),
                NotFound,
                "default/absent: 404",
                id="patched after it was deleted",
            ),
            pytest.param(
                lambda client: client.delete(LEASES, NAMESPACE, "present", uid="of-another"),
                Conflict,
                "DELETE leases.coordination.k8s.io default/present: 409",
                id="deleted, but it is another object by now",
            ),
            pytest.param(
                lambda client: client.delete(LEASES, NAMESPACE, "present", resource_version="1"),
                Conflict,
                "DELETE leases.coordination.k8s.io default/present: 409",
                id="deleted at an old resourceVersion",
            ),
            pytest.param(
                lambda client: client.create(
                    CONFIG_MAPS, {"metadata": {"namespace": "nowhere", "name": "any"}}
                ),
                NotFound,
                'POST configmaps nowhere/any: 404 namespaces "nowhere" not found',
                id="created in a namespace that does not exist",
            ),
            pytest.param(
                lambda client: client.get(UNKNOWN_KIND, NAMESPACE, "any"),
                NotServed,
                "GET sslthings.ssl.example.com default/any: 404",
                id="a kind that is not installed is not an object that is absent",
            ),
            pytest.param(
                lambda client: client.delete(UNKNOWN_KIND, NAMESPACE, "any"),
                NotServed,
                "DELETE sslthings.ssl.example.com",
                id="nor one that is gone",
            ),
            pytest.param(
                lambda client: client.patch(LEASES, NAMESPACE, "present", {}, subresource="status"),
                NotServed,
                "default/present/status: 404",
                id="a subresource that the kind does not have",
            ),
            pytest.param(
                lambda client: client.create(CONFIG_MAPS, manifest("No Capitals")),
                Invalid,
                "default/No Capitals: 422",
                id="a name that Kubernetes does not allow",
            ),
            pytest.param(
                lambda client: client.create(CONFIG_MAPS, manifest("odd", data="text")),
                Invalid,
                "default/odd: 400",
                id="a field of the wrong type",
            ),
        ],
    )
    def test_a_refusal_has_a_class_and_names_the_object(
        self,
        plane: ControlPlane,
        call: Callable[[KubeClient], Awaitable[Any]],
        error: type[KubeError],
        named: str,
    ) -> None:
        async def story(client: KubeClient) -> None:
            if await client.get(LEASES, NAMESPACE, "present") is None:
                await client.create(LEASES, lease("present"))
            with pytest.raises(KubeError) as raised:
                await call(client)
            assert type(raised.value) is error
            assert named in str(raised.value)
            assert not raised.value.outcome_unknown

        within(plane, story)

    def test_what_the_role_does_not_grant_is_forbidden(self, plane: ControlPlane) -> None:
        async def story() -> None:
            async with KubeClient.connect(plane.user("nobody-in-particular")) as client:
                with pytest.raises(Forbidden, match="nobody-in-particular"):
                    await client.get(CONFIG_MAPS, NAMESPACE, "any")

        asyncio.run(story())

    def test_a_service_account_s_token_is_enough(self, plane: ControlPlane) -> None:
        async def story() -> None:
            async with KubeClient.connect(plane.service_account(NAMESPACE, "default")) as client:
                with pytest.raises(Forbidden, match="system:serviceaccount:default:default"):
                    await client.list(CONFIG_MAPS)

        asyncio.run(story())


def within(plane: ControlPlane, story: Callable[[KubeClient], Awaitable[None]]) -> None:
    async def connected() -> None:
        async with KubeClient.connect(plane.kubeconfig) as client:
            await story(client)

    asyncio.run(connected())


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Misbehaving:
    """A server in the place of the API server. It counts requests and keeps their tokens."""

    def __init__(self, directory: Path, handler: Handler) -> None:
        self.seen: list[str] = []
        self.tokens: list[str | None] = []
        self.token_file = directory / "token"
        self.kubeconfig = directory / "kubeconfig"
        self._handler = handler

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path_qs}")
        self.tokens.append(request.headers.get("Authorization"))
        return await self._handler(request)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        self.write_kubeconfig(f"http://{host}:{port}")
        try:
            yield
        finally:
            await runner.cleanup()

    def write_kubeconfig(self, server: str) -> None:
        self.token_file.write_text("first")
        user = {"tokenFile": str(self.token_file)}
        config = {
            "clusters": [{"name": "it", "cluster": {"server": server}}],
            "users": [{"name": "me", "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "it", "user": "me"}}],
            "current-context": "here",
        }
        self.kubeconfig.write_text(json.dumps(config))


def answering(status: int, body: str = "", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status,
            text=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return handler


async def hanging_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def never_answering(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


READ, WRITE = "GET", "PUT"
CALLS: dict[str, Callable[[KubeClient], Awaitable[Any]]] = {
    READ: lambda client: client.get(CONFIG_MAPS, NAMESPACE, "it"),
    WRITE: lambda client: client.replace(CONFIG_MAPS, manifest("it")),
    "DELETE": lambda client: client.delete(CONFIG_MAPS, NAMESPACE, "it"),
}


@pytest.mark.parametrize(
    ("handler", "method", "outcome_unknown", "retry_after", "says"),
    [
        pytest.param(answering(500), READ, False, None, "500", id="a read may fail"),
        pytest.param(answering(500), WRITE, True, None, "500", id="a write that failed inside may be done"),
        pytest.param(
            answering(504), WRITE, True, None, "504", id="a write that a gateway gave up on may be done"
        ),
        pytest.param(
            answering(429, Retry_After="7"), WRITE, False, 7, "429", id="one of too many was not even begun"
        ),
        pytest.param(
            answering(503, Retry_After="soon"), READ, False, None, "503", id="Retry-After that is no number"
        ),
        pytest.param(answering(410), READ, False, None, "410", id="a list that expired between two pages"),
        pytest.param(
            answering(200, "<html>"), WRITE, True, None, "<html>", id="a page of some proxy instead of JSON"
        ),
        pytest.param(hanging_up, READ, False, None, "no answer", id="hung up on a read"),
        pytest.param(hanging_up, WRITE, True, None, "no answer", id="hung up on a write: it may be done"),
        pytest.param(never_answering, WRITE, True, None, "TimeoutError", id="no answer to a write in time"),
    ],
)
def test_no_usable_answer_is_unavailable_and_a_write_is_sent_once(
    tmp_path: Path, handler: Handler, method: str, outcome_unknown: bool, retry_after: int | None, says: str
) -> None:
    server = Misbehaving(tmp_path, handler)

    async def story() -> None:
        async with (
            server.serve(),
            KubeClient.connect(server.kubeconfig, timeout=timedelta(seconds=0.5)) as client,
        ):
            with pytest.raises(Unavailable, match=f"{method} configmaps default/it: .*{says}") as raised:
                await CALLS[method](client)
        assert raised.value.outcome_unknown is outcome_unknown
        assert raised.value.retry_after == (timedelta(seconds=retry_after) if retry_after else None)

    asyncio.run(story())
    if method == WRITE:
        assert server.seen == ["PUT /api/v1/namespaces/default/configmaps/it"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_write_is_not_sent_again_when_the_kept_connection_is_gone(tmp_path: Path, method: str) -> None:
    async def welcoming_then_hanging_up(request: web.Request) -> web.StreamResponse:
        return await (answering(200, "{}") if request.method == READ else hanging_up)(request)

    server = Misbehaving(tmp_path, welcoming_then_hanging_up)

    async def story() -> None:
        async with server.serve(), KubeClient.connect(server.kubeconfig) as client:
            await client.get(CONFIG_MAPS, NAMESPACE, "it")
            with pytest.raises(Unavailable) as raised:
                await CALLS[method](client)
            assert raised.value.outcome_unknown

    asyncio.run(story())
    assert [line.split()[0] for line in server.seen] == [READ, method]


def test_a_write_that_met_no_server_is_not_done(tmp_path: Path) -> None:
    server = Misbehaving(tmp_path, answering(200, "{}"))

    async def story() -> None:
        async with server.serve():
            pass
        async with KubeClient.connect(server.kubeconfig) as client:
            with pytest.raises(Unavailable, match="no connection to http://") as raised:
                await client.replace(CONFIG_MAPS, manifest("it"))
            assert not raised.value.outcome_unknown

    asyncio.run(story())


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    server = Misbehaving(tmp_path, answering(302, Location="http://elsewhere.example/"))

    async def story() -> None:
        async with server.serve(), KubeClient.connect(server.kubeconfig) as client:
            with pytest.raises(Invalid, match="302"):
                await client.get(CONFIG_MAPS, NAMESPACE, "it")

    asyncio.run(story())


def test_proxies_and_netrc_of_the_environment_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = Misbehaving(tmp_path, answering(200, "{}"))

    async def story() -> None:
        async with server.serve(), KubeClient.connect(server.kubeconfig) as client:
            await client.get(CONFIG_MAPS, NAMESPACE, "it")

    asyncio.run(story())
    assert server.tokens == ["Bearer first"]


def test_credentials_that_are_refused_are_loaded_again_once_for_all_calls(tmp_path: Path) -> None:
    async def accepting_the_second(request: web.Request) -> web.StreamResponse:
        accepted = request.headers["Authorization"] == "Bearer second"
        return await answering(200 if accepted else 401, "{}")(request)

    server = Misbehaving(tmp_path, accepting_the_second)

    async def story() -> None:
        async with server.serve(), KubeClient.connect(server.kubeconfig) as client:
            server.token_file.write_text("second")
            await asyncio.gather(*(client.get(CONFIG_MAPS, NAMESPACE, f"{number}") for number in range(5)))
            await client.get(CONFIG_MAPS, NAMESPACE, "later")

    asyncio.run(story())
    assert server.tokens.count("Bearer first") == 5
    assert server.tokens.count("Bearer second") == 6


def test_credentials_that_are_refused_twice_are_not_tried_a_third_time(tmp_path: Path) -> None:
    server = Misbehaving(tmp_path, answering(401, "{}"))

    async def story() -> None:
        async with server.serve(), KubeClient.connect(server.kubeconfig) as client:
            with pytest.raises(Forbidden, match="401"):
                await client.replace(CONFIG_MAPS, manifest("it"))

    asyncio.run(story())
    assert len(server.seen) == 2


def test_no_more_connections_are_open_than_allowed(tmp_path: Path) -> None:
    open_now, most = 0, 0

    async def counting(request: web.Request) -> web.StreamResponse:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.005)
        open_now -= 1
        return await answering(200, "{}")(request)

    server = Misbehaving(tmp_path, counting)

    async def story() -> None:
        async with server.serve(), KubeClient.connect(server.kubeconfig, connections=3) as client:
            await asyncio.gather(*(client.get(CONFIG_MAPS, NAMESPACE, f"{number}") for number in range(20)))

    asyncio.run(story())
    assert most == 3
