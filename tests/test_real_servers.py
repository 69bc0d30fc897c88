"""Logs and bounce messages that real servers wrote (how: `data/servers/make.py`)."""

from pathlib import Path

import polars as pl
import pytest

import bouncekit as bk

DATA = Path(__file__).parent / "data" / "servers"
YEAR = 2026

# What the servers were told of each recipient: what became of it, why, and with which codes.
FATES = {
    "taken@example.org": ("delivery", None, 250, "2.0.0"),
    "unknown@example.org": ("bounce", "unknown_user", 550, "5.1.1"),
    "full@example.org": ("bounce", "mailbox_full", 552, "5.2.2"),
    "blocked@example.org": ("bounce", "blocklisted", 554, "5.7.1"),
    "bare@example.org": ("bounce", "unknown_user", 550, None),
    "grey@example.org": ("bounce", "greylisted", 451, "4.7.1"),
    "spam@example.net": ("bounce", "spam_content", 554, "5.7.1"),
    "nobody@refused.example": ("bounce", "connection_failed", None, None),
}
# Exim's notice does not repeat what its log knows of a host that never answered.
UNTOLD = {"exim": {"nobody@refused.example": ("bounce", "expired", None, None)}, "postfix": {}}
# What a server adds of its own where the receiver gave no enhanced status code, or no reply at all.
OWN_CODES = {"5.0.0": None, "4.4.1": None}


def read(name: str) -> pl.DataFrame:
    return bk.classify(bk.read(DATA / name, year=YEAR))


def fates(frame: pl.DataFrame) -> dict[str, tuple[str, str | None, int | None, str | None]]:
    """Give the last event of each recipient."""
    last = frame.unique("recipient", keep="last", maintain_order=True)
    columns = ("recipient", "event", "category", "reply_code", "enhanced_code")
    return {
        recipient: (event, category, code, OWN_CODES.get(status, status))
        for recipient, event, category, code, status in last.select(columns).iter_rows()
    }


@pytest.mark.parametrize("server", ["postfix", "exim"])
def test_a_log_tells_what_became_of_each_recipient(server: str) -> None:
    frame = read(f"{server}.log")
    assert fates(frame) == FATES
    assert set(frame["sender"]) == {"news@example.com"}
    february = frame["recipient"] == "spam@example.net"
    assert set(frame.filter(february)["message_id"]) == {"february@example.com"}
    assert set(frame.filter(~february)["message_id"]) == {"january@example.com"}
    waited = frame.filter(pl.col("event") == "deferral")["recipient"].unique().sort()
    assert waited.to_list() == ["grey@example.org", "nobody@refused.example"]
    bounced = frame.filter(pl.col("event") == "bounce")["recipient"]
    assert sorted(bounced) == sorted(name for name, fate in FATES.items() if fate[0] == "bounce")


@pytest.mark.parametrize("server", ["postfix", "exim"])
def test_the_bounce_messages_tell_the_same_as_the_log(server: str) -> None:
    frame = read(f"{server}.mbox")
    bounced = {name: fate for name, fate in FATES.items() if fate[0] == "bounce"}
    assert fates(frame) == bounced | UNTOLD[server]
    assert frame.height == len(FATES) - 1
    assert set(frame["message_id"]) == {"january@example.com", "february@example.com"}
    assert frame["mailing"].str.starts_with("news.example.com").all()
    assert set(frame["event"]) == {"bounce"}


@pytest.mark.parametrize("server", ["postfix", "exim"])
def test_a_log_and_its_bounce_messages_are_one_strike_each(server: str) -> None:
    both = bk.classify(bk.read(DATA / f"{server}.log", DATA / f"{server}.mbox", year=YEAR))
    verdicts = dict(bk.decide(both).select("recipient", "verdict").iter_rows())
    removed = {name for name, verdict in verdicts.items() if verdict == "remove"}
    assert removed == {"unknown@example.org", "full@example.org", "bare@example.org"}
