"""What is given by mistake: the error is one sentence, and says the way out."""

import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from frames import bounces
from polars.testing import assert_frame_equal

from bouncekit.alerts import alerts
from bouncekit.backtest import backtest
from bouncekit.classify import classify
from bouncekit.counts import distribution, unclassified
from bouncekit.errors import BouncekitError
from bouncekit.explain import explain
from bouncekit.offenders import offenders
from bouncekit.policy import decide, tally

FRAME = classify(pl.DataFrame({"recipient": ["ann@example.org"], "reply": ["550 5.1.1 unknown"]}))
RAW = FRAME.drop("category")
COUNTED_TWICE = FRAME.with_columns(events=pl.lit(1))
ODD_TRUTH = pl.DataFrame({"recipient": ["ann@example.org"], "state": ["gone"]})
MISTAKES: dict[str, tuple[Callable[[Any], object], Any, str]] = {
    "unclassified": (unclassified, RAW, "not classified yet; call bk.classify"),
    "one reply": (classify, "550 5.1.1 unknown", "given is of type str"),
    "a list of rows": (decide, [1], "Wanted is a Polars frame, given is of type list"),
    "a path": (alerts, "export.csv", "of type str; bk.read() makes one of an export"),
    "none": (distribution, None, "of type NoneType"),
    "no frame to count": (lambda given: tally(given, ["article"]), [1], "of type list"),
    "a day in words": (
        lambda day: decide(FRAME, as_of=day),
        "monday",
        "'monday' is no time; write",
    ),
    "a number": (lambda day: offenders(FRAME, as_of=day), 5, "5 is no time; give a date"),
    "another frame": (
        lambda guard: decide(FRAME, guard=guard),
        RAW,
        "The guard is True, False, or",
    ),
    "a word": (lambda guard: decide(FRAME, guard=guard), "yes", "given is 'yes'"),
    "nothing to count by": (lambda by: distribution(FRAME, by), [], "nothing to count by"),
    "None to count by": (lambda by: distribution(FRAME, by), None, "nothing to count by"),
    "a count's name": (
        lambda by: distribution(COUNTED_TWICE, by),
        "events",
        "'events' has the name of a count",
    ),
    "a number in words": (
        lambda least: offenders(FRAME, at_least=least),
        "2",
        "at_least = '2'; give a whole number",
    ),
    "no reply": (explain, None, "no reply to explain"),
    "bytes": (explain, b"550 5.1.1", "no reply to explain"),
    "no policies": (lambda given: backtest(FRAME, given), None, "There is no policy 'None'"),
    "another state": (
        lambda truth: backtest(FRAME, ["article"], truth=truth),
        ODD_TRUTH,
        "has the state 'gone'; use one of valid, reopened",
    ),
}


@pytest.mark.parametrize(("function", "given", "words"), MISTAKES.values(), ids=MISTAKES)
def test_what_is_given_by_mistake_is_told_in_a_sentence(
    function: Callable[[Any], object], given: object, words: str
) -> None:
    with pytest.raises(BouncekitError, match=re.escape(words)):
        function(given)


def test_a_day_may_be_given_as_text() -> None:
    frame = bounces("2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown")
    for text in (
        "2025-01-07",
        "2025-01-07T09:00",
        "2025-01-07T09:00:00Z",
        "2025-01-07 10:00+01:00",
    ):
        assert decide(frame, as_of=text).height == 1
        assert offenders(frame, at_least=1, as_of=text).height == 1
    assert decide(frame, as_of="2025-01-06").is_empty()


def test_a_column_named_twice_is_counted_by_once() -> None:
    assert_frame_equal(distribution(FRAME, ["fault", "fault"]), distribution(FRAME, "fault"))
