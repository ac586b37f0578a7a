"""What is declared about an MCP server."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

from trio_agent.tools.mcp import MCPServer


def program(**options: Any) -> MCPServer:
    return MCPServer.stdio("/opt/mail-mcp", "--key", "hush", env={"KEY": "hush"}, **options)


def url(**options: Any) -> MCPServer:
    return MCPServer.http("https://example.com/hush?k=hush", headers={"A": "hush"}, **options)


@pytest.mark.parametrize(
    ("server", "name", "fingerprint"),
    [
        (program(), "mail-mcp", '["mcp","stdio:/opt/mail-mcp",null,null,"runtime"]'),
        (
            program(prefix="mail", only=["b", "a"], cwd=Path("hush"), scope="run"),
            "mail",
            '["mcp","stdio:/opt/mail-mcp","mail",["a","b"],"run"]',
        ),
        (
            url(approval=["b", "a"], retry_safe=True),
            "example.com",
            '["mcp","https://example.com",null,null,"runtime",["a","b"]]',
        ),
        (url(), "example.com", '["mcp","https://example.com",null,null,"runtime"]'),
    ],
)
def test_says_no_secrets(server: MCPServer, name: str, fingerprint: str) -> None:
    assert server.name == name
    assert server.fingerprint() == fingerprint
    assert repr(server) == f"<MCPServer {name}>"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"prefix": "my mail"}, ValueError, "letters, digits"),
        ({"prefix": ""}, ValueError, "letters, digits"),
        ({"prefix": "x" * 33}, ValueError, "at most 32"),
        ({"only": "add"}, TypeError, "a list of names"),
        ({"approval": "add"}, TypeError, "a list of names"),
        ({"retry_safe": None}, TypeError, "a list of names"),
        ({"only": ["add"], "approval": ["ad"]}, ValueError, "names what only= leaves out: ad"),
        ({"scope": "process"}, ValueError, "'runtime' or 'run'"),
        ({"open_deadline": 0}, ValueError, "more than 0"),
        ({"open_deadline": float("nan")}, ValueError, "more than 0"),
    ],
)
def test_bad_options(options: Any, error: type[Exception], message: str) -> None:
    for make in (program, url):
        with pytest.raises(error, match=message):
            make(**options)


@pytest.mark.parametrize(
    ("approval", "may_wait"), [(False, False), ([], False), (True, True), (["add"], True)]
)
def test_whether_its_calls_may_wait(approval: Any, may_wait: bool) -> None:
    assert program(approval=approval).may_wait is may_wait


WITHOUT = """
import sys
sys.modules["mcp"] = None
import trio_agent
from trio_agent.tools.mcp import MCPServer
try:
    MCPServer.stdio("mail-mcp")
except ModuleNotFoundError as exc:
    print(exc)
"""


@pytest.mark.parametrize(
    ("source", "output"),
    [
        (WITHOUT, 'MCPServer needs the MCP SDK: pip install "trio-agent[mcp]"\n'),
        ("import sys, trio_agent, trio_agent.tools.mcp; print('mcp' in sys.modules)", "False\n"),
    ],
)
def test_the_sdk_is_imported_when_it_is_needed(source: str, output: str) -> None:
    command = [sys.executable, "-W", "error", "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (output, "")
