"""The log lines of runs: what runs do at INFO, what is done in them at DEBUG."""

import logging
from collections.abc import Generator
from typing import Final

from ..tools._context import RunFacts
from .contract import Instrument
from .facts import ModelEnd, ModelFacts, ModelRetried, RunEnd, ToolEnd, ToolFacts

logger = logging.getLogger("trio_agent")


_NO_END: Final = {
    "waiting": "sleeps: it waits for somebody",
    "handed-over": "goes on elsewhere",
}


class LoggingInstrument(Instrument):
    """Logs to ``trio_agent``. Every runtime has one."""

    def run(self, run: RunFacts) -> Generator[None, RunEnd, None]:
        logger.info("%s of agent %r begins", _place(run), run.agent)
        end = yield
        if end.outcome in _NO_END:
            logger.info("%s of agent %r %s", _place(run), run.agent, _NO_END[end.outcome])
            return
        how = end.outcome if end.error is None else f"{end.outcome} {end.error}"
        logger.info(
            "%s of agent %r ended: %s, %d steps, %d tokens, %.3f s",
            _place(run),
            run.agent,
            how if end.stored else f"{how} (not stored)",
            end.steps,
            end.usage.total_tokens,
            end.seconds,
        )

    def model(self, model: ModelFacts) -> Generator[None, ModelEnd, None]:
        logger.debug("%s: step %d asks the model", _place(model.run), model.step)
        end = yield
        if end.error is None:
            logger.debug(
                "%s: step %d was answered: %s, %d tokens, %.3f s",
                _place(model.run),
                model.step,
                end.reason,
                end.usage.total_tokens,
                end.seconds,
            )

    def model_retried(self, retried: ModelRetried) -> None:
        place = _place(retried.asked.run)
        logger.info("%s asks the model again in %.1f s: %s", place, retried.delay, retried.error)

    def tool(self, call: ToolFacts) -> Generator[None, ToolEnd, None]:
        place = f"{_place(call.run)}: call {call.call_id!r} of tool {call.tool!r}"
        logger.debug("%s begins", place)
        end = yield
        # A cancelled run says so itself; its calls have not ended by themselves.
        if end.status != "cancelled":
            logger.debug("%s ended: %s, %.3f s", place, end.status, end.seconds)


def _place(run: RunFacts) -> str:
    return f"run {run.run_id}" if run.parent is None else f"run {run.run_id}, call {run.parent!r}"
