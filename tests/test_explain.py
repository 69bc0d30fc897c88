"""One reply is explained in words a list owner understands, safely, with what came near."""

import re

import pytest

from bouncekit.errors import BouncekitError
from bouncekit.explain import explain
from bouncekit.rules import categories
from bouncekit.schema import ACTION_OF, FAULT_OF

BLOCKED = "550 5.1.1 mailbox unavailable: your IP is blocked using zen.spamhaus.org"

SOURCES = [
    ("550 5.1.1 user unknown", "text", "the text says 'user unknown'"),
    ("550 5.1.1", "enhanced_code", "the enhanced code 5.1.1 says so"),
    ("503", "reply_code", "the reply code 503 says so"),
    ("no", "none", "neither text nor code says why"),
]


@pytest.mark.parametrize(("reply", "certainty", "said"), SOURCES)
def test_what_decided_is_said(reply: str, certainty: str, said: str) -> None:
    explanation = explain(reply)
    assert explanation.certainty == certainty
    assert said in repr(explanation)


def test_meaning_and_way_out_come_from_the_category() -> None:
    explanation = explain(BLOCKED)
    about = categories()["blocklisted"]
    assert explanation.category == "blocklisted"
    assert (explanation.fault, explanation.action) == (
        FAULT_OF["blocklisted"],
        ACTION_OF["blocklisted"],
    )
    assert about["meaning"] in repr(explanation)
    assert about["what_to_do"] in repr(explanation)


def test_the_first_line_is_the_reply_and_each_other_has_a_heading() -> None:
    first, *rest = repr(explain(BLOCKED)).splitlines()
    assert first == BLOCKED
    headings = [heading for heading, _ in explain(BLOCKED).lines]
    assert len(rest) == len(headings)
    assert headings[:4] == ["category", "fault", "action", "because"]


def test_a_code_that_says_otherwise_is_told() -> None:
    explanation = explain(BLOCKED)
    assert explanation.conflict
    assert "the code says otherwise; the text decides" in repr(explanation)
    assert "conflict" not in repr(explain("550 5.1.1 user unknown"))


def test_what_came_near_is_listed_without_the_winner() -> None:
    near = explain(BLOCKED).near_misses
    assert any(miss.endswith("(unknown_user)") for miss in near)
    assert not any(miss.endswith("(blocklisted)") for miss in near)
    assert explain("550 5.1.1").near_misses == ()


def test_each_near_miss_is_listed_once() -> None:
    near = explain("550 5.1.1 user unknown: user unknown, blocked by policy, blocked").near_misses
    assert len(near) == len(set(near))


def test_codes_are_explained() -> None:
    explanation = explain("452 4.2.2 mailbox full")
    assert (explanation.reply_code, explanation.enhanced_code) == (452, "4.2.2")
    assert re.search(r"reply code +452: \w+", repr(explanation))
    assert re.search(r"enhanced code +4\.2\.2: \w+", repr(explanation))


@pytest.mark.parametrize("code", ["499", "571", "5.9.99"])
def test_a_code_that_nobody_defined_is_no_obstacle(code: str) -> None:
    assert explain(f"{code} user unknown").category == "unknown_user"


HOSTILE = "550 <script>alert('x')</script> & <img src=x onerror=alert(1)> user unknown"


def test_hostile_text_is_escaped_in_html() -> None:
    shown = explain(HOSTILE)._repr_html_()
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;" in shown
    assert "&amp;" in shown


def test_control_characters_do_not_reach_the_terminal() -> None:
    shown = repr(explain("550 \x1b[2J\x1b]0;owned\x07 user unknown\x00\x9b1m"))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def test_html_holds_the_same_as_the_text() -> None:
    explanation = explain(BLOCKED)
    shown = explanation._repr_html_()
    assert shown.count("<tr>") == len(explanation.lines)
    assert all(f">{heading}</th>" in shown for heading, _ in explanation.lines)


@pytest.mark.parametrize("reply", ["", " ", "\n\t"])
def test_an_empty_reply_is_refused_with_an_example(reply: str) -> None:
    with pytest.raises(BouncekitError, match=r"no reply to explain; give its text, such as"):
        explain(reply)


def test_a_blocklist_that_is_not_known_is_told_all_the_same() -> None:
    told = repr(explain("554 5.7.1 192.0.2.7 blocked using rbl.firma.example"))
    assert "rbl.firma.example, which lists your ip; ask whoever runs it for removal" in told
    assert "rbl.firma.example; ask" in repr(explain("554 5.7.1 blocked using rbl.firma.example"))
    assert "it has ended" in repr(explain("554 5.7.1 blocked using dnsbl.sorbs.net"))
