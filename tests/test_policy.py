"""Which addresses come off the list: each policy to the letter, and laws that none may break."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from frames import at, bounces
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from bouncekit.classify import classify
from bouncekit.errors import BouncekitError
from bouncekit.incidents import outage_windows
from bouncekit.policy import Policy, decide, policies, presets, tally
from bouncekit.schema import CATEGORIES_BY_FAULT, VERDICTS

ANN = "ann@example.org"
FIRST_MAILING = datetime(2025, 1, 7, 9)

# What one bounce does under the article's rule: event, reply, category, verdict.
ARTICLE = [
    ("bounce", "550 5.1.1 User unknown", "unknown_user", "remove"),
    ("bounce", "550 Requested action not taken: mailbox unavailable", "unknown_user", "remove"),
    ("bounce", "550 5.1.2 Host or domain name not found", "unknown_domain", "remove"),
    ("bounce", "550 5.2.1 This mailbox has been disabled", "inactive_mailbox", "remove"),
    ("bounce", "551 5.1.6 The recipient has moved to ann@mail.example", "moved", "remove"),
    ("bounce", "552 5.2.2 Mailbox full", "mailbox_full", "remove"),
    ("bounce", "452 4.2.2 Mailbox full", "mailbox_full", "remove"),
    ("deferral", "452 4.2.2 Mailbox full", "mailbox_full", "keep"),
    ("bounce", "450 4.1.1 User unknown", "unknown_user", "keep"),
    ("bounce", "450 4.1.2 Domain not found", "unknown_domain", "keep"),
    ("bounce", "550 5.7.1 The recipient refuses mail from you", "recipient_refused", "keep"),
    ("bounce", "554 5.7.1 blocked using zen.spamhaus.org", "blocklisted", "keep"),
    (
        "bounce",
        "550-Requested action not taken: mailbox unavailable 550 invalid DNS MX or A/AAAA record",
        "sender_dns",
        "keep",
    ),
    ("bounce", "550 5.7.26 DMARC check failed", "authentication_failed", "keep"),
    ("bounce", "554 5.7.1 Message considered as spam", "spam_content", "keep"),
    ("bounce", "552 5.3.4 Message size exceeds the limit", "message_too_large", "keep"),
    ("bounce", "450 4.2.0 Greylisted, try again in 5 minutes", "greylisted", "keep"),
    ("bounce", "450 4.4.1 Connection timed out", "connection_failed", "keep"),
    ("bounce", "550 5.7.1 Access denied", "policy_refused", "keep"),
    ("bounce", "550", "unclassified", "keep"),
    ("complaint", "Feedback-Type: abuse", "complaint", "keep"),
    ("dropped", "Bounced Address", "suppressed", "keep"),
]

# What happens to ann in mailings a week apart; a blank is no mail to her.
REPLIES = {
    "u": "bounce {} 550 5.1.1 User unknown",
    "?": "bounce {} 550 Requested action not taken: mailbox unavailable",
    "f": "bounce {} 552 5.2.2 Mailbox full",
    "F": "bounce {} 452 4.2.2 Mailbox full",
    "r": "bounce {} 550 5.7.1 The recipient refuses mail from you",
    "5": "bounce {} 550 5.1.1",
    "s": "bounce {} 554 5.7.1 blocked using zen.spamhaus.org",
    "t": "deferral {} 451 4.3.0 Temporary system problem",
    "d": "delivery {}",
    "o": "engagement {}",
    "n": "bounce {} 450 4.4.1 Connection timed out",
    "c": "complaint {} Feedback-Type: abuse",
}
STORIES = {
    "article": {
        "u": "remove",
        "du": "remove",
        "ud": "keep",
        "uo": "keep",
        "us": "remove",
        "udu": "remove",
        "sss": "keep",
        "ut": "remove",
    },
    "careful": {
        "u": "remove",
        "f": "keep",
        "ff": "pause",
        "ff f": "remove",
        "FF F": "remove",
        "?": "keep",
        "??": "pause",
        "?? ?": "remove",
        "f?": "pause",
        "5": "keep",
        "rr": "pause",
        "ffd": "keep",
        "ffo": "keep",
        "ffdf": "keep",
        "ffs": "pause",
        "ffsssss": "keep",  # its pause is over
        "ffu": "remove",
        "sss": "keep",
    },
    "two_strikes": {
        "u": "keep",
        "uu": "remove",
        "uf": "remove",
        "rr": "remove",
        "F F": "keep",
        "u u": "remove",
        "uou": "keep",
        "udu": "keep",
        "usu": "remove",
        "ss": "keep",
    },
}

# How known systems treat an address that answers "550 5.1.1 User unknown" to every mailing of a
# weekly list: after how many mailings it is off, and whether a single such bounce is enough.
KNOWN_SYSTEMS = {
    "mailman3": (5, False),
    "mailman2": (5, False),
    "sympa": (75, False),
    "phplist": (5, False),
    "listmonk": (1, True),
    "mautic": (1, True),
    "discourse": (2, False),
    "mailchimp": (1, True),
    "salesforce": (4, False),
    "klaviyo": (1, True),
    "hubspot": (1, True),
    "postmark": (1, True),
    "ses": (1, True),
    "powermta_categories": (1, True),
}

# What else is known of them: policy, what happens week by week, verdict. `c` is a complaint.
AS_THEY_DO = [
    ("mailman3", "uu uuu", "keep"),  # two weeks apart begins anew
    ("mailman3", "uuuuudd", "remove"),  # a delivery does not
    ("mailman3", "FFFFFFFF", "keep"),
    ("mailman3", "sssss", "remove"),  # whoever's fault it is
    ("mailman2", "F" * 9, "keep"),
    ("mailman2", "F" * 10, "remove"),
    ("sympa", "u" * 74, "keep"),
    ("sympa", "F" * 149, "keep"),
    ("sympa", "F" * 150, "remove"),
    ("sympa", "u" * 70 + " " + "u" * 70, "keep"),
    ("sympa", "u" * 75 + "d" * 9, "remove"),
    ("phplist", "uuuudu", "keep"),
    ("phplist", "uFs?f", "remove"),
    ("phplist", "uuuuouu", "remove"),  # an open alone ends no run
    ("listmonk", "s", "remove"),
    ("listmonk", "FFF", "keep"),
    ("listmonk", "ud", "remove"),
    ("listmonk", "dc", "remove"),
    ("mautic", "F", "remove"),
    ("mautic", "t", "keep"),
    ("discourse", "FFF", "keep"),
    ("discourse", "uF", "keep"),
    ("discourse", "uFF", "remove"),
    ("discourse", "u    u", "keep"),
    ("mailchimp", "ffffff", "keep"),
    ("mailchimp", "fffffff", "remove"),
    ("mailchimp", "offfffff" + "ffffff", "keep"),
    ("mailchimp", "o" + "f" * 15, "remove"),
    ("mailchimp", "ou", "remove"),
    ("salesforce", "uuu", "keep"),
    ("salesforce", "uu u", "remove"),
    ("salesforce", "FFFF", "remove"),
    ("salesforce", "uuuud", "remove"),
    ("salesforce", "uuuuo", "keep"),
    ("salesforce", "sssss", "keep"),
    ("klaviyo", "F" * 7, "keep"),
    ("klaviyo", "F" * 8, "remove"),
    ("klaviyo", "FFFFFFFdF", "keep"),
    ("klaviyo", "F" * 8 + "d", "keep"),
    ("klaviyo", "ud", "remove"),  # a hard bounce is for good
    ("klaviyo", "fd", "keep"),
    ("hubspot", "f", "remove"),
    ("hubspot", "s", "keep"),
    ("postmark", "fff", "keep"),
    ("postmark", "dc", "remove"),
    ("ses", "f" * 20, "keep"),
    ("ses", "dc", "remove"),
    ("article", "dc", "keep"),
    ("powermta_categories", "ff", "keep"),
    ("powermta_categories", "fff", "remove"),
    ("powermta_categories", "fnfn", "keep"),  # each category by itself
    ("powermta_categories", "ffnf", "remove"),
    ("powermta_categories", "s" * 20, "keep"),
]

APART = {
    ("01-07 09:00", "01-14 09:00"): "remove",
    ("01-07 09:00", "01-14 08:59"): "keep",
    ("01-07 09:00", "01-14 08:00"): "keep",
    ("01-07 09:00", "01-09 09:00", "01-13 09:00"): "keep",
    ("01-07 09:00", "01-09 09:00", "01-14 09:00"): "remove",
    ("01-07 09:00", "01-13 09:00", "01-15 09:00"): "remove",
    ("01-07 09:00", "01-13 09:00", "01-19 09:00", "01-25 09:00"): "remove",
}


def weekly(story: str, recipient: str = ANN) -> pl.DataFrame:
    """Tell a story of one recipient, on a list whose mailings bob takes."""
    lines = []
    for week, letter in enumerate(story):
        time = f"{FIRST_MAILING + timedelta(weeks=week):%Y-%m-%d %H:%M}"
        lines.append(f"{time} delivery bob@example.net")
        if letter != " ":
            lines.append(f"{time} {REPLIES[letter].format(recipient)}")
    return bounces("\n".join(lines))


History = list[tuple[int, int, int, int]]  # who, week of the mailing, hours later, what


def of(recipient: str, decisions: pl.DataFrame) -> dict[str, Any]:
    return decisions.row(by_predicate=pl.col("recipient") == recipient, named=True)


@pytest.mark.parametrize(
    ("event", "reply", "category", "verdict"), ARTICLE, ids=[f"{e} {r}" for e, r, _, _ in ARTICLE]
)
def test_the_article_removes_for_a_dead_or_full_mailbox_alone(
    event: str, reply: str, category: str, verdict: str
) -> None:
    frame = bounces(f"2025-01-07 09:00 {event} {ANN} {reply}")
    assert frame["category"].to_list() == [category]
    assert of(ANN, decide(frame))["verdict"] == verdict


@pytest.mark.parametrize(
    ("policy", "story", "verdict"),
    [(policy, *story) for policy, stories in STORIES.items() for story in stories.items()],
)
def test_a_policy_decides_as_it_says(policy: str, story: str, verdict: str) -> None:
    assert of(ANN, decide(weekly(story), policy))["verdict"] == verdict


def test_every_preset_of_a_known_system_is_in_the_table() -> None:
    assert set(presets()) == {*STORIES, *KNOWN_SYSTEMS}


@pytest.mark.parametrize("policy", KNOWN_SYSTEMS)
def test_a_known_system_takes_as_many_mailings_as_it_does(policy: str) -> None:
    mailings, drops_at_once = KNOWN_SYSTEMS[policy]
    weeks = {1, 2, mailings - 1, mailings} - {0}
    verdicts = {n: of(ANN, decide(weekly("u" * n), policy))["verdict"] for n in sorted(weeks)}
    assert verdicts == {n: "remove" if n >= mailings else "keep" for n in sorted(weeks)}
    assert (verdicts[1] == "remove") == drops_at_once


@pytest.mark.parametrize("policy", ["mailman3", "mailman2"])
def test_mailman_never_drops_who_bounces_less_than_weekly(policy: str) -> None:
    lines = (f"{FIRST_MAILING + timedelta(days=8 * n):%Y-%m-%d %H:%M}" for n in range(20))
    frame = bounces("\n".join(f"{line} bounce {ANN} 550 5.1.1 User unknown" for line in lines))
    assert decide(frame, policy)["verdict"].item() == "keep"


@pytest.mark.parametrize(("policy", "story", "verdict"), AS_THEY_DO, ids=map(" ".join, AS_THEY_DO))
def test_a_known_system_is_followed_in_the_rest(policy: str, story: str, verdict: str) -> None:
    assert of(ANN, decide(weekly(story), policy))["verdict"] == verdict


def test_a_day_counts_once_and_with_its_heaviest_strike() -> None:
    policy = Policy(
        "daily", threshold=3, weights={"unknown_user": 2, "mailbox_full": 1}, one_per_day=True
    )
    day = f"""
        2025-01-07 09:00 bounce {ANN} #a 552 5.2.2 Mailbox full
        2025-01-07 10:00 bounce {ANN} #b 550 5.1.1 User unknown
        2025-01-07 11:00 bounce {ANN} #c 552 5.2.2 Mailbox full
    """
    (decision,) = decide(bounces(day), policy).to_dicts()
    assert (decision["score"], decision["strikes"], decision["verdict"]) == (2, 1, "keep")


def test_a_window_counts_what_lies_in_it() -> None:
    policy = Policy("window", threshold=3, weights={"mailbox_full": 1}, window_days=20)
    stories = {"fff": "remove", "ff f": "keep", "ff ff": "keep", "ff fff": "remove"}
    for story, verdict in stories.items():
        assert of(ANN, decide(weekly(story), policy))["verdict"] == verdict, story
    (decision,) = decide(bounces(f"- - bounce {ANN} 552 5.2.2 Mailbox full"), policy).to_dicts()
    assert decision["score"] == 1


def test_removed_stays_removed_when_the_run_is_over() -> None:
    assert of(ANN, decide(weekly("u" * 5 + "    u"), "mailman3"))["verdict"] == "remove"


RUNS = Policy(
    "runs", threshold=5, weights={"unknown_user": 1}, pause_at=3, stale_days=7, resets_on=()
)
OF_RUNS = {
    ("uuu    u", 0): ("keep", "1 mailing bounced for it, on 2025-02-25;"),
    ("uuuu    uuu", 0): ("pause", "from 2025-03-04 to 2025-03-18;"),  # the old pause is over
    ("uuuu    uuu", 30): ("keep", "from 2025-03-04 to 2025-03-18;"),
    ("uuuuu    uuu", 0): ("remove", "from 2025-01-07 to 2025-02-04;"),
    ("uuuuu    uuuuuu", 0): ("remove", "from 2025-03-11 to 2025-04-15;"),
}


@pytest.mark.parametrize(
    ("case", "expected"), OF_RUNS.items(), ids=[" ".join(map(str, case)) for case in OF_RUNS]
)
def test_of_several_runs_the_hardest_decides_and_else_the_last(
    case: tuple[str, int], expected: tuple[str, str]
) -> None:
    story, days_later = case
    day = FIRST_MAILING + timedelta(weeks=len(story) - 1, days=days_later)
    decision = of(ANN, decide(weekly(story), RUNS, as_of=day))
    assert (decision["verdict"], expected[1] in decision["because"]) == (expected[0], True)


def test_a_pause_can_last_days() -> None:
    policy = Policy("week", threshold=2, weights={"unknown_user": 1}, pause_at=1, pause_days=7)
    decision = of(ANN, decide(weekly("u"), policy))
    assert decision["verdict"] == "pause"
    assert decision["until"] == at("2025-01-14 09:00")
    assert decision["because"].endswith(" Send nothing until 2025-01-14, then try again.")
    assert of(ANN, decide(weekly("u "), policy))["verdict"] == "keep"
    assert of(ANN, decide(weekly("uu"), policy))["verdict"] == "remove"


@pytest.mark.parametrize(("times", "verdict"), APART.items(), ids=[" ".join(t) for t in APART])
def test_two_strikes_must_lie_seven_days_apart(times: tuple[str, ...], verdict: str) -> None:
    lines = [f"2025-{time} bounce {ANN} 550 5.1.1 User unknown" for time in times]
    assert of(ANN, decide(bounces("\n".join(lines)), "two_strikes"))["verdict"] == verdict


def test_a_strike_is_as_old_as_the_first_bounce_of_its_mailing() -> None:
    frame = bounces(f"""
        2025-01-07 09:00 bounce {ANN} #jan 550 5.1.1 User unknown
        2025-01-09 09:00 bounce {ANN} #jan 550 5.2.1 Mailbox disabled
        2025-01-09 10:00 bounce {ANN} #jan 550 5.1.1 User unknown
        2025-01-14 09:00 bounce {ANN} #feb 550 5.1.1 User unknown
    """)
    decision = of(ANN, decide(frame, "two_strikes"))
    assert decision["verdict"] == "remove"
    assert decision["first_bounce"] == at("2025-01-07 09:00")
    assert "2 mailings bounced for it, from 2025-01-07 to 2025-01-14;" in decision["because"]


UNEVEN = Policy(
    "uneven", threshold=9, weights={"unknown_user": 3, "mailbox_full": 1}, min_gap_days=7
)


def test_a_light_strike_keeps_no_heavy_one_from_counting() -> None:
    day = (
        f"2025-01-07 09:00 {REPLIES['f'].format(ANN)}\n2025-01-08 09:00 {REPLIES['u'].format(ANN)}"
    )
    assert of(ANN, decide(bounces(day), replace(UNEVEN, threshold=3)))["verdict"] == "remove"


@settings(max_examples=50)
@given(
    strikes=st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=7),
    window=st.sampled_from([None, 15]),
)
def test_of_strikes_far_enough_apart_those_count_that_weigh_most(
    strikes: list[tuple[int, bool]], window: int | None
) -> None:
    lines = [
        f"{FIRST_MAILING + timedelta(days=day):%Y-%m-%d %H:%M} bounce {ANN} #{number} "
        + ("550 5.1.1 User unknown" if heavy else "552 5.2.2 Mailbox full")
        for number, (day, heavy) in enumerate(strikes)
    ]
    choices = (sorted(chosen) for n in range(1, 8) for chosen in itertools.combinations(strikes, n))
    best = max(
        sum(3 if heavy else 1 for _, heavy in chosen)
        for chosen in choices
        if all(b[0] - a[0] >= 7 for a, b in itertools.pairwise(chosen))
        and (window is None or chosen[-1][0] - chosen[0][0] < window)
    )
    decisions = decide(bounces("\n".join(lines)), replace(UNEVEN, window_days=window), guard=False)
    assert decisions["score"].to_list() == [best]


def test_strikes_without_times_show_no_distance() -> None:
    frame = bounces(f"""
        - - bounce {ANN} #jan 550 5.1.1 User unknown
        - - bounce {ANN} #feb 550 5.1.1 User unknown
    """)
    assert of(ANN, decide(frame))["verdict"] == "remove"
    assert of(ANN, decide(frame, "two_strikes"))["verdict"] == "keep"
    one_more = pl.concat([frame, bounces(f"2025-03-07 09:00 {REPLIES['u'].format(ANN)}")])
    assert of(ANN, decide(one_more, "two_strikes"))["verdict"] == "keep"


def test_a_pause_skips_one_mailing() -> None:
    decision = of(ANN, decide(weekly("ff"), "careful"))
    assert at("2025-01-21 09:00") < decision["until"] < at("2025-01-28 09:00")
    assert decide(weekly("u"), "careful")["until"].to_list() == [None, None]


def test_a_pause_ends() -> None:
    frame = weekly("ff")
    until = of(ANN, decide(frame, "careful"))["until"]
    paused, over = (
        of(ANN, decide(frame, "careful", as_of=until + timedelta(days=late))) for late in (-1, 1)
    )
    assert paused["verdict"] == "pause"
    assert (over["verdict"], over["until"]) == ("keep", None)
    assert f"Its pause ended on {until:%Y-%m-%d}: try again." in over["because"]


def test_what_is_accepted_and_then_returned_is_no_sign_of_life() -> None:
    returned = [
        f"2025-01-{day} 09:00 delivery {ANN}\n2025-01-{day} 09:20 {REPLIES['u'].format(ANN)}"
        for day in ("07", "14")
    ]
    frame = bounces("\n".join(returned))
    assert of(ANN, decide(frame, "two_strikes"))["verdict"] == "remove"


def test_a_delivery_after_the_bounce_counts_whatever_the_mailing_is_called() -> None:
    frame = bounces(f"""
        2025-01-07 09:00 bounce {ANN} #news 550 5.1.1 User unknown
        2025-02-07 09:00 delivery {ANN} #news
        2025-03-07 09:00 bounce {ANN} #news 554 5.7.1 blocked using zen.spamhaus.org
    """)
    assert of(ANN, decide(frame))["verdict"] == "keep"


def test_the_clearest_bounce_of_a_mailing_counts() -> None:
    clear, vague = (f"2025-01-07 {REPLIES[letter].format(ANN)}" for letter in "u?")
    for first, second in ((clear, vague), (vague, clear)):
        frame = bounces(
            first.replace("07", "07 09:00", 1) + "\n" + second.replace("07", "07 10:00", 1)
        )
        assert of(ANN, decide(frame, "careful"))["verdict"] == "remove"


def test_nothing_after_the_day_in_question_is_used() -> None:
    frame = weekly("uud")
    assert of(ANN, decide(frame))["verdict"] == "keep"
    assert of(ANN, decide(frame, as_of=at("2025-01-20 00:00")))["verdict"] == "remove"
    assert of(ANN, decide(frame, "two_strikes", as_of=at("2025-01-13 00:00")))["verdict"] == "keep"


def test_a_time_without_a_zone_is_utc() -> None:
    frame = weekly("uud")
    naive = frame.with_columns(pl.col("time").dt.replace_time_zone(None))
    day = datetime(2025, 1, 20)
    assert_frame_equal(decide(naive, as_of=day), decide(frame, as_of=at("2025-01-20 00:00")))
    assert_frame_equal(decide(naive), decide(frame))


def test_recipients_and_replies_are_enough() -> None:
    frame = pl.DataFrame({"recipient": [ANN], "reply": ["550 5.1.1 User unknown"]})
    assert decide(classify(frame))["verdict"].to_list() == ["remove"]


def test_a_frame_without_rows_gives_no_decisions() -> None:
    frame = weekly("u").clear()
    assert decide(frame).is_empty()
    assert decide(frame).schema == decide(weekly("u")).schema


# The guard


def big_list(days: dict[int, str]) -> pl.DataFrame:
    """Mail 40 addresses of bigmail.example on days of March; a letter for each quarter of them."""
    lines = [
        f"2025-03-{day:02} 09:{number:02} {REPLIES[quarters[number % 4]].format(address)}"
        for day, quarters in days.items()
        for number in range(40)
        for address in [f"a{number}@bigmail.example"]
        if quarters[number % 4] != " "
    ]
    return bounces("\n".join(lines))


OUTAGES = {
    "an outage holds, and removes nobody": ({1: "dddd", 8: "dddd", 15: "dduu"}, "hold"),
    "who takes mail again is kept": ({1: "dddd", 8: "dddd", 15: "dduu", 22: "dddd"}, "keep"),
    "who is refused later, too, is removed": (
        {1: "dddd", 8: "dddd", 15: "dduu", 22: "dddu"},
        "remove",
    ),
    "no outage lasts a week": (
        {**dict.fromkeys(range(1, 10), "dddd"), 15: "uuuu", 22: "uuuu"},
        "remove",
    ),
    "an outage may last for days": (
        {**dict.fromkeys(range(1, 10), "dddd"), 15: "uuuu", 16: "uuuu"},
        "hold",
    ),
    "who was refused before is removed": ({1: "dddd", 8: "dddu", 15: "dduu"}, "remove"),
    "a bad import is no outage": ({1: "ddd ", 8: "ddd ", 15: "dddu"}, "remove"),
}


@pytest.mark.parametrize(("days", "verdict"), OUTAGES.values(), ids=OUTAGES)
def test_the_guard_knows_outages(days: dict[int, str], verdict: str) -> None:
    decisions = decide(big_list(days))
    assert of("a3@bigmail.example", decisions)["verdict"] == verdict


def test_a_strike_in_an_outage_is_no_second_strike() -> None:
    frame = big_list({1: "dddd", 8: "dddd", 22: "dduu"})
    alone = bounces("2025-03-15 09:00 bounce a3@bigmail.example 550 5.1.1 User unknown")
    decisions = decide(pl.concat([frame, alone]), "two_strikes")
    assert of("a3@bigmail.example", decisions)["verdict"] == "hold"
    assert of("a7@bigmail.example", decisions)["verdict"] == "keep"


def test_without_the_guard_an_outage_removes() -> None:
    frame = big_list({1: "dddd", 8: "dddd", 15: "dduu"})
    for guard, verdict in ((True, "hold"), (outage_windows(frame), "hold"), (False, "remove")):
        counted = dict(decide(frame, guard=guard)["verdict"].value_counts().iter_rows())
        assert counted == {verdict: 20, "keep": 20}


def test_a_few_addresses_make_no_outage() -> None:
    frame = big_list({1: "dddd", 8: "dddd", 15: "dduu"})
    few = frame.filter(
        pl.col("recipient").str.contains("a1?[0-9]@") | (pl.col("event") == "delivery")
    )
    few = few.filter(~pl.col("recipient").str.contains("a19@"))
    assert few.filter(pl.col("event") == "bounce").height == 9
    assert set(decide(few)["verdict"]) == {"remove", "keep"}


# Own policies

OWN = """
[mine]
threshold = 3
weights = { mailbox_full = 1.5, blocklisted = 0.1 }
"""


def test_a_policy_of_ones_own_decides(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(OWN)
    mine = Policy("mine", threshold=3, weights={"mailbox_full": 1.5, "blocklisted": 0.1})
    for policy in (mine, file, str(file)):
        for story, verdict in {"f": "keep", "ff": "remove", "uuu": "keep", "fs": "keep"}.items():
            assert of(ANN, decide(weekly(story), policy))["verdict"] == verdict
    assert of(ANN, decide(weekly("ff"), mine))["policy"] == "mine"


def test_parts_of_points_add_up() -> None:
    tenth = Policy("tenth", threshold=0.8, weights={"mailbox_full": 0.1})
    assert of(ANN, decide(weekly("f" * 8), tenth))["verdict"] == "remove"
    because = of(ANN, decide(weekly("fff"), tenth))["because"]
    assert because.endswith(" 0.3 of 0.8 points towards removal.")


MISTAKES = {
    "[a]\nthreshold = 0\nweights = { moved = 1 }": "'a': threshold = 0 would remove everybody",
    "[a]\nthreshold = 2\npause_at = 0\nweights = { moved = 1 }": "pause_at = 0 would pause every",
    "[a]\nthreshold = -1\nweights = { moved = 1 }": "threshold = -1 is no number from 0 up",
    "[a]\nthreshold = 'x'\nweights = { moved = 1 }": "threshold = 'x' is no number from 0 up",
    "[a]\nthreshold = 1\nweights = { moved = '1' }": "moved = '1' is no number from 0 up",
    "[a]\nthreshold = 1\nweights = { complaint = 1 }": "write removes_complainers = true",
    "[a]\nthreshold = 1\nweights = {}\nresets_on = ['open']": "resets_on holds 'open'; use",
    "[a]\nthreshold = 1\nweights = {}\nresets_on = 3": "resets_on holds 3; use",
    "[a]\nthreshold = true\nweights = {}": "threshold = True is no number",
    "[a]\nthreshold = 1\nweights = {}\none_per_day = 1": "one_per_day = 1; use true or false",
    "[a]\nthreshold = 1\nweights = {}\nstale_days = 0": "stale_days = 0 would forget every",
    "[a]\nthreshold = 1\nweights = {}\ntemporary_weights = 1": "temporary_weights must name",
    "[a]\nthreshold = 1\nweights = 1": r"\[a\] weights must name categories",
    "[a]\nthreshold = 1\nweights = { full = 1 }": "'full' is no category; use one of unknown_user",
    "[a]\nthreshold = 1\nweights = { moved = 1 }\nlimit = 1": r"\[a\] has 'limit', which no policy",
    "[a]\nthreshold = 1": "'a' is no policy; write",
    "threshold = 1": "'threshold' is no policy; write",
    "[a": "not readable as TOML",
    "": "holds 0 policies; keep the one to use",
    "[article]\nthreshold = 1\nweights = {}": r"\[article\] is another policy's name; give yours",
    "[a]\nsource = 5\nthreshold = 1\nweights = {}": r"\[a\] source must be a text in quotes",
    "[a]\nthreshold = 1\nweights = {}\n[b]\nthreshold = 1\nweights = {}": "holds 2 policies",
}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"threshold": None}, "threshold = None is no number from 0 up"),
        ({"threshold": float("nan")}, "threshold = nan is no number"),
        ({"threshold": float("inf")}, "threshold = inf is no number"),
        ({"weights": ["recipient"]}, r"weights = \['recipient'\]; give weights by category"),
        ({"weights": None}, "weights = None; give weights"),
        ({"temporary_weights": ["a"]}, "temporary_weights = .*; give weights"),
        ({"window_days": 1.5}, "window_days = 1.5 is no whole number"),
        ({"pause_days": 1.5}, "pause_days = 1.5 is no whole number"),
        ({"pause_mailings": None}, "pause_mailings = None is no whole number"),
    ],
)
def test_a_policy_that_cannot_be_is_told_when_it_is_made(fields: Any, words: str) -> None:
    with pytest.raises(BouncekitError, match=words):
        Policy(**{"name": "mine", "threshold": 1, "weights": {"recipient": 1}, **fields})


@pytest.mark.parametrize(("text", "words"), MISTAKES.items(), ids=MISTAKES.values())
def test_a_mistake_in_a_policy_is_named(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(BouncekitError, match=words):
        decide(weekly("u"), file)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (
            "artcle",
            "no policy 'artcle'; use one of article, careful, two_strikes.* or a .toml file",
        ),
        ("nowhere.toml", "nowhere.toml: there is no such file"),
    ],
)
def test_a_policy_that_is_not_there_is_named(policy: str, words: str) -> None:
    with pytest.raises(BouncekitError, match=words):
        decide(weekly("u"), policy)


def test_the_policies_are_listed_with_their_source() -> None:
    listed = policies()
    assert listed["policy"].to_list() == list(presets())
    assert (listed["source"].str.len_chars() > 20).all()


# What the list owner reads

SENTENCES = {
    ("article", "d"): "Nothing bounced.",
    ("article", "du"): "The mailbox does not exist, or never did ('user unknown', 550 5.1.1). "
    "1 mailing bounced for it, on 2025-01-14; it last took or opened mail on 2025-01-07.",
    ("article", "ff u"): "The mailbox does not exist, or never did ('user unknown', 550 5.1.1). "
    "3 mailings bounced, the last of them for this, from 2025-01-07 to 2025-01-28; "
    "no delivery to it is known.",
    ("careful", "ff"): "The mailbox has no room ('mailbox full', 552 5.2.2). "
    "2 mailings bounced for it, from 2025-01-07 to 2025-01-14; no delivery to it is known. "
    "2 of 3 points towards removal. Skip 1 mailing, then try again.",
    ("careful", "5"): "The mailbox does not exist, or never did (550 5.1.1). "
    "1 mailing bounced for it, on 2025-01-07; no delivery to it is known. "
    "1 of 3 points towards removal.",
    ("article", "ud"): "It took or opened mail on 2025-01-14, after its last bounce on 2025-01-07.",
    ("article", "uds"): "1 mailing bounced, but not for a reason that counts against the address. "
    "Your sending IP, domain or a link is on a public blocklist.",
    ("salesforce", "uuu"): "The mailbox does not exist, or never did ('user unknown', 550 5.1.1). "
    "3 mailings bounced for it, from 2025-01-07 to 2025-01-21; no delivery to it is known. "
    "3 of 3 points towards removal, but it takes 15 days from the first to the last.",
    ("ses", "dc"): "The recipient reported 1 mailing as spam, last on 2025-01-14: "
    "who complains gets no more mail.",
    ("article", "dc"): "Nothing bounced. The recipient reported 1 mailing as spam, "
    "last on 2025-01-14; this policy does not remove for that.",
    ("two_strikes", "FF"): "2 mailings bounced, but not for a reason that counts against the "
    "address. The mailbox has no room (but only a temporary reply said so).",
    ("article", "snsn"): "4 mailings bounced, but not for a reason that counts against the "
    "address, 2 of them for this. Your sending IP, domain or a link is on a public blocklist.",
    ("article", "t"): "Nothing bounced, but 1 mailing was deferred and is not known to have "
    "arrived.",
    ("article", "tt"): "Nothing bounced, but 2 mailings were deferred and are not known to have "
    "arrived.",
    ("article", "td"): "Nothing bounced.",
}


@pytest.mark.parametrize(("case", "sentence"), SENTENCES.items(), ids=map(" ".join, SENTENCES))
def test_the_reason_is_a_sentence_for_the_list_owner(case: tuple[str, str], sentence: str) -> None:
    policy, story = case
    assert of(ANN, decide(weekly(story), policy))["because"] == sentence


def test_strikes_that_are_too_close_to_count_are_told_of() -> None:
    lines = [f"2025-01-{day} 09:00 {REPLIES['u'].format(ANN)}" for day in ("07", "10", "13")]
    for count, said in {
        1: " 1 of 2 points towards removal.",
        3: " 1 of 2 points towards removal, since only mailings that bounced at least 7 days apart "
        "count.",
    }.items():
        decision = of(ANN, decide(bounces("\n".join(lines[:count])), "two_strikes"))
        assert decision["because"].endswith(said)


@pytest.mark.parametrize(
    ("threshold", "said"),
    [(4, "3.57 of 4"), (3.5715, "3.57 of 3.5715"), (3.5714, "3.5714 of 3.5714")],
)
def test_a_share_of_points_is_cut_to_what_contradicts_no_verdict(
    threshold: float, said: str
) -> None:
    share = Policy(
        "share", threshold, {"unknown_user": 1}, by_share=True, min_mailings=9, resets_on=()
    )
    decision = of(ANN, decide(weekly("uuduudu"), share))
    assert (decision["verdict"], decision["score"]) == ("keep", 3.571429)
    assert f" {said} points towards removal" in decision["because"]


def test_a_held_address_is_told_of_the_outage() -> None:
    decision = of("a3@bigmail.example", decide(big_list({1: "dddd", 8: "dddd", 15: "dduu"})))
    assert decision["because"].endswith(
        "But bigmail.example refused many good addresses from 2025-03-15 09:00 to "
        "2025-03-15 10:00 UTC: wait for the next mailing."
    )


def test_a_delivery_without_a_time_is_not_denied() -> None:
    frame = bounces(f"- - delivery {ANN} #jan\n- - bounce {ANN} #feb 550 5.1.1 User unknown")
    assert of(ANN, decide(frame))["because"].endswith("when it last took mail is not known.")


def test_what_the_service_did_not_try_is_said() -> None:
    frame = bounces(f"2025-01-07 09:00 dropped {ANN} Bounced Address")
    assert of(ANN, decide(frame))["because"] == (
        "Nothing bounced, but your sending service dropped 1 mailing untried: "
        "the address is on its suppression list."
    )


# Laws: histories of three addresses in six mailings, each event within three days of the sending

KINDS = bounces(
    "\n".join(f"- - {line.format('x')}" for line in REPLIES.values())
    + "\n- - bounce x 550 5.2.1 This mailbox has been disabled"
    + "\n- - bounce x 450 4.1.1 User unknown"
).drop("time", "recipient", "mailing")
BLAMED = KINDS["category"].is_in(CATEGORIES_BY_FAULT["recipient"]) & (KINDS["event"] == "bounce")
ALL = list(range(KINDS.height))
FAILURES = [kind for kind in ALL if BLAMED[kind] and KINDS["permanent"][kind]]
NOT_THE_RECIPIENTS = [kind for kind in ALL if not BLAMED[kind]]
COMPLAINT = list(REPLIES).index("c")
SOFTEST_LAST = ("remove", "hold", "pause", "keep")

WEEKS = st.integers(0, 5)
HOURS = st.integers(0, 72)


def histories(kinds: list[int]) -> st.SearchStrategy[History]:
    """Draw events: who, in which week's mailing, how many hours later, and what happened."""
    event = st.tuples(st.integers(0, 2), WEEKS, HOURS, st.sampled_from(kinds))
    return st.lists(event, min_size=1, max_size=25)


