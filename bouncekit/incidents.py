"""What happened to a provider's mail as a whole: its outages."""

import math
from datetime import date, datetime, timedelta

import polars as pl

from bouncekit import toml
from bouncekit.history import events, told
from bouncekit.schema import Time
from bouncekit.tallies import Gather, Tally, over

# Who answered, among events: the provider where known, else the recipient's domain.
PROVIDER = pl.coalesce("provider", "_domain").alias("provider")

# A host's name without its first part: mx3.mail.example.net -> mail.example.net. No IP address.
_HOST = r"^(?:[^.\s]+\.)?([^.\s]+\.(?:[^.\s]+\.)*[a-z][^.\s]*?)\.?$"
# How long the windows are in which refusals are counted.
SPANS = (timedelta(hours=1), timedelta(days=1))
# What is usual at a provider is told by times this far away: a long outage must not pass for it.
FAR_HOURS = 24
# An hour is an incident if at least this many addresses that had accepted mail before were called
# unknown or closed, ...
FEWEST_ADDRESSES = 10
# ... if they were this many times more than is usual at that provider, ...
TIMES_USUAL = 5
# ... and if the test finds it less likely than this: some providers times the hours of some years.
CHANCE = 1e-9
# An outage does not end with the hour: the rest of it is part of it if this share was refused.
MOSTLY = 0.5
# What a broken directory or a broken DNS says of good addresses.
BLAMED_IN_OUTAGES = ("unknown_user", "unknown_domain", "inactive_mailbox")
# What lasts longer is no outage.
LONGEST_OUTAGE_DAYS = 7
# What is shown of other times and other providers beside an incident.
HOURS, OTHERS = 12, 7
BUSY = 0.05  # of the addresses in its busiest hour
# Bounces that come as messages come later than the refusal (the bounce recovery of GreenArrow adds
# an hour to the times that were published).
KNOWN_LAG = timedelta(hours=1)

_BLAMED = (pl.col("event") == "bounce") & pl.col("category").is_in(BLAMED_IN_OUTAGES)


def incidents(
    frame: pl.DataFrame | pl.LazyFrame, *, as_of: date | str | None = None
) -> pl.DataFrame:
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
    day is one by the same test of what is not in such hours of its own. An hour or a day beside an
    incident is part of it if at least `MOSTLY` of its addresses were refused, however few they are.

    Columns: provider (String), start, end (Datetime: the hours in a row), attempts, refused
    (UInt32, addresses in each hour), share, usual_share (Float64; null: not known), source (String,
    where a publicly known incident is told of; null: found in the frame). Sorted by start.
    """
    return incidents_in(over(frame, as_of=as_of))[1]


def incidents_in(gather: Gather) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give who receives each domain's mail, and the `incidents`, over all that `gather` counts."""
    names, refusals = gather([NAMES, REFUSALS])
    receivers = _receivers(names.lazy()).collect()
    busy = _busy(receivers.lazy(), refusals.lazy()).collect()
    windows, known = gather([_windows(busy), _known(receivers)])
    hours, days = (_unusual(windows.lazy(), span) for span in SPANS)
    found = _by_hour_or_day(hours, days).with_columns(source=pl.lit(None, pl.String))
    of_old = known.lazy().filter(pl.col("refused") > 0)
    columns = ("provider", "start", "end", "attempts", "refused", "usual_share", "source")
    of_old = of_old.with_columns(usual_share=pl.lit(None, pl.Float64))
    return receivers, (
        pl.concat([found.select(columns), of_old.select(columns)])
        .pipe(_in_runs)
        .group_by("provider", "run")
        .agg(
            start=pl.col("start").min(),
            end=pl.col("end").max(),
            attempts=pl.col("attempts").sum().cast(pl.UInt32),
            refused=pl.col("refused").sum().cast(pl.UInt32),
            usual_share=pl.col("usual_share").mean(),
            source=pl.col("source").drop_nulls().sort().first(),
        )
        .with_columns(share=pl.col("refused") / pl.col("attempts"))
        .select("provider", "start", "end", "attempts", "refused", "share", "usual_share", "source")
        .sort("start", "provider")
        .collect(engine="streaming")
    )


