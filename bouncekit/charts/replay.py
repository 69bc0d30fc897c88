"""What policies would have done: saved and lost, removals by mailing, days, bounce rates."""

import polars as pl

from bouncekit.charts.data import (
    NUMBER,
    TEXT,
    TIME,
    among,
    cut,
    epoch,
    finished,
    in_order,
    thousands,
)
from bouncekit.charts.parts import (
    FEW_TICKS,
    PANEL_HEIGHT,
    Drawing,
    bars_by_panel,
    panels_down,
    rows_down,
    time_axis,
    titled,
)
from bouncekit.charts.sending import SES_LIMITS, ses_limits
from bouncekit.theme import PALETTE
from bouncekit.vega import alt

MOST_POLICIES = 30
MOST_FACETS = 6  # policies that get a panel of their own
LATEST = 60  # mailings
DAYS = ("0-7", "8-14", "15-30", "31-60", "61-90", "91-180", "over 180")
ENDS = ("bounces avoided", "other sends saved", "addresses lost")


def saved_and_lost(frame: pl.DataFrame) -> Drawing:
    """What each policy saves, and whom it loses (the first 30 policies).

    `frame`: policy String (in the order to show), lost, sends_saved, bounces_avoided UInt32, as
    `backtest` gives them.
    """
    needed = {"policy": TEXT} | dict.fromkeys(("lost", "sends_saved", "bounces_avoided"), NUMBER)
    data = finished(frame, "saved_and_lost", needed)
    first = in_order(data.head(MOST_POLICIES), "policy")
    shown = first.select(
        "policy",
        "order",
        pl.col("bounces_avoided").cast(pl.Int64).alias("bounces avoided"),
        (pl.col("sends_saved").cast(pl.Int64) - pl.col("bounces_avoided").cast(pl.Int64))
        .clip(0)
        .alias("other sends saved"),
        pl.col("lost").cast(pl.Int64).alias("addresses lost"),
    ).unpivot(index=["policy", "order"], variable_name="what", value_name="count")
    shown = shown.with_columns(label=thousands("count"))
    x = alt.X("count:Q", title=None, axis=FEW_TICKS)
    base = alt.Chart().encode(x, rows_down("policy"))
    layers = alt.layer(
        base.mark_bar(),
        base.mark_text(style="value").encode(text="label:N"),
        data=shown,
    ).properties(width=170)
    chart: alt.FacetChart = layers.facet(
        column=alt.Column("what:N", sort=list(ENDS), title=None)
    ).resolve_scale(x="independent")
    return titled(
        chart,
        "What each policy saves, and whom it loses",
        "Replayed on this history; lost: removed, yet took or opened mail later"
        + cut(first, data, "policy", "the first"),
        "Bars: the bounces avoided, other sends saved and addresses lost by each policy.",
        shown=shown,
    )


def removals(frame: pl.DataFrame) -> Drawing:
    """How many addresses each policy takes off after each mailing (6 policies, 60 mailings).

    `frame`: policy String, start Datetime (of the mailing), removals UInt32, as
    `backtest.mailings` gives them.
    """
    data, shown = _panels(frame, "removals", "removals")
    bars = bars_by_panel(
        shown, time_axis("start", "mailing"), "removals", "policy", PALETTE["remove"]
    )
    return titled(
        bars,
        "How many addresses come off after each mailing",
        "Removals by mailing, for each policy" + cut(shown, data, "policy", "the first"),
        "Bars over time, a panel a policy: the number of addresses removed after each mailing.",
        shown=shown,
    )


