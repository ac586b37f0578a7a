import itertools
import tracemalloc

import pytest
from hypothesis import given, strategies as st

from trio_agent.wire._sse import ServerSentEvent, SSEDecoder, SSEError, format_comment, format_sse


def decode(*reads: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for read in reads for event in decoder.feed(read)]


def bytewise(data: bytes) -> list[ServerSentEvent]:
    return decode(*(data[i : i + 1] for i in range(len(data))))


Event = ServerSentEvent

# The first ones are the examples of the standard.
CASES = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event("YHOO\n+2\n10")]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second\nid\n\ndata:  third event\n\n",
        [Event("first event", id="1"), Event("second"), Event(" third event")],
    ),
    (b"data\n\ndata\ndata\n\ndata:", [Event(""), Event("\n")]),
    (b"data:test\n\ndata: test\n\n", [Event("test"), Event("test")]),
    (b"event: add\ndata: 1\n\ndata: 2\n\n", [Event("1", "add"), Event("2")]),
    (b"event: add\n\ndata: 2\n\n", [Event("2")]),
    (b"event\ndata: 2\n\n", [Event("2")]),
    (b"data: a\r\rdata: b\r\n\r\ndata: c\n\n", [Event("a"), Event("b"), Event("c")]),
    (b"data: a\r\n\n", [Event("a")]),
    (b"data: a\r\ndata: b\r\r\n", [Event("a\nb")]),
    (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
    (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    (b"\n\xef\xbb\xbfdata: a\n\n", []),
    (b"id: 1\nid: a\0b\ndata: a\n\ndata: b\n\n", [Event("a", id="1"), Event("b", id="1")]),
    (b"data : a\nDATA: b\nfoo: c\nfoo\n\n", []),
    (b"data: \xff\xe2\x82\ndata: \xe2\x82\xac\n\n", [Event("\ufffd\ufffd\n\u20ac")]),
    ("data: a\u2028b\x0bc\x85d\x1ce\n\n".encode(), [Event("a\u2028b\x0bc\x85d\x1ce")]),
    (b"data: incomplete", []),
    (b"data: incomplete\n", []),
    (b"", []),
    (b"\r\n\r\n\n\r", []),
]


@pytest.mark.parametrize(("data", "events"), CASES)
def test_interprets_the_stream_however_it_is_cut(data: bytes, events: list[Event]) -> None:
    assert decode(data) == events
    assert bytewise(data) == events
    for cut in range(len(data)):
        assert decode(data[:cut], b"", data[cut:]) == events


def test_last_event_id_counts_once_its_block_is_complete() -> None:
    decoder = SSEDecoder()
    assert decoder.feed(b"id: 1\n\nid: 2\n") == []
    assert decoder.last_event_id == "1"
    assert decoder.feed(b"data: x\n\n") == [Event("x", id="2")]
    assert decoder.last_event_id == "2"
    decoder.feed(b"id\n\n")
    assert decoder.last_event_id == ""


@pytest.mark.parametrize(
    ("value", "retry"),
    [
        (b"retry: 1500", 1500),
        (b"retry:0", 0),
        (b"retry: -1", None),
        (b"retry: 1.5", None),
        (b"retry: \xd9\xa1", None),
        (b"retry:  1", None),
        (b"retry", None),
        (b"retry: " + b"9" * 5000, None),
    ],
)
def test_retry_is_ascii_digits(value: bytes, retry: int | None) -> None:
    decoder = SSEDecoder()
    assert decoder.feed(value + b"\n") == []
    assert decoder.retry == retry


@pytest.mark.parametrize(
    "data",
    [
        b"data: 2345",
        b":234567890",
        b":234567890\n\n",
        b"data:12345678\ndata:0",
        b"data:12345678\ndata\n\n",
        b"data: 123456789\n\n",
        b"data\n" * 12,
        b"event: 12\nevent: 1234\n\n",
    ],
)
def test_a_line_or_an_event_has_a_bound(data: bytes) -> None:
    for size in (len(data), 1, 3):
        decoder = SSEDecoder(max_size=9)
        reads = [data[start : start + size] for start in range(0, len(data), size)]
        with pytest.raises(SSEError, match="larger than 9 bytes"):
            list(map(decoder.feed, reads))


def test_the_bound_is_on_one_event_not_on_the_stream() -> None:
    decoder = SSEDecoder(max_size=9)
    data = b"data:1234\ndata:5678\n\n" * 3 + b": comment\n"
    assert [event.data for event in decoder.feed(data)] == ["1234\n5678"] * 3


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b"data: a\n\ndata: b", Event("b")),
        (b"data: b\n", Event("b")),
        (b"data: b\r", Event("b")),
        (b"data: b\r\n", Event("b")),
        (b"data: b\ndata: c\nid: 7\nevent: x", Event("b\nc", "x", "7")),
        (b"\xef\xbb\xbfdata: b", Event("b")),
        (b"data: b\xe2\x82", Event("b\ufffd")),
        (b"data", Event("")),
        (b"data: a\n\n", None),
        (b"data: a\n\nid: 7", None),
        (b": comment", None),
        (b"dat", None),
        (b"", None),
    ],
)
def test_what_the_end_left_incomplete(data: bytes, event: Event | None) -> None:
    for size in (len(data) or 1, 1):
        decoder = SSEDecoder()
        for start in range(0, len(data), size):
            decoder.feed(data[start : start + size])
        assert decoder.take_incomplete() == event
        assert decoder.take_incomplete() is None