def told(history: History) -> pl.DataFrame:
    """Give the frame of a history, on a list with a reader who takes every mailing."""
    reader = [(9, week, 0, list(REPLIES).index("d")) for week in range(12)]
    rows = history + reader
    return pl.DataFrame(
        {
            "time": [
                FIRST_MAILING + timedelta(weeks=week, hours=hours) for _, week, hours, _ in rows
            ],
            "recipient": [f"a{who}@example.org" for who, _, _, _ in rows],
            "mailing": [f"week {week}" for _, week, _, _ in rows],
        },
        schema_overrides={"time": pl.Datetime("us")},
    ).with_columns(pl.col("time").dt.replace_time_zone("UTC"), *KINDS[[kind for *_, kind in rows]])


def verdicts(frame: pl.DataFrame, policy: str) -> dict[str, str]:
    return dict(decide(frame, policy).select("recipient", "verdict").iter_rows())


POLICIES = st.sampled_from(list(presets()))
# Systems that charge the reader for others' faults do so on purpose; their presets are known here.
FAIR = ("article", "careful", "two_strikes", "salesforce", "postmark", "ses")
FORGIVING = ("article", "careful", "two_strikes", "phplist")
# A failure long before the others brings the share of those that bounced down, as Sympa has it.
MONOTONOUS = tuple(name for name, policy in presets().items() if not policy.by_share)
a_few = settings(max_examples=25)


