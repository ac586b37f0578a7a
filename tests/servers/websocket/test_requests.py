"""What a client says: messages that are requests, and messages that are none."""

import json
from typing import Any

import pytest
from server_kit import endless
from websocket_kit import open_websocket_server

from trio_agent.servers._shared.messages import Said
from trio_agent.servers.websocket._requests import (
    MAX_MESSAGE,
    AnswerRequest,
    BadRequest,
    CancelRequest,
    Request,
    SayRequest,
    StartRequest,
    SubscribeRequest,
    UnsubscribeRequest,
    read_request,
)


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        ({"prompt": "hi"}, StartRequest(prompt="hi")),
        ({"type": "start", "prompt": "hi"}, StartRequest(prompt="hi")),
        (
            {
                "type": "start",
                "requestId": "a",
                "messages": [{"role": "user", "content": "hi"}],
                "agent": "two",
                "onDisconnect": 5,
                "metadata": {"a": [1]},
                "key": "k",
                "follow": False,
            },
            StartRequest(
                messages=(Said("user", "hi"),),
                agent="two",
                on_disconnect=5,
                metadata={"a": [1]},
                request_id="a",
                key="k",
                follow=False,
            ),
        ),
        ({"type": "subscribe", "runId": "r"}, SubscribeRequest(type="subscribe", run_id="r")),
        (
            {"type": "subscribe", "runId": "r", "after": "r.e.1", "requestId": 1},
            SubscribeRequest(type="subscribe", run_id="r", request_id=1, after="r.e.1"),
        ),
        (
            {"type": "subscribe", "runId": "r", "after": 0},
            SubscribeRequest(type="subscribe", run_id="r", after=0),
        ),
        (
            {"type": "unsubscribe", "runId": "r", "requestId": ""},
            UnsubscribeRequest(type="unsubscribe", run_id="r", request_id=""),
        ),
        (
            {"type": "cancel", "runId": "r", "requestId": -(2**63)},
            CancelRequest(type="cancel", run_id="r", request_id=-(2**63)),
        ),
        (
            {"type": "answer", "runId": "r", "callId": "c", "approve": True},
            AnswerRequest(type="answer", run_id="r", call_id="c", approve=True),
        ),
        (
            {"type": "answer", "runId": "r", "callId": "c", "output": None, "requestId": 1},
            AnswerRequest(type="answer", run_id="r", call_id="c", output=None, request_id=1),
        ),
        (
            {"type": "say", "runId": "r", "content": "hi", "key": "k"},
            SayRequest(type="say", run_id="r", content="hi", key="k"),
        ),
    ],
    ids=repr,
)
def test_requests(message: dict[str, Any], request_: Request) -> None:
    found = read_request(json.dumps(message))
    assert found == request_
    assert type(found) is type(request_)


@pytest.mark.parametrize(
    ("message", "code", "request_id"),
    [
        (b'{"prompt": "hi"}', "bad-request", None),
        ("", "bad-request", None),
        ("[]", "bad-request", None),
        ("[" * 100_000, "bad-request", None),
        ('{"metadata": ' + "[" * 100_000, "bad-request", None),
        ('{"prompt": "\\ud800", "requestId": 1}', "bad-request", None),
        ('{"prompt": 1, "requestId": 0}', "bad-request", 0),
        ('{"prompt": "x", "surprise": 1, "requestId": "a"}', "bad-request", "a"),
        ('{"prompt": "x", "requestId": 1.5}', "bad-request", None),
        ('{"prompt": "x", "requestId": [1]}', "bad-request", None),
        (json.dumps({"requestId": "r" * 129, "prompt": "x"}), "bad-request", None),
        ('{"type": "reboot", "requestId": 2}', "unknown-type", 2),
        ('{"type": "Start", "requestId": 2}', "unknown-type", 2),
        ('{"type": null, "requestId": 2}', "bad-request", None),
        ('{"type": "cancel", "requestId": 2}', "bad-request", 2),
        ('{"type": "answer", "runId": "r", "requestId": 2}', "bad-request", 2),
        ('{"type": "answer", "callId": "c", "requestId": 2}', "bad-request", 2),
        ('{"type": "say", "runId": "r", "requestId": 2}', "bad-request", 2),
        ('{"type": "say", "runId": "r", "content": "x", "by": "me"}', "bad-request", None),
        ('{"type": "cancel", "runId": "r", "after": 0, "requestId": 2}', "bad-request", 2),
        ('{"type": "subscribe", "runId": "r", "after": 1, "requestId": 2}', "bad-request", 2),
        ('{"type": "subscribe", "runId": "r", "after": null}', "bad-request", None),
        ("x" * (MAX_MESSAGE + 1), "too-large", None),
        ("é" * (MAX_MESSAGE // 2 + 1), "too-large", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_messages_that_are_none(
    message: str | bytes, code: str, request_id: str | int | None
) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request(message)
    assert (caught.value.problem.code, caught.value.request_id) == (code, request_id)
    assert caught.value.problem.message


def test_the_types_that_there_are_are_told() -> None:
    with pytest.raises(BadRequest) as caught:
        read_request('{"type": "?"}')
    for name in ("start", "subscribe", "unsubscribe", "cancel", "answer", "say"):
        assert name in caught.value.problem.message


async def test_largest_message() -> None:
    async with open_websocket_server(endless("a")) as kit, await kit.open() as socket:
        message = {"prompt": "", "requestId": 1}
        message["prompt"] = "x" * (MAX_MESSAGE - len(json.dumps(message)))
        assert (await socket.ask(message))["type"] == "started"
