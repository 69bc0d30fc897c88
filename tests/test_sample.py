"""The verdicts on the sample newsletter, held against what its mailboxes really were."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from bouncekit.backtest import backtest
from bouncekit.classify import classify
from bouncekit.incidents import incidents
from bouncekit.offenders import offenders
from bouncekit.policy import decide
from bouncekit.read import read

DATA = Path(__file__).parent.parent / "data"

OUTAGE = date(2025, 3, 4)
DAY_AFTER = datetime(2025, 3, 5, tzinfo=UTC)
LAST_MAILING = date(2025, 9, 16)

TAKES_MAIL = ["valid", "reopened", "forwarding"]
DEAD = ["never_valid", "typo_domain", "closed", "disabled", "moved", "forwarding_broken"]
# Whom the article leaves alone and the others remove after some mailings.
REFUSING = ["refusing"]

# The least share of the dead that each policy finds by the last mailing. None finds the addresses
# at the domain that never answers, nor those that the sending service did not try.
RECALL = {"article": 0.93, "careful": 0.93, "two_strikes": 0.91}


@pytest.fixture(scope="module")
def newsletter() -> pl.DataFrame:
    return classify(read(DATA / "newsletter.csv.zst"))


@pytest.fixture(scope="module")
def truth() -> pl.DataFrame:
    return pl.read_csv(DATA / "newsletter_truth.csv.zst", try_parse_dates=True).with_columns(
        recipient=pl.concat_str("local_part", "domain", separator="@")
    )


def with_state(decisions: pl.DataFrame, truth: pl.DataFrame, day: date) -> pl.DataFrame:
    """Add what each mailbox was on a day, whether its owner had left the list or not."""
    mailboxes = (
        truth.filter(~pl.col("state").is_in(["unsubscribed", "complained"]))
        .filter(pl.col("since") <= day)
        .sort("since")
        .group_by("recipient")
        .agg(pl.col("state").last())
    )
    return decisions.join(mailboxes, on="recipient", validate="1:1")


def share(rows: pl.DataFrame, condition: pl.Expr) -> float:
    return float(rows.select(condition.mean()).item())


@pytest.mark.parametrize("policy", RECALL)
def test_who_is_removed_is_gone_and_who_is_gone_is_removed(
    newsletter: pl.DataFrame, truth: pl.DataFrame, policy: str
) -> None:
    decisions = with_state(decide(newsletter, policy), truth, LAST_MAILING)
    removed = decisions.filter(pl.col("verdict") == "remove")
    assert share(removed, ~pl.col("state").is_in(TAKES_MAIL)) > 0.995
    dead = decisions.filter(pl.col("state").is_in(DEAD))
    assert share(dead, pl.col("verdict") == "remove") > RECALL[policy]
    refusing = decisions.filter(pl.col("state").is_in(REFUSING))
    assert (share(refusing, pl.col("verdict") == "remove") > 0.9) == (policy != "article")


def test_a_full_mailbox_is_not_given_up_by_the_careful_before_three_mailings(
    newsletter: pl.DataFrame,
) -> None:
    decisions = decide(newsletter, "careful").filter(pl.col("category") == "mailbox_full")
    removed = decisions.filter(pl.col("verdict") == "remove")
    assert removed.height > 150
    assert share(removed, pl.col("mailings_bounced") >= 3) == 1


def test_the_day_after_the_outage_its_victims_are_held(
    newsletter: pl.DataFrame, truth: pl.DataFrame
) -> None:
    decisions = with_state(decide(newsletter, as_of=DAY_AFTER), truth, OUTAGE)
    victims = decisions.filter(
        pl.col("state").is_in(TAKES_MAIL), pl.col("recipient").str.ends_with("@bigmail.example")
    ).filter(pl.col("last_bounce") >= datetime(2025, 3, 4, tzinfo=UTC))
    assert victims.height > 3000
    assert share(victims, pl.col("verdict") == "hold") > 0.99
    assert share(victims, pl.col("verdict") == "remove") == 0

    unguarded = with_state(decide(newsletter, as_of=DAY_AFTER, guard=False), truth, OUTAGE)
    lost = unguarded.filter(pl.col("verdict") == "remove", pl.col("state").is_in(TAKES_MAIL))
    assert lost.height > 3000


def test_the_guard_lets_the_dead_go(newsletter: pl.DataFrame, truth: pl.DataFrame) -> None:
    decisions = with_state(decide(newsletter, as_of=DAY_AFTER), truth, OUTAGE)
    dead = decisions.filter(pl.col("state").is_in(DEAD))
    assert share(dead, pl.col("verdict") == "remove") > 0.9
    assert share(dead, pl.col("verdict") == "hold") < 0.02


def test_a_mailing_later_the_victims_are_kept(newsletter: pl.DataFrame) -> None:
    held = decide(newsletter, as_of=DAY_AFTER).filter(pl.col("verdict") == "hold")
    later = decide(newsletter, as_of=datetime(2025, 4, 2, tzinfo=UTC))
    counted = dict(
        held.select("recipient").join(later, on="recipient")["verdict"].value_counts().iter_rows()
    )
    assert counted["keep"] / held.height > 0.99
    assert "hold" not in counted


def test_two_strikes_need_no_guard(newsletter: pl.DataFrame, truth: pl.DataFrame) -> None:
    decisions = decide(newsletter, "two_strikes", as_of=DAY_AFTER, guard=False)
    removed = with_state(decisions, truth, OUTAGE).filter(pl.col("verdict") == "remove")
    assert share(removed, pl.col("state").is_in(TAKES_MAIL)) < 0.005


def test_the_replay_blames_nobody_for_the_outage(
    newsletter: pl.DataFrame, truth: pl.DataFrame
) -> None:
    guarded = backtest(newsletter, ["article"], truth=truth)
    unguarded = backtest(newsletter, ["article"], truth=truth, guard=False)
    assert guarded["precision"].item() > 0.88
    assert guarded["recall"].item() > 0.88
    assert unguarded["good_lost"].item() > 10 * guarded["good_lost"].item()


def test_the_outage_is_the_one_incident(newsletter: pl.DataFrame) -> None:
    found = incidents(newsletter)
    assert found["provider"].to_list() == ["bigmail.example"]
    assert found["start"].to_list() == [datetime(2025, 3, 4, 9, tzinfo=UTC)]


def test_the_worst_offenders_bounce_in_every_mailing(
    newsletter: pl.DataFrame, truth: pl.DataFrame
) -> None:
    found = offenders(newsletter)
    always = found.filter(pl.col("mailings_bounced") == 26)
    assert always.height == 533
    assert (always["longest_streak"] == 26).all()
    misspelt = truth.filter(pl.col("state") == "typo_domain")["domain"].unique()
    hinted = found.filter(pl.col("domain").is_in(misspelt.implode()))
    assert share(hinted, pl.col("suggestion").is_not_null()) > 0.99
    others = found.filter(~pl.col("domain").is_in(misspelt.implode()))
    assert share(others, pl.col("suggestion").is_not_null()) < 0.01
