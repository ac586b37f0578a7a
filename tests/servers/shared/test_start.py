"""What a client says to start a run."""

import msgspec
import pytest

from trio_agent.servers._shared.start import Start


def test_what_is_not_said() -> None:
    start = msgspec.json.decode("{}", type=Start)
    assert start == Start(prompt=None, client_tools=(), retractable=True)


def test_names() -> None:
    text = '{"clientTools": [{"name": "look"}], "retractable": false, "onDisconnect": 1.5}'
    start = msgspec.json.decode(text, type=Start)
    assert start == Start(client_tools=({"name": "look"},), retractable=False, on_disconnect=1.5)
    text = '{"thread": "tea", "after": "", "onBusy": "cancel"}'
    start = msgspec.json.decode(text, type=Start)
    assert start == Start(thread="tea", after="", on_busy="cancel")


@pytest.mark.parametrize(
    "text",
    [
        '{"client_tools": []}',
        '{"clientTools": ["look"]}',
        '{"retractable": 1}',
        '{"tools": []}',
        '{"thread": 1}',
        '{"after": 1}',
        '{"onBusy": null}',
        '{"onBusy": "queue"}',
    ],
)
def test_what_is_no_start(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Start)
