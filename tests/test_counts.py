"""Counts hold every failure once, by any column, and what nobody could name is shown masked."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bouncekit.classify import classify
from bouncekit.counts import code_against_text, distribution, failures, holdings, unclassified
from bouncekit.errors import BouncekitError
from bouncekit.schema import CATEGORIES, Category, Event

BOUNCES = classify(
    pl.DataFrame(
        [
            ("550 5.1.1 user unknown", "bounce", "Ann@Example.ORG", datetime(2024, 1, 1, 23)),
            ("550 5.1.1 user unknown", "bounce", "bob@example.org", datetime(2024, 1, 8, 1)),
            ("452 4.2.2 mailbox full", "deferral", "eve@example.net", datetime(2024, 1, 31)),
            ("250 2.0.0 ok", "delivery", "kim@example.net", datetime(2024, 2, 1)),
            (None, "complaint", None, None),
        ],
        schema={"reply": pl.String, "event": Event, "recipient": pl.String, "time": pl.Datetime},
        orient="row",
    ).with_columns(pl.col("time").dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC")))
)


def test_failures_are_counted_most_frequent_first_with_their_share() -> None:
    assert distribution(BOUNCES).rows() == [
        ("unknown_user", 2, 0.5),
        ("mailbox_full", 1, 0.25),
        ("complaint", 1, 0.25),
    ]


def test_a_tie_is_broken_by_the_order_of_the_schema() -> None:
    frame = pl.DataFrame({"category": list(reversed(CATEGORIES))}, schema={"category": Category})
    assert distribution(frame)["category"].to_list() == list(CATEGORIES)


DERIVED = [
    ("domain", [("example.org", 2), (None, 1), ("example.net", 1)]),
    ("day", [(None, 1), (date(2024, 1, 1), 1), (date(2024, 1, 8), 1), (date(2024, 1, 31), 1)]),
    ("week", [(None, 1), (date(2024, 1, 1), 1), (date(2024, 1, 8), 1), (date(2024, 1, 29), 1)]),
    ("month", [(date(2024, 1, 1), 3), (None, 1)]),
    ("action", [("remove", 2), ("full", 1), ("complaint", 1)]),
]


@pytest.mark.parametrize(("by", "wanted"), DERIVED)
def test_columns_can_be_derived(by: str, wanted: list[tuple[object, int]]) -> None:
    assert distribution(BOUNCES, by=by).select(by, "events").rows() == wanted


def test_several_columns_count_together() -> None:
    got = distribution(BOUNCES, by=["fault", "domain"])
    assert got.columns == ["fault", "domain", "events", "share"]
    assert got.row(0) == ("recipient", "example.org", 2, 0.5)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(CATEGORIES), st.sampled_from(["a", "b", None])), min_size=1),
    st.sampled_from(["category", "recipient", "domain"]),
)
def test_shares_add_up_to_one_and_events_to_all(
    rows: list[tuple[str, str | None]], by: str
) -> None:
    frame = pl.DataFrame(rows, schema={"category": Category, "recipient": pl.String}, orient="row")
    got = distribution(frame, by=by)
    assert got["share"].sum() == pytest.approx(1)
    assert got["events"].sum() == len(rows)
    assert got["events"].is_sorted(descending=True)
    assert dict(got.schema)["events"] == pl.UInt32


def test_a_lazy_frame_is_counted_alike() -> None:
    assert distribution(BOUNCES.lazy()).equals(distribution(BOUNCES))


def test_no_failure_gives_no_row() -> None:
    got = distribution(BOUNCES.filter(pl.col("event") == "delivery"))
    assert got.is_empty()
    assert got.columns == ["category", "events", "share"]


def test_a_frame_without_events_holds_failures_only() -> None:
    assert failures(BOUNCES.drop("event")).collect().height == BOUNCES.height
    assert failures(BOUNCES).collect()["event"].to_list().count("delivery") == 0


@pytest.mark.parametrize("by", ["domian", ["category", "domian"]])
def test_an_unknown_column_is_named_beside_those_there_are(by: str | list[str]) -> None:
    with pytest.raises(BouncekitError, match=r"no column 'domian' .* category, .*domain"):
        distribution(BOUNCES, by=by)


def test_a_derived_column_needs_its_source() -> None:
    with pytest.raises(BouncekitError, match="no column 'domain'"):
        distribution(BOUNCES.drop("recipient"), by="domain")
    with pytest.raises(BouncekitError, match="no column 'week'"):
        distribution(BOUNCES.drop("time"), by="week")


def test_what_nobody_could_name_is_grouped_without_addresses() -> None:
    replies = [
        "550 <ann@example.org> quite odd at mx1.example.net [192.0.2.7] id 4ABCDEF0123",
        "550 <bob@example.com> quite odd at mx2.example.net [192.0.2.8] id 4ABCDEF9999",
        "550 another oddity",
        "550 5.1.1 user unknown",
        None,
    ]
    got = unclassified(classify(pl.DataFrame({"reply": replies})))
    assert got.drop("example").rows() == [
        ("550 <address> quite odd at <host> [<ip>] id <id>", 550, 2),
        (None, None, 1),
        ("550 another oddity", 550, 1),
    ]
    assert got["example"][0] == (
        "550 <a***@e***.org> quite odd at mx1.example.net [192.0.2.7] id 4ABCDEF0123"
    )


def test_what_nobody_could_name_counts_its_recipients_and_hides_bare_local_parts() -> None:
    frame = pl.DataFrame(
        {
            "reply": [
                "550 nothing for ann.lee",
                "550 nothing for bob.ray",
                "550 nothing for bob.ray",
                "550",
            ],
            "recipient": [
                "ann.lee@example.org",
                "bob.ray@example.org",
                "bob.ray@example.org",
                None,
            ],
        }
    )
    got = unclassified(classify(frame))
    assert got.rows() == [
        ("550 nothing for <user>", 550, 3, 2, "550 nothing for a***"),
        ("550", 550, 1, 0, "550"),
    ]
    assert got.schema == {
        "template": pl.String,
        "reply_code": pl.Int16,
        "events": pl.UInt32,
        "recipients": pl.UInt32,
        "example": pl.String,
    }
    assert unclassified(classify(frame.lazy())).equals(got)


def test_time_is_counted_in_utc() -> None:
    late = pl.DataFrame(
        {"category": ["unknown_user"], "time": [datetime(2024, 1, 1, 23, 59, tzinfo=UTC)]},
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    assert distribution(late, by="day")["day"].to_list() == [date(2024, 1, 1)]


def test_codes_are_judged_without_their_text() -> None:
    frame = classify(
        pl.DataFrame(
            {
                "reply": [
                    "550 5.1.1 too many messages from 192.0.2.7, slow down",
                    "550 mailbox unavailable 550 invalid DNS MX or A/AAAA resource record",
                    "550 invalid DNS MX or A/AAAA resource record",
                    "550 5.1.1 user unknown",
                    "550 5.1.1 no words of ours",
                    None,
                ]
            }
        )
    )
    got = code_against_text(frame)
    assert got.rows() == [
        ("unclassified", "sender_dns", 2, 0.5),
        ("unknown_user", "unknown_user", 1, 0.25),
        ("unknown_user", "rate_limited", 1, 0.25),
    ]
    assert dict(got.schema) == {
        "code_says": Category,
        "text_says": Category,
        "events": pl.UInt32,
        "share": pl.Float64,
    }
    assert code_against_text(frame.lazy()).equals(got)


def test_without_failures_no_code_is_judged() -> None:
    assert code_against_text(BOUNCES.filter(pl.col("event") == "delivery")).is_empty()


def held(frame: pl.DataFrame | pl.LazyFrame) -> dict[str, int]:
    return dict(holdings(frame).select("holds", "events").iter_rows())


def test_what_an_export_holds_is_counted() -> None:
    wanted = {"recipients": 4, "replies": 3, "times": 4, "mailings": 0, "deliveries": 1}
    assert held(BOUNCES) == held(BOUNCES.lazy()) == wanted


def test_what_has_no_column_is_not_held() -> None:
    replies = {"recipients": 0, "replies": 1, "times": 0, "mailings": 0, "deliveries": 0}
    assert held(pl.DataFrame({"reply": ["550 no", " ", None]})) == replies
    assert held(pl.DataFrame({"category": ["virus"]})) == replies | {"replies": 0}
