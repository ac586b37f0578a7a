"""The program of the subprocess: one line in, one line out, and its end with its input."""

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from local_fakes import is_gone, make_xllamacpp, script, starts

from trio_agent.local._errors import LocalModelUnavailable
from trio_agent.local._process import PROGRAM, ServerConfig, open_local_server

SOON = 60.0
"""Seconds: a process that takes longer hangs."""


def config(model: Path, **changes: Any) -> bytes:
    plain = {
        "path": str(model),
        "name": "name",
        "api_key": "key",
        "context_size": 100,
        "parallel": 3,
        "threads": 2,
        "chat_template": "template",
    }
    return json.dumps({**plain, **changes}).encode() + b"\n"


@contextmanager
def running(model: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the program, tell it what to serve, and end it in the end."""
    python, *rest = PROGRAM
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [python, *options, *rest], stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(config(model))
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode()


def test_serves_what_it_is_told(model: Path) -> None:
    script(model, slots=[{"is_processing": True}])
    with running(model) as process:
        word, url = line_of(process).split()
        assert word == "ready"
        request = urllib.request.Request(f"{url}/slots", headers={"Authorization": "Bearer key"})
        with urllib.request.urlopen(request, timeout=SOON) as response:
            assert json.load(response) == [{"is_processing": True}]
    [start] = starts(model)
    assert start == {
        "pid": process.pid,
        "api_keys": ["key"],
        "hostnames": ["127.0.0.1"],
        "port": 0,
        "n_ctx": 300,
        "n_parallel": 3,
        "chat_template": "template",
        "endpoint_slots": True,
        "ui": False,
        "verbosity": 1,
    }


def test_ends_with_its_input(model: Path) -> None:
    with running(model) as process:
        assert line_of(process).startswith("ready ")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(SOON) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert is_gone(process.pid)


def test_ends_with_its_input_while_it_loads(model: Path) -> None:
    script(model, hang=True)
    fifo = f"{model}.hangs"
    os.mkfifo(fifo)
    with running(model) as process:
        Path(fifo).read_bytes()  # It hangs now.
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(SOON) == 0
        assert line_of(process) == ""


def test_says_in_one_line_why_it_can_not_load(model: Path) -> None:
    script(model, fail="can't\n  load it")
    with running(model) as process:
        assert line_of(process) == "error can't load it\n"
        assert line_of(process) == ""
        assert process.wait(SOON) == 1
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_needs_nothing_that_is_installed_but_llama_cpp(model: Path) -> None:
    with running(model, "-S") as process:  # without site-packages: no Trio, nothing of ours
        assert line_of(process).startswith("ready ")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("raise ModuleNotFoundError('no')", r"pip install 'trio-agent\[local\]'"),
        (
            "raise ImportError('libgomp.so.1: cannot open shared object file')",
            "install the system package libgomp1",
        ),
        ("raise ImportError('symbol')", "llama.cpp can't be loaded: symbol"),
    ],
)
async def test_import_fails(model: Path, source: str, sentence: str) -> None:
    make_xllamacpp(model.parent, source)
    with pytest.raises(LocalModelUnavailable, match=sentence):
        async with open_local_server(ServerConfig(model, "name")):
            raise AssertionError("not reached")


def test_the_program_imports_nothing_of_ours() -> None:
    assert "trio" not in Path(PROGRAM[-1]).read_text().replace("Trio", "").replace("trio-agent", "")
