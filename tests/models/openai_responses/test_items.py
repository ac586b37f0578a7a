"""Which item an event belongs to."""

from typing import Any

import pytest

from trio_agent._errors import ModelError
from trio_agent.models.openai_responses._event import Event
from trio_agent.models.openai_responses._item import Item
from trio_agent.models.openai_responses._items import Items, match


def call(id_: str = "fc_1", call_id: str = "call_1", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": id_, "call_id": call_id, "name": "f", **fields}


def delta(id_: str | None = None, index: int | None = None) -> Event:
    return Event(item_id=id_, output_index=index)


def announce(items: Items, value: dict[str, Any], index: int | None = None) -> Item:
    item = items.announced(value, index)
    item.announced = True
    item.call_id = value.get("call_id", "")
    item.name = value.get("name", "")
    return item


@pytest.mark.parametrize(
    ("event", "number"),
    [
        (delta("fc_1", 1), 0),
        (delta("fc_2", 0), 1),
        (delta("other", 0), 0),
        (delta(None, 1), 1),
        (delta(None, None), 1),
        (delta("other", None), 1),
        (delta("other", 2), 2),
    ],
)
def test_the_id_tells_then_the_index_then_the_order(event: Event, number: int) -> None:
    items = Items()
    announce(items, call(), 0)
    announce(items, call("fc_2", "call_2"), 1)
    assert items.of("function_call", event) is items[number]


def test_a_closed_item_is_not_gone_on_with_under_another_id() -> None:
    items = Items()
    first = announce(items, call(), 0)
    first.closed = True
    assert items.of("function_call", delta("fc_2", 0)) is not first
    assert items.of("message", delta(None, 0)) is items[-1]


@pytest.mark.parametrize("index", [0, None])
@pytest.mark.parametrize("id_", ["fc_1", "", "fc_7"])
def test_deltas_may_come_before_their_item(index: int | None, id_: str) -> None:
    items = Items()
    early = items.of("function_call", delta("fc_1", index))
    assert announce(items, call(id_), index) is early
    assert announce(items, call("fc_2", "call_2"), 1) is not early


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ((call(), 0), (call(), 0), True),
        ((call(), 0), (call(call_id="call_2"), 0), False),
        ((call(), 0), (call("fc_2", "call_2"), 0), False),
        ((call(), None), (call("", "call_2"), None), False),
    ],
)
def test_what_begins_another_item(
    first: tuple[Any, int | None], second: tuple[Any, int | None], same: bool
) -> None:
    items = Items()
    assert (announce(items, *first) is announce(items, *second)) is same


@pytest.mark.parametrize(
    ("value", "index", "number"),
    [
        (call("fc_2", "call_2"), 0, 1),
        (call("other", "call_2"), None, 1),
        (call("fc_2", ""), None, 1),
        (call("", ""), 1, 1),
        (call("", ""), None, 0),
        (call("", "other"), 0, None),
        (call("", "other", arguments='{"b":2}'), 0, 1),
        ({"type": "message", "content": []}, 0, None),
    ],
)
def test_which_item_came_whole(
    value: dict[str, Any], index: int | None, number: int | None
) -> None:
    items = Items()
    announce(items, call(), 0).arguments.add('{"a":1}')
    announce(items, call("fc_2", "call_2"), 1).arguments.add('{"b":2}')
    found = match(value, items, index)
    assert found is (None if number is None else items[number])


def test_a_message_of_another_text_is_the_one_that_is_there() -> None:
    items = Items()
    item = items.begin("message", "", None)
    item.say("message", 0, " Hi")
    assert match({"type": "message", "content": [{"text": "Hi"}]}, items, None) is item


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (call("other", arguments="{}"), True),
        (call("fc_1", "call_2", arguments="{}"), False),
        (call(arguments='{"a":1}'), False),
        ({"type": "message", "id": "fc_1"}, False),
    ],
)
def test_what_is_told_again(value: dict[str, Any], known: bool) -> None:
    items = Items()
    item = announce(items, call(), 0)
    item.arguments.add("{}")
    item.arguments.end()
    item.closed = True
    assert items.is_known(value) is known


def test_bounds() -> None:
    items = Items()
    for _ in range(128):
        items.begin("function_call", "", None)
    with pytest.raises(ModelError, match="more than 128 tools"):
        items.begin("function_call", "", None)
    for _ in range(1024 - 128):
        items.begin("message", "", None)
    with pytest.raises(ModelError, match="more than 1024 items"):
        items.begin("message", "", None)
