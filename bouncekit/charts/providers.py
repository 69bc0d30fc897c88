"""Provider by provider: faults over time, outages, blocklists."""

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
    latest,
    most,
    ranked,
    summed,
)
from bouncekit.charts.parts import (
    FEW_TICKS,
    Drawing,
    bars_by_panel,
    by_order,
    period_axis,
    rows_down,
    titled,
)
from bouncekit.schema import FAULTS
from bouncekit.theme import PALETTE, fault_colour, unknown_user_shade
from bouncekit.vega import alt

MOST_PROVIDERS = 9  # three rows of panels
MOST_BLOCKLISTS = 6
PANEL = {"width": 150, "height": 80}
PANEL_NAME = 28  # characters over a panel, before they reach the next
SPACING = alt.RowColnumber(column=58, row=42)  # room for the axis, which does not move a panel
FEW_MONTHS = alt.Axis(title=None, tickCount=4, format="%Y-%m", labelOverlap=True)


def providers(frame: pl.DataFrame) -> Drawing:
    """Whose fault the bounces were at each provider, over time (9 providers, 104 weeks).

    `frame`: week Date, provider String, fault Enum, events UInt32.
    """
    needed = {"week": TIME, "provider": TEXT, "fault": TEXT, "events": NUMBER}
    known = finished(frame, "providers", needed, longest=PANEL_NAME).drop_nulls("provider")
    data = summed(known, "events")
    top = most(data, "provider", MOST_PROVIDERS)
    shown = ranked(latest(among(data, top, "provider"), "week", 104), "fault", FAULTS)
    shown = top.select("provider").join(shown, on="provider", maintain_order="left_right")
    weeks = in_order(shown, "provider").with_columns(epoch("week"))
    bars = alt.Chart().mark_bar(width=4)
    bars = bars.encode(
        alt.X("week:T", axis=FEW_MONTHS, scale=alt.Scale(type="utc", padding=8)),
        alt.Y("events:Q", title=None, axis=FEW_TICKS),
        fault_colour(shown["fault"]),
        order="rank:Q",
    )
    # A heading of a facet stands above what juts out of its panel, higher here than there.
    name = alt.Chart().mark_text(style="panel").transform_aggregate(groupby=["provider"])
    name = name.encode(text="provider:N", x=alt.value(0), y=alt.value(0))
    panel = alt.Facet("provider:N", sort=by_order(), header=alt.Header(labelExpr="''"), title=None)
    chart: alt.FacetChart = (
        alt.layer(bars, name, data=weeks)
        .properties(**PANEL)
        .facet(facet=panel, columns=3)
        .properties(spacing=SPACING, bounds="flush", align="all")
        .resolve_scale(y="independent")
    )
    return titled(
        chart,
        "Whose fault the bounces were, provider by provider",
        "Events by week, each panel with a scale of its own" + cut(top, data, "provider"),
        "Stacked bars, a panel a provider: the number of events by week, divided by fault.",
        shown=shown,
    )


def incidents(frame: pl.DataFrame) -> Drawing:
    """Hours in which a provider said "unknown user" more often than it does.

    `frame`: time Datetime (the hour), provider String (in the order to show), share Float64 (of
    addresses called unknown, among those tried in the hour, 0 to 1), events UInt32 (those tried).
    Only the hours of the frame are shown, side by side: at most 20 providers, and the latest 48.
    """
    needed = {"time": TIME, "provider": TEXT, "share": NUMBER, "events": NUMBER}
    data = finished(frame, "incidents", needed)
    top = data.select("provider").unique(maintain_order=True).head(20)
    shown = latest(in_order(among(data, top, "provider"), "provider"), "time", 48)
    hours = alt.X(
        "utcyearmonthdatehours(time):O", title="hour (UTC)", axis=alt.Axis(format="%b %d %H:00")
    )
    chart: alt.Chart = (
        alt.Chart(shown.with_columns(epoch("time")))
        .mark_rect()
        .encode(hours, rows_down("provider"), unknown_user_shade())
    )
    return titled(
        chart,
        "When a provider suddenly knew nobody",
        "Share of the addresses tried in an hour that were called unknown"
        + cut(shown, data, "provider", "the first"),
        "A strip for each provider: the share of unknown users in each hour.",
        shown=shown,
    )


def blocklists(frame: pl.DataFrame) -> Drawing:
    """Whom each blocklist kept from their mail, day by day (6 blocklists, the latest 366 days).

    `frame`: blocklist String (in the order to show), day Date, recipients UInt32.
    """
    needed = {"blocklist": TEXT, "day": TIME, "recipients": NUMBER}
    data = finished(frame, "blocklists", needed)
    top = data.select("blocklist").unique(maintain_order=True).head(MOST_BLOCKLISTS)
    shown = latest(in_order(among(data, top, "blocklist"), "blocklist"), "day", 366)
    days = shown.with_columns(epoch("day"))
    day = period_axis(shown, "day").title("day (UTC)")
    return titled(
        bars_by_panel(days, day, "recipients", "blocklist", PALETTE["fix_sender"]),
        "Which blocklists kept mail from its readers",
        "Addresses refused by day, for each blocklist" + cut(shown, data, "blocklist", "the first"),
        "Bars over time, a panel a blocklist: the number of addresses refused on each day.",
        shown=shown,
    )
