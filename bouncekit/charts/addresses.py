"""Which addresses keep bouncing: the few that make most of it, runs, timelines, hygiene."""

import polars as pl

from bouncekit.charts.data import (
    NUMBER,
    TEXT,
    TIME,
    among,
    counted,
    cut,
    epoch,
    finished,
    in_order,
    per_cent,
    rank_of_first,
    summed,
    thousands,
    with_action,
)
from bouncekit.charts.parts import (
    Drawing,
    by_order,
    count_axis,
    count_up,
    rows_down,
    time_axis,
    titled,
)
from bouncekit.theme import action_colour
from bouncekit.vega import alt

LONG_STREAK = 20
MOST_CATEGORIES = 4
REVIVAL_WIDTH = 150
STEEP, LOW_NOTE = 0.08, 236  # a share of the addresses; in pixels from the top


def pareto(frame: pl.DataFrame) -> Drawing:
    """How few addresses make the bounces.

    `frame`: recipients, bounces (Float64, running shares from 0 to 1, worst addresses first), as
    `offenders.pareto` gives them. The point where half of the bounces are reached is named.
    """
    data = finished(frame, "pareto", {"recipients": NUMBER, "bounces": NUMBER}).sort("recipients")
    data = pl.concat([data.head(-1).gather_every(1 + data.height // 500), data.tail(1)])
    half = data.filter(pl.col("bounces") >= 0.5).head(1)
    half = half.with_columns(
        label=pl.format(
            "{} of the addresses\nmake {} of the bounces",
            per_cent("recipients"),
            per_cent("bounces"),
        )
    )
    share, whole = alt.Axis(format="%"), alt.Scale(domain=[0, 1])
    x = alt.X("recipients:Q", title="share of addresses, worst first", axis=share, scale=whole)
    y = alt.Y("bounces:Q", title="share of bounces", axis=share, scale=whole)
    alike = alt.Chart(pl.DataFrame({"recipients": [0.0, 1.0], "bounces": [0.0, 1.0]}))
    point = alt.Chart(half).encode(x, y)
    # Beside a steep curve the note has room; under a flat one it would lie on the straight line.
    is_steep = half.filter(pl.col("recipients") <= STEEP).height > 0
    note = point if is_steep else point.encode(y=alt.value(LOW_NOTE))
    foot = point.encode(y2=alt.Y2("bounces") if is_steep else alt.value("height"))
    chart: alt.LayerChart = (
        alike.mark_line(style="reference").encode(x, y)
        + alt.Chart(data).mark_line().encode(x, y)
        + foot.mark_rule(style="drop")
        + point.mark_point(style="named")
        + note.mark_text(style="note").encode(text="label:N")
    )
    return titled(
        chart,
        "How few addresses make the bounces",
        "Running share of all bounces; the straight line: if every address bounced alike",
        "A line: the share of all bounces made by the worst addresses.",
        shown=data,
    )


def streaks(frame: pl.DataFrame) -> Drawing:
    """How many mailings in a row addresses bounced; streaks of 20 and more share a bar.

    `frame`: longest_streak UInt32 (mailings in a row), recipients UInt32.
    """
    needed = {"longest_streak": NUMBER, "recipients": NUMBER}
    data = finished(frame, "streaks", needed).sort("longest_streak")
    last = pl.col("longest_streak") >= LONG_STREAK
    label = (
        pl.when(last).then(pl.lit(f"{LONG_STREAK}+")).otherwise(pl.format("{}", "longest_streak"))
    )
    shown = in_order(summed(data.select("recipients", streak=label), "recipients"), "streak")
    base = alt.Chart(shown).encode(
        alt.X("streak:N", title="mailings in a row", sort=by_order(), axis=alt.Axis(labelAngle=0)),
        count_up("recipients", "addresses"),
    )
    counts = base.mark_text(style="top").encode(text=alt.Text("recipients:Q", format=",d"))
    chart: alt.LayerChart = base.mark_bar() + counts
    return titled(
        chart,
        "How long addresses keep bouncing",
        "Addresses by their longest run of bounced mailings" + cut(shown, shown, "streak"),
        "Bars: the number of addresses by the longest run of mailings that bounced.",
        shown=shown,
    )


def timelines(frame: pl.DataFrame) -> Drawing:
    """What happened to single addresses: at most 25, and their latest 1,000 events.

    `frame`: recipient String, time Datetime, event Enum, category Enum (null for deliveries), in
    the order of the addresses to show. Addresses are masked and numbered.
    """
    needed = {"recipient": TEXT, "time": TIME, "event": TEXT, "category": TEXT}
    data = finished(frame, "timelines", needed)
    # Masked addresses may look alike: they are told apart before, and shown with a number.
    data = data.with_columns(order=rank_of_first(frame["recipient"]))
    first = data.filter(pl.col("order") <= 25)
    shown = with_action(first.sort("time").tail(1_000)).with_columns(
        epoch("time"), address=pl.format("{}  {}", "order", pl.col("recipient").fill_null("?"))
    )
    left_out = f"; the latest {shown.height:,} events" if shown.height < first.height else ""
    arrived = pl.col("event").is_in(["delivery", "engagement"])
    bounced, reached = shown.filter(~arrived), shown.filter(arrived)
    y = alt.Y("address:N", title=None, sort=alt.EncodingSortField("order", op="min"))
    y = y.axis(grid=True)
    dots = alt.Chart(bounced.drop("recipient", "event")).mark_point(style="bounced")
    rings = alt.Chart(reached.select("time", "address", "order")).mark_point(style="arrived")
    chart: alt.LayerChart = rings.encode(time_axis("time"), y) + dots.encode(
        time_axis("time"), y, action_colour(bounced["action"])
    )
    return titled(
        chart,
        "What happened to single addresses",
        "Filled: a bounce, by what it asks for; hollow: a delivery, an open or a click"
        + cut(first, data, "order", "the first")
        + left_out,
        "Rows of dots over time, one row an address: bounces filled, deliveries hollow.",
        shown=shown,
    )


def hygiene(frame: pl.DataFrame) -> Drawing:
    """How often addresses were mailed again after their first permanent failure.

    `frame`: sends_after_first_failure (number, or String or Enum label, in the order to show),
    recipients UInt32, sends UInt32 (all those sends together). At most 30 rows are shown.
    """
    by = "sends_after_first_failure"
    dtype = NUMBER if by in frame.columns and frame.schema[by].is_numeric() else TEXT
    data = finished(frame, "hygiene", {by: dtype, "recipients": NUMBER, "sends": NUMBER})
    shown = in_order(data.head(30).with_columns(pl.col(by).cast(pl.String)), by).with_columns(
        label=pl.concat_str(
            counted("recipients", "address", "addresses"),
            counted("sends", "send", "sends"),
            separator=", ",
        ),
        action=pl.lit("remove"),
    )
    base = alt.Chart(shown).encode(
        count_axis("recipients", "addresses"), rows_down(by, "sends after the first failure")
    )
    bars = base.mark_bar().encode(action_colour(shown["action"]))
    chart: alt.LayerChart = bars + base.mark_text(style="value").encode(text="label:N")
    return titled(
        chart,
        "Mail sent to addresses known to be dead",
        "Addresses by the number of sends after their first permanent failure"
        + cut(shown, data, by, "the first"),
        "Bars: the number of addresses by how often they were mailed after the first failure.",
        shown=shown,
    )


def revivals(frame: pl.DataFrame) -> Drawing:
    """How many addresses took mail again, by weeks since they first failed (4 categories).

    `frame`: category Enum, weeks, failed (addresses of the category), share Float64 (back until
    then, 0 to 1), as `revivals.revivals` gives them.
    """
    needed = {"category": TEXT, "weeks": NUMBER, "failed": NUMBER, "share": NUMBER}
    data = with_action(finished(frame, "revivals", needed)).sort("weeks")
    top = data.group_by("category", "action").agg(pl.col("failed").max())
    top = top.sort("failed", "category", descending=[True, False]).head(MOST_CATEGORIES)
    shown = pl.concat(
        [top.with_columns(weeks=0, share=0.0), among(data, top, "category")],
        how="diagonal_relaxed",
    )
    shown = in_order(shown.select("category", "action", "weeks", "share"), "category")
    ends = shown.filter(pl.col("weeks") == pl.col("weeks").max().over("category"))
    ends = ends.unique("category", keep="last", maintain_order=True).join(
        top.select("category", "failed"), on="category", maintain_order="left"
    )
    ends = ends.select(
        "category", label=pl.format("{} of {}", per_cent("share"), thousands("failed"))
    )
    # A step has a width: the last one, too.
    after = shown.group_by("category", maintain_order=True).last().with_columns(pl.col("weeks") + 1)
    shown = pl.concat([shown, after.select(shown.columns)])
    back = shown["share"].max()
    few = alt.Axis(tickCount=4, tickMinStep=1, labelOverlap=True)
    x = alt.X("weeks:Q", title="weeks since it failed", axis=few, scale=alt.Scale(nice=False))
    percent = alt.Axis(format="%", tickCount=4)
    room = alt.Scale(domain=[0, 1.2 * (back if isinstance(back, float) and back else 1)])
    areas = alt.Chart().mark_area(interpolate="step-after")
    names = alt.Chart().mark_text(style="corner").transform_filter("datum.weeks == 0")
    layers = alt.layer(
        areas.encode(
            x,
            alt.Y("share:Q", title="back until then", axis=percent, scale=room),
            action_colour(shown["action"]),
        ),
        names.encode(text="label:N", x=alt.value(0), y=alt.value(0)),
        data=shown.join(ends, on="category", how="left", maintain_order="left"),
    ).properties(width=REVIVAL_WIDTH, height=150)
    chart: alt.FacetChart = layers.facet(
        column=alt.Column("category:N", sort=by_order(), title=None)
    )
    return titled(
        chart,
        "Who comes back",
        "Share of the addresses that took or opened mail again, by their first failure"
        + cut(top, data, "category"),
        "Rising lines, a panel a category: the share of failed addresses that took mail again.",
        shown=data,
    )
