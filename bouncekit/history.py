"""What happened to each address, mailing by mailing: the strikes that everything later counts."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import polars as pl

from bouncekit.batches import looked_up
from bouncekit.conform import COLUMNS, check_classified, check_frame, conformed
from bouncekit.errors import BouncekitError
from bouncekit.sent import without_unmatched

# The part of the address behind its last @. To split is three times as fast as a regular
# expression.
DOMAIN = pl.col("recipient").str.split("@").list.slice(1).list.last().str.to_lowercase()

# Retries end after five days (RFC 5321 §4.5.4.1), a late bounce message may take some more: a name
# under which mail goes out in this many different weeks is not one mailing's, but a list's.
WEEKS_OF_A_LIST = 4

_DELIVERED = pl.col("event") == "delivery"
_BOUNCED = pl.col("event") == "bounce"
_TRIED = ["bounce", "deferral", "delivery"]
_MAILING = ["recipient", "mailing_key"]
_MESSAGE = ["recipient", "message_id"]
_DAY = pl.col("time").dt.date()

# Where the mailings' usual distance cannot be seen, a pause lasts a month for each skipped one.
USUAL_GAP_DAYS = 30

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
# In the order in which one of several bounces is chosen.
_OF_BOUNCE = ("category", "time", *EVIDENCE)


def events(
    frame: pl.DataFrame | pl.LazyFrame,
    as_of: date | str | None = None,
    lists: pl.DataFrame | None = None,
) -> pl.LazyFrame:
    """Give a classified frame ready for counting: all columns there, nothing after `as_of`.

    Adds `mailing_key`: the mailing where known, else the UTC day of the send, else the message.
    Where the name is a list's (`WEEKS_OF_A_LIST`), name and day tell its mailings apart; a part of
    a frame cannot tell, so who has one gives the `list_names` of the whole as `lists`. A message
    that is told of on several days was sent on the first of them: all events of a recipient must
    lie in the same part.
    Times and an `as_of` without a zone are taken as UTC. Rows without a recipient are left out:
    nobody can be charged with them. Raises BouncekitError if the frame has no recipients or is not
    classified.
    """
    known = told(frame, as_of)
    if lists is None:
        lists = list_names(sendings(known)).collect(engine="streaming")
    overnight = _overnight(known, lists).collect(engine="streaming")
    if overnight.is_empty():  # as for most lists: a join would cost them as much as it does others
        return keyed(known, lists)
    sent = known.join(overnight.lazy(), on=_MESSAGE, how="left")
    day = pl.when(_DAY.is_not_null()).then(pl.coalesce("first_day", _DAY))
    return keyed(sent, lists, day).drop("first_day")


def keyed(told: pl.LazyFrame, lists: pl.DataFrame, day: pl.Expr = _DAY) -> pl.LazyFrame:
    """Add to events their `mailing_key`, by the `list_names` of the whole frame.

    Who does not have all events of a recipient at hand takes the day of each for that of its send.
    """
    key = _mailing_key(day.cast(pl.String), lists)
    return told.with_columns(mailing_key=pl.coalesce(key, "message_id", pl.lit("unknown")))


def _overnight(told: pl.LazyFrame, lists: pl.DataFrame) -> pl.LazyFrame:
    """Give the messages told of on several days, where a day is needed to tell mailings apart.

    Columns: recipient, message_id, first_day (Date). What could not be read tells of no day.
    """
    return (
        told.filter(_needs_day(lists) & (pl.col("event") != "unreadable"))
        .select(*_MESSAGE, day=_DAY)
        .drop_nulls()
        .group_by(_MESSAGE)
        .agg(first_day=pl.col("day").min(), last_day=pl.col("day").max())
        .filter(pl.col("first_day") < pl.col("last_day"))
        .drop("last_day")
    )


def told(frame: pl.DataFrame | pl.LazyFrame, as_of: date | str | None = None) -> pl.LazyFrame:
    """Give the `events` without their `mailing_key`, which needs a look at all of them.

    Adds `_domain`, the recipient's; who counts the same events again and again adds it once.
    """
    check_frame(frame)
    names = frame.collect_schema().names()
    if "recipient" not in names:
        raise BouncekitError(
            "The frame has no column 'recipient'; read the export with bk.read() or rename it."
        )
    check_classified(frame)
    absent = {name: dtype for name, dtype in COLUMNS.items() if name not in names}
    lazy = conformed(frame)
    lazy = lazy if "_domain" in names else lazy.with_columns(_domain=DOMAIN)
    return (
        lazy.with_columns(
            pl.lit("bounce" if name == "event" else None, dtype).alias(name)
            for name, dtype in absent.items()
        )
        .filter(pl.col("recipient") != "")  # nor is it null
        .filter((pl.col("time") <= in_utc(as_of)).fill_null(True) if as_of else pl.lit(True))
        .pipe(without_unmatched)
    )


def sendings(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give when each mailing went out, day by day: mailing (null: no name), day, first (Datetime).

    Those of a part of the events can be put together with those of the others.
    """
    return (
        events.filter(pl.col("event").is_in(_TRIED) & pl.col("time").is_not_null())
        .group_by("mailing", day=pl.col("time").dt.date())
        .agg(first=pl.col("time").min())
    )


