import trio

from trio_agent import Agent, Limits, RunFailed, RunIncomplete
from trio_agent.abc import ModelFinish
from trio_agent.testing import ScriptedModel, output

cut_short = ScriptedModel([*output([1, 2, 3])[:1], ModelFinish("length")])
never_right = ScriptedModel(output(["one"]), output(["two"]))


async def main() -> None:
    result = await Agent(model=cut_short, output=list[int]).run("Count to three.")
    print(result.finish_reason)
    try:
        print(result.output)
    except RunIncomplete as exc:
        print("no output:", exc)

    limits = Limits(output_retries=1)
    agent = Agent(model=never_right, output=list[int], limits=limits)
    try:
        await agent.run("Count to three.")
    except RunFailed as exc:
        print(f"{exc.code}: {exc.message}")


trio.run(main)
