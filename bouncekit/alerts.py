"""The faults of the sending side: what nobody but the sender can mend."""

from datetime import datetime

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.details import blocklists
from bouncekit.history import events, last_event
from bouncekit.incidents import PROVIDER
from bouncekit.mask import mask
from bouncekit.schema import CATEGORIES_BY_FAULT, Category

_BY = ("category", "fault", "provider", "blocklist", "sending_ip")
_EXAMPLE = (
    pl.struct("reply", "recipient")
    .filter(pl.col("reply").is_not_null())
    .sort_by("reply", "recipient")
    .first()
)
_SENDER_DOMAIN = pl.col("sender").str.extract(r"@([^@>\s]+)").str.to_lowercase()


def alerts(frame: pl.DataFrame | pl.LazyFrame, *, as_of: datetime | None = None) -> pl.DataFrame:
    """List the faults of the sending side, what must be dealt with first on top.

    Takes a classified frame. A row per category, provider, blocklist and sending IP: category,
    fault, provider, blocklist, sending_ip, sender_domain (String; the domain that sent most of
    them) · events, mailings, recipients (UInt32) ·
    first_seen, last_seen (Datetime) · share (Float64: of that provider's recipients) · reply (an
    example, addresses masked) · what_to_do (String). A blocklisting stands first: it is to be dealt
    with at once.
    """
    seen = events(frame, as_of or last_event(frame)).with_columns(PROVIDER)
    # One after the other: run together, they would have all their rows in memory at once.
    mailed = (
        seen.group_by("provider")
        .agg(mailed=pl.col("recipient").hash().n_unique())
        .collect(engine="streaming")
    )
    own_faults = [*CATEGORIES_BY_FAULT["sender"], *CATEGORIES_BY_FAULT["message"]]
    faulty = (
        seen.filter(pl.col("category").is_in(own_faults))
        .filter(pl.col("event").is_in(["bounce", "deferral"]))
        .select(*_BY, *("sender", "mailing_key", "recipient", "time", "reply"))
        .collect(engine="streaming")
    )
    advice = {name: about["what_to_do"] for name, about in knowledge.categories().items()}
    return (
        faulty.lazy()
        .group_by(_BY)
        .agg(
            sender_domain=_SENDER_DOMAIN.drop_nulls().mode().sort().first(),
            events=pl.len(),
            mailings=pl.col("mailing_key").n_unique(),
            recipients=pl.col("recipient").n_unique(),
            first_seen=pl.col("time").min(),
            last_seen=pl.col("time").max(),
            reply=_EXAMPLE.struct.field("reply"),
            recipient=_EXAMPLE.struct.field("recipient"),
        )
        .join(mailed.lazy(), on="provider", how="left")
        .join(blocklists().lazy().select("blocklist", "removal"), on="blocklist", how="left")
        .with_columns(
            share=pl.col("recipients") / pl.col("mailed"),
            what_to_do=pl.concat_str(
                pl.col("category").cast(pl.String).replace_strict(advice, default=None),
                pl.format(" {} takes requests at {}", "blocklist", "removal"),
                ignore_nulls=True,
            ),
        )
        .drop("mailed", "removal")
        .pipe(mask)  # here it is still known whose local part a reply may name
        .select(pl.exclude("reply", "what_to_do", "recipient"), "reply", "what_to_do")
        .sort(
            "category",
            "recipients",
            "provider",
            "blocklist",
            "sending_ip",
            descending=[False, True, False, False, False],
        )
        .with_columns(pl.col("category").cast(Category))
        .collect(engine="streaming")
    )


def problems(alerts: pl.DataFrame) -> pl.DataFrame:
    """Join the alerts of one fault at many providers to one problem, in the order to mend them.

    Takes the frame of `alerts()`. Columns: category, fault, provider (String: the one with most
    recipients, "and 12 more"), blocklist, sending_ip (String, likewise), recipients (UInt32),
    share (Float64: of the recipients of the provider named), first_seen, last_seen, what_to_do.
    """
    by_recipients = pl.struct("recipients", "provider", "share").sort_by(
        "recipients", "provider", descending=[True, False]
    )
    return (
        alerts.group_by("category", "fault", "blocklist", "what_to_do")
        .agg(
            provider=_and_more("provider"),
            sending_ip=_and_more("sending_ip"),
            recipients=pl.col("recipients").sum(),
            share=by_recipients.first().struct.field("share"),
            first_seen=pl.col("first_seen").min(),
            last_seen=pl.col("last_seen").max(),
        )
        .select(
            "category",
            "fault",
            "provider",
            "blocklist",
            "sending_ip",
            "recipients",
            "share",
            "first_seen",
            "last_seen",
            "what_to_do",
        )
        .sort("category", "recipients", "blocklist", descending=[False, True, False])
    )


def _and_more(column: str) -> pl.Expr:
    """Name the value with most recipients, and how many others there are."""
    value = pl.col(column)
    most = value.sort_by("recipients", column, descending=[True, False]).drop_nulls().first()
    more = value.drop_nulls().n_unique().cast(pl.Int64) - 1
    return pl.when(more > 0).then(pl.format("{} and {} more", most, more)).otherwise(most)


def blocklistings(
    frame: pl.DataFrame | pl.LazyFrame, *, as_of: datetime | None = None
) -> pl.DataFrame:
    """Count whom each blocklist kept from their mail, by day.

    Takes a classified frame. Columns: blocklist (String; "not named" where the reply names none),
    day (Date, UTC), recipients (UInt32). Sorted by blocklist, the one that hit most first, and day.
    """
    counts = (
        events(frame, as_of)
        .filter(pl.col("category") == "blocklisted")
        .filter(pl.col("event").is_in(["bounce", "deferral"]) & pl.col("time").is_not_null())
        .group_by(pl.col("blocklist").fill_null("not named"), day=pl.col("time").dt.date())
        .agg(recipients=pl.col("recipient").n_unique())
    )
    hit = pl.col("recipients").sum().over("blocklist")
    return (
        counts.sort(hit, "blocklist", "day", descending=[True, False, False])
        .select("blocklist", "day", "recipients")
        .collect(engine="streaming")
    )
