"""What Responses refuse in their input."""

from typing import Any

import pytest

from trio_agent.testing._responses_input import check_input
from trio_agent.testing._responses_refusals import Refused
from trio_agent.testing._responses_writer import Ledger

RS, FC, MSG = "rs_1", "fc_1", "msg_1"
SEALED = "gAAAAABscripted"
USER = {"type": "message", "role": "user", "content": "Hi"}
REASONING = {"type": "reasoning", "summary": [], "encrypted_content": SEALED}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "x"}
SAID = {"type": "output_text", "text": "Hi", "annotations": []}
ANSWER = {"type": "message", "role": "assistant", "content": [SAID]}
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,eA=="}
FILE = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,eA=="}


def ledger() -> Ledger:
    stored = {RS: REASONING, FC: CALL, MSG: ANSWER}
    return Ledger(stored=stored, reasoning_before={FC: RS}, encrypted={SEALED})


def user(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts)}


@pytest.mark.parametrize(
    ("items", "stores"),
    [
        ([], False),
        ([{"role": "user", "content": "Hi"}], False),
        ([USER, ANSWER, USER], False),
        ([user({"type": "input_text", "text": "x"}, IMAGE, FILE)], False),
        ([user({"type": "input_file", "file_url": "https://x/y"})], False),
        ([user({"type": "input_text", "text": "x"}, role="developer")], False),
        ([USER, REASONING, CALL, OUTPUT], False),
        ([USER, REASONING, ANSWER, REASONING, CALL, OUTPUT, USER], False),
        ([USER, CALL, OUTPUT], False),
        ([USER, {**REASONING, "id": RS}, {**CALL, "id": FC}, OUTPUT], True),
        ([USER, {**ANSWER, "id": MSG, "status": "completed", "phase": "final_answer"}], True),
        ([{"type": "web_search_call", "status": "completed", "action": {}}, ANSWER], False),
    ],
)
def test_what_is_taken(items: list[Any], stores: bool) -> None:
    check_input(items, ledger(), stores=stores)


FOREIGN = "Item with id '{}' not found."
UNSTORED = (
    f"{FOREIGN} Items are not persisted when `store` is set to false. Try again with `store` set to"
    " true, or remove this item from your input."
)


