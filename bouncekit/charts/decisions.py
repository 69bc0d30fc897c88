"""What to do with the addresses."""

import polars as pl

from bouncekit.charts.data import (
    NUMBER,
    TEXT,
    among,
    cut,
    finished,
    in_order,
    ranked,
    summed,
    thousands,
    with_action,
)
from bouncekit.charts.parts import Drawing, count_axis, rows_down, titled
from bouncekit.schema import ACTIONS, VERDICTS
from bouncekit.theme import ACTION_OF_VERDICT, action_colour, verdict_colour
from bouncekit.vega import alt

ACTED_ON = VERDICTS[:-1]  # what is kept is no bar: a list of a million would hide the rest


def funnel(frame: pl.DataFrame) -> Drawing:
    """How many addresses to remove, pause or hold; how many stay is told beside.

    `frame`: verdict Enum, recipients UInt32. With category Enum as well, one row per verdict and
    category: the bars then show the reasons.
    """
    needed = {"verdict": TEXT, "recipients": NUMBER}
    by_category = "category" in frame.columns
    data = finished(frame, "funnel", needed | ({"category": TEXT} if by_category else {}))
    data = summed(data, "recipients").sort(pl.exclude("recipients"))
    kept = data.filter(pl.col("verdict") == "keep")["recipients"].sum()
    acted = data.filter(pl.col("verdict").is_in(ACTED_ON))
    if by_category:
        acted = summed(with_action(acted).drop("category"), "recipients")
    else:
        acted = acted.with_columns(action=pl.col("verdict").replace_strict(ACTION_OF_VERDICT))
    acted = ranked(acted, "action", ACTIONS)
    totals = acted.group_by("verdict", maintain_order=True).agg(pl.col("recipients").sum())
    totals = totals.with_columns(label=thousands("recipients"))
    x, y = (
        count_axis("recipients", "addresses"),
        alt.Y("verdict:N", title=None, sort=list(VERDICTS)),
    )
    bars = alt.Chart(acted).encode(x, y, action_colour(acted["action"]), order="rank:Q")
    chart: alt.LayerChart = bars.mark_bar() + alt.Chart(totals).encode(
        x, y, text="label:N"
    ).mark_text(style="value")
    return titled(
        chart,
        "What to do with the addresses",
        f"Addresses by verdict; {kept:,} more stay on the list",
        "Bars: the number of addresses to remove, to pause and to hold, by reason.",
        shown=acted,
    )


def policies(frame: pl.DataFrame) -> Drawing:
    """How many addresses each policy would take off the list (at most 30 policies).

    `frame`: policy String (in the order to show), verdict Enum, recipients UInt32. What a policy
    keeps is left out.
    """
    needed = {"policy": TEXT, "verdict": TEXT, "recipients": NUMBER}
    data = summed(finished(frame, "policies", needed), "recipients")
    top = data.select("policy").unique(maintain_order=True).head(30)
    shown = in_order(among(data, top, "policy"), "policy").with_columns(
        # A policy that acts on nobody keeps its empty row.
        recipients=pl.when(pl.col("verdict").is_in(ACTED_ON)).then("recipients").otherwise(0),
    )
    removed = summed(
        shown.with_columns(
            removed=pl.when(pl.col("verdict") == "remove").then("recipients").otherwise(0)
        ).drop("verdict"),
        "recipients",
        "removed",
    ).with_columns(label=pl.format("{} removed", thousands("removed")))
    x, y = count_axis("recipients", "addresses"), rows_down("policy")
    bars = alt.Chart(ranked(shown, "verdict", VERDICTS)).mark_bar()
    colour = verdict_colour(shown.filter(pl.col("recipients") > 0)["verdict"])
    labels = alt.Chart(removed).mark_text(style="value").encode(x, y, text="label:N")
    chart: alt.LayerChart = bars.encode(x, y, colour, order="rank:Q") + labels
    return titled(
        chart,
        "What each policy would do to this list",
        "Addresses to remove, to pause and to hold" + cut(shown, data, "policy", "the first"),
        "Stacked bars: the number of addresses that each policy removes, pauses and holds.",
        shown=shown,
    )
