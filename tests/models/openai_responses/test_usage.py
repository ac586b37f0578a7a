"""Tokens, as providers count them."""

from typing import Any

import pytest

from trio_agent._events import Usage
from trio_agent.models.openai_responses._usage import read_usage


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (
            {
                "input_tokens": 30,
                "input_tokens_details": {"cached_tokens": 20},
                "output_tokens": 12,
                "output_tokens_details": {"reasoning_tokens": 8},
                "total_tokens": 42,
            },
            Usage(30, 12, 42, 20, 8),
        ),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(3, 2, 5)),
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(3, 2, 5)),
        ({"input_tokens": "3", "output_tokens": 2.0}, Usage(3, 2, 5)),
        ({"input_tokens": 3, "output_tokens": None, "input_tokens_details": None}, Usage(3, 0, 3)),
        (None, Usage()),
        ({}, Usage()),
        ([], Usage()),
        ("x", Usage()),
        ({"input_tokens": -1}, Usage()),
    ],
)
def test_usage(value: Any, usage: Usage) -> None:
    assert read_usage(value) == usage
