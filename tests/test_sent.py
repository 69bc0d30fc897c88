"""What was sent: an event of a message that nobody sent is marked, and never removes an address."""

from pathlib import Path

import polars as pl
import pytest
from frames import bounces
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from bouncekit.alerts import alerts
from bouncekit.errors import BouncekitError
from bouncekit.offenders import offenders
from bouncekit.policy import decide
from bouncekit.sent import match_sent

FRAME = bounces("""
    2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown
    2025-01-07 09:00 bounce bob@example.org 550 5.1.1 User unknown
    2025-01-07 09:00 delivery eve@example.org
    2025-01-07 09:00 bounce eve@example.org 554 5.7.1 blocked using zen.spamhaus.org
""")
WITH_IDS = FRAME.with_columns(
    message_id=pl.Series(["<1@example.com>", "2@example.com", None, None], dtype=pl.String)
)

# A sent list, and the recipients in `WITH_IDS` whose events match nothing in it.
LISTS = {
    "recipients": ({"Email Address": ["Ann@Example.org ", "eve@example.org"]}, ["bob"]),
    "ids": ({"Message-ID": ["<1@example.com>"]}, ["bob", "eve", "eve"]),
    "both": (
        {"to": ["ann@example.org", "bob@example.org"], "message_id": ["1@example.com", "<3@x>"]},
        ["bob", "eve", "eve"],
    ),
    "the id of another's message": (
        {"to": ["ann@example.org", "bob@example.org"], "message_id": ["2@example.com", "1@x"]},
        ["ann", "bob", "eve", "eve"],
    ),
    "nobody": ({"recipient": []}, ["ann", "bob", "eve", "eve"]),
    "everybody, with empty ids": (
        {"recipient": ["ann@example.org", "bob@example.org", "eve@example.org"]},
        [],
    ),
}


@pytest.mark.parametrize(("sent", "unmatched"), LISTS.values(), ids=LISTS)
def test_an_event_matches_a_sent_message_or_is_marked(
    sent: dict[str, list[str]], unmatched: list[str]
) -> None:
    marked = match_sent(WITH_IDS, pl.DataFrame(sent))
    assert isinstance(marked, pl.DataFrame)
    assert marked.columns == [*WITH_IDS.columns, "unmatched"]
    names = marked.filter("unmatched")["recipient"].str.head(3).to_list()
    assert names == unmatched
    assert_frame_equal(marked.drop("unmatched"), WITH_IDS)


def test_a_lazy_frame_stays_lazy_and_marking_twice_changes_nothing() -> None:
    sent = pl.LazyFrame({"email": ["ann@example.org"]})
    once = match_sent(FRAME.lazy(), sent)
    assert isinstance(once, pl.LazyFrame)
    assert_frame_equal(match_sent(once, sent).lazy().collect(), once.collect())


def test_a_forwarded_message_matches_by_where_it_bounced_too() -> None:
    frame = FRAME.with_columns(final_recipient=pl.lit("Old@example.net"))
    marked = match_sent(frame, pl.DataFrame({"to": ["old@example.net"]})).lazy().collect()
    assert not marked["unmatched"].any()


def test_what_nobody_sent_removes_nobody_and_the_reason_says_so() -> None:
    decisions = decide(FRAME, sent=pl.DataFrame({"email": ["ann@example.org"]}))
    said = {row["recipient"]: row for row in decisions.iter_rows(named=True)}
    assert {name: row["verdict"] for name, row in said.items()} == {
        "ann@example.org": "remove",
        "bob@example.org": "keep",
        "eve@example.org": "keep",
    }
    ending = " 1 event for it matches no message that you sent, and so counts for nothing."
    assert said["bob@example.org"]["because"].endswith(ending)
    assert "matches no" not in said["ann@example.org"]["because"]


def test_what_nobody_sent_makes_no_offender_and_no_alert() -> None:
    marked = match_sent(FRAME, pl.DataFrame({"email": ["ann@example.org"]}))
    assert offenders(marked, at_least=1)["recipient"].to_list() == ["ann@example.org"]
    assert alerts(marked).is_empty()


@settings(max_examples=20)
@given(sent=st.sets(st.sampled_from(FRAME["recipient"].to_list())))
def test_no_sent_list_removes_anybody_more(sent: set[str]) -> None:
    table = pl.DataFrame({"email": sorted(sent)}, {"email": pl.String})
    everybody = decide(FRAME).filter(pl.col("verdict") == "remove")["recipient"].to_list()
    removed = decide(FRAME, sent=table).filter(pl.col("verdict") == "remove")["recipient"]
    assert set(removed) == set(everybody) & sent
    assert decide(FRAME, sent=table)["recipient"].sort().to_list() == sorted(
        FRAME["recipient"].unique()
    )


FILES = {
    "sent.csv": "Email;Name\nann@example.org;Ann\n",
    "comma.csv": "name,email\nAnn,ann@example.org\n",
    "addresses.txt": "eve@example.org\nann@example.org\n",
    "sent.ndjson": '{"to": "ann@example.org"}\n',
}


@pytest.mark.parametrize(("name", "text"), FILES.items(), ids=FILES)
def test_a_file_will_do(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    marked = match_sent(FRAME, file).lazy().collect()
    assert "ann@example.org" not in marked.filter("unmatched")["recipient"]
    assert "bob@example.org" in marked.filter("unmatched")["recipient"]


def test_several_files_are_one_list(tmp_path: Path) -> None:
    for name in ("ann", "bob"):
        (tmp_path / name).write_text(f"email\n{name}@example.org\n")
    marked = match_sent(FRAME, [tmp_path / "ann", tmp_path / "bob"]).lazy().collect()
    assert marked.filter("unmatched")["recipient"].unique().to_list() == ["eve@example.org"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,city\nAnn,Rome\n", r"sent.csv: has no column of recipients or message ids \(its"),
        ("", r"sent.csv: not readable as a sent list"),
        (None, r"sent.csv: not readable as a sent list"),
    ],
)
def test_a_list_that_cannot_be_used_is_named(text: str | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "sent.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BouncekitError, match=words):
        decide(FRAME, sent=file)
