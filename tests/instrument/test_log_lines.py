"""The log lines of runs, word for word. Those of a whole run are in tests/run/test_performer.py."""

import logging

import attrs
import pytest

from trio_agent._errors import ModelError
from trio_agent._events import Usage
from trio_agent._instrument.facts import (
    ModelEnd,
    ModelFacts,
    ModelRetried,
    RunEnd,
    ToolEnd,
    ToolFacts,
)
from trio_agent._instrument.instruments import Instruments
from trio_agent._instrument.log_lines import LoggingInstrument
from trio_agent.tools._context import RunFacts

RUN = RunFacts(run_id="r", agent="a")
MODEL = ModelFacts(run=RUN, step=2, model="m")
TOOL = ToolFacts(run=RUN, step=2, tool="look", call_id="c")


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (RunEnd(outcome="stop", steps=2, usage=Usage(1, 2, 3)), "stop, 2 steps, 3 tokens"),
        (RunEnd(outcome="error", error="busy", steps=1), "error busy, 1 steps, 0 tokens"),
        (RunEnd(outcome="stop", stored=False), "stop (not stored), 0 steps, 0 tokens"),
        (
            RunEnd(outcome="error", error="busy", stored=False),
            "error busy (not stored), 0 steps, 0 tokens",
        ),
    ],
)
async def test_a_run(
    end: RunEnd, how: str, caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    instruments = Instruments([LoggingInstrument()])
    with caplog.at_level(logging.INFO, "trio_agent"), instruments.run(RUN) as boundary:
        boundary.end = end
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "run r of agent 'a' begins"),
        ("INFO", f"run r of agent 'a' ended: {how}, 0.000 s"),
    ]


async def test_what_is_done_in_it(caplog: pytest.LogCaptureFixture, autojump_clock: object) -> None:
    """Also what a sub-agent does, by the call whose tool it is."""
    instruments = Instruments([LoggingInstrument()])
    child = RunFacts(run_id="r", agent="b", parent="c")
    with caplog.at_level(logging.DEBUG, "trio_agent"):
        with instruments.model(MODEL) as asked:
            instruments.model_retried(ModelRetried(asked=MODEL, error="busy", delay=0.52))
            asked.end = ModelEnd(reason="tool-calls", usage=Usage(1, 2, 3))
        with instruments.tool(TOOL) as called:
            with instruments.run(child) as boundary:
                with instruments.tool(attrs.evolve(TOOL, run=child, call_id="c/1")):
                    pass
                boundary.end = RunEnd(outcome="stop")
            called.end = ToolEnd(status="ok")
        with pytest.raises(ModelError), instruments.model(MODEL):
            raise ModelError("busy", "s3cret")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "run r: step 2 asks the model"),
        ("INFO", "run r asks the model again in 0.5 s: busy"),
        ("DEBUG", "run r: step 2 was answered: tool-calls, 3 tokens, 0.000 s"),
        ("DEBUG", "run r: call 'c' of tool 'look' begins"),
        ("INFO", "run r, call 'c' of agent 'b' begins"),
        ("DEBUG", "run r, call 'c': call 'c/1' of tool 'look' begins"),
        ("INFO", "run r, call 'c' of agent 'b' ended: stop, 0 steps, 0 tokens, 0.000 s"),
        ("DEBUG", "run r: call 'c' of tool 'look' ended: ok, 0.000 s"),
        ("DEBUG", "run r: step 2 asks the model"),
    ]
