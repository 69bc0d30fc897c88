"""Count strikes: which of an address' bounced mailings weigh how much under a policy."""

import math

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.history import DOMAIN
from bouncekit.incidents import BLAMED_IN_OUTAGES, LONGEST_OUTAGE_DAYS, PROVIDER
from bouncekit.presets import Policy

_RUN = ["recipient", "run"]


def weight(policy: Policy) -> pl.Expr:
    """Give what a bounce weighs under a policy (Float64)."""
    by_reply = pl.when(pl.col("permanent").fill_null(True))
    weight = by_reply.then(_of(policy.if_permanent)).otherwise(_of(policy.if_temporary))
    if policy.ambiguous_weight is None:
        return weight
    leaves_doubt = pl.col("rule").is_in(knowledge.builtin().vague) | (pl.col("certainty") != "text")
    doubtful = pl.min_horizontal(weight, pl.lit(policy.ambiguous_weight, pl.Float64))
    return pl.when(leaves_doubt.fill_null(True)).then(doubtful).otherwise(weight)


def _of(weights: dict[str, float]) -> pl.Expr:
    """Give what a category weighs. (`replace_strict` would hold all rows in memory.)"""
    category = pl.col("category")
    known = {w: [name for name, own in weights.items() if own == w] for w in weights.values()}
    weighed = [pl.when(category.is_in(names)).then(pl.lit(float(w))) for w, names in known.items()]
    return pl.coalesce(*weighed, pl.lit(0.0))


def last_reset(policy: Policy) -> pl.Expr:
    """Give when a mailing of `by_mailing` last ended a run of strikes (Datetime)."""
    signs = {"delivery": "last_taken", "engagement": "last_engagement"}
    never = pl.lit(None, pl.Datetime("us", "UTC"))
    return pl.max_horizontal(never, *(signs[sign] for sign in policy.resets_on))


def still_counts(policy: Policy) -> pl.Expr:
    """True for a bounce that nothing has made good since, or that nothing makes good."""
    reset = pl.col("last_reset")
    is_after = (pl.col("time") > reset).fill_null(reset.is_null())
    if policy.lasting_weight is None:
        return is_after
    return is_after | (pl.col("weight") >= policy.lasting_weight)


def counted(
    bounced: pl.LazyFrame, recipients: pl.LazyFrame, policy: Policy, outages: pl.LazyFrame
) -> pl.LazyFrame:
    """Sum up the strikes of each recipient, in a row per run of them.

    Takes the bounced mailings of `by_mailing`, the recipients with `last_reset`, and the windows of
    incidents (provider, start, end). Columns: recipient, run (UInt32), strikes (UInt32), causes
    (UInt32: how many categories), score, sure_score (Float64: points, and points outside of
    incidents), allowed_strikes, sure_strikes (UInt32: those far enough apart), first_strike,
    last_strike, first_sure, last_sure, first_sent, outage_start, outage_end (Datetime), and of the
    last strike its category, codes, words and rule.
    """
    strikes = (
        bounced.filter(pl.col("weight") > 0)
        .with_columns(_domain=DOMAIN)
        .with_columns(PROVIDER)
        .join(recipients.select("recipient", "last_reset"), on="recipient")
        .filter(still_counts(policy))
        .pipe(_in_incident, outages)
        # What was said last is the evidence, but the strike is as old as the first bounce.
        .with_columns(time="first_strike", sure=pl.col("outage_start").is_null())
        .sort("recipient", "time", "mailing_key")
        .pipe(_in_runs, policy)
    )
    if policy.one_per_day:
        strikes = _heaviest_of_each_day(strikes)
    rows = (
        strikes.with_columns(
            points=pl.col("weight").pipe(_together, policy),
            sure_points=pl.when("sure").then("weight").otherwise(0.0).pipe(_together, policy),
        )
        .group_by(_RUN, maintain_order=True)
        .agg(**_summary(policy))
    )
    return _with_those_apart(rows, strikes, policy) if policy.min_gap_days else rows


def _summary(policy: Policy) -> dict[str, pl.Expr]:
    together = pl.Expr.max if policy.by_category or policy.window_days else pl.Expr.sum
    time = pl.col("time")
    last = ("category", "certainty", "reply_code", "enhanced_code", "reply", "rule", "provider")
    return {
        "strikes": pl.len(),
        "causes": pl.col("category").n_unique(),
        # Binary fractions of a point must not decide.
        "score": together(pl.col("points")).round(6),
        "sure_score": together(pl.col("sure_points")).round(6),
        "allowed_strikes": pl.len(),
        "sure_strikes": pl.col("sure").sum(),
        "first_strike": time.min(),
        "last_strike": time.max(),
        "first_sure": time.filter("sure").min(),
        "last_sure": time.filter("sure").max(),
        "first_sent": pl.col("sent").min(),
        "outage_start": pl.col("outage_start").max(),
        "outage_end": pl.col("outage_end").max(),
        "evidence": pl.col("because").last(),
        **{name: pl.col(name).last() for name in last},
    }