def outage_windows(
    frame: pl.DataFrame | pl.LazyFrame, *, as_of: date | str | None = None
) -> pl.DataFrame:
    """Give the times of `incidents` by `PROVIDER`, as single bounces name it.

    A hosted domain's bounce may name its domain, its filter or its host; each gets the times of
    the incident that it was in. Columns: provider, start, end. No two rows of a provider overlap.
    """
    return windows_in(over(frame, as_of=as_of))


def windows_in(gather: Gather) -> pl.DataFrame:
    """Give the `outage_windows` of all parts that `gather` counts in."""
    receivers, found = incidents_in(gather)
    if found.is_empty():
        return found.select("provider", "start", "end")
    (named,) = gather([_named_in(receivers, found)])
    return (
        named.lazy()
        .pipe(_in_runs)
        .group_by("provider", "run")
        .agg(start=pl.col("start").min(), end=pl.col("end").max())
        .select("provider", "start", "end")
        .sort("start", "provider")
        .collect(engine="streaming")
    )


def beside_outages(frame: pl.DataFrame | pl.LazyFrame) -> pl.LazyFrame:
    """Give the `events` of a frame without the refusals that a provider's outage explains."""
    known = events(frame).with_columns(PROVIDER)
    is_blamed = pl.col("category").is_in(BLAMED_IN_OUTAGES).fill_null(False)
    is_blamed &= pl.col("time").is_not_null()
    windows = outage_windows(frame).lazy().sort("start")
    # The windows of a provider do not overlap: the last that has begun is the only one.
    beside = (
        known.filter(is_blamed)
        .sort("time")
        .join_asof(windows, left_on="time", right_on="start", by="provider", check_sortedness=False)
        .filter((pl.col("time") >= pl.col("end")).fill_null(True))
        .drop("start", "end")
    )
    return pl.concat([known.filter(~is_blamed), beside])


def hours(frame: pl.DataFrame | pl.LazyFrame, *, as_of: date | str | None = None) -> pl.DataFrame:
    """Give the share of refused addresses, hour by hour, around the latest of the `incidents`.

    Takes a classified frame. The incident's provider stands first, then the `OTHERS` that got most
    mail in those hours: what one provider alone said was its own doing. Of its busy hours, those
    `HOURS` are given that are nearest to the incident.

    Columns: time (Datetime: the hour), provider (String), share (Float64: addresses called unknown
    or closed, of those tried), events (UInt32: addresses tried). No incident, no rows.
    """
    latest = incidents(frame, as_of=as_of).tail(1).lazy()
    seen = _seen(told(frame, as_of))
    address, time = pl.col("address"), pl.col("time")
    counts = (
        seen.join(receivers_of(seen), on="domain")
        .group_by("receiver", time=time.dt.truncate("1h"))
        .agg(events=address.n_unique(), refused=address.filter("blamed").n_unique())
        .join(latest.select("start", culprit="provider"), how="cross")
        .with_columns(is_culprit=pl.col("receiver") == pl.col("culprit"))
        .collect(engine="streaming")
        .lazy()
    )
    shown = (
        counts.filter("is_culprit")
        .filter(pl.col("events") >= BUSY * pl.col("events").max())
        .sort((time - pl.col("start")).abs(), "time")
        .head(HOURS)
    )
    place = pl.struct("is_culprit", "tried", "receiver").rank("dense", descending=True)
    return (
        counts.join(shown, on="time", how="semi")
        .with_columns(tried=pl.col("events").sum().over("receiver"))
        .with_columns(place=place)
        .filter(pl.col("place") <= 1 + OTHERS)
        .sort("place", "time")
        .with_columns(share=pl.col("refused") / pl.col("events"), provider="receiver")
        .select("time", "provider", "share", "events")
        .collect(engine="streaming")
    )


