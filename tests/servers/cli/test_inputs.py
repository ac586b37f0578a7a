"""The inputs of a batch: lines of JSON, each a prompt or a transcript."""

import json
from pathlib import Path

import pytest

from trio_agent import AssistantMessage, File, Text, UserMessage
from trio_agent.servers.cli._inputs import read_items
from trio_agent.servers.cli._usage import UsageError

DEEP = '[{"role": "assistant", "content": "", "toolCalls": [{"id": "c", "name": "t", "input": '


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "prompts.jsonl"


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("a", None, "a"),
        ({"prompt": "b", "id": "mine"}, "mine", "b"),
        (
            {"messages": [{"role": "user", "content": "c"}], "id": 7},
            7,
            (UserMessage("c"),),
        ),
        (
            [{"role": "user", "content": "d"}, {"role": "assistant", "content": "e"}],
            None,
            (UserMessage("d"), AssistantMessage("e")),
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "f"},
                            {"type": "image_url", "image_url": {"url": "http://a/b.png"}},
                        ],
                    }
                ]
            },
            None,
            (UserMessage((Text("f"), File("image/png", url="http://a/b.png"))),),
        ),
    ],
)
def test_all_kinds_of_lines(line: object, name: object, value: object, file: Path) -> None:
    file.write_text(f'"first"\r\n{json.dumps(line)}')
    [_, item] = read_items(file)
    assert (item.index, item.id, item.value) == (1, name, value)
    # Its hash is that of the line, whatever stands around it.
    file.write_text(f"{json.dumps(line)}\n")
    [alone] = read_items(file)
    assert alone.hash == item.hash


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "truncated"),
        ("a", "malformed"),
        ("1", r"Expected `str \| object \| array`"),
        ("{}", 'give "prompt" or "messages"'),
        ("[]", 'give "prompt" or "messages"'),
        ('["a"]', "Expected `object`, got `str`"),
        ('[{"role": "user", "content": "a"}, {"role": "nobody"}]', "nobody"),
        ('[{"role": "user"}]', "content"),
        ('[{"role": "user", "content": [{"type": "video"}]}]', "not 'video' - at"),
        ('[{"role": "assistant", "content": "a", "provider": {"p": 1}}]', "leave it out"),
        ('{"prompt": "a", "messages": [{"role": "user", "content": "b"}]}', "give"),
        ('{"promt": "a"}', "promt"),
        ('{"messages": [{"role": "nobody"}]}', "nobody"),
        (f"{DEEP}{'[' * 100_000}", "recursion"),
        (b'"\xff"', "UTF-8"),
    ],
)
def test_lines_that_are_none(line: str | bytes, why: str, file: Path) -> None:
    line = line if isinstance(line, bytes) else line.encode()
    file.write_bytes(b'"fine"\n' + line + b"\n")
    with pytest.raises(UsageError, match=f"prompts.jsonl, line 2: .*(?i:{why})"):
        list(read_items(file))


@pytest.mark.parametrize(("name", "why"), [("no.jsonl", "No such file"), (".", "Is a directory")])
def test_files_that_can_not_be_read(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"can't read .*: {why}"):
        list(read_items(tmp_path / name))
