"""Replay policies on the history: what each would have removed, when, saved and lost."""

from collections.abc import Iterable
from os import PathLike
from typing import Final

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.history import by_mailing, events, last_event
from bouncekit.incidents import beside_outages
from bouncekit.policy import Policy, decisions, find_policy
from bouncekit.schema import BOUNCES
from bouncekit.tallies import over
from bouncekit.whole import whole_of

# States of a truth file: an address that is in one of the first takes mail; of those who left
# by themselves nobody knows.
GOOD_STATES: Final = ("valid", "reopened", "forwarding")
LEFT_STATES: Final = ("unsubscribed", "complained")
DEAD_STATES: Final = (
    "never_valid",
    "typo_domain",
    "closed",
    "disabled",
    "full_forever",
    "full_then_emptied",
    "moved",
    "refusing",
    "forwarding_broken",
)
STATES: Final = (*GOOD_STATES, *LEFT_STATES, *DEAD_STATES)

# An address' first reviews decide most of them: those left are looked at in ever larger groups.
FIRST_REVIEWS = 4

DAY_LIMITS: Final = (7, 14, 30, 60, 90, 180)
DAY_SPANS: Final = ("0-7", "8-14", "15-30", "31-60", "61-90", "91-180", "over 180")

_USED = (
    "time",
    "event",
    "recipient",
    "mailing",
    "message_id",
    "category",
    "fault",
    "permanent",
    "certainty",
    "rule",
)
_KEYS = ["policy", "recipient"]
# Truth files are written by others: in them an address may be in another case.
_SAME = pl.col("recipient").str.to_lowercase()

Policies = Iterable[str | PathLike[str] | Policy]


def backtest(
    frame: pl.DataFrame | pl.LazyFrame,
    policies: Policies,
    *,
    truth: pl.DataFrame | None = None,
    guard: bool = True,
) -> pl.DataFrame:
    """Say what each policy would have done to the list, had it been in force from the start.

    `frame` is classified, with its deliveries; `policies` are names of `policies()`, TOML files
    or Policy objects. The list is reviewed after each mailing, with what is known just before the
    next one goes out; who is removed gets no later mailing. With `guard` no removal rests on a
    refusal in one of the `incidents()`, as in `decide`; they are those of the whole history.

    Columns, a row per policy in the order given: policy (String), removed (UInt32: addresses),
    lost (UInt32: of them, took or opened mail later), sends_saved, bounces_avoided (UInt32: later
    mailings to the removed, and how many of those bounced), rate (Float64: bounces of the sends
    that remain, null without sends), days_to_removal (Float64: median of days from an address'
    first recipient failure since it last took mail to its removal; lost ones left out).

    `truth` (recipient or local_part and domain, state, until: the first day of the next state)
    adds good_lost (UInt32: removed although the address takes mail then or later), precision
    (Float64: dead among the removed) and recall (Float64: removed among the dead). Raises
    BouncekitError for unknown policies, doubled names and frames that cannot be counted.
    """
    chosen = _chosen(policies)
    history = history_of(frame)
    removed = removals(frame, chosen, history=history, guard=guard)
    mailed = mailings(history, removed, chosen)
    names = pl.DataFrame({"policy": [policy.name for policy in chosen]}, {"policy": pl.String})
    sums = mailed.group_by("policy").agg(
        pl.col("sends_saved", "bounces_avoided").sum(),
        rate=(pl.col("bounces") - pl.col("bounces_avoided")).sum()
        / pl.when(pl.col("sends").sum() > pl.col("sends_saved").sum()).then(
            pl.col("sends").sum() - pl.col("sends_saved").sum()
        ),
    )
    counts = removed.group_by("policy").agg(
        removed=pl.len(),
        lost=pl.col("lost").sum(),
        days_to_removal=pl.col("days").filter(~pl.col("lost")).median(),
    )
    summary = (
        names.join(counts, on="policy", how="left", maintain_order="left")
        .join(sums, on="policy", how="left", maintain_order="left")
        .select(
            "policy",
            pl.col("removed", "lost", "sends_saved", "bounces_avoided").fill_null(0),
            "rate",
            "days_to_removal",
        )
        .with_columns(pl.col("removed", "lost", "sends_saved", "bounces_avoided").cast(pl.UInt32))
    )
    if truth is None:
        return summary
    return summary.join(
        _against(truth, removed, history, names), on="policy", how="left", maintain_order="left"
    )


