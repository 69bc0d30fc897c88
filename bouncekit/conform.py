"""Frames made by hand or kept elsewhere, with the dtypes of `schema`."""

from collections.abc import Collection

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.schema import BOUNCES, CLASSIFICATION, Event

COLUMNS = BOUNCES | CLASSIFICATION
# What they hold may be the user's own: nothing is counted by these.
_PASSED_ON = ("source", "line", "listed", "size_limit", "retry_after", "conflict")
COUNTED = tuple(name for name in COLUMNS if name not in _PASSED_ON)

_WAYS_OUT = {
    "time": "pl.col('time').str.to_datetime(time_zone='UTC') makes times of text",
    "reply": "join the lines of a reply to one text",
}


def check_frame(frame: object) -> None:
    """Raise BouncekitError for what is no Polars frame."""
    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        raise BouncekitError(
            f"Wanted is a Polars frame, given is of type {type(frame).__name__}; bk.read() makes "
            "one of an export, pl.from_pandas() one of a pandas frame."
        )


def check_classified(frame: pl.DataFrame | pl.LazyFrame) -> None:
    """Raise BouncekitError for a frame that was not classified."""
    check_frame(frame)
    if "category" not in frame.collect_schema():
        raise BouncekitError("The frame is not classified yet; call bk.classify() on it first.")


def conformed(frame: pl.DataFrame | pl.LazyFrame, names: Collection[str] = COUNTED) -> pl.LazyFrame:
    """Give the named columns, where they are there, the dtypes that `schema` states.

    A column of nulls has no dtype, a table from elsewhere has numbers for texts, words for enums,
    days or times without a zone for times: these are midnight, and UTC. Where neither an event nor
    a verdict is named, it is a bounce; a verdict alone says nothing about delivery. Raises
    BouncekitError for a column that holds something else, and for words that are none of an enum
    where the frame is in memory (a lazy one raises Polars' own error when it is run).

    >>> dict(conformed(pl.DataFrame({"reply": [None], "line": ["A 1"]})).collect_schema())
    {'reply': String, 'line': String}
    """
    check_frame(frame)
    schema = frame.collect_schema()
    other = [name for name in names if name in schema and schema[name] != COLUMNS[name]]
    for name in other:
        if isinstance(frame, pl.DataFrame) and isinstance(COLUMNS[name], pl.Enum):
            _check_words(frame[name])
    lazy = frame.lazy().with_columns(_cast(name, schema[name]) for name in other)
    if "event" not in names or "event" not in schema:
        return lazy
    if isinstance(frame, pl.DataFrame) and not frame["event"].null_count():
        return lazy
    verdict = pl.col("source_class") if "source_class" in schema else pl.lit(None)
    event = pl.col("event")
    is_untold = event.is_null() & verdict.is_null()
    bounce = pl.lit("bounce", Event)
    return lazy.with_columns(event=pl.when(is_untold).then(bounce).otherwise(event))


def with_few_verdicts(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Leave of the verdicts (source_class) those that tell what a null event is.

    Counts ask for no others, and what is null takes no room in files and hardly any in memory.
    """
    if not {"event", "source_class"} <= set(frame.collect_schema()):
        return frame
    return frame.with_columns(pl.when(pl.col("event").is_null()).then(pl.col("source_class")))


def _cast(name: str, given: pl.DataType) -> pl.Expr:
    column, wanted = pl.col(name), COLUMNS[name]
    if given == pl.Null or given.base_type() == wanted.base_type():
        return column.cast(wanted)
    is_text = given in (pl.String, pl.Categorical, pl.Enum)
    if wanted == pl.String and (is_text or given.is_numeric() or given == pl.Boolean):
        return column.cast(pl.String)
    if isinstance(wanted, pl.Enum) and is_text:
        return column.cast(pl.String).cast(wanted)
    if wanted.is_integer() and given.is_numeric():
        return column.cast(wanted, strict=False)
    if wanted.is_integer() and is_text:
        return column.cast(pl.String).cast(wanted, strict=False)
    if isinstance(wanted, pl.Datetime) and given == pl.Date:
        return column.cast(wanted)
    raise BouncekitError(
        f"The column '{name}' holds {given}, wanted is {wanted}; "
        f"{_WAYS_OUT.get(name, 'cast it')}, or read the export with bk.read()."
    )


def _check_words(column: pl.Series) -> None:
    wanted = COLUMNS[column.name]
    assert isinstance(wanted, pl.Enum)
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return
    words = column.cast(pl.String).drop_nulls().unique().sort()
    unknown = words.filter(~words.is_in(wanted.categories.implode()))
    if len(unknown):
        raise BouncekitError(
            f"The column '{column.name}' holds '{unknown[0]}', which is none of "
            f"{', '.join(wanted.categories)}; replace it, or read the export with bk.read()."
        )
