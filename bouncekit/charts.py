"""One function per chart: a finished frame in, an Altair chart out; how it looks is the theme's."""

from itertools import pairwise
from typing import Final, TypeVar

import altair as alt
import polars as pl
import polars.selectors as cs

from bouncekit.errors import BouncekitError
from bouncekit.mask import mask
from bouncekit.schema import (
    ACTION_OF,
    ACTIONS,
    CATEGORIES,
    CERTAINTIES,
    FAULT_OF,
    FAULTS,
    VERDICTS,
)
from bouncekit.theme import (
    ACTION_OF_VERDICT,
    CELL,
    HEADING_LINE,
    HEADING_SPACE,
    ROOMY_ROW,
    SMALLEST_DOT,
    WIDE_CELL,
    action_colour,
    fault_colour,
    unknown_user_shade,
    verdict_colour,
)

LONG_STREAK = 20
MOST_ROWS = 5_000  # a frame with more rows than this has not been counted yet
NO_CODE = "no code"
NAME_LENGTH = 40  # characters of a name that a chart keeps
MEANING_LENGTH = 80  # and of what a reply code means

# Amazon SES puts an account under review at 5 % bounces and may pause it at 10 %
# (Amazon SES, questions and answers on its sending review process).
SES_LIMITS: Final = {"SES review": 0.05, "SES pause": 0.10}

WEEK = 7 * 86_400_000  # in milliseconds

NUMBER, TEXT, TIME, PERIOD = "a number", "text", "a date or time", "a date, a time or text"
_TEXTS = cs.enum() | cs.categorical() | cs.by_dtype(pl.Null)
ACTED_ON = VERDICTS[:-1]  # what is kept is no bar: a list of a million would hide the rest

Chart = TypeVar("Chart", alt.Chart, alt.LayerChart, alt.FacetChart)


def codes(frame: pl.DataFrame) -> alt.LayerChart:
    """The reply codes with their meaning, most frequent first (at most 20).

    `frame`: reply_code Int16 (null: no code), meaning String, events UInt32, share Float64 of all
    events. With action Enum as well, one row per code and action: the bars then show how
    different the things are that one code asks for.
    """
    needed = {"reply_code": NUMBER, "meaning": TEXT, "events": NUMBER, "share": NUMBER}
    by_action = "action" in frame.columns
    needed |= {"action": TEXT} if by_action else {}
    data = _named_codes(_finished(frame, "codes", needed, longest=MEANING_LENGTH))
    totals = _most(data, "code", 20, pl.col("meaning").first(), pl.col("share").sum())
    nameless = (
        pl.when(pl.col("code") == NO_CODE)
        .then(pl.lit("neither text nor export names one"))
        .otherwise(pl.lit("in no RFC"))
    )
    totals = totals.with_columns(_count_and_share(), pl.col("meaning").fill_null(nameless), start=0)
    shown = _summed(_among(data, totals, "code").drop("meaning", "share"), "events")
    y = alt.Y("code:N", title=None, sort=totals["code"].to_list())
    if by_action:
        bars = alt.Chart(_ranked(shown, "action", ACTIONS))
        bars = bars.encode(_count("events"), y, action_colour(shown["action"]), order="rank:Q")
    else:
        bars = alt.Chart(shown).encode(_count("events"), y)
    names = alt.Chart(totals).encode(alt.X("start:Q"), y, text="meaning:N")
    values = alt.Chart(totals).encode(_count("events"), y, text="label:N")
    chart: alt.LayerChart = (
        bars.mark_bar(style="below")
        + names.mark_text(style="name")
        + values.mark_text(style="value")
    )
    return _titled(
        chart,
        "Which reply codes came back",
        "Events by reply code, with the code's standard meaning" + _cut(totals, data, "code"),
        "Bars: the number of events by SMTP reply code, with the meaning of each code.",
        height=ROOMY_ROW,
    )


