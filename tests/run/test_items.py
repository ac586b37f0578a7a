"""What lies in an inbox: JSON, one key for each call."""

from typing import Any

import msgspec
import pytest

from trio_agent._content import File, Text
from trio_agent._run.items import Answer, Item, Said, decode_item, encode_item

PICTURE = File("image/png", url="https://example.org/a.png")


@pytest.mark.parametrize(
    ("item", "data"),
    [
        (Answer("1", True), '{"type":"answer","call_id":"1","approved":true}'),
        (
            Answer("1", False, by="ann", reason="no"),
            '{"type":"answer","call_id":"1","approved":false,"by":"ann","reason":"no"}',
        ),
        # `null` is a result, and not the same as none.
        (
            Answer("1", True, None),
            '{"type":"answer","call_id":"1","approved":true,"output":null}',
        ),
        (
            Answer("1", True, {"a": [1.5]}),
            '{"type":"answer","call_id":"1","approved":true,"output":{"a":[1.5]}}',
        ),
        (
            Answer("1", False, expired=True),
            '{"type":"answer","call_id":"1","approved":false,"expired":true}',
        ),
        (Said("ü", by="ann"), '{"type":"said","content":"ü","by":"ann"}'),
        (
            Said((Text("a"), PICTURE)),
            (
                '{"type":"said","content":[{"type":"text","text":"a"},'
                '{"type":"file","mediaType":"image/png","url":"https://example.org/a.png"}]}'
            ),
        ),
    ],
)
def test_as_bytes(item: Item, data: str) -> None:
    assert encode_item(item).decode() == data
    assert decode_item(data.encode()) == item


def test_what_a_later_version_adds_is_left_out() -> None:
    data = b'{"type":"answer","call_id":"1","approved":true,"new":[1]}'
    assert decode_item(data) == Answer("1", True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"new"}',
        b'{"type":"answer","call_id":"1"}',
        b'{"type":"answer","approved":true}',
        b'{"type":"said"}',
        b'{"type":"said","content":7}',
    ],
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_item(data)


def test_what_utf_8_cant_hold() -> None:
    assert decode_item(encode_item(Said("a\ud800"))) == Said("a?")


@pytest.mark.parametrize(
    "answer", [Answer("c/1", True), Answer("c/1", False), Answer("c/1", False, expired=True)]
)
def test_a_call_has_one_answer(answer: Answer) -> None:
    """Whoever comes first: also the deadline."""
    assert answer.key == "answer:c/1"


@pytest.mark.parametrize(("value", "field"), [(Answer("1", True), "approved"), (Said("a"), "by")])
def test_items_are_immutable(value: Any, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, field, None)
