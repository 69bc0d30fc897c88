"""Who keeps bouncing: each address's history in one row, and what the worst of them cost."""

import math
from collections.abc import Collection
from datetime import date

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.conform import conformed
from bouncekit.errors import BouncekitError
from bouncekit.history import DOMAIN, by_mailing, events, in_utc, last_event
from bouncekit.schema import Category, Time

# A domain that answers to this many addresses of the list is no typo of another.
OWN_DOMAIN_DELIVERIES = 3
# One slip of the finger: a letter missing, doubled, changed, or two swapped.
TYPO_DISTANCE = 1

# What a permanent failure of the recipient is.
FAILED_FOR_GOOD = ((pl.col("fault") == "recipient") & pl.col("permanent")).fill_null(False)


def offenders(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    as_of: date | str | None = None,
    at_least: int = 2,
    no_typos: Collection[str] = (),
) -> pl.DataFrame:
    """Give the addresses that bounced in `at_least` mailings until `as_of`, worst first.

    Takes a classified frame. A mailing counts once, however often it was retried; one that was
    delivered in the end does not count. Without `as_of` the last event's time is taken. `no_typos`
    are domains that look like a slip of the finger and are none: nothing is suggested for them.

    Columns: recipient, domain, provider (String) · mailings_bounced, longest_streak (mailings in a
    row), current_streak, sends_after_first_failure (mailings sent after the first permanent
    failure of a recipient who took no mail since), mailings (UInt32) · first_bounce, last_bounce,
    first_failure (that permanent failure), last_delivery (Datetime) · days_failing,
    days_since_delivery (Int64: from these two to `as_of`) · ever_delivered (Boolean: gone, or never
    valid) · top_category · categories (String, how often which) · suggestion (String, a domain one
    slip away from an unknown one).
    """
    if not isinstance(at_least, int):
        raise BouncekitError(f"offenders: at_least = {at_least!r}; give a whole number, such as 2.")
    as_of = as_of or last_event(frame)
    history = by_mailing(events(frame, as_of), FAILED_FOR_GOOD.cast(pl.Float64))
    repeated = (
        history.group_by("recipient")
        .agg(pl.col("bounced").sum())
        .filter(pl.col("bounced") >= max(at_least, 1))
    )
    mailings, domains = pl.collect_all(
        [history.join(repeated, on="recipient", how="semi"), _domains_that_took_mail(history)],
        engine="streaming",
    )
    table = (
        mailings.lazy()
        .group_by("recipient")
        .agg(**_summary())
        .with_columns(domain=DOMAIN)
        .sort("mailings_bounced", "last_bounce", "recipient", descending=[True, True, False])
        .collect()
    )
    suggestions = _suggestions(domains, table, no_typos)
    now = pl.lit(as_of and in_utc(as_of), Time)
    return (
        table.with_columns(
            days_failing=(now - pl.col("first_failure")).dt.total_days(),
            days_since_delivery=(now - pl.col("last_delivery")).dt.total_days(),
        )
        .join(suggestions, on="domain", how="left", maintain_order="left")
        .select(
            "recipient",
            "domain",
            "provider",
            "mailings_bounced",
            "longest_streak",
            "current_streak",
            "sends_after_first_failure",
            "mailings",
            "first_bounce",
            "last_bounce",
            "first_failure",
            "last_delivery",
            "days_failing",
            "days_since_delivery",
            "ever_delivered",
            "top_category",
            "categories",
            "suggestion",
        )
    )


def pareto(offenders: pl.DataFrame) -> pl.DataFrame:
    """Give what share of the bouncing addresses makes what share of the bounces, worst first.

    Takes the frame of `offenders(frame, at_least=1)`. Gives at most 200 points: recipients,
    bounces (Float64, shares from 0 to 1).
    """
    running = (
        offenders.sort("mailings_bounced", descending=True)
        .select(pl.col("mailings_bounced").cum_sum().alias("bounces"))
        .with_row_index("recipients", offset=1)
        .select(pl.col("recipients") / pl.len(), pl.col("bounces") / pl.col("bounces").max())
    )
    step = max(1, math.ceil(running.height / 199))
    return running.filter((pl.int_range(pl.len()) % step == 0) | (pl.col("recipients") == 1))


def hygiene(offenders: pl.DataFrame) -> pl.DataFrame:
    """Count how often addresses were mailed again after their first permanent failure.

    Takes the frame of `offenders()`. Columns: sends_after_first_failure (Enum of ranges),
    recipients, sends (UInt32, all of them together).
    """
    upto = {"0": 0, "1": 1, "2": 2, "3 to 5": 5, "6 to 10": 10, "11 to 20": 20}
    sends = pl.col("sends_after_first_failure")
    label = pl.lit("over 20")
    for name, most in reversed(upto.items()):
        label = pl.when(sends <= most).then(pl.lit(name)).otherwise(label)
    return (
        offenders.group_by(
            label.cast(pl.Enum([*upto, "over 20"])).alias("sends_after_first_failure")
        )
        .agg(recipients=pl.len(), sends=sends.sum())
        .sort("sends_after_first_failure")
    )


