"""An agent over the lines of a file: what is written, what is refused, how it is taken up."""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from cli_kit import refused
from process_kit import PATIENCE, environment, open_process
from trio.testing import MockClock

from trio_agent import (
    Agent,
    MemoryStore,
    ModelError,
    SQLiteStore,
    StoreUnavailable,
    Tool,
    _file_lock,
    tool,
)
from trio_agent.abc import Emit, Model, ModelFinish, ModelRequest, Store, TextPart
from trio_agent.servers.cli._batch import BatchOptions, batch
from trio_agent.servers.cli._usage import UsageError
from trio_agent.testing import FaultyStore, call
from trio_agent.testing.openai import (
    Answer,
    RecordedRequest,
    finish,
    open_scripted_openai,
    pause,
    text,
)


class Echo(Model):
    """Repeats what it hears; `fail`, `wait` and others do what they say, until it is cured."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.requests: list[ModelRequest] = []
        self.pace = 1.0
        self.cured = False
        self.active = self.most = 0
        self.on_done: Callable[[], object] = lambda: None

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        said = request.messages[-1].content
        self.heard.append(said)
        self.requests.append(request)
        self.active += 1
        self.most = max(self.most, self.active)
        try:
            await trio.sleep(self.pace)
            if said == "wait" and not self.cured:
                await trio.sleep_forever()
            if said == "fail" and not self.cured:
                raise ModelError("refused", "no")
            if said == "ask":
                await emit(call("c", "send"))
                return ModelFinish("tool-calls")
            if said == "nothing":
                return ModelFinish("stop")
            await emit(TextPart(said.upper()))
            if said == "slowly":
                await trio.sleep(10)
                await emit(TextPart("."))
        finally:
            self.active -= 1
            self.on_done()
        return ModelFinish("length" if said == "cut" and not self.cured else "stop")


class Batch:
    def __init__(self, folder: Path) -> None:
        self.prompts = folder / "prompts.jsonl"
        self.out = folder / "results.jsonl"
        self.model = Echo()
        self.instructions = ""
        self.tools: list[Tool] = []

    def write(self, *lines: object) -> None:
        self.prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))

    async def run(
        self,
        *,
        concurrency: int = 8,
        deadline: float | None = None,
        store: Store | None = None,
        retry_failed: bool = False,
    ) -> int:
        options = BatchOptions(
            agent=Agent(model=self.model, instructions=self.instructions, tools=self.tools),
            prompts=self.prompts,
            out=self.out,
            concurrency=concurrency,
            deadline=deadline,
            store=store,
            retry_failed=retry_failed,
        )
        return await batch(options)

    @property
    def results(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.out.read_text().splitlines()]
        return sorted(found, key=lambda result: int(result["index"]))


@pytest.fixture
def files(tmp_path: Path) -> Batch:
    return Batch(tmp_path)


USAGE = ("inputTokens", "outputTokens", "totalTokens", "cachedInputTokens", "reasoningTokens")


async def test_all_kinds_of_lines(
    files: Batch, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    files.write(
        "a",
        {"prompt": "b", "id": "mine"},
        {"messages": [*said, {"role": "user", "content": "c"}], "id": 7},
    )
    assert await files.run() == 0
    first, second, third = files.results
    assert first.pop("input") != second.pop("input")
    assert len(first.pop("runId")) == 32
    assert len(first.pop("agent")) == 16
    # By the clock of the wall, when it was written.
    assert first.pop("endedAt") - first.pop("startedAt") == 1000
    assert first == {
        "index": 0,
        "model": "Echo",
        "status": "stop",
        "text": "A",
        "steps": 1,
        "usage": dict.fromkeys(USAGE, 0),
        "seconds": 1.0,
        "ttft": 1.0,
    }
    assert (second["id"], second["text"]) == ("mine", "B")
    assert (third["id"], third["text"]) == (7, "C")
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "0/3, 0 failed",
        "1/3, 0 failed, 1.0/s, 2 s left",
        "2/3, 0 failed, 2.0/s, 0 s left",
        "3/3, 0 failed, 3.0/s",
    ]


async def test_bare_arrays_of_messages(files: Batch, autojump_clock: MockClock) -> None:
    """What a conversation is elsewhere; they mean what `messages` means."""
    said = [
        {"role": "system", "content": "Shout."},
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "X"},
    ]
    bare = [*said, {"role": "user", "content": "a"}]
    files.write(bare, {"messages": bare}, [{"role": "user", "content": "b"}])
    assert await files.run(concurrency=1) == 0
    assert [result["text"] for result in files.results] == ["A", "A", "B"]
    one, two, three = files.model.requests
    assert one.messages == two.messages
    assert [message.content for message in one.messages] == ["Shout.", "x", "X", "a"]
    assert [message.content for message in three.messages] == ["b"]
    # Done is done, whatever the form of the line.
    assert await files.run() == 0
    assert len(files.model.heard) == 3


async def test_errors_are_lines(
    files: Batch, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write("a", "fail", "b")
    assert await files.run() == 1
    assert [result["status"] for result in files.results] == ["stop", "error", "stop"]
    failed = files.results[1]
    assert failed["error"] == {"code": "refused", "message": "no"}
    assert "text" not in failed
    assert len(failed["runId"]) == 32
    hint = "failed: 1 error; --retry-failed runs them again"
    assert capsys.readouterr().err.splitlines()[-2:] == ["3/3, 1 failed, 3.0/s", hint]
    # They are results: they are not run again, but still counted.
    assert await files.run() == 1
    assert len(files.model.heard) == 3
    said = ["3 of 3 were done before", "3/3, 1 failed", hint]
    assert capsys.readouterr().err.splitlines() == said


@tool(approval=True)
def send() -> str:
    """Send."""
    raise AssertionError


async def test_a_run_that_waits_is_an_outcome(
    files: Batch, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write("ask", "a")
    files.tools = [send]
    assert await files.run() == 1
    assert [result["status"] for result in files.results] == ["waiting", "stop"]
    assert "error" not in files.results[0]
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "failed: 1 waiting; --retry-failed runs them again"


async def test_deadline_and_concurrency(files: Batch, autojump_clock: MockClock) -> None:
    files.write(*["a"] * 7, "wait")
    assert await files.run(concurrency=3, deadline=5) == 1
    assert files.model.most == 3
    assert [result["status"] for result in files.results] == ["stop"] * 7 + ["timeout"]
    assert files.results[-1]["seconds"] == 5


class TestRetryFailed:
    async def test_what_is_no_whole_answer_is_run_again(
        self, files: Batch, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files.write("a", "fail", "wait", "cut", "b")
        assert await files.run(deadline=5) == 1
        summary = "failed: 1 error, 1 length, 1 timeout; --retry-failed runs them again"
        assert capsys.readouterr().err.splitlines()[-1] == summary
        before = files.out.read_bytes()
        files.model.heard.clear()
        files.model.cured = True
        assert await files.run(retry_failed=True, concurrency=1) == 0
        assert files.model.heard == ["fail", "wait", "cut"]
        assert capsys.readouterr().err.splitlines() == [
            "2 of 5 were done before",
            *("2/5, 0 failed", "3/5, 0 failed, 1.0/s, 2 s left"),
            *("4/5, 0 failed, 1.0/s, 1 s left", "5/5, 0 failed, 1.0/s"),
        ]
        # Nothing was lost on the way; the last line of an input is what came of it.
        assert files.out.read_bytes().startswith(before)
        files.model.heard.clear()
        assert await files.run() == await files.run(retry_failed=True) == 0
        assert files.model.heard == []

    async def test_what_fails_again_is_counted_once(
        self, files: Batch, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        files.write("fail", "a")
        assert await files.run() == await files.run(retry_failed=True) == 1
        capsys.readouterr()
        assert await files.run() == 1
        said = capsys.readouterr().err.splitlines()
        assert said[:2] == ["2 of 2 were done before", "2/2, 1 failed"]
        assert files.model.heard.count("fail") == 2
        assert len(files.results) == 3


async def test_another_agent_is_refused(files: Batch, autojump_clock: MockClock) -> None:
    files.write("a")
    await files.run()
    files.instructions = "Whisper."
    with pytest.raises(UsageError, match="results of another agent"):
        await files.run()
    assert files.model.heard == ["a"]


async def test_what_a_model_says_of_itself(files: Batch, autojump_clock: MockClock) -> None:
    """The first token, and not the last one."""
    files.write("slowly", "nothing")
    files.model.pace = 2
    await files.run()
    slowly, nothing = files.results
    assert (slowly["ttft"], slowly["seconds"]) == (2, 12)
    assert "ttft" not in nothing


async def test_taken_up_behind_half_a_line(
    files: Batch, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write("a", "b", "c")
    await files.run(concurrency=1)
    whole = files.out.read_bytes()
    first = whole.index(b"\n") + 1
    for length in (0, 1, first - 1, first, first + 1, first + 9, first + 60, len(whole) - 1):
        files.out.write_bytes(whole[:length])
        files.model.heard.clear()
        assert await files.run(concurrency=1) == 0
        assert files.model.heard == ["a", "b", "c"][whole[:length].count(b"\n") :]
        assert [result["text"] for result in files.results] == ["A", "B", "C"]
        assert files.out.read_bytes().startswith(whole[: whole.rfind(b"\n", 0, length) + 1])
    assert "2 of 3 were done before" in capsys.readouterr().err


async def test_nothing_to_do(
    files: Batch, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write()
    assert await files.run() == 0
    assert files.out.read_bytes() == b""
    assert capsys.readouterr().err == "0/0, 0 failed\n"


class TestRefused:
    async def test_results_of_other_inputs(self, files: Batch, autojump_clock: MockClock) -> None:
        files.write("a", "b")
        await files.run()
        results = files.out.read_bytes()
        for lines in (["a", "c"], ["a"], ["b", "a"]):
            files.write(*lines)
            with pytest.raises(UsageError, match="results of other inputs"):
                await files.run()
        # More of them are welcome.
        files.write("a", "b", "c")
        files.model.heard.clear()
        await files.run()
        assert files.model.heard == ["c"]
        assert files.out.read_bytes().startswith(results)

    def test_system_without_file_locks(
        self, files: Batch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(_file_lock, "fcntl", None)
        files.write("a")
        arguments = ["batch", str(files.prompts), "--out", str(files.out), "--model", "m"]
        assert refused(arguments, capsys) == (
            f"trio-agent: error: can't write {files.out}: this system has no POSIX file locks\n"
        )
        assert files.out.read_bytes() == b""

    async def test_model_that_is_away(
        self, files: Batch, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def check() -> None:
            raise ModelError("connect", "nobody there")

        files.write("a")
        monkeypatch.setattr(files.model, "check", check)
        with pytest.raises(UsageError, match="nobody there"):
            await files.run()


async def test_store_that_goes_away_ends_it(files: Batch, autojump_clock: MockClock) -> None:
    """What is missing is no error of the inputs: it can be run later."""
    files.write("a", "b", "c")
    store = FaultyStore(MemoryStore())
    files.model.on_done = lambda: store.away.add("create")
    with pytest.raises(StoreUnavailable):
        await files.run(concurrency=1, store=store)
    assert [result["text"] for result in files.results] == ["A"]
    assert await files.run(concurrency=1) == 0
    assert [result["text"] for result in files.results] == ["A", "B", "C"]


async def test_runs_are_in_the_store(files: Batch, tmp_path: Path) -> None:
    files.write("a", "fail")
    files.model.pace = 0
    assert await files.run(store=SQLiteStore(tmp_path / "runs.db")) == 1
    store = SQLiteStore(tmp_path / "runs.db", follow=True)
    async with store.open():
        found = {info.record.run_id for info in await store.find(None, None, 10)}
    assert found == {result["runId"] for result in files.results}


@pytest.mark.parametrize("reader", ["gone", "asleep"])
async def test_nobody_reads_what_it_says(reader: str, files: Batch, tmp_path: Path) -> None:
    files.write("a", "b")
    reading, writing = os.pipe()
    if reader == "gone":
        os.close(reading)
    else:
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
    arguments = ["batch", str(files.prompts), "--out", str(files.out), "--concurrency", "1"]
    async with open_scripted_openai([[text("A"), finish()]] * 2) as provider:
        with trio.fail_after(PATIENCE):
            done = await trio.run_process(
                [sys.executable, "-m", "trio_agent", *arguments],
                env=environment(OPENAI_BASE_URL=provider.base_url),
                stderr=writing,
                check=False,
            )
    os.close(writing)
    if reader == "asleep":
        os.close(reading)
    assert done.returncode == 0
    assert [result["text"] for result in files.results] == ["A", "A"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_ended_in_the_middle(number: signal.Signals, tmp_path: Path) -> None:
    files = Batch(tmp_path)
    files.write(*[f"p{number}" for number in range(20)])
    heard: list[str] = []
    go_on = trio.Event()

    def answer(request: RecordedRequest) -> Answer:
        said = request.body["messages"][-1]["content"]
        heard.append(said)
        if len(heard) > 7:
            yield pause(go_on)
        yield from (text(said.upper()), finish())

    def command(model_url: str) -> Any:
        arguments: Sequence[str] = (str(files.prompts), "--out", str(files.out))
        return open_process(
            "batch", *arguments, "--concurrency", "3", cwd=tmp_path, OPENAI_BASE_URL=model_url
        )

    async with open_scripted_openai([answer] * 100) as provider:
        async with command(provider.base_url) as process:
            await process.until(b"6/20, 0 failed", process.stderr)
            process.process.send_signal(number)
            expected = -number if number == signal.SIGKILL else 130
            assert await process.process.wait() == expected
            assert process.stdout == b""
            assert b"Traceback" not in process.stderr
        done = {result["index"] for result in files.results}
        assert 6 <= len(done) <= 7
        with files.out.open("ab") as out:
            out.write(b'{"index":19,"inp')
        go_on.set()
        heard.clear()
        async with command(provider.base_url) as process:
            assert await process.process.wait() == 0, process.stderr
            await process.until(b"20/20, 0 failed", process.stderr)
            assert b"half a line at the end was removed" in process.stderr
            assert b"\n%d of 20 were done before\n" % len(done) in process.stderr
    assert len(heard) == 20 - len(done)
    assert [result["text"] for result in files.results] == [f"P{number}" for number in range(20)]
