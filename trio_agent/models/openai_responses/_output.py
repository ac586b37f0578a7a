"""What is new in each event of an answer, item by item.

Ids of calls may be missing, blank or doubled; those that go out are unique. A call is given on as
soon as its name is known.
"""

from collections.abc import Mapping
from typing import Any, Final

from .._parts import ModelPart, OutputPart, ReasoningPart, TextPart, ToolInputPart
from .._provider._errors import bad_response
from .._provider._loose import arguments_or_none, items, word
from .._provider._unique_ids import UniqueIds
from ._event import Event
from ._item import (
    STREAMS,
    Item,
    Stream,
    call_id_of,
    id_of,
    is_refusal,
    kind_of,
    text_of_part,
)
from ._items import Items, match

_MAX_HELD = 1 << 20
"""Characters of ids and names, and of arguments that come without a name."""


class Output:
    """Puts events together to items, and says what is new in each.

    Args:
        text: what the text of the answer is given on as. A refusal is always a text.
    """

    def __init__(self, text: type[TextPart | OutputPart] = TextPart) -> None:
        self._text = text
        self.items = Items()
        self._ids = UniqueIds()
        self._held = 0
        self._has_thought = False
        self._breaks = False

    @property
    def are_named(self) -> bool:
        """Whether it is known for each call which tool it calls."""
        return all(call.name for call in self.items.calls)

    @property
    def are_whole(self) -> bool:
        """Whether nothing of any call is missing."""
        return self.are_named and all(call.arguments.is_json() for call in self.items.calls)

    def take(self, event: Event, parts: list[ModelPart]) -> bool:
        """Append what is new in an event; False if it is none of an item.

        Raises:
            ModelError: `bad-response`: there are too many items, or names are missing.
        """
        type_ = event.type or ""
        if (stream := _DELTAS.get(type_)) is not None:
            if event.delta:
                item = self.items.of(STREAMS[stream], event)
                self._say(item, stream, _part_of(stream, event), event.delta, parts)
        elif (stream := _WHOLES.get(type_)) is not None:
            self._whole(stream, event, parts)
        else:
            return self._take_other(type_, event, parts)
        return True

    def _take_other(self, type_: str, event: Event, parts: list[ModelPart]) -> bool:
        match type_:
            case "response.output_item.added":
                self._added(event, parts)
            case "response.output_item.done":
                self._done(event, parts)
            case "response.function_call_arguments.delta":
                text = event.delta or ""
                item = self.items.of("function_call", event)
                if text[:1] != "{" or not item.arguments.repeats(text):
                    self._add(item, text, parts)
            case "response.function_call_arguments.done":
                item = self.items.of("function_call", event)
                self._complete(item, event.arguments or "", parts)
            case "response.refusal.delta":
                if event.delta:
                    item = self.items.of("message", event)
                    self._refuse(item, event.content_index, event.delta, parts)
            case "response.reasoning_summary_part.added":
                self._breaks = True
            case _:
                return False
        return True

    def _whole(self, stream: Stream, event: Event, parts: list[ModelPart]) -> None:
        """Take a text that comes whole, of which some may have been said."""
        text = event.text or event.refusal or text_of_part(event.part)
        if stream == "message" and event.part is not None:
            # Some call each part an `output_text`.
            is_thought = event.part.get("type") == "reasoning_text"
            if is_thought or self.items.knows("reasoning", event.item_id):
                stream = "thought"
        if text:
            item, part = self.items.of(STREAMS[stream], event), _part_of(stream, event)
            if rest := item.rest_of_part(stream, part, text):
                if event.refusal or is_refusal(event.part):
                    self._refuse(item, part, rest, parts)
                else:
                    self._say(item, stream, part, rest, parts)

    def _added(self, event: Event, parts: list[ModelPart]) -> None:
        value = event.item or {}
        if kind_of(value) == "other":
            return
        item = self.items.announced(value, event.output_index)
        item.announced = True
        if item.kind == "function_call":
            item.announced_arguments = arguments_or_none(value.get("arguments")) or ""
            self._name(item, value, parts)

    def _done(self, event: Event, parts: list[ModelPart]) -> None:
        value, index = event.item or {}, event.output_index
        item = match(value, [item for item in self.items if not item.closed], index)
        if item is None:
            if self.items.is_known(value):
                return
            item = self.items.begin(kind_of(value), id_of(value), index)
        self._close(item, value, parts)

    def end(self, values: list[Any], parts: list[ModelPart]) -> None:
        """Take all items, as the whole response has them, and give on what was held back."""
        left = list(self.items)
        for value in values:
            if isinstance(value, dict):
                item = match(value, left, None)
                if item is None:
                    item = self.items.begin(kind_of(value), id_of(value), None)
                else:
                    left.remove(item)
                self._close(item, value, parts)
        self.flush(parts)

    def flush(self, parts: list[ModelPart]) -> None:
        """Nothing more comes: give on what was held back."""
        for call in self.items.calls:
            if call.arguments.is_empty and call.announced_arguments:
                self._add(call, call.announced_arguments, parts)
            if call.part_id and (delta := call.arguments.end()):
                parts.append(ToolInputPart(call.part_id, call.name, delta))

    def _refuse(self, item: Item, part: int | None, text: str, parts: list[ModelPart]) -> None:
        item.say("message", part, text)
        parts.append(TextPart(text))

    def _say(
        self, item: Item, stream: Stream, part: int | None, text: str, parts: list[ModelPart]
    ) -> None:
        begins = item.begins(stream, part)
        item.say(stream, part, text)
        if stream == "message":
            parts.append(self._text(text))
            return
        if self._has_thought and (begins or self._breaks):
            text = f"\n\n{text}"
        self._has_thought, self._breaks = True, False
        parts.append(ReasoningPart(text))

    def _close(self, item: Item, value: dict[str, Any], parts: list[ModelPart]) -> None:
        if item.kind == "function_call":
            self._name(item, value, parts)
            self._complete(item, arguments_or_none(value.get("arguments")) or "", parts)
        else:
            for stream, kind in STREAMS.items():
                if kind == item.kind:
                    for part, rest in item.rest(stream, value):
                        if stream == "message" and is_refusal(items(value["content"])[part]):
                            self._refuse(item, part, rest, parts)
                        else:
                            self._say(item, stream, part, rest, parts)
        item.closed = True
        if item.value is None:
            item.value = value

    def _name(self, item: Item, value: dict[str, Any], parts: list[ModelPart]) -> None:
        item.call_id = item.call_id or call_id_of(value)
        if item.part_id:
            return
        item.name = item.name or (word(value.get("name")) or "").strip()
        self._hold(len(item.call_id) + len(item.name))
        if item.name:
            wanted = item.call_id or item.id or f"call_{len(self.items.calls) - 1}"
            item.part_id = self._ids.take(wanted)
            parts.append(ToolInputPart(item.part_id, item.name, item.arguments.text))

    def _add(self, item: Item, text: str, parts: list[ModelPart]) -> None:
        if not item.part_id:
            self._hold(len(text))
        delta = item.arguments.add(text)
        if item.part_id and delta:
            parts.append(ToolInputPart(item.part_id, item.name, delta))

    def _complete(self, item: Item, whole: str, parts: list[ModelPart]) -> None:
        said = item.arguments.text
        if whole.startswith(said):
            self._add(item, whole[len(said) :], parts)

    def _hold(self, characters: int) -> None:
        self._held += characters
        if self._held > _MAX_HELD:
            raise bad_response("the arguments of a tool call come without its name")


_DELTAS: Final[Mapping[str, Stream]] = {
    "response.output_text.delta": "message",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_text.delta": "thought",
    "response.reasoning.delta": "thought",  # as some gateways call it
}
_WHOLES: Final[Mapping[str, Stream]] = {
    "response.output_text.done": "message",
    "response.refusal.done": "message",
    "response.content_part.done": "message",
    "response.reasoning_summary_text.done": "summary",
    "response.reasoning_summary_part.done": "summary",
    "response.reasoning_text.done": "thought",
    "response.reasoning.done": "thought",
}


def _part_of(stream: Stream, event: Event) -> int | None:
    return event.summary_index if stream == "summary" else event.content_index
