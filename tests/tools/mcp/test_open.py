"""A server while it is open: it can't be opened, its tools change, it dies and comes back."""

import logging
import sys

import pytest
import trio

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

from mcp_kit import KITS, PATIENCE, Progress, call, raw, refusal, sdk, serving, tools_of
from process_kit import free_port

from trio_agent import ToolError
from trio_agent._errors import ToolSourceError
from trio_agent.tools._context import ToolContext
from trio_agent.tools.mcp import MCPServer, _open


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (MCPServer.stdio("no-such-program", "hush"), "there is no program 'no-such-program'"),
        (
            MCPServer.stdio(sys.executable, cwd="/no/such/hush", prefix="kit"),
            "there is no program 'python', or no such folder to run it in",
        ),
        (
            MCPServer.stdio(str(KITS / "mcp_server.py")),
            "the program 'mcp_server.py' may not be run",
        ),
        (MCPServer.stdio("true", "hu\0sh"), "it failed (ValueError)"),
        (raw("exits"), "its process ended with status 7"),
        (raw("never-answers", open_deadline=0.1), "it did not answer within 0.1 s"),
        (
            raw("never-answers", "loud", "stays", open_deadline=0.1),
            "it did not answer within 0.1 s",
        ),
        (raw("long-line"), "it sent a message of more than 16 MiB"),
        (MCPServer.http("http://127.0.0.1:1/hush?k=hush"), "it can't be reached (connect)"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_can_not_be_opened(server: MCPServer, why: str) -> None:
    with trio.fail_after(PATIENCE):
        with pytest.raises(ToolSourceError) as caught:
            async with server.open():
                raise AssertionError
    assert str(caught.value) == f"the MCP server {server.name!r} can't be opened: {why}"
    assert "hush" not in str(caught.value)


async def test_is_left_by_the_exception_of_the_body() -> None:
    with trio.fail_after(PATIENCE), pytest.raises(KeyError, match="mine"):
        async with raw().open():
            raise KeyError("mine")


async def test_is_left_when_it_is_cancelled() -> None:
    with trio.fail_after(PATIENCE):
        with trio.CancelScope() as scope:
            async with raw("stays").open() as opened:
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        with pytest.raises(ToolError, match="is gone"):
            await opened._tools[0].call({}, ToolContext())


async def test_prefix_and_only(caplog: pytest.LogCaptureFixture) -> None:
    with trio.fail_after(PATIENCE):
        async with sdk(prefix="kit", only=["add", "shout", "fly"]).open() as opened:
            assert list(await tools_of(opened)) == ["kit_add", "kit_shout"]
    assert [record.message for record in caplog.records] == [
        "MCP server kit has no such tools now: fly"
    ]


async def test_what_holds_for_some(caplog: pytest.LogCaptureFixture) -> None:
    with trio.fail_after(PATIENCE):
        async with sdk(prefix="kit", approval=["add"], retry_safe=["fly"]).open() as opened:
            tools = await tools_of(opened)
    assert [name for name, tool in tools.items() if tool.may_wait] == ["kit_add"]
    assert not any(tool.retry_safe for tool in tools.values())
    assert [record.message for record in caplog.records] == [
        "MCP server kit has no such tools now: fly"
    ]


async def test_variables() -> None:
    with trio.fail_after(PATIENCE):
        async with sdk(env={"MINE": "1"}).open() as opened:
            assert await call(opened, "variable", name="MINE") == "1"
            assert await call(opened, "variable", name="PYTEST_CURRENT_TEST") == ""


async def test_pages() -> None:
    with trio.fail_after(PATIENCE):
        async with raw("pages").open() as opened:
            assert list(await tools_of(opened)) == ["t0", "t1", "t2"]


async def test_pages_without_end(caplog: pytest.LogCaptureFixture) -> None:
    with trio.fail_after(PATIENCE):
        async with raw("endless-pages").open() as opened:
            assert len(await opened.list_tools()) == 100
    assert [record.message for record in caplog.records] == [
        "MCP server python has more tools than can be offered; the first 100 are"
    ]


@pytest.mark.parametrize("way", ["stdio", "http"])
async def test_tools_that_change(way: str) -> None:
    with trio.fail_after(PATIENCE):
        async with serving() as http:
            server = sdk() if way == "stdio" else MCPServer.http(http.url)
            async with server.open() as opened:
                before = await opened.list_tools()
                assert await opened.list_tools() is before
                await call(opened, "grow", name="plus")
                # Over HTTP, what it says by itself comes on another connection.
                while "plus" not in await tools_of(opened):
                    await trio.lowlevel.checkpoint()
                assert await call(opened, "plus", a=1, b=2) == {"result": 3}


async def test_a_change_that_is_seen_with_the_next_list() -> None:
    """On one stream, what was said before an answer is known when the answer is."""
    changed = [["notifications/tools/list_changed", {}]]
    with trio.fail_after(PATIENCE):
        async with raw().open() as opened:
            await call(opened, "echo", notifications=changed)
            assert opened._sessions.newest.changed
            await opened.list_tools()
            assert not opened._sessions.newest.changed


async def test_a_list_that_is_refused_stays_what_it_was(caplog: pytest.LogCaptureFixture) -> None:
    changed = [["notifications/tools/list_changed", {}]]
    with trio.fail_after(PATIENCE):
        async with raw("never-lists-again").open() as opened:
            before = await opened.list_tools()
            await call(opened, "echo", notifications=changed)
            assert await opened.list_tools() is before
            assert await call(opened, "echo", say="here") == '"here"'
    assert "did not list its tools (ValidationError)" in caplog.text


async def test_a_process_that_died_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    with trio.fail_after(PATIENCE):
        async with sdk().open() as opened:
            by_name = await tools_of(opened)
            for _ in range(2):
                assert "its process ended with status 3" in await refusal(opened, "die")
                assert "is gone" in str(await _failure(by_name["add"]))
                assert await call(opened, "add", a=1, b=2) == {"result": 3}
                # Tools that were listed before are those of the new process, too.
                assert await by_name["add"].call({"a": 1, "b": 2}, ToolContext()) == {"result": 3}
    assert "is gone (its process ended with status 3): opening it" in caplog.text


async def _failure(tool) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await tool.call({"a": 1, "b": 2}, ToolContext())
    return caught.value


async def test_a_server_that_comes_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP: killed, away, there again on the same port."""
    port = free_port()
    with trio.fail_after(PATIENCE):
        async with serving(port=port) as first, MCPServer.http(first.url).open() as opened:
            tools = await opened.list_tools()
            await first.kill()
            assert "can't be reached" in await refusal(opened, "add", a=1, b=2)
            # It is tried once; what comes soon after that waits for nothing.
            assert await opened.list_tools() is tools
            session = opened._sessions.newest
            assert await opened.list_tools() is tools
            assert opened._sessions.newest is session
            assert "is gone" in await refusal(opened, "add", a=1, b=2)
            async with serving(port=port):
                monkeypatch.setattr(_open, "_REOPEN_PAUSE", 0)
                assert await call(opened, "add", a=1, b=2) == {"result": 3}
    assert "can't be opened: it can't be reached (connect)" in caplog.text


async def test_who_asks_and_is_cancelled_does_not_cancel_for_others() -> None:
    with trio.fail_after(PATIENCE):
        async with sdk().open() as opened:
            await refusal(opened, "die")
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    nursery.start_soon(opened.list_tools)
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
                await tools_of(opened)
            assert await call(opened, "add", a=1, b=2) == {"result": 3}


async def test_calls_that_are_open_when_it_is_closed() -> None:
    failures: list[str] = []

    async def wait(tool, progress: Progress) -> None:
        with pytest.raises(ToolError) as caught:
            await tool.call({"mark": "m"}, progress.context)
        failures.append(str(caught.value))

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery, sdk().open() as opened:
            progress = Progress()
            wait_tool = (await tools_of(opened))["wait"]
            nursery.start_soon(wait, wait_tool, progress)  # noqa: ASYNC111
            await progress.begun.wait()
    assert len(failures) == 1
    assert "is gone: it was closed" in failures[0]


async def test_says_nothing_on_our_streams(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trio_agent")
    with trio.fail_after(PATIENCE):
        async with raw("loud", "garbage").open() as opened:
            assert await call(opened, "echo", say="x") == '"x"'
    assert capfd.readouterr() == ("", "")
    assert any(r.message.startswith("MCP server python: noise noise") for r in caplog.records)
