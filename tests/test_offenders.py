"""Who keeps bouncing: a mailing is one strike at most, and every number is of one address."""

from typing import Any

import polars as pl
import pytest
from frames import at, bounces
from polars.testing import assert_frame_equal

from bouncekit.classify import classify
from bouncekit.errors import BouncekitError
from bouncekit.history import rates
from bouncekit.offenders import offenders, pareto

ANN = "ann@example.org"

STRIKES = {
    "a bounce is a strike": (
        1,
        "2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown",
    ),
    "retries, and the bounce after three days, are one": (
        1,
        """
        2025-01-07 09:00 deferral ann@example.org #jan 452 4.2.2 Mailbox full
        2025-01-07 09:10 deferral ann@example.org #jan 452 4.2.2 Mailbox full
        2025-01-10 09:00 bounce ann@example.org #jan 452 4.2.2 Mailbox full
        """,
    ),
    "the same event from two exports is one": (
        1,
        """
        2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown
        2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown
        """,
    ),
    "two bounces of one mailing are one": (
        1,
        """
        2025-01-07 09:00 bounce ann@example.org #jan 550 5.1.1 User unknown
        2025-01-09 09:00 bounce ann@example.org #jan 550 5.2.1 Mailbox disabled
        """,
    ),
    "a notice of delay is none": (
        0,
        "2025-01-07 09:00 deferral ann@example.org 451 4.4.1 Connection timed out",
    ),
    "a deferral that is delivered later is none": (
        0,
        """
        2025-01-07 09:00 deferral ann@example.org 450 4.2.0 Greylisted
        2025-01-07 09:10 delivery ann@example.org
        """,
    ),
    "a delivery after the bounce of the same mailing takes it back": (
        0,
        """
        2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown
        2025-01-07 09:10 delivery ann@example.org
        """,
    ),
    "a delivery before the bounce does not: accepted, then returned": (
        1,
        """
        2025-01-07 09:00 delivery ann@example.org
        2025-01-07 09:10 bounce ann@example.org 550 5.1.1 User unknown
        """,
    ),
    "the delivery of another mailing does not": (
        1,
        """
        2025-01-07 09:00 bounce ann@example.org #jan 550 5.1.1 User unknown
        2025-01-07 09:10 delivery ann@example.org #extra
        """,
    ),
    "a list's name is no mailing's: its days tell them apart": (
        5,
        "\n".join(
            f"2025-01-{day:02} 09:00 bounce {ANN} #news 550 5.1.1 User unknown"
            for day in (1, 8, 15, 22, 29)
        ),
    ),
    "a mailing tried for three weeks is one": (
        1,
        "\n".join(
            f"2025-01-{day:02} 09:00 bounce {ANN} #jan 550 5.1.1 User unknown"
            for day in (6, 13, 20)
        ),
    ),
    "two mailings of one day are two": (
        2,
        """
        2025-01-07 09:00 bounce ann@example.org #jan 550 5.1.1 User unknown
        2025-01-07 09:00 bounce ann@example.org #extra 550 5.1.1 User unknown
        """,
    ),
    "unnamed, the mailing is the day in UTC": (
        2,
        """
        2025-01-07 00:01 bounce ann@example.org 550 5.1.1 User unknown
        2025-01-07 23:59 bounce ann@example.org 550 5.1.1 User unknown
        2025-01-08 00:01 bounce ann@example.org 550 5.1.1 User unknown
        """,
    ),
    "without any time the mailing's name is enough": (
        2,
        """
        - - bounce ann@example.org #jan 550 5.1.1 User unknown
        - - bounce ann@example.org #jan 550 5.1.1 User unknown
        - - bounce ann@example.org #feb 550 5.1.1 User unknown
        """,
    ),
    "with nothing known of the mailings they are one": (
        1,
        """
        - - bounce ann@example.org 550 5.1.1 User unknown
        - - bounce ann@example.org 550 5.2.1 Mailbox disabled
        """,
    ),
    "sender faults are bounces, too": (
        1,
        "2025-01-07 09:00 bounce ann@example.org 554 5.7.1 blocked using zen.spamhaus.org",
    ),
    "opens, complaints and refusals to try are none": (
        0,
        """
        2025-01-07 09:00 engagement ann@example.org
        2025-01-08 09:00 complaint ann@example.org
        2025-01-09 09:00 dropped ann@example.org Bounced Address
        """,
    ),
}

