"""Count classified bounces: how many of what, and what nobody could name."""

import polars as pl

from bouncekit.classify import classify
from bouncekit.conform import check_classified, conformed
from bouncekit.errors import BouncekitError
from bouncekit.history import DOMAIN
from bouncekit.mask import mask
from bouncekit.reply import template
from bouncekit.schema import ACTION_OF, BOUNCES, CLASSIFICATION, NO_FAILURE, Action

# What mask() leaves of a local part that stands alone.
_MASKED_USER = r"\b\w\*\*\*"

# What an export may lack: its column, and what cannot be shown then.
_HOLDINGS = {
    "recipients": ("recipient", "nobody can be decided on, and no address is seen to bounce again"),
    "replies": ("reply", "codes and the export's own verdicts must do, and they guess"),
    "times": ("time", "nothing is drawn over time, no streak ends, and no outage is seen"),
    "mailings": ("mailing", "each day counts as one mailing; without days, each event does"),
    "deliveries": ("event", "no bounce rate, nobody who took mail again, and no outage is seen"),
}
_DERIVED = {
    "action": pl.col("category").cast(pl.String).replace_strict(ACTION_OF, return_dtype=Action),
    "domain": DOMAIN,
    "day": pl.col("time").dt.truncate("1d").dt.date(),
    "week": pl.col("time").dt.truncate("1w").dt.date(),
    "month": pl.col("time").dt.truncate("1mo").dt.date(),
}


def distribution(
    frame: pl.DataFrame | pl.LazyFrame, by: str | list[str] = "category"
) -> pl.DataFrame:
    """Count failures by one or more columns, most frequent first.

    `by` names columns of a classified frame, or `action`, `domain`, `day`, `week`, `month`.
    Deliveries and other rows that are no failure are left out. Gives the columns of `by`, `events`
    (UInt32) and `share` (Float64, of all failures). Raises BouncekitError for a column that is
    not there, for none, and for one that is called as a count is.
    """
    lazy = failures(frame)
    columns = _named(by)
    names = lazy.collect_schema().names()
    made = {name: e for name, e in _DERIVED.items() if e.meta.root_names()[0] in names}
    countable = [*(name for name in [*BOUNCES, *CLASSIFICATION] if name in names), *made]
    for column in columns:
        if column not in [*names, *made]:
            raise BouncekitError(
                f"There is no column '{column}' to count by; use one of {', '.join(countable)}."
            )
    derived = {c: made[c] for c in columns if c not in names}
    of = {derived[c].meta.root_names()[0] for c in derived}
    return (
        conformed(lazy, of)
        .with_columns(**derived)
        .group_by(columns)
        .agg(events=pl.len())
        .with_columns(share=pl.col("events") / pl.col("events").sum())
        .sort(["events", *columns], descending=[True] + [False] * len(columns))
        .collect(engine="streaming")
    )


def _named(by: str | list[str]) -> list[str]:
    """Give the columns to count by, each once."""
    several = by if isinstance(by, list | tuple) else ()
    columns = list(dict.fromkeys([by] if isinstance(by, str) else several))
    if not columns:
        raise BouncekitError("There is nothing to count by; name a column, such as 'category'.")
    for taken in ("events", "share"):
        if taken in columns:
            raise BouncekitError(
                f"The column '{taken}' has the name of a count; give it another, by rename()."
            )
    return columns


def failures(frame: pl.DataFrame | pl.LazyFrame) -> pl.LazyFrame:
    """Keep the rows that tell of a failure: bounces, deferrals, complaints, drops, auto-replies."""
    lazy = conformed(frame, ["event"])
    if "event" not in lazy.collect_schema():
        return lazy
    return lazy.filter(~_is_no_failure(pl.col("event")))


def _is_no_failure(event: pl.Expr) -> pl.Expr:
    """True for what arrived or was read, and for events that say nothing about delivery."""
    return event.cast(pl.String).is_in(NO_FAILURE).fill_null(True)


