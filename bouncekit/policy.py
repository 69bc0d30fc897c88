"""Decide which addresses come off the list: strikes, points, verdicts."""

import math
from datetime import UTC, datetime
from os import PathLike

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.because import because
from bouncekit.history import EVIDENCE, by_mailing, events, last_event
from bouncekit.incidents import BLAMED_IN_OUTAGES, LONGEST_OUTAGE_DAYS, PROVIDER, outage_windows
from bouncekit.presets import Policy, find_policy, policies, presets
from bouncekit.schema import Verdict
from bouncekit.sent import Sent, match_sent, tell_unmatched

__all__ = ["Policy", "decide", "find_policy", "policies", "presets"]

# Where the mailings' usual distance cannot be seen, a pause lasts a month for each skipped one.
USUAL_GAP_DAYS = 30

_NUMBERS = ("mailings_bounced", "bounced_since", "strikes", "score", "sure_score")


def decide(
    frame: pl.DataFrame | pl.LazyFrame,
    policy: str | PathLike[str] | Policy = "article",
    *,
    as_of: datetime | None = None,
    guard: bool = True,
    sent: Sent | None = None,
) -> pl.DataFrame:
    """Give a verdict on each recipient of a classified frame, with the reason in words.

    `policy` is a name of `policies()`, a TOML file or a Policy. Nothing after `as_of` (default:
    the last event) is used. With `guard`, removals that rest on an incident become `hold`.
    With `sent` (a table or file of what was sent, see `match_sent`), events of messages that nobody
    sent count for nothing.

    Columns: recipient (String), verdict (Verdict), until (Datetime, end of a pause), policy,
    because (String, a sentence), category (Category, of the last strike), strikes (UInt32: mailings
    since the last delivery or open that weigh something), score (Float64, their points; with
    `min_gap_days` of those far enough apart, and no more than decide), mailings_bounced (UInt32, of
    any cause), first_bounce, last_bounce, last_delivery (Datetime), reply_code (Int16),
    enhanced_code, reply, rule (String, of the last strike). Sorted by verdict, then recipient.
    """
    chosen = find_policy(policy)
    if sent is not None:
        frame = match_sent(frame, sent)
    as_of = as_of or last_event(frame)
    history = by_mailing(events(frame, as_of), _weight(chosen))
    recipients, bounced, usual_gap = pl.collect_all(
        [_per_recipient(history), _bounced(history), _usual_gap(history)],
        engine="streaming",
    )
    outages = outage_windows(frame, as_of=as_of).lazy() if guard else _no_incidents()
    strikes = _strikes(bounced.lazy(), recipients.lazy(), chosen, outages)
    decisions = (
        recipients.lazy()
        .join(_of_any_cause(bounced.lazy(), recipients.lazy()), on="recipient", how="left")
        .join(_counted(strikes), on="recipient", how="left")
        .join(usual_gap.lazy(), how="cross")
        .with_columns(pl.col(_NUMBERS).fill_null(0))
        .with_columns(until=pl.col("last_strike") + pl.col("gap") * (chosen.pause_mailings + 0.5))
        .with_columns(verdict=_verdict(chosen))
        .with_columns(is_over=_is_over(as_of))
        .with_columns(
            verdict=pl.when("is_over").then(pl.lit("keep", Verdict)).otherwise("verdict"),
        )
        .with_columns(because=because(chosen), policy=pl.lit(chosen.name))
        .with_columns(until=pl.when(pl.col("verdict") == "pause").then("until"))
        .select(
            "recipient",
            "verdict",
            "until",
            "policy",
            "because",
            "category",
            "strikes",
            "score",
            "mailings_bounced",
            "first_bounce",
            "last_bounce",
            "last_delivery",
            "reply_code",
            "enhanced_code",
            "reply",
            "rule",
        )
        .sort("verdict", "recipient")
        .collect(engine="streaming")
    )
    return tell_unmatched(decisions, frame)