@pytest.mark.parametrize(
    ("items", "stores", "message"),
    [
        ([CALL], False, "No tool output found for function call call_1."),
        ([USER, REASONING, CALL, USER], False, "No tool output found for function call call_1."),
        ([OUTPUT], False, "No tool call found for function call output with call_id call_1."),
        ([OUTPUT, CALL], False, "No tool call found for function call output with call_id call_1."),
        (
            [CALL, OUTPUT, OUTPUT], False,
            "No tool call found for function call output with call_id call_1.",
        ),
        (
            [{**REASONING, "encrypted_content": "gAAAAABothers=="}, ANSWER], False,
            "The encrypted content gAAA...rs== could not be verified.",
        ),
        ([{**REASONING, "id": RS}, ANSWER], False, UNSTORED.format(RS)),
        ([{**ANSWER, "id": MSG}], False, UNSTORED.format(MSG)),
        ([{**CALL, "id": FC}, OUTPUT], False, UNSTORED.format(FC)),
        ([{**ANSWER, "id": "msg_9"}], True, FOREIGN.format("msg_9")),
        (
            [{**ANSWER, "id": MSG}] * 2, True,
            "Duplicate item found with id msg_1. Remove duplicate items from your input and try",
        ),
        (
            [{**CALL, "id": "call_1"}, OUTPUT], True,
            "Invalid 'input[0].id': 'call_1'. Expected an ID that begins with 'fc'.",
        ),
        (
            [{**CALL, "id": FC}, OUTPUT], True,
            "Item 'fc_1' of type 'function_call' was provided without its required",
        ),
        (
            [{**REASONING, "id": RS}], True,
            "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
        ),
        (
            [{**REASONING, "id": RS}, USER], True,
            "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
        ),
        (
            [REASONING, OUTPUT], False,
            "No tool call found for function call output with call_id call_1.",
        ),
        ([{"type": "reasoning"}, ANSWER], False, "Missing required parameter: 'input[0].summary'."),
        (
            [{**REASONING, "status": "completed"}, ANSWER], False,
            "Unknown parameter: 'input[0].status'.",
        ),
        ([{**USER, "name": "x"}], False, "Unknown parameter: 'input[0].name'."),
        ([{**USER, "role": "tool"}], False, "Invalid value: 'tool'. Supported values are: 'user',"),
        (
            [{"role": "tool", "tool_call_id": "x", "content": "y"}], False,
            "Unknown parameter: 'input[0].tool_call_id'.",
        ),
        (
            [user(SAID)], False,
            "Invalid value: 'output_text'. Supported values are: 'input_text', 'input_image',",
        ),
        (
            [user({"type": "input_text", "text": "x"}, role="assistant")], False,
            "Invalid value: 'input_text'. Supported values are: 'output_text', 'refusal'.",
        ),
        ([user({"type": "input_audio"})], False, "Invalid value: 'input_audio'. Supported values"),
        ([user({"type": "text", "text": "x"})], False, "Invalid value: 'text'. Supported values"),
        (
            [user({"type": "input_image", "image_url": "eA=="})], False,
            "Invalid 'input[0].content[0].image_url'. Expected a valid URL,",
        ),
        (
            [user({"type": "input_image", "image_url": None})], False,
            "Missing required parameter: 'input[0].content[0].image_url'.",
        ),
        (
            [user({"type": "input_file", "file_data": "x"})], False,
            "Missing required parameter: 'input[0].content[0].filename'.",
        ),
        (
            [{**CALL, "call_id": "a" * 65}, OUTPUT], False,
            "Invalid 'input[0].call_id': string too long. Expected a string with maximum",
        ),
        (
            [{**CALL, "call_id": ""}, OUTPUT], False,
            "Invalid 'input[0].call_id': empty string. Expected a string with minimum length 1,",
        ),
        ([{**CALL, "name": "a b"}, OUTPUT], False, "Invalid 'input[0].name': string does not"),
        (
            [CALL, {"type": "function_call_output", "call_id": "call_1"}], False,
            "Missing required parameter: 'input[1].output'.",
        ),
        (
            [{**CALL, "arguments": {}}, OUTPUT], False,
            "Invalid type for 'input[0].arguments': expected a string.",
        ),
        ([user("x")], False, "Invalid type for 'input[0].content[0]': expected an object."),
        ([{"type": "tool"}], False, "Invalid value: 'tool'. Supported values are: 'message',"),
        (["Hi"], False, "Invalid type for 'input[0]'"),
    ],
)  # fmt: skip
def test_what_is_refused(items: list[Any], stores: bool, message: str) -> None:
    with pytest.raises(Refused) as info:
        check_input(items, ledger(), stores=stores)
    assert str(info.value).startswith(message)
    assert info.value.status == (404 if "not found." in message else 400)


def test_encrypted_content_has_a_code_of_its_own() -> None:
    with pytest.raises(Refused) as info:
        check_input([{**REASONING, "encrypted_content": "x" * 9}, ANSWER], ledger(), stores=False)
    assert info.value.error["code"] == "invalid_encrypted_content"


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ([{"type": "input_text", "text": "x"}, IMAGE, FILE], None),
        ([{"type": "output_text", "text": "x"}], "input[2].output[0]"),
        ([IMAGE, {"type": "input_image", "image_url": "x"}], "input[2].output[1].image_url"),
        ({"a": 1}, "input[2].output"),
    ],
)
def test_what_an_output_may_hold(output: Any, place: str | None) -> None:
    given = [USER, CALL, {**OUTPUT, "output": output}]
    if place is None:
        check_input(given, ledger(), stores=False)
        return
    with pytest.raises(Refused) as caught:
        check_input(given, ledger(), stores=False)
    assert str(caught.value.error["param"]).startswith(place)
