"""Runs as clients see them."""

import json
from typing import Any, get_args

import msgspec
import pytest
import trio
import trio.testing
from server_kit import StepModel, open_server

from trio_agent import (
    ErrorDetail,
    FinishReason,
    ModelError,
    RunError,
    RunFinish,
    RunSummary,
    Usage,
)
from trio_agent.abc import Entry, RunInfo, RunRecord
from trio_agent.servers._shared.open_calls import OpenCall
from trio_agent.servers.http._views import view_of, whole_view_of


def info(**changes: Any) -> RunInfo:
    record = RunRecord("r", "e", "weather", 1_700_000_000_000, **changes.pop("record", {}))
    values: dict[str, Any] = {"tail": 3, "size": 9, "last": None, "fence": 1, "leased": True}
    return RunInfo(record, **{**values, "cancel_reason": None, "viewers": 0, **changes})


def shown(**changes: Any) -> Any:
    """The JSON of a view."""
    return json.loads(msgspec.json.encode(view_of(info(**changes), "")))


def test_all_of_it() -> None:
    assert shown(viewers=2, record={"metadata": {"a": [1]}}) == {
        "id": "r",
        "agent": "weather",
        "status": "active",
        "createdAt": 1_700_000_000_000,
        "cursor": "r.e.3",
        "viewers": 2,
        "events": "/runs/r/events",
        "metadata": {"a": [1]},
    }


def test_what_is_empty_or_private_is_left_out() -> None:
    view = shown(record={"owner": "alice", "idempotency_key": "k", "private": b'{"secret": 1}'})
    assert not {"metadata", "error", "thread", "follows"} & set(view)
    assert not any(word in json.dumps(view) for word in ("alice", '"k"', "secret"))


def test_the_thread_of_a_run() -> None:
    view = shown(record={"thread": "tea/é", "follows": "q"})
    assert (view["thread"], view["follows"]) == ("tea/é", "q")


@pytest.mark.parametrize("reason", [*get_args(get_args(FinishReason)[0]), "of-tomorrow"])
def test_a_finished_run_has_its_reason(reason: FinishReason) -> None:
    finish = RunFinish(at=1, run=RunSummary("r", "", 1, reason, Usage()))
    view = shown(last=Entry.of(3, finish))
    assert view["status"] == reason
    assert "error" not in view


def test_a_run_that_sleeps_waits() -> None:
    assert shown(parked=True, leased=False)["status"] == "waiting"
    calls = [OpenCall("c1", "pay", {"amount": 7}, "approval", None)]
    view = json.loads(msgspec.json.encode(whole_view_of(info(parked=True), "", calls)))
    assert view["waiting"] == [
        {
            "callId": "c1",
            "tool": "pay",
            "input": {"amount": 7},
            "kind": "approval",
            "deadline": None,
        }
    ]
    assert "waiting" not in whole()


def test_a_failed_run_has_its_error() -> None:
    view = shown(last=Entry.of(3, RunError(at=1, error=ErrorDetail("auth", "no"))))
    assert (view["status"], view["error"]) == ("error", {"code": "auth", "message": "no"})


def whole(**changes: Any) -> Any:
    """The JSON of a view of one run."""
    return json.loads(msgspec.json.encode(whole_view_of(info(**changes), "")))


USAGE = {
    "inputTokens": 1,
    "outputTokens": 2,
    "totalTokens": 3,
    "cachedInputTokens": 0,
    "reasoningTokens": 0,
}


@pytest.mark.parametrize(
    ("more", "shown_too"),
    [
        ({}, {}),
        ({"own_usage": Usage(1, 2, 3)}, {"ownUsage": USAGE}),
        ({"output": {"a": 1}}, {"output": {"a": 1}}),
        ({"output": None}, {"output": None}),
        ({"reason": "a client left"}, {"reason": "a client left"}),
    ],
)
def test_what_came_of_a_finished_run(more: dict[str, Any], shown_too: dict[str, Any]) -> None:
    finish = RunFinish(at=1, run=RunSummary("r", "", 2, "stop", Usage(1, 2, 3), **more))
    last = Entry.of(3, finish)
    came = {"text": "", "steps": 2, "finishReason": "stop", "usage": USAGE, **shown_too}
    assert whole(last=last) == {**shown(last=last), **came}
    assert not came.keys() & shown(last=last).keys()  # not in lists


def test_what_came_of_a_failed_run() -> None:
    error = RunError(at=1, error=ErrorDetail("auth", "no"), usage=Usage(1, 2, 3))
    last = Entry.of(3, error)
    assert whole(last=last) == {**shown(last=last), "usage": USAGE}


def test_an_active_run_has_no_more_than_in_a_list() -> None:
    assert whole() == shown()


@pytest.mark.parametrize("root", ["", "/api", "/api/v1"])
def test_links_begin_where_the_app_is(root: str) -> None:
    assert view_of(info(), root).events == f"{root}/runs/r/events"


async def test_status_while_it_runs_and_after() -> None:
    model = StepModel()
    async with open_server(model) as server:
        run = await server.start(metadata={"m": 1})
        with run.subscribe():
            await trio.testing.wait_all_tasks_blocked()
            view = (await server.request("GET", f"/runs/{run.id}")).json
        assert view["status"] == "active"
        assert view["viewers"] == 1
        assert view["cursor"] == str(run.cursor)
        assert "error" not in view
        model.finish("length")
        await run.wait()
        view = (await server.request("GET", f"/runs/{run.id}")).json
        assert view["status"] == "length"
        assert view["viewers"] == 0
        assert view["cursor"] == str(run.cursor)


async def test_status_of_a_failed_run() -> None:
    model = StepModel()
    async with open_server(model) as server:
        run = await server.start()
        model.fail(ModelError("auth", "no"))
        await run._done.wait()
        view = (await server.request("GET", f"/runs/{run.id}")).json
        assert view["status"] == "error"
        assert view["error"] == {"code": "auth", "message": "no"}
