"""What a client gets, whatever the wire: events, receipts."""

import json

import msgspec
import pytest
from client_kit import END, STREAM, receive_all
from proxy_kit import canned

from trio_agent import Nested, Receipt, RunFinish, TextDelta
from trio_agent._log.codec import EventInvalid
from trio_agent.client import RemoteEvent
from trio_agent.client._remote import Cancelled

FINISH = (
    '{"type":"run-finish","at":1,"run":{"id":"r","text":"","steps":1,"finishReason":"stop",'
    '"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0}}}'
)


class TestEvents:
    def test_text(self) -> None:
        event = RemoteEvent.read("r.e.1", '{"type":"text-delta","at":1,"delta":"é"}')
        assert (event.cursor, event.terminal) == ("r.e.1", False)
        assert event.event == TextDelta(at=1, delta="é")

    def test_nested(self) -> None:
        inner = '{"type":"text-delta","at":1,"delta":"é"}'
        for call in ("a/b", "a"):
            inner = f'{{"type":"nested","at":1,"call":"{call}","event":{inner}}}'
        event = RemoteEvent.read("r.e.1", inner)
        assert not event.terminal
        assert isinstance(event.event, Nested)
        assert isinstance(event.event.event, Nested)
        assert event.event.event.event == TextDelta(at=1, delta="é")

    @pytest.mark.parametrize("inner", ['{"type":"news","x":[1]}', '{"type":"text-delta"}', FINISH])
    def test_whatever_is_nested_the_run_goes_on(self, inner: str) -> None:
        data = f'{{"type":"nested","at":1,"call":"c","event":{inner}}}'
        event = RemoteEvent.read("r.e.1", data)
        assert (event.terminal, event.data) == (False, data)
        assert isinstance(event.event, Nested)
        assert bytes(event.event.raw) == inner.encode()
        assert (event.event.event is None) == (inner != FINISH)

    def test_the_last(self) -> None:
        event = RemoteEvent.read("r.e.1", FINISH)
        assert isinstance(event.event, RunFinish)
        assert event.terminal

    @pytest.mark.parametrize("data", ["", "[]", "{}", '{"type":"text-delta"}', '{"type":1}'])
    def test_what_is_none(self, data: str) -> None:
        with pytest.raises(EventInvalid):
            RemoteEvent.read("r.e.1", data)


@pytest.mark.parametrize(
    ("answer", "receipt"),
    [
        ('{"outcome":"stop","lastOffset":7,"abandoned":["c1"]}', Receipt("stop", 7, ("c1",))),
        ('{"outcome":"error","lastOffset":1}', Receipt("error", 1)),
        ('{"outcome":"paused-for-ever","lastOffset":2}', Receipt("paused-for-ever", 2)),  # type: ignore[arg-type]
        ('{"id":"r","status":"active"}', None),
        ("{}", None),
    ],
)
def test_receipts(answer: str, receipt: Receipt | None) -> None:
    assert msgspec.json.decode(answer, type=Cancelled).receipt == receipt


async def test_a_type_that_we_do_not_know() -> None:
    unknown = b'data: {"type":"news","at":1}\nid: r.e.1\n\n'
    async with canned(STREAM + unknown + END % 2) as (url, _):
        first, last = await receive_all(url)
        assert (first.event, first.terminal) == (None, False)
        assert (json.loads(first.data)["type"], last.terminal) == ("news", True)
