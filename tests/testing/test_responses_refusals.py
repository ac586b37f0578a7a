"""How OpenAI's API says what is wrong."""

from typing import Any

import pytest

from trio_agent.testing._responses_refusals import (
    Refused,
    check_keys,
    check_length,
    check_name,
    check_value,
    required,
)


def test_what_is_well_is_passed() -> None:
    check_keys({"a": 1}, ("a", "b"), "x")
    check_length("a" * 64, "x")
    check_name("a-B_1", "x")
    check_value("a", ("a", "b"), "x")
    assert required({"a": 0}, "a", "x") == 0


@pytest.mark.parametrize(
    ("check", "arguments", "param", "code"),
    [
        (check_keys, ({"c": 1}, ("a",), "input[0]"), "input[0].c", "unknown_parameter"),
        (check_keys, ({"c": 1}, ("a",), ""), "c", "unknown_parameter"),
        (check_length, ("", "x"), "x", "empty_string"),
        (check_length, ("a" * 65, "x"), "x", "string_above_max_length"),
        (check_name, ("a b", "x"), "x", "invalid_value"),
        (check_name, (None, "x"), "x", "missing_required_parameter"),
        (check_value, ("c", ("a", "b"), "x"), "x", "invalid_value"),
        (required, ({"a": None}, "a", "x"), "x.a", "missing_required_parameter"),
    ],
)
def test_what_is_not(check: Any, arguments: Any, param: str, code: str) -> None:
    with pytest.raises(Refused) as info:
        check(*arguments)
    assert (info.value.error["param"], info.value.error["code"]) == (param, code)
    assert info.value.status == 400