def _seen(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give the bounces and deliveries that have a time.

    Columns: address (UInt64, a hash: millions are told apart faster by number), domain, time,
    event, provider, remote_mta, reply, blamed (Boolean: an outage says so).
    """
    return events.filter(
        pl.col("time").is_not_null() & pl.col("event").is_in(["bounce", "delivery"])
    ).select(
        "time",
        "event",
        "provider",
        "remote_mta",
        "reply",
        address=pl.col("recipient").hash(),
        domain="_domain",
        blamed=_BLAMED,
    )


def receivers_of(seen: pl.LazyFrame) -> pl.LazyFrame:
    """Give who receives each domain's mail, whatever one event names: domain, receiver (String).

    Takes events with domain, provider and remote_mta. Deliveries often name no host, so the most
    frequent name among a domain's events stands.
    """
    return _receivers(_names(seen)).collect(engine="streaming").lazy()


def _names(seen: pl.LazyFrame) -> pl.LazyFrame:
    host = pl.col("remote_mta").str.to_lowercase().str.extract(_HOST)
    return (
        seen.group_by("domain", "provider", "remote_mta")
        .agg(events=pl.len())
        .group_by("domain", name=pl.coalesce("provider", host))
        .agg(pl.col("events").sum())
        .filter(pl.col("domain").is_not_null())
    )


def _receivers(names: pl.LazyFrame) -> pl.LazyFrame:
    return (
        names.sort(
            pl.col("name").is_null(),
            "domain",
            "events",
            "name",
            descending=[False, False, True, False],
        )
        .unique("domain", keep="first", maintain_order=True)
        .select("domain", receiver=pl.coalesce(_mailed(pl.col("name")), "name", "domain"))
    )


def _mailed(host: pl.Expr) -> pl.Expr:
    """Give the domain that a host belongs to, if mail goes there, too: readers know it by that."""
    above = [host]
    for _ in range(2):
        above.append(above[-1].str.extract(r"^[^.]+\.(.+\..+)$"))
    mailed = pl.col("domain").implode()
    return pl.coalesce(pl.when(each.is_in(mailed)).then(each) for each in above)


def _refusals(events: pl.LazyFrame) -> pl.LazyFrame:
    return (
        _seen(events.filter(_BLAMED))  # before anything is made of the many others
        .filter(pl.col("domain").is_not_null())
        .group_by("domain", day=pl.col("time").dt.date())
        .agg(refused=pl.len())
    )


# Who speaks for each domain, and how many events of a day call its addresses bad.
NAMES = Tally(
    lambda events: _names(_seen(events)),
    keys=("domain", "name"),
    sums=("events",),
    columns=("provider", "remote_mta"),
)
REFUSALS = Tally(_refusals, keys=("domain", "day"), sums=("refused",))


def _busy(receivers: pl.LazyFrame, refusals: pl.LazyFrame) -> pl.LazyFrame:
    """Give the receivers that can have an incident: others need not be counted by the hour."""
    enough = (
        refusals.join(receivers, on="domain")
        .group_by("receiver", "day")
        .agg(pl.col("refused").sum())
        .filter(pl.col("refused") >= FEWEST_ADDRESSES)
    )
    return receivers.join(enough, on="receiver", how="semi")


def _attempts(seen: pl.LazyFrame, receivers: pl.DataFrame) -> pl.LazyFrame:
    """Give what addresses that had accepted mail got: address, time, blamed, provider."""
    crowd = (
        seen.select("address", "domain", "time", "event", "blamed")
        .join(receivers.lazy(), on="domain")
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


def _windows(busy: pl.DataFrame) -> Tally:
    """Count the addresses tried and refused in each hour and each day of busy receivers."""
    address = pl.col("address")

    def count(events: pl.LazyFrame) -> pl.LazyFrame:
        attempts = _attempts(_seen(events), busy)
        return pl.concat(
            attempts.group_by("provider", start=pl.col("time").dt.truncate(span))
            .agg(attempts=address.n_unique(), refused=address.filter("blamed").n_unique())
            .with_columns(span=pl.lit(span, pl.Duration("us")))
            for span in SPANS
        )

    return Tally(
        count,
        keys=("provider", "start", "span"),
        sums=("attempts", "refused"),
        columns=("provider", "remote_mta"),
        by_recipient=True,
    )


def _unusual(windows: pl.LazyFrame, span: timedelta) -> pl.LazyFrame:
    """Give the windows of one length (hours, days) that are incidents.

    Columns: provider, start, end, attempts, refused, and those of `_usual`.
    """
    counts = windows.filter(pl.col("span") == span).drop("span")
    many = counts.filter(pl.col("refused") >= FEWEST_ADDRESSES).select("provider")
    counts = counts.join(many, on="provider", how="semi").collect().lazy()
    end = pl.col("start").add(span).alias("end")
    seen = (
        counts.join(_usual(counts), on=["provider", "start"])
        .sort("provider", "start")
        .with_columns(end, is_unusual=_is_unusual())
    )
    is_beside = pl.any_horizontal(
        pl.col("is_unusual").shift(way).over("provider")
        & (pl.col("start").shift(way).over("provider") == pl.col("start") - way * span)
        for way in (1, -1)
    )
    is_part = is_beside.fill_null(False) & _is_mostly_refused()
    return seen.filter(pl.col("is_unusual") | is_part).drop("is_unusual")


def _by_hour_or_day(hours: pl.LazyFrame, days: pl.LazyFrame) -> pl.LazyFrame:
    """Give the days that are incidents even without their own hours, and the hours of others."""
    of_day, numbers = ["provider", "day"], ["attempts", "refused"]
    hours = hours.with_columns(day=pl.col("start").dt.truncate("1d"))
    days = days.with_columns(day="start")
    in_hours = hours.group_by(of_day).agg(pl.col(numbers).sum().name.prefix("in_"))
    long = (
        days.join(in_hours, on=of_day, how="left")
        .with_columns((pl.col(n) - pl.col(f"in_{n}").cast(pl.Int64)).clip(0) for n in numbers)
        .filter(pl.col("in_refused").is_null() | _is_unusual())
    )
    kept = hours.join(long, on=of_day, how="anti"), days.join(long, on=of_day, how="semi")
    return pl.concat(each.drop("day") for each in kept)


def _known(receivers: pl.DataFrame) -> Tally:
    """Count the addresses of the publicly known incidents that left bounces in the frame."""
    table = toml.ours("rules/incidents.toml")
    known = pl.LazyFrame(table["incident"]).with_columns(pl.col("start", "end").cast(Time))
    known = known.with_columns(end=pl.col("end") + KNOWN_LAG)
    words = sorted({word for incident in table["incident"] for word in incident["words"]})
    said = pl.col("reply").str.to_lowercase().str.replace_all(r"\s+(?:550[ -]5\.1\.1\s+)?", " ")
    false = pl.any_horizontal(
        said.str.contains(word, literal=True) & pl.col("words").list.contains(word)
        for word in words
    ).fill_null(False)
    span = _span(table["incident"])

    def count(events: pl.LazyFrame) -> pl.LazyFrame:
        # Few events are of that time: they are looked for before any text is.
        return (
            _seen(events.filter(pl.col("time").is_between(*span)))
            .join(receivers.lazy(), on="domain")
            .with_columns(provider=pl.coalesce("provider", "receiver"))
            .join(known, on="provider")
            .filter(pl.col("time").is_between("start", "end", closed="left"))
            .group_by("start", "end", "source", provider="receiver")
            .agg(
                attempts=pl.col("address").n_unique(),
                refused=pl.col("address").filter(pl.col("blamed") & false).n_unique(),
            )
        )

    return Tally(
        count,
        keys=("provider", "start", "end", "source"),
        sums=("attempts", "refused"),
        columns=("provider", "remote_mta", "reply"),
        by_recipient=True,
        span=span,
    )


def _named_in(receivers: pl.DataFrame, found: pl.DataFrame) -> Tally:
    """Give under which names bounces of the incidents speak: provider, start, end."""
    times = found.lazy().select("start", "end", receiver="provider")

    def count(events: pl.LazyFrame) -> pl.LazyFrame:
        return (
            _seen(events.filter(_BLAMED))
            .join(receivers.lazy(), on="domain")
            .select("receiver", "time", provider=pl.coalesce("provider", "domain"))
            .join(times, on="receiver")
            .filter(pl.col("time").is_between("start", "end", closed="left"))
            .select("provider", "start", "end")
            .unique()
        )

    return Tally(count, keys=("provider", "start", "end"), columns=("provider", "remote_mta"))


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


def _is_mostly_refused() -> pl.Expr:
    share = pl.col("refused") / pl.col("attempts")
    return (share >= MOSTLY) & (share >= TIMES_USUAL * pl.col("usual_share"))


def _divergence(share: pl.Expr, expected: pl.Expr) -> pl.Expr:
    """Give Kullback and Leibler's divergence of two shares."""
    q, p = share.clip(1e-12, 1 - 1e-12), expected.clip(1e-12, 1 - 1e-12)
    return q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()