def timelines(
    frame: pl.DataFrame | pl.LazyFrame, recipients: list[str] | pl.Series
) -> pl.DataFrame:
    """Give what happened to some addresses: recipient, time, event, category, in their order."""
    order = pl.DataFrame({"recipient": recipients}).with_row_index("place")
    return (
        conformed(frame)
        .filter(pl.col("time").is_not_null())
        .join(order.lazy(), on="recipient")
        .sort("place", "time", "event")
        .select("recipient", "time", "event", "category")
        .collect(engine="streaming")
    )


def _summary() -> dict[str, pl.Expr]:
    bounced, sent, time = pl.col("bounced"), pl.col("sent"), pl.col("time")
    ended = bounced | pl.col("delivered")  # the others are still tried, or were never sent
    runs = (
        bounced.filter(ended).sort_by(sent.filter(ended), pl.col("mailing_key").filter(ended)).rle()
    )
    of_bounces, length = runs.struct.field("value"), runs.struct.field("len")
    alive = pl.col("last_alive").max()
    failed = bounced & (pl.col("weight") > 0)
    # A retry may fail after another mailing was taken.
    first_failure = pl.min_horizontal(
        when.filter(failed & (when > alive).fill_null(alive.is_null())).min()
        for when in (pl.col("first_strike"), time)
    )
    category = pl.col("category").filter(bounced)
    counts = category.sort().rle()
    return {
        "provider": pl.col("provider").drop_nulls().sort().first(),
        "mailings_bounced": bounced.sum().cast(pl.UInt32),
        "longest_streak": length.filter(of_bounces).max().cast(pl.UInt32),
        "current_streak": pl.when(of_bounces.last())
        .then(length.last())
        .otherwise(0)
        .cast(pl.UInt32),
        "sends_after_first_failure": (sent > first_failure).sum().cast(pl.UInt32),
        "mailings": pl.col("was_sent").sum().cast(pl.UInt32),
        "first_bounce": pl.col("first_bounce").min(),
        "last_bounce": time.filter(bounced).max(),
        "first_failure": first_failure,
        "last_delivery": pl.col("last_delivery").max(),
        "ever_delivered": pl.col("delivered").any(),
        "top_category": category.mode().sort().first().cast(Category),
        "categories": pl.concat_str(
            counts.struct.field("value").cast(pl.String),
            pl.lit(" "),
            counts.struct.field("len").cast(pl.String),
        ).str.join(", "),
    }


def _domains_that_took_mail(history: pl.LazyFrame) -> pl.LazyFrame:
    return (
        history.filter("delivered")
        .group_by("recipient")
        .agg()
        .group_by(DOMAIN.alias("domain"))
        .agg(recipients=pl.len())
        .drop_nulls()
    )


def _suggestions(
    took_mail: pl.DataFrame, offenders: pl.DataFrame, no_typos: Collection[str]
) -> pl.DataFrame:
    """Give for each domain that never took mail the known one a slip of the finger away."""
    own = took_mail.filter(pl.col("recipients") >= OWN_DOMAIN_DELIVERIES)["domain"]
    known = sorted({*knowledge.mailbox_domains(), *own})
    fine = {*known, *took_mail["domain"], *(domain.lower() for domain in no_typos)}
    unknown = set(offenders["domain"].drop_nulls()) - fine
    pairs = {
        domain: meant[0]
        for domain in sorted(unknown)
        if (meant := [name for name in _one_slip_away(domain, known) if _is_slip(domain, name)])
    }
    return pl.DataFrame(
        {"domain": list(pairs), "suggestion": list(pairs.values())},
        schema={"domain": pl.String, "suggestion": pl.String},
    )


def _one_slip_away(domain: str, known: list[str]) -> list[str]:
    from rapidfuzz import process
    from rapidfuzz.distance import OSA

    found = process.extract(
        domain, known, scorer=OSA.distance, score_cutoff=TYPO_DISTANCE, limit=None
    )
    return [name for name, _, _ in found]


def _is_slip(domain: str, known: str) -> bool:
    """Tell whether a domain is meant to be a known one: another country's is not.

    >>> _is_slip("hotmial.de", "hotmail.de"), _is_slip("hotmail.be", "hotmail.de")
    (True, False)
    """
    name, _, country = domain.rpartition(".")
    known_name, _, known_country = known.rpartition(".")
    return not (name == known_name and len(country) == len(known_country) == 2)
