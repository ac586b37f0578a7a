"""Health: for everybody, under any name, from memory, and confidential to strangers."""

import pytest
import trio
import trio.testing
from server_kit import ALICE, TOKENS, StepModel, open_server
from starlette.requests import HTTPConnection

from trio_agent import MemoryStore, StoreUnavailable
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.servers._shared.problem import STORE_AWAY

SECRET = "agent 'default': connect: 192.0.2.1 refuses"


class Away(MemoryStore):
    async def check(self) -> None:
        raise StoreUnavailable("/srv/runs.db: database is locked")


async def test_ready() -> None:
    problem: str | None = SECRET
    async with open_server(StepModel(), not_ready=lambda: problem) as server:
        answer = await server.request("GET", "/health/ready")
        assert (answer.status, answer.code) == (503, "not-ready")
        assert (await server.request("GET", "/health/live")).json == {"status": "ok"}
        problem = None
        answer = await server.request("GET", "/health/ready")
        assert (answer.status, answer.json) == (200, {"status": "ok"})
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("10.0.3.7:8000", {"User-Agent": "kube-probe/1.31"}),
        ("evil.example.com", {}),
        ("[", {}),
        ("localhost", {"Origin": "https://status.example.com", "Sec-Fetch-Site": "cross-site"}),
    ],
)
async def test_anybody_may_ask_under_any_name(
    path: str, host: str, headers: dict[str, str]
) -> None:
    async def authorize(request: HTTPConnection) -> str | None:
        raise AssertionError("the health of the one who knows is not ours")

    async with open_server(StepModel(), guard=Guard(authorize=authorize)) as server:
        answer = await server.request("GET", path, headers, host=host)
        assert (answer.status, answer.json) == (200, {"status": "ok"})
        async with await server.connect() as client:
            await client.send("HEAD", path, headers, host=host)
            assert (await client.receive_head()).status == 200


class TestReasons:
    GUARD = Guard(authorize=bearer_tokens(TOKENS))

    @pytest.mark.parametrize(
        ("guard", "host", "headers", "told"),
        [
            (None, None, {}, True),
            (None, "10.0.3.7", {}, False),
            (None, None, {"Origin": "https://evil.example.com"}, False),
            (GUARD, None, {}, False),
            (GUARD, None, {"Authorization": "Bearer wrong"}, False),
            (GUARD, None, ALICE, True),
        ],
    )
    async def test_who_is_told(
        self, guard: Guard | None, host: str | None, headers: dict[str, str], told: bool
    ) -> None:
        async with open_server(StepModel(), guard=guard, not_ready=lambda: SECRET) as server:
            answer = await server.request("GET", "/health/ready", headers, host=host)
            assert (answer.status, answer.code) == (503, "not-ready")
            message = SECRET if told else "a model can't be reached"
            assert answer.json["error"]["message"] == message

    async def test_hook_that_fails_tells_nothing(self) -> None:
        async def authorize(request: HTTPConnection) -> str | None:
            raise OSError("the directory is away")

        guard = Guard(authorize=authorize)
        async with open_server(StepModel(), guard=guard, not_ready=lambda: SECRET) as server:
            answer = await server.request("GET", "/health/ready")
            assert (answer.status, answer.code) == (503, "not-ready")
            assert SECRET.encode() not in answer.body

    @pytest.mark.parametrize(
        ("host", "message"),
        [("10.0.3.7", STORE_AWAY), (None, "/srv/runs.db: database is locked")],
    )
    async def test_store(self, host: str | None, message: str, nursery: trio.Nursery) -> None:
        async with open_server(StepModel(), store=Away()) as server:
            assert (await server.request("GET", "/health/ready")).status == 200
            nursery.start_soon(server.service.watch_store)
            await trio.testing.wait_all_tasks_blocked()
            answer = await server.request("GET", "/health/ready", host=host)
            assert (answer.status, answer.code) == (503, "store-unavailable")
            assert answer.json["error"]["message"] == message
            assert (await server.request("GET", "/health/live")).status == 200


async def test_draining(nursery: trio.Nursery) -> None:
    model = StepModel()
    async with open_server(model) as server:
        await server.start()
        nursery.start_soon(server.runtime.drain, 1000)
        await trio.testing.wait_all_tasks_blocked()
        answer = await server.request("GET", "/health/ready")
        assert (answer.status, answer.code) == (503, "draining")
        assert (await server.request("GET", "/health/live")).status == 200
        model.finish()
