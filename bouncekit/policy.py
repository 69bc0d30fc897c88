"""Decide which addresses come off the list."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from os import PathLike

import polars as pl

from bouncekit.because import because
from bouncekit.buckets import in_parts
from bouncekit.conform import conformed, with_few_verdicts
from bouncekit.history import (
    DOMAIN,
    EVIDENCE,
    by_mailing,
    events,
    in_utc,
    last_event,
    outcomes,
    told,
    weighed,
)
from bouncekit.presets import Policy, find_policy, policies, presets
from bouncekit.schema import Category, Verdict
from bouncekit.sent import Sent, match_sent, tell_unmatched
from bouncekit.strikes import counted, last_reset, still_counts, weight
from bouncekit.tallies import ALWAYS, over
from bouncekit.whole import Whole, whole_of

__all__ = ["Policy", "decide", "find_policy", "policies", "presets", "tally"]

# The columns of a classified frame that decisions rest on.
USED = (*ALWAYS, "mailing", "message_id", "remote_mta", *EVIDENCE)

# Of several runs of strikes the hardest decides.
HARDEST_FIRST = ("remove", "hold", "pause", "keep")

_NUMBERS = ("mailings_bounced", "bounced_since", "strikes", "score", "sure_score")


def decide(
    frame: pl.DataFrame | pl.LazyFrame,
    policy: str | PathLike[str] | Policy = "article",
    *,
    as_of: date | str | None = None,
    guard: bool | pl.DataFrame = True,
    sent: Sent | None = None,
) -> pl.DataFrame:
    """Give a verdict on each recipient of a classified frame, with the reason in words.

    Only bounces count: a deferral that neither a bounce nor a delivery followed is still being
    tried, or its end is not in the frame, and is no strike.

    `policy` is a name of `policies()`, a TOML file or a Policy. Nothing after `as_of` (a day is
    meant to its end; default: the last event) is used. With `guard`, removals that rest on an
    incident become `hold`; who decides by several policies finds the incidents once:
    `guard=outage_windows(frame)`. With `sent` (a table or file of what was sent, see `match_sent`),
    events of messages that nobody sent count for nothing.

    Columns: recipient (String), verdict (Verdict), until (Datetime, end of a pause), policy,
    because (String, a sentence), category (Category, of the last strike, or `complaint` where that
    removes), strikes (UInt32: mailings that weigh something and that nothing has made good since),
    score (Float64, the points of those that count together), mailings_bounced (UInt32, of any
    cause), first_bounce, last_bounce, last_delivery (Datetime), reply_code (Int16), enhanced_code,
    reply, rule (String, of the last strike). Sorted by verdict, then recipient.
    """
    chosen = find_policy(policy)
    if sent is not None:
        frame = match_sent(frame, sent)
    lean = used(frame)
    if isinstance(frame, pl.DataFrame):
        return decide_parts([lean.collect()], chosen, as_of, guard)
    with in_parts(lean) as parts:
        return decide_parts(parts, chosen, as_of, guard)


def tally(
    frame: pl.DataFrame | pl.LazyFrame,
    tried: Iterable[str | PathLike[str] | Policy],
    *,
    as_of: date | str | None = None,
    guard: bool = True,
) -> pl.DataFrame:
    """Count the verdicts that `decide` would give by each of several policies.

    Columns: policy (String, in the order given), verdict (Verdict), recipients (UInt32).
    """
    as_of = as_of or last_event(frame)
    whole = whole_of(over(frame, as_of=as_of), as_of, guard)
    known = events(frame, as_of, whole.lists)
    # What no policy changes is found once: it is most of the work.
    seen = outcomes(known)
    counts = [
        _judged(weighed(seen, weight(policy)), policy, whole)
        .group_by("policy", "verdict")
        .agg(recipients=pl.len())
        .sort("verdict")
        .collect(engine="streaming")
        for policy in map(find_policy, tried)
    ]
    schema = {"policy": pl.String(), "verdict": Verdict, "recipients": pl.UInt32()}
    return pl.concat([pl.DataFrame(schema=schema), *counts])


def used(frame: pl.DataFrame | pl.LazyFrame) -> pl.LazyFrame:
    """Give the columns of a frame that decisions rest on, and what all counts ask for."""
    told(frame)  # raises if it cannot be counted
    names = [name for name in frame.collect_schema().names() if name in USED]
    return with_few_verdicts(conformed(frame).select(*names, _domain=DOMAIN))


def decide_parts(
    parts: Sequence[pl.DataFrame | pl.LazyFrame],
    policy: Policy,
    as_of: date | str | None = None,
    guard: bool | pl.DataFrame = True,
    keep: Callable[[pl.DataFrame], pl.DataFrame] = lambda decisions: decisions,
) -> pl.DataFrame:
    """Give what `decide` gives on parts of a list that share no recipient, one after the other.

    Of the decisions on each part remains what `keep` makes of them.
    """
    as_of = as_of or max(filter(None, map(last_event, parts)), default=None)
    whole = whole_of(over(*parts, as_of=as_of), as_of, guard)
    rows = [keep(decided(part, policy, whole)) for part in parts]
    return pl.concat(rows).sort("verdict", "recipient")


def decided(frame: pl.DataFrame | pl.LazyFrame, policy: Policy, whole: Whole) -> pl.DataFrame:
    """Give the rows of `decide`, in any order, for a part of a list that `whole` was counted on.

    All events of a recipient must lie in the same part.
    """
    rows = decisions(frame, policy, whole).collect(engine="streaming")
    return tell_unmatched(rows, frame)


def decisions(frame: pl.DataFrame | pl.LazyFrame, policy: Policy, whole: Whole) -> pl.LazyFrame:
    """Give the rows of `decided` lazily: who wants no sentences has none written."""
    known = events(frame, whole.as_of, whole.lists)
    return _judged(by_mailing(known, weight(policy)), policy, whole)


def _judged(mailed: pl.LazyFrame, policy: Policy, whole: Whole) -> pl.LazyFrame:
    # What several counts need is counted once: the engine would do it anew for each.
    history = mailed.collect(engine="streaming").lazy()
    recipients, bounced = pl.collect_all(
        [_per_recipient(history, policy), _bounced(history)], engine="streaming"
    )
    outages = whole.outages
    held = _no_incidents() if outages is None else outages.lazy()
    strikes = counted(bounced.lazy(), recipients.lazy(), policy, held)
    if policy.by_share:
        strikes = _by_share(strikes, history)
    return (
        recipients.lazy()
        .join(_of_any_cause(bounced.lazy(), recipients.lazy(), policy), on="recipient", how="left")
        .join(strikes, on="recipient", how="left")
        .with_columns(
            pl.col(_NUMBERS).fill_null(0),
            threshold=_threshold(policy),
            gap=pl.lit(whole.gap, pl.Duration("us")),
        )
        .with_columns(
            until=_end_of_pause(policy), is_enough=_is_enough(policy, "allowed", "strike")
        )
        .with_columns(verdict=_verdict(policy))
        .with_columns(is_over=_is_over(whole.as_of))
        .with_columns(
            verdict=pl.when("is_over").then(pl.lit("keep", Verdict)).otherwise("verdict"),
        )
        .pipe(_deciding_run, policy)
        .pipe(_complaints_first, policy)
        .with_columns(because=because(policy), policy=pl.lit(policy.name))
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
    )


def _per_recipient(history: pl.LazyFrame, policy: Policy) -> pl.LazyFrame:
    return history.group_by("recipient").agg(
        last_reset=last_reset(policy).max(),
        last_alive=pl.col("last_alive").max(),
        last_delivery=pl.col("last_delivery").max(),
        last_complaint=pl.col("last_complaint").max(),
        ever_delivered=pl.col("delivered").any(),
        ever_engaged=pl.col("engaged").any(),
        complaints=pl.col("complained").sum(),
        dropped=pl.col("dropped").sum(),
        deferred=(pl.col("was_sent") & ~pl.col("bounced") & ~pl.col("delivered")).sum(),
    )


def _bounced(history: pl.LazyFrame) -> pl.LazyFrame:
    times = ["time", "first_bounce", "first_strike", "sent"]
    columns = ["recipient", "mailing_key", *times, "weight", "category", *EVIDENCE]
    return history.filter("bounced").select(columns)


def _of_any_cause(bounced: pl.LazyFrame, recipients: pl.LazyFrame, policy: Policy) -> pl.LazyFrame:
    since = bounced.join(recipients.select("recipient", "last_reset"), on="recipient").filter(
        still_counts(policy)
    )
    return (
        bounced.group_by("recipient")
        .agg(
            mailings_bounced=pl.len(),
            first_bounce=pl.col("first_bounce").min(),
            last_bounce=pl.col("time").max(),
        )
        .join(
            since.group_by("recipient").agg(
                bounced_since=pl.len(),
                cause_since=pl.col("category").mode().sort().first(),
                of_cause_since=pl.col("category").unique_counts().max(),
            ),
            on="recipient",
            how="left",
        )
    )


def _by_share(strikes: pl.LazyFrame, history: pl.LazyFrame) -> pl.LazyFrame:
    """Multiply the points of each run by the share of its strikes in the mailings meanwhile."""
    runs = strikes.select("recipient", "run", "first_sent", "last_strike")
    sent = history.filter("was_sent").select("recipient", "sent")
    mailings = (
        runs.join(sent, on="recipient")
        .filter(pl.col("sent").is_between("first_sent", "last_strike"))
        .group_by("recipient", "run")
        .agg(mailings=pl.len())
    )
    share = (pl.col("strikes") / pl.col("mailings")).fill_null(1).clip(upper_bound=1)
    return strikes.join(mailings, on=["recipient", "run"], how="left").with_columns(
        (pl.col("score", "sure_score") * share).round(6)
    )


def _no_incidents() -> pl.LazyFrame:
    time = pl.Datetime("us", "UTC")
    return pl.LazyFrame(schema={"provider": pl.String, "start": time, "end": time})


def _threshold(policy: Policy) -> pl.Expr:
    usual = pl.lit(policy.threshold, pl.Float64)
    if policy.engaged_threshold is None:
        return usual
    engaged = pl.lit(policy.engaged_threshold, pl.Float64)
    return pl.when("ever_engaged").then(engaged).otherwise(usual)


def _end_of_pause(policy: Policy) -> pl.Expr:
    if policy.pause_days is not None:
        return pl.col("last_strike") + pl.duration(days=policy.pause_days)
    return pl.col("last_strike") + pl.col("gap") * (policy.pause_mailings + 0.5)


def _is_enough(policy: Policy, count: str, time: str) -> pl.Expr:
    """True where strikes are as many, and as far apart, as removal needs."""
    enough = pl.col(f"{count}_strikes") >= policy.min_mailings
    if policy.min_days:
        span = pl.col(f"last_{time}") - pl.col(f"first_{time}")
        enough &= span >= pl.duration(days=policy.min_days)
    return enough.fill_null(False)


def _verdict(policy: Policy) -> pl.Expr:
    threshold = pl.col("threshold")
    pauses = pl.col("score") >= policy.pause_at if policy.pause_at is not None else pl.lit(False)
    is_surely_enough = _is_enough(policy, "sure", "sure")
    return (
        pl.when((pl.col("sure_score") >= threshold) & is_surely_enough)
        .then(pl.lit("remove"))
        .when((pl.col("score") >= threshold) & pl.col("is_enough"))
        .then(pl.lit("hold"))
        .when(pauses)
        .then(pl.lit("pause"))
        .otherwise(pl.lit("keep"))
        .cast(Verdict)
    )


def _deciding_run(decisions: pl.LazyFrame, policy: Policy) -> pl.LazyFrame:
    """Keep of each recipient's runs of strikes the last of those with the hardest verdict.

    Removed is removed, whatever came later; a pause that is over is nothing to wait for.
    """
    if policy.stale_days is None:
        return decisions
    hardness = pl.coalesce(
        pl.when(pl.col("verdict") == verdict).then(place)
        for place, verdict in enumerate(HARDEST_FIRST)
    )
    return decisions.sort(
        hardness, "last_strike", descending=[False, True], nulls_last=True
    ).unique("recipient", keep="first", maintain_order=True)


def _complaints_first(decisions: pl.LazyFrame, policy: Policy) -> pl.LazyFrame:
    if not policy.removes_complainers:
        return decisions
    complained = pl.col("complaints") > 0
    return decisions.with_columns(
        verdict=pl.when(complained).then(pl.lit("remove", Verdict)).otherwise("verdict"),
        category=pl.when(complained).then(pl.lit("complaint", Category)).otherwise("category"),
    )


def _is_over(as_of: date | str | None) -> pl.Expr:
    """True for a pause that has ended: the address gets the next mailing."""
    if as_of is None:
        return pl.lit(False)
    return (pl.col("verdict") == "pause") & (pl.col("until") <= in_utc(as_of)).fill_null(False)