def rates_compared(frame: pl.DataFrame) -> Drawing:
    """The bounce rate with each policy and without, and the limits of Amazon SES (6 policies).

    `frame`: policy String, start Datetime (of the mailing), sends, bounces UInt32, rate Float64
    (with the policy, 0 to 1), as `backtest.mailings` gives them.
    """
    data, shown = _panels(frame, "rates_compared", "sends", "bounces", "rate")
    shown = shown.with_columns(before=(pl.col("bounces") / pl.col("sends")).round_sig_figs(6))
    names = shown.select("policy", "order").unique(maintain_order=True)
    edge = names.join(SES_LIMITS, how="cross").with_columns(
        start=pl.lit(shown["start"].max(), pl.Int64)
    )
    lines = pl.concat(
        [
            shown.drop("sends", "bounces").with_columns(kind=pl.lit("line")),
            edge.with_columns(kind=pl.lit("limit")),
        ],
        how="diagonal_relaxed",
    )
    x, percent = time_axis("start", "mailing"), alt.Axis(format=".0%", tickCount=4)
    base = alt.Chart().transform_filter("datum.kind == 'line'")
    limits = ses_limits(alt.Chart().transform_filter("datum.kind == 'limit'"))
    before = base.encode(x, alt.Y("before:Q", title=None, axis=percent))
    now = base.encode(x, alt.Y("rate:Q", title=None, axis=percent))
    dots = [before.mark_point(style="arrived"), now.mark_point(style="small")]
    single = dots if shown["start"].n_unique() == 1 else []  # one mailing makes no line
    layers = alt.layer(
        *limits,
        before.mark_line(style="reference"),
        now.mark_line(),
        *single,
        data=lines,
    ).properties(height=PANEL_HEIGHT)
    chart: alt.FacetChart = layers.facet(row=panels_down("policy"))
    return titled(
        chart,
        "How much of each mailing would still bounce",
        "Line: bounces of sends with the policy; dashed: without; rules: limits of Amazon SES"
        + cut(shown, data, "policy", "the first"),
        "Lines over time, a panel a policy: the bounce rate with the policy and without.",
        shown=shown,
    )


def days_to_removal(frame: pl.DataFrame) -> Drawing:
    """How long dead addresses stay on the list under each policy (the first 6 policies).

    `frame`: policy String, days (Enum or String, one of `DAYS`), recipients UInt32, as
    `backtest.days_by_policy` gives them.
    """
    needed = {"policy": TEXT, "days": TEXT, "recipients": NUMBER}
    data = finished(frame, "days_to_removal", needed)
    top = data.select("policy").unique(maintain_order=True).head(MOST_FACETS)
    shown = in_order(among(data, top, "policy"), "policy")
    shown = shown.filter(pl.col("days").is_in(DAYS)).with_columns(label=thousands("recipients"))
    base = alt.Chart().encode(
        alt.X("days:N", title="days", sort=list(DAYS), axis=alt.Axis(labelAngle=0)).scale(
            domain=list(DAYS)
        ),
        alt.Y("recipients:Q", title=None, axis=FEW_TICKS),
    )
    layers = alt.layer(
        base.mark_bar(color=PALETTE["remove"]),
        base.mark_text(style="top").encode(text="label:N"),
        data=shown,
    ).properties(height=PANEL_HEIGHT)
    chart: alt.FacetChart = layers.facet(row=panels_down("policy"))
    return titled(
        chart,
        "How long dead addresses stay on the list",
        "Removed addresses by days from their first failure to their removal"
        + cut(shown, data, "policy", "the first"),
        "Bars, a panel a policy: the number of removed addresses by the days it took.",
        shown=shown,
    )


def _panels(frame: pl.DataFrame, chart: str, *counts: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the checked frame, and of it the first policies and the latest mailings."""
    needed = {"policy": TEXT, "start": TIME} | dict.fromkeys(counts, NUMBER)
    data = finished(frame, chart, needed)
    timed = data.drop_nulls("start")
    top = timed.select("policy").unique(maintain_order=True).head(MOST_FACETS)
    shown = among(timed, top, "policy").sort("start", maintain_order=True)
    latest = shown.select("start").unique().sort("start").tail(LATEST)
    shown = among(shown, latest, "start")
    start = epoch("start")
    ordered = top.with_row_index("order", offset=1)
    return data, shown.join(ordered, on="policy").with_columns(start)