# b: bounced, d: delivered, t: still being tried, o: opened, in this order, a mailing a week
STREAKS = [
    ("b", 1, 1),
    ("bbb", 3, 3),
    ("bbdb", 2, 1),
    ("bbbd", 3, 0),
    ("dbbdbbb", 3, 3),
    ("bbtb", 3, 3),
    ("bbt", 2, 2),
    ("bobb", 3, 3),
]
WEEKLY = {
    "b": "bounce ann@example.org #{week} 550 5.1.1 User unknown",
    "d": "delivery ann@example.org #{week}",
    "t": "deferral ann@example.org #{week} 451 4.3.0 Try again later",
    "o": "engagement ann@example.org #{week}",
    "s": "bounce ann@example.org #{week} 554 5.7.1 blocked using zen.spamhaus.org",
    "4": "bounce ann@example.org #{week} 450 4.1.1 User unknown",
}

SENDS_AFTER = [
    ("b", 0),
    ("bbb", 2),
    ("dbs", 1),
    ("bbt", 2),
    ("sbb", 1),
    ("ss", 0),
    ("4b", 0),
    ("b4", 1),
    ("bdb", 0),
    ("bo", 0),
]


def weeks(story: str) -> pl.DataFrame:
    lines = [
        f"2025-01-{7 + week:02} 09:00 {WEEKLY[letter].format(week=week)}"
        for week, letter in enumerate(story)
    ]
    return bounces("\n".join(lines))


def of_one(frame: pl.DataFrame) -> dict[str, Any]:
    return offenders(frame, at_least=1).row(0, named=True)


@pytest.mark.parametrize(("strikes", "text"), STRIKES.values(), ids=STRIKES)
def test_a_mailing_is_one_strike_at_most(strikes: int, text: str) -> None:
    found = offenders(bounces(text), at_least=1)
    assert found["mailings_bounced"].sum() == strikes


# Events of messages: what is after the bar is the message's id. Mailings bounced, and sent.
MESSAGES = {
    "retries over midnight are one mailing": (
        (1, 1),
        """
        2025-01-07 23:50 bounce ann@example.org 552 5.2.2 Mailbox full | a
        2025-01-08 00:10 bounce ann@example.org 552 5.2.2 Mailbox full | a
        2025-01-09 23:50 bounce ann@example.org 552 5.2.2 Mailbox full | a
        """,
    ),
    "a delivery the next day takes the bounce back": (
        (0, 1),
        """
        2025-01-07 23:50 bounce ann@example.org 550 5.1.1 User unknown | a
        2025-01-08 00:10 delivery ann@example.org | a
        """,
    ),
    "a deferral is of the mailing that is given up two days later": (
        (1, 1),
        """
        2025-01-07 23:50 deferral ann@example.org 451 4.4.1 Connection timed out | a
        2025-01-09 23:50 bounce ann@example.org 451 4.4.1 Connection timed out | a
        """,
    ),
    "another message of the first day is of the same mailing": (
        (1, 1),
        """
        2025-01-07 09:00 bounce ann@example.org 552 5.2.2 Mailbox full | a
        2025-01-08 09:00 bounce ann@example.org 552 5.2.2 Mailbox full | a
        2025-01-07 10:00 bounce ann@example.org 552 5.2.2 Mailbox full | b
        """,
    ),
    "messages of two days are two": (
        (2, 2),
        """
        2025-01-07 09:00 bounce ann@example.org 552 5.2.2 Mailbox full | a
        2025-01-08 09:00 bounce ann@example.org 552 5.2.2 Mailbox full | b
        """,
    ),
    "another recipient's day is not ann's": (
        (2, 2),
        """
        2025-01-06 09:00 delivery bob@example.org | a
        2025-01-08 09:00 bounce ann@example.org 552 5.2.2 Mailbox full | a
        2025-01-06 09:00 bounce ann@example.org 552 5.2.2 Mailbox full | b
        """,
    ),
    "where the name is a list's, its messages tell retries, too": (
        (4, 4),
        "\n".join(
            f"2025-01-{day:02} 09:00 bounce {ANN} #news 552 5.2.2 Mailbox full | {message}"
            for message, day in [("a", 1), ("b", 8), ("c", 15), ("d", 22), ("d", 23), ("d", 24)]
        ),
    ),
    "what could not be read tells of no day": (
        (1, 1),
        """
        2025-01-01 09:00 unreadable ann@example.org | a
        2025-01-07 09:00 bounce ann@example.org 552 5.2.2 Mailbox full | a
        2025-01-07 09:30 bounce ann@example.org 552 5.2.2 Mailbox full | b
        """,
    ),
}