def unclassified(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Group the replies that nothing could be read from into masked templates, most frequent first.

    Gives `template` (String, without addresses, hosts and ids), `reply_code` (Int16), `events`
    (UInt32), `recipients` (UInt32: how many different ones, if the frame has them) and `example`
    (String: one of the replies, addresses masked). Safe to show, and the material for rules of
    one's own: `bouncekit rules draft` writes it as a file of them. Raises BouncekitError for a
    frame that is not classified.
    """
    check_classified(frame)
    return (
        with_template(failures(frame).filter(pl.col("category") == "unclassified"), "reply_code")
        .group_by("template", "reply_code")
        .agg(pl.len().alias("events"), *recipients(frame), pl.col("reply").min().alias("example"))
        .sort("events", "template", "reply_code", descending=[True, False, False])
        .collect(engine="streaming")
    )


def holdings(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Count what an export holds of what is asked of it, and say what is lost without it.

    Takes a classified frame. Gives `holds` (String: recipients, replies (of failures), times,
    mailings, deliveries), `events` (UInt32: those that have it, or are it) and `without_it`.
    """
    given = conformed(frame, ["event", "reply"])
    names = given.collect_schema().names()
    event = pl.col("event") if "event" in names else pl.lit("bounce")
    failed = ~_is_no_failure(event)
    is_there = {name: pl.col(name).is_not_null() for name in names}
    if "reply" in names:
        is_there["reply"] = failed & (pl.col("reply").str.strip_chars() != "")
    is_there["event"] = event == "delivery"
    counts = given.select(
        is_there.get(column, pl.lit(False)).sum().alias(holds)
        for holds, (column, _) in _HOLDINGS.items()
    )
    counted = counts.collect(engine="streaming").row(0, named=True)
    rows = [(holds, counted[holds], without) for holds, (_, without) in _HOLDINGS.items()]
    schema = {"holds": pl.String, "events": pl.UInt32, "without_it": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def code_against_text(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Count what the codes alone would have said against what the text says.

    Takes a classified frame; only failures that the text decided are counted. Gives `code_says`
    (Category: the verdict on the same codes without a text), `text_says` (Category), `events`
    (UInt32) and `share` (Float64, of the failures counted), most frequent first.
    """
    check_classified(frame)
    by_text = (
        failures(frame)
        .filter(pl.col("certainty") == "text")
        .group_by("reply_code", "enhanced_code", text_says="category")
        .agg(events=pl.len(), reply=pl.lit(None, pl.String))
    )
    return (
        classify(by_text)
        .group_by("text_says", code_says="category")
        .agg(pl.col("events").sum())
        .select("code_says", "text_says", "events", share=pl.col("events") / pl.col("events").sum())
        .sort("events", "code_says", "text_says", descending=[True, False, False])
        .collect(engine="streaming")
    )


def with_template(lazy: pl.LazyFrame, *columns: str) -> pl.LazyFrame:
    """Give replies to show and to group by, beside those `columns` of the frame.

    Gives `reply` (String, addresses masked, those too that are named by their local part alone),
    `template` (String) and, where the frame has recipients, `recipient` (UInt64, a number for
    each of them). Costs far more than to classify: meant for the few rows to be shown.
    """
    lazy = conformed(lazy, ("reply", "recipient"))
    if "recipient" not in lazy.collect_schema():
        shown = mask(lazy.select("reply", *columns))
        return shown.with_columns(template(pl.col("reply")))
    who = pl.when(pl.col("recipient").is_not_null()).then(pl.col("recipient").hash())
    return (
        mask(lazy.select("reply", "recipient", *columns, who.alias("_who")))
        .with_columns(template(pl.col("reply")).str.replace_all(_MASKED_USER, "<user>"))
        .with_columns(recipient="_who")
        .drop("_who")
    )


def recipients(frame: pl.DataFrame | pl.LazyFrame) -> list[pl.Expr]:
    """Count the different recipients (UInt32), if the frame has any to count."""
    if "recipient" not in frame.lazy().collect_schema().names():
        return []
    return [pl.col("recipient").drop_nulls().n_unique().alias("recipients")]