def removals(
    frame: pl.DataFrame | pl.LazyFrame,
    policies: Policies,
    *,
    history: pl.DataFrame | None = None,
    guard: bool = True,
) -> pl.DataFrame:
    """Give each address that a policy would have removed, and when for the first time.

    Columns: policy, recipient (String), place (UInt32: number of the mailing after which it is
    removed, from 0), removed (Datetime: as of when), lost (Boolean: took or opened mail later),
    days (Float64: since its first recipient failure). Sorted by policy as given, then recipient.
    """
    chosen = _chosen(policies)
    history = history_of(frame) if history is None else history
    reviews = _reviews(frame, history)
    known = _placed(frame, reviews, guard)
    found = [
        _first_removals(known, policy).with_columns(policy=pl.lit(policy.name)) for policy in chosen
    ]
    schema = {"recipient": pl.String, "place": pl.UInt32, "policy": pl.String}
    removed = pl.concat([pl.DataFrame(schema=schema), *found]).join(
        reviews.select("place", removed="as_of"), on="place", how="left", maintain_order="left"
    )
    alive = history.group_by("recipient").agg(pl.col("last_alive").max())
    failures = history.filter(pl.col("bounced") & (pl.col("fault") == "recipient")).select(
        "recipient", failed="first_bounce"
    )
    first = (
        removed.join(failures, on="recipient")
        .join(
            history.select("recipient", sign="last_alive").drop_nulls("sign"),
            on="recipient",
            how="left",
        )
        .group_by(*_KEYS, "removed", "failed")
        .agg(sign=pl.col("sign").filter(pl.col("sign") <= pl.col("removed")).max())
        .filter((pl.col("failed") > pl.col("sign")).fill_null(True))
        .group_by(_KEYS)
        .agg(pl.col("failed").min())
    )
    late = (pl.col("last_alive") > pl.col("removed")).fill_null(False)
    return (
        removed.join(alive, on="recipient", how="left", maintain_order="left")
        .join(first, on=_KEYS, how="left", maintain_order="left")
        .select(
            *_KEYS,
            "place",
            "removed",
            lost=late,
            days=(pl.col("removed") - pl.col("failed")).dt.total_seconds() / 86_400,
        )
    )


def mailings(history: pl.DataFrame, removed: pl.DataFrame, policies: Policies) -> pl.DataFrame:
    """Give what each policy would have done to each mailing, in the order of sending.

    Takes the frames of `history_of` and `removals`. Columns: policy,
    mailing (String), start (Datetime), sends, bounces (UInt32: as they were), removals (UInt32:
    after this mailing), sends_saved, bounces_avoided (UInt32), rate (Float64: of what remains).
    """
    names = pl.DataFrame(
        {"policy": [policy.name for policy in _chosen(policies)]}, {"policy": pl.String}
    )
    sent = history.filter(pl.col("bounced") | pl.col("delivered"))
    each = sent.group_by("place").agg(
        mailing=pl.col("mailing_key").first(),
        start=pl.col("sent").min(),
        sends=pl.len(),
        bounces=pl.col("bounced").sum(),
    )
    saved = (
        sent.select("recipient", "bounced", at="place")
        .join(removed.select(*_KEYS, "place"), on="recipient")
        .filter(pl.col("at") > pl.col("place"))
        .group_by("policy", place="at")
        .agg(sends_saved=pl.len(), bounces_avoided=pl.col("bounced").sum())
    )
    gone = removed.group_by("policy", "place").agg(removals=pl.len())
    left = pl.col("sends") - pl.col("sends_saved")
    return (
        names.join(each.sort("place"), how="cross", maintain_order="left_right")
        .join(gone, on=["policy", "place"], how="left", maintain_order="left")
        .join(saved, on=["policy", "place"], how="left", maintain_order="left")
        .with_columns(pl.col("removals", "sends_saved", "bounces_avoided").fill_null(0))
        .select(
            "policy",
            "mailing",
            "start",
            "sends",
            "bounces",
            "removals",
            "sends_saved",
            "bounces_avoided",
            rate=pl.when(left > 0).then((pl.col("bounces") - pl.col("bounces_avoided")) / left),
        )
    )


