"""What the charts do to a frame before they draw it: check, mask, cut, order, label."""

from itertools import takewhile

import polars as pl
import polars.selectors as cs

from bouncekit.errors import BouncekitError
from bouncekit.mask import mask
from bouncekit.schema import ACTION_OF

MOST_ROWS = 5_000  # a frame with more rows than this has not been counted yet
NO_CODE = "no code"
NAME_LENGTH = 40  # characters of a name that a chart keeps
MEANING_LENGTH = 80  # and of what a reply code means
DAY = 86_400_000  # in milliseconds
LENGTHS = {"day": DAY, "week": 7 * DAY, "month": 28 * DAY}  # no month is shorter

NUMBER, TEXT, TIME, PERIOD = "a number", "text", "a date or time", "a date, a time or text"
UNSEEN = r"[\p{Cc}\p{Cf}]"  # breaks a line, turns the reading direction, or hides
TEXTS = cs.enum() | cs.categorical() | cs.by_dtype(pl.Null)


def finished(
    frame: pl.DataFrame, chart: str, needed: dict[str, str], *, longest: int = NAME_LENGTH
) -> pl.DataFrame:
    """The needed columns, checked, masked and with names that a chart can hold; Enum as String.

    Two names stay two: what a chart groups by its labels is grouped by the whole names.
    """
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
        if not is_of_kind(frame.schema[name], kind):
            raise BouncekitError(
                f"charts.{chart}: column '{name}' is {frame.schema[name]}, but must be {kind}."
            )
    plain = frame.select(*needed).with_columns(TEXTS.cast(pl.String))
    seen = mask(plain).with_columns(
        cs.string().str.replace_all(UNSEEN, "�"), cs.float().round_sig_figs(6)
    )
    return seen.with_columns(labelled(column, longest) for column in seen.select(cs.string()))


def is_of_kind(dtype: pl.DataType, kind: str) -> bool:
    """True where a column of the dtype can be of the kind."""
    text = isinstance(dtype, (pl.String, pl.Categorical, pl.Enum, pl.Null))
    time = isinstance(dtype, (pl.Date, pl.Datetime))
    return {NUMBER: dtype.is_numeric(), TEXT: text, TIME: time, PERIOD: time or text}[kind]


def labelled(names: pl.Series, longest: int) -> pl.Series:
    """A label for each name: short, and never the same for two names."""
    whole = names.drop_nulls().unique(maintain_order=True).to_list()
    short = [name for name in whole if len(name) <= longest]
    alike: dict[str, list[str]] = {}
    for name in whole:
        if len(name) > longest:
            alike.setdefault(shortened(name, longest), []).append(name)
    labels, taken = dict(zip(short, short, strict=True)), set(short)
    for label, group in alike.items():
        for name in group:
            wanted = label if len(group) == 1 else around_difference(name, group, longest)
            labels[name] = numbered(wanted, taken, longest)
            taken.add(labels[name])
    return names.replace_strict(labels, default=None, return_dtype=pl.String)


def shortened(text: str, longest: int) -> str:
    """A text cut in the middle: long names mostly differ at their ends."""
    start = longest * 2 // 3
    return text if len(text) <= longest else f"{text[:start]}…{text[start + 1 - longest :]}"


