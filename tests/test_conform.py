"""Frames made by hand, by pandas, or read back from a file mean the same as those of bk.read()."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from frames import bounces
from polars.testing import assert_frame_equal

import bouncekit as bk
from bouncekit.backtest import removals
from bouncekit.conform import COUNTED, conformed
from bouncekit.counts import code_against_text, holdings
from bouncekit.domains import domains, faults_by_provider
from bouncekit.history import last_event, rates
from bouncekit.incidents import hours, outage_windows
from bouncekit.offenders import timelines
from bouncekit.policy import tally
from bouncekit.revivals import revivals
from bouncekit.schema import BOUNCES, CLASSIFICATION, EVENTS

LIST = bounces("""
2025-01-07 09:00 bounce ann@example.org #jan 550 5.1.1 No such user
2025-01-14 09:00 bounce ann@example.org #feb 550 5.1.1 No such user
2025-01-07 09:00 bounce bob@example.org #jan 552 5.2.2 Mailbox full
2025-01-14 09:00 delivery bob@example.org #feb 250 2.0.0 Ok
2025-01-14 09:00 deferral cat@example.net #feb 421 4.7.0 192.0.2.1 sends too much
2025-01-14 09:00 bounce dan@example.net #feb 554 hm
""").with_columns(pl.lit(None, BOUNCES[name]).alias(name) for name in ("message_id", "remote_mta"))
UNTIL = datetime(2025, 1, 15)

ASKED: dict[str, Callable[[Any], Any]] = {
    "classify": lambda f: bk.classify(f),
    "classify_portable": lambda f: bk.classify(f, portable=True),
    "distribution": lambda f: bk.distribution(f, by=["week", "domain", "event", "action"]),
    "unclassified": bk.unclassified,
    "holdings": holdings,
    "code_against_text": code_against_text,
    "offenders": lambda f: bk.offenders(f, as_of=UNTIL, at_least=1),
    "timelines": lambda f: timelines(f, ["ann@example.org"]),
    "domains": domains,
    "faults_by_provider": faults_by_provider,
    "rates": rates,
    "incidents": bk.incidents,
    "outage_windows": outage_windows,
    "hours": hours,
    "alerts": lambda f: bk.alerts(f, as_of=UNTIL),
    "decide": lambda f: bk.decide(f, "careful", as_of=UNTIL),
    "tally": lambda f: tally(f, ["article", "careful"]),
    "backtest": lambda f: bk.backtest(f, ["article", "careful"]),
    "removals": lambda f: removals(f, ["article"]),
    "revivals": lambda f: revivals(f, as_of=UNTIL),
    "bring_back": bk.bring_back,
    "match_sent": lambda f: bk.match_sent(f, pl.DataFrame({"recipient": ["ann@example.org"]})),
    "last_event": last_event,
}
TEXTS = pl.col("recipient", "reply", "event", "mailing", "category", "fault", "certainty")
VARIETIES: dict[str, pl.Expr | list[pl.Expr]] = {
    "nulls without a dtype": pl.col("message_id", "remote_mta").cast(pl.Null),
    "times without a zone": pl.col("time").dt.replace_time_zone(None),
    "times in milliseconds, elsewhere": (
        pl.col("time").dt.convert_time_zone("Asia/Tokyo").dt.cast_time_unit("ms")
    ),
    "categoricals": TEXTS.cast(pl.String).cast(pl.Categorical),
    "words for enums": pl.col("event", "category", "fault", "certainty").cast(pl.String),
    "codes of pandas": pl.col("reply_code").cast(pl.Float64),
    "codes as text": pl.col("reply_code").cast(pl.String),
}


@pytest.mark.parametrize("asked", ASKED)
def test_the_dtypes_of_a_frame_change_nothing(asked: str) -> None:
    wanted = _collected(ASKED[asked](LIST))
    for number, variety in enumerate(VARIETIES.values()):
        given = LIST.with_columns(variety)
        said = _collected(ASKED[asked](given.lazy() if number % 2 else given))
        _check(said, wanted)


def _check(said: Any, wanted: Any) -> None:
    if isinstance(wanted, pl.DataFrame):
        kept = {name: dtype for name, dtype in wanted.schema.items() if name in said.columns}
        assert_frame_equal(conformed(said).collect().cast(pl.Schema(kept)), wanted)
    else:
        assert said == wanted


def _collected(said: Any) -> Any:
    return said.collect() if isinstance(said, pl.LazyFrame) else said


@pytest.mark.parametrize("asked", ASKED)
def test_a_frame_without_rows_needs_no_dtypes(asked: str) -> None:
    empty = pl.DataFrame({name: [] for name in (*BOUNCES, *CLASSIFICATION)})
    said = _collected(ASKED[asked](empty))
    wanted = _collected(ASKED[asked](LIST.clear()))
    assert said is None or said.height == wanted.height


def test_a_frame_of_replies_that_are_all_null_is_classified() -> None:
    said = bk.classify(pl.DataFrame({"reply": [None, None]}))
    assert said["category"].to_list() == ["unclassified"] * 2
    assert said.schema["reply"] == pl.String


def test_an_event_that_is_null_is_a_bounce_as_where_there_is_no_column() -> None:
    without = LIST.filter(pl.col("event") == "bounce").drop("event")
    nulls = without.with_columns(event=None)
    assert_frame_equal(bk.decide(nulls), bk.decide(without))
    assert "remove" in bk.decide(nulls)["verdict"]


@pytest.mark.parametrize("kind", [pl.Enum(EVENTS), pl.String])
def test_an_event_that_a_reader_leaves_open_counts_for_nothing(kind: pl.DataType) -> None:
    told = pl.DataFrame(
        {
            "recipient": ["ann@example.org", "bob@example.org"],
            "reply": ["550 5.1.1 no such user"] * 2,
            "event": pl.Series(["bounce", None], dtype=kind),
            "source_class": [None, "kumomta:Rejection"],
        }
    )
    frame = bk.classify(told)
    verdicts = dict(bk.decide(frame, guard=False).select("recipient", "verdict").iter_rows())
    assert verdicts == {"ann@example.org": "remove", "bob@example.org": "keep"}
    assert bk.distribution(frame, by="category")["events"].to_list() == [1]
    assert bk.offenders(frame, at_least=1)["recipient"].to_list() == ["ann@example.org"]


def test_a_day_will_do_for_a_time_and_is_meant_to_its_end() -> None:
    day, end = date(2025, 1, 14), datetime(2025, 1, 14, 23, 59, 59, 999999)
    for ask in (bk.decide, bk.offenders, bk.alerts, bk.incidents, revivals, domains):
        assert_frame_equal(ask(LIST, as_of=day), ask(LIST, as_of=end))
    days = LIST.with_columns(pl.col("time").dt.date())
    assert last_event(days) == datetime.fromisoformat("2025-01-14T00:00:00+00:00")


def test_a_classified_csv_read_back_is_decided_on_alike(tmp_path: Path) -> None:
    path = tmp_path / "classified.csv"
    LIST.drop("retry_after").write_csv(path)
    back = pl.read_csv(path, try_parse_dates=True)
    assert_frame_equal(bk.decide(back), bk.decide(LIST))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.col("time").cast(pl.String), r"column 'time' holds String.*str\.to_datetime"),
        (pl.lit(1_700_000_000).alias("time"), r"column 'time' holds Int32"),
        (pl.col("recipient").cast(pl.Binary), r"column 'recipient' holds Binary"),
        (pl.concat_list("category"), r"column 'category' holds List"),
        (pl.lit("opened").alias("event"), r"holds 'opened', which is none of bounce, deferral"),
    ],
)
def test_what_means_nothing_is_told_with_the_way_out(change: pl.Expr, said: str) -> None:
    for ask in (bk.decide, bk.offenders, bk.alerts):
        with pytest.raises(bk.BouncekitError, match=said):
            ask(LIST.with_columns(change))


@pytest.mark.parametrize("dtype", [pl.List(pl.String), pl.Struct({"a": pl.String}), pl.Binary])
def test_a_reply_that_is_no_text_is_told(dtype: pl.DataType) -> None:
    for frame in (pl.DataFrame(schema={"reply": dtype}), pl.LazyFrame(schema={"reply": dtype})):
        with pytest.raises(bk.BouncekitError, match=r"column 'reply' holds .* join the lines"):
            bk.classify(frame)


def test_a_frame_that_conforms_is_left_alone() -> None:
    assert conformed(LIST).explain() == LIST.lazy().explain()
    assert set(COUNTED) < {*BOUNCES, *CLASSIFICATION}


def test_an_empty_recipient_is_nobody() -> None:
    frame = pl.DataFrame({"recipient": ["", None], "reply": ["550 5.1.1 no such user"] * 2})
    assert bk.decide(bk.classify(frame)).is_empty()