def test_many_short_lines_take_no_more_memory_than_their_bytes() -> None:
    decoder = SSEDecoder(max_size=1 << 20)
    tracemalloc.start()
    try:
        decoder.feed(b"data:ab\n" * (1 << 16))
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(4):
            decoder.feed(b"data:ab\n" * (1 << 14))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1 << 20
    assert decoder.feed(b"\n")[0].data.count("a") == 1 << 17


@given(
    st.binary() | st.text(alphabet="data:idevnrty \r\n0\0\ufeffé").map(str.encode),
    st.lists(st.integers(0, 60)),
)
def test_cuts_never_change_what_is_read(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert decode(*pieces) == decode(data) == bytewise(data)


ONE_LINE = st.text().map(lambda s: "".join(c for c in s if c not in "\r\n\0"))


@given(st.text(), st.none() | ONE_LINE, st.none() | ONE_LINE, st.none() | st.integers(0, 10**9))
def test_what_is_formatted_is_read(
    data: str, id_: str | None, event: str | None, retry: int | None
) -> None:
    block = format_sse(data, id=id_, event=event, retry=retry)
    assert block == format_sse(data.encode(), id=id_, event=event, retry=retry)
    decoder = SSEDecoder()
    text = data.replace("\r\n", "\n").replace("\r", "\n")
    assert decoder.feed(block) == [Event(text, event or "message", id_ or "")]
    assert decoder.retry == retry


def test_the_format_on_the_wire() -> None:
    assert format_sse("a\nb", id="7", event="x", retry=10) == (
        b"id: 7\nevent: x\nretry: 10\ndata: a\ndata: b\n\n"
    )
    assert format_sse("a\r\nb\rc") == b"data: a\ndata: b\ndata: c\n\n"
    assert format_sse(retry=1000) == b"retry: 1000\n\n"
    assert format_sse("") == b"data: \n\n"
    assert format_comment() == b": \n\n"


@given(st.text())
def test_comments_are_ignored(text: str) -> None:
    block = format_comment(text)
    assert decode(block + b"data: x\n\n") == [Event("x")]


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_a_line_break_can_not_be_smuggled_in(bad: str) -> None:
    with pytest.raises(ValueError, match="id must not contain"):
        format_sse("x", id=bad)
    with pytest.raises(ValueError, match="event must not contain"):
        format_sse("x", event=bad)


def test_retry_is_not_negative() -> None:
    with pytest.raises(ValueError, match="milliseconds"):
        format_sse("x", retry=-1)
