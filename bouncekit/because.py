"""Say in a sentence why an address is removed, held, paused or kept."""

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.presets import Policy


def because(policy: Policy) -> pl.Expr:
    """Give the sentence that a list owner reads (String), of the columns that `decide` counts."""
    outage = pl.format(
        " But {} refused many good addresses from {} to {} UTC: wait for the next mailing.",
        "provider",
        _minute("outage_start"),
        _minute("outage_end"),
    )
    points = pl.format(
        " {} of {} points towards removal{}.",
        _number(_points(policy)),
        _number(pl.col("threshold")),
        _missing(policy),
    )
    over = pl.format(" Its pause ended on {}: try again.", _day("until"))
    verdict = pl.col("verdict")
    follows = (
        pl.when(verdict == "remove")
        .then(pl.lit(""))
        .when(verdict == "hold")
        .then(outage)
        .when(verdict == "pause")
        .then(points + _skip(policy))
        .when("is_over")
        .then(points + over)
        .when(pl.col("strikes") > 0)
        .then(points)
    )
    of_bounces = pl.coalesce(_facts() + follows, _why_blameless(policy))
    return (
        pl.when(pl.col("complaints") > 0).then(_complaint(policy, of_bounces)).otherwise(of_bounces)
    )


def _complaint(policy: Policy, of_bounces: pl.Expr) -> pl.Expr:
    reported = pl.format(
        "The recipient reported {} as spam{}",
        _count_of_mailings("complaints"),
        pl.format(", last on {}", _day("last_complaint")).fill_null(""),
    )
    if policy.removes_complainers:
        return reported + pl.lit(": who complains gets no more mail.")
    return of_bounces + " " + reported + pl.lit("; this policy does not remove for that.")


def _points(policy: Policy) -> pl.Expr:
    """Give the score as people read it: a share has many decimals, and rounded up could do more."""
    score, threshold = pl.col("score"), pl.col("threshold")
    if not policy.by_share:
        return score
    cut = (score * 100).round(4).floor() / 100
    return pl.when(score >= threshold).then(pl.max_horizontal(cut, threshold)).otherwise(cut)


def _missing(policy: Policy) -> pl.Expr:
    """Say which strikes were not counted, and what removal waits for beside the points."""
    needs = []
    if policy.min_mailings:
        needs.append(f"{_mailings(policy.min_mailings)} that bounced")
    if policy.min_days:
        needs.append(f"{policy.min_days} days from the first to the last")
    waits = (pl.col("score") >= pl.col("threshold")) & ~pl.col("is_enough")
    too_close = pl.lit(policy.min_gap_days > 0) & (pl.col("strikes") > pl.col("allowed_strikes"))
    apart = f"at least {policy.min_gap_days} days apart"
    return pl.concat_str(
        pl.when(too_close).then(pl.lit(f", since only mailings that bounced {apart} count")),
        pl.when(pl.lit(bool(needs)) & waits).then(pl.lit(f", but it takes {' and '.join(needs)}")),
        ignore_nulls=True,
    )


def _skip(policy: Policy) -> pl.Expr:
    if policy.pause_days is None:
        return pl.lit(f" Skip {_mailings(policy.pause_mailings)}, then try again.")
    return pl.format(" Send nothing until {}, then try again.", _day("until")).fill_null(
        f" Send nothing for {policy.pause_days} days, then try again."
    )