@pytest.mark.parametrize(("counts", "text"), MESSAGES.values(), ids=MESSAGES)
def test_an_unnamed_mailing_is_the_day_of_the_send(counts: tuple[int, int], text: str) -> None:
    lines, ids = zip(*(line.split(" | ") for line in text.strip().splitlines()), strict=True)
    frame = bounces("\n".join(lines)).with_columns(message_id=pl.Series(ids))
    for whole in (frame, frame.lazy()):
        found = offenders(whole, at_least=1).filter(pl.col("recipient") == ANN)
        assert (found["mailings_bounced"].sum(), found["mailings"].sum() or counts[1]) == counts


def test_without_mailing_and_time_messages_are_told_apart() -> None:
    frame = bounces("- - bounce ann@example.org 550 5.1.1 User unknown")
    twice = pl.concat([frame.with_columns(message_id=pl.lit(i)) for i in ("<1@x>", "<2@x>")])
    assert of_one(twice)["mailings_bounced"] == 2


def test_a_frame_of_recipients_and_replies_is_enough() -> None:
    frame = pl.DataFrame({"recipient": [ANN, ANN, None], "reply": ["550 5.1.1 User unknown"] * 3})
    found = of_one(classify(frame))
    assert found["recipient"] == ANN
    assert found["mailings_bounced"] == found["current_streak"] == 1
    assert found["last_bounce"] is None


@pytest.mark.parametrize(("story", "longest", "current"), STREAKS)
def test_a_streak_counts_the_mailings_that_ended(story: str, longest: int, current: int) -> None:
    found = of_one(weeks(story))
    assert (found["longest_streak"], found["current_streak"]) == (longest, current)


@pytest.mark.parametrize(("story", "sends"), SENDS_AFTER)
def test_sends_after_the_first_permanent_failure_are_counted(story: str, sends: int) -> None:
    assert of_one(weeks(story))["sends_after_first_failure"] == sends


def test_an_old_mailing_opened_late_is_no_send() -> None:
    found = of_one(
        bounces("""
            2025-01-07 09:00 delivery ann@example.org #jan
            2025-01-14 09:00 bounce ann@example.org #feb 550 5.1.1 User unknown
            2025-01-14 10:00 engagement bob@example.org #jan
            2025-01-14 08:00 engagement ann@example.org #jan
        """)
    )
    assert found["mailings"] == 2
    assert found["sends_after_first_failure"] == 0
    assert found["current_streak"] == 1


def test_only_what_was_sent_is_a_mailing() -> None:
    assert of_one(weeks("bot"))["mailings"] == 2


