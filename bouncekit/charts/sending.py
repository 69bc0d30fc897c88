"""How the sending fares: bounce rates, alerts."""

from typing import Final

import altair as alt
import polars as pl

from bouncekit.charts.data import (
    MEANING_LENGTH,
    NUMBER,
    PERIOD,
    TEXT,
    TIME,
    cut,
    epoch,
    finished,
    in_order,
    latest,
    shortened,
    thousands,
    with_action,
)
from bouncekit.charts.parts import by_order, time_axis, titled
from bouncekit.theme import ROOMY_ROW, action_colour

# Amazon SES puts an account under review at 5 % bounces and may pause it at 10 %
# (Amazon SES, questions and answers on its sending review process).
SES_LIMITS: Final = {"SES review": 0.05, "SES pause": 0.10}


def bounce_rate(frame: pl.DataFrame) -> alt.LayerChart:
    """The bounce rate of each mailing, beside the limits of Amazon SES (the latest 40).

    `frame`: mailing (String in the order of sending, or Date or Datetime), sends UInt32, bounces
    UInt32, rate Float64 (bounces of sends, 0 to 1).
    """
    needed = {"mailing": PERIOD, "sends": NUMBER, "bounces": NUMBER, "rate": NUMBER}
    data = finished(frame, "bounce_rate", needed)
    timed = data.schema["mailing"] != pl.String
    shown = in_order(latest(data, "mailing", 40), "mailing")
    if timed:
        shown = shown.with_columns(epoch("mailing"))
    x = (
        time_axis("mailing", "mailing")
        if timed
        else alt.X("mailing:N", title="mailing", sort=by_order())
    )
    y = alt.Y("rate:Q", title="bounces of sends", axis=alt.Axis(format=".0%"))
    limits = pl.DataFrame({"limit": SES_LIMITS.values(), "label": SES_LIMITS.keys()})
    limit = alt.Chart(limits).encode(alt.Y("limit:Q"))
    line = alt.Chart(shown).encode(x, y)
    chart: alt.LayerChart = (
        limit.mark_rule(style="limit_line")
        + limit.mark_text(style="limit").encode(text="label:N", x=alt.value("width"))
        + line.mark_line()
        + line.mark_point(style="named")
    )
    return titled(
        chart,
        "How much of each mailing bounced",
        "Bounces as a share of sends, and the limits of Amazon SES"
        + cut(shown, data, "mailing", "the latest"),
        "A line: the share of each mailing that bounced, with the limits of 5 and 10 per cent.",
    )


def alerts(frame: pl.DataFrame) -> alt.LayerChart:
    """What is wrong with the sending itself, and since when (at most 30 alerts).

    `frame`: category Enum, provider String, blocklist String (null: none named), first_seen and
    last_seen Datetime, recipients UInt32; one row each, in the order to show.
    """
    needed = {"category": TEXT, "provider": TEXT, "blocklist": TEXT, "recipients": NUMBER}
    data = finished(frame, "alerts", needed | {"first_seen": TIME, "last_seen": TIME})
    name = pl.concat_str("category", "blocklist", "provider", separator=" · ", ignore_nulls=True)
    first = data.head(30).with_row_index("order", offset=1)
    shown = with_action(first).with_columns(epoch("first_seen"), epoch("last_seen"))
    range_shown = pl.col("last_seen").max() - pl.col("first_seen").min()
    shown = shown.select(
        "order",
        "first_seen",
        "recipients",
        "action",
        # What was seen once is a dot, not nothing.
        until=pl.max_horizontal("last_seen", pl.col("first_seen") + range_shown // 80),
        alert=shortened(name, MEANING_LENGTH),
        label=pl.format("{} addresses", thousands("recipients")),
    )
    seen = "from the first to the last refusal (UTC)"
    row = alt.Y("order:O", title=None)
    base = alt.Chart(shown).encode(row)
    bars = base.encode(time_axis("first_seen", seen), alt.X2("until"))
    chart: alt.LayerChart = (
        bars.mark_bar(style="span").encode(action_colour(shown["action"]))
        + base.mark_text(style="name").encode(text="alert:N", x=alt.value(0))
        + base.mark_text(style="value").encode(time_axis("until", seen), text="label:N")
    )
    return titled(
        chart,
        "What is wrong with your sending, and since when",
        "Each problem and the addresses that it kept from their mail"
        + cut(first, data.with_row_index("order"), "order", "the first"),
        "Bars over time: the first and last refusal of each sender-side problem.",
        height=ROOMY_ROW,
    )
