"""What several charts are made of: axes, dots, titles."""

import polars as pl

from bouncekit.charts.data import epoch
from bouncekit.schema import CATEGORIES
from bouncekit.theme import HEADING_LINE, HEADING_SPACE, TICKS, action_colour
from bouncekit.vega import alt

Drawing = alt.Chart | alt.LayerChart | alt.FacetChart

PANEL_HEIGHT = 90
NOTHING = "Nothing to show"
FEW_STARTS = 8  # periods that each get a tick of their own


def whole_numbers(ticks: int | None = None) -> alt.Axis:
    """An axis of counts: Vega breaks a small one into fractions, and they are hidden."""
    is_whole = "datum.value % 1 == 0"
    return alt.Axis(
        format=",d",
        tickMinStep=1,
        tickCount=ticks or alt.Undefined,
        labelExpr=f"{is_whole} ? datum.label : ''",
        gridOpacity=alt.condition(is_whole, alt.value(1), alt.value(0)),
    )


FEW_TICKS = whole_numbers(3)


def count_axis(column: str, title: str | None = None) -> alt.X:
    """The axis of a count, across."""
    return alt.X(f"{column}:Q", title=title or column, axis=whole_numbers())


def count_up(column: str, title: str | None = None) -> alt.Y:
    """The axis of a count, upwards."""
    return alt.Y(f"{column}:Q", title=title or column, axis=whole_numbers())


def time_axis(column: str, title: str = "time (UTC)") -> alt.X:
    """The axis of a time, across, in UTC."""
    axis = alt.Axis(format=TICKS, labelOverlap=True)
    return alt.X(f"{column}:T", title=title, axis=axis, scale=alt.Scale(type="utc", padding=8))


def period_axis(shown: pl.DataFrame, by: str) -> alt.X:
    """The axis of days, weeks or months: a few get a tick each, so that a day has no hours."""
    starts = shown.select(epoch(by).unique().sort()).to_series().to_list()
    time = time_axis(by, by)
    if len(starts) > FEW_STARTS:
        return time
    unit = "month" if by == "month" else "day"
    return time.axis(format=TICKS[unit], labelOverlap=True, labelSeparation=8, values=starts)


def categories_down(column: str, title: str | None = None) -> alt.Y:
    """A row for each category, in the order of the schema, with a line to follow across."""
    return alt.Y(f"{column}:N", title=title, sort=list(CATEGORIES), axis=alt.Axis(grid=True))


def words_across(column: str, names: pl.Series, order: tuple[str, ...]) -> alt.X:
    """A column for each name, above the grid, with each word of the name on a line of its own."""
    most_breaks = names.str.count_matches("_").max()
    space = HEADING_SPACE + HEADING_LINE * (most_breaks if isinstance(most_breaks, int) else 0)
    axis = alt.Axis(
        orient="top", labelAngle=0, labelExpr="split(datum.label, '_')", labelPadding=space
    )
    return alt.X(f"{column}:N", title=None, sort=list(order), axis=axis)


def dots(shown: pl.DataFrame, smallest: int = 0) -> tuple[alt.Color, alt.Size]:
    """A dot in a grid: its colour says what to do, its size how often."""
    size = alt.Size("events:Q", legend=None)
    return action_colour(shown["action"]), size.scale(rangeMin=smallest) if smallest else size


def beside(base: alt.Chart) -> alt.Chart:
    """The number beside each dot of a grid."""
    counts: alt.Chart = base.mark_text(style="beside").encode(
        text=alt.Text("events:Q", format=",d")
    )
    return counts


def by_order() -> alt.EncodingSortField:
    """The order of names by their column `order`."""
    return alt.EncodingSortField("order", op="min")


def rows_down(column: str, title: str | None = None) -> alt.Y:
    """A row for each name, in the order of the frame."""
    return alt.Y(f"{column}:N", title=title, sort=by_order())


def panels_down(column: str) -> alt.Row:
    """A panel for each name, one below the other, in the order of the frame."""
    return alt.Row(f"{column}:N", sort=by_order(), title=None)


def bars_by_panel(
    shown: pl.DataFrame, time: alt.X, count: str, panel: str, colour: str
) -> alt.FacetChart:
    """Bars of a count over time, a panel for each name."""
    bars = alt.Chart(shown).mark_bar(width=6, color=colour)
    panels: alt.FacetChart = (
        bars.encode(time, alt.Y(f"{count}:Q", title=None, axis=FEW_TICKS))
        .properties(height=PANEL_HEIGHT)
        .facet(row=panels_down(panel))
    )
    return panels


def titled(
    chart: Drawing,
    title: str,
    subtitle: str,
    description: str,
    *,
    shown: pl.DataFrame,
    **size: alt.Step,
) -> Drawing:
    """The chart with its title and, for those who cannot see it, its description.

    Where nothing is shown a sentence stands in its place: axes of nothing look like a measurement.
    """
    heading = alt.Title(title, subtitle=subtitle)
    if shown.is_empty():
        return nothing().properties(title=heading, description=f"{description} {NOTHING}.")
    return chart.properties(title=heading, description=description, **size)


def nothing() -> alt.Chart:
    """What stands in the place of every chart that has nothing to show."""
    said = alt.Chart(pl.DataFrame({"said": [NOTHING]})).mark_text(style="nothing")
    chart: alt.Chart = said.encode(text="said:N", x=alt.value(0), y=alt.value(0))
    return chart.properties(height=40)
