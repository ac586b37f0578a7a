"""The calls of a run that wait, put to a person one after the other."""

import io
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_agent import (
    AnswerRefused,
    AnyEvent,
    RunFinish,
    RunSummary,
    TextDelta,
    ToolAnswered,
    ToolAsked,
    ToolName,
    ToolRequest,
    Usage,
)
from trio_agent.servers.cli._questions import Questions
from trio_agent.servers.cli._render import Renderer


def asked(call_id: str, kind: str = "approval") -> ToolAsked:
    return ToolAsked(at=0, tool=ToolRequest(call_id, "rm", {"a": 1}), kind=kind, deadline=None)


def answered(call_id: str) -> ToolAnswered:
    return ToolAnswered(at=0, tool=ToolName(call_id, "rm"), approved=True)


def text(word: str) -> TextDelta:
    return TextDelta(at=0, delta=word)


FINISH = RunFinish(at=0, run=RunSummary("r", "", 1, "stop", Usage()))
ASKED = '?? rm({{"a":1}}) waits for somebody to approve it [{}]\n'


@attrs.define(slots=False)
class Person:
    """Somebody at the terminal, and the client that answers."""

    file: io.StringIO = attrs.field(factory=io.StringIO)
    answers: list[tuple[str, dict[str, Any]]] = attrs.field(factory=list)
    refuses: bool = False

    def __attrs_post_init__(self) -> None:
        self.type, self._lines = trio.open_memory_channel[str | None](9)

    async def ask(self, prompt: str) -> str | None:
        self.file.write(prompt)
        return await self._lines.receive()

    async def answer(self, run_id: str, call_id: str, **answer: Any) -> None:
        await trio.lowlevel.checkpoint()
        assert (run_id, answer.pop("arguments")) == ("r", {"a": 1})
        if self.refuses:
            raise AnswerRefused("the call was answered already")
        self.answers.append((call_id, answer))

    def questions(self, nursery: trio.Nursery) -> Questions:
        renderer = Renderer(self.file)
        return Questions(self, "r", renderer, self, nursery)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "line", "answer"),
    [
        ("approval", "y", {"approved": True}),
        ("approval", " Yes ", {"approved": True}),
        ("approval", "", {"approved": False, "reason": None}),
        ("approval", "NO", {"approved": False, "reason": None}),
        ("approval", "yesterday", {"approved": False, "reason": "yesterday"}),
        ("input", "y", {"output": "y"}),
        ("input", " a b", {"output": " a b"}),
    ],
)
async def test_what_a_line_means(kind: str, line: str, answer: dict[str, Any]) -> None:
    person = Person()
    async with trio.open_nursery() as nursery:
        person.questions(nursery).show(asked("c", kind))
        person.type.send_nowait(line)
    assert person.answers == [("c", answer)]


@pytest.mark.parametrize("kind", ["approval", "input"])
async def test_nobody_is_there(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    person = Person()
    async with trio.open_nursery() as nursery:
        person.questions(nursery).show(asked("c", kind))
        person.type.send_nowait(None)
    [(_, answer)] = person.answers
    assert answer["approved"] is False
    assert "the input has ended" in answer["reason"]
    assert capsys.readouterr().out == "\n"


async def test_one_after_the_other_and_nothing_is_printed_over_a_question() -> None:
    person = Person()
    async with trio.open_nursery() as nursery:
        questions = person.questions(nursery)
        news: list[AnyEvent | str] = [text("Well."), asked("c"), text("a"), asked("d"), text("b")]
        for each in [*news, "resumed"]:
            questions.show(each)
        await wait_all_tasks_blocked()
        question = f"{ASKED.format('c')}approve? [y/N] "
        assert person.file.getvalue() == f"Well.\n{question}"
        person.type.send_nowait("y")
        await wait_all_tasks_blocked()
        question += f"a\n{ASKED.format('d')}approve? [y/N] "
        assert person.file.getvalue() == f"Well.\n{question}"
        person.type.send_nowait("n")
    assert person.file.getvalue() == f"Well.\n{question}b\n-- resumed\n"
    assert [call_id for call_id, _ in person.answers] == ["c", "d"]


@pytest.mark.parametrize("end", [answered("c"), FINISH])
async def test_a_question_is_withdrawn(end: AnyEvent, capsys: pytest.CaptureFixture[str]) -> None:
    person = Person()
    async with trio.open_nursery() as nursery:
        questions = person.questions(nursery)
        questions.show(asked("c"))
        await wait_all_tasks_blocked()
        questions.show(end)
    assert "approve? [y/N] -- it needs no answer any more\n" in person.file.getvalue()
    assert person.answers == []


async def test_no_question_that_needs_no_answer() -> None:
    """It was answered, or the run has ended, while another one was asked."""
    person = Person()
    async with trio.open_nursery() as nursery:
        questions = person.questions(nursery)
        for each in (asked("c"), asked("d"), answered("d"), asked("e")):
            questions.show(each)
        await wait_all_tasks_blocked()
        questions.show(FINISH)
    assert person.file.getvalue().count("approve?") == 1


async def test_an_answer_that_is_refused() -> None:
    person = Person(refuses=True)
    async with trio.open_nursery() as nursery:
        person.questions(nursery).show(asked("c"))
        person.type.send_nowait("y")
    assert "-- not answered: the call was answered already\n" in person.file.getvalue()