def list_names(sendings: pl.LazyFrame) -> pl.LazyFrame:
    """Give the names (mailing) that are a list's: those used week after week."""
    return (
        sendings.select("mailing", week=pl.col("day").dt.truncate("1w"))
        .drop_nulls()
        .unique()
        .group_by("mailing")
        .len()
        .filter(pl.col("len") >= WEEKS_OF_A_LIST)
        .select("mailing")
    )


def usual_gap(sendings: pl.LazyFrame) -> pl.LazyFrame:
    """Give the median distance of two mailings of a list: a row, gap (Duration)."""
    key = _mailing_key(pl.col("day").cast(pl.String), list_names(sendings).collect())
    gap = pl.col("start").diff().filter(pl.col("start").diff() >= pl.duration(hours=12)).median()
    return (
        sendings.group_by(key)
        .agg(start=pl.col("first").min())
        .sort("start")
        .select(gap=gap.fill_null(pl.duration(days=USUAL_GAP_DAYS)))
    )


def _needs_day(lists: pl.DataFrame) -> pl.Expr:
    return pl.col("mailing").is_null() | _is_list(lists)


def _is_list(lists: pl.DataFrame) -> pl.Expr:
    return pl.col("mailing").is_in(lists["mailing"].implode())


def _mailing_key(day: pl.Expr, lists: pl.DataFrame) -> pl.Expr:
    of_list = pl.when(_is_list(lists)).then(pl.format("{} {}", "mailing", day))
    return pl.coalesce(of_list, "mailing", day)


def in_utc(when: date | str) -> datetime:
    """Give a time in UTC; one without a zone is taken as UTC, a day as its last moment.

    Raises BouncekitError for what is none, and for a text that is not ISO 8601.
    """
    if isinstance(when, str):
        when = _of_text(when)
    if not isinstance(when, date):
        raise BouncekitError(f"{when!r} is no time; give a date, a datetime or their ISO text.")
    moment = when if isinstance(when, datetime) else datetime.combine(when, time.max)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _of_text(when: str) -> date:
    for kind in (date, datetime):
        with suppress(ValueError):
            return kind.fromisoformat(when)
    raise BouncekitError(f"{when!r} is no time; write 2025-01-31 or 2025-01-31T09:00Z.")


def last_event(frame: pl.DataFrame | pl.LazyFrame) -> datetime | None:
    """Give the time of the last event of a frame, or None if no event has a time."""
    check_frame(frame)
    if "time" not in frame.lazy().collect_schema().names():
        return None
    newest = (
        conformed(frame, ["time"]).select(pl.col("time").max()).collect(engine="streaming").item()
    )
    assert newest is None or isinstance(newest, datetime)
    return newest


def by_mailing(events: pl.LazyFrame, weight: pl.Expr | None = None) -> pl.LazyFrame:
    """Give a row per recipient and mailing, whatever the number and order of its events.

    Retries, deferrals, delay notices and duplicates of one message are one row. A bounce stands
    unless a delivery of the same mailing came after it; without times it stands. Of several the
    one with the highest `weight` (an expression on the bounce) counts, else the one whose category
    stands first in `schema.CATEGORIES`.

    Columns: recipient, mailing_key, time (of that bounce, else of the mailing's last event), sent
    (Datetime of the first try), first_bounce (of the first that stands), first_strike (of the first
    of these that weighs something, if the one that counts does), was_sent, bounced, delivered,
    engaged, complained, dropped (Boolean), last_delivery, last_taken (of a delivery that was not
    bounced later), last_engagement, last_alive (the later of these two), last_complaint (Datetime),
    and of the bounce that counts: weight (Float64), category and `EVIDENCE`.
    """
    return weighed(outcomes(events), pl.lit(0.0) if weight is None else weight)


@dataclass(frozen=True)
class Outcomes:
    """What became of each recipient's mailings, whatever a bounce weighs.

    `mailings` has a row for each, with how many `bounces` it has and the `row` of the first among
    the `bounces`, whose columns a weight may look at.
    """

    mailings: pl.DataFrame
    bounces: pl.DataFrame