def _facts() -> pl.Expr:
    """Say what the strikes tell: the cause, the evidence of the last one, how often and when."""
    codes = pl.concat_str("reply_code", "enhanced_code", separator=" ", ignore_nulls=True)
    words = (
        pl.when(pl.col("certainty") == "text")
        .then(pl.format("'{}'", "evidence"))
        .when(pl.col("certainty") == "source_class")
        .then(pl.format("your export says '{}'", "evidence"))
    )
    evidence = pl.concat_str(
        words, pl.when(codes != "").then(codes), separator=", ", ignore_nulls=True
    )
    said = pl.when(evidence != "").then(pl.format(" ({})", evidence)).otherwise(pl.lit(""))
    first, last = _day("first_strike"), _day("last_strike")
    count = pl.format(
        " {} bounced{}",
        _count_of_mailings("strikes"),
        pl.when(pl.col("causes") == 1)
        .then(pl.lit(" for it"))
        .when(last.is_not_null())
        .then(pl.lit(", the last of them for this"))
        .otherwise(pl.lit(", one of them for this")),
    )
    when = (
        pl.when(first == last)
        .then(pl.format(", on {}", last))
        .when(first.is_not_null())
        .then(pl.format(", from {} to {}", first, last))
        .otherwise(pl.lit(""))
    )
    alive = (
        pl.when(pl.col("last_alive").is_not_null())
        .then(pl.format("; it last took or opened mail on {}.", _day("last_alive")))
        .when(pl.col("last_delivery").is_not_null())
        .then(pl.lit("; it takes mail only to return it."))
        .when("ever_delivered")
        .then(pl.lit("; when it last took mail is not known."))
        .otherwise(pl.lit("; no delivery to it is known."))
    )
    return pl.concat_str(_meaning("category"), said, pl.lit("."), count, when, alive)


def _why_blameless(policy: Policy) -> pl.Expr:
    """Say why nothing counts against an address."""
    untried = pl.format(
        "Nothing bounced, but your sending service dropped {} untried: "
        "the address is on its suppression list.",
        _count_of_mailings("dropped"),
    )
    recovered = pl.format(
        "It took or opened mail on {}, {}.",
        _day("last_alive"),
        pl.format("after its last bounce on {}", _day("last_bounce")).fill_null(
            "and when it bounced is not known"
        ),
    )
    blameless = pl.format(
        "{} bounced, but not for a reason that counts against the address{}. {}{}.",
        _count_of_mailings("bounced_since"),
        pl.when(pl.col("of_cause_since") < pl.col("bounced_since"))
        .then(pl.format(", {} of them for this", "of_cause_since"))
        .otherwise(pl.lit("")),
        _meaning("cause_since"),
        pl.when(pl.col("cause_since").is_in(policy.counted))
        .then(pl.lit(" (but only a temporary reply said so)"))
        .otherwise(pl.lit("")),
    )
    deferred = pl.format(
        "Nothing bounced, but {} not known to have arrived.",
        pl.when(pl.col("deferred") == 1)
        .then(pl.lit("1 mailing was deferred and is"))
        .otherwise(pl.format("{} mailings were deferred and are", "deferred")),
    )
    return (
        pl.when(pl.col("bounced_since") > 0)
        .then(blameless)
        .when(pl.col("mailings_bounced") > 0)
        .then(recovered)
        .when(pl.col("dropped") > 0)
        .then(untried)
        .when((pl.col("deferred") > 0) & pl.col("last_alive").is_null() & ~pl.col("ever_delivered"))
        .then(deferred)
        .otherwise(pl.lit("Nothing bounced."))
    )


def _meaning(category: str) -> pl.Expr:
    meanings = {name: about["meaning"] for name, about in knowledge.categories().items()}
    meaning = pl.col(category).cast(pl.String).replace_strict(meanings, default="")
    return meaning.str.strip_suffix(".")


def _count_of_mailings(column: str) -> pl.Expr:
    number = pl.col(column)
    return (
        pl.when(number == 1).then(pl.lit(_mailings(1))).otherwise(pl.format("{} mailings", number))
    )


def _mailings(number: int) -> str:
    return "1 mailing" if number == 1 else f"{number} mailings"


def _number(number: pl.Expr) -> pl.Expr:
    return number.cast(pl.String).str.strip_suffix(".0")


def _day(column: str) -> pl.Expr:
    return pl.col(column).dt.date().cast(pl.String)


def _minute(column: str) -> pl.Expr:
    return pl.col(column).dt.strftime("%Y-%m-%d %H:%M")
