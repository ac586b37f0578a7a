"""What instruments are told: small values, and nothing of what was said."""

import attrs
import pytest

from trio_agent._instrument import facts as module
from trio_agent._instrument.facts import ModelEnd, RunEnd, StepEnd, ToolEnd

VALUES = [
    each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__
]
SAID = {"prompt", "messages", "text", "content", "input", "output", "arguments", "message"}


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_frozen_and_has_nothing_of_what_was_said(
    value: type[attrs.AttrsInstance],
) -> None:
    assert not {field.name for field in attrs.fields(value)} & SAID


def test_without_more_being_known_it_was_cancelled() -> None:
    assert (RunEnd().outcome, ToolEnd().status) == ("cancelled", "cancelled")
    assert (StepEnd().error, ModelEnd().error) == (None, None)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        RunEnd().outcome = "stop"  # type: ignore[misc]
