"""One function per chart: a finished frame in, an Altair chart out; how it looks is the theme's."""

from bouncekit.charts.addresses import hygiene, pareto, revivals, streaks, timelines
from bouncekit.charts.bounces import (
    categories,
    certainties,
    code_against_text,
    codes,
    codes_by_category,
    faults_over_time,
)
from bouncekit.charts.data import MOST_ROWS
from bouncekit.charts.decisions import funnel, policies
from bouncekit.charts.providers import blocklists, incidents, providers
from bouncekit.charts.replay import days_to_removal, rates_compared, removals, saved_and_lost
from bouncekit.charts.sending import alerts, bounce_rate

__all__ = [
    "MOST_ROWS",
    "alerts",
    "blocklists",
    "bounce_rate",
    "categories",
    "certainties",
    "code_against_text",
    "codes",
    "codes_by_category",
    "days_to_removal",
    "faults_over_time",
    "funnel",
    "hygiene",
    "incidents",
    "pareto",
    "policies",
    "providers",
    "rates_compared",
    "removals",
    "revivals",
    "saved_and_lost",
    "streaks",
    "timelines",
]
