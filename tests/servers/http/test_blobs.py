"""Files that were given to runs: who gets them, and how."""

import hashlib
from base64 import b64encode
from typing import Any

import pytest
from server_kit import ALICE, BOB, TOKENS, Server, endless, open_server

from trio_agent import File, RuntimeLimits, UserMessage
from trio_agent.servers import Guard, bearer_tokens
from trio_agent.testing import ScriptedModel

DATA = b"<script>alert(1)</script>" + bytes(range(256))
DIGEST = hashlib.sha256(DATA).hexdigest()
OWNED = Guard(authorize=bearer_tokens(TOKENS))


def saying(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [*parts]}]}


def image(**where: str) -> dict[str, Any]:
    return {"type": "file", "mediaType": "image/png", **where}


async def given(server: Server, headers: dict[str, str] | None = None) -> str:
    """Start a run with a file; return the run's id."""
    body = saying(image(data=b64encode(DATA).decode()))
    answer = await server.request("POST", "/runs", headers or {}, body)
    assert answer.status == 201
    return str(answer.json["id"])


class TestRoute:
    async def test_as_it_was_given(self) -> None:
        async with open_server(endless("x")) as server:
            run_id = await given(server)
            path = f"/runs/{run_id}/blobs/{DIGEST}"
            answer = await server.request("GET", path)
            assert (answer.status, answer.body) == (200, DATA)
            assert {
                "content-type": "application/octet-stream",
                "content-disposition": "attachment",
                "content-security-policy": "sandbox; default-src 'none'",
                "x-content-type-options": "nosniff",
                "cache-control": "private, max-age=31536000, immutable",
                "etag": f'"{DIGEST}"',
            }.items() <= answer.headers.items()
            head = await server.request("HEAD", path)
            assert (head.status, head.body) == (200, b"")
            assert head.headers["content-length"] == str(len(DATA))

    @pytest.mark.parametrize("known", ['"{}"', 'W/"{}"', '"x", "{}"'])
    async def test_who_has_it_gets_nothing(self, known: str) -> None:
        async with open_server(endless("x")) as server:
            path = f"/runs/{await given(server)}/blobs/{DIGEST}"
            headers = {"If-None-Match": known.format(DIGEST)}
            answer = await server.request("GET", path, headers)
            assert (answer.status, answer.body) == (304, b"")
            headers = {"If-None-Match": known.format("0" * 64)}
            assert (await server.request("GET", path, headers)).status == 200

    @pytest.mark.parametrize("digest", ["0" * 64, "x", DIGEST.upper(), DIGEST + "0", "..%2f.."])
    async def test_what_it_was_not_given(self, digest: str) -> None:
        async with open_server(endless("x")) as server:
            run_id = await given(server)
            answer = await server.request("GET", f"/runs/{run_id}/blobs/{digest}")
            assert (answer.status, answer.code) in [(404, "unknown-blob"), (404, "not-found")]
            answer = await server.request("GET", f"/runs/nope/blobs/{DIGEST}")
            assert (answer.status, answer.code) == (404, "unknown-run")

    async def test_only_its_owner(self) -> None:
        async with open_server(endless("x"), guard=OWNED) as server:
            run_id = await given(server, ALICE)
            path = f"/runs/{run_id}/blobs/{DIGEST}"
            assert (await server.request("GET", path)).status == 401
            answer = await server.request("GET", path, BOB)
            assert (answer.status, answer.code) == (404, "unknown-run")
            assert (await server.request("GET", path, ALICE)).body == DATA
            await (await server.runtime.find(run_id)).wait()
            assert (await server.request("DELETE", f"/runs/{run_id}", ALICE)).status == 204
            answer = await server.request("GET", path, ALICE)
            assert (answer.status, answer.code) == (404, "unknown-run")

    async def test_removed(self) -> None:
        async with open_server(endless("x")) as server:
            run_id = await given(server)
            await (await server.runtime.find(run_id)).wait()
            await server.runtime.delete(run_id)
            answer = await server.request("GET", f"/runs/{run_id}/blobs/{DIGEST}")
            assert (answer.status, answer.code) == (410, "cursor-expired")

    async def test_no_list_and_no_view_tells_of_it(self) -> None:
        async with open_server(endless("x")) as server:
            run_id = await given(server)
            for path in ("/runs", f"/runs/{run_id}", f"/runs/{run_id}/events"):
                assert DIGEST.encode() not in (await server.request("GET", path)).body


class TestAgain:
    async def test_another_run_refers_to_it(self) -> None:
        model = ScriptedModel(["one"], ["two"])
        async with open_server(model, guard=OWNED) as server:
            first = await given(server, ALICE)
            await (await server.runtime.find(first)).wait()
            body = saying({"type": "text", "text": "again"}, image(blob=f"{first}/{DIGEST}"))
            answer = await server.request("POST", "/runs", ALICE, body)
            assert answer.status == 201
            second = answer.json["id"]
            await (await server.runtime.find(second)).wait()
            [message] = model.requests[1].messages
            assert isinstance(message, UserMessage)
            assert message.content[1] == File("image/png", data=DATA)
            # It has its own.
            path = f"/runs/{second}/blobs/{DIGEST}"
            assert (await server.request("GET", path, ALICE)).body == DATA

    async def test_of_another_owner_it_is_as_if_there_were_none(self) -> None:
        async with open_server(endless("x"), guard=OWNED) as server:
            run_id = await given(server, ALICE)
            said = []
            for blob in (f"{run_id}/{DIGEST}", f"{run_id}/{'0' * 64}", f"{'0' * 32}/{DIGEST}"):
                answer = await server.request("POST", "/runs", BOB, saying(image(blob=blob)))
                assert (answer.status, answer.code) == (400, "bad-request")
                said.append(answer.json["error"]["message"].replace(blob, "BLOB"))
            assert len(set(said)) == 1

    async def test_too_many_bytes(self) -> None:
        limits = RuntimeLimits(max_blob_bytes=len(DATA))
        async with open_server(endless("x"), limits=limits) as server:
            run_id = await given(server)
            part = image(data=b64encode(b"x").decode())
            for more in (image(blob=f"{run_id}/{DIGEST}"), image(data=b64encode(DATA).decode())):
                answer = await server.request("POST", "/runs", body=saying(part, more))
                assert (answer.status, answer.code) == (413, "too-large")
                assert str(len(DATA)) in answer.json["error"]["message"]
