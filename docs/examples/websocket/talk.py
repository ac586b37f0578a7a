import json
import sys

import trio
from trio_websocket import open_websocket_url


async def main() -> None:
    async with open_websocket_url(sys.argv[1]) as websocket:  # such as ws://127.0.0.1:8001
        request = {"type": "start", "requestId": 1, "prompt": "How is the weather in Oslo?"}
        await websocket.send_message(json.dumps(request))
        while True:
            match json.loads(await websocket.get_message()):
                case {"type": "started", "requestId": 1, "runId": _}:
                    print("started")
                case {"type": "error", "requestId": 1, "error": error}:
                    print(f"refused: {error['code']}")
                    break
                case {"type": "text-delta", "delta": delta}:
                    print(delta, end="", flush=True)
                case {"type": "run-finish", "run": run}:
                    print(f"\n{run['finishReason']}")
                    break
                case {"type": "error", "runId": _, "error": error}:
                    print(f"\nfailed: {error['code']}")
                    break
                case {"type": "draining", "cursors": cursors}:
                    print(f"\ngo on elsewhere, behind {cursors}")
                    break


trio.run(main)
