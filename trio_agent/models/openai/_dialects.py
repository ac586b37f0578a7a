"""What some providers take in a form of their own. Pure functions.

Sources: the Gemini API reference, "Schema" (a subset of OpenAPI 3.0); Mistral's refusal of other
call ids than nine letters and digits, and OpenAI's of those with more than 40 characters.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_MISTRAL_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")

_KEPT: Final = (
    *("type", "format", "description", "nullable", "enum", "required", "pattern"),
    *("minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum"),
)
_FORMATS: Final = frozenset({"enum", "date-time", "float", "double", "int32", "int64"})

_MAX_OPENAI_ID: Final = 40


def openai_id(call_id: str) -> str:
    """Return an id of 40 characters at most that stands for a call id; its own, if it is short.

    Those of sub-agents' calls are long: the ids of the calls that they are in come first.
    """
    if len(call_id) <= _MAX_OPENAI_ID:
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"call_{digest[: _MAX_OPENAI_ID - 5]}"


def mistral_id(call_id: str) -> str:
    """Return nine letters and digits that stand for a call id; its own, if it is of that form."""
    if _MISTRAL_ID.fullmatch(call_id):
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(digest)[:9].decode()


def gemini_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Say in Gemini's terms what can be said in them. The tool checks the rest by itself.

    References are put in where they stand; one that leads back to itself ends there. A schema
    without any property becomes an empty one: Gemini wants none at all then.
    """
    converted = _Converter(schema).convert(schema, ())
    return converted if converted.get("properties") else {}


class _Converter:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def convert(self, schema: Any, inside: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(schema, Mapping):
            return {"type": "string"}  # anything, for which there is no word
        if isinstance(ref := schema.get("$ref"), str):
            if ref in inside:
                return {"type": "object"}
            others = {name: value for name, value in schema.items() if name != "$ref"}
            return self.convert({**self._find(ref), **others}, (*inside, ref))
        schema = _plain(schema)
        result = {name: schema[name] for name in _KEPT if name in schema}
        if choices := schema.get("anyOf"):
            return self._choose(result, choices, inside)
        if isinstance(properties := schema.get("properties"), Mapping):
            result["properties"] = {
                name: self.convert(value, inside) for name, value in properties.items()
            }
        if "required" in result:
            known = result.get("properties", {})
            result["required"] = [name for name in result["required"] if name in known]
        if result.get("type") == "array":
            result["items"] = self._items(schema, inside)
        return result

    def _find(self, ref: str) -> Mapping[str, Any]:
        found: Any = self._root
        for name in ref.removeprefix("#").strip("/").split("/"):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def _choose(
        self, result: dict[str, Any], choices: Iterable[Any], inside: tuple[str, ...]
    ) -> dict[str, Any]:
        converted = [self.convert(choice, inside) for choice in choices]
        some = [choice for choice in converted if choice.get("type") != "null"]
        if len(some) < len(converted):
            result["nullable"] = True
        if len(some) <= 1:
            some = some or [{"type": "string"}]
            return {**some[0], **result}
        return {**result, "anyOf": some}

    def _items(self, schema: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        items = [self.convert(item, inside) for item in schema.get("prefixItems", ())]
        if isinstance(schema.get("items"), Mapping):
            items.append(self.convert(schema["items"], inside))
        different = [item for number, item in enumerate(items) if item not in items[:number]]
        if len(different) > 1:
            return {"anyOf": different}
        return different[0] if different else {"type": "string"}


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Say with words that Gemini has what others say with more of them."""
    plain = dict(schema)
    for part in plain.pop("allOf", ()):
        plain = {**part, **plain}
    if "oneOf" in plain:
        plain["anyOf"] = plain.pop("oneOf")
    if isinstance(types := plain.get("type"), list):
        del plain["type"]
        plain["anyOf"] = [{**plain, "type": type_} for type_ in types]
    if "const" in plain:
        plain["enum"] = [plain.pop("const")]
    if values := plain.get("enum"):
        if None in values:
            plain["nullable"] = True
        plain["enum"] = [value for value in values if value is not None]
        if all(isinstance(value, str) for value in plain["enum"]):
            plain["type"] = "string"
        else:
            _describe(plain, f"One of {', '.join(map(str, plain.pop('enum')))}.")
    for exclusive, inclusive, step in (
        ("exclusiveMinimum", "minimum", 1),
        ("exclusiveMaximum", "maximum", -1),
    ):
        if isinstance(bound := plain.get(exclusive), int | float):
            plain[inclusive] = bound + step if plain.get("type") == "integer" else bound
    if plain.get("format") not in _FORMATS and (format_ := plain.pop("format", None)):
        _describe(plain, f"Format: {format_}.")
    return plain


def _describe(schema: dict[str, Any], text: str) -> None:
    schema["description"] = f"{schema.get('description', '')} {text}".strip()