@pytest.mark.parametrize(
    ("story", "ever"), [("bb", False), ("tb", False), ("db", True), ("bd", True)]
)
def test_gone_is_told_from_never_valid(story: str, ever: bool) -> None:
    assert of_one(weeks(story))["ever_delivered"] is ever


def test_the_row_says_when_and_why() -> None:
    found = of_one(weeks("dsbbd4"))
    assert found["first_bounce"] == at("2025-01-08 09:00")
    assert found["last_bounce"] == at("2025-01-12 09:00")
    assert found["last_delivery"] == at("2025-01-11 09:00")
    assert found["top_category"] == "unknown_user"
    assert found["categories"] == "unknown_user 3, blocklisted 1"
    assert found["domain"] == "example.org"


def test_a_mailing_fails_when_it_first_bounces() -> None:
    found = of_one(
        bounces(f"""
            2025-01-07 09:00 bounce {ANN} #jan 554 5.7.1 blocked using zen.spamhaus.org
            2025-01-08 09:00 bounce {ANN} #jan 550 5.1.1 User unknown
            2025-01-10 09:00 bounce {ANN} #jan 550 5.1.1 User unknown
            2025-01-09 09:00 deferral {ANN} #extra 451 4.3.0 Try again later
        """)
    )
    assert found["first_bounce"] == at("2025-01-07 09:00")
    assert found["first_failure"] == at("2025-01-08 09:00")
    assert found["last_bounce"] == at("2025-01-10 09:00")
    assert found["sends_after_first_failure"] == 1


def test_who_took_mail_between_two_retries_fails_since_the_later() -> None:
    found = of_one(
        bounces(f"""
            2025-01-07 09:00 bounce {ANN} #jan 550 5.1.1 User unknown
            2025-01-08 09:00 delivery {ANN} #extra
            2025-01-09 09:00 bounce {ANN} #jan 550 5.1.1 User unknown
        """)
    )
    assert (found["first_bounce"], found["first_failure"]) == (
        at("2025-01-07 09:00"),
        at("2025-01-09 09:00"),
    )
    assert found["sends_after_first_failure"] == 0


def test_the_worst_come_first_and_one_bounce_is_no_habit() -> None:
    frame = bounces("""
        2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown
        2025-01-07 09:00 bounce bob@example.org 550 5.1.1 User unknown
        2025-01-08 09:00 bounce bob@example.org 550 5.1.1 User unknown
        2025-01-08 09:00 bounce eve@example.org 550 5.1.1 User unknown
        2025-01-09 09:00 bounce eve@example.org 550 5.1.1 User unknown
        2025-01-09 09:00 delivery tom@example.org
    """)
    assert offenders(frame)["recipient"].to_list() == ["eve@example.org", "bob@example.org"]
    assert offenders(frame, at_least=1).height == 3
    assert offenders(frame, as_of=at("2025-01-08 23:00"))["recipient"].to_list() == [
        "bob@example.org"
    ]


def test_a_forwarded_address_is_charged_and_not_where_it_leads() -> None:
    frame = weeks("bb").with_columns(final_recipient=pl.lit("ann@mail.example"))
    assert offenders(frame)["recipient"].to_list() == [ANN]


TYPOS = {
    "bigmial.example": "bigmail.example",
    "bigmai.example": "bigmail.example",
    "bigmaill.example": "bigmail.example",
    "bogmail.example": "bigmail.example",
    "bigmail.exampel": "bigmail.example",
    "bigmali.exampl": None,
    "small.example": None,
    "gamil.com": "gmail.com",
    "hotmail.be": None,
}


@pytest.mark.parametrize(("domain", "meant"), TYPOS.items())
def test_a_domain_that_takes_no_mail_may_be_a_slip_of_the_finger(
    domain: str, meant: str | None
) -> None:
    known = "\n".join(f"2025-01-07 09:00 delivery {name}@bigmail.example" for name in "abc")
    lost = f"2025-01-07 09:00 bounce ann@{domain} 550 5.1.2 Host or domain name not found"
    assert of_one(bounces(f"{known}\n{lost}"))["suggestion"] == meant