def days_by_policy(removed: pl.DataFrame) -> pl.DataFrame:
    """Count the removed that stayed silent by policy and by days to removal, for the chart.

    Takes the frame of `removals`. Columns: policy, days (Enum: a span such as 8-14), recipients
    (UInt32).
    """
    spans = removed.filter(~pl.col("lost") & pl.col("days").is_not_null()).with_columns(
        pl.col("days").ceil().cut(DAY_LIMITS, labels=DAY_SPANS).cast(pl.Enum(DAY_SPANS))
    )
    return (
        spans.group_by("policy", "days", maintain_order=True)
        .agg(recipients=pl.len())
        .sort("days", maintain_order=True)
    )


def _chosen(policies: Policies) -> list[Policy]:
    given = (
        policies if isinstance(policies, Iterable) and not isinstance(policies, str) else [policies]
    )
    chosen = [find_policy(policy) for policy in given]
    names = [policy.name for policy in chosen]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BouncekitError(f"Policy '{twice}' is given twice; give each a name of its own.")
    return chosen


def history_of(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Give what became of each recipient's mailings (see `by_mailing`).

    Columns: recipient, mailing_key, first_bounce, sent, bounced, delivered, last_alive, fault,
    place (UInt32: number of the mailing in the order of sending, from 0).
    """
    columns = ("recipient", "mailing_key", "first_bounce", "sent", "bounced", "delivered")
    mailed = by_mailing(events(frame)).select(*columns, "last_alive", "fault")
    history = mailed.collect(engine="streaming")
    order = history.group_by("mailing_key").agg(pl.col("sent").min()).sort("sent", "mailing_key")
    order = order.select("mailing_key").with_row_index("place")
    return history.join(order, on="mailing_key")


def _reviews(frame: pl.DataFrame | pl.LazyFrame, history: pl.DataFrame) -> pl.DataFrame:
    """Give the place of each review and until when it knows: just before the next mailing."""
    starts = history.group_by("place").agg(start=pl.col("sent").min()).sort("place")
    last = events(frame).select(pl.col("time").max()).collect(engine="streaming").item()
    next_start = pl.col("start").shift(-1) - pl.duration(microseconds=1)
    return starts.select("place", as_of=next_start.fill_null(pl.lit(last, BOUNCES["time"])))


def _placed(frame: pl.DataFrame | pl.LazyFrame, reviews: pl.DataFrame, guard: bool) -> pl.DataFrame:
    """Give the events of all who bounced, with the first review that knows each (`known_at`)."""
    told = (beside_outages(frame) if guard else events(frame)).select(_USED)
    bounced = told.filter(pl.col("event").is_in(["bounce", "complaint"])).select("recipient")
    # No bound before the first mailing: what happened then is known at the first review.
    bounds = reviews["as_of"].slice(0, max(reviews.height - 1, 0))
    placed = told.join(bounced.unique(), on="recipient", how="semi").collect(engine="streaming")
    at = bounds.search_sorted(placed["time"], side="left").cast(pl.UInt32)
    return placed.with_columns(
        known_at=pl.when(pl.col("time").is_null()).then(0).otherwise(at).cast(pl.UInt32)
    )


def _first_removals(known: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Give whom the policy removes (recipient), and the place of the first review that does.

    Only a bounce or a complaint turns a verdict into removal. So an address is decided upon as of
    each review that knows a new one: each such state is a recipient of its own in one decision.
    """
    complained = pl.lit(policy.removes_complainers) & (pl.col("event") == "complaint")
    turning = known.filter((pl.col("event") == "bounce") | complained)
    hit = turning.filter(pl.col("category").is_in(policy.counted) | complained).select("recipient")
    open_states = (
        turning.select("recipient", place="known_at")
        .unique()
        .join(hit.unique(), on="recipient", how="semi")
        .sort("recipient", "place")
        .with_columns(number=pl.int_range(pl.len()).over("recipient"))
    )
    found: list[pl.DataFrame] = []
    start, size = 0, FIRST_REVIEWS
    while open_states.height:
        now = open_states.filter(pl.col("number") < start + size)
        removed = _removing_states(known, now, policy)
        found.append(removed)
        open_states = open_states.filter(pl.col("number") >= start + size).join(
            removed, on="recipient", how="anti"
        )
        start, size = start + size, 2 * size
    empty = pl.DataFrame(schema={"recipient": pl.String, "place": pl.UInt32})
    return pl.concat([empty, *found]).sort("recipient")


def _removing_states(known: pl.DataFrame, states: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    named = states.with_row_index("state").with_columns(pl.col("state").cast(pl.String))
    replayed = (
        known.lazy()
        .join(named.lazy().select("recipient", "place", "state"), on="recipient")
        .filter(pl.col("known_at") <= pl.col("place"))
        .drop("known_at", "place", "recipient")
        .rename({"state": "recipient"})
        .collect(engine="streaming")
    )
    return (
        decisions(replayed, policy, whole_of(over(replayed), last_event(replayed), False))
        .filter(pl.col("verdict") == "remove")
        .select(state="recipient")
        .collect(engine="streaming")
        .join(named, on="state")
        .group_by("recipient")
        .agg(pl.col("place").min())
    )


def _against(
    truth: pl.DataFrame, removed: pl.DataFrame, history: pl.DataFrame, names: pl.DataFrame
) -> pl.DataFrame:
    """Give good_lost, precision and recall of each policy, against what the mailboxes were.

    Who left by themselves is not judged: nobody knows whether they would take mail.
    """
    recipients = history.select("recipient", same=_SAME).unique()
    spans = _spans(truth).join(recipients, on="same").drop("same")
    good = pl.col("state").is_in(GOOD_STATES)
    last = pl.col("until").is_null()
    left = pl.col("state").is_in(LEFT_STATES)
    about = spans.group_by("recipient").agg(
        good_until=pl.col("until").filter(good).max(),
        good_at_last=(good & last).any(),
        left=left.any(),
    )
    day = pl.col("removed").dt.date()
    judged = removed.join(about.filter(~pl.col("left")), on="recipient").with_columns(
        good=pl.col("good_at_last") | (pl.col("good_until") > day).fill_null(False)
    )
    dead = about.filter(~pl.col("left") & ~pl.col("good_at_last")).height
    counted = judged.group_by("policy").agg(
        good_lost=pl.col("good").sum(),
        precision=(~pl.col("good")).mean(),
        found=(~pl.col("good")).sum(),
    )
    return names.join(counted, on="policy", how="left", maintain_order="left").select(
        "policy",
        pl.col("good_lost").fill_null(0).cast(pl.UInt32),
        "precision",
        recall=pl.col("found").fill_null(0) / (dead or None),
    )


def _spans(truth: pl.DataFrame) -> pl.DataFrame:
    """Give the spans of a truth file: same (the recipient in any case), state, until (Date)."""
    if {"local_part", "domain"} <= set(truth.columns) and "recipient" not in truth.columns:
        truth = truth.with_columns(recipient=pl.format("{}@{}", "local_part", "domain"))
    for name in ("recipient", "state"):
        if name not in truth.columns:
            raise BouncekitError(
                f"The truth has no column '{name}'; needed are recipient (or local_part and "
                "domain), state, and until if an address has several states."
            )
    state = pl.col("state").cast(pl.String).str.strip_chars()
    lower = state.str.to_lowercase()
    truth = truth.with_columns(state=pl.when(lower.is_in(STATES)).then(lower).otherwise(state))
    unknown = truth.filter(~pl.col("state").is_in(STATES).fill_null(False))
    if unknown.height:
        raise BouncekitError(
            f"The truth has the state {unknown['state'][0]!r}; use one of {', '.join(STATES)}."
        )
    if "until" not in truth.columns:
        truth = truth.with_columns(until=pl.lit(None, pl.Date))
    if truth.schema["until"] == pl.String:
        told = pl.when(pl.col("until").str.strip_chars() != "").then(pl.col("until"))
        try:
            truth = truth.with_columns(until=told.str.to_date("%Y-%m-%d"))
        except pl.exceptions.PolarsError:
            raise BouncekitError(
                "The truth's column 'until' holds no dates; write them as 2025-01-31."
            ) from None
    return truth.select(
        _SAME.alias("same"), pl.col("state").cast(pl.String), pl.col("until").cast(pl.Date)
    )
