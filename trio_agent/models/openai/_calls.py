"""The tool calls of one answer: which of them does a fragment belong to?

The index tells, but not every provider counts: several calls with index 0, or without any, are
told apart by the id and name that begin each of them, or because the arguments of the one before
are whole. What has no index, id or name goes on with the newest call that isn't whole. Ids may be
missing, blank, doubled or new in every fragment; those that go out are unique.
"""

from collections.abc import Iterator

import attrs
import msgspec

from .._parts import MAX_CALLS, ModelPart, ToolInputPart
from .._provider._arguments import Arguments, is_placeholder
from .._provider._errors import bad_response
from .._provider._unique_ids import UniqueIds
from ._chunk import NOTHING, Function, ToolCall

_NO_FUNCTION = Function()
_MAX_HELD = 1 << 20
"""Characters of ids and names, and of arguments that come without a name; bytes of extras."""


@attrs.define(eq=False)
class _Call:
    """A tool call that is being written."""

    slot: int
    said_id: str
    """As the provider said it, blank if it did not."""
    name: str
    id: str = ""
    """As it is given on, which is done once the arguments begin, so that the name is whole."""
    arguments: Arguments = attrs.field(factory=Arguments)
    extra: msgspec.Raw = NOTHING
    """What is to come back with it."""

    @property
    def is_nothing(self) -> bool:
        return not self.name and self.arguments.is_empty


class Calls:
    """Puts fragments together to calls."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._opened: list[_Call] = []
        """Those that were given on, in that order."""
        self._slots: dict[int, _Call] = {}
        self._ids = UniqueIds()
        self._held = self._kept = 0

    def __bool__(self) -> bool:
        """Whether the model called anything."""
        return not all(call.is_nothing for call in self._calls)

    @property
    def are_named(self) -> bool:
        """Whether it is known for each which tool it calls."""
        return all(call.name or call.is_nothing for call in self._calls)

    @property
    def are_whole(self) -> bool:
        """Whether nothing of any of them is missing."""
        return self.are_named and all(call.arguments.is_json() for call in self._calls)

    def are_all(self, name: str | None) -> bool:
        """Whether no other tool was called than the one of this name."""
        return all(call.name == name for call in self._opened)

    def extras(self, final: str | None = None) -> list[tuple[str, msgspec.Raw]]:
        """Return the name of each call that goes back, and what is to come with it.

        Args:
            final: the tool whose calls don't. What Google signs of an answer stands beside its
                first call only; if that was one of these, it stands beside the next.
        """
        extras = [(call.name, call.extra) for call in self._opened if call.name != final]
        if extras and not extras[0][1] and self._opened[0].name == final:
            extras[0] = extras[0][0], self._opened[0].extra
        return extras

    def feed(self, fragments: list[ToolCall], parts: list[ModelPart]) -> None:
        """Take the fragments of one delta and append what they say to `parts`.

        Raises:
            ModelError: `bad-response`: there are too many calls, or names are missing.
        """
        # Several that say of themselves nothing else are told apart by their places.
        alone = len(fragments) == 1 or sum(map(_is_bare, fragments)) == 1
        for position, fragment in enumerate(fragments):
            slot = position if fragment.index is None else fragment.index
            call = self._slots.get(slot)
            if fragment.index is None and alone and self._calls and _is_bare(fragment):
                call = self._newest()
                slot = call.slot
            call = self._take(fragment, slot, call, parts)
            if fragment.extra_content and call is not None:
                self._keep(call, fragment.extra_content)

    def _take(
        self, fragment: ToolCall, slot: int, call: _Call | None, parts: list[ModelPart]
    ) -> _Call | None:
        """Take one fragment, and return the call that it belongs to if it isn't nothing."""
        index, function = fragment.index, fragment.function or _NO_FUNCTION
        id_, name, text = fragment.id or "", function.name or "", function.arguments or ""
        if id_ or name or text[:1] == "{" or text == "null":
            id_, name = id_.strip(), name.strip()
            if self._is_known(id_, name, text) or _says_nothing(call, id_, name, text):
                return call
            if call is None and not name:  # it goes on under another index
                call = self._with_id(id_, None)
                if call is not None:
                    self._slots[slot] = call
            call = self._with_id(id_, index) or call
            if call is not None and index is not None and _is_rest_of_name(call, id_, name):
                call.name += name
                name = call.name
            if call is None or _is_another(call, id_, name, text):
                # Arguments without a name after whole arguments call the same tool again.
                name = name or (call.name if call is not None else "")
                call = self._begin(slot, id_, name, parts)
            elif call.arguments.repeats(text):
                return call
        elif call is None:
            call = self._begin(slot, "", "", parts)
        if not call.id:
            self._await_name(call, id_, name, text, parts)
        elif text and (delta := call.arguments.add(text)):
            parts.append(ToolInputPart(call.id, call.name, delta))
        return call

    def _keep(self, call: _Call, extra: msgspec.Raw) -> None:
        self._kept += len(extra)
        if self._kept > _MAX_HELD:
            raise bad_response("what is to come back with the tool calls is too large")
        call.extra = extra.copy()

    def end(self) -> Iterator[ModelPart]:
        """Nothing more comes: give on what was held back."""
        for call in self._calls:
            if call.name and not call.id:
                yield self._open(call)
            if call.id and (delta := call.arguments.end()):
                yield ToolInputPart(call.id, call.name, delta)

    def _newest(self) -> _Call:
        """The newest call, of those that something may be missing of if there are any."""
        calls = self._calls
        if len(calls) == 1:
            return calls[0]
        return next((call for call in reversed(calls) if not call.arguments.is_closed()), calls[-1])

    def _with_id(self, id_: str, index: int | None) -> _Call | None:
        for call in reversed(self._calls):
            if id_ and call.said_id == id_ and index in (None, call.slot):
                return call
        return None

    def _is_known(self, id_: str, name: str, text: str) -> bool:
        """Whether a call is said again as a whole."""
        if not (id_ and name and text.lstrip().startswith("{")):
            return False
        return any(
            call.said_id == id_ and call.name == name and call.arguments.repeats(text)
            for call in self._calls
        )

    def _begin(self, slot: int, id_: str, name: str, parts: list[ModelPart]) -> _Call:
        if len(self._calls) == MAX_CALLS:
            raise bad_response(f"the model called more than {MAX_CALLS} tools at once")
        if self._calls and self._calls[-1].name and not self._calls[-1].id:
            parts.append(self._open(self._calls[-1]))  # calls are given on in their order
        call = self._slots[slot] = _Call(slot, id_, name)
        self._calls.append(call)
        return call

    def _await_name(
        self, call: _Call, id_: str, name: str, text: str, parts: list[ModelPart]
    ) -> None:
        call.said_id = call.said_id or id_
        call.name = call.name or name
        self._held += len(id_) + len(name) + (0 if call.name else len(text))
        if self._held > _MAX_HELD:
            raise bad_response("the arguments of a tool call come without its name")
        call.arguments.add(text)
        if call.name and not call.arguments.is_empty:
            parts.append(self._open(call))

    def _open(self, call: _Call) -> ToolInputPart:
        call.id = self._ids.take(call.said_id or f"call_{call.slot}")
        self._opened.append(call)
        return ToolInputPart(call.id, call.name, call.arguments.text)