def codes_by_category(frame: pl.DataFrame) -> alt.LayerChart:
    """What the same reply code stands for: categories down, the 10 most frequent codes across.

    `frame`: reply_code Int16 (null: no code), category Enum, events UInt32.
    """
    needed = {"reply_code": NUMBER, "category": TEXT, "events": NUMBER}
    data = _named_codes(_with_action(_finished(frame, "codes_by_category", needed)))
    top = _most(data, "code", 10)
    shown = _summed(_among(data, top, "code"), "events")
    x = alt.X("code:N", title=None, axis=alt.Axis(orient="top", labelAngle=0))
    base = alt.Chart(shown).encode(x, _categories_down("category"))
    chart: alt.LayerChart = base.mark_circle().encode(*_dot(shown)) + _beside(base)
    return _titled(
        chart,
        "One code, many reasons",
        "Events by category (down) and reply code (across)" + _cut(top, data, "code"),
        "A grid of dots: the number of events by category and SMTP reply code.",
        width=CELL,
    )


def categories(frame: pl.DataFrame) -> alt.FacetChart:
    """Why mail bounced: the categories, grouped by whose fault it is.

    `frame`: category Enum, events UInt32, share Float64 of all events. The fault follows from the
    category.
    """
    needed = {"category": TEXT, "events": NUMBER, "share": NUMBER}
    counted = _summed(_finished(frame, "categories", needed), "events", "share")
    data = _with_action(counted).with_columns(
        _count_and_share(), fault=pl.col("category").replace_strict(FAULT_OF, default="none")
    )
    base = alt.Chart().encode(
        _count("events"), alt.Y("category:N", title=None, sort=list(CATEGORIES))
    )
    bars = base.mark_bar().encode(action_colour(data["action"]))
    layers = alt.layer(
        bars, base.mark_text(style="value").encode(text="label:N"), data=data.drop("share")
    )
    chart: alt.FacetChart = layers.facet(
        row=alt.Row("fault:N", sort=list(FAULTS), title=None)
    ).resolve_scale(y="independent")
    return _titled(
        chart,
        "Why it bounced, and whose fault that is",
        "Events by category; the colour says what to do about it",
        "Bars: the number of events by category, in groups by whose fault it is.",
    )


def certainties(frame: pl.DataFrame) -> alt.LayerChart:
    """What the verdicts rest on: categories down; text, export and codes across.

    `frame`: category Enum, certainty Enum, events UInt32.
    """
    needed = {"category": TEXT, "certainty": TEXT, "events": NUMBER}
    shown = _summed(_with_action(_finished(frame, "certainties", needed)), "events")
    across = _words_across("certainty", pl.Series(CERTAINTIES), CERTAINTIES)
    base = alt.Chart(shown).encode(
        across.scale(domain=list(CERTAINTIES)), _categories_down("category")
    )
    chart: alt.LayerChart = base.mark_circle().encode(*_dot(shown, SMALLEST_DOT)) + _beside(base)
    return _titled(
        chart,
        "What the verdicts rest on",
        "Events by category (down) and what decided it (across)" + _cut(shown, shown, "category"),
        "A grid of dots: the number of events by category and by the evidence that decided it.",
    )


def code_against_text(frame: pl.DataFrame) -> alt.LayerChart:
    """What the text says (down) and what the codes alone would have said (across, at most 12).

    `frame`: code_says and text_says Enum (categories), events UInt32, as
    `counts.code_against_text` gives them. Hollow where both ask for the same action.
    """
    needed = {"code_says": TEXT, "text_says": TEXT, "events": NUMBER}
    data = _summed(_finished(frame, "code_against_text", needed), "events")
    top = _most(data, "code_says", 12)
    shown = _among(data, top, "code_says").with_columns(
        action=_action("text_says"), agree=_action("code_says") == _action("text_says")
    )
    across = _words_across("code_says", shown["code_says"], CATEGORIES)
    base = alt.Chart(shown).encode(
        across.title("what the codes alone would have said" if shown.height else None),
        _categories_down("text_says", "what the text says" if shown.height else None),
    )
    hollow, filled = base.transform_filter("datum.agree"), base.transform_filter("!datum.agree")
    dot = _dot(shown, SMALLEST_DOT)
    chart: alt.LayerChart = (
        hollow.mark_point(style="arrived").encode(*dot)
        + filled.mark_circle().encode(*dot)
        + _beside(base)
    )
    return _titled(
        chart,
        "Where the codes mislead",
        "Events that the text decided; filled: the codes alone ask for something else"
        + _cut(top, data, "code_says"),
        "A grid of dots: the number of events by what the text says and what the codes say.",
        width=WIDE_CELL,
    )


