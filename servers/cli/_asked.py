"""Calls that wait, answers to them, and what a run is told, in lines for a terminal.

Who approves a call has to see all of it and nothing else: its arguments are JSON in one line, in
which whatever a terminal obeys or hides is escaped, and not left out.
"""

import msgspec

from trio_agent import ToolAnswered, ToolAsked, UserSaid

from ._files import content_lines
from ._text import printable_json, printable_line

_WANTS = {"approval": "waits for somebody to approve it"}


def asked_line(asked: ToolAsked) -> str:
    """Say which call waits, for what, and its id, by which it is answered."""
    call = asked.tool
    arguments = printable_json(msgspec.json.encode(call.input).decode())
    wants = _WANTS.get(asked.kind, "waits for an answer")
    return f"?? {printable_line(call.name)}({arguments}) {wants} [{printable_line(call.id)}]"


def answered_line(answered: ToolAnswered) -> str:
    """Say what was answered, by whom, and why."""
    by = f" by {answered.by}" if answered.by else ""
    why = f": {answered.reason}" if answered.reason else ""
    word = "yes" if answered.approved else "no"
    return printable_line(f"!! {answered.tool.name}: {word}{by}{why}")


def said_lines(said: UserSaid) -> list[str]:
    """Say what the run was told, and by whom."""
    lines = content_lines(said.content)
    by = f"{said.by}: " if said.by else ""
    return [f">> {by}{lines[0]}", *[f"   {line}" for line in lines[1:]]]
