"""The terminal in the README shows what the commands say, and asks for nothing."""

import re
import runpy
from html import unescape
from pathlib import Path

from bouncekit.explain import explain

DOCS = Path(__file__).parent.parent / "docs"
SCRIPT = runpy.run_path(str(DOCS / "make_terminal.py"))
PICTURE = (DOCS / "terminal.svg").read_text(encoding="utf-8")


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_terminal_shows_what_explain_says_today() -> None:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", PICTURE)
    shown = words(" ".join(unescape(text) for text in texts))
    assert words(repr(explain(SCRIPT["REPLY"]))) in shown
    assert "$ bouncekit report newsletter.csv.zst -o report" in shown
    assert "Wrote the report: open report/index.html in a browser." in shown


def test_the_terminal_loads_nothing_and_is_the_same_each_time() -> None:
    assert set(re.findall(r"https?://[^\"]+", PICTURE)) == {"http://www.w3.org/2000/svg"}
    commands = [("codes 550", "550  Refused for good <b>"), ("codes 5.1.1", "x " * 80)]
    assert SCRIPT["drawn"](commands) == SCRIPT["drawn"](commands)
