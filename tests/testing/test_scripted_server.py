"""The scripted server, whatever the provider: what it serves, refuses and ends."""

from functools import partial

import httpx
import pytest
import trio

from trio_agent.testing._scripted_server import (
    Answer,
    RecordedRequest,
    Script,
    ScriptedServer,
    Status,
    end,
    open_script,
    serve_script,
    status,
)


def refuse(code: int, message: str) -> Status:
    return status(code, body={"said": message})


def respond(request: RecordedRequest) -> Answer | None:
    return None if request.path == "/base/ask" else [refuse(404, request.path)]


async def serve(
    script: Script,
    *,
    port: int = 0,
    task_status: trio.TaskStatus[ScriptedServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    serving = partial(serve_script, path="/base", last_words=b"bye", refuse=refuse)
    await serving(script, respond, port=port, task_status=task_status)


@pytest.mark.parametrize(
    ("path", "code", "body"),
    [
        ("ask", 200, "hellobye"),
        ("ask", 200, "hello"),
        ("ask", 200, "made of POST"),
        ("ask", 503, "busy"),
        ("ask", 400, '{"said": "the script has no more answers"}'),
        ("other", 404, '{"said": "/base/other"}'),
    ],
    ids=["stream", "an end of its own", "made", "status", "over", "responded"],
)
async def test_answers(path: str, code: int, body: str) -> None:
    answers = {
        "hellobye": [b"hello"],
        "hello": [b"hello", end()],
        "made of POST": lambda request: [b"made of ", request.method.encode(), end()],
        "busy": [status(503, body=b"busy")],
    }
    script = [answers[body]] if body in answers else []
    async with open_script(serve, script) as server, httpx.AsyncClient() as client:
        response = await client.post(f"{server.base_url}/{path}", json={"a": 1})
        assert (response.status_code, response.text) == (code, body)
        [request] = server.requests
        assert (request.method, request.body) == ("POST", {"a": 1})
        assert server.connections == 1
