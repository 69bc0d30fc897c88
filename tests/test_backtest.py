"""What policies would have done: the same as deciding anew at each mailing, and its costs."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from frames import at, bounces
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from bouncekit.backtest import backtest, removals
from bouncekit.classify import classify
from bouncekit.cli import app
from bouncekit.errors import BouncekitError
from bouncekit.policy import decide
from bouncekit.schema import Event

TEXTS = {
    "bounce": [
        "550 5.1.1 User unknown",
        "552 5.2.2 Mailbox full",
        "554 5.7.1 blocked using zen.spamhaus.org",
        "550 Requested action not taken: mailbox unavailable",
    ],
    "deferral": ["451 4.3.0 Temporary system problem"],
    "delivery": [""],
    "engagement": [""],
}
POLICIES = ["article", "careful", "two_strikes"]

HISTORY = """
2025-01-07 09:00 bounce dead@example.org #m1 550 5.1.1 User unknown
2025-01-07 09:00 bounce back@example.org #m1 550 5.1.1 User unknown
2025-01-07 09:00 delivery good@example.org #m1
2025-01-17 09:00 bounce dead@example.org #m2 550 5.1.1 User unknown
2025-01-17 09:00 delivery back@example.org #m2
2025-01-17 09:00 delivery good@example.org #m2
2025-01-27 09:00 bounce dead@example.org #m3 550 5.1.1 User unknown
2025-01-27 09:00 delivery good@example.org #m3
"""


def test_says_what_each_policy_saves_and_loses() -> None:
    table = backtest(bounces(HISTORY), ["article", "two_strikes"])
    assert table.columns == [
        "policy",
        "removed",
        "lost",
        "sends_saved",
        "bounces_avoided",
        "rate",
        "days_to_removal",
    ]
    first, second = table.rows()
    assert first[:5] == ("article", 2, 1, 3, 2)
    assert first[5] == pytest.approx(2 / 5)
    assert second[:5] == ("two_strikes", 1, 0, 1, 1)
    assert second[5] == pytest.approx(3 / 7)


def test_compares_with_the_truth() -> None:
    truth = pl.DataFrame(
        {
            "local_part": ["dead", "back", "back", "good"],
            "domain": ["example.org"] * 4,
            "state": ["closed", "full_then_emptied", "valid", "valid"],
            "until": [None, "2025-01-15", None, None],
        }
    )
    table = backtest(bounces(HISTORY), ["article", "two_strikes"], truth=truth)
    assert table.select("good_lost", "precision", "recall").rows() == [
        (1, 0.5, 1.0),
        (0, 1.0, 1.0),
    ]


def test_names_what_the_truth_lacks() -> None:
    with pytest.raises(BouncekitError, match="no column 'state'"):
        backtest(bounces(HISTORY), ["article"], truth=pl.DataFrame({"recipient": ["a"]}))


def test_refuses_a_policy_given_twice() -> None:
    with pytest.raises(BouncekitError, match="given twice"):
        backtest(bounces(HISTORY), ["article", "article"])


def test_knows_a_frame_without_events() -> None:
    table = backtest(bounces(HISTORY).clear(), ["article"])
    assert table.rows() == [("article", 0, 0, 0, 0, None, None)]


@st.composite
def histories(draw: st.DrawFn) -> str:
    """A few addresses in mailings three days apart, whose events reach into later mailings."""
    lines = []
    for _ in range(draw(st.integers(1, 24))):
        mailing = draw(st.integers(0, 5))
        event = draw(st.sampled_from(sorted(TEXTS)))
        time = at("2025-01-07 09:00")
        assert time
        time += timedelta(days=3 * mailing, hours=draw(st.sampled_from([0, 1, 50, 72, 73, 160])))
        who = draw(st.sampled_from(["ann", "ben"]))
        reply = draw(st.sampled_from(TEXTS[event]))
        lines.append(f"{time:%Y-%m-%d %H:%M} {event} {who}@example.org #m{mailing} {reply}")
    return "\n".join(lines)


@settings(max_examples=15)
@given(histories())
def test_removes_when_deciding_at_each_mailing_first_would(text: str) -> None:
    frame = bounces(text)
    tried = frame.filter(pl.col("event").is_in(["bounce", "deferral", "delivery"]))
    starts = tried.group_by("mailing").agg(pl.col("time").min())["time"].sort().to_list()
    last = frame["time"].max()
    times = [start - timedelta(microseconds=1) for start in starts[1:]] + [last]
    expected: dict[tuple[str, str], datetime | None] = {}
    for policy in POLICIES:
        for time in times:
            for who, verdict in (
                decide(frame, policy, as_of=time, guard=False)
                .select("recipient", pl.col("verdict").cast(pl.String))
                .rows()
            ):
                if verdict == "remove":
                    expected.setdefault((policy, who), time)
    found = removals(frame, POLICIES, guard=False).select("policy", "recipient", "removed")
    assert {(policy, who): time for policy, who, time in found.rows()} == expected


def test_no_removal_rests_on_an_outage() -> None:
    days = [at(f"2025-01-{day:02} 09:00") for day in (7, 14, 21, 28)]
    rows = [
        (f"{number}@mail.example", day, "bounce" if day == days[2] and number < 60 else "delivery")
        for number in range(100)
        for day in days[:3]
    ] + [("dead@mail.example", day, "bounce") for day in days]
    frame = classify(
        pl.DataFrame(rows, schema=["recipient", "time", "event"], orient="row").with_columns(
            pl.col("event").cast(Event),
            mailing=pl.col("time").dt.to_string("%d"),
            reply=pl.when(pl.col("event") == "bounce").then(pl.lit("550 5.1.1 User unknown")),
        )
    )
    assert backtest(frame, ["article"], guard=False)["removed"].to_list() == [61]
    assert backtest(frame, ["article"])["removed"].to_list() == [1]


def test_stands_on_the_command_line(tmp_path: Path) -> None:
    export, truth = tmp_path / "export.csv", tmp_path / "truth.csv"
    bounces(HISTORY).select(
        timestamp=pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        event="event",
        campaign="mailing",
        email="recipient",
        reason="reply",
    ).write_csv(export)
    truth.write_text("recipient,state\ndead@example.org,closed\ngood@example.org,valid\n")
    asked = ["backtest", str(export), "--policy", "article", "--truth", str(truth)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0
    assert "article: removes 2 addresses, 1 of which took or opened mail later" in result.stdout
    assert "recall 100.0%" in result.stdout


def test_a_truth_as_a_spreadsheet_saves_it_is_read(tmp_path: Path) -> None:
    export, truth = tmp_path / "export.csv", tmp_path / "truth.csv"
    export.write_text(
        "email,event,reason,date,campaign\n"
        "dead@example.org,bounce,550 5.1.1 no such user,2025-01-01,a\n"
        "dead@example.org,bounce,550 5.1.1 no such user,2025-01-08,b\n"
    )
    truth.write_text("\ufeffrecipient;state;until\nDead@example.org; Closed ;\n", encoding="utf-8")
    asked = ["backtest", str(export), "--policy", "article", "--truth", str(truth)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "precision 100.0%, recall 100.0%" in done.output


def test_names_a_truth_file_that_is_not_there(tmp_path: Path) -> None:
    asked = ["backtest", "x.csv", "--policy", "article", "--truth", str(tmp_path / "no.csv")]
    assert isinstance(CliRunner().invoke(app, asked).exception, BouncekitError)


def test_a_truth_in_another_case_and_with_empty_days_is_the_same() -> None:
    truth = pl.DataFrame({"recipient": ["ann@example.org"], "state": ["valid"], "until": [None]})
    shouted = pl.DataFrame({"recipient": ["ANN@Example.ORG"], "state": ["valid"], "until": [""]})
    frame = bounces("2025-01-06 09:00 bounce ann@example.org 550 5.1.1 no such user")
    judged = [backtest(frame, "article", truth=t, guard=False) for t in (truth, shouted)]
    assert judged[0]["good_lost"].to_list() == [1]
    assert_frame_equal(*judged)
