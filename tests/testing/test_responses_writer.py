"""What a scripted Responses provider says."""

import json
from typing import Any

import pytest

from trio_agent.testing._responses_writer import Ledger, Writer
from trio_agent.wire._sse import SSEDecoder


def read(data: bytes) -> list[dict[str, Any]]:
    events = SSEDecoder().feed(data)
    values = [json.loads(event.data) for event in events]
    assert [value["type"] for value in values] == [event.event for event in events]
    return values


def test_events_are_numbered() -> None:
    writer = Writer({"model": "m"}, Ledger())
    begin = read(writer.begin())
    assert writer.begin() == b""
    assert [event["type"] for event in begin] == ["response.created", "response.in_progress"]
    assert begin[0]["response"]["status"] == "in_progress"
    assert [event["sequence_number"] for event in begin] == [0, 1]
    assert read(writer.event("x", a=1)) == [{"type": "x", "sequence_number": 2, "a": 1}]


def test_items_have_places_and_ids() -> None:
    writer = Writer({"model": "m"}, Ledger())
    for index in range(2):
        item, place, begin = writer.add({"type": "message"}, "msg")
        assert place == {"item_id": item["id"], "output_index": index}
        assert [each["output_index"] for each in read(begin + writer.end(item))] == [index] * 2
    assert len({item["id"] for item in writer.output}) == 2
    assert writer.response("completed")["output"] == writer.output


@pytest.mark.parametrize(("store", "stored"), [(None, 2), (True, 2), (False, 0)])
def test_what_is_stored(store: bool | None, stored: int) -> None:
    ledger = Ledger()
    writer = Writer({} if store is None else {"store": store}, ledger)
    reasoning, _, _ = writer.add({"type": "reasoning"}, "rs")
    writer.end(reasoning)
    call, _, _ = writer.add({"type": "function_call"}, "fc")
    writer.end(call)
    assert len(ledger.stored) == stored
    assert ledger.reasoning_before == ({call["id"]: reasoning["id"]} if stored else {})
    assert writer.response("completed")["store"] is (store is not False)


@pytest.mark.parametrize(
    ("include", "sealed"), [(["reasoning.encrypted_content"], True), ([], False), (None, False)]
)
def test_reasoning_is_sealed_if_that_was_asked_for(include: Any, sealed: bool) -> None:
    ledger = Ledger()
    content = Writer({"include": include}, ledger).sealed()
    assert set(content.values()) == ledger.encrypted
    assert bool(content) is sealed
