"""What happened to the mail as a whole: outages of providers, and faults of the sender."""

import math
from datetime import datetime

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.details import blocklists
from bouncekit.history import events, last_event
from bouncekit.schema import CATEGORIES_BY_FAULT, Category

# Who answered: the provider where known, else the recipient's domain.
PROVIDER = pl.coalesce(
    "provider", pl.col("recipient").str.extract("@([^@]+)$").str.to_lowercase()
).alias("provider")

WINDOW = "1h"
# What is usual at a provider is told by times this far away: a long outage must not pass for it.
FAR_HOURS = 24
# An hour is an incident if at least this many addresses that had accepted mail before were called
# unknown or closed, ...
FEWEST_ADDRESSES = 10
# ... if they were this many times more than is usual at that provider, ...
TIMES_USUAL = 5
# ... and if chance would do that less than once in this many hours (Chernoff's bound on the tail of
# the binomial distribution, which never claims too much for small counts).
CHANCE = 1e-9
# What a broken directory or a broken DNS says of good addresses.
BLAMED_IN_OUTAGES = ("unknown_user", "unknown_domain", "inactive_mailbox")
# What lasts longer is no outage.
LONGEST_OUTAGE_DAYS = 7


def incidents(frame: pl.DataFrame | pl.LazyFrame, *, as_of: datetime | None = None) -> pl.DataFrame:
    """Find the hours in which a provider called good addresses bad: its outage, not theirs.

    Takes a classified frame. Only addresses that had accepted mail before are looked at, so that
    an import of bad addresses is no incident; a frame without deliveries shows none.

    Columns: provider (String), start, end (Datetime: the hours in a row), attempts, refused
    (UInt32, addresses in each hour), share, usual_share (Float64).
    """
    seen = events(frame, as_of).filter(pl.col("time").is_not_null()).with_columns(PROVIDER)
    first_delivery = (
        seen.filter(pl.col("event") == "delivery")
        .group_by("recipient")
        .agg(first_delivery=pl.col("time").min())
    )
    is_attempt = pl.col("event").is_in(["bounce", "delivery"])
    blamed = (pl.col("event") == "bounce") & pl.col("category").is_in(BLAMED_IN_OUTAGES)
    hours = (
        seen.filter(is_attempt)
        .join(first_delivery, on="recipient")
        .filter((pl.col("time") >= pl.col("first_delivery")) & pl.col("provider").is_not_null())
        .group_by("provider", start=pl.col("time").dt.truncate(WINDOW))
        .agg(
            attempts=pl.col("recipient").n_unique(),
            refused=pl.col("recipient").filter(blamed).n_unique(),
        )
    )
    return (
        hours.join(_usual(hours), on=["provider", "start"])
        .with_columns(share=pl.col("refused") / pl.col("attempts"))
        .filter(_is_unusual())
        .sort("provider", "start")
        .with_columns(
            run=(pl.col("start").diff().over("provider") != pl.duration(hours=1))
            .fill_null(True)
            .cum_sum()
        )
        .group_by("provider", "run")
        .agg(
            start=pl.col("start").min(),
            end=pl.col("start").max() + pl.duration(hours=1),
            attempts=pl.col("attempts").sum(),
            refused=pl.col("refused").sum(),
            usual_share=pl.col("usual_share").mean(),
        )
        .with_columns(share=pl.col("refused") / pl.col("attempts"))
        .select("provider", "start", "end", "attempts", "refused", "share", "usual_share")
        .sort("start", "provider")
        .collect(engine="streaming")
    )