def faults_over_time(frame: pl.DataFrame) -> alt.Chart:
    """Whose fault the bounces were, over time.

    `frame`: one of week, day, month (Date) or mailing (String, in the order of sending), fault
    Enum, events UInt32. The latest 104 periods or 40 mailings are shown.
    """
    by = next((name for name in ("week", "day", "month") if name in frame.columns), "mailing")
    needed = {by: PERIOD, "fault": TEXT, "events": NUMBER}
    data = _summed(_finished(frame, "faults_over_time", needed), "events")
    timed = data.schema[by] != pl.String
    shown = _ranked(_latest(data, by, 104 if timed else 40), "fault", FAULTS)
    colour = fault_colour(shown["fault"])
    if timed:
        bars = alt.Chart(_spans(shown, by)).mark_bar().encode(_time(by, by), alt.X2("until"))
        chart: alt.Chart = bars.encode(alt.Y("top:Q", title="events"), alt.Y2("bottom"), colour)
    else:
        bars = alt.Chart(_in_order(shown, by)).mark_bar()
        chart = bars.encode(_count("events"), _rows(by), colour, order="rank:Q")
    return _titled(
        chart,
        "Whose fault the bounces were",
        f"Events by {by}" + _cut(shown, data, by, "the latest"),
        f"Stacked bars: the number of events by {by}, divided by fault.",
    )


