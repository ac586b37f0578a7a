"""What viewers are shown of a server's progress."""

from typing import Any

import pytest

from trio_agent.tools.mcp._progress import progress_of


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"progressToken": "t", "progress": 3}, {"progress": 3}),
        (
            {"progress": 0.5, "total": 2, "message": "so far"},
            {"progress": 0.5, "total": 2, "message": "so far"},
        ),
        ({"progress": float("nan"), "total": float("inf"), "message": None}, {}),
        ({"progress": "3", "message": 3}, {}),
        ({"message": "x" * 2000}, {"message": "x" * 1000}),
        ({}, {}),
    ],
)
def test_progress(params: dict[str, Any], shown: dict[str, Any]) -> None:
    assert progress_of(params) == shown
