"""What happened to the mail as a whole: outages of providers, and faults of the sender."""

import math
import tomllib
from datetime import datetime, timedelta
from importlib.resources import files

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.details import blocklists
from bouncekit.history import DOMAIN, events, last_event
from bouncekit.schema import CATEGORIES_BY_FAULT, Category, Time

# Who answered: the provider where known, else the recipient's domain.
PROVIDER = pl.coalesce("provider", DOMAIN).alias("provider")

# A host's name without its first part: mx3.mail.example.net -> mail.example.net. No IP address.
_HOST = r"^(?:[^.\s]+\.)?([^.\s]+\.(?:[^.\s]+\.)*[a-z][^.\s]*?)\.?$"
# What is usual at a provider is told by times this far away: a long outage must not pass for it.
FAR_HOURS = 24
# An hour is an incident if at least this many addresses that had accepted mail before were called
# unknown or closed, ...
FEWEST_ADDRESSES = 10
# ... if they were this many times more than is usual at that provider, ...
TIMES_USUAL = 5
# ... and if the test finds it less likely than this: some providers times the hours of some years.
CHANCE = 1e-9
_SENDER_DOMAIN = pl.col("sender").str.extract(r"@([^@>\s]+)").str.to_lowercase()
# What a broken directory or a broken DNS says of good addresses.
BLAMED_IN_OUTAGES = ("unknown_user", "unknown_domain", "inactive_mailbox")
# What lasts longer is no outage.
LONGEST_OUTAGE_DAYS = 7
# Bounces that come as messages come later than the refusal (the bounce recovery of GreenArrow adds
# an hour to the times that were published).
KNOWN_LAG = timedelta(hours=1)

_BLAMED = (pl.col("event") == "bounce") & pl.col("category").is_in(BLAMED_IN_OUTAGES)


def incidents(frame: pl.DataFrame | pl.LazyFrame, *, as_of: datetime | None = None) -> pl.DataFrame:
    """Find the times in which a provider called good addresses bad: its outage, not theirs.

    Takes a classified frame. A provider is who receives a domain's mail: the mailbox provider, else
    the remote host's domain, else the recipient's, so that hosted domains count together. Only
    addresses that had accepted mail before are looked at, so that an import of bad addresses is no
    incident; a frame without deliveries shows only those that are publicly known
    (`rules/incidents.toml`) and left bounces in it.

    An hour is an incident if at least `FEWEST_ADDRESSES` were refused, at least `TIMES_USUAL` as
    many as the provider usually refuses, and if chance would hardly do that: the likelihood-ratio
    (G) test of the table (refused or not, this hour or other times) of Fisher's exact test, which
    takes little account of few addresses on either side:

        G / 2 = n1 D(p1, p) + n2 D(p2, p) > -ln CHANCE,   D(q, p) = q ln q/p + (1-q) ln (1-q)/(1-p)

    n1, p1: addresses and share of the hour; n2, p2: of times at least `FAR_HOURS` away; p: of both
    together (Dunning 1993, Computational Linguistics 19:61; Sokal and Rohlf, Biometry, ch. 17). A
    day is one by the same test, where no hour of it is.

    Columns: provider (String), start, end (Datetime: the hours in a row), attempts, refused
    (UInt32, addresses in each hour), share, usual_share (Float64; null: not known), source (String,
    where a publicly known incident is told of; null: found in the frame). Sorted by start.
    """
    seen = _seen(frame, as_of)
    receivers = _receivers(seen)
    attempts = _attempts(seen, receivers)
    hours, days = (_unusual(attempts, timedelta(hours=span)) for span in (1, 24))
    date = pl.col("start").dt.date()
    days = days.join(
        hours.select("provider", day=date),
        left_on=["provider", date],
        right_on=["provider", "day"],
        how="anti",
    )
    found = pl.concat([hours, days]).with_columns(source=pl.lit(None, pl.String))
    return (
        pl.concat([found, _known(seen, receivers)])
        .pipe(_in_runs)
        .group_by("provider", "run")
        .agg(
            start=pl.col("start").min(),
            end=pl.col("end").max(),
            attempts=pl.col("attempts").sum(),
            refused=pl.col("refused").sum(),
            usual_share=pl.col("usual_share").mean(),
            source=pl.col("source").drop_nulls().sort().first(),
        )
        .with_columns(share=pl.col("refused") / pl.col("attempts"))
        .select("provider", "start", "end", "attempts", "refused", "share", "usual_share", "source")
        .sort("start", "provider")
        .collect(engine="streaming")
    )