def around_difference(name: str, alike: list[str], longest: int) -> str:
    """The beginning of a name, and what tells it from others that begin and end like it."""
    of_all = takewhile(lambda letters: len(set(letters)) == 1, zip(*alike, strict=False))
    start, begins = longest // 3, len(list(of_all))
    room = longest - start - 2  # for what differs, between two ellipses
    at = max(start, min(begins - room // 2, len(name) - room))
    return f"{name[:start]}…{name[at : at + room]}" + "…" * (at + room < len(name))


def numbered(label: str, taken: set[str], longest: int) -> str:
    """The label, with the first number that makes it one of its own."""
    number, told = 1, label
    while told in taken:
        number += 1
        mark = f" ({number})"
        told = label[: longest - len(mark)] + mark
    return told


def named_codes(data: pl.DataFrame) -> pl.DataFrame:
    """The data with the reply code as text, `code`."""
    code = pl.col("reply_code").cast(pl.String).fill_null(NO_CODE)
    return data.with_columns(code=code).drop("reply_code")


def with_action(data: pl.DataFrame) -> pl.DataFrame:
    """The data with the action that each category asks for."""
    return data.with_columns(
        pl.col("category").fill_null("unclassified"), action=action_of("category")
    )


def action_of(category: str) -> pl.Expr:
    """The action that the category in a column asks for."""
    return pl.col(category).replace_strict(ACTION_OF, default="none", return_dtype=pl.String)


def ranked(data: pl.DataFrame, column: str, order: tuple[str, ...]) -> pl.DataFrame:
    """The data with the place of each value in its vocabulary, for the order within a bar."""
    ranks = {name: rank for rank, name in enumerate(order)}
    rank = pl.col(column).replace_strict(ranks, default=len(order), return_dtype=pl.Int64)
    return data.with_columns(rank=rank)


def summed(data: pl.DataFrame, *counts: str) -> pl.DataFrame:
    """One row for what differs in more than its counts."""
    keys = [name for name in data.columns if name not in counts]
    return data.group_by(keys, maintain_order=True).agg(pl.col(*counts).sum())


def most(data: pl.DataFrame, by: str, limit: int, *columns: pl.Expr) -> pl.DataFrame:
    """The values of a column with the most events, and other columns of theirs."""
    totals = data.group_by(by).agg(pl.col("events").sum(), *columns)
    return totals.sort("events", by, descending=[True, False]).head(limit)


def among(data: pl.DataFrame, chosen: pl.DataFrame, by: str) -> pl.DataFrame:
    """The rows of the chosen values, in their order."""
    return data.join(chosen.select(by), on=by, how="semi", maintain_order="left", nulls_equal=True)


def latest(data: pl.DataFrame, by: str, limit: int) -> pl.DataFrame:
    """The rows of the latest periods: by time, or for names in the order of the frame."""
    known = data.drop_nulls(by)
    ordered = known if known.schema[by] == pl.String else known.sort(by, maintain_order=True)
    return among(ordered, ordered.select(by).unique(maintain_order=True).tail(limit), by)


def in_order(data: pl.DataFrame, by: str) -> pl.DataFrame:
    """The data with the rank of each name by first appearance: names stay out of the spec."""
    return data.with_columns(order=rank_of_first(data[by]))


def rank_of_first(names: pl.Series) -> pl.Series:
    """1 for the first name and all its equals, 2 for the next new one, and so on."""
    first = pl.col("row").min().over(names.name).rank("dense")
    return names.to_frame().with_row_index("row").select(first.cast(pl.Int64)).to_series()


def spans(data: pl.DataFrame, by: str) -> pl.DataFrame:
    """The data with the four edges of each stacked bar: Vega-Lite stacks no bars with two ends."""
    top = pl.col("events").cum_sum().over(by, order_by="rank")
    return data.with_columns(epoch(by), top=top, bottom=top - pl.col("events")).with_columns(
        until=pl.col(by) + int(0.86 * LENGTHS[by])  # a little apart from the next
    )


def epoch(time: str) -> pl.Expr:
    """A time in UTC as milliseconds, which no reader's time zone shifts."""
    return pl.col(time).cast(pl.Datetime("ms")).dt.epoch("ms")


def cut(shown: pl.DataFrame, data: pl.DataFrame, by: str, which: str = "the most frequent") -> str:
    """What the chart leaves out, for its subtitle; nothing where all or nothing is shown."""
    count, total = shown[by].n_unique(), data[by].n_unique()
    return f"; {which} {count:,} of {total:,}" if 0 < count < total else ""


def thousands(column: str) -> pl.Expr:
    """A count as text with separators."""
    digits = pl.col(column).cast(pl.Int64).cast(pl.String).str.reverse()
    return digits.str.replace_all(r"(\d{3})", "${1},").str.strip_suffix(",").str.reverse()


def counted(column: str, one: str, many: str) -> pl.Expr:
    """A count with its noun: 1 address, 2 addresses."""
    noun = pl.when(pl.col(column) == 1).then(pl.lit(one)).otherwise(pl.lit(many))
    return pl.format("{} {}", thousands(column), noun)


def per_cent(column: str) -> pl.Expr:
    """A share as text, in per cent with one decimal; what is rare is not nothing."""
    share = (100 * pl.col(column)).round(1)
    rare = (pl.col(column) > 0) & (share == 0)
    return pl.when(rare).then(pl.lit("< 0.1 %")).otherwise(pl.format("{} %", share))


def count_and_share() -> pl.Expr:
    """The label of a bar: its events and their share of all."""
    return pl.format("{} · {}", thousands("events"), per_cent("share")).alias("label")