def alerts(frame: pl.DataFrame | pl.LazyFrame, *, as_of: datetime | None = None) -> pl.DataFrame:
    """List the faults of the sending side, what must be dealt with first on top.

    Takes a classified frame. A row per category, provider, blocklist and sending IP: category,
    fault, provider, blocklist, sending_ip (String) · events, mailings, recipients (UInt32) ·
    first_seen, last_seen (Datetime) · share (Float64: of that provider's recipients) · reply (an
    example) · what_to_do (String). A blocklisting stands first: it is to be dealt with at once.
    """
    seen = events(frame, as_of or last_event(frame)).with_columns(PROVIDER)
    mailed = seen.group_by("provider").agg(mailed=pl.col("recipient").n_unique())
    own_faults = [*CATEGORIES_BY_FAULT["sender"], *CATEGORIES_BY_FAULT["message"]]
    advice = {name: about["what_to_do"] for name, about in knowledge.categories().items()}
    return (
        seen.filter(pl.col("category").is_in(own_faults))
        .filter(pl.col("event").is_in(["bounce", "deferral"]))
        .group_by("category", "fault", "provider", "blocklist", "sending_ip")
        .agg(
            events=pl.len(),
            mailings=pl.col("mailing_key").n_unique(),
            recipients=pl.col("recipient").n_unique(),
            first_seen=pl.col("time").min(),
            last_seen=pl.col("time").max(),
            reply=pl.col("reply").drop_nulls().sort().first(),
        )
        .join(mailed, on="provider", how="left")
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
        .select(pl.exclude("reply", "what_to_do"), "reply", "what_to_do")
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
    recipients, "and 12 more"), blocklist, recipients (UInt32), first_seen, last_seen, what_to_do.
    """
    more = pl.col("provider").n_unique() - 1
    most = pl.col("provider").sort_by("recipients", "provider", descending=[True, False]).first()
    return (
        alerts.group_by("category", "fault", "blocklist", "what_to_do")
        .agg(
            provider=pl.when(more > 0)
            .then(pl.format("{} and {} more", most, more))
            .otherwise(most),
            recipients=pl.col("recipients").sum(),
            first_seen=pl.col("first_seen").min(),
            last_seen=pl.col("last_seen").max(),
        )
        .select(
            "category",
            "fault",
            "provider",
            "blocklist",
            "recipients",
            "first_seen",
            "last_seen",
            "what_to_do",
        )
        .sort("category", "recipients", "blocklist", descending=[False, True, False])
    )


def _usual(hours: pl.LazyFrame) -> pl.LazyFrame:
    """Give for each provider and hour the share that was refused at other times (usual_share).

    Takes provider, start, attempts, refused. Other times are the hours at least `FAR_HOURS` away,
    or if there are none, all other hours.
    """
    numbers = ["attempts", "refused"]
    near = (
        hours.sort("start")
        .rolling(
            "start",
            period=f"{2 * FAR_HOURS}h",
            offset=f"-{FAR_HOURS}h",
            closed="none",
            group_by="provider",
        )
        .agg(pl.col(numbers).sum().name.prefix("near_"))
    )
    in_all = [pl.col(name).sum().over("provider").name.prefix("all_") for name in numbers]
    is_far = pl.col("all_attempts") > pl.col("near_attempts")
    return (
        hours.with_columns(in_all)
        .join(near, on=["provider", "start"])
        .with_columns(
            pl.col(f"all_{name}") - pl.when(is_far).then(f"near_{name}").otherwise(name)
            for name in numbers
        )
        # Half a refusal more than was seen: a provider that never refused before can still do it.
        .select(
            "provider",
            "start",
            usual_share=(pl.col("all_refused") + 0.5) / (pl.col("all_attempts") + 1),
        )
    )


def _is_unusual() -> pl.Expr:
    attempts, share, usual = pl.col("attempts"), pl.col("share"), pl.col("usual_share")
    enough = (pl.col("refused") >= FEWEST_ADDRESSES) & (share >= TIMES_USUAL * usual)
    inside = share.clip(1e-12, 1 - 1e-12)
    divergence = inside * (inside / usual).log() + (1 - inside) * ((1 - inside) / (1 - usual)).log()
    return enough & (attempts * divergence > -math.log(CHANCE))