def outage_windows(
    frame: pl.DataFrame | pl.LazyFrame, *, as_of: datetime | None = None
) -> pl.DataFrame:
    """Give the times of `incidents` by `PROVIDER`, as single bounces name it.

    A hosted domain's bounce may name its domain, its filter or its host; each gets the times of
    the incident that it was in. Columns: provider, start, end. No two rows of a provider overlap.
    """
    found = incidents(frame, as_of=as_of).select("start", "end", receiver="provider")
    if found.is_empty():
        return found.rename({"receiver": "provider"}).select("provider", "start", "end")
    seen = _seen(frame, as_of)
    return (
        seen.filter("blamed")
        .join(_receivers(seen), on="domain")
        .select("receiver", "time", provider=pl.coalesce("provider", "domain"))
        .join(found.lazy(), on="receiver")
        .filter(pl.col("time").is_between("start", "end", closed="left"))
        .select("provider", "start", "end")
        .unique()
        .pipe(_in_runs)
        .group_by("provider", "run")
        .agg(start=pl.col("start").min(), end=pl.col("end").max())
        .select("provider", "start", "end")
        .sort("start", "provider")
        .collect(engine="streaming")
    )


def alerts(frame: pl.DataFrame | pl.LazyFrame, *, as_of: datetime | None = None) -> pl.DataFrame:
    """List the faults of the sending side, what must be dealt with first on top.

    Takes a classified frame. A row per category, provider, blocklist and sending IP: category,
    fault, provider, blocklist, sending_ip, sender_domain (String; the domain that sent most of
    them) · events, mailings, recipients (UInt32) ·
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
            sender_domain=_SENDER_DOMAIN.drop_nulls().mode().sort().first(),
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


def _seen(frame: pl.DataFrame | pl.LazyFrame, as_of: datetime | None) -> pl.LazyFrame:
    """Give the bounces and deliveries that have a time.

    Columns: address (UInt64, a hash: millions are told apart faster by number), domain, time,
    event, provider, remote_mta, reply, blamed (Boolean: an outage says so).
    """
    return (
        events(frame, as_of)
        .filter(pl.col("time").is_not_null() & pl.col("event").is_in(["bounce", "delivery"]))
        .select(
            "time",
            "event",
            "provider",
            "remote_mta",
            "reply",
            address=pl.col("recipient").hash(),
            domain=DOMAIN,
            blamed=_BLAMED,
        )
    )


def _receivers(seen: pl.LazyFrame) -> pl.LazyFrame:
    """Give who receives each domain's mail, whatever one event names: domain, receiver (String).

    Deliveries often name no host, so the most frequent name among a domain's events stands.
    """
    host = pl.col("remote_mta").str.to_lowercase().str.extract(_HOST)
    name = pl.coalesce("provider", host)
    return (
        seen.group_by("domain", "provider", "remote_mta")
        .agg(events=pl.len())
        .group_by("domain", name=name)
        .agg(pl.col("events").sum())
        .filter(pl.col("domain").is_not_null())
        .sort(
            pl.col("name").is_null(),
            "domain",
            "events",
            "name",
            descending=[False, False, True, False],
        )
        .unique("domain", keep="first", maintain_order=True)
        .select("domain", receiver=pl.coalesce("name", "domain"))
        .collect(engine="streaming")
        .lazy()
    )


def _attempts(seen: pl.LazyFrame, receivers: pl.LazyFrame) -> pl.LazyFrame:
    """Give what addresses that had accepted mail got: address, time, blamed, provider.

    Only receivers that can have an incident are given: the others need not be counted by the hour.
    """
    crowds = (
        seen.filter("blamed")
        .join(receivers, on="domain")
        .group_by("receiver", pl.col("time").dt.date())
        .agg(refused=pl.col("address").n_unique())
        .filter(pl.col("refused") >= FEWEST_ADDRESSES)
        .select("receiver")
        .unique()
    )
    theirs = receivers.join(crowds, on="receiver", how="semi").collect(engine="streaming")
    crowd = (
        seen.select("address", "domain", "time", "event", "blamed")
        .join(theirs.lazy(), on="domain")
        .select("address", "time", "event", "blamed", provider="receiver")
        .collect(engine="streaming")
        .lazy()
    )
    first_delivery = (
        crowd.filter(pl.col("event") == "delivery")
        .group_by("address")
        .agg(first_delivery=pl.col("time").min())
    )
    return (
        crowd.join(first_delivery, on="address")
        .filter(pl.col("time") >= pl.col("first_delivery"))
        .select("address", "time", "blamed", "provider")
        .collect(engine="streaming")
        .lazy()
    )


def _unusual(attempts: pl.LazyFrame, window: timedelta) -> pl.LazyFrame:
    """Give the windows (hours, days) that are incidents.

    Columns: provider, start, end, attempts, refused, usual_share.
    """
    address = pl.col("address")
    counts = (
        attempts.group_by("provider", start=pl.col("time").dt.truncate(window))
        .agg(attempts=address.n_unique(), refused=address.filter("blamed").n_unique())
        .collect(engine="streaming")
        .lazy()
    )
    return (
        counts.join(_usual(counts), on=["provider", "start"])
        .filter(_is_unusual())
        .select(
            "provider",
            "start",
            pl.col("start").add(window).alias("end"),
            "attempts",
            "refused",
            "usual_share",
        )
    )


def _known(seen: pl.LazyFrame, receivers: pl.LazyFrame) -> pl.LazyFrame:
    """Give the publicly known incidents that left bounces in the frame."""
    table = tomllib.loads(files("bouncekit.rules").joinpath("incidents.toml").read_text("utf-8"))
    known = pl.LazyFrame(table["incident"]).with_columns(pl.col("start", "end").cast(Time))
    known = known.with_columns(end=pl.col("end") + KNOWN_LAG).rename({"source": "told_by"})
    words = sorted({word for incident in table["incident"] for word in incident["words"]})
    # Few events are of that time: they are looked for before any text is.
    inside = (
        seen.filter(pl.col("time").is_between(*_span(table["incident"])))
        .join(receivers, on="domain")
        .with_columns(provider=pl.coalesce("provider", "receiver"))
        .join(known, on="provider")
        .filter(pl.col("time").is_between("start", "end", closed="left"))
    )
    said = pl.col("reply").str.to_lowercase().str.replace_all(r"\s+(?:550[ -]5\.1\.1\s+)?", " ")
    false = pl.any_horizontal(
        said.str.contains(word, literal=True) & pl.col("words").list.contains(word)
        for word in words
    ).fill_null(False)
    return (
        inside.group_by("start", "end", "told_by", provider="receiver")
        .agg(
            attempts=pl.col("address").n_unique(),
            refused=pl.col("address").filter(pl.col("blamed") & false).n_unique(),
        )
        .filter(pl.col("refused") > 0)
        .select(
            "provider",
            "start",
            "end",
            "attempts",
            "refused",
            pl.lit(None, pl.Float64).alias("usual_share"),
            source="told_by",
        )
    )


def _span(incidents: list[dict[str, datetime]]) -> tuple[datetime, datetime]:
    return min(i["start"] for i in incidents), max(i["end"] for i in incidents) + KNOWN_LAG


def _in_runs(windows: pl.LazyFrame) -> pl.LazyFrame:
    """Number (`run`) the windows of a provider that touch or overlap."""
    before = pl.col("end").cum_max().shift().over("provider")
    return windows.sort("provider", "start", "end").with_columns(
        run=(pl.col("start") > before).fill_null(True).cum_sum()
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
            other_attempts="all_attempts",
            other_refused="all_refused",
            usual_share=(pl.col("all_refused") + 0.5) / (pl.col("all_attempts") + 1),
        )
    )


def _is_unusual() -> pl.Expr:
    here, there = pl.col("attempts"), pl.col("other_attempts")
    share = pl.col("refused") / here
    both = (pl.col("refused") + pl.col("other_refused")) / (here + there)
    elsewhere = pl.when(there > 0).then(pl.col("other_refused") / there).otherwise(both)
    enough = (pl.col("refused") >= FEWEST_ADDRESSES) & (
        share >= TIMES_USUAL * pl.col("usual_share")
    )
    half_g = here * _divergence(share, both) + there * _divergence(elsewhere, both)
    return enough & (half_g > -math.log(CHANCE))


def _divergence(share: pl.Expr, expected: pl.Expr) -> pl.Expr:
    """Give Kullback and Leibler's divergence of two shares."""
    q, p = share.clip(1e-12, 1 - 1e-12), expected.clip(1e-12, 1 - 1e-12)
    return q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()
