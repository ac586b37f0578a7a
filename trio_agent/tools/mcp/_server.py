"""What is declared about an MCP server. The SDK is imported when the first one is declared."""

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from os import PathLike, fspath
from typing import Any, Literal

import msgspec

from .._source import OpenTools, ToolSource
from ._offer import Offer
from ._where import Command, Endpoint, Where


class MCPServer(ToolSource):
    """The tools of a Model Context Protocol server; made by `stdio` or `http`.

    What the server asks of us besides (to sample from a model, to ask a person, to list roots) is
    refused. A server that dies is an error of its open and later calls, which the model is told; it
    is opened again before the next step.
    """

    def __init__(
        self,
        where: Where,
        offer: Offer,
        *,
        scope: Literal["runtime", "run"],
        open_deadline: float,
    ) -> None:
        _require_mcp()
        if scope not in ("runtime", "run"):
            raise ValueError("scope is 'runtime' or 'run'")
        if not open_deadline > 0:
            raise ValueError("open_deadline is a number of seconds, more than 0")
        self.scope: Literal["runtime", "run"] = scope
        self._where = where
        self._offer = offer
        self._open_deadline = open_deadline

    @classmethod
    def stdio(
        cls,
        command: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: str | PathLike[str] | None = None,
        prefix: str | None = None,
        only: Collection[str] | None = None,
        approval: bool | Collection[str] = False,
        retry_safe: bool | Collection[str] = False,
        scope: Literal["runtime", "run"] = "runtime",
        open_deadline: float = 30.0,
    ) -> "MCPServer":
        """Make one of a program, which is started for it and speaks on its standard streams.

        What the program writes to its standard error is logged at debug, to `trio_agent`.

        Args:
            command: the program.
            arguments: of the program.
            env: variables besides `HOME`, `LOGNAME`, `PATH`, `SHELL`, `TERM` and `USER`, the
                only ones that it inherits.
            cwd: the folder to run it in; None: this program's.
            prefix: what its tools' names begin with, and a `_` behind it; None: nothing.
            only: the tools to offer, as the server calls them; None: all.
            approval: the tools whose calls somebody has to allow, as the server calls them; or
                True: all.
            retry_safe: the tools whose calls may be made twice, if the worker of their run is lost;
                or True: all.
            scope: `runtime`: one process for all runs, or `run`: one for each.
            open_deadline: seconds that it may take until it has listed its tools.

        Raises:
            ModuleNotFoundError: the ``mcp`` extra is not installed.
            TypeError: `only`, `approval` or `retry_safe` is one name.
            ValueError: `prefix`, `scope` or `open_deadline` can't be, or `approval` or `retry_safe`
                names what `only` leaves out.
        """
        where = Command(command, arguments, dict(env or {}), None if cwd is None else fspath(cwd))
        offered = True if only is None else only
        offer = Offer(prefix=prefix, only=offered, approval=approval, retry_safe=retry_safe)
        return cls(where, offer, scope=scope, open_deadline=open_deadline)

    @classmethod
    def http(
        cls,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        prefix: str | None = None,
        only: Collection[str] | None = None,
        approval: bool | Collection[str] = False,
        retry_safe: bool | Collection[str] = False,
        scope: Literal["runtime", "run"] = "runtime",
        open_deadline: float = 30.0,
    ) -> "MCPServer":
        """Make one of a URL that speaks MCP's streamable HTTP.

        Args:
            url: the endpoint.
            headers: of each request, such as ``{"Authorization": "Bearer …"}``.
            prefix: what its tools' names begin with, and a `_` behind it; None: nothing.
            only: the tools to offer, as the server calls them; None: all.
            approval: the tools whose calls somebody has to allow, as the server calls them; or
                True: all.
            retry_safe: the tools whose calls may be made twice, if the worker of their run is lost;
                or True: all.
            scope: `runtime`: one session for all runs, or `run`: one for each.
            open_deadline: seconds that it may take until it has listed its tools.

        Raises:
            ModuleNotFoundError: the ``mcp`` extra is not installed.
            TypeError: `only`, `approval` or `retry_safe` is one name.
            ValueError: `url`, `prefix`, `scope` or `open_deadline` can't be, or `approval` or
                `retry_safe` names what `only` leaves out.
        """
        where = Endpoint(url, dict(headers or {}))
        offered = True if only is None else only
        offer = Offer(prefix=prefix, only=offered, approval=approval, retry_safe=retry_safe)
        return cls(where, offer, scope=scope, open_deadline=open_deadline)

    @property
    def name(self) -> str:
        """What it is called in errors and logs: its prefix, or else its program or host."""
        return self._offer.prefix or self._where.name

    @property
    def may_wait(self) -> bool:
        """Whether somebody has to allow calls of some of its tools."""
        return bool(self._offer.approval)

    def open(self) -> AbstractAsyncContextManager[OpenTools]:
        """Connect to the server, for as long as the context lasts.

        Raises:
            ToolSourceError: it can't be started or reached, or does not answer as it should.
        """
        from ._open import open_server

        return open_server(self.name, self._where, self._offer, open_deadline=self._open_deadline)

    def fingerprint(self) -> str:
        """Say which server, and which of its tools. Arguments and paths are left out."""
        prefix, only, *more = self._offer.declared()
        declared: list[Any] = ["mcp", self._where.address, prefix, only, self.scope, *more]
        return msgspec.json.encode(declared).decode()

    def __repr__(self) -> str:
        return f"<MCPServer {self.name}>"


def _require_mcp() -> None:
    try:
        import mcp  # noqa: F401
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            'MCPServer needs the MCP SDK: pip install "trio-agent[mcp]"', name=exc.name
        ) from exc
