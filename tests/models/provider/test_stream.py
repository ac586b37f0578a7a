"""The rules of decoders of event streams, with a language of one word. See also those of models."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from trio_agent._errors import ModelError
from trio_agent.models._parts import ModelPart, TextPart
from trio_agent.models._provider._stream import StreamDecoder


class Word(msgspec.Struct):
    """`{"say": "..."}`; "." ends the answer."""

    say: str = ""
    odd: bool = False

    @property
    def is_odd(self) -> bool:
        return self.odd or not self.say


class Words(StreamDecoder[Word]):
    def __init__(self) -> None:
        super().__init__(secret="sk-secret")
        self._complete = False

    @property
    def complete(self) -> bool:
        return self._complete and self._failure is None

    def may_go_on(self, body: bytes | bytearray) -> bool:
        return False

    def _decode(self, text: str) -> Word:
        return msgspec.json.decode(text, type=Word)

    def _read(self, value: dict[str, Any], type_: str) -> Iterable[Word]:
        if value.get("say") is None:
            raise ValueError("nothing is said")
        yield Word(f"{value['say']}!")

    def _apply(self, event: Word, parts: list[ModelPart]) -> None:
        if event.say == ".":
            self._complete = True
        else:
            parts.append(TextPart(event.say))

    def _end(self, parts: list[ModelPart]) -> None:
        pass

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


def test_whole_bodies() -> None:
    text, decoder = said(b'[{"say": "a"}, {"say": "."}]', whole=True)
    assert text == "a!.!"
    assert decoder.failure is not None, "nothing of it was the end"
    _, decoder = said(b'{"say": ', whole=True)
    assert not decoder.done
    _, decoder = said(b'{"error": {"message": "no"}}', whole=True)
    assert decoder.failure is not None
    assert decoder.failure.message == "no"