def _is_bare(fragment: ToolCall) -> bool:
    """Whether it doesn't say which call it belongs to."""
    if fragment.index is not None:
        return False
    name = fragment.function.name if fragment.function is not None else None
    return not (fragment.id or "").strip() and not (name or "").strip()


def _is_rest_of_name(call: _Call, id_: str, name: str) -> bool:
    """Whether a fragment in the place of a call goes on with its name.

    Whoever gives ids would begin another call with one.
    """
    if call.id or id_ or not call.said_id or not call.name:
        return False
    return name not in ("", call.name)


def _is_another(call: _Call, id_: str, name: str, text: str) -> bool:
    """Whether a fragment in the place of a call begins another one."""
    arguments = call.arguments
    if id_ and id_ != call.said_id and name and (call.said_id or call.name):
        return True
    other_tool = name and call.name and name != call.name
    if other_tool and (arguments.is_closed() or (arguments.is_empty and not id_)):
        return True
    if not text.lstrip().startswith("{") or not arguments.is_closed():
        return False
    if name and not id_ and not call.said_id:
        return True  # whoever gives no ids names each call once
    return not arguments.is_placeholder and not arguments.repeats(text)


def _says_nothing(call: _Call | None, id_: str, name: str, text: str) -> bool:
    """Whether a fragment is no more than a placeholder behind whole arguments."""
    if call is None or id_ or name or not is_placeholder(text):
        return False
    return call.arguments.is_closed()
