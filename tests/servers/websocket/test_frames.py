"""Events and answers as text frames."""

import json
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

from trio_agent import AnyEvent, RunStart, TextDelta
from trio_agent.abc import Entry
from trio_agent.servers.websocket._frames import answer_frame, event_frames, text_frame


def texts(frames: bytes) -> list[str]:
    """What a client reads."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(frames)
    found = []
    for event in client.events():
        assert isinstance(event, TextMessage)
        assert event.message_finished
        found.append(event.data)
    return found


def messages(frames: bytes) -> list[Any]:
    return [json.loads(text) for text in texts(frames)]


def entries(*events: AnyEvent) -> list[Entry]:
    return [Entry.of(offset, event) for offset, event in enumerate(events, 7)]


class TestEvents:
    def test_each_has_its_cursor_and_its_run(self) -> None:
        frames = event_frames(
            "r", "e", entries(TextDelta(at=1, delta="a"), TextDelta(at=2, delta="b"))
        )
        assert messages(frames) == [
            {"id": "r.e.7", "runId": "r", "type": "text-delta", "at": 1, "delta": "a"},
            {"id": "r.e.8", "runId": "r", "type": "text-delta", "at": 2, "delta": "b"},
        ]

    def test_the_run_is_said_once(self) -> None:
        [text] = texts(event_frames("r", "e", entries(RunStart(at=1, run_id="r", agent="a"))))
        assert text.count('"runId"') == 1
        assert json.loads(text)["runId"] == "r"

    def test_the_events_own_json_is_as_it_is_in_the_log(self) -> None:
        [entry] = entries(TextDelta(at=1, delta='é\u2028"\\\n{"runId":'))
        [text] = texts(event_frames("r", "e", [entry]))
        assert text.endswith(entry.data[1:].decode())

    @pytest.mark.parametrize("size", [0, 50, 100, 200, 65_400, 65_536, 200_000])
    def test_of_any_size(self, size: int) -> None:
        [message] = messages(event_frames("r", "e", entries(TextDelta(at=1, delta="x" * size))))
        assert message["delta"] == "x" * size


class TestAnswers:
    @pytest.mark.parametrize("request_id", [0, 7, "", "x"])
    def test_has_the_id_of_its_request(self, request_id: str | int) -> None:
        assert messages(answer_frame("started", request_id, runId="r")) == [
            {"type": "started", "runId": "r", "requestId": request_id}
        ]

    def test_without_an_id_it_has_none(self) -> None:
        assert messages(answer_frame("draining", cursors={})) == [
            {"type": "draining", "cursors": {}}
        ]

    def test_what_is_no_event_has_no_cursor(self) -> None:
        assert "id" not in messages(answer_frame("subscribed", 1, runId="r"))[0]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 100_000])
def test_frames_are_those_of_the_standard(size: int) -> None:
    text = "x" * size
    theirs = Connection(ConnectionType.SERVER).send(TextMessage(data=text))
    assert text_frame(text.encode()) == theirs
