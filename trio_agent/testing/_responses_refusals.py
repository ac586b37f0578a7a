"""How OpenAI's API says what is wrong with a request."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_NAME: Final = re.compile("[a-zA-Z0-9_-]+")
_MAX_LENGTH: Final = 64


class Refused(Exception):
    """A fault of a request.

    Args:
        message: in the API's words.
        param: where it is.
        code: the API's name for it.
        status: the HTTP status.
    """

    def __init__(
        self,
        message: str,
        param: str | None = None,
        code: str | None = None,
        *,
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {
            "message": message,
            "type": "invalid_request_error",
            "param": param,
            "code": code,
        }


def check_keys(value: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    """Refuse what nobody knows."""
    for name in sorted(value.keys() - set(known)):
        param = f"{place}.{name}" if place else name
        raise Refused(f"Unknown parameter: '{param}'.", param, "unknown_parameter")


def required(value: Mapping[str, Any], name: str, place: str) -> Any:
    """Return what has to be there."""
    if value.get(name) is None:
        param = f"{place}.{name}"
        code = "missing_required_parameter"
        raise Refused(f"Missing required parameter: '{param}'.", param, code)
    return value[name]


def check_type(value: Any, type_: type, place: str) -> None:
    """Refuse what is no text or no object."""
    if not isinstance(value, type_):
        wanted = "a string" if type_ is str else "an object"
        message = f"Invalid type for '{place}': expected {wanted}."
        raise Refused(message, place, "invalid_type")


def check_length(text: Any, place: str) -> None:
    """Refuse an empty text, and one of more than 64 characters."""
    check_type(text, str, place)
    if not text:
        raise Refused(
            f"Invalid '{place}': empty string. Expected a string with minimum length 1, but got an"
            " empty string instead.",
            place,
            "empty_string",
        )
    if len(text) > _MAX_LENGTH:
        raise Refused(
            f"Invalid '{place}': string too long. Expected a string with maximum length"
            f" {_MAX_LENGTH}, but got a string with length {len(text)} instead.",
            place,
            "string_above_max_length",
        )


def check_name(name: Any, place: str) -> None:
    """Refuse what is no name of a tool."""
    if name is None:
        code = "missing_required_parameter"
        raise Refused(f"Missing required parameter: '{place}'.", place, code)
    check_length(name, place)
    if not _NAME.fullmatch(name):
        raise Refused(
            f"Invalid '{place}': string does not match pattern. Expected a string that matches the"
            " pattern '^[a-zA-Z0-9_-]+$'.",
            place,
            "invalid_value",
        )


def check_value(value: Any, known: Iterable[str], place: str) -> None:
    """Refuse a value that is none of some."""
    names = list(known)
    if value not in names:
        listed = ", ".join(f"'{name}'" for name in names)
        raise Refused(
            f"Invalid value: '{value}'. Supported values are: {listed}.", place, "invalid_value"
        )