def _weight(policy: Policy) -> pl.Expr:
    """Give what a bounce weighs under a policy (Float64)."""
    weight = pl.col("category").cast(pl.String).replace_strict(policy.weights, default=0.0)
    weight = weight.cast(pl.Float64)
    if policy.ambiguous_weight is not None:
        leaves_doubt = pl.col("rule").is_in(knowledge.builtin().vague) | (
            pl.col("certainty") != "text"
        )
        doubtful = pl.min_horizontal(weight, pl.lit(policy.ambiguous_weight, pl.Float64))
        weight = pl.when(leaves_doubt.fill_null(True)).then(doubtful).otherwise(weight)
    lasting = pl.col("permanent").fill_null(True)
    if not policy.permanent_only:
        lasting |= (pl.col("category") == "mailbox_full").fill_null(False)
    return pl.when(lasting).then(weight).otherwise(0.0)


def _per_recipient(history: pl.LazyFrame) -> pl.LazyFrame:
    return history.group_by("recipient").agg(
        last_alive=pl.col("last_alive").max(),
        last_delivery=pl.col("last_delivery").max(),
        ever_delivered=pl.col("delivered").any(),
        dropped=pl.col("dropped").sum(),
    )


def _bounced(history: pl.LazyFrame) -> pl.LazyFrame:
    columns = ["recipient", "mailing_key", "time", "weight", "category", *EVIDENCE]
    return history.filter("bounced").select(columns)


def _of_any_cause(bounced: pl.LazyFrame, recipients: pl.LazyFrame) -> pl.LazyFrame:
    since = bounced.join(recipients.select("recipient", "last_alive"), on="recipient").filter(
        _after_last_sign_of_life()
    )
    return (
        bounced.group_by("recipient")
        .agg(
            mailings_bounced=pl.len(),
            first_bounce=pl.col("time").min(),
            last_bounce=pl.col("time").max(),
        )
        .join(
            since.group_by("recipient").agg(
                bounced_since=pl.len(), cause_since=pl.col("category").mode().sort().first()
            ),
            on="recipient",
            how="left",
        )
    )


def _after_last_sign_of_life() -> pl.Expr:
    """True where the address neither took nor opened mail later."""
    alive = pl.col("last_alive")
    return (pl.col("time") > alive).fill_null(alive.is_null())


def _strikes(
    bounced: pl.LazyFrame, recipients: pl.LazyFrame, policy: Policy, outages: pl.LazyFrame
) -> pl.LazyFrame:
    """Give the mailings that count against their recipient.

    Adds what counts of the weight: `points`, and `sure_points` if incidents count for nothing.
    """
    strikes = (
        bounced.filter(pl.col("weight") > 0)
        .with_columns(PROVIDER)
        .join(recipients.select("recipient", "last_alive"), on="recipient")
        .filter(_after_last_sign_of_life())
        .sort("recipient", "time", "mailing_key")
    )
    strikes = _in_incident(strikes, outages)
    is_sure = pl.col("outage_start").is_null()
    if policy.min_gap_days:
        strikes = _spaced(_spaced(strikes, policy, pl.lit(True), "counts"), policy, is_sure, "sure")
    else:
        strikes = strikes.with_columns(counts=pl.lit(True), sure=is_sure)
    return strikes.with_columns(
        points=pl.when("counts").then("weight").otherwise(0.0),
        sure_points=pl.when("sure").then("weight").otherwise(0.0),
    )