@a_few
@given(policy=POLICIES, history=histories(ALL), seed=st.integers(0, 99), cut=st.integers(0, 25))
def test_order_duplicates_and_files_change_nothing(
    policy: str, history: History, seed: int, cut: int
) -> None:
    frame = told(history)
    mixed = frame.sample(fraction=1, shuffle=True, seed=seed)
    overlapping = pl.concat([mixed.slice(cut), mixed.head(cut + 5)])
    assert_frame_equal(decide(overlapping, policy), decide(frame, policy))
    assert_frame_equal(decide(frame.lazy(), policy), decide(frame, policy))


@a_few
@given(
    policy=st.sampled_from(MONOTONOUS),
    history=histories(ALL),
    more=st.lists(st.sampled_from(FAILURES), min_size=1, max_size=3),
)
def test_more_failures_of_the_recipient_never_soften_a_verdict(
    policy: str, history: History, more: list[int]
) -> None:
    before = verdicts(told(history), policy)
    failures = [(who, 7 + i, 0, kind) for who in range(3) for i, kind in enumerate(more)]
    after = verdicts(told(history + failures), policy)
    for recipient, verdict in before.items():
        assert SOFTEST_LAST.index(after[recipient]) <= SOFTEST_LAST.index(verdict)


@a_few
@given(policy=st.sampled_from(FORGIVING), history=histories(ALL))
def test_who_takes_mail_after_the_last_strike_is_kept(policy: str, history: History) -> None:
    assert "delivery" in presets()[policy].resets_on
    history = [event for event in history if event[3] != COMPLAINT]
    taken = [(who, 7, 0, list(REPLIES).index("d")) for who in range(3)]
    assert set(verdicts(told(history + taken), policy).values()) == {"keep"}


