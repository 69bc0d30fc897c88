"""How many addresses come back after they first failed: full mailboxes are emptied."""

from datetime import date

import polars as pl

from bouncekit.history import by_mailing, told
from bouncekit.incidents import beside_outages
from bouncekit.schema import CATEGORIES_BY_FAULT

# A share of fewer addresses than this is chance.
FEWEST_ADDRESSES = 10


def revivals(
    frame: pl.DataFrame | pl.LazyFrame, *, as_of: date | str | None = None
) -> pl.DataFrame:
    """Give what share of the addresses took mail again, by weeks since they first failed.

    Takes a classified frame. An address fails at its first mailing that bounced for a fault of the
    recipient, beside a provider's outage, and is back when it next takes or opens mail. Who gets no
    more mail cannot come back: such addresses count as long as they were mailed (the estimator of
    Kaplan and Meier 1958, Journal of the American Statistical Association 53:457).

    Columns: category (of the first failure) · weeks (Int64, after which some came back) · failed
    (UInt32: addresses of the category that were mailed again) · at_risk (UInt32: of them, still
    mailed and silent by then, at least `FEWEST_ADDRESSES`) · revived (UInt32: back in that week) ·
    share (Float64: back until then). Sorted by category and weeks. An export without deliveries has
    none.
    """
    history = by_mailing(beside_outages(told(frame, as_of)))
    is_failure = pl.col("bounced") & pl.col("category").is_in(CATEGORIES_BY_FAULT["recipient"])
    failures = (
        history.filter(is_failure, pl.col("first_bounce").is_not_null())
        .sort("first_bounce", "mailing_key")
        .group_by("recipient", maintain_order=True)
        .agg(pl.col("category").first(), failed_at=pl.col("first_bounce").first())
    )
    spells = (
        history.select("recipient", "last_alive", "sent")
        .join(failures, on="recipient")
        .filter(pl.max_horizontal("last_alive", "sent") > pl.col("failed_at"))
        .group_by("recipient", "category", "failed_at")
        .agg(
            back=pl.col("last_alive").filter(pl.col("last_alive") > pl.col("failed_at")).min(),
            last_sent=pl.col("sent").max(),
        )
        .select(
            "category",
            is_back=pl.col("back").is_not_null(),
            weeks=(pl.coalesce("back", "last_sent") - pl.col("failed_at")).dt.total_days() // 7,
        )
    )
    left, gone = pl.col("left"), pl.col("revived")
    return (
        spells.group_by("category", "weeks")
        .agg(left=pl.len(), revived=pl.col("is_back").sum())
        .sort("category", "weeks")
        .with_columns(failed=left.sum().over("category"), until=left.cum_sum().over("category"))
        .with_columns(at_risk=pl.col("failed") - pl.col("until") + left)
        .with_columns(share=1 - (1 - gone / pl.col("at_risk")).cum_prod().over("category"))
        .filter((gone > 0) & (pl.col("at_risk") >= FEWEST_ADDRESSES))
        .select("category", "weeks", "failed", "at_risk", "revived", "share")
        .collect(engine="streaming")
    )
