"""What a provider can hold an answer to, of what a JSON Schema says. Pure.

The rule: a schema may become narrower, never wider. Whatever a model writes by the narrower one has
the shape that was asked for: objects that say nothing of other properties get none, and what has a
default is always written. Of alternatives that can't both hold, any one is the only one.

Sources: OpenAI's guide "Structured Outputs", section "Supported schemas"; Anthropic's
documentation, "Structured outputs", section "JSON Schema limitations".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

_COMMON: Final = frozenset(
    (
        *("type", "title", "description", "properties", "required", "additionalProperties"),
        *("items", "enum", "const", "anyOf", "format", "$ref", "$defs"),
    )
)
_FORMATS: Final = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
)
_SAYS_WHAT: Final = ("type", "enum", "const", "anyOf", "$ref")
"""A schema without any of these lets everything pass."""


@attrs.frozen(kw_only=True)
class Subset:
    """What of JSON Schema a provider holds its models to; it refuses all else."""

    keywords: frozenset[str]
    formats: frozenset[str]
    may_lack: bool
    """Whether a property may be missing in an object."""
    max_depth: int
    max_properties: int

    def narrow(self, schema: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a schema that the provider can hold a model to, None if there is none.

        Args:
            schema: of an object.
        """
        narrowed = self._narrowed(schema)
        return narrowed if self._takes(narrowed) else None

    def _narrowed(self, schema: Any) -> Any:
        if not isinstance(schema, Mapping):
            return schema
        narrowed = {name: value for name, value in schema.items() if name != "default"}
        for name in ("properties", "$defs"):
            if name in narrowed:
                inner = narrowed[name].items()
                narrowed[name] = {each: self._narrowed(value) for each, value in inner}
        if _are_apart(narrowed.get("oneOf", ())) and "anyOf" not in narrowed:
            narrowed["anyOf"] = narrowed.pop("oneOf")
        if "anyOf" in narrowed:
            narrowed["anyOf"] = [self._narrowed(each) for each in narrowed["anyOf"]]
        if "items" in narrowed:
            narrowed["items"] = self._narrowed(narrowed["items"])
        if "properties" in narrowed:
            narrowed.setdefault("additionalProperties", False)
            required = schema.get("required", ())
            narrowed["required"] = [
                name
                for name, value in schema["properties"].items()
                if name in required or (isinstance(value, Mapping) and "default" in value)
            ]
        return narrowed

    def _takes(self, schema: Mapping[str, Any]) -> bool:
        """Whether a schema has nothing in it that the provider refuses."""
        if schema.get("type") != "object" or "anyOf" in schema:
            return False
        left: list[tuple[Any, int]] = [(schema, 0)]
        properties = 0
        while left:
            each, depth = left.pop()
            if not isinstance(each, Mapping) or depth > self.max_depth or not self._fits(each):
                return False
            properties += len(each.get("properties", ()))
            if properties > self.max_properties:
                return False
            is_object = "properties" in each
            left += ((inner, depth + is_object) for inner in _inner(each))
        return True

    def _fits(self, schema: Mapping[str, Any]) -> bool:
        if not (schema.keys() <= self.keywords and any(each in schema for each in _SAYS_WHAT)):
            return False
        if schema.get("format", "date") not in self.formats:
            return False
        types = schema.get("type", ())
        types = (types,) if isinstance(types, str) else types
        if "array" in types and "items" not in schema:
            return False
        if "object" not in types and "properties" not in schema:
            return True
        names = schema.get("properties", {}).keys()
        is_closed = schema.get("additionalProperties") is False
        return is_closed and (self.may_lack or names <= set(schema.get("required", ())))


def _are_apart(schemas: Sequence[Any]) -> bool:
    """Whether these are objects told apart by what one of their properties says, as a tag does."""
    tags: dict[str, list[Any]] = {}
    for schema in schemas:
        if not isinstance(schema, Mapping) or schema.get("type") != "object":
            return False
        properties = schema.get("properties", {})
        for name in schema.get("required", ()):
            tag = properties.get(name)
            if isinstance(tag, Mapping) and isinstance(tag.get("const"), str):
                tags.setdefault(name, []).append(tag["const"])
    return any(len(set(values)) == len(values) == len(schemas) for values in tags.values())


def _inner(schema: Mapping[str, Any]) -> Iterator[Any]:
    yield from schema.get("properties", {}).values()
    yield from schema.get("$defs", {}).values()
    yield from schema.get("anyOf", ())
    if "items" in schema:
        yield schema["items"]


OPENAI: Final = Subset(
    keywords=_COMMON
    | {"pattern", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"minItems", "maxItems"},
    formats=_FORMATS,
    may_lack=False,
    max_depth=10,
    max_properties=5000,
)
"""Which `strict: true` wants."""

ANTHROPIC: Final = Subset(
    keywords=_COMMON,
    formats=_FORMATS | {"uri"},
    may_lack=True,
    max_depth=10,
    max_properties=100,
)
"""Which `output_config.format` wants. How much of it a grammar can be made of is not told."""
