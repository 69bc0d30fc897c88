"""Which domains and providers keep bouncing, and which are gone altogether."""

from datetime import date

import polars as pl

from bouncekit.counts import failures
from bouncekit.errors import BouncekitError
from bouncekit.history import DOMAIN, by_mailing, events, last_event
from bouncekit.incidents import receivers_of
from bouncekit.offenders import FAILED_FOR_GOOD

# One address that fails tells of itself; so many that all fail tell of their domain.
FEWEST_OF_A_DOMAIN = 2


def domains(
    frame: pl.DataFrame | pl.LazyFrame, by: str = "domain", *, as_of: date | str | None = None
) -> pl.DataFrame:
    """Give the domains that bounced until `as_of`, or with `by="provider"` who receives their mail.

    Takes a classified frame. A mailing counts once for each address, as for `offenders`. A domain
    is gone where, since the last mailing that any of its addresses took or opened, all that were
    mailed failed for good: at least `FEWEST_OF_A_DOMAIN` of them, or one of which the reply says
    that the domain itself does not exist.

    Columns: domain or provider (String) · recipients (UInt32: its addresses that were mailed),
    bounced (UInt32: of them, that ever bounced), failing (UInt32: of them, that failed for good and
    took no mail since), share (Float64: failing of recipients) · mailings_bounced (UInt32: of all
    its addresses) · first_bounce, last_bounce, last_delivery (Datetime) · top_category ·
    is_gone (Boolean). Sorted by mailings_bounced, the most first. Raises BouncekitError for another
    `by`.
    """
    if by not in ("domain", "provider"):
        raise BouncekitError(f"There are no domains by '{by}'; use 'domain' or 'provider'.")
    told = events(frame, as_of or last_event(frame))
    history = by_mailing(told, FAILED_FOR_GOOD.cast(pl.Float64)).with_columns(domain=DOMAIN)
    if by == "provider":
        known = receivers_of(told.with_columns(domain="_domain"))
        history = history.join(known, on="domain", how="left").with_columns(domain="receiver")
    bounced, time, recipient = pl.col("bounced"), pl.col("time"), pl.col("recipient")
    failed = bounced & (pl.col("weight") > 0)
    since = _since_it_took_mail()
    return (
        history.with_columns(
            since=since,
            is_failing=failed & _is_after(time, pl.col("last_alive").max().over("recipient")),
        )
        .group_by(pl.col("domain").alias(by))
        .agg(
            recipients=recipient.filter("was_sent").n_unique(),
            bounced=recipient.filter(bounced).n_unique(),
            failing=recipient.filter("is_failing").n_unique(),
            mailings_bounced=bounced.sum().cast(pl.UInt32),
            first_bounce=pl.col("first_bounce").min(),
            last_bounce=time.filter(bounced).max(),
            last_delivery=pl.col("last_delivery").max(),
            top_category=pl.col("category").filter(bounced).mode().sort().first(),
            tried=recipient.filter(pl.col("since") & pl.col("was_sent")).n_unique(),
            failed=recipient.filter(pl.col("since") & failed).n_unique(),
            says_so=(pl.col("since") & failed & (pl.col("category") == "unknown_domain")).any(),
        )
        .filter(pl.col("bounced") > 0)
        .with_columns(
            share=pl.col("failing") / pl.col("recipients"),
            is_gone=(pl.col("failed") >= pl.col("tried"))
            & ((pl.col("failed") >= FEWEST_OF_A_DOMAIN) | pl.col("says_so")),
        )
        .select(
            by,
            "recipients",
            "bounced",
            "failing",
            "share",
            "mailings_bounced",
            "first_bounce",
            "last_bounce",
            "last_delivery",
            "top_category",
            "is_gone",
        )
        .sort("mailings_bounced", by, descending=[True, False], nulls_last=True)
        .collect(engine="streaming")
    )


def faults_by_provider(frame: pl.DataFrame | pl.LazyFrame, most: int = 9) -> pl.DataFrame:
    """Count failures by week and fault for the providers with the most of them.

    Takes a classified frame. A provider is who receives a domain's mail, as for `incidents`.
    Columns: provider (String), week (Date, its Monday), fault, events (UInt32). Sorted by provider,
    the one with most events first, then week and fault.
    """
    told = events(frame).with_columns(domain="_domain")
    counts = (
        failures(told)
        .join(receivers_of(told), on="domain")
        .group_by("fault", provider="receiver", week=pl.col("time").dt.truncate("1w").dt.date())
        .agg(events=pl.len())
        .drop_nulls("week")
        .collect(engine="streaming")
    )
    top = counts.group_by("provider").agg(total=pl.col("events").sum())
    top = top.sort("total", "provider", descending=[True, False]).head(most)
    return (
        counts.join(top, on="provider")
        .sort("total", "provider", "week", "fault", descending=[True, False, False, False])
        .select("provider", "week", "fault", "events")
    )


def _since_it_took_mail() -> pl.Expr:
    """True for the mailings after the last one that any address of the domain took or opened."""
    start = pl.coalesce("sent", "time").min().over("domain", "mailing_key")
    taken = pl.when(pl.col("last_alive").is_not_null()).then(start).max().over("domain")
    return _is_after(start, taken)


def _is_after(time: pl.Expr, sign: pl.Expr) -> pl.Expr:
    return (time > sign).fill_null(sign.is_null())
