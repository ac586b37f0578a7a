"""What a tool returned, as the JSON that the log keeps and the text that the model reads."""

from typing import Any, Final

import msgspec

from .._errors import ToolError
from .._log.plain import is_deep
from ._schema import encode

MAX_OUTPUT: Final = 2**20
"""The default bound on a tool's output, in bytes of JSON."""


def encode_output(value: object, *, max_output: int = MAX_OUTPUT) -> Any:
    """The JSON value of what a tool returned: str, int, float, bool, None, list, and dict by str.

    Dataclasses, attrs classes, structs, pydantic models, enums, dates, sets and bytes (base64)
    have a JSON form; NaN and infinities become None.

    Raises:
        ToolError: the value has no JSON form, is nested more than 100 deep, or its JSON is longer
            than `max_output` bytes.
    """
    try:
        text = encode(value)
        if len(text) > max_output:
            raise ToolError(
                f"the output is {len(text)} bytes long, {max_output} are allowed: ask for less"
            )
        output = msgspec.json.decode(text)
    except RecursionError:
        raise ToolError("the output is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise ToolError(
            f"the tool returned a {type(value).__name__} that has no JSON form: {error}"
        ) from error
    if is_deep(output):
        raise ToolError("the output is nested too deeply")
    return output


def output_text(output: Any) -> str:
    """What the model reads of an encoded output: a str as it is, anything else as compact JSON."""
    return output if isinstance(output, str) else msgspec.json.encode(output).decode()
