import sys

import trio

from trio_agent import ModelSwitch, Nested, PartialOutput, RunFinish, TextDelta, ToolCall
from trio_agent.client import open_client


async def main() -> None:
    url, token = sys.argv[1:]
    async with open_client(url, token=token) as client:
        run_id = await client.start("My kettle broke in June. The order is A7.")
        verdict = PartialOutput()
        async with client.subscribe(run_id) as events:
            async for remote in events:
                match remote.event:
                    case ModelSwitch(to=model):
                        print(f"asking {model} instead")
                    case ToolCall(tool=call):
                        print(f"{call.name} {call.input}")
                    case Nested(event=TextDelta(delta=text)):
                        print(f"  the lawyer: {text}")
                    case RunFinish(run=run):
                        order, refund = run.output["order"], run.output["refund"]
                        print(f"{run.finish_reason}: {refund} euros for {order}")
                    case event if event is not None and verdict.add(event):
                        print("...", verdict.value)


trio.run(main)