def test_a_domain_that_takes_mail_is_no_slip() -> None:
    frame = bounces("""
        2025-01-07 09:00 delivery a@bigmail.example
        2025-01-07 09:00 delivery b@bigmail.example
        2025-01-07 09:00 delivery c@bigmail.example
        2025-01-07 09:00 delivery a@bigmall.example
        2025-01-07 09:00 bounce ann@bigmall.example 550 5.1.1 User unknown
    """)
    assert of_one(frame)["suggestion"] is None


def test_a_domain_that_is_known_to_be_none_is_no_slip() -> None:
    known = "\n".join(f"2025-01-07 09:00 delivery {name}@bigmail.example" for name in "abc")
    lost = "2025-01-07 09:00 bounce ann@bigmall.example 550 5.1.1 User unknown"
    found = offenders(bounces(f"{known}\n{lost}"), at_least=1, no_typos=["Bigmall.example"])
    assert found["suggestion"].to_list() == [None]


def test_the_row_says_for_how_long() -> None:
    found = offenders(weeks("dsbbs"), as_of=at("2025-01-20 12:00"), at_least=1).row(0, named=True)
    assert found["first_failure"] == at("2025-01-09 09:00")
    assert (found["days_failing"], found["days_since_delivery"]) == (11, 13)


def test_a_few_addresses_make_most_of_the_bounces() -> None:
    frame = pl.DataFrame({"mailings_bounced": [1] * 50 + [50] + [1] * 549})
    points = pareto(frame)
    assert points.height <= 200
    assert points.row(0) == pytest.approx((1 / 600, 50 / 649))
    assert points.row(-1) == (1.0, 1.0)


def test_the_rate_of_a_mailing_is_of_what_ended() -> None:
    frame = bounces("""
        2025-01-07 09:00 delivery ann@example.org #jan
        2025-01-07 09:00 bounce bob@example.org #jan 550 5.1.1 User unknown
        2025-01-07 09:30 bounce bob@example.org #jan 550 5.1.1 User unknown
        2025-01-07 09:00 deferral eve@example.org #jan 451 4.3.0 Try again later
        2025-01-14 09:00 bounce bob@example.org #feb 550 5.1.1 User unknown
    """)
    assert rates(frame).rows() == [("jan", at("2025-01-07 09:00"), 2, 1, 0.5)]


def test_rows_in_another_order_or_twice_change_nothing() -> None:
    frame = pl.concat([bounces(text) for _, text in STRIKES.values()] + [weeks("dsbbd4obbt")])
    mixed = pl.concat([frame, frame]).sample(fraction=1, shuffle=True, seed=550)
    assert_frame_equal(offenders(mixed, at_least=1), offenders(frame, at_least=1))
    assert_frame_equal(offenders(frame.lazy(), at_least=1), offenders(frame, at_least=1))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pl.DataFrame({"reply": ["550 no"]}), "no column 'recipient'"),
        (pl.DataFrame({"recipient": [ANN]}), "not classified yet; call bk.classify"),
    ],
)
def test_a_frame_that_cannot_be_counted_is_named(frame: pl.DataFrame, words: str) -> None:
    with pytest.raises(BouncekitError, match=words):
        offenders(frame)


def test_a_mailing_sent_before_the_failure_but_given_up_later_is_not_after_it() -> None:
    frame = bounces(f"""
        2025-01-07 09:00 deferral {ANN} #jan 452 4.2.2 Mailbox full
        2025-01-10 09:00 bounce {ANN} #extra 550 5.1.1 User unknown
        2025-01-12 09:00 bounce {ANN} #jan 452 4.2.2 Mailbox full
    """)
    assert of_one(frame)["sends_after_first_failure"] == 0
