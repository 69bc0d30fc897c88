"""Draw every chart from the sample data, and the gallery of them: python docs/make_charts.py."""

import inspect
from pathlib import Path

import altair as alt
import polars as pl

import bouncekit as bk
from bouncekit import charts
from bouncekit.alerts import blocklistings, problems
from bouncekit.backtest import days_by_policy, history_of, mailings, removals
from bouncekit.counts import code_against_text
from bouncekit.domains import faults_by_provider
from bouncekit.history import rates
from bouncekit.incidents import hours
from bouncekit.offenders import hygiene, pareto, timelines
from bouncekit.policy import tally
from bouncekit.revivals import revivals
from bouncekit.theme import picture

HERE = Path(__file__).parent
POLICIES = ["article", "careful", "two_strikes"]
ABOUT = """\
# The charts

Each takes a counted frame and gives an Altair chart in the look of `bk.use_theme()`, to be shown in
a notebook or written with `chart.save("chart.svg")`. These are drawn from the sample newsletter by
`make charts`, which writes each as PNG and SVG.
"""


def every_chart() -> dict[str, alt.TopLevelMixin]:
    """Give each chart by its name, from the sample data."""
    bounces = bk.classify(bk.read(HERE.parent / "data" / "newsletter.csv.zst"))
    offenders = bk.offenders(bounces, at_least=1)
    long = offenders.filter(pl.col("longest_streak").is_between(3, 20))
    chosen = long.gather_every(1 + long.height // 12)["recipient"]
    dead = offenders.filter(pl.col("sends_after_first_failure") > 0)
    decisions = bk.decide(bounces)
    meanings = bk.reply_codes().select(
        reply_code="code", meaning=pl.col("meaning").str.extract("^([^:(;]+)")
    )
    by_code = bk.distribution(bounces, by=["reply_code", "action"])
    history = history_of(bounces)
    removed = removals(bounces, POLICIES, history=history)
    each = mailings(history, removed, POLICIES)
    return {
        "codes": charts.codes(by_code.join(meanings, on="reply_code", how="left")),
        "codes_by_category": charts.codes_by_category(
            bk.distribution(bounces, by=["reply_code", "category"])
        ),
        "categories": charts.categories(bk.distribution(bounces, by=["category", "fault"])),
        "certainties": charts.certainties(bk.distribution(bounces, by=["category", "certainty"])),
        "code_against_text": charts.code_against_text(code_against_text(bounces)),
        "faults_over_time": charts.faults_over_time(bk.distribution(bounces, by=["week", "fault"])),
        "providers": charts.providers(faults_by_provider(bounces)),
        "incidents": charts.incidents(hours(bounces)),
        "blocklists": charts.blocklists(blocklistings(bounces)),
        "alerts": charts.alerts(problems(bk.alerts(bounces))),
        "bounce_rate": charts.bounce_rate(rates(bounces)),
        "pareto": charts.pareto(pareto(offenders)),
        "streaks": charts.streaks(
            offenders.group_by("longest_streak").agg(recipients=pl.len()).sort("longest_streak")
        ),
        "timelines": charts.timelines(timelines(bounces, chosen)),
        "hygiene": charts.hygiene(hygiene(dead)),
        "revivals": charts.revivals(revivals(bounces)),
        "funnel": charts.funnel(
            decisions.group_by("verdict", "category")
            .agg(recipients=pl.len())
            .sort("verdict", "category")
        ),
        "policies": charts.policies(tally(bounces, POLICIES)),
        "saved_and_lost": charts.saved_and_lost(bk.backtest(bounces, POLICIES)),
        "removals": charts.removals(each),
        "rates_compared": charts.rates_compared(each),
        "days_to_removal": charts.days_to_removal(days_by_policy(removed)),
    }


def gallery(names: list[str]) -> str:
    """Give the page that shows each chart with what its function says of it."""
    parts = [ABOUT]
    for name in names:
        said = inspect.getdoc(getattr(charts, name)) or ""
        parts.append(f"## {name}\n\n{said}\n\n![{said.splitlines()[0]}](charts/{name}.png)\n")
    return "\n".join(parts)


def draw(folder: Path) -> None:
    """Write each chart into a folder as PNG and SVG, and the gallery beside it."""
    bk.use_theme()
    drawn = every_chart()
    folder.mkdir(exist_ok=True)
    for name, chart in drawn.items():
        (folder / f"{name}.png").write_bytes(picture(chart.to_dict())[0]["image/png"])
        chart.save(folder / f"{name}.svg")
    folder.with_suffix(".md").write_text(gallery(list(drawn)), encoding="utf-8")


if __name__ == "__main__":
    draw(HERE / "charts")
