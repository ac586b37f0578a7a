"""An MCP server by hand, of the handshake of 2025, with whatever faults its arguments name."""

import json
import os
import sys
import threading
from typing import Any

faults = set(sys.argv[1:])
listed = 0


def say(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}}


def tools(params: dict[str, Any]) -> dict[str, Any]:
    global listed
    listed += 1
    if "never-lists-again" in faults and listed > 1:
        return {}
    if "endless-pages" in faults:
        at = int(params.get("cursor", 0))
        return {"tools": [tool(f"t{at}")], "nextCursor": str(at + 1)}
    if "pages" in faults:
        at = int(params.get("cursor", 0))
        page: dict[str, Any] = {"tools": [tool(f"t{at}")]}
        return page if at == 2 else {**page, "nextCursor": str(at + 1)}
    return {"tools": [tool("echo"), tool("silent"), tool("bad result")]}


def call(request: Any, params: dict[str, Any]) -> None:
    name, arguments = params["name"], params.get("arguments", {})
    if name == "silent":
        # What may be seen of it, so that a test knows that it came.
        token = params.get("_meta", {}).get("progressToken")
        say({"method": "notifications/progress", "params": {"progressToken": token, "progress": 0}})
        return
    if name == "bad result":
        say({"id": request, "result": {"content": [{"type": "no-such-type"}]}})
        return
    for each in arguments.get("notifications", ()):
        method, given = each
        if "progress" in given:
            given["progressToken"] = params["_meta"]["progressToken"]
        say({"method": method, "params": given})
    text = json.dumps(arguments.get("say", "")) if "say" in arguments else ""
    say({"id": request, "result": {"content": [{"type": "text", "text": text}]}})


def handle(message: dict[str, Any]) -> None:
    method, request = message.get("method"), message.get("id")
    if method == "initialize":
        if "garbage" in faults:
            print("Welcome to this server!\n\n{}\n[1, 2\n\x00\x01", flush=True)
            sys.stdout.buffer.write(b"\xff\xfe no UTF-8\n")
            sys.stdout.buffer.flush()
        info = {"name": "raw", "version": "1"}
        version = message["params"]["protocolVersion"]
        capabilities = {"tools": {"listChanged": True}}
        result = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}
        say({"id": request, "result": result})
    elif method == "tools/list":
        say({"id": request, "result": tools(message.get("params") or {})})
    elif method == "tools/call":
        call(request, message["params"])
    elif request is not None and method is not None:
        say({"id": request, "error": {"code": -32601, "message": "no such method"}})


def flood() -> None:
    line = b"noise " * 1000 + b"\n"
    while True:
        os.write(2, line)


if "exits" in faults:
    sys.exit(7)
if "loud" in faults:
    threading.Thread(target=flood, daemon=True).start()
if "long-line" in faults:
    while True:
        sys.stdout.write("x" * 2**20)
for line in sys.stdin:
    if "never-answers" not in faults:
        handle(json.loads(line))
if "stays" in faults:
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
