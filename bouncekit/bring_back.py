"""Who was taken off the list by a provider's outage, and belongs back on it."""

from datetime import UTC, date, datetime

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.history import events
from bouncekit.incidents import BLAMED_IN_OUTAGES, PROVIDER, outage_windows


def bring_back(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    text: str = "",
    domain: str = "",
    removed: pl.Series | None = None,
    as_of: date | str | None = None,
) -> pl.DataFrame:
    """List the addresses that were refused for a provider's outage only: bring them back.

    Takes a classified frame. Looks at the bounces from `start` until before `end` (UTC) whose reply
    contains `text` (case ignored) and whose recipient is at `domain` or at a provider of this name;
    without a start or end, at those in `incidents()`. With `removed` (the addresses of a list, see
    `suppress.listed`) only these are given.

    An address that was refused for its own fault at another time, and took or opened no mail since,
    is not given: it was not the outage. Columns: recipient, time (Datetime, of the refusal),
    provider, reply, incident_start, incident_end. Raises BouncekitError if only one of start and
    end is given.
    """
    if (start is None) != (end is None):
        raise BouncekitError("An incident has a start and an end; give both, or neither.")
    seen = events(frame, as_of).with_columns(PROVIDER)
    blamed = (pl.col("event") == "bounce") & pl.col("category").is_in(BLAMED_IN_OUTAGES)
    bounced = seen.filter(blamed & pl.col("time").is_not_null())
    if start is None or end is None:
        found = outage_windows(frame, as_of=as_of).lazy()
        inside = bounced.join(found, on="provider")
    else:
        window = pl.lit(_utc(start)).alias("start"), pl.lit(_utc(end)).alias("end")
        inside = bounced.with_columns(*window)
    named = pl.any_horizontal(pl.col("_domain", "provider").str.to_lowercase() == domain.lower())
    inside = (
        inside.filter(pl.col("time").is_between("start", "end", closed="left"))
        .filter(named if domain else pl.lit(True))
        .filter(_lower("reply").str.contains(text.lower(), literal=True) if text else pl.lit(True))
        .sort("recipient", "time", "reply")
        .unique("recipient", keep="first", maintain_order=True)
    )
    window_of = inside.select("recipient", "start", "end")
    is_inside = pl.col("time").is_between("start", "end", closed="left")
    others = (
        bounced.filter(pl.col("permanent").fill_null(True))
        .join(window_of, on="recipient")
        .filter(~is_inside)
        .group_by("recipient")
        .agg(other=pl.col("time").max())
    )
    alive = (
        seen.filter(pl.col("event").is_in(["delivery", "engagement"]))
        .group_by("recipient")
        .agg(alive=pl.col("time").max())
    )
    wanted = pl.col("recipient").is_in(removed.implode()) if removed is not None else pl.lit(True)
    return (
        inside.filter(wanted)
        .join(others, on="recipient", how="left")
        .join(alive, on="recipient", how="left")
        .filter(pl.col("other").is_null() | (pl.col("alive") > pl.col("other")).fill_null(False))
        .select(
            "recipient", "time", "provider", "reply", incident_start="start", incident_end="end"
        )
        .sort("recipient")
        .collect(engine="streaming")
    )


def _lower(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase()


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
