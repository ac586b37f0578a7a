"""One answer: what its body is, and which deadline runs when."""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing
from model_kit import Emitted

from trio_agent._errors import ModelError
from trio_agent._http.exchange import Exchange
from trio_agent.models._parts import ModelFinish, ModelPart, TextPart
from trio_agent.models._provider._answer import MAX_ERROR, Answer
from trio_agent.models.openai._chat import ChatDecoder

Clock: TypeAlias = trio.testing.MockClock

FIRST, BETWEEN = 100.0, 10.0


def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


A = chunk({"content": "a"})
EMPTY = chunk({})
COMMENT = b": keep-alive\n\n"
FINISH = chunk({}, "stop")
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}


class Client:
    """Its one response is a script: bytes come at once, numbers are seconds that pass before."""

    def __init__(self, script: tuple[bytes | float, ...], status: int = 200) -> None:
        self.status_code = status
        self.headers: dict[str, str] = {}
        self._script = iter(script)

    async def send(self, request: object, *, stream: bool) -> "Client":
        return self

    @property
    def stream(self) -> "Client":
        return self

    def __aiter__(self) -> "Client":
        return self

    async def __anext__(self) -> bytes:
        for step in self._script:
            if isinstance(step, bytes):
                return step
            await trio.sleep(step)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Slow(Emitted):
    """Its run waits for a store."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def room(self) -> None:
        await trio.sleep(self.seconds)


class Quick(Emitted):
    def nowait(self, *parts: ModelPart) -> bool:
        super().nowait(*parts)
        return True


async def take(
    *script: bytes | float, emit: Emitted | None = None, status: int = 200, **options: Any
) -> tuple[Answer, Emitted, float]:
    """Take an answer; also tell after how many seconds it ended."""
    emit = Quick() if emit is None else emit
    began = trio.current_time()
    answer = Answer(
        ChatDecoder(),
        emit,
        trio.CancelScope(deadline=began + FIRST),
        first_token=FIRST,
        between_tokens=BETWEEN,
        **options,
    )
    with answer.scope:
        await Exchange(answer).run(Client(script, status), "request")
    return answer, emit, trio.current_time() - began


class TestDeadlines:
    @pytest.mark.parametrize(
        ("script", "seconds"),
        [
            ((1000.0,), FIRST),
            ((50.0, COMMENT, 1000.0), FIRST),
            ((50.0, b"\n\n", 1000.0), FIRST),
            ((99.0, A, 1000.0), 99 + BETWEEN * 1.1),
            ((A, 1000.0), BETWEEN * 1.1),
            ((A, 9.0, COMMENT, 9.0, EMPTY, 1000.0), BETWEEN * 1.1),
            ((A, 9.0, A, 9.0, A, 1000.0), 18 + BETWEEN * 1.1),
        ],
    )
    async def test_only_tokens_move_them(
        self, autojump_clock: Clock, script: tuple[bytes | float, ...], seconds: float
    ) -> None:
        answer, _, passed = await take(*script)
        assert answer.scope.cancelled_caught
        assert passed == pytest.approx(seconds)

    @pytest.mark.parametrize(
        ("script", "seconds"),
        [
            ((90.0, COMMENT, 90.0, b"\n\n", 90.0, EMPTY, 1000.0), 270 + FIRST * 1.1),
            ((A, 9.0, COMMENT, 9.0, EMPTY, 1000.0), 18 + BETWEEN * 1.1),
        ],
    )
    async def test_or_whatever_comes(
        self, autojump_clock: Clock, script: tuple[bytes | float, ...], seconds: float
    ) -> None:
        answer, _, passed = await take(*script, keep_alive_counts=True)
        assert answer.scope.cancelled_caught
        assert passed == pytest.approx(seconds)

    async def test_none_runs_while_the_run_waits_for_its_store(self, autojump_clock: Clock) -> None:
        answer, emitted, passed = await take(A, 1.0, A, FINISH, DONE, emit=Slow(1000))
        assert not answer.scope.cancelled_caught
        assert passed == 1001
        assert emitted == [TextPart("a")] * 2

    @pytest.mark.parametrize("pending", [A, COMMENT, EMPTY])
    async def test_what_is_handed_on_meanwhile_does_not_start_one(
        self, autojump_clock: Clock, pending: bytes
    ) -> None:
        """The second read comes while there is no room: it is handed on, and waited behind."""
        script = (A, 1.0, pending, 0.0, A, 5.0, FINISH, DONE)
        answer, _, passed = await take(*script, emit=Slow(1000), keep_alive_counts=True)
        assert not answer.scope.cancelled_caught
        assert passed > 1000

    async def test_it_goes_on_behind_the_wait(self, autojump_clock: Clock) -> None:
        answer, _, passed = await take(A, 1.0, A, 1000.0, emit=Slow(500))
        assert answer.scope.cancelled_caught
        assert passed == pytest.approx(1 + 500 + BETWEEN * 1.1)

    @pytest.mark.parametrize("keep_alive_counts", [False, True])
    async def test_a_finished_answer_is_not_waited_for(
        self, autojump_clock: Clock, keep_alive_counts: bool
    ) -> None:
        script = (A, FINISH, *[0.5, COMMENT] * 100)
        answer, _, passed = await take(*script, keep_alive_counts=keep_alive_counts)
        assert passed == 2
        assert answer.decoder.finish() == ModelFinish("stop")

    async def test_but_its_usage_is(self, autojump_clock: Clock) -> None:
        answer, _, passed = await take(A, FINISH, 1.5, USAGE, *[0.5, COMMENT] * 100)
        assert passed == 2
        assert answer.decoder.finish().usage.total_tokens == 3

    async def test_a_token_behind_the_finish_is_waited_for(self, autojump_clock: Clock) -> None:
        _, emitted, passed = await take(A, FINISH, 1.5, A, 1000.0)
        assert (emitted, passed) == ([TextPart("a")] * 2, 1.5 + 1.1 * 10)

    async def test_nor_is_the_end_of_a_connection_that_said_all(
        self, autojump_clock: Clock
    ) -> None:
        _, _, passed = await take(b'{"choices": [{"message": {"content": "a"}}]', b"}", 1000.0)
        assert passed == 2

    async def test_but_chunks_in_lines_are_waited_for(self, autojump_clock: Clock) -> None:
        first = b'{"choices": [{"delta": {"content": "a"}}]}\n'
        last = b'{"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]}\n'
        answer, emitted, passed = await take(first, 9.0, last)
        await answer.end()
        assert (emitted, passed) == ([TextPart("a"), TextPart("b")], 9)
        assert answer.decoder.finish().reason == "stop"

    async def test_the_end_is_waited_for_so_that_the_connection_may_be_used_again(
        self, autojump_clock: Clock
    ) -> None:
        assert (await take(A, FINISH, DONE, 1000.0))[2] == 1
        assert (await take(A, FINISH, DONE, 0.5))[2] == 0.5
        assert (await take(A, b"data: nonsense\n\n", 1000.0))[2] == 0

    async def test_an_error_has_five_seconds(self, autojump_clock: Clock) -> None:
        answer, _, passed = await take(b"no", 1000.0, status=500)
        assert (bytes(answer.body), answer.kind, passed) == (b"no", "refusal", 5)


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (A + DONE, "stream"),
        (b"\xef\xbb\xbf\r\n" + A, "stream"),
        (COMMENT + A, "stream"),
        (b"event: x\n" + A, "stream"),
        (b' \n{"error": 1}', "whole"),
        (b"\xef\xbb\xbf[{}]", "whole"),
        (b"\n<!DOCTYPE html>", "refusal"),
        (b"", None),
        (b"\n \n", None),
    ],
)
async def test_its_beginning_tells_what_it_is(body: bytes, kind: str | None, size: int) -> None:
    reads = [body[start : start + size] for start in range(0, len(body), size)]
    answer, emitted, _ = await take(*reads)
    assert answer.kind == kind
    assert bytes(answer.body) == (body.lstrip(b"\xef\xbb\xbf \r\n") if kind != "stream" else b"")
    assert emitted == ([TextPart("a")] if kind == "stream" else [])


@pytest.mark.parametrize("status", [199, 300, 404, 500])
async def test_any_status_but_success_is_a_refusal(status: int) -> None:
    answer, emitted, _ = await take(A, status=status)
    assert (answer.kind, answer.status, emitted) == ("refusal", status, [])


async def test_a_whole_completion() -> None:
    body = json.dumps(WHOLE).encode()
    answer, emitted, _ = await take(body[:10], body[10:], status=201)
    assert emitted == []
    await answer.end()
    assert emitted == [TextPart("a")]
    assert answer.decoder.finish() == ModelFinish("stop")


async def test_what_is_no_stream_is_bounded() -> None:
    answer, _, _ = await take(b"<", *[0.0, b"x" * MAX_ERROR] * 10)
    assert len(answer.body) == 1 + MAX_ERROR
    answer, emitted, _ = await take(b"{", *[0.0, b"x" * (1 << 20)] * 20)
    assert len(answer.body) == 1 + (16 << 20)
    with pytest.raises(ModelError, match="bad-response: the answer is larger"):
        await answer.end()
    assert emitted == []