def _together(points: pl.Expr, policy: Policy) -> pl.Expr:
    """Add up the points that count together with each strike's, if a policy says which do."""
    keys = [*_RUN, "category"] if policy.by_category else _RUN
    if policy.window_days:
        window = f"{policy.window_days}d"
        # Strikes without a time lie together, in no other strike's window.
        dated = pl.col("time").fill_null(pl.lit(0).cast(pl.Datetime("us", "UTC")))
        return points.rolling_sum_by(dated, window).over(keys)
    return points.sum().over(keys) if policy.by_category else points


def _in_runs(strikes: pl.LazyFrame, policy: Policy) -> pl.LazyFrame:
    """Number the runs of strikes: a new one starts where the last strike has become stale."""
    if policy.stale_days is None:
        return strikes.with_columns(run=pl.lit(0, pl.UInt32))
    stale = pl.col("time").diff().over("recipient") > pl.duration(days=policy.stale_days)
    return strikes.with_columns(run=stale.fill_null(False).cum_sum().over("recipient"))


def _heaviest_of_each_day(strikes: pl.LazyFrame) -> pl.LazyFrame:
    return (
        strikes.with_columns(_day=pl.col("time").dt.date())
        .sort("weight", "sure", descending=True, maintain_order=True)
        .unique(["recipient", "_day"], keep="first", maintain_order=True)
        .sort("recipient", "time", "mailing_key")
        .drop("_day")
    )


def _with_those_apart(rows: pl.LazyFrame, strikes: pl.LazyFrame, policy: Policy) -> pl.LazyFrame:
    """Count in each row only strikes that are far enough apart."""
    names = {"score": "allowed_strikes", "sure_score": "sure_strikes"}
    strikes = strikes.collect(engine="streaming").lazy()
    rows = rows.drop(*names, *names.values())
    for part, (score, count) in zip((strikes, strikes.filter("sure")), names.items(), strict=True):
        apart = _apart(part, policy).rename({"points": score, "count": count})
        rows = rows.join(apart, on=_RUN, how="left")
    return rows.with_columns(pl.col(*names, *names.values()).fill_null(0))


def _apart(strikes: pl.LazyFrame, policy: Policy) -> pl.LazyFrame:
    """Give the most points, and the most strikes, that are reached far enough apart.

    To take the first strike, then the next far enough away, would let a light strike keep a heavy
    one from counting. The best of n strikes up to a day is the best up to the strike before, or the
    strike itself with the best of n - 1 up to a gap before it. Strikes without a time show no
    distance: the heaviest is one. Columns: recipient, run, points (Float64), count (UInt32).
    """
    together = [*_RUN, "category"] if policy.by_category else _RUN
    time, weight = pl.col("time"), pl.col("weight")
    undated = strikes.filter(time.is_null()).select(
        *_RUN, points="weight", count=pl.lit(1, pl.UInt32)
    )
    dated = strikes.filter(time.is_not_null()).select(*together, "time", "weight")
    if policy.window_days:
        span = pl.duration(days=policy.window_days)
        ends = dated.select(*together, end="time").unique()
        dated = ends.join(dated, on=together).filter(
            (time <= pl.col("end")) & (time > pl.col("end") - span)
        )
        together = [*together, "end"]
    ordered = (
        dated.sort(*together, "time")
        .with_row_index("row")
        .with_columns(group=pl.col("row").first().over(together))
        .collect(engine="streaming")
    )
    gap = pl.duration(days=policy.min_gap_days)
    free = ordered.select("group", before="row", free=time + gap)
    best = ordered.join_asof(
        free, left_on="time", right_on="free", by="group", check_sortedness=False
    ).with_columns(points=pl.lit(0.0), count=pl.lit(0, pl.UInt32))
    for _ in range(_most_needed(policy)):
        earlier = pl.col("points", "count").gather("before").fill_null(0)
        further = best.with_columns(earlier).with_columns(
            (pl.col("points") + weight).cum_max().over("group"),
            (pl.col("count") + 1).cum_max().over("group"),
        )
        if further.equals(best):
            break
        best = further
    return (
        pl.concat([best.lazy().select(*_RUN, "points", "count"), undated])
        .group_by(_RUN)
        .agg(pl.col("points").max().round(6), pl.col("count").max())
    )


def _most_needed(policy: Policy) -> int:
    """Give how many strikes can matter: no more than reach the threshold at the smallest weight."""
    threshold = max(policy.threshold, policy.engaged_threshold or 0)
    return max(math.ceil(threshold / policy.smallest_weight), policy.min_mailings)


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
    return strikes.join(hit, on=["recipient", "mailing_key"], how="left")
