"""Text of strangers, fit for a terminal."""

import json
import sys
import unicodedata

import pytest

from trio_agent.servers.cli._text import printable, printable_json, printable_line

HARMLESS = [
    "",
    "plain",
    "two\nlines,\tand a tab",
    "10\u00a0000 \u20ac, \u4f60\u597d\u3000!",
    # A family, a rainbow flag and a heart are one sign each because of their joiners.
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 \u2764\ufe0f",
    # Persian joins and does not join its letters.
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\U0001fae9 is newer than this Python",
    "\ue0b0 private use",
    "\udcff, as in names of files: streams write it as an escape",
]
NASTY = {
    "\x00": "NUL",
    "\x07": "BEL",
    "\x08": "BS",
    "\r": "CR",
    "\x1b": "ESC",
    "\x7f": "DEL",
    "\x85": "NEL",
    "\x9b": "CSI",
    "\x9d": "OSC",
    "\u061c": "ALM",
    "\u200b": "ZWSP",
    "\u200e": "LRM",
    "\u202e": "RLO",
    "\u2028": "LS",
    "\u2029": "PS",
    "\u2060": "WJ",
    "\u2066": "LRI",
    "\ufeff": "BOM",
    "\U000e0041": "TAG A",
}


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays(text: str) -> None:
    assert printable(text) == text
    assert printable_json(text) == text


@pytest.mark.parametrize("char", NASTY, ids=NASTY.get)
def test_what_is_obeyed_or_not_seen(char: str) -> None:
    assert printable(f"a{char}b") == "ab"
    assert printable_line(f"a{char}b") == "ab"


@pytest.mark.parametrize("char", [char for char in NASTY if char >= "\x7f"], ids=NASTY.get)
def test_json_is_escaped_and_stays_equal(char: str) -> None:
    said = {f"k{char}": f"\U0001f600{char}b\n\\"}
    text = json.dumps(said, ensure_ascii=False)
    shown = printable_json(text)
    assert char not in shown
    assert "\U0001f600" in shown
    assert json.loads(shown) == said


def test_every_control_is_known() -> None:
    controls = [
        chr(number)
        for number in range(sys.maxunicode + 1)
        if unicodedata.category(chr(number)) in ("Cc", "Cf")
    ]
    assert printable("".join(controls)) == "\t\n\u200c\u200d"


def test_a_line_is_one_field_of_one_line() -> None:
    assert printable_line("a\tb\nc\x1b[31md") == "a b c[31md"
