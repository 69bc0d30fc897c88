"""What happened to each address, mailing by mailing: the strikes that everything later counts."""

from datetime import datetime

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.errors import BouncekitError
from bouncekit.schema import BOUNCES, CLASSIFICATION

_DELIVERED = pl.col("event") == "delivery"
_BOUNCED = pl.col("event") == "bounce"

# What a decision quotes of the bounce that it rests on.
EVIDENCE = (
    "fault",
    "permanent",
    "certainty",
    "reply_code",
    "enhanced_code",
    "because",
    "rule",
    "reply",
    "provider",
)


def events(frame: pl.DataFrame | pl.LazyFrame, as_of: datetime | None = None) -> pl.LazyFrame:
    """Give a classified frame ready for counting: all columns there, nothing after `as_of`.

    Adds `mailing_key`: the mailing where known, else the UTC day of the event, else the message.
    Rows without a recipient are left out: nobody can be charged with them. Raises BouncekitError
    if the frame has no recipients or is not classified.
    """
    lazy = frame.lazy()
    names = lazy.collect_schema().names()
    if "recipient" not in names:
        raise BouncekitError(
            "The frame has no column 'recipient'; read the export with bk.read() or rename it."
        )
    if "category" not in names:
        raise BouncekitError("The frame is not classified yet; call bk.classify() on it first.")
    columns = BOUNCES | CLASSIFICATION
    absent = {name: dtype for name, dtype in columns.items() if name not in names}
    if "event" in absent:
        absent.pop("event")
        lazy = lazy.with_columns(event=pl.lit("bounce", BOUNCES["event"]))
    day = pl.col("time").dt.strftime("%Y-%m-%d")
    return (
        lazy.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in absent.items())
        .filter(pl.col("recipient").is_not_null())
        .filter((pl.col("time") <= as_of).fill_null(True) if as_of else pl.lit(True))
        .with_columns(mailing_key=pl.coalesce("mailing", day, "message_id", pl.lit("unknown")))
    )


def last_event(frame: pl.DataFrame | pl.LazyFrame) -> datetime | None:
    """Give the time of the last event of a frame, or None if no event has a time."""
    if "time" not in frame.lazy().collect_schema().names():
        return None
    newest = frame.lazy().select(pl.col("time").max()).collect(engine="streaming").item()
    assert newest is None or isinstance(newest, datetime)
    return newest


def by_mailing(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give a row per recipient and mailing, whatever the number and order of its events.

    Retries, deferrals, delay notices and duplicates of one message are one row. `bounced` is true
    if the mailing ended in a bounce: a delivery after it takes it back. Of several bounces the one
    whose category stands first in `schema.CATEGORIES` counts. Columns: recipient, mailing_key,
    time (of that bounce, else of the mailing's last event), bounced, delivered, ambiguous,
    category, and `EVIDENCE`.
    """
    per_mailing = ["recipient", "mailing_key"]
    outcome = events.group_by(per_mailing).agg(
        last_bounce=pl.col("time").filter(_BOUNCED).max(),
        last_delivery=pl.col("time").filter(_DELIVERED).max(),
        last_alive=pl.col("time").filter(_DELIVERED | (pl.col("event") == "engagement")).max(),
        last_time=pl.col("time").max(),
        has_bounce=_BOUNCED.any(),
        delivered=_DELIVERED.any(),
    )
    worst_bounce = (
        events.filter(_BOUNCED)
        .select(*per_mailing, "time", "category", *EVIDENCE)
        .sort("category", "time", "reply", descending=[False, True, False], nulls_last=True)
        .unique(per_mailing, keep="first", maintain_order=True)
        .drop("time")
    )
    vague = knowledge.builtin().vague
    return (
        outcome.with_columns(bounced=pl.col("has_bounce") & ~_delivered_after_all())
        .with_columns(time=pl.when("bounced").then("last_bounce").otherwise("last_time"))
        .join(worst_bounce, on=per_mailing, how="left")
        .with_columns(
            pl.when("bounced").then(pl.col(name)).alias(name) for name in ("category", *EVIDENCE)
        )
        .with_columns(
            ambiguous=pl.col("rule").is_in(vague) | (pl.col("certainty") != "text").fill_null(True)
        )
        .drop("last_bounce", "last_time", "has_bounce")
    )


def rates(frame: pl.DataFrame | pl.LazyFrame, *, as_of: datetime | None = None) -> pl.DataFrame:
    """Give the bounce rate of each mailing of a classified frame, in the order of sending.

    Columns: mailing (String), start (Datetime), sends (UInt32: recipients delivered or bounced),
    bounces (UInt32: of them, ended in a bounce), rate (Float64). A frame without deliveries has
    no rate to show: its rows are left out.
    """
    sent = by_mailing(events(frame, as_of)).filter(pl.col("bounced") | pl.col("delivered"))
    return (
        sent.group_by(mailing="mailing_key")
        .agg(
            start=pl.col("time").min(),
            sends=pl.len(),
            bounces=pl.col("bounced").sum(),
            deliveries=pl.col("delivered").sum(),
        )
        .filter(pl.col("deliveries") > 0)
        .drop("deliveries")
        .with_columns(rate=pl.col("bounces") / pl.col("sends"))
        .sort("start", "mailing")
        .collect(engine="streaming")
    )


def _delivered_after_all() -> pl.Expr:
    """True where a delivery came after the last bounce; without times a bounce stands."""
    return (pl.col("last_delivery") > pl.col("last_bounce")).fill_null(False)
