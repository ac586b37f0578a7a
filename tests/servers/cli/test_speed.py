"""How fast a run's model spoke, by the times of its events."""

from log_kit import nested

from trio_agent import AnyEvent, OutputDelta, RunStart, StepStart, TextDelta
from trio_agent.servers.cli._speed import Speed


def test_time_to_the_first_token_and_pace_within_steps() -> None:
    speed = Speed()
    assert speed.text() == "no token came"
    events: list[AnyEvent] = [
        RunStart(at=1000, run_id="r", agent="a"),
        StepStart(at=1000, step_number=1),
        *nested("c", TextDelta(at=1100, delta="not its own")),
        TextDelta(at=1500, delta="a"),
        TextDelta(at=1520, delta="b"),
        StepStart(at=9000, step_number=2),
        OutputDelta(at=9500, delta="1"),
        OutputDelta(at=9520, delta="2"),
    ]
    for event in events:
        speed.add(event)
    assert speed.text() == "first token after 0.50 s, 50.0 tokens/s"
