"""Model calls that are repeated, and those that never are."""

from functools import partial

import pytest
import trio
import trio.testing

from trio_agent._errors import ModelError
from trio_agent._run.retry import generate_with_retries
from trio_agent.models._parts import ModelFinish, ModelPart, ModelRequest, TextPart
from trio_agent.testing import Line, ScriptedModel

REQUEST = ModelRequest(())


def passing(retry_after: float | None = None) -> ModelError:
    return ModelError("busy", "come back", retryable=True, retry_after=retry_after)


async def ask(*answers: list[Line], retries: int = 3, window: float = 15) -> tuple[str, float, int]:
    """What was said, in how many seconds, by how many calls."""
    said: list[str] = []
    delays: list[float] = []

    async def emit(*parts: ModelPart) -> None:
        await trio.lowlevel.checkpoint()
        said.extend(part.delta for part in parts)

    model = ScriptedModel(*answers)
    begin = trio.current_time()
    try:
        finish = await generate_with_retries(
            partial(model.generate, REQUEST, emit),  # type: ignore[arg-type]
            lambda: not said,
            lambda failure, delay: delays.append(delay),
            retries=retries,
            window=window,
        )
        assert finish == ModelFinish("stop")
    except ModelError as exc:
        said.append(exc.code)
    assert len(delays) == len(model.requests) - 1
    return "".join(said), trio.current_time() - begin, len(model.requests)


async def test_what_may_pass_is_repeated(autojump_clock: trio.testing.MockClock) -> None:
    text, seconds, calls = await ask([passing()], [passing()], ["hello"])
    assert (text, calls) == ("hello", 3)
    assert 0.75 <= seconds <= 1.5


async def test_as_often_as_it_may(autojump_clock: trio.testing.MockClock) -> None:
    text, _, calls = await ask([passing()], [passing()], [passing()], retries=2)
    assert (text, calls) == ("busy", 3)
    text, seconds, calls = await ask([passing()], retries=0)
    assert (text, seconds, calls) == ("busy", 0, 1)


async def test_as_late_as_it_may(autojump_clock: trio.testing.MockClock) -> None:
    text, seconds, calls = await ask([10.0, passing()], [passing()], window=10)
    assert (text, seconds, calls) == ("busy", 10, 1)


async def test_the_providers_wish_is_respected(autojump_clock: trio.testing.MockClock) -> None:
    assert await ask([passing(7)], ["hello"]) == ("hello", 7, 2)
    assert await ask([passing(20)], ["hello"]) == ("busy", 0, 1)


@pytest.mark.parametrize(
    ("answer", "text"),
    [([ModelError("wrong-key", "no")], "wrong-key"), ([TextPart("He"), passing()], "Hebusy")],
)
async def test_what_is_never_repeated(answer: list[Line], text: str) -> None:
    said, _, calls = await ask(answer, ["hello"])
    assert (said, calls) == (text, 1)