@a_few
@given(policy=st.sampled_from(FAIR), history=histories(NOT_THE_RECIPIENTS))
def test_nobody_pays_for_the_faults_of_others(policy: str, history: History) -> None:
    history = [event for event in history if event[3] != COMPLAINT]
    assert set(verdicts(told(history), policy).values()) == {"keep"}


@a_few
@given(policy=POLICIES, history=histories(ALL))
def test_complaints_are_the_last_word_where_a_policy_says_so(policy: str, history: History) -> None:
    complained = {f"a{who}@example.org" for who, *_, kind in history if kind == COMPLAINT}
    for recipient, verdict in verdicts(told(history), policy).items():
        if recipient in complained and presets()[policy].removes_complainers:
            assert verdict == "remove"


@a_few
@given(policy=POLICIES, history=histories(ALL), hours=st.integers(1, 24 * 45))
def test_a_day_in_the_past_is_decided_as_on_that_day(
    policy: str, history: History, hours: int
) -> None:
    frame = told(history)
    day = FIRST_MAILING.replace(tzinfo=UTC) + timedelta(hours=hours)
    then = frame.filter(pl.col("time") <= day)
    assert_frame_equal(decide(frame, policy, as_of=day), decide(then, policy, as_of=day))


@a_few
@given(policy=POLICIES, history=histories(ALL))
def test_every_recipient_gets_one_verdict(policy: str, history: History) -> None:
    frame = told(history)
    decisions = decide(frame, policy)
    assert sorted(decisions["recipient"]) == sorted(set(frame["recipient"]))
    assert set(decisions["verdict"]) <= set(VERDICTS)
    assert decisions["because"].str.ends_with(".").all()
    paused = decisions["verdict"] == "pause"
    assert (decisions["until"].is_not_null() == paused).all()


def counted(frame: pl.DataFrame, names: list[str], guard: bool = True) -> pl.DataFrame:
    tried = pl.concat(decide(frame, name, guard=guard) for name in names)
    return tried.group_by("policy", "verdict", maintain_order=True).agg(recipients=pl.len())


@a_few
@given(names=st.lists(POLICIES, min_size=1, max_size=3, unique=True), history=histories(ALL))
def test_the_tally_counts_what_each_policy_decides(names: list[str], history: History) -> None:
    frame = told(history)
    assert_frame_equal(tally(frame, names), counted(frame, names))


@pytest.mark.parametrize("guard", [True, False])
def test_the_tally_knows_outages(guard: bool) -> None:
    frame = big_list({1: "dddd", 8: "dddd", 15: "dduu"})
    assert_frame_equal(tally(frame, ["ses"], guard=guard), counted(frame, ["ses"], guard))
    assert ("hold" in tally(frame, ["ses"], guard=guard)["verdict"]) == guard


def test_no_policy_gives_an_empty_tally() -> None:
    assert tally(big_list({1: "dddd"}), []).columns == ["policy", "verdict", "recipients"]