def pareto(frame: pl.DataFrame) -> alt.LayerChart:
    """How few addresses make the bounces.

    `frame`: recipients, bounces (Float64, running shares from 0 to 1, worst addresses first), as
    `offenders.pareto` gives them. The point where half of the bounces are reached is named.
    """
    data = _finished(frame, "pareto", {"recipients": NUMBER, "bounces": NUMBER}).sort("recipients")
    data = pl.concat([data.head(-1).gather_every(1 + data.height // 500), data.tail(1)])
    half = data.filter(pl.col("bounces") >= 0.5).head(1)
    half = half.with_columns(
        label=pl.format(
            "{} of the addresses\nmake {} of the bounces",
            _per_cent("recipients"),
            _per_cent("bounces"),
        )
    )
    share, whole = alt.Axis(format="%"), alt.Scale(domain=[0, 1])
    x = alt.X("recipients:Q", title="share of addresses, worst first", axis=share, scale=whole)
    y = alt.Y("bounces:Q", title="share of bounces", axis=share, scale=whole)
    alike = alt.Chart(pl.DataFrame({"recipients": [0.0, 1.0], "bounces": [0.0, 1.0]}))
    point = alt.Chart(half).encode(x, y)
    chart: alt.LayerChart = (
        alike.mark_line(style="reference").encode(x, y)
        + alt.Chart(data).mark_line().encode(x, y)
        + point.mark_point(style="named")
        + point.mark_text(style="note").encode(text="label:N")
    )
    return _titled(
        chart,
        "How few addresses make the bounces",
        "Running share of all bounces; the straight line: if every address bounced alike",
        "A line: the share of all bounces made by the worst addresses.",
    )


def streaks(frame: pl.DataFrame) -> alt.LayerChart:
    """How many mailings in a row addresses bounced; streaks of 20 and more share a bar.

    `frame`: longest_streak UInt32 (mailings in a row), recipients UInt32.
    """
    needed = {"longest_streak": NUMBER, "recipients": NUMBER}
    data = _finished(frame, "streaks", needed).sort("longest_streak")
    last = pl.col("longest_streak") >= LONG_STREAK
    label = (
        pl.when(last).then(pl.lit(f"{LONG_STREAK}+")).otherwise(pl.format("{}", "longest_streak"))
    )
    shown = _in_order(_summed(data.select("recipients", streak=label), "recipients"), "streak")
    base = alt.Chart(shown).encode(
        alt.X("streak:N", title="mailings in a row", sort=_by_order(), axis=alt.Axis(labelAngle=0)),
        alt.Y("recipients:Q", title="addresses", axis=alt.Axis(format=",d", tickMinStep=1)),
    )
    counts = base.mark_text(style="top").encode(text=alt.Text("recipients:Q", format=",d"))
    chart: alt.LayerChart = base.mark_bar() + counts
    return _titled(
        chart,
        "How long addresses keep bouncing",
        "Addresses by their longest run of bounced mailings" + _cut(shown, shown, "streak"),
        "Bars: the number of addresses by the longest run of mailings that bounced.",
    )


def timelines(frame: pl.DataFrame) -> alt.LayerChart:
    """What happened to single addresses: at most 25, and their latest 1,000 events.

    `frame`: recipient String, time Datetime, event Enum, category Enum (null for deliveries), in
    the order of the addresses to show. Addresses are masked and numbered.
    """
    needed = {"recipient": TEXT, "time": TIME, "event": TEXT, "category": TEXT}
    data = _finished(frame, "timelines", needed)
    # Masked addresses may look alike: they are told apart before, and shown with a number.
    data = data.with_columns(order=_rank_of_first(frame["recipient"]))
    first = data.filter(pl.col("order") <= 25)
    shown = _with_action(first.sort("time").tail(1_000)).with_columns(
        _epoch("time"), address=pl.format("{}  {}", "order", pl.col("recipient").fill_null("?"))
    )
    left_out = f"; the latest {shown.height:,} events" if shown.height < first.height else ""
    arrived = pl.col("event").is_in(["delivery", "engagement"])
    bounced, reached = shown.filter(~arrived), shown.filter(arrived)
    y = alt.Y("address:N", title=None, sort=alt.EncodingSortField("order", op="min"))
    y = y.axis(grid=True)
    dots = alt.Chart(bounced.drop("recipient", "event")).mark_point(style="bounced")
    rings = alt.Chart(reached.select("time", "address", "order")).mark_point(style="arrived")
    chart: alt.LayerChart = rings.encode(_time("time"), y) + dots.encode(
        _time("time"), y, action_colour(bounced["action"])
    )
    return _titled(
        chart,
        "What happened to single addresses",
        "Filled: a bounce, by what it asks for; hollow: a delivery, an open or a click"
        + _cut(first, data, "order", "the first")
        + left_out,
        "Rows of dots over time, one row an address: bounces filled, deliveries hollow.",
    )


def hygiene(frame: pl.DataFrame) -> alt.LayerChart:
    """How often addresses were mailed again after their first permanent failure.

    `frame`: sends_after_first_failure (number, or String or Enum label, in the order to show),
    recipients UInt32, sends UInt32 (all those sends together). At most 30 rows are shown.
    """
    by = "sends_after_first_failure"
    dtype = NUMBER if by in frame.columns and frame.schema[by].is_numeric() else TEXT
    data = _finished(frame, "hygiene", {by: dtype, "recipients": NUMBER, "sends": NUMBER})
    shown = _in_order(data.head(30).with_columns(pl.col(by).cast(pl.String)), by).with_columns(
        label=pl.format("{} addresses, {} sends", _thousands("recipients"), _thousands("sends")),
        action=pl.lit("remove"),
    )
    base = alt.Chart(shown).encode(
        _count("recipients", "addresses"), _rows(by, "sends after the first failure")
    )
    bars = base.mark_bar().encode(action_colour(shown["action"]))
    chart: alt.LayerChart = bars + base.mark_text(style="value").encode(text="label:N")
    return _titled(
        chart,
        "Mail sent to addresses known to be dead",
        "Addresses by the number of sends after their first permanent failure"
        + _cut(shown, data, by, "the first"),
        "Bars: the number of addresses by how often they were mailed after the first failure.",
    )


def funnel(frame: pl.DataFrame) -> alt.LayerChart:
    """How many addresses to remove, pause or hold; how many stay is told beside.

    `frame`: verdict Enum, recipients UInt32. With category Enum as well, one row per verdict and
    category: the bars then show the reasons.
    """
    needed = {"verdict": TEXT, "recipients": NUMBER}
    by_category = "category" in frame.columns
    data = _finished(frame, "funnel", needed | ({"category": TEXT} if by_category else {}))
    data = _summed(data, "recipients")
    kept = data.filter(pl.col("verdict") == "keep")["recipients"].sum()
    acted = data.filter(pl.col("verdict").is_in(ACTED_ON))
    if by_category:
        acted = _summed(_with_action(acted).drop("category"), "recipients")
    else:
        acted = acted.with_columns(action=pl.col("verdict").replace_strict(ACTION_OF_VERDICT))
    acted = _ranked(acted, "action", ACTIONS)
    totals = acted.group_by("verdict", maintain_order=True).agg(pl.col("recipients").sum())
    totals = totals.with_columns(label=_thousands("recipients"))
    x, y = _count("recipients", "addresses"), alt.Y("verdict:N", title=None, sort=list(VERDICTS))
    bars = alt.Chart(acted).encode(x, y, action_colour(acted["action"]), order="rank:Q")
    chart: alt.LayerChart = bars.mark_bar() + alt.Chart(totals).encode(
        x, y, text="label:N"
    ).mark_text(style="value")
    return _titled(
        chart,
        "What to do with the addresses",
        f"Addresses by verdict; {kept:,} more stay on the list",
        "Bars: the number of addresses to remove, to pause and to hold, by reason.",
    )


def policies(frame: pl.DataFrame) -> alt.LayerChart:
    """How many addresses each policy would take off the list (at most 30 policies).

    `frame`: policy String (in the order to show), verdict Enum, recipients UInt32. What a policy
    keeps is left out.
    """
    needed = {"policy": TEXT, "verdict": TEXT, "recipients": NUMBER}
    data = _summed(_finished(frame, "policies", needed), "recipients")
    top = data.select("policy").unique(maintain_order=True).head(30)
    shown = _in_order(_among(data, top, "policy"), "policy").with_columns(
        # A policy that acts on nobody keeps its empty row.
        recipients=pl.when(pl.col("verdict").is_in(ACTED_ON)).then("recipients").otherwise(0),
    )
    removed = _summed(
        shown.filter(pl.col("recipients") > 0)
        .with_columns(
            removed=pl.when(pl.col("verdict") == "remove").then("recipients").otherwise(0)
        )
        .drop("verdict"),
        "recipients",
        "removed",
    ).with_columns(label=pl.format("{} removed", _thousands("removed")))
    x, y = _count("recipients", "addresses"), _rows("policy")
    bars = alt.Chart(_ranked(shown, "verdict", VERDICTS)).mark_bar()
    colour = verdict_colour(shown.filter(pl.col("recipients") > 0)["verdict"])
    labels = alt.Chart(removed).mark_text(style="value").encode(x, y, text="label:N")
    chart: alt.LayerChart = bars.encode(x, y, colour, order="rank:Q") + labels
    return _titled(
        chart,
        "What each policy would do to this list",
        "Addresses to remove, to pause and to hold" + _cut(shown, data, "policy", "the first"),
        "Stacked bars: the number of addresses that each policy removes, pauses and holds.",
    )


def bounce_rate(frame: pl.DataFrame) -> alt.LayerChart:
    """The bounce rate of each mailing, beside the limits of Amazon SES (the latest 40).

    `frame`: mailing (String in the order of sending, or Date or Datetime), sends UInt32, bounces
    UInt32, rate Float64 (bounces of sends, 0 to 1).
    """
    needed = {"mailing": PERIOD, "sends": NUMBER, "bounces": NUMBER, "rate": NUMBER}
    data = _finished(frame, "bounce_rate", needed)
    timed = data.schema["mailing"] != pl.String
    shown = _in_order(_latest(data, "mailing", 40), "mailing")
    if timed:
        shown = shown.with_columns(_epoch("mailing"))
    x = (
        _time("mailing", "mailing")
        if timed
        else alt.X("mailing:N", title="mailing", sort=_by_order())
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
    return _titled(
        chart,
        "How much of each mailing bounced",
        "Bounces as a share of sends, and the limits of Amazon SES"
        + _cut(shown, data, "mailing", "the latest"),
        "A line: the share of each mailing that bounced, with the limits of 5 and 10 per cent.",
    )


def incidents(frame: pl.DataFrame) -> alt.Chart:
    """Hours in which a provider said "unknown user" more often than it does.

    `frame`: time Datetime (the hour), provider String (in the order to show), share Float64 (of
    unknown_user among the hour's events, 0 to 1), events UInt32. At most 20 providers and the
    latest 1,200 hours of theirs are shown.
    """
    needed = {"time": TIME, "provider": TEXT, "share": NUMBER, "events": NUMBER}
    data = _finished(frame, "incidents", needed)
    top = data.select("provider").unique(maintain_order=True).head(20)
    shown = _in_order(_among(data, top, "provider"), "provider").sort("time").tail(1_200)
    hours = alt.X(
        "utcyearmonthdatehours(time):T", title="time (UTC)", axis=alt.Axis(format="%b %d %H:00")
    )
    chart: alt.Chart = (
        alt.Chart(shown.with_columns(_epoch("time")))
        .mark_rect()
        .encode(hours, _rows("provider"), unknown_user_shade())
    )
    return _titled(
        chart,
        "When a provider suddenly knew nobody",
        "Share of unknown_user among each hour's events"
        + _cut(shown, data, "provider", "the first"),
        "A strip for each provider: the share of unknown users in each hour.",
    )


def alerts(frame: pl.DataFrame) -> alt.LayerChart:
    """What is wrong with the sending itself, and since when (at most 30 alerts).

    `frame`: category Enum, provider String, blocklist String (null: none named), first_seen and
    last_seen Datetime, recipients UInt32; one row each, in the order to show.
    """
    needed = {"category": TEXT, "provider": TEXT, "blocklist": TEXT, "recipients": NUMBER}
    data = _finished(frame, "alerts", needed | {"first_seen": TIME, "last_seen": TIME})
    name = pl.concat_str("category", "provider", "blocklist", separator=" · ", ignore_nulls=True)
    first = data.head(30).with_row_index("order", offset=1)
    shown = _with_action(first).with_columns(_epoch("first_seen"), _epoch("last_seen"))
    range_shown = pl.col("last_seen").max() - pl.col("first_seen").min()
    shown = shown.select(
        "order",
        "first_seen",
        "recipients",
        "action",
        # What was seen once is a dot, not nothing.
        until=pl.max_horizontal("last_seen", pl.col("first_seen") + range_shown // 80),
        alert=pl.format("{}  {}", "order", name),
        label=pl.format("{} addresses", _thousands("recipients")),
    )
    seen = "from the first to the last refusal (UTC)"
    bars = alt.Chart(shown).encode(_time("first_seen", seen), alt.X2("until"), _rows("alert"))
    labels = alt.Chart(shown).encode(_time("until", seen), _rows("alert"), text="label:N")
    chart: alt.LayerChart = bars.mark_bar(style="span").encode(
        action_colour(shown["action"])
    ) + labels.mark_text(style="value")
    return _titled(
        chart,
        "What is wrong with your sending, and since when",
        "Each problem and the addresses that it kept from their mail"
        + _cut(first, data.with_row_index("order"), "order", "the first"),
        "Bars over time: the first and last refusal of each sender-side problem.",
    )


def _finished(
    frame: pl.DataFrame, chart: str, needed: dict[str, str], *, longest: int = NAME_LENGTH
) -> pl.DataFrame:
    """The needed columns, checked, masked and cut to what a chart can hold; Enum as String."""
    if frame.height > MOST_ROWS:
        raise BouncekitError(
            f"charts.{chart}: {frame.height:,} rows are too many to draw (at most {MOST_ROWS:,}); "
            "count first, for example with bk.distribution(frame, by=...)."
        )
    for name, kind in needed.items():
        if name not in frame.columns:
            raise BouncekitError(
                f"charts.{chart}: there is no column '{name}'; needed are {', '.join(needed)}."
            )
        if not _is(frame.schema[name], kind):
            raise BouncekitError(
                f"charts.{chart}: column '{name}' is {frame.schema[name]}, but must be {kind}."
            )
    plain = frame.select(*needed).with_columns(_TEXTS.cast(pl.String))
    return mask(plain).with_columns(_short(cs.string(), longest), cs.float().round_sig_figs(6))


def _is(dtype: pl.DataType, kind: str) -> bool:
    """True where a column of the dtype can be of the kind."""
    text = isinstance(dtype, (pl.String, pl.Categorical, pl.Enum, pl.Null))
    time = isinstance(dtype, (pl.Date, pl.Datetime))
    return {NUMBER: dtype.is_numeric(), TEXT: text, TIME: time, PERIOD: time or text}[kind]


def _short(text: pl.Expr, longest: int) -> pl.Expr:
    """A text cut in the middle: long names mostly differ at their ends."""
    start = longest * 2 // 3
    middle = text.str.head(start) + "…" + text.str.tail(longest - start - 1)
    return pl.when(text.str.len_chars() > longest).then(middle).otherwise(text)


def _named_codes(data: pl.DataFrame) -> pl.DataFrame:
    """The data with the reply code as text, `code`."""
    code = pl.col("reply_code").cast(pl.String).fill_null(NO_CODE)
    return data.with_columns(code=code).drop("reply_code")


def _with_action(data: pl.DataFrame) -> pl.DataFrame:
    """The data with the action that each category asks for."""
    return data.with_columns(
        pl.col("category").fill_null("unclassified"), action=_action("category")
    )


def _action(category: str) -> pl.Expr:
    """The action that the category in a column asks for."""
    return pl.col(category).replace_strict(ACTION_OF, default="none", return_dtype=pl.String)


def _ranked(data: pl.DataFrame, column: str, order: tuple[str, ...]) -> pl.DataFrame:
    """The data with the place of each value in its vocabulary, for the order within a bar."""
    ranks = {name: rank for rank, name in enumerate(order)}
    rank = pl.col(column).replace_strict(ranks, default=len(order), return_dtype=pl.Int64)
    return data.with_columns(rank=rank)


def _summed(data: pl.DataFrame, *counts: str) -> pl.DataFrame:
    """One row for what differs in more than its counts."""
    keys = [name for name in data.columns if name not in counts]
    return data.group_by(keys, maintain_order=True).agg(pl.col(*counts).sum())


def _most(data: pl.DataFrame, by: str, limit: int, *columns: pl.Expr) -> pl.DataFrame:
    """The values of a column with the most events, and other columns of theirs."""
    totals = data.group_by(by).agg(pl.col("events").sum(), *columns)
    return totals.sort("events", by, descending=[True, False]).head(limit)


def _among(data: pl.DataFrame, chosen: pl.DataFrame, by: str) -> pl.DataFrame:
    """The rows of the chosen values, in their order."""
    return data.join(chosen.select(by), on=by, how="semi", maintain_order="left", nulls_equal=True)


def _latest(data: pl.DataFrame, by: str, limit: int) -> pl.DataFrame:
    """The rows of the latest periods: by time, or for names in the order of the frame."""
    known = data.drop_nulls(by)
    ordered = known if known.schema[by] == pl.String else known.sort(by, maintain_order=True)
    return _among(ordered, ordered.select(by).unique(maintain_order=True).tail(limit), by)


def _in_order(data: pl.DataFrame, by: str) -> pl.DataFrame:
    """The data with the rank of each name by first appearance: names stay out of the spec."""
    return data.with_columns(order=_rank_of_first(data[by]))


def _rank_of_first(names: pl.Series) -> pl.Series:
    """1 for the first name and all its equals, 2 for the next new one, and so on."""
    first = pl.col("row").min().over(names.name).rank("dense")
    return names.to_frame().with_row_index("row").select(first.cast(pl.Int64)).to_series()


def _spans(data: pl.DataFrame, by: str) -> pl.DataFrame:
    """The data with the four edges of each stacked bar: Vega-Lite stacks no bars with two ends."""
    starts = data.select(_epoch(by).unique().sort()).to_series().to_list()
    length = min((b - a for a, b in pairwise(starts)), default=WEEK)
    top = pl.col("events").cum_sum().over(by, order_by="rank")
    return data.with_columns(_epoch(by), top=top, bottom=top - pl.col("events")).with_columns(
        until=pl.col(by) + int(0.86 * length)  # a little apart from the next
    )


def _epoch(time: str) -> pl.Expr:
    """A time in UTC as milliseconds, which no reader's time zone shifts."""
    return pl.col(time).cast(pl.Datetime("ms")).dt.epoch("ms")


def _cut(shown: pl.DataFrame, data: pl.DataFrame, by: str, which: str = "the most frequent") -> str:
    """What the chart leaves out, for its subtitle; nothing where all is shown."""
    count, total = shown[by].n_unique(), data[by].n_unique()
    if not total:
        return "; nothing to show"
    return f"; {which} {count:,} of {total:,}" if count < total else ""


def _thousands(column: str) -> pl.Expr:
    """A count as text with separators."""
    digits = pl.col(column).cast(pl.Int64).cast(pl.String).str.reverse()
    return digits.str.replace_all(r"(\d{3})", "${1},").str.strip_suffix(",").str.reverse()


def _per_cent(column: str) -> pl.Expr:
    """A share as text, in per cent with one decimal; what is rare is not nothing."""
    share = (100 * pl.col(column)).round(1)
    rare = (pl.col(column) > 0) & (share == 0)
    return pl.when(rare).then(pl.lit("< 0.1 %")).otherwise(pl.format("{} %", share))


def _count_and_share() -> pl.Expr:
    """The label of a bar: its events and their share of all."""
    return pl.format("{} · {}", _thousands("events"), _per_cent("share")).alias("label")


def _count(column: str, title: str | None = None) -> alt.X:
    """The axis of a count, across."""
    return alt.X(f"{column}:Q", title=title or column, axis=alt.Axis(format=",d", tickMinStep=1))


def _time(column: str, title: str = "time (UTC)") -> alt.X:
    """The axis of a time, across, in UTC."""
    return alt.X(f"{column}:T", title=title, scale=alt.Scale(type="utc", padding=8))


def _categories_down(column: str, title: str | None = None) -> alt.Y:
    """A row for each category, in the order of the schema, with a line to follow across."""
    return alt.Y(f"{column}:N", title=title, sort=list(CATEGORIES), axis=alt.Axis(grid=True))


def _words_across(column: str, names: pl.Series, order: tuple[str, ...]) -> alt.X:
    """A column for each name, above the grid, with each word of the name on a line of its own."""
    most_breaks = names.str.count_matches("_").max()
    space = HEADING_SPACE + HEADING_LINE * (most_breaks if isinstance(most_breaks, int) else 0)
    axis = alt.Axis(
        orient="top", labelAngle=0, labelExpr="split(datum.label, '_')", labelPadding=space
    )
    return alt.X(f"{column}:N", title=None, sort=list(order), axis=axis)


def _dot(shown: pl.DataFrame, smallest: int = 0) -> tuple[alt.Color, alt.Size]:
    """A dot in a grid: its colour says what to do, its size how often."""
    size = alt.Size("events:Q", legend=None)
    return action_colour(shown["action"]), size.scale(rangeMin=smallest) if smallest else size


def _beside(base: alt.Chart) -> alt.Chart:
    """The number beside each dot of a grid."""
    counts: alt.Chart = base.mark_text(style="beside").encode(
        text=alt.Text("events:Q", format=",d")
    )
    return counts


def _by_order() -> alt.EncodingSortField:
    """The order of names by their column `order`."""
    return alt.EncodingSortField("order", op="min")


def _rows(column: str, title: str | None = None) -> alt.Y:
    """A row for each name, in the order of the frame."""
    return alt.Y(f"{column}:N", title=title, sort=_by_order())


def _titled(chart: Chart, title: str, subtitle: str, description: str, **size: alt.Step) -> Chart:
    """The chart with its title and, for those who cannot see it, its description."""
    titled: Chart = chart.properties(
        title=alt.Title(title, subtitle=subtitle), description=description, **size
    )
    return titled