def outcomes(events: pl.LazyFrame) -> Outcomes:
    """Give the `Outcomes` of events, which are run through once."""
    # What is said of a delivery is not looked at, and need not be kept.
    said = [pl.when(_BOUNCED).then(name).alias(name) for name in _OF_BOUNCE if name != "time"]
    rows = events.select(*_MAILING, "time", "event", *said).collect(engine="streaming")
    time, event = pl.col("time"), pl.col("event")
    tried = event.is_in(_TRIED)
    mailings = (
        rows.select(
            *_MAILING,
            "time",
            sent=pl.when(tried).then(time),
            delivery=pl.when(_DELIVERED).then(time),
            engagement=pl.when(event == "engagement").then(time),
            complaint=pl.when(event == "complaint").then(time),
            row=pl.when(_BOUNCED).then(_BOUNCED.cum_sum() - 1),
            was_sent=tried,
            delivered=_DELIVERED,
            engaged=event == "engagement",
            complained=event == "complaint",
            dropped=event == "dropped",
        )
        .lazy()
        .group_by(_MAILING)
        .agg(
            last_time=time.max(),
            sent=pl.col("sent").min(),
            last_delivery=pl.col("delivery").max(),
            last_engagement=pl.col("engagement").max(),
            last_complaint=pl.col("complaint").max(),
            bounces=pl.col("row").count(),
            row=pl.col("row").min(),
            **{
                name: pl.col(name).any()
                for name in ("was_sent", "delivered", "engaged", "complained", "dropped")
            },
        )
        .collect(engine="streaming")
    )
    return Outcomes(mailings, rows.filter(_BOUNCED).drop("event").rechunk())


def weighed(seen: Outcomes, weight: pl.Expr) -> pl.LazyFrame:
    """Give what `by_mailing` does: who weighs the same events in several ways finds them once."""
    bounces = seen.bounces.with_columns(weight=weight)
    bounced = pl.col("row").is_not_null()
    return (
        seen.mailings.lazy()
        .with_columns(_counting(seen.mailings, bounces).get_columns())
        .with_columns(looked_up(pl.col("row"), bounces[name]).alias(name) for name in _OF_BOUNCE)
        .with_columns(weight=looked_up(pl.col("row"), bounces["weight"]), bounced=bounced)
        .with_columns(
            time=pl.when(bounced).then("time").otherwise("last_time"),
            last_taken=pl.when(~bounced).then("last_delivery"),
        )
        .with_columns(last_alive=pl.max_horizontal("last_engagement", "last_taken"))
        .drop("last_time", "bounces", "row")
    )


def _counting(mailings: pl.DataFrame, bounces: pl.DataFrame) -> pl.DataFrame:
    """Give for each mailing the row of the bounce that counts, first_bounce and first_strike.

    All are null where no bounce stands.
    """
    taken_back = (pl.col("last_delivery") > pl.col("time")).fill_null(False)
    time = looked_up(pl.col("row"), bounces["time"])
    # Most mailings have one bounce, which need not be put in order with others.
    alone = pl.when((pl.col("bounces") == 1) & ~taken_back)
    one = (
        mailings.lazy()
        .select("row", "bounces", "last_delivery", time=time)
        .select(alone.then("row"), first_bounce=alone.then("time"), first_strike=alone.then("time"))
        .collect()
    )
    several = mailings.lazy().with_row_index("place").filter(pl.col("bounces") > 1)
    first = (
        bounces.lazy()
        .with_row_index("row")
        .join(several.select(*_MAILING, "place", "last_delivery"), on=_MAILING)
        .filter(~taken_back)
        .sort(
            "weight",
            *_OF_BOUNCE,
            descending=[True, *(name == "time" for name in _OF_BOUNCE)],
            nulls_last=True,
        )
        .group_by("place", maintain_order=True)
        .agg(
            pl.col("row").first(),
            first_bounce=pl.col("time").min(),
            first_strike=pl.col("time").filter(pl.col("weight") > 0).min(),
        )
        .collect(engine="streaming")
    )
    return one.select(one[name].scatter(first["place"], first[name]) for name in one.columns)


def rates(frame: pl.DataFrame | pl.LazyFrame, *, as_of: date | str | None = None) -> pl.DataFrame:
    """Give the bounce rate of each mailing of a classified frame, in the order of sending.

    Columns: mailing (String), start (Datetime), sends (UInt32: recipients delivered or bounced),
    bounces (UInt32: of them, ended in a bounce), rate (Float64). A frame without deliveries has
    no rate to show: its rows are left out.
    """
    sent = by_mailing(events(frame, as_of)).filter(pl.col("bounced") | pl.col("delivered"))
    return (
        sent.group_by(mailing="mailing_key")
        .agg(
            start=pl.col("sent").min(),
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