def _spaced(strikes: pl.LazyFrame, policy: Policy, allowed: pl.Expr, name: str) -> pl.LazyFrame:
    """Mark of each recipient's allowed strikes the first, the next far enough from it, and so on.

    Takes strikes in order of time. Marks as many as can matter: no more than reach the threshold
    at the smallest weight. Strikes without a time show no distance, so they are one at most.
    """
    weights = [*policy.weights.values(), policy.ambiguous_weight or 0]
    needed = math.ceil(policy.threshold / min((w for w in weights if w > 0), default=1))
    time = pl.when(allowed).then("time")
    first_of_all = pl.col("time").is_null() & time.max().over("recipient").is_null() & allowed
    marked = strikes.with_columns(
        (first_of_all & first_of_all.cum_sum().over("recipient").eq(1)).alias(name),
        _from=time.min().over("recipient"),
    )
    for _ in range(needed):
        is_next = (time >= pl.col("_from")).fill_null(False)
        is_first = is_next & (is_next.cum_sum().over("recipient") == 1)
        marked = marked.with_columns(pl.col(name) | is_first).with_columns(
            _from=time.filter(is_first).min().over("recipient")
            + pl.duration(days=policy.min_gap_days)
        )
    return marked.drop("_from")


def _in_incident(strikes: pl.LazyFrame, outages: pl.LazyFrame) -> pl.LazyFrame:
    """Add `outage_start` and `outage_end` to the strikes that an incident explains.

    No outage lasts a week: who is refused again in one that late is held for no incident.
    """
    hit = (
        strikes.select("recipient", "mailing_key", "provider", "time", "category")
        .filter(pl.col("category").is_in(BLAMED_IN_OUTAGES))
        .join(outages.select("provider", "start", "end"), on="provider")
        .filter(pl.col("time").is_between("start", "end", closed="left"))
        .filter(
            pl.col("time").max().over("recipient") - pl.col("time").min().over("recipient")
            < pl.duration(days=LONGEST_OUTAGE_DAYS)
        )
        .select("recipient", "mailing_key", outage_start="start", outage_end="end")
    )
    return strikes.join(hit, on=["recipient", "mailing_key"], how="left", maintain_order="left")


def _no_incidents() -> pl.LazyFrame:
    time = pl.Datetime("us", "UTC")
    return pl.LazyFrame(schema={"provider": pl.String, "start": time, "end": time})


def _counted(strikes: pl.LazyFrame) -> pl.LazyFrame:
    """Sum up each recipient's strikes, which come in order of time; of the last one say more."""
    last = ("category", "certainty", "reply_code", "enhanced_code", "reply", "rule", "provider")
    return strikes.group_by("recipient", maintain_order=True).agg(
        strikes=pl.len(),
        causes=pl.col("category").n_unique(),
        # Binary fractions of a point must not decide.
        score=pl.col("points").sum().round(6),
        sure_score=pl.col("sure_points").sum().round(6),
        first_strike=pl.col("time").min(),
        last_strike=pl.col("time").max(),
        outage_start=pl.col("outage_start").max(),
        outage_end=pl.col("outage_end").max(),
        evidence=pl.col("because").last(),
        **{name: pl.col(name).last() for name in last},
    )


def _usual_gap(history: pl.LazyFrame) -> pl.LazyFrame:
    """Give the median distance of two mailings, a row for the whole list."""
    starts = history.group_by("mailing_key").agg(start=pl.col("sent").min()).sort("start")
    gap = pl.col("start").diff().filter(pl.col("start").diff() >= pl.duration(hours=12)).median()
    return starts.select(gap=gap.fill_null(pl.duration(days=USUAL_GAP_DAYS)))


def _verdict(policy: Policy) -> pl.Expr:
    pause_at = policy.threshold if policy.pause_at is None else policy.pause_at
    return (
        pl.when(pl.col("sure_score") >= policy.threshold)
        .then(pl.lit("remove"))
        .when(pl.col("score") >= policy.threshold)
        .then(pl.lit("hold"))
        .when(pl.col("score") >= pause_at)
        .then(pl.lit("pause"))
        .otherwise(pl.lit("keep"))
        .cast(Verdict)
    )


def _is_over(as_of: datetime | None) -> pl.Expr:
    """True for a pause that has ended: the address gets the next mailing."""
    if as_of is None:
        return pl.lit(False)
    return (pl.col("verdict") == "pause") & (pl.col("until") <= _in_utc(as_of)).fill_null(False)


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
