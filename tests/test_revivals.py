"""Who comes back after failing, and how soon."""

import polars as pl
import pytest
from frames import bounces

from bouncekit.revivals import revivals

FULL = "552 5.2.2 Mailbox full"


def story(back_after: dict[int, int], weeks: int = 8, mailed: int = 8) -> pl.DataFrame:
    """Twenty full mailboxes; so many take mail again in that week; mailed for so many weeks."""
    lines = [f"2025-01-06 09:00 bounce a{i}@example.org {FULL}" for i in range(20)]
    who = iter(range(20))
    revived = {next(who): week for week, count in back_after.items() for _ in range(count)}
    for week in range(1, weeks + 1):
        day = pl.date(2025, 1, 6) + pl.duration(days=7 * week)
        date = pl.select(day).item()
        for i in range(20):
            if revived.get(i, weeks + 1) <= week:
                lines.append(f"{date} 09:00 delivery a{i}@example.org")
            elif week <= mailed:
                lines.append(f"{date} 09:00 bounce a{i}@example.org {FULL}")
    return bounces("\n".join(lines))


def test_the_share_that_is_back_grows_week_by_week() -> None:
    found = revivals(story({1: 5, 3: 5}))
    assert found["category"].to_list() == ["mailbox_full"] * 2
    assert found["weeks"].to_list() == [1, 3]
    assert found["failed"].to_list() == [20, 20]
    assert found["at_risk"].to_list() == [20, 15]
    assert found["share"].to_list() == pytest.approx([0.25, 0.5])


def test_who_gets_no_more_mail_is_not_counted_as_silent() -> None:
    # Ten are mailed for two weeks only: of the ten that went on being mailed, five are back.
    frame = story({3: 5})
    tail = pl.col("recipient").str.extract(r"a(\d+)@").cast(pl.Int32) >= 10
    told = frame.filter(~tail | (pl.col("time").dt.date() <= pl.date(2025, 1, 20)))
    assert revivals(told)["share"].to_list() == pytest.approx([0.5])


def test_shares_of_a_handful_are_not_told() -> None:
    first = story({1: 2}).filter(pl.col("recipient").str.contains(r"^a\d@"))
    assert revivals(first.filter(pl.col("recipient") != "a9@example.org")).is_empty()


def test_the_senders_faults_and_outages_are_no_failures() -> None:
    blocked = "554 5.7.1 blocked using zen.spamhaus.org"
    lines = [f"2025-01-06 09:00 bounce a{i}@example.org {blocked}" for i in range(20)]
    lines += [f"2025-01-13 09:00 delivery a{i}@example.org" for i in range(20)]
    assert revivals(bounces("\n".join(lines))).is_empty()
    outage = [f"2025-01-0{day} 09:00 delivery a{i}@b.example" for day in (6, 7) for i in range(40)]
    outage += [f"2025-01-08 09:00 bounce a{i}@b.example 550 5.1.1 no such user" for i in range(20)]
    outage += [f"2025-01-08 09:00 delivery a{i}@b.example" for i in range(20, 40)]
    outage += [f"2025-01-15 09:00 delivery a{i}@b.example" for i in range(40)]
    assert revivals(bounces("\n".join(outage))).is_empty()
