"""How the sending fares: bounce rates, alerts."""

from typing import Final

import polars as pl

from bouncekit.charts.data import (
    MEANING_LENGTH,
    NUMBER,
    PERIOD,
    TEXT,
    TIME,
    counted,
    cut,
    epoch,
    finished,
    in_order,
    labelled,
    latest,
    with_action,
)
from bouncekit.charts.parts import Drawing, by_order, time_axis, titled
from bouncekit.theme import ROOMY_ROW, TICKS, action_colour
from bouncekit.vega import alt

# Amazon SES puts an account under review at 5 % bounces and may pause it at 10 %
# (Amazon SES, questions and answers on its sending review process).
SES_LIMITS: Final = pl.DataFrame({"limit": [0.05, 0.10], "label": ["SES review", "SES pause"]})
MAILING_LENGTH = 24  # characters of a name that stands on end


def bounce_rate(frame: pl.DataFrame) -> Drawing:
    """The bounce rate of each mailing, beside the limits of Amazon SES (the latest 40).

    `frame`: mailing (String in the order of sending, or Date or Datetime), sends UInt32, bounces
    UInt32, rate Float64 (bounces of sends, 0 to 1).
    """
    needed = {"mailing": PERIOD, "sends": NUMBER, "bounces": NUMBER, "rate": NUMBER}
    data = finished(frame, "bounce_rate", needed, longest=MAILING_LENGTH)
    timed = data.schema["mailing"] != pl.String
    shown = in_order(latest(data, "mailing", 40), "mailing")
    if timed:
        shown = shown.with_columns(epoch("mailing"))
    x = (
        time_axis("mailing", "mailing")
        if timed
        else alt.X("mailing:N", title=None, sort=by_order(), axis=alt.Axis(labelAngle=-45))
    )
    y = alt.Y("rate:Q", title="bounces of sends", axis=alt.Axis(format=".0%"))
    line = alt.Chart(shown).encode(x, y)
    limits = ses_limits(alt.Chart(SES_LIMITS))
    chart = alt.layer(*limits, line.mark_line(), line.mark_point(style="named"))
    return titled(
        chart,
        "How much of each mailing bounced",
        "Bounces as a share of sends, and the limits of Amazon SES"
        + cut(shown, data, "mailing", "the latest"),
        "A line: the share of each mailing that bounced, with the limits of 5 and 10 per cent.",
        shown=shown,
    )


def ses_limits(limits: alt.Chart) -> list[alt.Chart]:
    """The two limits as lines with their names at the right, of a chart with limit and label."""
    limit = limits.encode(alt.Y("limit:Q"))
    names = limit.encode(text="label:N", x=alt.value("width"))
    pause = names.mark_text(style="above").transform_filter("datum.label == 'SES pause'")
    review = names.mark_text(style="under").transform_filter("datum.label == 'SES review'")
    return [limit.mark_rule(style="limit_line"), pause, review]


def alerts(frame: pl.DataFrame) -> Drawing:
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
        # What was seen once is short, not nothing.
        until=pl.max_horizontal("last_seen", pl.col("first_seen") + range_shown // 80),
        alert=name,
        label=counted("recipients", "address", "addresses"),
    )
    shown = shown.with_columns(labelled(shown["alert"], MEANING_LENGTH))
    since = time_axis("first_seen", "from the first to the last refusal (UTC)")
    moments = shown["first_seen"].append(shown["until"]).unique().to_list()
    is_instant = len(moments) == 1  # which is no span: all are dots, over their day
    if is_instant:
        since = since.axis(format=TICKS["day"], values=moments)
    base = alt.Chart(shown).encode(alt.Y("order:O", title=None))
    seen = base.encode(since, action_colour(shown["action"]))
    spans = seen.encode(alt.X2("until")).mark_bar(style="span")
    marks = seen.mark_point(style="bounced") if is_instant else spans
    counts = base.mark_text(style="beside" if is_instant else "value")
    chart: alt.LayerChart = (
        marks
        + base.mark_text(style="name").encode(text="alert:N", x=alt.value(0))
        + counts.encode(alt.X("until:T"), text="label:N")
    )
    return titled(
        chart,
        "What is wrong with your sending, and since when",
        "Each problem and the addresses that it kept from their mail"
        + cut(first, data.with_row_index("order"), "order", "the first"),
        "Bars over time: the first and last refusal of each sender-side problem.",
        height=ROOMY_ROW,
        shown=shown,
    )
