"""A call that the model writes: what its arguments are in the end."""

from typing import Any

import pytest

from trio_agent._events import ToolRequest
from trio_agent._run.open_call import OpenCall


@pytest.mark.parametrize(
    ("fragments", "value"),
    [
        ([], {}),
        ([" ", "\n"], {}),
        (["nu", "ll"], {}),
        (["[", "]"], {}),
        (['{"a"', ":", "1}"], {"a": 1}),
        (['"{\\"a\\"', ':1}"'], {"a": 1}),
        (['{"a":'], '{"a":'),
        (["[" * 200, "]" * 200], "[" * 200 + "]" * 200),
    ],
)
def test_its_arguments(fragments: list[str], value: Any) -> None:
    call = OpenCall("1", "t")
    call.fragments += fragments
    assert call.as_request() == ToolRequest("1", "t", value)
