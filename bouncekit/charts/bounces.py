"""What bounced, and why: codes, categories, faults."""

import polars as pl

from bouncekit.charts.data import (
    MEANING_LENGTH,
    NO_CODE,
    NUMBER,
    PERIOD,
    TEXT,
    action_of,
    among,
    count_and_share,
    cut,
    finished,
    in_order,
    latest,
    most,
    named_codes,
    ranked,
    spans,
    summed,
    with_action,
)
from bouncekit.charts.parts import (
    Drawing,
    beside,
    categories_down,
    count_axis,
    count_up,
    dots,
    period_axis,
    rows_down,
    titled,
    words_across,
)
from bouncekit.schema import ACTIONS, CATEGORIES, CERTAINTIES, FAULT_OF, FAULTS
from bouncekit.theme import CELL, ROOMY_ROW, SMALLEST_DOT, WIDE_CELL, action_colour, fault_colour
from bouncekit.vega import alt


def codes(frame: pl.DataFrame) -> Drawing:
    """The reply codes with their meaning, most frequent first (at most 20).

    `frame`: reply_code Int16 (null: no code), meaning String, events UInt32, share Float64 of all
    events. With action Enum as well, one row per code and action: the bars then show how
    different the things are that one code asks for.
    """
    needed = {"reply_code": NUMBER, "meaning": TEXT, "events": NUMBER, "share": NUMBER}
    by_action = "action" in frame.columns
    needed |= {"action": TEXT} if by_action else {}
    data = named_codes(finished(frame, "codes", needed, longest=MEANING_LENGTH))
    totals = most(data, "code", 20, pl.col("meaning").first(), pl.col("share").sum())
    nameless = (
        pl.when(pl.col("code") == NO_CODE)
        .then(pl.lit("neither text nor export names one"))
        .otherwise(pl.lit("in no RFC"))
    )
    totals = totals.with_columns(count_and_share(), pl.col("meaning").fill_null(nameless), start=0)
    shown = summed(among(data, totals, "code").drop("meaning", "share"), "events")
    y = alt.Y("code:N", title=None, sort=totals["code"].to_list())
    if by_action:
        bars = alt.Chart(ranked(shown, "action", ACTIONS))
        bars = bars.encode(count_axis("events"), y, action_colour(shown["action"]), order="rank:Q")
    else:
        bars = alt.Chart(shown).encode(count_axis("events"), y)
    names = alt.Chart(totals).encode(alt.X("start:Q"), y, text="meaning:N")
    values = alt.Chart(totals).encode(count_axis("events"), y, text="label:N")
    chart: alt.LayerChart = (
        bars.mark_bar(style="below")
        + names.mark_text(style="name")
        + values.mark_text(style="value")
    )
    return titled(
        chart,
        "Which reply codes came back",
        "Events by reply code, with the code's standard meaning" + cut(totals, data, "code"),
        "Bars: the number of events by SMTP reply code, with the meaning of each code.",
        height=ROOMY_ROW,
        shown=totals,
    )


def codes_by_category(frame: pl.DataFrame) -> Drawing:
    """What the same reply code stands for: categories down, the 10 most frequent codes across.

    `frame`: reply_code Int16 (null: no code), category Enum, events UInt32.
    """
    needed = {"reply_code": NUMBER, "category": TEXT, "events": NUMBER}
    data = named_codes(with_action(finished(frame, "codes_by_category", needed)))
    top = most(data, "code", 10)
    shown = summed(among(data, top, "code"), "events")
    x = alt.X("code:N", title=None, axis=alt.Axis(orient="top", labelAngle=0))
    base = alt.Chart(shown).encode(x, categories_down("category"))
    chart: alt.LayerChart = base.mark_circle().encode(*dots(shown)) + beside(base)
    return titled(
        chart,
        "One code, many reasons",
        "Events by category (down) and reply code (across)" + cut(top, data, "code"),
        "A grid of dots: the number of events by category and SMTP reply code.",
        width=CELL,
        shown=shown,
    )


