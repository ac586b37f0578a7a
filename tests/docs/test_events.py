"""docs/events.md, which has to be complete: its tables are compared with the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import trio
from log_kit import check_log
from program_kit import REPOSITORY
from server_kit import SOON

import trio_agent.client
import trio_agent.local
import trio_agent.servers
import trio_agent.wire
from trio_agent import (
    Agent,
    AnyEvent,
    Limits,
    MemoryStore,
    ModelError,
    Nested,
    RunError,
    RunFailed,
    RunFinish,
    RunWaiting,
    ToolResult,
    TrioAgentError,
    Usage,
    open_runtime,
    tool,
)
from trio_agent._events import EVENT_TYPES, FinishReason, ToolStatus
from trio_agent._run.story import LOST
from trio_agent.abc import ModelFinish, RunRecord, SwitchPart, ToolInputPart
from trio_agent.models._provider._errors import error_from_response
from trio_agent.testing import Line, ScriptedModel, call, output
from trio_agent.wire import decode_event, encode_event

PAGE = (REPOSITORY / "docs" / "events.md").read_text()
SHOWN = dict(re.findall(r"<!-- test: ([a-z-]+) -->\n```json\n(.*?)\n```\n", PAGE, re.DOTALL))


def section(heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    text = PAGE.partition(f"\n{heading}\n")[2]
    assert text, heading
    return re.split(rf"^#{{1,{level}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def column(heading: str, number: int = 1) -> list[str]:
    """What stands in a column of the tables of a section, without its backticks."""
    lines = section(heading).splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line, below in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("| ") and not below.startswith("|--")
    ]
    return [row[number - 1].strip("`") for row in rows]


class TestEvents:
    def test_table(self) -> None:
        row = re.compile(r"^\| \[`([a-z-]+)`\]\(#([a-z-]+)\) \| `(\w+)` \| (.*?) \|", re.MULTILINE)
        table = {
            kind: (anchor, cls, re.findall(r"`(\w+)`", fields))
            for kind, anchor, cls, fields in row.findall(PAGE)
        }
        assert table == {
            kind: (kind, cls.__name__, [field for field in _fields(cls) if field != "at"])
            for kind, cls in EVENT_TYPES.items()
        }
        assert {kind for kind in EVENT_TYPES if f"\n### {kind}\n" in PAGE} == set(EVENT_TYPES)

    @pytest.mark.parametrize("name", SHOWN)
    def test_json(self, name: str) -> None:
        event = decode_event(SHOWN[name].encode())
        assert event is not None
        assert encode_event(event).decode() == SHOWN[name]
        assert type(event) is EVENT_TYPES[name.removesuffix("-reason").removesuffix("-output")]

    def test_every_event_is_shown(self) -> None:
        assert set(SHOWN) == {*EVENT_TYPES, "run-finish-reason", "run-finish-output"}
        assert PAGE.count("```json") == len(SHOWN)

    def test_terminal_events(self) -> None:
        for kind, cls in EVENT_TYPES.items():
            assert cls.terminal == section(f"### {kind}").lstrip().startswith("Terminal")

    def test_finish_reasons_and_statuses(self) -> None:
        assert column("### Finish reasons") == list(get_args(get_args(FinishReason)[0]))
        assert column("### tool-result") == list(get_args(get_args(ToolStatus)[0]))


def _fields(cls: type[AnyEvent]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(cls)]


def grammar() -> dict[str, str]:
    """The rules of the page."""
    rules: dict[str, str] = {}
    text = section("## Order").partition("```text\n")[2].partition("```")[0]
    for line in text.splitlines():
        if found := re.match(r"([a-z-]+) +=(/?) +([^;]*)", line):
            name, more, rule = found.groups()
            rules[name] = f"{rules[name]} / {rule.strip()}" if more else rule.strip()
    return rules


def expression(name: str, rules: dict[str, str]) -> str:
    """The regular expression of a rule of ABNF, as far as ours go."""
    if name in EVENT_TYPES:
        return f"<{name}>"
    choices = []
    for choice in rules[name].split(" / "):
        parts = ""
        for element in choice.split():
            found = re.fullmatch(r"(\*|1\*|\[)?([a-z-]+)\]?", element)
            assert found is not None, element
            suffix = {None: "", "*": "*", "1*": "+", "[": "?"}[found[1]]
            parts += f"(?:{expression(found[2], rules)}){suffix}"
        choices.append(parts)
    return "|".join(choices)


LOG = re.compile(expression("log", grammar()))


@tool
async def look(city: str) -> str:
    """Look."""
    return f"{city}: snow"


@tool(approval=True)
async def pay() -> None:
    """Pay."""


@tool
async def stare() -> None:
    """Look, and never stop."""
    await trio.sleep_forever()


OSLO = call("1", "look", city="Oslo")
BERGEN = call("2", "look", city="Bergen")
STARE = call("3", "stare")
PAY = call("4", "pay")
SWITCH = SwitchPart("one", "another", "rate-limit", "no more today")

RUNS: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "stop": (([OSLO, BERGEN], ["Snow."]), {}, "stop"),
    "silence": (([],), {}, "stop"),
    "switch": (([SWITCH, SWITCH, "a", OSLO], [SWITCH, "Snow."]), {}, "stop"),
    "switch and cut": (([SWITCH, "a", ModelError("cut-stream", "it broke")],), {}, "cut-stream"),
    "length": (([OSLO, ModelFinish("length")],), {}, "length"),
    "max-steps": (([OSLO], [OSLO]), {"max_steps": 2}, "max-steps"),
    "budget": ((["a", "b", "c"],), {"max_tokens": 2}, "budget"),
    "budget with calls": (
        ([OSLO, ModelFinish("tool-calls", Usage(5, 5, 10))],),
        {"max_tokens": 9},
        "budget",
    ),
    "cancelled": (([STARE, OSLO],), {}, "cancelled"),
    "timeout of a run": (([STARE, OSLO],), {"run_deadline": 0.01}, "timeout"),
    "timeout of a step": (([STARE, OSLO],), {"step_deadline": 0.01}, "timeout"),
    "timeout of a model": (
        (["a", ModelError("timeout-between-tokens", "it is silent")],),
        {},
        "timeout",
    ),
    "content-filter": ((["a", ModelFinish("content-filter")],), {}, "content-filter"),
    "cut-stream": ((["a", ModelError("cut-stream", "it broke")],), {}, "cut-stream"),
    "repeated": (
        ([ModelError("connect", "no", retryable=True, retry_after=0.0)], ["a"]),
        {},
        "stop",
    ),
    "own code": (([ModelError("own-code", "it is mine")],), {}, "own-code"),
    "internal": (([RuntimeError("a secret")],), {}, "internal"),
    "too-many-calls": (
        ([tuple(ToolInputPart(str(n), "look", "") for n in range(129))],),
        {},
        "too-many-calls",
    ),
}


class TestOrder:
    @pytest.mark.parametrize("name", RUNS)
    async def test_grammar(self, name: str, autojump_clock: trio.testing.MockClock) -> None:
        answers, limits, end = RUNS[name]
        agent = Agent(model=ScriptedModel(*answers), tools=[look, stare], limits=Limits(**limits))
        async with open_runtime() as runtime:
            run = await runtime.start(agent, "Hi")
            events: list[AnyEvent] = []
            async with run.subscribe() as subscription:
                async for event in subscription:
                    events.append(event)
                    if end == "cancelled" and isinstance(event, ToolResult):
                        run.request_cancel()
        assert LOG.fullmatch("".join(f"<{_kind(event)}>" for event in events)), events
        assert _end(events[-1]) == end
        check_log(events)

    @pytest.mark.parametrize(
        ("answers", "end"),
        [
            ([["a", call("1", "clerk", prompt="?"), OSLO], output(7)], "stop"),
            ([[call("1", "clerk", prompt="?"), *output(7)]], "stop"),
            ([[call("1", "clerk", prompt="?"), *output("x")], ["no"], output(7)], "stop"),
            ([output("x"), output("y")], "output-invalid"),
        ],
    )
    async def test_sub_agents_and_shapes(
        self, answers: list[list[Line]], end: str, autojump_clock: trio.testing.MockClock
    ) -> None:
        """The events nested in a call are a log by the same grammar, but for its end."""
        inner = ScriptedModel([OSLO, BERGEN], ["Snow."])
        clerk = Agent(model=inner, name="clerk", tools=[look])
        model = ScriptedModel(*answers)
        tools = [clerk.as_tool(), look]
        limits = Limits(output_retries=2 if end == "stop" else 1)
        agent = Agent(model=model, tools=tools, output=int, limits=limits)
        async with agent.stream_events("Hi") as channel:
            events = [event async for event in channel]
        check_log(events)
        assert LOG.fullmatch("".join(f"<{_kind(event)}>" for event in events)), events
        assert _end(events[-1]) == end
        within = "".join(f"<{_kind(e.event)}>" for e in events if isinstance(e, Nested))
        assert bool(LOG.fullmatch(within)) == ("1" in _succeeded(events)), within

    @pytest.mark.parametrize("approved", [True, False, None])
    async def test_runs_that_wait_and_repeat(
        self, approved: bool | None, autojump_clock: trio.testing.MockClock
    ) -> None:
        """With an answer that breaks off, a message, and an end in its sleep."""
        cut = ModelError("cut-stream", "it broke", retryable=True)
        model = ScriptedModel(["a", cut], ["b", PAY, OSLO], ["Done."])
        agent = Agent(model=model, tools=[look, pay])
        async with open_runtime() as runtime:
            run = await runtime.start(agent, "Hi")
            events: list[AnyEvent] = []
            async with run.subscribe() as subscription:
                async for event in subscription:
                    events.append(event)
                    if isinstance(event, RunWaiting) and len(event.calls) == 1:
                        if _kind(events[-2]) != "user-message":
                            await run.say("More.")
                        elif approved is None:
                            run.request_cancel()
                        else:
                            await run.answer("4", approved=approved)
        kinds = "".join(f"<{_kind(event)}>" for event in events)
        assert LOG.fullmatch(kinds), kinds
        assert _end(events[-1]) == ("cancelled" if approved is None else "stop")
        for kind in ("step-discard", "tool-request", "waiting", "continued", "user-message"):
            assert f"<{kind}>" in kinds

    async def test_server_that_died_before_the_run_had_begun(self) -> None:
        store = MemoryStore()
        created = await store.create(RunRecord("a" * 32, "e1", "agent", 0))
        assert created.lease is not None
        await store.release(created.lease)
        with trio.fail_after(SOON):
            async with open_runtime(store=store) as runtime:
                run = await runtime.find(created.run_id)
                with pytest.raises(RunFailed) as failure:
                    await run.wait()
                assert failure.value.code == "worker-lost"
                entries = (await store.read(created.run_id, 0, 10)).entries
        assert [_kind(entry.event) for entry in entries] == ["error"]
        assert LOG.fullmatch("<error>")

    @pytest.mark.parametrize(
        "log",
        [
            "",
            "<run-start>",
            "<run-finish>",
            "<run-start><run-finish><error>",
            "<run-start><step-finish><run-finish>",
            "<run-start><step-start><step-start><run-finish>",
            "<run-start><step-start><tool-result><run-finish>",
            "<run-start><step-start><tool-call><run-finish>",
            "<run-start><step-start><tool-call><tool-result><text-delta><run-finish>",
            "<run-start><step-start><tool-call><tool-result><step-finish><run-finish>",
            "<run-start><step-start><text-delta><model-switch><model-finish><run-finish>",
            "<run-start><step-start><model-finish><text-delta><step-finish><run-finish>",
            "<run-start><step-start><nested><model-finish><step-finish><run-finish>",
            "<run-start><step-start><model-finish><nested><step-finish><run-finish>",
            "<run-start><step-start><model-finish><tool-call><tool-progress><run-finish>",
            "<run-start><step-start><model-finish><tool-call><tool-result><nested><run-finish>",
            "<run-start><step-start><output-retry><model-finish><step-finish><run-finish>",
            "<run-start><step-start><text-delta><step-discard><text-delta><run-finish>",
            "<run-start><step-discard><run-finish>",
            "<run-start><waiting><run-finish>",
            "<run-start><step-start><user-message><text-delta><model-finish><run-finish>",
            "<run-start><step-start><model-finish><tool-request><tool-call><run-finish>",
            "<run-start><step-start><model-finish><tool-call><tool-result><tool-answer><error>",
        ],
    )
    def test_what_is_no_log(self, log: str) -> None:
        assert LOG.fullmatch(log) is None


def _succeeded(events: list[AnyEvent]) -> list[str]:
    outcomes = [event.tool for event in events if isinstance(event, ToolResult)]
    return [outcome.id for outcome in outcomes if outcome.status == "ok"]


def _kind(event: Any) -> str:
    return str(type(event).__struct_config__.tag)


def _end(event: AnyEvent) -> str:
    match event:
        case RunFinish(run=run):
            return run.finish_reason
        case RunError(error=error):
            return error.code
    raise AssertionError(event)


def _codes() -> list[str]:
    return column("## Codes of error events")


class TestOfModels:
    async def test_model_that_can_not_be_opened(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        assert await _code_of(Agent(model="m")) == "model-unavailable"

    @pytest.mark.parametrize(
        ("status", "code", "repeated"),
        [
            (400, "bad-request", ""),
            (401, "auth", ""),
            (403, "auth", ""),
            (404, "not-found", ""),
            (408, "provider-error", "yes"),
            (429, "rate-limit", "yes"),
            (503, "provider-error", "yes"),
        ],
    )
    def test_repeated(self, status: int, code: str, repeated: str) -> None:
        error = error_from_response(status, b"", {}, now=0.0)
        assert (error.code, error.retryable) == (code, bool(repeated))
        column_of = dict(zip(_codes(), column("## Codes of error events", 2), strict=True))
        assert column_of[code][:3] == repeated
        assert sum(text[:3] == "yes" for text in column_of.values()) == 4
        assert (column_of["connect"], column_of["cut-stream"]) == ("yes", "yes")


async def _code_of(agent: Agent) -> str:
    with pytest.raises(RunFailed) as failure:
        await agent.run("Hi")
    return failure.value.code


# The codes, as they stand in the source


CODE = re.compile(r"[a-z]+(-[a-z]+)*")

PLACE = {
    "Problem": 1,
    "Obstacle": 0,
    "ModelError": 0,
    "TransportError": 0,
    "ServerError": 1,
    "fail": 0,
    "Failure": 0,
    "close_log": 2,
    "ErrorDetail": 0,
}
"""Which argument of a call is a code."""

COMPUTED = {
    "code",  # of a table of the module
    "error.code",
    "exc.code",
    "failure.code",
    "plain_text(part.code)",  # of another model
    "obstacle.code",
    "part.code",  # of another model, by which it was replaced
    "name",  # of `_name`
    "LOST",  # `story.LOST`
    "plain_text(code)",  # of whoever calls `Ends.fail`
    "f'timeout-{name}'",  # of `_deadline_passed`
}
"""What else stands in its place; `codes` knows where these come from."""

CORE = REPOSITORY / "trio_agent"
SERVERS = REPOSITORY / "servers"


def codes(*names: str, within: Path) -> set[str]:
    """The codes that are passed to these functions somewhere in the source."""
    found: set[str] = set()
    for file in within.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name not in names or len(node.args) <= PLACE[name]:
                continue
            argument = node.args[PLACE[name]]
            match argument:
                case ast.Constant(value=str(code)):
                    assert CODE.fullmatch(code), ast.unparse(node)
                    found.add(code)
                case _ if name != "fail":
                    assert ast.unparse(argument) in COMPUTED, (file, ast.unparse(node))
    return found


def constants(file: Path, name: str) -> set[str]:
    """The codes among the strings in a function or an assignment of a module."""
    for node in ast.parse(file.read_text()).body:
        names = [getattr(node, "name", None), *map(_name_of, getattr(node, "targets", ()))]
        if name in (*names, _name_of(getattr(node, "target", None))):
            return {found for found in _strings(node) if CODE.fullmatch(found)}
    raise AssertionError(f"{file} has no {name}")


def _name_of(node: object) -> str | None:
    return getattr(node, "id", None)


def _strings(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        match child:
            case ast.Return(value=ast.expr() as value):
                yield from _texts(value)
            case ast.Dict(values=values):
                for value in values:
                    for each in value.elts if isinstance(value, ast.Tuple) else [value]:
                        yield from _texts(each)


def _texts(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _texts(body)
            yield from _texts(orelse)


HTTP_LIBRARY = constants(CORE / "_http" / "errors.py", "_CODES")
SHARED = constants(SERVERS / "_shared" / "problem.py", "_CODES") | {"internal"}
"""What exceptions mean to clients of every wire."""

TIMEOUTS = {"timeout-connect", "timeout-first-token", "timeout-between-tokens"}
OWN = {"draining", "not-ready"}  # of /health/ready


class TestCodes:
    def test_of_error_events(self) -> None:
        found = codes("ModelError", "fail", "Failure", "close_log", "ErrorDetail", within=CORE)
        found |= constants(CORE / "models" / "_provider" / "_errors.py", "_name")
        found |= (HTTP_LIBRARY - TIMEOUTS) | {LOST}
        assert set(_codes()) == found
        assert _codes() == sorted(_codes())

    def test_of_models(self) -> None:
        source = (CORE / "models" / "_provider" / "_model.py").read_text()
        names = set(re.findall(r'"((?:connect|first-token|between-tokens))"', source))
        assert {f"timeout-{name}" for name in names} == TIMEOUTS
        assert set(column("### The model's")) == TIMEOUTS

    def test_of_http(self) -> None:
        found = codes("Problem", within=SERVERS / "http") | SHARED
        found |= codes("Problem", "Obstacle", within=SERVERS / "_shared")
        table = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", section("## HTTP"), re.MULTILINE)
        assert {code for _, code in table} == found
        assert table == sorted(table)

    def test_statuses_of_http(self) -> None:
        table = dict(re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", section("## HTTP"), re.MULTILINE))
        source = "".join(file.read_text() for file in SERVERS.rglob("*.py"))
        for status, code in re.findall(r'Problem\(\s*(\d+), "([a-z-]+)"', source):
            if f"`{code}`" in section("## HTTP"):
                assert re.search(rf"^\| {status} \| `{code}` \|", PAGE, re.MULTILINE), code
        assert table

    def test_of_websocket(self) -> None:
        found = codes("Problem", within=SERVERS / "websocket") | SHARED
        found |= codes("Problem", within=SERVERS / "_shared")
        handshake = {"bad-host", "bad-origin", "unauthorized", "not-found"}
        assert set(column("## WebSocket")) == found - handshake - {
            "run-active",
            "unknown-blob",
            "unknown-thread",
        }  # HTTP only
        refused = section("## WebSocket").rpartition("A handshake is refused")[2]
        assert set(re.findall(r"`([a-z-]+)`", refused)) == handshake | {"internal"}

    def test_of_clients(self) -> None:
        found = codes("ServerError", "TransportError", within=CORE / "client")
        found |= HTTP_LIBRARY | {trio_agent.client._refusal.ErrorBody().code}
        assert set(column("### The client's exceptions")) == found

    def test_what_clients_make_of_them(self) -> None:
        text = section("### The client's exceptions").replace("\n", " ")
        for code, cls in trio_agent.client._refusal._ERRORS.items():
            assert f"`{code}` as `{cls.__name__}`" in text
        passing = set(re.findall(r"`([a-z-]+)`", text.partition("(")[2].partition(")")[0]))
        unavailable = {code for code in passing if code not in trio_agent.client._refusal._ERRORS}
        assert unavailable == passing == {"internal", *OWN, "run-moved"}

    def test_exceptions(self) -> None:
        rows = zip(column("## Exceptions"), column("## Exceptions", 2), strict=False)
        table = {name: module for name, module in rows if name[0].isupper()}
        defined = set(_subclasses(TrioAgentError)) | {trio_agent.servers.Unauthorized}
        assert set(table) == {cls.__name__ for cls in defined if cls.__module__.startswith("trio_")}
        for name, module in table.items():
            assert hasattr(__import__(module, fromlist=[name]), name), (module, name)


def _subclasses(cls: type[Exception]) -> Iterator[type[Exception]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
