"""Whose account pays."""

import pytest

from trio_agent.models.openai._model import OpenAIModel


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({}, {}),
        ({"organization": "org-1"}, {"OpenAI-Organization": "org-1"}),
        (
            {"organization": "o", "project": "p"},
            {"OpenAI-Organization": "o", "OpenAI-Project": "p"},
        ),
    ],
)
def test_headers(said: dict[str, str], sent: dict[str, str]) -> None:
    assert OpenAIModel("m", **said)._own_headers() == sent  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["organization", "project"])
def test_what_no_header_can_carry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        OpenAIModel("m", **{name: "a\nb"})  # type: ignore[arg-type]