def categories(frame: pl.DataFrame) -> Drawing:
    """Why mail bounced: the categories, grouped by whose fault it is.

    `frame`: category Enum, events UInt32, share Float64 of all events. The fault follows from the
    category.
    """
    needed = {"category": TEXT, "events": NUMBER, "share": NUMBER}
    counted = summed(finished(frame, "categories", needed), "events", "share")
    data = with_action(counted).with_columns(
        count_and_share(), fault=pl.col("category").replace_strict(FAULT_OF, default="none")
    )
    base = alt.Chart().encode(
        count_axis("events"), alt.Y("category:N", title=None, sort=list(CATEGORIES))
    )
    bars = base.mark_bar().encode(action_colour(data["action"]))
    layers = alt.layer(
        bars, base.mark_text(style="value").encode(text="label:N"), data=data.drop("share")
    )
    chart: alt.FacetChart = layers.facet(
        row=alt.Row("fault:N", sort=list(FAULTS), title=None)
    ).resolve_scale(y="independent")
    return titled(
        chart,
        "Why it bounced, and whose fault that is",
        "Events by category; the colour says what to do about it",
        "Bars: the number of events by category, in groups by whose fault it is.",
        shown=data,
    )


def certainties(frame: pl.DataFrame) -> Drawing:
    """What the verdicts rest on: categories down; text, export and codes across.

    `frame`: category Enum, certainty Enum, events UInt32.
    """
    needed = {"category": TEXT, "certainty": TEXT, "events": NUMBER}
    shown = summed(with_action(finished(frame, "certainties", needed)), "events")
    across = words_across("certainty", pl.Series(CERTAINTIES), CERTAINTIES)
    base = alt.Chart(shown).encode(
        across.scale(domain=list(CERTAINTIES)), categories_down("category")
    )
    chart: alt.LayerChart = base.mark_circle().encode(*dots(shown, SMALLEST_DOT)) + beside(base)
    return titled(
        chart,
        "What the verdicts rest on",
        "Events by category (down) and what decided it (across)" + cut(shown, shown, "category"),
        "A grid of dots: the number of events by category and by the evidence that decided it.",
        shown=shown,
    )


def code_against_text(frame: pl.DataFrame) -> Drawing:
    """What the text says (down) and what the codes alone would have said (across, at most 12).

    `frame`: code_says and text_says Enum (categories), events UInt32, as
    `counts.code_against_text` gives them. Hollow where both ask for the same action.
    """
    needed = {"code_says": TEXT, "text_says": TEXT, "events": NUMBER}
    data = summed(finished(frame, "code_against_text", needed), "events")
    top = most(data, "code_says", 12)
    shown = among(data, top, "code_says").with_columns(
        action=action_of("text_says"), agree=action_of("code_says") == action_of("text_says")
    )
    across = words_across("code_says", shown["code_says"], CATEGORIES)
    base = alt.Chart(shown).encode(
        across.title("what the codes alone would have said"),
        categories_down("text_says", "what the text says"),
    )
    hollow, filled = base.transform_filter("datum.agree"), base.transform_filter("!datum.agree")
    dot = dots(shown, SMALLEST_DOT)
    chart: alt.LayerChart = (
        hollow.mark_point(style="arrived").encode(*dot)
        + filled.mark_circle().encode(*dot)
        + beside(base)
    )
    return titled(
        chart,
        "Where the codes mislead",
        "Events that the text decided; filled: the codes alone ask for something else"
        + cut(top, data, "code_says"),
        "A grid of dots: the number of events by what the text says and what the codes say.",
        width=WIDE_CELL,
        shown=shown,
    )


def faults_over_time(frame: pl.DataFrame) -> Drawing:
    """Whose fault the bounces were, over time.

    `frame`: one of week, day, month (Date) or mailing (String, in the order of sending), fault
    Enum, events UInt32. The latest 104 periods or 40 mailings are shown.
    """
    by = next((name for name in ("week", "day", "month") if name in frame.columns), "mailing")
    needed = {by: PERIOD, "fault": TEXT, "events": NUMBER}
    data = summed(finished(frame, "faults_over_time", needed), "events")
    timed = data.schema[by] != pl.String
    shown = ranked(latest(data, by, 104 if timed else 40), "fault", FAULTS)
    colour = fault_colour(shown["fault"])
    if timed:
        bars = alt.Chart(spans(shown, by)).mark_bar()
        bars = bars.encode(period_axis(shown, by), alt.X2("until"))
        chart: alt.Chart = bars.encode(count_up("top", "events"), alt.Y2("bottom"), colour)
    else:
        bars = alt.Chart(in_order(shown, by)).mark_bar()
        chart = bars.encode(count_axis("events"), rows_down(by), colour, order="rank:Q")
    return titled(
        chart,
        "Whose fault the bounces were",
        f"Events by {by}" + cut(shown, data, by, "the latest"),
        f"Stacked bars: the number of events by {by}, divided by fault.",
        shown=shown,
    )
