"""The faults of the sending side: what nobody but the sender can mend."""

from datetime import date

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.details import blocklists
from bouncekit.history import events, keyed, last_event, list_names
from bouncekit.incidents import PROVIDER
from bouncekit.mask import mask
from bouncekit.schema import CATEGORIES_BY_FAULT, Category
from bouncekit.tallies import Gather, Tally, over
from bouncekit.whole import SENDINGS

_BY = ("category", "fault", "provider", "blocklist", "sending_ip")
_OF_FAULTS = (*_BY, "remote_mta")
# One fault is one problem, at however many providers and from however many IPs it is met.
_ONE_PROBLEM = ("category", "fault", "blocklist")
_COUNTS = ("events", "mailings", "recipients", "first_seen", "last_seen")
# The least reply of several, and whose it was: a text, since that alone is found in a stream.
_MARK = "\x00"
_EXAMPLE = pl.concat_str("reply", "recipient", separator=_MARK).min()
_ADDRESS = pl.col("recipient").hash()
_SENDER_DOMAIN = pl.col("sender").str.extract(r"@([^@>\s]+)").str.to_lowercase()


def alerts(frame: pl.DataFrame | pl.LazyFrame, *, as_of: date | str | None = None) -> pl.DataFrame:
    """List the faults of the sending side, what must be dealt with first on top.

    Takes a classified frame. A row per category, provider, blocklist and sending IP: category,
    fault, provider, blocklist, sending_ip, sender_domain (String; the domain that sent most of
    them) · events, mailings, recipients (UInt32) ·
    first_seen, last_seen (Datetime) · share (Float64: of that provider's recipients) · in_all
    (UInt32: the recipients of the same fault at all providers and IPs, each once) · reply (an
    example, addresses masked) · what_to_do (String). A blocklisting stands first: it is to be dealt
    with at once.
    """
    return alerts_in(over(frame, as_of=as_of or last_event(frame)))


def alerts_in(gather: Gather) -> pl.DataFrame:
    """Give the `alerts` of all parts that `gather` counts in."""
    (sent,) = gather([SENDINGS])
    lists = list_names(sent.lazy()).collect()
    # One after the other: together they would have all their rows in memory.
    mailed, counts, mailings, domains, in_all = (
        gather([tally])[0] for tally in (MAILED, COUNTS, _mailings(lists), DOMAINS, IN_ALL)
    )
    most = domains.drop_nulls("sender_domain").sort(
        "said", "sender_domain", descending=[True, False]
    )
    domain = most.unique(_BY, keep="first", maintain_order=True).drop("said")
    example = pl.col("example").str.split(_MARK)
    advice = {name: about["what_to_do"] for name, about in knowledge.categories().items()}
    return (
        counts.lazy()
        .join(
            mailings.lazy().group_by(_BY).agg(mailings=pl.len()),
            on=_BY,
            how="left",
            nulls_equal=True,
        )
        .join(domain.lazy(), on=_BY, how="left", nulls_equal=True)
        .with_columns(
            reply=example.list.slice(0, example.list.len() - 1).list.join(_MARK),
            recipient=example.list.last(),
        )
        .join(mailed.lazy(), on="provider", how="left")
        .join(in_all.lazy(), on=_ONE_PROBLEM, how="left", nulls_equal=True)
        .join(blocklists().lazy().select("blocklist", "removal"), on="blocklist", how="left")
        .with_columns(
            pl.col("events", "recipients", "in_all").cast(pl.UInt32),
            share=pl.col("recipients") / pl.col("mailed"),
            what_to_do=pl.concat_str(
                pl.col("category").cast(pl.String).replace_strict(advice, default=None),
                pl.format(" {} takes requests at {}", "blocklist", "removal"),
                ignore_nulls=True,
            ),
        )
        .pipe(mask)  # here it is still known whose local part a reply may name
        .select(*_BY, "sender_domain", *_COUNTS, "share", "in_all", "reply", "what_to_do")
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


def _faults(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events that the sending side is to blame for."""
    own_faults = [*CATEGORIES_BY_FAULT["sender"], *CATEGORIES_BY_FAULT["message"]]
    return told.filter(
        pl.col("category").is_in(own_faults) & pl.col("event").is_in(["bounce", "deferral"])
    ).with_columns(PROVIDER)


def _mailings(lists: pl.DataFrame) -> Tally:
    """Give in which mailings each fault was met."""
    return Tally(
        lambda told: keyed(_faults(told), lists).select(*_BY, "mailing_key").unique(),
        keys=(*_BY, "mailing_key"),
        columns=(*_OF_FAULTS, "mailing", "message_id"),
    )


MAILED = Tally(
    lambda told: told.group_by(PROVIDER).agg(mailed=_ADDRESS.n_unique()),
    keys=("provider",),
    sums=("mailed",),
    columns=("provider", "remote_mta"),
    by_recipient=True,
)
COUNTS = Tally(
    lambda told: (
        _faults(told)
        .group_by(_BY)
        .agg(
            events=pl.len(),
            recipients=_ADDRESS.n_unique(),
            first_seen=pl.col("time").min(),
            last_seen=pl.col("time").max(),
            example=_EXAMPLE,
        )
    ),
    keys=_BY,
    sums=("events", "recipients"),
    firsts=("first_seen", "example"),
    lasts=("last_seen",),
    columns=(*_OF_FAULTS, "reply"),
    by_recipient=True,
)
IN_ALL = Tally(
    lambda told: _faults(told).group_by(_ONE_PROBLEM).agg(in_all=_ADDRESS.n_unique()),
    keys=_ONE_PROBLEM,
    sums=("in_all",),
    columns=_OF_FAULTS,
    by_recipient=True,
)
DOMAINS = Tally(
    lambda told: _faults(told).group_by(*_BY, sender_domain=_SENDER_DOMAIN).agg(said=pl.len()),
    keys=(*_BY, "sender_domain"),
    sums=("said",),
    columns=(*_OF_FAULTS, "sender"),
)


def problems(alerts: pl.DataFrame) -> pl.DataFrame:
    """Join the alerts of one fault at many providers to one problem, in the order to mend them.

    Takes the frame of `alerts()`. Columns: category, fault, provider (String: the one with most
    recipients, "and 12 more"), blocklist, sending_ip (String, likewise), recipients (UInt32; each
    once), share (Float64: of the recipients of the provider named), first_seen, last_seen,
    what_to_do.
    """
    by_recipients = pl.struct("recipients", "provider", "share").sort_by(
        "recipients", "provider", descending=[True, False]
    )
    return (
        alerts.group_by("category", "fault", "blocklist", "what_to_do")
        .agg(
            provider=_and_more("provider"),
            sending_ip=_and_more("sending_ip"),
            recipients=pl.col("in_all").first(),
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
    frame: pl.DataFrame | pl.LazyFrame, *, as_of: date | str | None = None
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
