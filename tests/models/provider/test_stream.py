"""The rules of decoders of event streams, with a language of one word. See also those of models."""

from typing import Any

import msgspec
import pytest

from trio_agent._errors import ModelError
from trio_agent.models._parts import ModelFinish, ModelPart, TextPart
from trio_agent.models._provider._stream import StreamDecoder


class Word(msgspec.Struct):
    """`{"say": "..."}`; "." ends the answer."""

    say: str = ""
    odd: bool = False

    @property
    def is_odd(self) -> bool:
        return self.odd or not self.say


class Words(StreamDecoder[Word]):
    _STREAM = "stream of words"

    def __init__(self) -> None:
        super().__init__(secret="sk-secret")
        self._complete = False

    @property
    def complete(self) -> bool:
        return (self._complete or self._said_done) and self._failure is None

    def may_go_on(self, body: bytes | bytearray) -> bool:
        return b"lines" in body

    def _decode(self, text: str) -> Word:
        return msgspec.json.decode(text, type=Word)

    def _take_value(self, value: dict[str, Any], type_: str, parts: list[ModelPart]) -> None:
        if value.get("say") is None:
            raise ValueError("nothing is said")
        self._apply(Word(f"{value['say']}!"), parts)

    def _apply(self, event: Word, parts: list[ModelPart]) -> None:
        if event.say == ".":
            self._complete = True
        else:
            parts.append(TextPart(event.say))

    def _end_parts(self, parts: list[ModelPart]) -> None:
        pass

    def _is_answered(self) -> bool:
        return self._has_text

    def finish(self) -> ModelFinish:
        self._check_end(is_told=self._complete)
        return ModelFinish("stop")

    @property
    def failure(self) -> ModelError | None:
        return self._failure


def said(data: bytes, *, whole: bool = False) -> tuple[str, Words]:
    decoder = Words()
    parts = decoder.feed_whole(data) if whole else decoder.feed(data) + decoder.feed_eof()
    return "".join(part.delta for part in parts if isinstance(part, TextPart)), decoder


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'data: {"say": "a"}\n\ndata: {"say": "b"}\n\n', "ab"),
        (b'data: {"say": "a", "odd": true}\n\n', "a!"),  # the slow path says what it means
        (b'data: {"say": 7}\n\n', "7!"),
        (b'data: {"say": "a"}', "a"),  # its end is missing, but nothing of it
        (b'data: {"say": "a"}\n\ndata: {"say": "b', "a"),
        (b'data: {"say": "a"}\n\ndata: [DONE]\n\ndata: {"say": "b"}\n\n', "a"),
        (b'data: {"say": "\\ud83d"}\n\n', "\ufffd!"),
    ],
)
def test_what_is_said(data: bytes, text: str) -> None:
    got, decoder = said(data)
    assert got == text
    assert decoder.started
    assert decoder.failure is None


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"data: {x\n\n", "bad-response", "no stream"),
        (b'data: {"say": null}\n\n', "bad-response", "Expected `str`"),
        (b'event: error\ndata: {"error": {"type": "overloaded", "message": "no sk-secret"}}\n\n',
         "provider-error", "no ***"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_kept(data: bytes, code: str, message: str) -> None:
    text, decoder = said(b'data: {"say": "a"}\n\n' + data)
    assert text == "a"
    assert decoder.done
    assert decoder.failure is not None
    assert decoder.failure.code == code
    assert message in decoder.failure.message
    _, complete = said(b'data: {"say": "."}\n\n' + data)
    assert complete.done
    assert complete.failure is None


def test_an_event_that_has_no_end() -> None:
    decoder = Words()
    assert decoder.feed(b'data: {"say": "a"}\n\n') == [TextPart("a")]
    assert decoder.feed(b"data: " + b"x" * (17 << 20)) == []
    assert decoder.done
    assert decoder.failure is not None
    assert "larger than" in decoder.failure.message


def test_a_whole_answer_is_complete() -> None:
    text, decoder = said(b'[{"say": "a"}, {"say": "b"}]', whole=True)
    assert text == "a!b!"
    assert decoder.done
    assert decoder.finish().reason == "stop"


def test_events_in_lines_say_by_themselves_whether_they_are_complete() -> None:
    text, decoder = said(b'{"say": "lines"}\n{"say": "b"}', whole=True)
    assert text == "lines!b!"
    assert not decoder.done
    with pytest.raises(ModelError, match="cut-stream") as info:
        decoder.finish()
    assert not info.value.retryable


def test_whole_bodies_that_are_no_answer() -> None:
    _, decoder = said(b'{"say": ', whole=True)
    assert not decoder.done
    with pytest.raises(ModelError, match="cut-stream"):
        decoder.finish()
    for body, message in ((b'{"error": {"message": "no"}}', "no"), (b"[]", "no endpoint")):
        _, decoder = said(body, whole=True)
        assert decoder.done
        with pytest.raises(ModelError, match=message):
            decoder.finish()


def test_no_answer_pauses_by_default() -> None:
    assert Words().resume({"messages": []}) is None
