"""The file of a batch's results: its lines, whose they are, and what a crash leaves of them."""

import fcntl
import json
import os
import stat
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from trio_agent import Agent, Mapped, OpenAIModel, Result, RunFailed, Usage
from trio_agent.local import LocalModel
from trio_agent.servers.cli import _results
from trio_agent.servers.cli._inputs import Item
from trio_agent.servers.cli._results import Outcome, fingerprint, open_results, outcome_of
from trio_agent.servers.cli._usage import UsageError

AGENT = Agent(model="m", name="a", instructions="Be brief.")
ITEMS = [Item(index, f"hash{index}", None, f"prompt {index}") for index in range(3)]


def outcome(index: int, status: str = "stop", *, agent: Agent = AGENT) -> Outcome:
    item = ITEMS[index]
    return Outcome(index=index, input=item.hash, agent=fingerprint(agent), status=status)


def write(path: Path, *outcomes: Outcome) -> bytes:
    with open_results(path) as results:
        for each in outcomes:
            results.add(each)
    return path.read_bytes()


def read(path: Path, items: list[Item] = ITEMS, agent: Agent = AGENT) -> dict[int, str]:
    with open_results(path) as results:
        return results.read(items, agent)


def look() -> str:
    """Look."""
    return ""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def test_the_last_line_of_an_input_counts(path: Path) -> None:
    write(path, outcome(1, "error"), outcome(0), outcome(1, "timeout"))
    write(path, outcome(1))
    assert read(path) == {0: "stop", 1: "stop"}


def test_a_line_is_compact_json(path: Path) -> None:
    failed = Mapped(1, "prompt 1", "r", 1.5, None, RunFailed("odd", "no"), 0.25)
    said = json.loads(write(path, outcome_of(AGENT, ITEMS[1], failed, now=1_700_000_000)))
    assert said == {
        "index": 1,
        "input": "hash1",
        "agent": fingerprint(AGENT),
        "model": "m",
        "status": "error",
        "runId": "r",
        "error": {"code": "odd", "message": "no"},
        "seconds": 1.5,
        "ttft": 0.25,
        "startedAt": 1_699_999_998_500,
        "endedAt": 1_700_000_000_000,
    }


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    ("tp", "value", "status", "output"),
    [
        (Point, Point(1), "stop", {"x": 1}),
        (Point | None, None, "stop", None),
        # What there is then is text, and no output.
        (Point, '{"x":', "length", "missing"),
        (None, "text", "stop", "missing"),
    ],
)
def test_output_stands_beside_the_text(
    path: Path, tp: Any, value: Any, status: str, output: Any
) -> None:
    agent = Agent(model="m", output=tp)
    result = Result("r", "It", 1, status, Usage(), (), output=value)
    mapped = Mapped(1, "prompt 1", "r", 1.5, result, None, None)
    said = json.loads(write(path, outcome_of(agent, ITEMS[1], mapped, now=0)))
    assert said["text"] == "It"
    assert said.get("output", "missing") == output
    assert read(path, agent=agent) == {1: status}


def test_what_a_failed_run_cost_is_told(path: Path) -> None:
    usage = Usage(10, 2, 12, 8, 1)
    result = Result("r", "It", 2, "error", usage, ())
    failed = Mapped(1, "prompt 1", "r", 1.5, None, RunFailed("odd", "no", result), 0.25)
    said = json.loads(write(path, outcome_of(AGENT, ITEMS[1], failed, now=1_700_000_000)))
    assert said["steps"] == 2
    assert said["usage"] == {
        "inputTokens": 10,
        "outputTokens": 2,
        "totalTokens": 12,
        "cachedInputTokens": 8,
        "reasoningTokens": 1,
    }
    assert "text" not in said, "half an answer is none"


class TestHalfALine:
    """What a process or a machine that died has left."""

    @pytest.mark.parametrize("length", [1, 5, 9, 12, -2, -1])
    def test_it_is_cut_off_and_said(
        self, length: int, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        whole = write(path, outcome(0))
        half = msgspec.json.encode(outcome(1))[:length]
        path.write_bytes(whole + half)
        assert read(path) == {0: "stop"}
        assert path.read_bytes() == whole
        said = f"{path}: half a line at the end was removed, its input is run again\n"
        assert capsys.readouterr().err == said
        assert read(path) == {0: "stop"}
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            (b'"a"\n"b"', 1),
            (b"hello", 1),
            (b'{"a":1}\n', 1),
            (b"\n", 1),
            (b'{"indexes"', 1),
            (b"\0" * 9, 1),
            (b"[" * 100_000 + b"\n", 1),
        ],
    )
    def test_files_of_others_are_left_as_they_are(
        self, content: bytes, line: int, path: Path
    ) -> None:
        path.write_bytes(content)
        with pytest.raises(UsageError, match=f"line {line} is no result: give another --out"):
            read(path)
        assert path.read_bytes() == content


class TestOfOthers:
    @pytest.mark.parametrize(
        "items",
        [ITEMS[:1], [ITEMS[1], ITEMS[0]], [ITEMS[0], attrs.evolve(ITEMS[1], hash="other")], []],
    )
    def test_inputs(self, items: list[Item], path: Path) -> None:
        write(path, outcome(0), outcome(1))
        with pytest.raises(UsageError, match="results of other inputs"):
            read(path, items)

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "b"},
            {"instructions": "Be long."},
            {"model": OpenAIModel("n")},
            {"model": LocalModel("m.gguf"), "name": "b"},
            {"tools": [look]},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_agents(self, change: dict[str, object], path: Path) -> None:
        content = write(path, outcome(0))
        with pytest.raises(UsageError, match="results of another agent"):
            read(path, agent=attrs.evolve(AGENT, **change))
        assert path.read_bytes() == content

    @pytest.mark.parametrize(
        "change",
        [{"options": {"max_tokens": 9}}, {"model": OpenAIModel("m", base_url="http://b/v1")}],
        ids=lambda change: next(iter(change)),
    )
    def test_what_may_differ(self, change: dict[str, object], path: Path) -> None:
        write(path, outcome(0))
        assert read(path, agent=attrs.evolve(AGENT, **change)) == {0: "stop"}

    def test_lines_of_older_versions(self, path: Path) -> None:
        path.write_bytes(b'{"index":0,"input":"hash0","status":"stop","text":"A"}\n')
        assert read(path) == {0: "stop"}


class TestFile:
    def test_a_new_one_is_private(self, path: Path) -> None:
        with open_results(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_another_one_stays_as_it_is(self, path: Path) -> None:
        path.touch(0o644)
        path.chmod(0o644)
        write(path, outcome(0))
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    @pytest.mark.parametrize(
        ("name", "why"), [(".", "Is a directory"), ("no/results.jsonl", "No such file")]
    )
    def test_that_can_not_be_written(self, name: str, why: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=f"can't write .*: {why}"):
            write(tmp_path / name)

    def test_one_batch_at_a_time(self, path: Path) -> None:
        with path.open("ab") as out:
            fcntl.flock(out, fcntl.LOCK_EX)
            with pytest.raises(UsageError, match="another batch is writing"):
                read(path)
        assert read(path) == {}

    def test_full_disk(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: str, flags: int) -> int:
            return os.open("/dev/full", flags)

        monkeypatch.setattr(_results, "_private", full)
        with pytest.raises(UsageError, match=r"can't write .*: No space left on device"):
            write(path, outcome(0))
