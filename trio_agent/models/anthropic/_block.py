"""One block of an answer's content, as it is written piece by piece, and as it goes back."""

import json
from typing import Any

import attrs

from .._provider._arguments import Arguments

_INPUT = "partial_json"
"""What the pieces of a server tool's input are kept under."""


@attrs.define(eq=False)
class Call:
    """A call of one of our tools."""

    id: str
    """As it is given on."""
    said_id: str
    name: str
    whole: str
    """The JSON of the input, if it came with the begin of the block: some gateways do that, and
    some of these write it once more in pieces."""
    arguments: Arguments = attrs.field(factory=Arguments)

    def add(self, text: str) -> str:
        """Take a piece and return what of it can be given on now."""
        if text[:1] == "{" and not self.arguments.is_empty and self.arguments.repeats(text):
            return ""
        return self.arguments.add(text)

    def end(self) -> str:
        """Nothing more comes: return what was held back."""
        if self.whole and not self.arguments.text:
            self.arguments = Arguments()
            text, self.whole = self.arguments.add(self.whole), ""
            return text
        return self.arguments.end()


@attrs.define(eq=False)
class Block:
    """A block of any type. Those that aren't known are kept as they come."""

    fields: dict[str, Any]
    """As the provider began it, without what grows."""
    call: Call | None = None
    _grown: dict[str, list[str]] = attrs.field(factory=dict, init=False)

    @property
    def type(self) -> str:
        return str(self.fields.get("type", ""))

    @property
    def takes_input(self) -> bool:
        """Whether it calls a tool, ours or one of the provider's servers."""
        return self.call is not None or self.type.endswith("tool_use")

    def grow(self, name: str, text: str) -> None:
        """Append to a text of the block."""
        if name not in self._grown:
            begin = self.fields.pop(name, None)
            self._grown[name] = [begin] if isinstance(begin, str) else []
        self._grown[name].append(text)

    def add_input(self, text: str) -> None:
        """Append to the JSON of a server tool's input."""
        self.grow(_INPUT, text)

    def add_citation(self, citation: dict[str, Any]) -> None:
        """Append to what the text is said to be taken from."""
        if not isinstance(self.fields.get("citations"), list):
            self.fields["citations"] = []
        self.fields["citations"].append(citation)

    def add_unknown(self, delta: dict[str, Any]) -> None:
        """Take a delta of a type that isn't known: text grows, whatever else is new replaces."""
        for name, value in delta.items():
            if name == "type":
                continue
            if isinstance(value, str):
                self.grow(name, value)
            else:
                self.fields[name] = value
                self._grown.pop(name, None)

    def written(self) -> dict[str, Any] | None:
        """Return it as it goes back, a call without its id; None if it says nothing."""
        fields = {**self.fields, **{name: _joined(each) for name, each in self._grown.items()}}
        text = fields.pop(_INPUT, "")
        if self.call is not None:
            fields |= {"name": self.call.name}
            text = self.call.arguments.text
        elif self.type in ("text", "thinking"):
            return fields if fields.get(self.type) or fields.get("signature") else None
        input_ = _json_object(text)
        return fields if input_ is None else {**fields, "input": input_}


def _joined(pieces: list[str]) -> str:
    # Encoding joins the halves of surrogate pairs; decoding replaces those that stand alone.
    return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _json_object(text: Any) -> dict[str, Any] | None:
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
